/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Documents that say what a run did: what is refused and what is left out, what is made of times, and how large a
 * picture gets. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "chain/cmd/show/report.h"

#include <stdlib.h>
#include <string.h>

static void what_is_no_report_is_refused(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		enum chain_status status;
		const char *detail;
		uint64_t number;
	} CASES[] = {
		{ "", CHAIN_E_JSON_SYNTAX, NULL, 0 },
		{ "{\"links\":[", CHAIN_E_JSON_SYNTAX, NULL, 0 },
		{ "[]", CHAIN_E_REPORT_NONE, NULL, 0 },
		{ "7", CHAIN_E_REPORT_NONE, NULL, 0 },
		{ "{}", CHAIN_E_REPORT_NONE, NULL, 0 },
		{ "{\"links\":[]}", CHAIN_E_REPORT_NONE, NULL, 0 },
		{ "{\"links\":{},\"steps\":[]}", CHAIN_E_REPORT_NONE, NULL, 0 },
		{ "{\"kchain_handoff\":1,\"links\":[],\"results\":[]}", CHAIN_E_REPORT_NONE, NULL, 0 },
		{ "{\"memory\":[],\"modules\":[]}", CHAIN_E_REPORT_NONE, NULL, 0 },
		{ "{\"error\":{\"message\":7}}", CHAIN_E_REPORT_NONE, NULL, 0 },
		{ "{\"links\":[{\"name\":\"a\"},{}],\"steps\":[]}", CHAIN_E_REPORT_FORM, "links", 1 },
		{ "{\"links\":[],\"steps\":[{\"step\":\"a\"},{\"step\":7}]}", CHAIN_E_REPORT_FORM, "steps", 1 },
		{ "{\"links\":[],\"steps\":[],\"links\":[]}", CHAIN_E_JSON_SYNTAX, NULL, 0 },
	};
	for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
		struct chain_error err = { 0 };
		struct report report;
		enum chain_status status =
			report_parse(CASES[i].text, strlen(CASES[i].text), "doc", NULL, &report, &err);
		if (status != CASES[i].status)
			fail_msg("%s: %s", CASES[i].text, chain_status_slug(status));
		assert_string_equal(err.subject, "doc");
		if (CASES[i].detail) {
			assert_string_equal(err.detail, CASES[i].detail);
			assert_int_equal(err.number[0], CASES[i].number);
		}
		assert_null(report.doc);
	}
}

static struct report parse(const char *text)
{
	struct chain_error err = { 0 };
	struct report report;
	if (report_parse(text, strlen(text), "doc", NULL, &report, &err))
		fail_msg("%s: %s", text, chain_status_slug(err.status));
	return report;
}

/* Cut anywhere, a document is refused; so it is with a byte changed, or what is drawn of it is bounded. */
static void a_cut_document_is_refused(void **state)
{
	(void)state;
	static const char WHOLE[] = "{\"links\":[{\"name\":\"a\",\"at\":1}],\"steps\":[{\"step\":\"m\",\"count\":2,"
				    "\"kernels\":[[0,0,1,2,3]]}],\"seconds\":2}";
	for (size_t count = 0; count < sizeof(WHOLE) - 1; count++) {
		struct chain_error err = { 0 };
		struct report report;
		assert_int_equal(report_parse(WHOLE, count, "doc", NULL, &report, &err), CHAIN_E_JSON_SYNTAX);
	}
	struct report report = parse(WHOLE);
	report_free(&report);
}

