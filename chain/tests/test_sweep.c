/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* The files of a sweep: lines of any length, what is no result and no job, numbers that stand for a seed, and how times
 * are counted. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "chain/cmd/sweep/dealt.h"
#include "chain/cmd/sweep/inputs.h"
#include "chain/cmd/sweep/lines.h"
#include "chain/cmd/sweep/results.h"
#include "chain/cmd/sweep/table.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static int file_of(const char *text, size_t bytes)
{
	int fd = memfd_create("test", MFD_CLOEXEC);
	assert_true(fd >= 0 && write(fd, text, bytes) == (ssize_t)bytes);
	return fd;
}

/* Lines whose ends lie at, before and behind the ends of the reader's buffer. */
static void lines_of_any_length_are_read(void **state)
{
	(void)state;
	static const size_t LENGTHS[] = { 0, 1, 65535, 65536, 65537, 3, 131071, 0, 1 << 20, 17 };
	enum { COUNT = sizeof(LENGTHS) / sizeof(LENGTHS[0]) };
	for (size_t cut = 0; cut < 2; cut++) {
		struct lines lines;
		const char *text;
		size_t bytes, total = 0;
		char *all = malloc(4 << 20);
		for (size_t i = 0; i < COUNT; i++) {
			memset(all + total, 'a' + (int)i, LENGTHS[i]);
			total += LENGTHS[i];
			all[total++] = '\n';
		}
		int fd = file_of(all, total - cut);
		assert_int_equal(lines_open(&lines, fd, "test", NULL), CHAIN_OK);
		for (size_t i = 0; i < COUNT; i++) {
			assert_int_equal(lines_next(&lines, &text, &bytes, NULL), CHAIN_OK);
			assert_non_null(text);
			assert_int_equal(bytes, LENGTHS[i]);
			assert_true(!bytes || (text[0] == 'a' + (int)i && text[bytes - 1] == 'a' + (int)i));
			assert_int_equal(lines.line, i + 1);
			assert_int_equal(lines.whole, i + 1 < COUNT || !cut);
		}
		assert_int_equal(lines.line_end, total - cut);
		assert_int_equal(lines_next(&lines, &text, &bytes, NULL), CHAIN_OK);
		assert_null(text);
		lines_close(&lines);
		close(fd);
		free(all);
	}
}

static void a_line_that_is_too_long_is_refused(void **state)
{
	(void)state;
	struct chain_error err = { 0 };
	struct lines lines;
	const char *text;
	size_t bytes;
	int fd = memfd_create("test", MFD_CLOEXEC);
	assert_int_equal(ftruncate(fd, 3 * (off_t)LINES_LINE_MAX), 0);
	assert_int_equal(lines_open(&lines, fd, "test", NULL), CHAIN_OK);
	assert_int_equal(lines_next(&lines, &text, &bytes, &err), CHAIN_E_LIMIT);
	lines_close(&lines);
	close(fd);
}

/* SplitMix64's first numbers for seed 0, as its authors' code gives them; 53 bits of each. */
static void seeds_are_those_of_the_algorithm(void **state)
{
	(void)state;
	static const uint64_t FIRST[] = { 0xe220a8397b1dcdaf, 0x6e789e6aa1b965f4, 0x06c45d188009454f };
	for (size_t i = 0; i < sizeof(FIRST) / sizeof(FIRST[0]); i++)
		assert_int_equal(job_seed(0, i), FIRST[i] >> 11);
}

#define LINE_REST "\"tries\":1,\"slot\":0,\"at_us\":5,\"us\":{\"start\":1,\"run\":2,\"stop\":3}"

static void what_is_no_result_is_refused(void **state)
{
	(void)state;
	static const char *const CASES[][2] = {
		{ "", "no JSON" },
		{ "[]", "no object" },
		{ "{}", "no \"index\"" },
		{ "{\"index\":-1,\"status\":\"ok\"," LINE_REST "}", "no \"index\"" },
		{ "{\"index\":1.0,\"status\":\"ok\"," LINE_REST "}", "no \"index\"" },
		{ "{\"index\":1,\"status\":\"good\"," LINE_REST "}", "no \"status\" that is known" },
		{ "{\"index\":1," LINE_REST "}", "no \"status\" that is known" },
		{ "{\"index\":1,\"status\":\"ok\"}", "no \"tries\", \"slot\" and \"at_us\" that can be" },
		{ "{\"index\":1,\"status\":\"ok\",\"tries\":1,\"slot\":0,\"at_us\":5}", "no times of its phases" },
		{ "{\"index\":1,\"status\":\"failed\"," LINE_REST "}", "no \"reason\" of one that is not ok" },
		{ "{\"index\":1,\"status\":\"ok\",\"reason\":7," LINE_REST "}",
		  "a member of another type than it has" },
		{ "{\"index\":1,\"status\":\"ok\",\"console\":[7]," LINE_REST "}",
		  "a member of another type than it has" },
		{ "{\"index\":1,\"status\":\"ok\",\"block\":\"x\"," LINE_REST "}", "a \"block\" that can't be" },
		{ "{\"index\":1,\"status\":\"ok\"," LINE_REST "} {}", "no JSON" },
	};
	for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
		struct outcome outcome;
		const char *why;
		assert_int_equal(outcome_parse(CASES[i][0], strlen(CASES[i][0]), &outcome, &why), CHAIN_E_SWEEP_LINE);
		assert_string_equal(why, CASES[i][1]);
		assert_null(outcome.doc);
	}
}

