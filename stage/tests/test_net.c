/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* lwIP on the virtio-net driver on a fake device, with a DHCP server (RFC 2131) that answers, refuses, lies or is silent. */
#include "fake_virtio.h"

#include "stage/net.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

enum { MODERN_NET = 0x1041, HEADER = 12, DHCP_AT = HEADER + 14 + 20 + 8, FRAME = HEADER + 14 + 20 + 8 + 300 };
#define F_MAC (UINT64_C(1) << 5)

enum server { SERVER_GOOD, SERVER_SILENT, SERVER_NAK_ONCE, SERVER_NAKS, SERVER_OTHER_XID, SERVER_TRUNCATED, SERVER_GARBAGE, SERVER_LATE };

struct lan {
	struct fake fake;
	enum server server;
	unsigned discovers, requests, naks;
	uint8_t frame[2048]; /* on its way to the card */
	size_t frame_bytes;
	size_t cut;
	uint32_t seed;
};

static uint64_t last_us; /* lwIP's clock is one for all tests: it never goes back */

static uint16_t checksum(const uint8_t *p, size_t bytes)
{
	uint32_t sum = 0;

	for (size_t i = 0; i + 1 < bytes; i += 2)
		sum += (uint32_t)p[i] << 8 | p[i + 1];
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~(sum + (sum >> 16));
}

static uint8_t *option(uint8_t *at, uint8_t code, uint8_t bytes, const void *value)
{
	*at++ = code;
	*at++ = bytes;
	memcpy(at, value, bytes);
	return at + bytes;
}

/* Builds the answer of `type` (2 offer, 5 ack, 6 nak) to the request at `ask`. */
static void answer(struct lan *lan, const uint8_t *ask, uint8_t type)
{
	static const uint8_t ip[] = { 0x45, 0, 1, 72, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 2, 2, 255, 255, 255, 255 };
	static const uint8_t udp[] = { 0, 67, 0, 68, 1, 52, 0, 0 };
	static const uint8_t us[] = { 10, 0, 2, 2 }, mask[] = { 255, 255, 255, 0 }, dns[] = { 10, 0, 2, 3, 10, 0, 2, 4 },
			     lease[] = { 0, 0, 14, 16 };
	uint8_t *f = lan->frame, *d = f + DHCP_AT, *o = d + 240;
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
	memcpy(d + 16, "\x0a\x00\x02\x0f", 4);
	memcpy(d + 236, "\x63\x82\x53\x63", 4);
	o = option(o, 53, 1, &type);
	o = option(o, 54, 4, us);
	o = option(o, 51, 4, lease);
	o = option(o, 1, 4, mask);
	o = option(o, 3, 4, us);
	o = option(o, 6, 8, dns);
	o = option(o, 12, 5, "guest");
	*o = 0xff;
	lan->frame_bytes = lan->server == SERVER_TRUNCATED ? lan->cut : FRAME;
	for (int n = 0; lan->server == SERVER_GARBAGE && n < 8; n++) {
		lan->seed = lan->seed * 1664525 + 1013904223;
		f[HEADER + (lan->seed >> 8) % (FRAME - HEADER)] = (uint8_t)(lan->seed >> 24);
	}
}

static void serve(struct lan *lan, const uint8_t *frame, size_t bytes)
{
	const uint8_t *d = frame + DHCP_AT;

	if (bytes < DHCP_AT + 244 || frame[HEADER + 12] != 8 || frame[HEADER + 14 + 9] != 17 || frame[HEADER + 37] != 67)
		return;
	assert_int_equal(d[240], 53); /* lwIP puts the message type first */
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

static const struct chain_config_net dhcp = { .name = (char *)(uintptr_t)"lan", .dhcp = true, .timeout_us = 5000000 };

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
	static const struct chain_config_net patient = { .name = (char *)(uintptr_t)"lan", .dhcp = true, .timeout_us = 30000000 };
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
	make_lan(&lan, SERVER_NAKS);
	out = configure(&lan, &dhcp, 1, NULL, CHAIN_OK);
	assert_string_equal(text(json_object_get(out, "lan"), "status"), "present");
	json_decref(out);
	make_lan(&lan, SERVER_OTHER_XID);
	out = configure(&lan, &dhcp, 1, NULL, CHAIN_OK);
	assert_string_equal(text(json_object_get(out, "lan"), "status"), "present");
	json_decref(out);
}

static void broken_answers_are_survived(void **state)
{
	static const struct chain_config_net brief = { .name = (char *)(uintptr_t)"lan", .dhcp = true, .timeout_us = 20000 };
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
	char *dns[] = { (char *)(uintptr_t)"192.168.7.1" };
	struct chain_config_net requests[] = {
		{ .name = (char *)(uintptr_t)"a", .address = (char *)(uintptr_t)"192.168.7.9/26", .gateway = (char *)(uintptr_t)"192.168.7.1",
		  .dns = dns, .dns_count = 1, .hostname = (char *)(uintptr_t)"me" },
		{ .name = (char *)(uintptr_t)"b", .mac = (char *)(uintptr_t)"52:54:00:00:00:99", .dhcp = true, .timeout_us = 1000 },
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
	requests[0].address = (char *)(uintptr_t)"192.168.7/99";
	make_lan(&lan, SERVER_SILENT);
	json_decref(configure(&lan, requests, 1, NULL, CHAIN_E_NET_BAD_ADDRESS));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(dhcp_gives_an_address),
		cmocka_unit_test(silence_ends_at_the_deadline),
		cmocka_unit_test(lost_and_refused_requests_are_repeated),
		cmocka_unit_test(broken_answers_are_survived),
		cmocka_unit_test(lying_card_is_silenced),
		cmocka_unit_test(static_addresses_are_set),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
