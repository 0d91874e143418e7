/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* lwIP on the virtio-net driver on a fake device, with a DHCP server (RFC 2131) that answers, refuses, lies or is
 * silent. */
#include "../../chain/tests/random.h"
#include "fake_virtio.h"

#include "chain/ipv4.h"
#include "stage/net.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

enum { MODERN_NET = 0x1041, HEADER = 12, DHCP_AT = HEADER + 14 + 20 + 8, FRAME = HEADER + 14 + 20 + 8 + 300 };
#define F_MAC (UINT64_C(1) << 5)

enum server {
	SERVER_GOOD,
	SERVER_SILENT,
	SERVER_NAK_ONCE,
	SERVER_NAKS,
	SERVER_OTHER_XID,
	SERVER_TRUNCATED,
	SERVER_GARBAGE,
	SERVER_LATE
};

/* What a server says, as it stands in an option; 0: it leaves it out. */
struct terms {
	uint32_t address, mask, gateway, server, lease_s;
};
#define IP(a, b, c, d) ((uint32_t)(a) << 24 | (b) << 16 | (c) << 8 | (d))
static const struct terms good_terms = { IP(10, 0, 2, 15), IP(255, 255, 255, 0), IP(10, 0, 2, 2), IP(10, 0, 2, 2),
					 3600 };

struct lan {
	struct fake fake;
	enum server server;
	unsigned discovers, requests, naks;
	uint8_t frame[2048]; /* on its way to the card */
	size_t frame_bytes;
	size_t cut;
	uint32_t seed;
	struct terms offer, ack; /* a bad one is put right when `right_from` requests of its kind have come */
	unsigned right_from;
	const uint8_t *tag; /* 4 bytes of IEEE 802.1Q, or null */
	const uint8_t *raw; /* in place of the options */
	size_t raw_bytes;
	uint8_t file[128];
	uint64_t discovered_us[64];
	char asked[256]; /* codes of what the last request asks for, in decimal; and the host's name */
};

static uint64_t last_us; /* lwIP's clock is one for all tests: it never goes back */

static uint16_t checksum(const uint8_t *p, size_t bytes)
{
	uint32_t sum = 0;

	for (size_t i = 0; i + 1 < bytes; i += 2)
		sum += (uint32_t)p[i] << 8 | p[i + 1];
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t) ~(sum + (sum >> 16));
}

static uint8_t *option(uint8_t *at, uint8_t code, uint8_t bytes, const void *value)
{
	*at++ = code;
	*at++ = bytes;
	memcpy(at, value, bytes);
	return at + bytes;
}

static uint8_t *number(uint8_t *at, uint8_t code, uint32_t value)
{
	const uint8_t bytes[] = { (uint8_t)(value >> 24), (uint8_t)(value >> 16), (uint8_t)(value >> 8),
				  (uint8_t)value };

	return value ? option(at, code, 4, bytes) : at;
}

static void put_options(const struct lan *lan, uint8_t *o, uint8_t type, const struct terms *terms)
{
	static const uint8_t dns[] = { 10, 0, 2, 3, 10, 0, 2, 4 };

	if (lan->raw) {
		memcpy(o, lan->raw, lan->raw_bytes);
		return;
	}
	o = option(o, 53, 1, &type);
	o = number(o, 54, terms->server);
	o = number(o, 51, terms->lease_s);
	o = number(o, 1, terms->mask);
	o = number(o, 3, terms->gateway);
	o = option(o, 6, 8, dns);
	o = option(o, 12, 5, "guest");
	*o = 0xff;
}

/* Between the addresses and the rest. */
static void put_tag(struct lan *lan)
{
	uint8_t *at = lan->frame + HEADER + 12;

	memmove(at + 4, at, lan->frame_bytes - HEADER - 12);
	memcpy(at, lan->tag, 4);
	lan->frame_bytes += 4;
}

