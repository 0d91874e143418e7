/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* IPv4 addresses as text against the C library's reader, and which a host can have against a count: a network's hosts
 * are those between its first and its last address. */
#include "chain/ipv4.h"
#include "random.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static bool c_library_reads(const char *text, bool prefix, uint32_t *address, uint32_t *mask)
{
	char own[64];
	struct in_addr in;
	snprintf(own, sizeof(own), "%s", text);
	char *slash = strchr(own, '/');
	if (prefix != (slash != NULL))
		return false;
	if (slash) {
		char *end;
		*slash++ = '\0';
		unsigned long bits = strtoul(slash, &end, 10);
		if (*slash < '0' || *slash > '9' || *end || bits > 32 || (*slash == '0' && slash[1]))
			return false;
		*mask = (uint32_t)(0xffffffff00000000ull >> bits);
	}
	if (inet_pton(AF_INET, own, &in) != 1)
		return false;
	*address = ntohl(in.s_addr);
	return true;
}

static void texts_are_read_as_the_c_library_does(void **state)
{
	static const char *const texts[] = { "",
					     ".",
					     "10",
					     "10.0.2",
					     "10.0.2.15",
					     "10.0.2.15.1",
					     "10.0.2.256",
					     "10.0.2.015",
					     "10.0.2.00",
					     "0.0.0.0",
					     "10..2.15",
					     "255.255.255.255",
					     "10.0.2.15/",
					     "10.0.2.15/24",
					     "10.0.2.15/0",
					     "10.0.2.15/32",
					     "10.0.2.15/33",
					     "10.0.2.15/024",
					     "10.0.2.15/24/",
					     "10.0.2.15 ",
					     " 10.0.2.15",
					     "10.0.2.-1",
					     "+10.0.2.1",
					     "10.0.2.15/-1",
					     "0x10.0.2.1",
					     "10.0.2.1111",
					     "10.0.2.15/111",
					     "10,0.2.15",
					     "4294967295.0.0.0",
					     "10.0.2." };
	static const char letters[] = "0123456789012345012...//- x";
	unsigned good = 0;
	(void)state;
	for (size_t round = 0; round < 200000 + sizeof(texts) / sizeof(texts[0]); round++) {
		char text[40];
		if (round < sizeof(texts) / sizeof(texts[0])) {
			snprintf(text, sizeof(text), "%s", texts[round]);
		} else {
			int used = snprintf(text, sizeof(text), "%u.%u.%u.%u", (unsigned)rnd(300), (unsigned)rnd(256),
					    (unsigned)rnd(30), (unsigned)rnd(260));
			if (rnd(2))
				snprintf(text + used, sizeof(text) - (size_t)used, "/%u", (unsigned)rnd(36));
			if (rnd(2))
				text[rnd(strlen(text))] = letters[rnd(sizeof(letters) - 1)];
		}
		for (int prefix = 0; prefix < 2; prefix++) {
			uint32_t address = 1, mask = 2, wanted_address = 1, wanted_mask = 2;
			char again[CHAIN_IPV4_TEXT_BYTES];
			bool wanted = c_library_reads(text, prefix, &wanted_address, &wanted_mask);
			if (chain_ipv4_parse(text, prefix, &address, &mask) != wanted)
				fail_msg("\"%s\", %d: %d wanted", text, prefix, wanted);
			if (!wanted)
				continue;
			good++;
			assert_true(address == wanted_address && mask == wanted_mask);
			assert_memory_equal(chain_ipv4_text(address, again), text, strcspn(text, "/"));
			assert_int_equal(strlen(again), strcspn(text, "/"));
		}
	}
	assert_true(good > 20000);
}

static bool is_host(uint32_t a)
{
	return a >= 0x01000000 && (a < 0x7f000000 || a > 0x7fffffff) && (a < 0xe0000000 || a > 0xefffffff) &&
	       a != 0xffffffff;
}

/* Whether `a` is a host's in the network of `bits` that `of` lies in: with more than two addresses, neither the first
 * nor the last. */
static bool is_in(uint32_t a, uint32_t of, unsigned bits)
{
	uint64_t size = 1ull << (32 - bits), first = of / size * size, last = first + size - 1;
	return is_host(a) && a >= first + (size > 2) && a <= last - (size > 2);
}

static void hosts_are_between_the_ends_of_their_network(void **state)
{
	unsigned good = 0;
	(void)state;
	for (unsigned round = 0; round < 300000; round++) {
		unsigned bits = (unsigned)rnd(33);
		uint32_t mask = (uint32_t)(0xffffffff00000000ull >> bits), address = (uint32_t)random_next(),
			 gateway = (uint32_t)random_next(), which = 1;
		address = rnd(2) ? address : rnd(2) ? address & mask : address | ~mask;
		gateway = rnd(4) ? (address & mask) | (gateway & ~mask) : rnd(2) ? 0 : gateway;
		bool contiguous = rnd(4);
		if (!contiguous)
			mask ^= 1u << rnd(32);
		uint32_t inverse = ~mask;
		contiguous = mask && (!inverse || (inverse & (inverse + 1)) == 0);
		bits = (unsigned)__builtin_popcount(mask);
		bool fine = is_host(address) && contiguous && is_in(address, address, bits);
		bool way_out = !gateway ||
			       (gateway != address && (bits == 32 ? is_host(gateway) : is_in(gateway, address, bits)));
		const char *wrong = chain_ipv4_problem(address, mask, gateway, &which);
		if (!wrong != (fine && way_out))
			fail_msg("%08x %08x %08x: %s", address, mask, gateway, wrong);
		assert_int_equal(chain_ipv4_is_host(address), is_host(address));
		good += !wrong;
		if (wrong)
			assert_int_equal(which, !is_host(address) ? address :
						!contiguous       ? mask :
						!fine             ? address :
								    gateway);
	}
	assert_true(good > 30000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(texts_are_read_as_the_c_library_does),
		cmocka_unit_test(hosts_are_between_the_ends_of_their_network),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
