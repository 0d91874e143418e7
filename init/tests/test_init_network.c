/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* What a handoff says of the network, and keeping a lease. */

#include "init/dhcp.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define LAN                                                                                                            \
	"\"lan\":{\"status\":\"configured\",\"mac\":\"52:54:00:12:34:56\",\"addresses\":[\"10.0.2.15/24\",\"10.1.0.1/" \
	"31\"],"                                                                                                       \
	"\"gateways\":[\"10.0.2.2\"],\"dns\":[\"10.0.2.3\",\"10.0.2.4\"],\"hostname\":\"box\","                        \
	"\"lease\":{\"lifetime_s\":86400,\"obtained_us\":910,\"server\":\"10.0.2.2\"}}"

static enum chain_status read_net(const char *net, struct init_interfaces *out, struct chain_error *err)
{
	char text[8192];
	snprintf(text, sizeof(text), "{\"net\":{%s}}", net);
	json_t *handoff = json_loads(text, 0, NULL);
	assert_non_null(handoff);
	*err = (struct chain_error){ 0 };
	enum chain_status status = init_interfaces_read(handoff, out, err);
	json_decref(handoff);
	return status;
}

static void configured_interfaces_are_taken(void **state)
{
	struct init_interfaces net;
	struct chain_error err;
	(void)state;
	assert_int_equal(read_net("\"gone\":{\"status\":\"absent\",\"reason\":\"no card\"}," LAN
				  ",\"dmz\":{\"status\":\"configured\",\"mac\":\"52:54:00:ab:CD:ef\",\"addresses\":[]}",
				  &net, &err),
			 CHAIN_OK);
	assert_int_equal(net.count, 2);
	assert_string_equal(net.hostname, "box");
	const struct init_interface *lan = &net.of[0];
	assert_string_equal(lan->name, "lan");
	assert_memory_equal(lan->mac, "\x52\x54\x00\x12\x34\x56", 6);
	assert_int_equal(lan->address_count, 2);
	assert_int_equal(lan->address[0], 0x0a00020f);
	assert_int_equal(lan->mask[0], 0xffffff00);
	assert_int_equal(lan->mask[1], 0xfffffffe);
	assert_int_equal(lan->gateway[0], 0x0a000202);
	assert_int_equal(lan->lease.address, 0x0a00020f);
	assert_int_equal(lan->lease.server, 0x0a000202);
	assert_int_equal(lan->lease.lifetime_s, 86400);
	assert_memory_equal(net.of[1].mac, "\x52\x54\x00\xab\xcd\xef", 6);
	char *resolv = init_resolv_conf(&net);
	assert_string_equal(resolv, "nameserver 10.0.2.3\nnameserver 10.0.2.4\n");
	free(resolv);
}

static void what_is_no_address_is_refused(void **state)
{
	static const struct {
		const char *member, *place;
	} cases[] = {
		{ "\"mac\":\"52:54:00:12:34\"", "net.x.mac" },
		{ "\"mac\":\"52:54:00:12:34:5g\"", "net.x.mac" },
		{ "\"mac\":\"52:54:00:12:34:56:78\"", "net.x.mac" },
		{ "\"mac\":\"52-54-00-12-34-56\"", "net.x.mac" },
		{ "\"mac\":7", "net.x.mac" },
		{ "\"none\":7", "net.x.mac" },
		{ "\"mac\":\"52:54:00:12:34:56\",\"addresses\":[\"10.0.2.15\"]", "net.x.addresses" },
		{ "\"mac\":\"52:54:00:12:34:56\",\"addresses\":[\"10.0.2.15/33\"]", "net.x.addresses" },
		{ "\"mac\":\"52:54:00:12:34:56\",\"addresses\":\"10.0.2.15/24\"", "net.x.addresses" },
		{ "\"mac\":\"52:54:00:12:34:56\",\"addresses\":[1]", "net.x.addresses" },
		{ "\"mac\":\"52:54:00:12:34:56\",\"gateways\":[\"10.0.2\"]", "net.x.gateways" },
		{ "\"mac\":\"52:54:00:12:34:56\",\"dns\":[\"fe80::1\"]", "net.x.dns" },
		{ "\"mac\":\"52:54:00:12:34:56\",\"lease\":{\"lifetime_s\":9}", "net.x.lease" },
		{ "\"mac\":\"52:54:00:12:34:56\",\"addresses\":[\"10.0.2.15/24\"],\"lease\":{}", "net.x.lease" },
		{ "\"mac\":\"52:54:00:12:34:56\",\"addresses\":[\"10.0.2.15/24\"],\"lease\":{\"lifetime_s\":9,"
		  "\"obtained_us\":-1}",
		  "net.x.lease" },
		{ "\"mac\":\"52:54:00:12:34:56\",\"addresses\":[\"10.0.2.15/24\"],\"lease\":{\"lifetime_s\":9,"
		  "\"server\":\"x\"}",
		  "net.x.lease.server" },
	};
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct init_interfaces net;
		struct chain_error err;
		char entry[512];
		snprintf(entry, sizeof(entry), "\"x\":{\"status\":\"configured\",%s}", cases[i].member);
		assert_int_equal(read_net(entry, &net, &err), CHAIN_E_IO);
		assert_string_equal(err.subject, cases[i].place);
	}
}