/* Builds the answer of `type` (2 offer, 5 ack, 6 nak) to the request at `ask`. */
static void answer(struct lan *lan, const uint8_t *ask, uint8_t type)
{
	static const uint8_t ip[] = { 0x45, 0, 1, 72, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 2, 2, 255, 255, 255, 255 };
	static const uint8_t udp[] = { 0, 67, 0, 68, 1, 52, 0, 0 };
	bool right = lan->right_from && (type == 2 ? lan->discovers : lan->requests) >= lan->right_from;
	const struct terms *terms = right ? &good_terms : type == 2 ? &lan->offer : &lan->ack;
	uint8_t *f = lan->frame, *d = f + DHCP_AT;
	uint16_t sum;

	memset(f, 0, FRAME);
	memset(f + HEADER, 0xff, 6);
	memcpy(f + HEADER + 6, "\x52\x55\x0a\x00\x02\x02\x08\x00", 8);
	memcpy(f + HEADER + 14, ip, sizeof ip);
	sum = checksum(f + HEADER + 14, sizeof ip);
	f[HEADER + 14 + 10] = (uint8_t)(sum >> 8);
	f[HEADER + 14 + 11] = (uint8_t)sum;
	memcpy(f + HEADER + 34, udp, sizeof udp);
	memcpy(d, ask, 44); /* hardware type, xid, our hardware address */
	d[0] = 2;
	if (lan->server == SERVER_OTHER_XID)
		d[4] ^= 1;
	for (unsigned n = 0; n < 4; n++)
		d[16 + n] = (uint8_t)(terms->address >> (24 - 8 * n));
	memcpy(d + 108, lan->file, sizeof lan->file);
	memcpy(d + 236, "\x63\x82\x53\x63", 4);
	put_options(lan, d + 240, type, terms);
	lan->frame_bytes = lan->server == SERVER_TRUNCATED ? lan->cut : FRAME;
	for (int n = 0; lan->server == SERVER_GARBAGE && n < 8; n++) {
		lan->seed = lan->seed * 1664525 + 1013904223;
		f[HEADER + (lan->seed >> 8) % (FRAME - HEADER)] = (uint8_t)(lan->seed >> 24);
	}
	if (lan->tag)
		put_tag(lan);
}

/* Which options the request lists, and the name it gives. */
static void note_asked(struct lan *lan, const uint8_t *o, const uint8_t *end)
{
	size_t used = 0;

	lan->asked[0] = '\0';
	for (; o < end && *o != 0xff; o += 2 + o[1]) {
		assert_true(*o && o + 2 + o[1] <= end); /* nothing is padded but the end */
		for (unsigned n = 0; *o == 55 && n < o[1]; n++)
			used += (size_t)snprintf(lan->asked + used, sizeof lan->asked - used, "%u ", o[2 + n]);
		if (*o == 12)
			used += (size_t)snprintf(lan->asked + used, sizeof lan->asked - used, "%.*s", o[1],
						 (const char *)o + 2);
	}
	assert_true(o < end);
}

static void serve(struct lan *lan, const uint8_t *frame, size_t bytes)
{
	const uint8_t *d = frame + DHCP_AT;

	if (bytes < DHCP_AT + 244 || frame[HEADER + 12] != 8 || frame[HEADER + 14 + 9] != 17 ||
	    frame[HEADER + 37] != 67)
		return;
	assert_int_equal(d[240], 53); /* lwIP puts the message type first */
	note_asked(lan, d + 240, frame + bytes);
	if (d[242] == 1 && lan->discovers < 64)
		lan->discovered_us[lan->discovers] = lan->fake.now_us;
	if (d[242] == 1)
		lan->discovers++;
	if (d[242] == 3)
		lan->requests++;
	if (lan->server == SERVER_SILENT || (lan->server == SERVER_LATE && lan->discovers < 2))
		return;
	if (d[242] == 1) {
		answer(lan, d, 2);
	} else if (d[242] == 3) {
		bool nak = lan->server == SERVER_NAKS || (lan->server == SERVER_NAK_ONCE && lan->naks == 0);
		lan->naks += nak;
		answer(lan, d, nak ? 6 : 5);
	}
}

static uint32_t card(struct fake *f, unsigned queue, struct stage_virtio_segment *s, unsigned count)
{
	struct lan *lan = f->handler_ctx;

	assert_int_equal(count, 1);
	if (queue == 1) {
		serve(lan, (const uint8_t *)(uintptr_t)s->phys, s->bytes);
		return 0;
	}
	assert_true(lan->frame_bytes <= s->bytes);
	memcpy((void *)(uintptr_t)s->phys, lan->frame, lan->frame_bytes);
	return (uint32_t)lan->frame_bytes;
}

/* A millisecond passes; what is on its way arrives. */
static void idle(void *ctx)
{
	struct fake *f = ctx;
	struct lan *lan = f->handler_ctx;

	f->now_us += 1000;
	if (lan->frame_bytes && fake_complete(f, 0))
		lan->frame_bytes = 0;
}

