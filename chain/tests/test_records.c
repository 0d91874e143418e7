/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Records in a stream: the same ones come out however it is cut, and garbage costs itself only. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "chain/cmd/run/records.h"

#include <stdlib.h>
#include <string.h>

struct heard {
	unsigned records, bad;
	enum record_event last;
	char text[4096];
	size_t text_bytes;
	char why[64];
};

static void on_record(void *ctx, enum record_event event, const json_t *doc)
{
	struct heard *heard = ctx;
	assert_true(json_is_object(doc));
	heard->records++;
	heard->last = event;
}

static void on_text(void *ctx, const char *bytes, size_t count)
{
	struct heard *heard = ctx;
	if (heard->text_bytes + count < sizeof(heard->text)) {
		memcpy(heard->text + heard->text_bytes, bytes, count);
		heard->text_bytes += count;
	}
}

static void on_bad(void *ctx, const char *why)
{
	struct heard *heard = ctx;
	if (!heard->bad++)
		snprintf(heard->why, sizeof(heard->why), "%s", why);
}

/* `piece` bytes at a time. */
static struct heard hear(enum records_channel channel, const char *bytes, size_t count, size_t piece)
{
	struct heard heard = { 0 };
	struct records records;
	records_init(&records, channel, (struct records_sink){ &heard, on_record, on_text, on_bad });
	for (size_t at = 0; at < count; at += piece)
		records_feed(&records, bytes + at, count - at < piece ? count - at : piece);
	records_end(&records);
	assert_int_equal(records.good, heard.records);
	assert_int_equal(records.bad, heard.bad);
	records_free(&records);
	return heard;
}

static const char CONSOLE[] =
	"boot\r\n@kchain {\"event\":\"entered\",\"link\":0,\"name\":\"a\",\"door\":\"multiboot1\"}\r\n"
	"@kchai\n@@kchain {}\n@kchain {\"event\":\"end\",\"status\":\"ok\"}\nprompt> ";
static const char CONSOLE_TEXT[] = "boot\r\n@kchai\n@@kchain {}\nprompt> ";

static void a_stream_may_be_cut_anywhere(void **state)
{
	(void)state;
	for (size_t piece = 1; piece < sizeof(CONSOLE); piece++) {
		struct heard heard = hear(RECORDS_CONSOLE, CONSOLE, sizeof(CONSOLE) - 1, piece);
		assert_int_equal(heard.records, 2);
		assert_int_equal(heard.bad, 0);
		assert_int_equal(heard.last, RECORD_END);
		assert_int_equal(heard.text_bytes, sizeof(CONSOLE_TEXT) - 1);
		assert_memory_equal(heard.text, CONSOLE_TEXT, sizeof(CONSOLE_TEXT) - 1);
	}
}

/* The debug port is anybody's: what is no record there is text, and a kernel that leaves a line unfinished costs no
 * record. */
static const char PORT[] = "Booting\n\n{\"event\":\"entered\",\"link\":0,\"name\":\"a\",\"door\":\"m\"}\nhalf a "
			   "{line{\"event\":\"end\",\"status\":\"ok\"}\n"
			   " {\"event\": no}\n> {\"even";
static const char PORT_TEXT[] = "Booting\n\nhalf a {line\n {\"event\": no}\n> {\"even";

static void text_on_the_debug_port_is_text(void **state)
{
	(void)state;
	for (size_t piece = 1; piece < sizeof(PORT); piece++) {
		struct heard heard = hear(RECORDS_PORT, PORT, sizeof(PORT) - 1, piece);
		assert_int_equal(heard.records, 2);
		assert_int_equal(heard.bad, 0);
		assert_int_equal(heard.last, RECORD_END);
		assert_int_equal(heard.text_bytes, sizeof(PORT_TEXT) - 1);
		assert_memory_equal(heard.text, PORT_TEXT, sizeof(PORT_TEXT) - 1);
	}
}

/* Once a kernel was booted that is none of ours, a brace is its own as well. */
static void a_foreign_kernels_braces_are_text(void **state)
{
	(void)state;
	static const char TEXT[] = "{\"a\": 1}\n{\n  x }\n{\"event\":\"exit\"}\n{cut";
	for (int foreign = 0; foreign < 2; foreign++) {
		struct heard heard = { 0 };
		struct records records;
		records_init(&records, RECORDS_PORT, (struct records_sink){ &heard, on_record, on_text, on_bad });
		records.foreign = foreign;
		records_feed(&records, TEXT, sizeof(TEXT) - 1);
		records_end(&records);
		assert_int_equal(heard.bad, foreign ? 0 : 4);
		assert_int_equal(heard.records, 0);
		assert_int_equal(heard.text_bytes, foreign ? sizeof(TEXT) - 1 : strlen("  x }\n"));
		assert_memory_equal(heard.text, foreign ? TEXT : "  x }\n", heard.text_bytes);
		records_free(&records);
	}
}

/* A stage puts its own words before an isolated kernel's lines. */
static void a_record_begins_its_line_on_a_console(void **state)
{
	(void)state;
	static const char LINE[] = "kernel 3: @kchain {\"event\":\"end\",\"status\":\"ok\"}\n";
	struct heard heard = hear(RECORDS_CONSOLE, LINE, sizeof(LINE) - 1, sizeof(LINE));
	assert_int_equal(heard.records, 0);
	assert_int_equal(heard.text_bytes, sizeof(LINE) - 1);
}

