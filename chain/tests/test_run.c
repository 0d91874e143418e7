/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* What a run has come to: exit codes of recorded runs, and the words of a command line. */

#include "chain/json_walk.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "../cmd/run_judge.h"
#include "../cmd/run_view.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ENTERED "{\"event\":\"entered\",\"link\":0,\"name\":\"a\",\"door\":\"multiboot1\"}"
#define BOOT(kernel, expect) "{\"event\":\"boot\",\"step\":\"b\",\"kernel\":\"" kernel "\",\"expect\":" expect "}"
#define END(status) "{\"event\":\"end\",\"status\":\"" status "\"}"
#define EXIT(status) "{\"event\":\"exit\",\"status\":" status ",\"result\":{\"n\":1,\"m\":2}}"

enum { NO_PORT = -1, LINES = 6 };

struct story {
	const char *name;
	enum run_until until;
	bool foreign;
	const char *lines[LINES]; /* records begin with a brace; anything else is console */
	bool done;                /* after the last line */
	enum run_end end;
	int port, code;
};

static const struct story STORIES[] = {
	{ "all steps called", 0, false, { ENTERED, END("ok"), EXIT("16") }, false, RUN_END_MACHINE, 0x10, CMD_OK },
	{ "a child failed", 0, false, { ENTERED, END("child-failed") }, false, RUN_END_MACHINE, 0x11, CMD_CHILD_FAILED },
	{ "the stage failed", 0, false, { ENTERED, END("failed") }, false, RUN_END_MACHINE, 0x12, CMD_STAGE_FAILED },
	{ "unmet", 0, false, { ENTERED, END("unmet") }, false, RUN_END_MACHINE, 0x13, CMD_UNMET },
	{ "the exit port alone", 0, false, { ENTERED }, false, RUN_END_MACHINE, 0x12, CMD_STAGE_FAILED },
	{ "an unknown end is none that is good", 0, false, { ENTERED, END("great") }, false, RUN_END_MACHINE, NO_PORT, CMD_STAGE_FAILED },
	{ "no records at all", 0, false, { "hello\n" }, false, RUN_END_MACHINE, NO_PORT, CMD_STAGE_FAILED },
	{ "reset in the middle", 0, false, { ENTERED }, false, RUN_END_MACHINE, NO_PORT, CMD_STAGE_FAILED },
	{ "somebody else's kernel is entered", 0, false, { ENTERED, BOOT("multiboot1", "\"entered\"") }, true, RUN_END_STOPPED, NO_PORT, CMD_OK },
	{ "its end is waited for", RUN_UNTIL_ENDED, false, { ENTERED, BOOT("multiboot1", "\"entered\"") }, false, RUN_END_MACHINE, NO_PORT, CMD_OK },
	{ "its end does not come", RUN_UNTIL_ENDED, false, { ENTERED, BOOT("multiboot1", "\"entered\"") }, false, RUN_END_TIMEOUT, NO_PORT, CMD_TIMEOUT },
	{ "its banner", 0, false, { ENTERED, BOOT("multiboot1", "{\"console\":\"GNU Mach\"}"), "\r\nGNU Ma", "ch 1.8" }, true, RUN_END_STOPPED, NO_PORT, CMD_OK },
	{ "a banner before the boot does not count", 0, false, { ENTERED, "GNU Mach", BOOT("multiboot1", "{\"console\":\"GNU Mach\"}") }, false, RUN_END_MACHINE, NO_PORT, CMD_UNMET },
	{ "no banner", 0, false, { ENTERED, BOOT("multiboot1", "{\"console\":\"GNU Mach\"}") }, false, RUN_END_TIMEOUT, NO_PORT, CMD_TIMEOUT },
	{ "a banner that an earlier link waits for", 0, false, { ENTERED, BOOT("image", "{\"console\":\"Mach\"}"), ENTERED, BOOT("multiboot1", "\"entered\""), "Mach\n" }, true, RUN_END_STOPPED, NO_PORT, CMD_OK },
	{ "an image reports for itself", 0, false, { ENTERED, BOOT("image", "\"entered\"") }, false, RUN_END_MACHINE, NO_PORT, CMD_CHILD_FAILED },
	{ "and does", 0, false, { ENTERED, BOOT("image", "\"entered\""), ENTERED, END("ok") }, false, RUN_END_MACHINE, 0x10, CMD_OK },
	{ "a native kernel exits well", 0, false, { ENTERED, BOOT("native", "\"success\""), EXIT("0") }, false, RUN_END_MACHINE, 0, CMD_OK },
	{ "a native kernel fails", 0, false, { ENTERED, BOOT("native", "\"success\""), EXIT("7") }, false, RUN_END_MACHINE, 7, CMD_CHILD_FAILED },
	{ "with the expected result", 0, false, { ENTERED, BOOT("native", "{\"result\":{\"n\":1}}"), EXIT("0") }, false, RUN_END_MACHINE, 0, CMD_OK },
	{ "with another one", 0, false, { ENTERED, BOOT("native", "{\"result\":{\"n\":9}}"), EXIT("0") }, false, RUN_END_MACHINE, 0, CMD_UNMET },
	{ "an expression", RUN_UNTIL_MATCH, false, { ENTERED, "log", "in: " }, true, RUN_END_STOPPED, NO_PORT, CMD_OK },
	{ "an expression that never matches", RUN_UNTIL_MATCH, false, { ENTERED, "nothing\n", END("ok") }, false, RUN_END_MACHINE, 0x10, CMD_UNMET },
	{ "interrupted", 0, false, { ENTERED }, false, RUN_END_INTERRUPTED, NO_PORT, CMD_INTERRUPTED },
	{ "a foreign kernel ends", RUN_UNTIL_ENDED, true, { "text\n" }, false, RUN_END_MACHINE, NO_PORT, CMD_OK },
};