static void make_lan(struct lan *lan, enum server server)
{
	memset(lan, 0, sizeof *lan);
	fake_init(&lan->fake, MODERN_NET, FAKE_GOOD, F_MAC, card);
	memcpy(lan->fake.bar + FAKE_CONFIG, "\x52\x54\x00\x12\x34\x56", 6);
	lan->fake.handler_ctx = lan;
	lan->fake.env.idle = idle;
	lan->fake.now_us = last_us;
	lan->server = server;
	lan->seed = 7;
	lan->offer = lan->ack = good_terms;
}

/* Configures `requests` on the fake machine; new reference. */
static json_t *configure(struct lan *lan, const struct chain_config_net *requests, size_t count, const json_t *parent,
			 enum chain_status want)
{
	struct stage_device_list list;
	json_t *out = json_object();

	assert_int_equal(stage_device_list_open(&lan->fake.env, STAGE_CLASS_NET, &list, NULL), CHAIN_OK);
	assert_int_equal(stage_net_configure(&lan->fake.env, requests, count, parent, &list, out, NULL), want);
	stage_net_stop();
	stage_device_list_close(&list);
	assert_int_equal(lan->fake.dma_live, 0);
	last_us = lan->fake.now_us;
	return out;
}

static const char *text(const json_t *o, const char *key)
{
	return json_string_value(json_object_get(o, key));
}

static const char *first(const json_t *o, const char *key)
{
	return json_string_value(json_array_get(json_object_get(o, key), 0));
}

static const struct chain_config_net dhcp = { .name = (char *)(uintptr_t) "lan", .dhcp = true, .timeout_us = 5000000 };

static void expect_lease(const json_t *out)
{
	const json_t *lan = json_object_get(out, "lan");

	assert_string_equal(text(lan, "status"), "configured");
	assert_string_equal(text(lan, "mac"), "52:54:00:12:34:56");
	assert_string_equal(text(lan, "pci"), "0000:00:03.0");
	assert_string_equal(first(lan, "addresses"), "10.0.2.15/24");
	assert_string_equal(first(lan, "gateways"), "10.0.2.2");
	assert_string_equal(first(lan, "dns"), "10.0.2.3");
	assert_int_equal(json_array_size(json_object_get(lan, "dns")), 2);
	assert_string_equal(text(lan, "hostname"), "guest");
	assert_int_equal(json_integer_value(json_object_get(json_object_get(lan, "lease"), "lifetime_s")), 3600);
	assert_string_equal(text(json_object_get(lan, "lease"), "server"), "10.0.2.2");
}

static void dhcp_gives_an_address(void **state)
{
	struct lan lan;
	uint64_t began = last_us;
	json_t *out;

	(void)state;
	make_lan(&lan, SERVER_GOOD);
	out = configure(&lan, &dhcp, 1, NULL, CHAIN_OK);
	expect_lease(out);
	assert_true(last_us - began < 20000);
	json_decref(out);
}

static void silence_ends_at_the_deadline(void **state)
{
	struct lan lan;
	uint64_t began = last_us;
	json_t *out;

	(void)state;
	make_lan(&lan, SERVER_SILENT);
	out = configure(&lan, &dhcp, 1, NULL, CHAIN_OK);
	assert_string_equal(text(json_object_get(out, "lan"), "status"), "present");
	assert_non_null(strstr(text(json_object_get(out, "lan"), "reason"), "no DHCP answer within 5000 ms"));
	assert_true(lan.discovers >= 2);
	assert_true(last_us - began >= 5000000 && last_us - began < 5010000);
	json_decref(out);
}

static void lost_and_refused_requests_are_repeated(void **state)
{
	static const struct chain_config_net patient = { .name = (char *)(uintptr_t) "lan",
							 .dhcp = true,
							 .timeout_us = 30000000 };
	struct lan lan;
	json_t *out;

	(void)state;
	make_lan(&lan, SERVER_LATE);
	out = configure(&lan, &dhcp, 1, NULL, CHAIN_OK);
	expect_lease(out);
	json_decref(out);
	make_lan(&lan, SERVER_NAK_ONCE);
	out = configure(&lan, &patient, 1, NULL, CHAIN_OK);
	expect_lease(out);
	assert_int_equal(lan.naks, 1);
	json_decref(out);
	make_lan(&lan, SERVER_OTHER_XID);
	out = configure(&lan, &dhcp, 1, NULL, CHAIN_OK);
	assert_string_equal(text(json_object_get(out, "lan"), "status"), "present");
	assert_string_equal(text(json_object_get(out, "lan"), "reason"), "no DHCP answer within 5000 ms");
	json_decref(out);
}