static void a_cut_record_is_bad(void **state)
{
	(void)state;
	static const char LINE[] = "{\"event\":\"end\",\"status\":\"ok\"}";
	for (size_t count = 1; count < sizeof(LINE); count++) {
		struct heard heard = hear(RECORDS_PORT, LINE, count, count);
		assert_int_equal(heard.records, 0); /* without a newline even the whole of it is cut */
		assert_int_equal(heard.bad, 1);
	}
}

static void forms_are_checked(void **state)
{
	(void)state;
	static const struct {
		const char *line;
		bool good;
		const char *why; /* null: neither good nor bad */
	} CASES[] = {
		{ "{\"event\":\"exit\",\"status\":3,\"more\":[1]}", true, NULL },
		{ "{\"event\":\"boot\",\"step\":\"a\",\"expect\":null}", true, NULL },
		{ "{\"event\":\"future\"}", false, NULL },
		{ "{\"event\":\"exit\",\"status\":\"3\"}", false, "has a field of the wrong type" },
		{ "{\"event\":\"exit\"}", false, "lacks a field" },
		{ "{\"event\":\"exit\",\"status\":null}", false, "has a field of the wrong type" },
		{ "{\"event\":\"exit\",\"status\":1,\"us\":\"2\"}", false, "has a field of the wrong type" },
		{ "{\"event\":\"exit\",\"status\":1,\"status\":1}", false, "is not a JSON object" },
		{ "{\"status\":1}", false, "has no event" },
		{ "{\"event\":7}", false, "has no event" },
		{ "[\"event\"]", false, "is not a JSON object" },
		{ "{\"event\":\"exit\",\"status\":1} x", false, "is not a JSON object" },
		{ "", false, "is not a JSON object" },
	};
	for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
		enum record_event event;
		const char *why;
		json_t *doc = record_parse(CASES[i].line, strlen(CASES[i].line), &event, &why);
		assert_int_equal(doc != NULL, CASES[i].good);
		if (CASES[i].why)
			assert_string_equal(why, CASES[i].why);
		else
			assert_null(why);
		json_decref(doc);
	}
}

static void a_line_beyond_the_limit_is_skipped(void **state)
{
	(void)state;
	static const char AFTER[] = "\n@kchain {\"event\":\"end\",\"status\":\"ok\"}\n";
	size_t count = RECORDS_LINE_MAX + 4096;
	char *bytes = malloc(count + sizeof(AFTER));
	assert_non_null(bytes);
	memset(bytes, 'x', count);
	memcpy(bytes, RECORDS_PREFIX, sizeof(RECORDS_PREFIX) - 1);
	memcpy(bytes + count, AFTER, sizeof(AFTER));
	struct heard heard = hear(RECORDS_CONSOLE, bytes, count + sizeof(AFTER) - 1, 65536);
	assert_int_equal(heard.records, 1);
	assert_int_equal(heard.bad, 1);
	assert_string_equal(heard.why, "is too long");
	free(bytes);
}

/* Depth is bounded: a reader must not be brought down by brackets. */
static void depth_is_bounded(void **state)
{
	(void)state;
	enum { DEPTH = 200000 };
	char *bytes = malloc(DEPTH + 64);
	assert_non_null(bytes);
	int used = snprintf(bytes, 64, "{\"event\":\"echo\",\"doc\":");
	memset(bytes + used, '[', DEPTH);
	bytes[used + DEPTH] = '\n';
	struct heard heard = hear(RECORDS_PORT, bytes, (size_t)used + DEPTH + 1, 4096);
	assert_int_equal(heard.records, 0);
	assert_int_equal(heard.bad, 1);
	free(bytes);
}

static uint32_t next(uint32_t *seed)
{
	*seed = *seed * 1664525u + 1013904223u;
	return *seed >> 8;
}

static void random_bytes_in_the_way_do_no_harm(void **state)
{
	(void)state;
	uint32_t seed = 7;
	char bytes[sizeof(CONSOLE)];
	for (int round = 0; round < 20000; round++) {
		memcpy(bytes, CONSOLE, sizeof(CONSOLE));
		for (uint32_t flips = next(&seed) % 6; flips; flips--)
			bytes[next(&seed) % (sizeof(CONSOLE) - 1)] = (char)next(&seed);
		struct heard heard = hear(round & 1 ? RECORDS_CONSOLE : RECORDS_PORT, bytes, sizeof(CONSOLE) - 1,
					  1 + next(&seed) % 40);
		assert_true(heard.records <= 2);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_stream_may_be_cut_anywhere),
		cmocka_unit_test(text_on_the_debug_port_is_text),
		cmocka_unit_test(a_foreign_kernels_braces_are_text),
		cmocka_unit_test(a_record_begins_its_line_on_a_console),
		cmocka_unit_test(a_cut_record_is_bad),
		cmocka_unit_test(forms_are_checked),
		cmocka_unit_test(a_line_beyond_the_limit_is_skipped),
		cmocka_unit_test(depth_is_bounded),
		cmocka_unit_test(random_bytes_in_the_way_do_no_harm),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