static void no_more_are_taken_than_there_is_room_for(void **state)
{
	struct init_interfaces net;
	struct chain_error err;
	char entries[4096] = "";
	(void)state;
	for (int i = 0; i <= INIT_INTERFACES_MAX; i++) {
		assert_int_equal(read_net(entries, &net, &err), CHAIN_OK);
		sprintf(entries + strlen(entries),
			"%s\"n%d\":{\"status\":\"configured\",\"mac\":\"52:54:00:12:34:56\"}", i ? "," : "", i);
	}
	assert_int_equal(read_net(entries, &net, &err), CHAIN_E_LIMIT);
	strcpy(entries, "\"x\":{\"status\":\"configured\",\"mac\":\"52:54:00:12:34:56\",\"addresses\":[");
	for (int i = 0; i <= INIT_ADDRESSES_MAX; i++)
		sprintf(entries + strlen(entries), "%s\"10.0.0.%d/8\"", i ? "," : "", i + 1);
	strcat(entries, "]}");
	assert_int_equal(read_net(entries, &net, &err), CHAIN_E_LIMIT);
}

static void hosts_are_kept_and_added_to(void **state)
{
	static const struct {
		const char *before, *name, *after;
	} cases[] = {
		{ "", "box", "127.0.0.1\tlocalhost\n::1\tlocalhost\n127.0.1.1\tbox\n" },
		{ "10.0.0.1 db\n", "box", "10.0.0.1 db\n127.0.1.1\tbox\n" },
		{ "10.0.0.1 db", "box", "10.0.0.1 db\n127.0.1.1\tbox\n" },
		{ "10.0.0.1 db box\n", "box", "10.0.0.1 db box\n" },
		{ "10.0.0.1 boxer\n", "box", "10.0.0.1 boxer\n127.0.1.1\tbox\n" },
		{ "10.0.0.1 db\n", "", "10.0.0.1 db\n" },
	};
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *text = init_hosts(cases[i].before, cases[i].name);
		assert_string_equal(text, cases[i].after);
		free(text);
	}
	assert_true(init_hostname_ok("a") && init_hostname_ok("web-1.example.org"));
	assert_false(init_hostname_ok("") || init_hostname_ok("-a") || init_hostname_ok("a b") ||
		     init_hostname_ok("a\n") || init_hostname_ok(".a"));
}

/* --- leases --- */

static struct init_renewal begun(uint64_t now_s, uint64_t age_s, uint64_t lifetime_s, uint32_t server)
{
	struct init_interface interface = { .mac = { 2, 0, 0, 0, 0, 1 },
					    .lease = { 0x0a00020f, server, lifetime_s, 0 } };
	struct init_renewal renewal;
	init_renewal_begin(&renewal, &interface, now_s, age_s, 0x01020304);
	return renewal;
}

static void it_is_renewed_at_half_of_its_time(void **state)
{
	(void)state;
	struct init_renewal r = begun(1000, 100, 86400, 0x0a000202);
	assert_int_equal(r.renew_s, 1000 + 43200 - 100);
	assert_int_equal(r.rebind_s, 1000 + 75600 - 100);
	assert_int_equal(r.end_s, 1000 + 86400 - 100);
	for (uint64_t now = 1000; now < r.renew_s; now += 997)
		assert_int_equal(init_renewal_next(&r, now), INIT_DHCP_WAIT);
	assert_int_equal(init_renewal_next(&r, r.renew_s), INIT_DHCP_ASK_SERVER);
	assert_int_equal(init_renewal_next(&r, r.renew_s), INIT_DHCP_WAIT);
	struct init_renewal ever = begun(0, 0, 0xffffffff, 1);
	assert_int_equal(ever.next_s, UINT64_MAX);
	struct init_renewal late = begun(50, 1000, 600, 1);
	assert_int_equal(init_renewal_next(&late, 50), INIT_DHCP_LOST);
}

/* To its end without an answer: first the server is asked, then everybody, each time no sooner than a minute after the
 * last but at T2 and at the end. */