/* Each time longer than before, to a minute, and no longer. */
static void refusals_are_answered_ever_more_slowly(void **state)
{
	static const struct chain_config_net patient = { .name = (char *)(uintptr_t) "lan",
							 .dhcp = true,
							 .timeout_us = 300000000 };
	struct lan lan;
	json_t *out;

	(void)state;
	make_lan(&lan, SERVER_NAKS);
	out = configure(&lan, &patient, 1, NULL, CHAIN_OK);
	assert_string_equal(text(json_object_get(out, "lan"), "status"), "present");
	assert_string_equal(text(json_object_get(out, "lan"), "reason"),
			    "20 DHCP answers within 300000 ms, none usable: 10.0.2.2 refuses");
	assert_int_equal(lan.discovers, 10);
	assert_int_equal(lan.requests, 10);
	for (unsigned n = 1; n < lan.discovers; n++) {
		uint64_t us = lan.discovered_us[n] - lan.discovered_us[n - 1],
			 least = n < 7 ? 500000ull << n : 64000000;
		if (us < least - 500000 || us > least + 1010000)
			fail_msg("%llu us before attempt %u", (unsigned long long)us, n);
	}
	json_decref(out);
}

/* What no host can have is not taken, by an offer or when it is confirmed; the reason says what it was. A better answer
 * is taken later. */
