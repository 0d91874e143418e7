/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* libFuzzer target: any frames into an interface that asks for an address by DHCP. The input is a row of frames, each
 * with a head of three bytes: how it is wrapped, and its length. Wrapped ones get the headers, checksums and
 * transaction number that let them through. */
#include "../../chain/tests/fuzz.h"
#include "chain/ipv4.h"
#include "stage/net.h"

#include <stdbool.h>

enum { RAW, AS_ETHERNET, AS_IP, AS_UDP, AS_DHCP, AS_ANSWER, KINDS };
enum { HEAD = 3, IP_AT = 14, UDP_AT = 34, DHCP_AT = 42, OPTIONS_AT = DHCP_AT + 240 };

struct card {
	struct stage_netdev dev; /* first: the interface's pointer is ours */
	const uint8_t *data;
	size_t count, at;
	uint64_t now_us;
	uint32_t random;
	uint8_t asked[STAGE_FRAME_BYTES]; /* the last DHCP message that was sent */
	size_t asked_bytes, sent;
	bool link;
};

static struct card card;
static const struct stage_device_env *env(void);

static void put16(uint8_t *at, size_t v)
{
	at[0] = (uint8_t)(v >> 8);
	at[1] = (uint8_t)v;
}

static uint16_t checksum(const uint8_t *p, size_t bytes)
{
	uint32_t sum = 0;
	for (size_t i = 0; i < bytes; i++)
		sum += i & 1 ? p[i] : (uint32_t)p[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

/* Puts the head of an answer in front of `bytes` of options; returns where they go. */
static size_t wrap_dhcp(uint8_t *f, unsigned kind)
{
	if (kind < AS_DHCP)
		return UDP_AT + (kind == AS_UDP ? 8 : 0);
	if (card.asked_bytes > DHCP_AT + 44)
		memcpy(f + DHCP_AT, card.asked + DHCP_AT, 44);
	f[DHCP_AT] = 2;
	if (kind == AS_DHCP)
		return DHCP_AT + 8; /* the transaction number is right, the rest the input's */
	memcpy(f + DHCP_AT + 16, "\x0a\x00\x02\x0f", 4);
	memcpy(f + DHCP_AT + 236, "\x63\x82\x53\x63", 4);
	return OPTIONS_AT;
}

/* Length of the frame made of `bytes` of input. */
static size_t wrap(uint8_t f[STAGE_FRAME_BYTES], unsigned kind, const uint8_t *from, size_t bytes)
{
	static const uint8_t ip[] = { 0x45, 0, 0, 0, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 2, 2, 255, 255, 255, 255 };
	size_t at = 0, end;
	memset(f, 0, STAGE_FRAME_BYTES);
	if (kind >= AS_ETHERNET) {
		memset(f, 0xff, 6);
		memcpy(f + 6, "\x52\x55\x0a\x00\x02\x02\x08\x00", 8);
		at = IP_AT;
	}
	if (kind >= AS_IP) {
		memcpy(f + IP_AT, ip, sizeof(ip));
		at = wrap_dhcp(f, kind);
	}
	if (bytes > STAGE_FRAME_BYTES - at)
		bytes = STAGE_FRAME_BYTES - at;
	memcpy(f + at, from, bytes);
	end = at + bytes;
	if (kind == AS_IP && bytes) /* protocols other than UDP, and addresses of our own */
		f[IP_AT + 9] = from[0];
	if (kind >= AS_UDP) {
		put16(f + UDP_AT, 67);
		put16(f + UDP_AT + 2, 68);
		put16(f + UDP_AT + 4, end - UDP_AT);
	}
	if (kind >= AS_IP) {
		put16(f + IP_AT + 2, end - IP_AT);
		put16(f + IP_AT + 10, checksum(f + IP_AT, sizeof(ip)));
	}
	return end;
}

/* A priority and no VLAN, for some; its length. */
static size_t tag(uint8_t f[STAGE_FRAME_BYTES], unsigned how, size_t bytes)
{
	if (how < 0xe0 || how >= 0xf0 || bytes < 12 || bytes > STAGE_FRAME_BYTES - 4)
		return bytes;
	memmove(f + 16, f + 12, bytes - 12);
	memcpy(f + 12, "\x81\x00\xe0\x00", 4);
	return bytes + 4;
}

static enum chain_status send_frame(struct stage_netdev *dev, const void *frame, size_t bytes, struct chain_error *err)
{
	(void)dev;
	(void)err;
	FUZZ_HOLDS(bytes >= 14 && bytes <= STAGE_FRAME_BYTES && ++card.sent < 64);
	const uint8_t *f = frame;
	if (bytes > OPTIONS_AT && f[IP_AT + 9] == 17 && f[UDP_AT + 3] == 67) {
		memcpy(card.asked, frame, bytes);
		card.asked_bytes = bytes;
	}
	return CHAIN_OK;
}

static void poll_frames(struct stage_netdev *dev, stage_netdev_receive *receive, void *ctx)
{
	(void)dev;
	if (card.count - card.at < HEAD)
		return;
	unsigned how = card.data[card.at], kind = how % KINDS;
	size_t bytes = ((size_t)card.data[card.at + 1] << 8 | card.data[card.at + 2]) % (STAGE_FRAME_BYTES + 1);
	card.link = how < 0xf0;
	card.at += HEAD;
	if (bytes > card.count - card.at)
		bytes = card.count - card.at;
	uint8_t frame[STAGE_FRAME_BYTES];
	size_t whole = tag(frame, how, wrap(frame, kind, card.data + card.at, bytes));
	card.at += bytes;
	uint8_t *exact = malloc(whole + 1); /* of its own length, for the sanitizer */
	FUZZ_HOLDS(exact);
	memcpy(exact, frame, whole);
	if (whole)
		receive(ctx, exact, whole);
	free(exact);
}

static bool link_up(struct stage_netdev *dev)
{
	(void)dev;
	return card.link;
}

static uint64_t now_us(void *ctx)
{
	(void)ctx;
	return card.now_us;
}
static void idle(void *ctx)
{
	(void)ctx;
	card.now_us += card.at < card.count ? 1000 : 50000;
}
static uint32_t chance(void *ctx)
{
	(void)ctx;
	return card.random = card.random * 1664525 + 1013904223;
}

static const struct stage_device_env *env(void)
{
	static const struct stage_device_env fixed = { .now_us = now_us, .idle = idle, .random = chance };
	return &fixed;
}

static void check_entry(const json_t *lan)
{
	const char *status = json_string_value(json_object_get(lan, "status"));
	const json_t *lease = json_object_get(lan, "lease"),
		     *address = json_array_get(json_object_get(lan, "addresses"), 0);
	FUZZ_HOLDS(status && (!strcmp(status, "configured") || !strcmp(status, "present")));
	char *text = json_dumps(lan, JSON_COMPACT);
	FUZZ_HOLDS(text && strlen(text) < 2048);
	free(text);
	if (strcmp(status, "configured")) {
		FUZZ_HOLDS(json_string_length(json_object_get(lan, "reason")));
		return;
	}
	const char *gateway = json_string_value(json_array_get(json_object_get(lan, "gateways"), 0));
	uint32_t own, mask, out = 0, which;
	FUZZ_HOLDS(json_string_value(address) && chain_ipv4_parse(json_string_value(address), true, &own, &mask));
	FUZZ_HOLDS(!gateway || chain_ipv4_parse(gateway, false, &out, NULL));
	FUZZ_HOLDS(!chain_ipv4_problem(own, mask, out, &which)); /* lwIP took what was judged */
	FUZZ_HOLDS(lease && json_integer_value(json_object_get(lease, "lifetime_s")) > 0);
	FUZZ_HOLDS(json_array_size(json_object_get(lan, "dns")) <= 4);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct stage_netdev_ops ops = { .send = send_frame, .poll = poll_frames, .link_up = link_up };
	static const struct chain_config_net request = { .name = (char *)(uintptr_t) "lan",
							 .dhcp = true,
							 .timeout_us = 4000000 };
	struct stage_device_list list = { .net = &card.dev };
	struct chain_error err = { 0 };
	json_t *out = json_object();
	uint64_t now = card.now_us; /* lwIP's clock is one for all runs: it never goes back */

	card = (struct card){ .dev = { .ops = &ops,
				       .driver = "fuzzed",
				       .bus = &stage_bus_pci,
				       .mtu = 1500,
				       .mac = { 0x52, 0x54, 0, 0x12, 0x34, 0x56 } },
			      .data = data,
			      .count = size,
			      .random = 1,
			      .link = true,
			      .now_us = now };
	if (!fuzz_status(stage_net_configure(env(), &request, 1, NULL, &list, out, &err), &err))
		check_entry(json_object_get(out, "lan"));
	while (card.count - card.at >= HEAD) /* a lease, and what comes after it */
		stage_net_poll();
	card.now_us += 3600ull * 1000000; /* renewals that nobody answers */
	stage_net_poll();
	stage_net_stop();
	json_decref(out);
	return 0;
}