/* The machine's clock where it is known, the host's moved along where it is not; what can't be is no time. */
static void times_are_on_one_clock(void **state)
{
	(void)state;
	struct report r =
		parse("{\"links\":[{\"name\":\"a\",\"link\":0,\"at\":0.5},{\"name\":\"b\",\"link\":1,\"at\":0.7}],"
		      "\"steps\":[{\"step\":\"s\",\"begun_at\":0.6,\"us\":150000,\"at\":0.65},{\"step\":\"t\",\"begun_"
		      "us\":160000,\"us\":90,\"at\":0.65},"
		      "{\"step\":\"u\",\"begun_us\":1e300,\"us\":-1e15},{\"step\":\"v\"}],\"seconds\":1}");
	assert_int_equal(r.link_count, 2);
	assert_float_equal(r.links[0].begin, 0, 0);
	assert_float_equal(r.links[0].end, 200000, 1);
	assert_float_equal(r.links[1].end, 500000, 1);
	assert_float_equal(r.steps[0].begin, 100000, 1);
	assert_float_equal(r.steps[0].end, 150000, 0);
	assert_true(r.steps[1].timed && r.steps[1].end == r.steps[1].begin); /* it can't have ended before it began */
	assert_false(r.steps[2].timed);
	assert_false(r.steps[3].timed);
	assert_float_equal(r.end, 500000, 1);
	report_free(&r);

	r = parse("{\"kchain_handoff\":1,\"links\":[{\"name\":\"a\",\"entered_us\":0,\"left_us\":40},{\"name\":\"b\","
		  "\"entered_us\":55}],\"results\":{\"x\":{\"status\":\"fault\",\"reason\":\"why\"}}}");
	assert_true(r.links[0].end == 40 && r.links[1].begin == 55 && r.step_count == 1 &&
		    r.steps[0].status == REPORT_FAULT && !r.steps[0].timed);
	assert_string_equal(r.steps[0].reason, "why");
	report_free(&r);
}

/* What `kchain run --bootinfo` wrote is a machine's, printed in lines of its own. */
static void a_machine_is_described(void **state)
{
	(void)state;
	static const char TEXT[] =
		"{\"kchain_bootinfo\":1,\"door\":\"pvh\",\"loader\":\"l\\u001b\",\"cmdline\":\"\",\"memory\":[{"
		"\"base\":"
		"\"0x0\",\"bytes\":\"0x100000\",\"type\":1},{\"base\":\"0x100000\",\"bytes\":\"0x1000\",\"type\":3}],"
		"\"modules\":[{\"base\":\"0x2000\",\"bytes\":\"0x10\",\"string\":\"m x\"}],\"image_base\":\"0x0\","
		"\"image_start\":\"0x0\",\"image_end\":\"0x0\",\"acpi_rsdp\":\"0xf0000\",\"smbios\":\"0x0\","
		"\"efi_system_table\":\"0x0\",\"cpus\":2,\"devices\":[{\"class\":\"net\",\"name\":\"lan\",\"status\":"
		"\"absent\",\"reason\":\"none\"}]}";
	struct report r = parse(TEXT);
	char *out = NULL;
	size_t bytes = 0;
	FILE *to = open_memstream(&out, &bytes);
	assert_non_null(to);
	report_print(&r, to);
	fclose(to);
	assert_string_equal(out, "a machine with 2 processors, 1 MiB of memory available\n"
				 "  door      pvh\n"
				 "  loader    l\\x1b\n"
				 "  memory    0x0            0x100000       available\n"
				 "            0x100000       0x101000       ACPI tables\n"
				 "  module    0x2000         0x2010         m x\n"
				 "  RSDP      0xf0000\n"
				 "  device    lan  absent  none\n");
	free(out);
	json_t *doc = report_json(&r);
	assert_ptr_equal(doc, r.doc);
	json_decref(doc);
	report_free(&r);
	struct chain_error err = { 0 };
	assert_int_equal(report_parse("{\"kchain_bootinfo\":2}", 21, "doc", NULL, &r, &err), CHAIN_E_BOOTINFO_MEMBER);
	assert_int_equal(report_parse("{\"kchain_bootinfo\":1}", 21, "doc", NULL, &r, &err), CHAIN_E_BOOTINFO_MEMBER);
}