static void odd_terms_are_refused(void **state)
{
	static const struct {
		struct terms terms;
		const char *why;
	} cases[] = {
		{ { 0, IP(255, 255, 255, 0), IP(10, 0, 2, 2), IP(10, 0, 2, 2), 60 }, "0.0.0.0 is no host's address" },
		{ { IP(0, 0, 2, 15), IP(255, 255, 255, 0), 0, IP(10, 0, 2, 2), 60 }, "0.0.2.15 is no host's address" },
		{ { IP(255, 255, 255, 255), IP(255, 255, 255, 0), 0, IP(10, 0, 2, 2), 60 },
		  "255.255.255.255 is no host's address" },
		{ { IP(127, 0, 0, 1), IP(255, 0, 0, 0), 0, IP(10, 0, 2, 2), 60 }, "127.0.0.1 is no host's address" },
		{ { IP(224, 0, 0, 1), IP(255, 255, 255, 0), 0, IP(10, 0, 2, 2), 60 },
		  "224.0.0.1 is no host's address" },
		{ { IP(239, 255, 255, 250), IP(255, 255, 255, 0), 0, IP(10, 0, 2, 2), 60 },
		  "239.255.255.250 is no host's address" },
		{ { IP(10, 0, 2, 255), IP(255, 255, 255, 0), 0, IP(10, 0, 2, 2), 60 },
		  "10.0.2.255 is its network's own or broadcast address" },
		{ { IP(10, 0, 2, 0), IP(255, 255, 255, 0), 0, IP(10, 0, 2, 2), 60 },
		  "10.0.2.0 is its network's own or broadcast address" },
		{ { IP(10, 0, 2, 15), IP(255, 255, 255, 240), 0, IP(10, 0, 2, 2), 60 },
		  "10.0.2.15 is its network's own or broadcast address" },
		{ { IP(10, 255, 255, 255), 0, 0, IP(10, 0, 2, 2), 60 },
		  "10.255.255.255 is its network's own or broadcast address" }, /* of its class */
		{ { IP(172, 16, 0, 0), 0, 0, IP(10, 0, 2, 2), 60 },
		  "172.16.0.0 is its network's own or broadcast address" },
		{ { IP(192, 168, 7, 255), 0, 0, IP(10, 0, 2, 2), 60 },
		  "192.168.7.255 is its network's own or broadcast address" },
		{ { IP(10, 0, 2, 15), IP(255, 0, 255, 0), 0, IP(10, 0, 2, 2), 60 }, "255.0.255.0 is no network mask" },
		{ { IP(10, 0, 2, 15), IP(0, 255, 255, 255), 0, IP(10, 0, 2, 2), 60 },
		  "0.255.255.255 is no network mask" },
		{ { IP(10, 0, 2, 15), IP(0, 0, 0, 1), 0, IP(10, 0, 2, 2), 60 }, "0.0.0.1 is no network mask" },
		{ { IP(10, 0, 2, 15), IP(255, 255, 255, 0), IP(10, 0, 3, 2), IP(10, 0, 2, 2), 60 },
		  "10.0.3.2 is no gateway of that network" },
		{ { IP(10, 0, 2, 15), IP(255, 255, 255, 0), IP(10, 0, 2, 15), IP(10, 0, 2, 2), 60 },
		  "10.0.2.15 is no gateway of that network" },
		{ { IP(10, 0, 2, 15), IP(255, 255, 255, 0), IP(10, 0, 2, 255), IP(10, 0, 2, 2), 60 },
		  "10.0.2.255 is no gateway of that network" },
		{ { IP(10, 0, 2, 15), IP(255, 255, 255, 255), IP(224, 0, 0, 1), IP(10, 0, 2, 2), 60 },
		  "224.0.0.1 is no gateway of that network" },
		{ { IP(10, 0, 2, 15), IP(255, 255, 255, 0), 0, 0, 60 }, "0.0.0.0 is no server's address" },
		{ { IP(10, 0, 2, 15), IP(255, 255, 255, 0), 0, IP(255, 255, 255, 255), 60 },
		  "255.255.255.255 is no server's address" },
		{ { IP(10, 0, 2, 15), IP(255, 255, 255, 0), 0, IP(127, 0, 0, 1), 60 },
		  "127.0.0.1 is no server's address" },
		{ { IP(10, 0, 2, 15), IP(255, 255, 255, 0), 0, IP(10, 0, 2, 2), 0 },
		  "10.0.2.15 is leased for no time" },
	};
	(void)state;
	for (size_t i = 0; i < 3 * sizeof(cases) / sizeof(cases[0]); i++) {
		const struct terms *terms = &cases[i / 3].terms;
		static const struct chain_config_net patient = { .name = (char *)(uintptr_t) "lan",
								 .dhcp = true,
								 .timeout_us = 9000000 };
		char wanted[128];
		struct lan lan;
		make_lan(&lan, SERVER_GOOD);
		*(i % 3 == 1 ? &lan.ack : &lan.offer) = *terms;
		lan.right_from = i % 3 == 2 ? 2 : 0;
		json_t *out = configure(&lan, i % 3 == 2 ? &patient : &dhcp, 1, NULL, CHAIN_OK);
		const json_t *entry = json_object_get(out, "lan");
		if (i % 3 == 2) {
			expect_lease(out);
		} else {
			/* Offers are asked for at 0, 2 and (4 more) 6 s; confirmations at 0, 1 to 1.5, 3 to 4. */
			unsigned answers = i % 3 ? 2 * lan.requests : lan.discovers;
			snprintf(wanted, sizeof wanted, "%u DHCP answers within 5000 ms, none usable: %s", answers,
				 cases[i / 3].why);
			assert_string_equal(text(entry, "status"), "present");
			assert_string_equal(text(entry, "reason"), wanted);
			assert_true(answers >= 2 && lan.discovers <= 4 && lan.requests == (i % 3 ? lan.discovers : 0));
		}
		json_decref(out);
	}
}

static void unusual_terms_are_taken(void **state)
{
	static const struct {
		struct terms terms;
		const char *address, *gateway;
	} cases[] = {
		{ { IP(10, 0, 2, 15), IP(255, 255, 255, 255), IP(10, 9, 9, 1), IP(10, 9, 9, 1), 60 },
		  "10.0.2.15/32",
		  "10.9.9.1" }, /* as clouds give */
		{ { IP(10, 0, 2, 14), IP(255, 255, 255, 254), IP(10, 0, 2, 15), IP(10, 9, 9, 1), 60 },
		  "10.0.2.14/31",
		  "10.0.2.15" },
		{ { IP(10, 0, 2, 255), IP(255, 255, 252, 0), 0, IP(1, 1, 1, 1), 60 }, "10.0.2.255/22", NULL },
		{ { IP(10, 1, 2, 0), 0, 0, IP(1, 1, 1, 1), 60 }, "10.1.2.0/8", NULL },
		{ { IP(240, 0, 0, 1), IP(255, 255, 255, 0), 0, IP(1, 1, 1, 1), 60 }, "240.0.0.1/24", NULL },
		{ { IP(10, 0, 2, 15), IP(128, 0, 0, 0), 0, IP(1, 1, 1, 1), UINT32_MAX }, "10.0.2.15/1", NULL },
	};
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct lan lan;
		make_lan(&lan, SERVER_GOOD);
		lan.offer = lan.ack = cases[i].terms;
		json_t *out = configure(&lan, &dhcp, 1, NULL, CHAIN_OK);
		const json_t *entry = json_object_get(out, "lan");
		assert_string_equal(text(entry, "status"), "configured");
		assert_string_equal(first(entry, "addresses"), cases[i].address);
		assert_true(cases[i].gateway ? !strcmp(first(entry, "gateways"), cases[i].gateway) :
					       !first(entry, "gateways"));
		assert_int_equal(json_integer_value(json_object_get(json_object_get(entry, "lease"), "lifetime_s")),
				 cases[i].terms.lease_s);
		json_decref(out);
	}
}

