/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "init/spec.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char whole[] =
	"{\"end\":\"reboot\",\"entry\":{\"argv\":[\"nginx\",\"-g\",\"daemon "
	"off;\"],\"env\":{\"DB\":\"{{state.db|none}}\","
	"\"PLAIN\":\"a "
	"b\"},\"stop_signal\":\"SIGQUIT\",\"user\":\"www-data\",\"workdir\":\"/srv\"},\"hostname\":\"web\","
	"\"later\":{\"a\":1},\"modules\":[\"/kchain/modules/a.ko\",\"/kchain/modules/"
	"b.ko\"],\"root\":{\"device\":\"pmem0\","
	"\"options\":\"ro,dax=always\",\"type\":\"erofs\",\"write\":\"tmp\"},\"shell\":true}";
#define ROOT "\"root\":{\"device\":\"vda\",\"type\":\"ext4\"}"

static enum chain_status parse(const char *text, struct init_spec *spec, struct chain_error *err)
{
	*err = (struct chain_error){ 0 };
	return init_spec_parse(text, strlen(text), spec, err);
}

static void the_whole_document_is_read(void **state)
{
	struct init_spec spec;
	struct chain_error err;
	(void)state;
	assert_int_equal(parse(whole, &spec, &err), CHAIN_OK);
	assert_int_equal(spec.end, INIT_END_REBOOT);
	assert_int_equal(spec.argc, 3);
	assert_string_equal(spec.argv[2], "daemon off;");
	assert_int_equal(spec.env_count, 2);
	assert_string_equal(spec.env[1].name, "PLAIN");
	assert_string_equal(spec.env[1].value, "a b");
	assert_int_equal(spec.stop_signal, SIGQUIT);
	assert_string_equal(spec.user, "www-data");
	assert_string_equal(spec.workdir, "/srv");
	assert_string_equal(spec.hostname, "web");
	assert_int_equal(spec.module_count, 2);
	assert_string_equal(spec.modules[1], "/kchain/modules/b.ko");
	assert_string_equal(spec.device, "pmem0");
	assert_string_equal(spec.type, "erofs");
	assert_string_equal(spec.options, "ro,dax=always");
	assert_int_equal(spec.write, INIT_WRITE_TMP);
	assert_true(spec.shell);
	init_spec_free(&spec);
}

static void what_may_be_absent_has_its_default(void **state)
{
	struct init_spec spec;
	struct chain_error err;
	(void)state;
	assert_int_equal(parse("{" ROOT ",\"entry\":{\"argv\":[\"/a\"]}}", &spec, &err), CHAIN_OK);
	assert_int_equal(spec.end, INIT_END_POWEROFF);
	assert_int_equal(spec.write, INIT_WRITE_OVERLAY);
	assert_int_equal(spec.stop_signal, SIGTERM);
	assert_int_equal(spec.module_count + spec.env_count, 0);
	assert_true(!spec.user && !spec.workdir && !spec.options && !spec.hostname && !spec.shell);
	init_spec_free(&spec);
}

static void what_is_wrong_is_reported_with_its_place(void **state)
{
	static const struct {
		const char *text, *place;
		enum chain_status status;
	} cases[] = {
		{ "", "root.json", CHAIN_E_JSON_SYNTAX },
		{ "[]", "root.json", CHAIN_E_JSON_SYNTAX },
		{ "{}", "root", CHAIN_E_JSON_MISSING_KEY },
		{ "{" ROOT "}", "entry", CHAIN_E_JSON_MISSING_KEY },
		{ "{" ROOT ",\"entry\":{}}", "entry.argv", CHAIN_E_JSON_MISSING_KEY },
		{ "{" ROOT ",\"entry\":{\"argv\":[]}}", "entry.argv", CHAIN_E_JSON_TYPE },
		{ "{" ROOT ",\"entry\":{\"argv\":[1]}}", "entry.argv[0]", CHAIN_E_JSON_TYPE },
		{ "{" ROOT ",\"entry\":{\"argv\":\"/a\"}}", "entry.argv", CHAIN_E_JSON_TYPE },
		{ "{" ROOT ",\"entry\":{\"argv\":[\"/a\"],\"env\":{\"A\":1}}}", "entry.env.A", CHAIN_E_JSON_TYPE },
		{ "{" ROOT ",\"entry\":{\"argv\":[\"/a\"],\"stop_signal\":\"SIGNONE\"}}", "entry.stop_signal",
		  CHAIN_E_JSON_TYPE },
		{ "{" ROOT ",\"entry\":{\"argv\":[\"/a\"],\"stop_signal\":0}}", "entry.stop_signal",
		  CHAIN_E_JSON_TYPE },
		{ "{" ROOT ",\"entry\":{\"argv\":[\"/a\"]},\"end\":\"halt\"}", "end", CHAIN_E_JSON_WORD },
		{ "{" ROOT ",\"entry\":{\"argv\":[\"/a\"]},\"shell\":1}", "shell", CHAIN_E_JSON_TYPE },
		{ "{" ROOT ",\"entry\":{\"argv\":[\"/a\"]},\"modules\":{}}", "modules", CHAIN_E_JSON_TYPE },
		{ "{\"root\":{\"type\":\"ext4\"}}", "root.device", CHAIN_E_JSON_MISSING_KEY },
		{ "{\"root\":{\"device\":\"vda\",\"type\":\"ext4\",\"write\":\"all\"}}", "root.write",
		  CHAIN_E_JSON_WORD },
		{ "{\"root\":7}", "root", CHAIN_E_JSON_TYPE },
	};
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct init_spec spec;
		struct chain_error err;
		enum chain_status status = parse(cases[i].text, &spec, &err);
		if (cases[i].status == CHAIN_E_JSON_SYNTAX && status == CHAIN_E_JSON_NOT_OBJECT)
			status = CHAIN_E_JSON_SYNTAX;
		assert_int_equal(status, cases[i].status);
		assert_string_equal(err.subject, cases[i].place);
		init_spec_free(&spec);
	}
}

