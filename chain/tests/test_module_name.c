/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* How modules are called: by everybody who looks for one. */
#include "chain/handoff.h"
#include "chain/source.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct {
	const char *string, *name;
	bool handoff;
} cases[] = {
	{ "kchain-handoff", "kchain-handoff", true },
	{ "kchain-handoff rd=/x", "kchain-handoff", true },
	{ "kchain-handoff\trd=/x/kchain", "kchain-handoff", true },
	{ "kchain-handoff  /", "kchain-handoff", true },
	{ "/tmp/a b/kchain-handoff", "a", false }, /* a blank ends the first word, as QEMU's loader has it too */
	{ "/tmp/ab/kchain-handoff", "kchain-handoff", true },
	{ "/tmp/ab/kchain-handoff.json /etc/x", "kchain-handoff.json", true },
	{ "../kchain-handoff", "kchain-handoff", true },
	{ "kchain-handoff/x", "x", false },
	{ "kchain-handoff/", "", false },
	{ "/kchain-handoff/kchain-handof", "kchain-handof", false },
	{ "x /kchain-handoff", "x", false },
	{ "x kchain-handoff", "x", false },
	{ " kchain-handoff", "", false },
	{ "kchain-hand", "kchain-hand", false },
	{ "kchain-handof f", "kchain-handof", false },
	{ "xkchain-handoff", "xkchain-handoff", false },
	{ "Kchain-handoff", "Kchain-handoff", false },
	{ "", "", false },
	{ "/", "", false },
	{ "//", "", false },
	{ "\t", "", false },
};

static void names(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		unsigned bytes = 0;
		const char *name = kchain_module_name(cases[i].string, &bytes);
		if (bytes != strlen(cases[i].name) || memcmp(name, cases[i].name, bytes) ||
		    !kchain_module_is_handoff(cases[i].string) == cases[i].handoff)
			fail_msg("\"%s\": \"%.*s\"", cases[i].string, (int)bytes, name);
	}
}

/* The same of every string, by a reading of its own: split at the first blank, then at the last slash. */
static void random_strings(void **state)
{
	static const char *const pieces[] = { "kchain-handoff", "kchain", "-", "/", " ", "\t", "a", "handoff", "." };
	unsigned seed = 1;
	(void)state;
	for (unsigned round = 0; round < 100000; round++) {
		char string[128] = "", copy[128];
		for (unsigned i = round % 6; i > 0; i--) {
			seed = seed * 1103515245u + 12345u;
			strcat(string, pieces[(seed >> 16) % (sizeof(pieces) / sizeof(pieces[0]))]);
		}
		strcpy(copy, string);
		copy[strcspn(copy, " \t")] = '\0';
		const char *slash = strrchr(copy, '/'), *name = slash ? slash + 1 : copy;
		unsigned bytes = 0;
		assert_ptr_equal(kchain_module_name(string, &bytes), string + (name - copy));
		assert_int_equal(bytes, strlen(name));
		assert_int_equal(!!kchain_module_is_handoff(string), !strncmp(name, "kchain-handoff", 14));
	}
}

/* A source names a module by its name, or by the whole of the first word. */
static void sources(void **state)
{
	char string[] = "/boot/map.elf rd=/x", other[] = "table /boot/table";
	struct chain_boot_module modules[] = { { { 0x1000, 0x1003 }, string }, { { 0x2000, 0x2003 }, other } };
	const struct chain_bootinfo info = { .modules = modules, .module_count = 2 };
	const struct chain_sources where = { .bootinfo = &info };
	const struct chain_source_pin pin = { .unverified = true };
	static const struct {
		const char *source;
		enum chain_status status;
	} wanted[] = {
		{ "module:map.elf", CHAIN_E_SOURCE_ELSEWHERE },
		{ "module:/boot/map.elf", CHAIN_E_SOURCE_ELSEWHERE },
		{ "module:table", CHAIN_E_SOURCE_ELSEWHERE },
		{ "module:x", CHAIN_E_SOURCE_NO_MODULE },
		{ "module:/boot/table", CHAIN_E_SOURCE_NO_MODULE },
		{ "module:map", CHAIN_E_SOURCE_NO_MODULE },
		{ "module:boot/map.elf", CHAIN_E_SOURCE_NO_MODULE },
	};
	(void)state;
	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
		struct chain_source_bytes bytes;
		if (chain_source_open(&where, wanted[i].source, &pin, &bytes, NULL) != wanted[i].status)
			fail_msg("%s", wanted[i].source);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(names), cmocka_unit_test(random_strings),
					    cmocka_unit_test(sources) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