static void without_an_answer_it_is_lost_at_its_end(void **state)
{
	(void)state;
	for (uint64_t lifetime = 1; lifetime < 200000; lifetime = lifetime * 3 / 2 + 1) {
		struct init_renewal r = begun(10, 0, lifetime, 0x0a000202);
		unsigned asked = 0;
		enum init_dhcp_action action = INIT_DHCP_WAIT;
		for (uint64_t now = 10, last = 0; action != INIT_DHCP_LOST; now = r.next_s) {
			action = init_renewal_next(&r, now);
			assert_true(r.next_s > now && r.next_s <= (action == INIT_DHCP_LOST ? UINT64_MAX : r.end_s));
			assert_int_equal(action, now < r.renew_s  ? INIT_DHCP_WAIT :
						 now < r.rebind_s ? INIT_DHCP_ASK_SERVER :
						 now < r.end_s    ? INIT_DHCP_ASK_ALL :
								    INIT_DHCP_LOST);
			assert_true(!last || now - last >= 60 || now == r.rebind_s || now == r.end_s);
			last = action == INIT_DHCP_WAIT ? 0 : now;
			assert_true(++asked < 64);
		}
		assert_int_equal(init_renewal_next(&r, UINT64_MAX), INIT_DHCP_WAIT);
	}
	struct init_renewal nobody = begun(0, 0, 1000, 0);
	assert_int_equal(init_renewal_next(&nobody, 500), INIT_DHCP_ASK_ALL);
}

static void the_message_is_a_request_to_renew(void **state)
{
	struct init_renewal r = begun(0, 0, 1000, 1);
	uint8_t m[INIT_DHCP_MESSAGE_BYTES];
	(void)state;
	init_renewal_message(&r, m);
	assert_memory_equal(m, "\1\1\6\0\1\2\3\4\0\0\0\0\x0a\0\2\x0f\0\0\0\0", 20);
	assert_memory_equal(m + 28, "\2\0\0\0\0\1\0\0", 8);
	assert_memory_equal(m + 236, "\x63\x82\x53\x63\x35\1\3\xff\0", 9);
}

/* An acknowledgement; with `lease` 0 a refusal. */
static size_t answer(uint8_t out[400], uint32_t lease)
{
	struct init_renewal r = begun(0, 0, 1000, 1);
	init_renewal_message(&r, out);
	out[0] = 2;
	memcpy(out + 16, out + 12, 4);
	static const uint8_t ack[] = { 0, 53, 1, 5, 54, 4, 10, 0, 2, 9, 51, 4, 0, 0, 7, 208, 58, 4, 0, 0, 2, 88, 255 };
	static const uint8_t nak[] = { 53, 1, 6, 255 };
	memcpy(out + 240, lease ? ack : nak, lease ? sizeof(ack) : sizeof(nak));
	return 240 + (lease ? sizeof(ack) : sizeof(nak));
}

static void an_acknowledgement_begins_it_anew(void **state)
{
	uint8_t m[400];
	bool kept = false;
	size_t bytes = answer(m, 2000);
	(void)state;
	struct init_renewal r = begun(0, 0, 1000, 1);
	assert_true(init_renewal_answer(&r, m, bytes, 500, &kept));
	assert_true(kept);
	assert_int_equal(r.server, 0x0a000209);
	assert_int_equal(r.renew_s, 500 + 600);
	assert_int_equal(r.rebind_s, 500 + 1750);
	assert_int_equal(r.end_s, 500 + 2000);
	assert_int_equal(r.next_s, r.renew_s);
	/* The same one again answers no question any more. */
	assert_false(init_renewal_answer(&r, m, bytes, 600, &kept));
	r = begun(0, 0, 1000, 1);
	bytes = answer(m, 0);
	assert_true(init_renewal_answer(&r, m, bytes, 500, &kept));
	assert_false(kept);
	assert_int_equal(init_renewal_next(&r, 5000), INIT_DHCP_WAIT);
}

/* Cut anywhere, or with any byte of what makes it ours changed, it is none. */
static void other_messages_are_passed_over(void **state)
{
	uint8_t m[400];
	size_t bytes = answer(m, 2000);
	(void)state;
	for (size_t cut = 0; cut < bytes; cut++) {
		struct init_renewal r = begun(0, 0, 1000, 1), before = r;
		bool kept;
		uint8_t *exact = malloc(cut + 1);
		memcpy(exact, m, cut);
		assert_false(init_renewal_answer(&r, exact, cut, 500, &kept));
		assert_memory_equal(&r, &before, sizeof(r));
		free(exact);
	}
	static const size_t ours[] = { 0, 4, 5, 6, 7, 16, 17, 18, 19, 28, 29, 30, 31, 32, 33, 236, 237, 238, 239, 243 };
	for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++) {
		struct init_renewal r = begun(0, 0, 1000, 1);
		bool kept;
		m[ours[i]] ^= 0x10;
		assert_false(init_renewal_answer(&r, m, bytes, 500, &kept));
		m[ours[i]] ^= 0x10;
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(configured_interfaces_are_taken),
		cmocka_unit_test(what_is_no_address_is_refused),
		cmocka_unit_test(no_more_are_taken_than_there_is_room_for),
		cmocka_unit_test(hosts_are_kept_and_added_to),
		cmocka_unit_test(it_is_renewed_at_half_of_its_time),
		cmocka_unit_test(without_an_answer_it_is_lost_at_its_end),
		cmocka_unit_test(the_message_is_a_request_to_renew),
		cmocka_unit_test(an_acknowledgement_begins_it_anew),
		cmocka_unit_test(other_messages_are_passed_over),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