static void tell(struct run_judge *judge, const char *line)
{
	enum record_event event;
	const char *why;
	if (line[0] != '{') {
		run_judge_text(judge, line, strlen(line));
		return;
	}
	json_t *doc = record_parse(line, strlen(line), &event, &why);
	assert_non_null(doc);
	run_judge_record(judge, event, doc);
	json_decref(doc);
}

static void verdicts(void **state)
{
	(void)state;
	regex_t regex;
	assert_int_equal(regcomp(&regex, "log ?in:", REG_EXTENDED), 0);
	for (size_t i = 0; i < sizeof(STORIES) / sizeof(STORIES[0]); i++) {
		const struct story *story = &STORIES[i];
		struct run_judge judge;
		run_judge_init(&judge, story->until, story->until == RUN_UNTIL_MATCH ? &regex : NULL, story->foreign);
		for (size_t line = 0; line < LINES && story->lines[line]; line++)
			tell(&judge, story->lines[line]);
		bool done = run_judge_done(&judge);
		int code = run_judge_verdict(&judge, story->end, story->port);
		if (done != story->done || code != story->code)
			fail_msg("%s: done %d, exit code %d (%s)", story->name, done, code, judge.reason);
		assert_true(judge.reason[0] != '\0');
		run_judge_free(&judge);
	}
	regfree(&regex);
}

static void a_line_longer_than_the_buffer_still_matches_at_its_end(void **state)
{
	(void)state;
	struct run_judge judge;
	run_judge_init(&judge, RUN_UNTIL_READY, NULL, false);
	tell(&judge, BOOT("multiboot1", "{\"console\":\"marker\"}"));
	for (int i = 0; i < 3 * RUN_LINE_BYTES; i++)
		run_judge_text(&judge, "x", 1);
	assert_false(run_judge_done(&judge));
	run_judge_text(&judge, "marker", 6);
	assert_true(run_judge_done(&judge));
	run_judge_free(&judge);
}

/* Every text of a guest that is shown, with an escape sequence, U+009B and a newline in it. */
static void a_guest_can_not_move_the_cursor(void **state)
{
	(void)state;
#define EVIL "\\u001b[2J\\u009b2J\\ny"
	static const char *const LINES_SHOWN[] = {
		"{\"event\":\"entered\",\"link\":0,\"name\":\"" EVIL "\",\"door\":\"" EVIL "\",\"image\":\"" EVIL "\"}",
		"{\"event\":\"net\",\"name\":\"" EVIL "\",\"entry\":{\"status\":\"" EVIL "\",\"reason\":\"" EVIL "\"}}",
		"{\"event\":\"step\",\"name\":\"" EVIL "\",\"kind\":\"call\",\"source\":\"" EVIL "\"}",
		"{\"event\":\"result\",\"step\":\"" EVIL "\",\"status\":\"" EVIL "\"}",
		"{\"event\":\"boot\",\"step\":\"" EVIL "\"}",
		"{\"event\":\"error\",\"slug\":\"x\",\"message\":\"" EVIL "\",\"hint\":\"" EVIL "\"}",
		"{\"event\":\"echo\",\"doc\":{\"a\":\"" EVIL "\"}}",
	};
	char *shown = NULL;
	size_t used = 0, lines = 0;
	FILE *to = open_memstream(&shown, &used);
	struct run_view view;
	run_view_init(&view, to, false, true);
	for (size_t i = 0; i < sizeof(LINES_SHOWN) / sizeof(LINES_SHOWN[0]); i++) {
		enum record_event event;
		const char *why;
		json_t *doc = record_parse(LINES_SHOWN[i], strlen(LINES_SHOWN[i]), &event, &why);
		assert_non_null(doc);
		run_view_record(&view, event, doc);
		json_decref(doc);
	}
	static const char console[] = "a\033[2J\xc2\x9b" "b\xc2\033x\x9b" "c\n";
	run_view_text(&view, console, sizeof(console) - 1);
	fclose(to);
	for (size_t i = 0; i < used; i++) {
		lines += shown[i] == '\n';
		assert_true((unsigned char)shown[i] >= ' ' || shown[i] == '\n');
		assert_false(i && (unsigned char)shown[i - 1] == 0xc2 && ((unsigned char)shown[i] & 0xe0) == 0x80);
	}
	assert_int_equal(lines, sizeof(LINES_SHOWN) / sizeof(LINES_SHOWN[0]) + 2); /* the hint has a line of its own */
	assert_non_null(strstr(shown, " abc\n"));
	free(shown);
}