static void malformed_options_are_reported(void **state)
{
#define BEGIN "\x35\x01\x02\x36\x04\x0a\x00\x02\x02\x33\x04\x00\x00\x0e\x10"
	static const struct {
		const char *options;
		size_t bytes;
		const char *file, *why;
	} cases[] = {
#define CASE(o, file, why) { o, sizeof(o) - 1, file, why }
		CASE(BEGIN "\x01\x03\xff\xff\xff\xff", "", "the last one is malformed"),
		CASE(BEGIN "\x01\x05\xff\xff\xff\x00\x00\xff", "", "the last one is malformed"),
		CASE(BEGIN "\x03\x03\x0a\x00\x02\xff", "", "the last one is malformed"),
		CASE(BEGIN "\x06\x05\x0a\x00\x02\x03\x03\xff", "", "the last one is malformed"),
		CASE(BEGIN "\x3a\x02\x00\x00\xff", "", "the last one is malformed"),
		CASE(BEGIN "\x0c\xf0"
			   "abc\xff",
		     "", "the last one is malformed"),
		CASE(BEGIN "\x34\x01\x01\xff", "\x01\x02\xff\xff\xff", "the last one is malformed"),
		CASE(BEGIN "\x34\x01\x01\xff", "\x01\x04\xff\x00\xff\x00\xff", "255.0.255.0 is no network mask"),
		CASE(BEGIN "\x34\x01\x02\xff", "\x01\x04\xff\x00\xff\x00\xff",
		     " 10.0.2.15 was offered, and not confirmed"), /* not in that field */
		CASE(BEGIN "\x01\x04\xff\xff\xff\x00\x01\x04\xff\x00\xff\x00\xff", "",
		     " 10.0.2.15 was offered, and not confirmed"), /* the first counts */
		CASE(BEGIN "\x01\x04\xff\x00\xff\x00\x01\x04\xff\xff\xff\x00\xff", "",
		     "255.0.255.0 is no network mask"),
		CASE(BEGIN "\x01\x04\x00\x00\x00\x00\xff", "", "0.0.0.0 is no network mask"),
		CASE(BEGIN "\x03\x04\x00\x00\x00\x00\xff", "", " 10.0.2.15 was offered, and not confirmed"), /* none */
		CASE(BEGIN "\x00\x00\x03\x08\x0a\x00\x02\x02\x0a\x00\x02\x03\xff", "",
		     " 10.0.2.15 was offered, and not confirmed"),
	};
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct lan lan;
		make_lan(&lan, SERVER_GOOD); /* an acknowledgement is an offer again */
		lan.raw = (const uint8_t *)cases[i].options;
		lan.raw_bytes = cases[i].bytes;
		memcpy(lan.file, cases[i].file, strlen(cases[i].file));
		if (i == 7 || i == 8)
			memcpy(lan.file, "\x01\x04\xff\x00\xff\x00\xff", 7);
		json_t *out = configure(&lan, &dhcp, 1, NULL, CHAIN_OK);
		const char *reason = text(json_object_get(out, "lan"), "reason");
		if (!reason || !strstr(reason, " DHCP answers within 5000 ms, none usable: ") ||
		    !strstr(reason, cases[i].why))
			fail_msg("case %zu: %s", i, reason);
		json_decref(out);
	}
}

/* Whatever the terms: an interface that is configured has an address that a host can have, and one that is not has a
 * reason. */