static void a_result_is_read_as_it_was_written(void **state)
{
	(void)state;
	json_t *result = json_pack("{s:[i, s]}", "a", 7, "\xc3\xa9"), *console = json_pack("[s, s]", "one", "two");
	const struct outcome out = { .index = 12,
				     .status = OUTCOME_LOST,
				     .tries = 3,
				     .slot = 4,
				     .at_us = 5000,
				     .phase_us = { 1, 2, 3 },
				     .block = 10,
				     .result = result,
				     .reason = "ended \xff\n",
				     .console = console,
				     .node = "n1" };
	struct outcome in;
	const char *why;
	char *text = outcome_text(&out);
	assert_null(strchr(text, '\n'));
	assert_int_equal(outcome_parse(text, strlen(text), &in, &why), CHAIN_OK);
	assert_int_equal(in.index, 12);
	assert_int_equal(in.status, OUTCOME_LOST);
	assert_int_equal(in.block, 10);
	assert_memory_equal(in.phase_us, out.phase_us, sizeof(in.phase_us));
	assert_true(json_equal(in.result, result) && json_equal(in.console, console));
	assert_string_equal(in.reason, "ended \xef\xbf\xbd\n");
	assert_string_equal(in.node, "n1");
	outcome_free(&in);
	free(text);
	json_decref(result);
	json_decref(console);
}

/* Every time is within 1.6 % of the least one of its step; quantiles of known sets. */
static void times_are_counted_closely(void **state)
{
	(void)state;
	static struct spread one, many;
	for (uint64_t us = 1; us < (uint64_t)1 << 36; us += us / 7 + 1) {
		memset(&one, 0, sizeof(one));
		spread_add(&one, us);
		uint64_t estimate = spread_quantile(&one, 0.5);
		assert_true(estimate <= us && us - estimate <= us / 64);
	}
	for (uint64_t us = 1; us <= 10000; us++)
		spread_add(&many, us);
	assert_in_range(spread_quantile(&many, 0.5), 4920, 5000);
	assert_in_range(spread_quantile(&many, 0.99), 9745, 9900);
	assert_int_equal(spread_quantile(&many, 0), 1);
	assert_int_equal(many.most_us, 10000);
}

static void what_differs_of_two_headers_is_named(void **state)
{
	(void)state;
	char differs[256];
	json_t *a = json_pack("{s:i, s:s, s:i, s:s}", "kchain_sweep", 1, "image", "sha256:00", "seed", 0, "host", "a"),
	       *b = json_deep_copy(a);
	json_object_set_new(b, "host", json_string("b"));
	assert_false(results_header_differs(a, b, differs, sizeof(differs)));
	json_object_set_new(b, "seed", json_integer(7));
	assert_true(results_header_differs(a, b, differs, sizeof(differs)));
	assert_string_equal(differs, "seed is 7, was 0");
	json_object_del(a, "seed");
	assert_true(results_header_differs(a, b, differs, sizeof(differs)));
	assert_string_equal(differs, "seed is 7, was none");
	json_decref(a);
	json_decref(b);
}

static void a_job_that_was_dealt_out_comes_back(void **state)
{
	(void)state;
	char *text = NULL, path[64], *first, *second;
	size_t bytes, first_bytes, second_bytes;
	struct job job = { 0 }, back = { 0 };
	struct dealt *dealt;
	bool more;
	FILE *to = open_memstream(&text, &bytes);
	dealt_write_head(to, 100);
	for (uint64_t block = 0; block < 2; block++) {
		job_begin(&job, block);
		for (uint64_t i = 0; i <= 2 * block; i++) {
			const struct job_input input = {
				.index = 7 + i, .seed = 9, .text = "{\"x\": [1]}", .bytes = 10
			};
			assert_int_equal(job_add(&job, &input, NULL), CHAIN_OK);
		}
		assert_int_equal(job_end(&job, NULL), CHAIN_OK);
		dealt_write_job(to, &job);
	}
	fclose(to);
	int fd = file_of(text, bytes);
	uint8_t done[13] = { 0 };
	struct results results = { .total = 100, .done = done };
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	assert_int_equal(dealt_open(&dealt, path, NULL), CHAIN_OK);
	assert_int_equal(dealt_index_end(dealt), 100);
	assert_int_equal(dealt_next(dealt, &results, &back, &more, NULL), CHAIN_OK);
	assert_true(more && back.count == 1 && back.indices[0] == 7 && !back.block);
	assert_int_equal(dealt_next(dealt, &results, &back, &more, NULL), CHAIN_OK);
	assert_true(more && back.count == 3 && back.indices[2] == 9 && back.block);
	assert_int_equal(job_handoff(&job, 5, &first, &first_bytes, NULL), CHAIN_OK);
	assert_int_equal(job_handoff(&back, 5, &second, &second_bytes, NULL), CHAIN_OK);
	json_t *a = json_loads(first, 0, NULL), *b = json_loads(second, 0, NULL);
	assert_true(a && json_equal(a, b));
	assert_int_equal(dealt_next(dealt, &results, &back, &more, NULL), CHAIN_OK);
	assert_false(more);
	json_decref(a);
	json_decref(b);
	free(first);
	free(second);
	dealt_close(dealt);
	job_free(&job);
	job_free(&back);
	close(fd);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_of_any_length_are_read),
		cmocka_unit_test(a_line_that_is_too_long_is_refused),
		cmocka_unit_test(seeds_are_those_of_the_algorithm),
		cmocka_unit_test(what_is_no_result_is_refused),
		cmocka_unit_test(a_result_is_read_as_it_was_written),
		cmocka_unit_test(times_are_counted_closely),
		cmocka_unit_test(what_differs_of_two_headers_is_named),
		cmocka_unit_test(a_job_that_was_dealt_out_comes_back),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