static void words(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		bool good;
		uint64_t bytes;
	} SIZES[] = { { "0", true, 0 },		  { "4096", true, 4096 },	{ "64K", true, 65536 },
		      { "128MiB", true, 128 << 20 }, { "1g", true, 1 << 30 },	{ "", false, 0 },
		      { "K", false, 0 },	  { "-1", false, 0 },		{ "1.5M", false, 0 },
		      { "1Q", false, 0 },	  { "99999999999999999999", false, 0 }, { "18446744073709551615K", false, 0 } };
	uint64_t value;
	for (size_t i = 0; i < sizeof(SIZES) / sizeof(SIZES[0]); i++) {
		assert_int_equal(cmd_size_parse(SIZES[i].text, &value), SIZES[i].good);
		if (SIZES[i].good)
			assert_int_equal(value, SIZES[i].bytes);
	}
	assert_true(cmd_time_parse("250ms", &value) && value == 250000);
	assert_true(cmd_time_parse("2m", &value) && value == 120000000);
	assert_true(cmd_time_parse("5", &value) && value == 5000000);
	assert_true(cmd_time_parse("1H", &value) && value == 3600000000);
	assert_false(cmd_time_parse("5 s", &value));
	assert_false(cmd_size_parse("00000000000000000000000000000000001K", &value));
	assert_true(cmd_address_parse("0xFFffffffffffffff", &value) && value == UINT64_MAX);
	assert_false(cmd_address_parse("0x", &value));
	assert_false(cmd_address_parse("0x10000000000000000", &value));
	assert_true(cmd_address_parse("77", &value) && value == 77);
}

static void slips_are_recognised(void **state)
{
	(void)state;
	static const char *const NAMES[] = { "memory", "machine", "module", "net" };
	assert_string_equal(chain_nearest("memroy", NAMES, 4), "memory");
	assert_string_equal(chain_nearest("modul", NAMES, 4), "module");
	assert_null(chain_nearest("colour", NAMES, 4));
	assert_null(chain_nearest("", NAMES, 4));
	assert_null(chain_nearest("abc", (const char *const[]){ "ls" }, 1));
}

static void sizes_are_short(void **state)
{
	(void)state;
	char text[CMD_SIZE_BYTES];
	assert_string_equal(cmd_size_text(0, text), "0 B");
	assert_string_equal(cmd_size_text(1023, text), "1023 B");
	assert_string_equal(cmd_size_text(1536, text), "1.5 KiB");
	assert_string_equal(cmd_size_text(132 << 20, text), "132 MiB");
	assert_string_equal(cmd_size_text(UINT64_MAX, text), "15 EiB");
}

/* With clocks that are set back instead of waiting. */
static void progress_is_shown_after_a_second_and_then_seldom(void **state)
{
	(void)state;
	char text[64] = "", name[] = "/tmp/kchain-progress-XXXXXX";
	int file = mkstemp(name), before = dup(STDERR_FILENO);
	struct cmd_progress progress;
	assert_true(file >= 0 && before >= 0 && dup2(file, STDERR_FILENO) >= 0);
	cmd_progress_start(&progress, "checked");
	progress.start.tv_sec += 3600; /* it has not begun: nothing is shown however long this takes */
	cmd_progress_add(&progress, 1 << 20);
	progress.start.tv_sec -= 3610;
	progress.shown = progress.start;
	cmd_progress_add(&progress, 1 << 20);
	progress.shown.tv_sec += 3600; /* it was shown just now */
	cmd_progress_add(&progress, 1 << 20);
	cmd_progress_end(&progress);
	assert_true(dup2(before, STDERR_FILENO) >= 0);
	assert_true(pread(file, text, sizeof(text) - 1, 0) > 0);
	assert_string_equal(text, "2 MiB checked\n");
	assert_int_equal(progress.bytes, 3 << 20);
	assert_int_equal(close(file) | close(before) | unlink(name), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(verdicts), cmocka_unit_test(a_line_longer_than_the_buffer_still_matches_at_its_end),
		cmocka_unit_test(a_guest_can_not_move_the_cursor),
		cmocka_unit_test(words),    cmocka_unit_test(slips_are_recognised),
		cmocka_unit_test(sizes_are_short), cmocka_unit_test(progress_is_shown_after_a_second_and_then_seldom),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