static void any_terms_are_judged(void **state)
{
	static const struct chain_config_net brief = { .name = (char *)(uintptr_t) "lan",
						       .dhcp = true,
						       .timeout_us = 20000 };
	static const uint32_t words[] = { 0,
					  IP(255, 255, 255, 255),
					  IP(255, 255, 255, 0),
					  IP(255, 255, 0, 0),
					  IP(10, 0, 2, 15),
					  IP(10, 0, 2, 2),
					  IP(10, 0, 2, 255),
					  IP(127, 0, 0, 1),
					  IP(224, 1, 1, 1),
					  IP(255, 255, 255, 252),
					  IP(255, 0, 255, 0),
					  IP(192, 168, 1, 1) };
	unsigned configured = 0, refused = 0;
	(void)state;
	for (unsigned round = 0; round < 4000; round++) {
		struct lan lan;
		struct terms terms;
		uint32_t *fields[] = { &terms.address, &terms.mask, &terms.gateway, &terms.server, &terms.lease_s };
		const uint32_t good[] = { IP(10, 0, 2, 15), IP(255, 255, 255, 0), IP(10, 0, 2, 2), IP(10, 0, 2, 2),
					  3600 };
		for (unsigned n = 0; n < 5; n++)
			*fields[n] = rnd(3) ? good[n] :
				     rnd(8) ? words[rnd(sizeof(words) / sizeof(words[0]))] :
					      (uint32_t)random_next();
		make_lan(&lan, SERVER_GOOD);
		lan.offer = lan.ack = terms;
		json_t *out = configure(&lan, &brief, 1, NULL, CHAIN_OK);
		const json_t *entry = json_object_get(out, "lan");
		uint32_t address, mask, gateway = 0, which;
		bool good_terms_taken = terms.lease_s && chain_ipv4_is_host(terms.server) &&
					!chain_ipv4_problem(terms.address,
							    terms.mask               ? terms.mask :
							    terms.address >> 31 == 0 ? 0xff000000 :
							    terms.address >> 30 == 2 ? 0xffff0000 :
										       0xffffff00,
							    terms.gateway, &which);
		if (!strcmp(text(entry, "status"), "configured")) {
			configured++;
			assert_true(chain_ipv4_parse(first(entry, "addresses"), true, &address, &mask));
			assert_true(!first(entry, "gateways") ||
				    chain_ipv4_parse(first(entry, "gateways"), false, &gateway, NULL));
			assert_null(chain_ipv4_problem(address, mask, gateway, &which));
			assert_true(good_terms_taken);
		} else {
			refused++;
			assert_non_null(strstr(text(entry, "reason"), " DHCP answer within 20 ms, none usable: "));
			assert_true(!good_terms_taken && lan.requests == 0);
		}
		json_decref(out);
	}
	assert_true(configured > 400 && refused > 400);
}

/* A priority without a VLAN is taken off; frames of VLANs are others'. */
static void tags_without_a_vlan_are_taken_off(void **state)
{
	static const struct {
		uint8_t tag[4];
		bool taken;
	} cases[] = {
		{ { 0x81, 0, 0x00, 0 }, true },  { { 0x81, 0, 0xe0, 0 }, true },  { { 0x81, 0, 0x10, 0 }, true },
		{ { 0x81, 0, 0xf0, 0 }, true },  { { 0x81, 0, 0x00, 1 }, false }, { { 0x81, 0, 0x0f, 0xff }, false },
		{ { 0x81, 0, 0xe1, 0 }, false }, { { 0x88, 0xa8, 0, 0 }, false },
	};
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct lan lan;
		make_lan(&lan, SERVER_GOOD);
		lan.tag = cases[i].tag;
		json_t *out = configure(&lan, &dhcp, 1, NULL, CHAIN_OK);
		if (cases[i].taken)
			expect_lease(out);
		else
			assert_string_equal(text(json_object_get(out, "lan"), "reason"),
					    "no DHCP answer within 5000 ms");
		json_decref(out);
	}
}

/* A server gives the host's name to those that ask for it. */
static void the_name_is_asked_for(void **state)
{
	static const char longest[] = "a123456789b123456789c123456789d123456789e123456789f123456789-63";
	struct chain_config_net named = dhcp;
	struct lan lan;

	(void)state;
	make_lan(&lan, SERVER_SILENT);
	json_decref(configure(&lan, &dhcp, 1, NULL, CHAIN_OK));
	assert_string_equal(lan.asked, "1 3 28 6 12 "); /* to discover */
	make_lan(&lan, SERVER_GOOD);
	json_decref(configure(&lan, &dhcp, 1, NULL, CHAIN_OK));
	assert_string_equal(lan.asked, "1 3 28 6 12 "); /* to request */
	named.hostname = (char *)(uintptr_t)longest;
	make_lan(&lan, SERVER_GOOD);
	json_decref(configure(&lan, &named, 1, NULL, CHAIN_OK));
	assert_string_equal(lan.asked, "1 3 28 6 12 a123456789b123456789c123456789d123456789e123456789f123456789-63");
}