static void a_cut_document_is_refused_wherever_it_is_cut(void **state)
{
	(void)state;
	for (size_t bytes = 0; bytes < sizeof(whole) - 1; bytes++) {
		struct init_spec spec;
		char *cut = malloc(bytes + 1);
		memcpy(cut, whole, bytes);
		assert_int_equal(init_spec_parse(cut, bytes, &spec, NULL), CHAIN_E_JSON_SYNTAX);
		init_spec_free(&spec);
		free(cut);
	}
}

static void the_command_line_changes_keys(void **state)
{
	struct init_spec spec;
	struct chain_error err;
	(void)state;
	assert_int_equal(parse("{" ROOT ",\"entry\":{\"argv\":[\"/a\"]}}", &spec, &err), CHAIN_OK);
	assert_int_equal(init_spec_cmdline("quiet kchainx.y=1 xkchain.shell=1 -- a=kchain.shell\n", &spec, &err),
			 CHAIN_OK);
	assert_false(spec.shell);
	assert_int_equal(init_spec_cmdline(" kchain.shell kchain.hostname=box\tkchain.write=none kchain.end=reboot\n",
					   &spec, &err),
			 CHAIN_OK);
	assert_true(spec.shell);
	assert_string_equal(spec.hostname, "box");
	assert_int_equal(spec.write, INIT_WRITE_NONE);
	assert_int_equal(spec.end, INIT_END_REBOOT);
	assert_int_equal(init_spec_cmdline("kchain.shell=0", &spec, &err), CHAIN_OK);
	assert_false(spec.shell);
	assert_int_equal(init_spec_cmdline("kchain.shell=false", &spec, &err), CHAIN_E_JSON_WORD);
	assert_string_equal(err.subject, "kchain.shell");
	assert_false(spec.shell);
	err = (struct chain_error){ 0 };
	assert_int_equal(init_spec_cmdline("kchain.wrote=none", &spec, &err), CHAIN_E_JSON_UNKNOWN_KEY);
	assert_string_equal(err.subject, "kchain.wrote");
	err = (struct chain_error){ 0 };
	assert_int_equal(init_spec_cmdline("kchain.write=some", &spec, &err), CHAIN_E_JSON_WORD);
	assert_string_equal(err.subject, "kchain.write");
	init_spec_free(&spec);
}

static void facts_become_values(void **state)
{
	struct init_spec spec;
	struct chain_error err;
	json_t *handoff = json_pack("{s:{s:s}}", "state", "db", "10.0.2.2:5432");
	(void)state;
	assert_int_equal(parse(whole, &spec, &err), CHAIN_OK);
	assert_int_equal(init_spec_expand(&spec, handoff, &err), CHAIN_OK);
	assert_string_equal(spec.env[0].value, "10.0.2.2:5432");
	assert_string_equal(spec.env[1].value, "a b");
	init_spec_free(&spec);
	json_decref(handoff);
	assert_int_equal(
		parse("{" ROOT ",\"entry\":{\"argv\":[\"/a\"],\"env\":{\"X\":\"{{state.no}}\"}}}", &spec, &err),
		CHAIN_OK);
	handoff = json_object();
	assert_int_equal(init_spec_expand(&spec, handoff, &err), CHAIN_E_TEMPLATE_ABSENT);
	json_decref(handoff);
	init_spec_free(&spec);
}

static void signals_have_names_and_numbers(void **state)
{
	char name[16];
	(void)state;
	for (unsigned number = 1; number < 32; number++) {
		init_signal_name(number, name);
		assert_int_equal(init_signal_number(name), number);
		assert_int_equal(init_signal_number(name + 3), number);
	}
	assert_int_equal(init_signal_number("64"), 64);
	assert_int_equal(init_signal_number("RTMIN+3"), 37);
	static const char *const none[] = { "",     "SIG",   "0",          "65",       "-1",
					    "term", "TERM ", "SIGSIGTERM", "RTMIN+31", "RTMIN+" };
	for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++)
		assert_int_equal(init_signal_number(none[i]), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_whole_document_is_read),
		cmocka_unit_test(what_may_be_absent_has_its_default),
		cmocka_unit_test(what_is_wrong_is_reported_with_its_place),
		cmocka_unit_test(a_cut_document_is_refused_wherever_it_is_cut),
		cmocka_unit_test(the_command_line_changes_keys),
		cmocka_unit_test(facts_become_values),
		cmocka_unit_test(signals_have_names_and_numbers),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