static void rows_without_sense_are_left_out_and_counted(void **state)
{
	(void)state;
	struct report r = parse("{\"links\":[],\"steps\":[{\"step\":\"m\",\"count\":9,\"machine\":{\"workers\":"
				"9223372036854775807,\"cpus\":-1},\"kernels\":["
				"[0,0,1,10,20],[1,0,4095,10,20,\"timeout\",-1],[2,0,4096,10,20],[3,0,-1,10,20],[4,0,0,"
				"10],[5,0,0,10,\"20\"],[6,0,0,9223372036854775807,1],"
				"[4294967296,0,0,1,1],{},null,[0,0,0,1,9223372036854775807]]}]}");
	assert_int_equal(r.fanouts[0].turn_count, 2);
	assert_int_equal(r.left_out, 9);
	assert_int_equal(r.processors, 4096);
	assert_int_equal(r.fanouts[0].cpus, 1);
	assert_int_equal(r.fanouts[0].workers, REPORT_PROCESSORS_MAX);
	assert_int_equal(r.fanouts[0].turns[1].status, REPORT_TIMEOUT);
	char *text = NULL;
	size_t bytes = 0;
	FILE *to = open_memstream(&text, &bytes);
	report_print(&r, to);
	fclose(to);
	assert_non_null(strstr(text, "9 rows of kernels left out"));
	free(text);
	report_free(&r);
}

/* What once ran for ever, or drew for ever. */
static void pictures_are_bounded(void **state)
{
	(void)state;
	static const char *const CASES[] = {
		"{\"links\":[],\"steps\":[]}",
		"{\"links\":[{\"name\":\"a\"}],\"steps\":[]}",
		"{\"links\":[{\"name\":\"a\",\"at\":0.1}],\"steps\":[{\"step\":\"s\",\"begun_at\":0.2,\"at\":0.3}],"
		"\"seconds\":0.4}",
		"{\"links\":[],\"steps\":[{\"step\":\"m\",\"count\":0}]}",
		"{\"links\":[],\"steps\":[{\"step\":\"m\",\"count\":3,\"kernels\":[]}]}",
		"{\"links\":[],\"steps\":[],\"seconds\":1e308}",
		"{\"links\":[],\"steps\":[],\"seconds\":-1e308}",
		"{\"links\":[],\"steps\":[],\"seconds\":1e8}",
		"{\"links\":[{\"name\":\"a\",\"us\":-9223372036854775808}],\"steps\":[{\"step\":\"s\",\"begun_us\":-"
		"100000000000000,\"us\":100000000000000}]}",
		"{\"links\":[],\"steps\":[{\"step\":\"s\",\"begun_us\":99999999999999,\"us\":100000000000000}]}",
		"{\"links\":[],\"steps\":[{\"step\":\"s\",\"begun_us\":5e-324,\"us\":1e-300}]}",
	};
	for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
		struct report r = parse(CASES[i]);
		size_t bytes = 0;
		char *svg = report_svg(&r, &bytes);
		assert_non_null(svg);
		if (bytes > 8192 || strncmp(svg, "<svg ", 5) != 0 || strcmp(svg + bytes - 7, "</svg>\n") != 0 ||
		    strstr(svg, "nan") || strstr(svg, "inf"))
			fail_msg("%s: %zu bytes: %s", CASES[i], bytes, svg);
		free(svg);
		report_free(&r);
	}
}

/* A step's name is in its bar, or behind it, unless the next one begins there. */
static void names_stand_where_there_is_room(void **state)
{
	(void)state;
	struct report r =
		parse("{\"links\":[],\"steps\":[{\"step\":\"inside\",\"begun_at\":0,\"at\":0.5},"
		      "{\"step\":\"beside\",\"begun_at\":0.6,\"at\":0.601},{\"step\":\"nowhere\",\"begun_at\":0.8,"
		      "\"at\":0.801},{\"step\":\"last\",\"begun_at\":0.802,\"at\":0.803}],\"seconds\":1}");
	size_t bytes = 0;
	char *svg = report_svg(&r, &bytes);
	assert_non_null(svg);
	assert_non_null(strstr(svg, "fill=\"#fff\">inside</text>"));
	assert_non_null(strstr(svg, "text-anchor=\"start\">beside</text>"));
	assert_null(strstr(svg, ">nowhere</text>"));
	assert_non_null(strstr(svg, "text-anchor=\"start\">last</text>"));
	free(svg);
	report_free(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_no_report_is_refused),
		cmocka_unit_test(a_cut_document_is_refused),
		cmocka_unit_test(times_are_on_one_clock),
		cmocka_unit_test(a_machine_is_described),
		cmocka_unit_test(rows_without_sense_are_left_out_and_counted),
		cmocka_unit_test(pictures_are_bounded),
		cmocka_unit_test(names_stand_where_there_is_room),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