static void broken_answers_are_survived(void **state)
{
	static const struct chain_config_net brief = { .name = (char *)(uintptr_t) "lan",
						       .dhcp = true,
						       .timeout_us = 20000 };
	struct lan lan;

	(void)state;
	for (size_t cut = 1; cut < FRAME; cut++) {
		make_lan(&lan, SERVER_TRUNCATED);
		lan.cut = cut;
		json_decref(configure(&lan, &brief, 1, NULL, CHAIN_OK));
	}
	for (uint32_t round = 0; round < 3000; round++) {
		make_lan(&lan, SERVER_GARBAGE);
		lan.seed = round;
		json_decref(configure(&lan, &brief, 1, NULL, CHAIN_OK));
	}
}

static void lying_card_is_silenced(void **state)
{
	static const enum fake_fault faults[] = { FAKE_USED_INDEX, FAKE_USED_ID, FAKE_USED_ID_IDLE, FAKE_USED_LENGTH };
	struct lan lan;

	(void)state;
	for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
		json_t *out;
		make_lan(&lan, SERVER_GOOD);
		lan.fake.fault = faults[i];
		out = configure(&lan, &dhcp, 1, NULL, CHAIN_OK);
		assert_string_equal(text(json_object_get(out, "lan"), "status"), "present");
		assert_non_null(strstr(text(json_object_get(out, "lan"), "reason"), "virtio-net 0000:00:03.0"));
		json_decref(out);
	}
}

static void static_addresses_are_set(void **state)
{
	char *dns[] = { (char *)(uintptr_t) "192.168.7.1" };
	struct chain_config_net requests[] = {
		{ .name = (char *)(uintptr_t) "a",
		  .address = (char *)(uintptr_t) "192.168.7.9/26",
		  .gateway = (char *)(uintptr_t) "192.168.7.1",
		  .dns = dns,
		  .dns_count = 1,
		  .hostname = (char *)(uintptr_t) "me" },
		{ .name = (char *)(uintptr_t) "b",
		  .mac = (char *)(uintptr_t) "52:54:00:00:00:99",
		  .dhcp = true,
		  .timeout_us = 1000 },
	};
	struct lan lan;
	json_t *out, *a, *b;

	(void)state;
	make_lan(&lan, SERVER_SILENT);
	out = configure(&lan, requests, 2, NULL, CHAIN_OK);
	a = json_object_get(out, "a");
	b = json_object_get(out, "b");
	assert_string_equal(text(a, "status"), "configured");
	assert_string_equal(first(a, "addresses"), "192.168.7.9/26");
	assert_string_equal(first(a, "gateways"), "192.168.7.1");
	assert_string_equal(first(a, "dns"), "192.168.7.1");
	assert_string_equal(text(a, "hostname"), "me");
	assert_null(json_object_get(a, "lease"));
	assert_string_equal(text(b, "status"), "absent");
	assert_string_equal(text(b, "reason"), "no network interface with MAC address 52:54:00:00:00:99");
	json_decref(out);
	assert_int_equal(lan.discovers, 0);
	requests[0].address = (char *)(uintptr_t) "192.168.7/99";
	make_lan(&lan, SERVER_SILENT);
	json_decref(configure(&lan, requests, 1, NULL, CHAIN_E_NET_BAD_ADDRESS));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(dhcp_gives_an_address),
		cmocka_unit_test(silence_ends_at_the_deadline),
		cmocka_unit_test(lost_and_refused_requests_are_repeated),
		cmocka_unit_test(refusals_are_answered_ever_more_slowly),
		cmocka_unit_test(odd_terms_are_refused),
		cmocka_unit_test(unusual_terms_are_taken),
		cmocka_unit_test(malformed_options_are_reported),
		cmocka_unit_test(any_terms_are_judged),
		cmocka_unit_test(tags_without_a_vlan_are_taken_off),
		cmocka_unit_test(the_name_is_asked_for),
		cmocka_unit_test(broken_answers_are_survived),
		cmocka_unit_test(lying_card_is_silenced),
		cmocka_unit_test(static_addresses_are_set),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
