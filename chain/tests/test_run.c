/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* What a run has come to: exit codes of recorded runs, and the words of a command line. */

#include "chain/json_walk.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "chain/cmd/run/qemu_disk.h"
#include "chain/cmd/run/run_judge.h"
#include "chain/cmd/run/run_view.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define STEP(name)                                                                                                     \
	"{\"event\":\"step\",\"name\":\"" name "\",\"kind\":\"call\",\"source\":\"fs:/k\",\"called\":\"fixed\"}"
#define RESULT(name, status)                                                                                           \
	"{\"event\":\"result\",\"step\":\"" name "\",\"status\":\"" status "\",\"reason\":\"because\"}"
#define ERROR(name, message) "{\"event\":\"error\",\"slug\":\"s\",\"step\":\"" name "\",\"message\":\"" message "\"}"
#define AT_ZERO              "\"address\":\"0x0\"}"
#define FAULT                "{\"event\":\"fault\",\"vector\":14,\"name\":\"page fault\",\"rip\":\"0x10\"," AT_ZERO
#define ENTERED              "{\"event\":\"entered\",\"link\":0,\"name\":\"a\",\"door\":\"multiboot1\"}"
#define BOOT(kernel, expect) "{\"event\":\"boot\",\"step\":\"b\",\"kernel\":\"" kernel "\",\"expect\":" expect "}"
#define END(status)          "{\"event\":\"end\",\"status\":\"" status "\"}"
#define EXIT(status)         "{\"event\":\"exit\",\"status\":" status ",\"result\":{\"n\":1,\"m\":2}}"

enum { NO_PORT = -1, LINES = 8, RESET = 1000 };

struct story {
	const char *name;
	enum run_until until;
	bool foreign;
	const char *lines[LINES]; /* records begin with a brace; anything else is console */
	bool done;                /* after the last line */
	enum run_end end;
	int port, code;     /* RESET: no port, and the machine was reset */
	const char *reason; /* null: any */
};

#define MACHINE RUN_END_MACHINE
static const struct story STORIES[] = {
	{ "all steps called",
	  0,
	  false,
	  { ENTERED, END("ok"), EXIT("16") },
	  false,
	  MACHINE,
	  0x10,
	  CMD_OK,
	  "all steps done" },
	{ "a child failed",
	  0,
	  false,
	  { ENTERED, END("child-failed") },
	  false,
	  MACHINE,
	  0x11,
	  CMD_CHILD_FAILED,
	  "a child failed" },
	{ "the stage failed", 0, false, { ENTERED, END("failed") }, false, MACHINE, 0x12, CMD_STAGE_FAILED, NULL },
	{ "a stage that cannot start",
	  0,
	  false,
	  { "{\"event\":\"error\",\"slug\":\"s\",\"message\":\"no map\"}", END("failed"), EXIT("134") },
	  false,
	  MACHINE,
	  0x12,
	  CMD_STAGE_FAILED,
	  "no map" },
	{ "unmet", 0, false, { ENTERED, END("unmet") }, false, MACHINE, 0x13, CMD_UNMET, NULL },
	{ "the exit port alone", 0, false, { ENTERED }, false, MACHINE, 0x12, CMD_STAGE_FAILED, NULL },
	{ "the exit port alone, and good",
	  0,
	  false,
	  { ENTERED },
	  false,
	  MACHINE,
	  0x10,
	  CMD_STAGE_FAILED,
	  "the machine stopped in the middle (0x10 was written to the exit port)" },
	{ "an unknown end is none that is good",
	  0,
	  false,
	  { ENTERED, END("great") },
	  false,
	  MACHINE,
	  NO_PORT,
	  CMD_STAGE_FAILED,
	  NULL },
	{ "no records at all",
	  0,
	  false,
	  { "hello\n" },
	  false,
	  MACHINE,
	  NO_PORT,
	  CMD_STAGE_FAILED,
	  "the stage did not begin" },
	{ "reset in the middle",
	  0,
	  false,
	  { ENTERED },
	  false,
	  MACHINE,
	  RESET,
	  CMD_STAGE_FAILED,
	  "the machine stopped in the middle (it was reset)" },
	{ "somebody else's kernel is entered",
	  0,
	  false,
	  { ENTERED, BOOT("multiboot1", "\"entered\"") },
	  true,
	  RUN_END_STOPPED,
	  NO_PORT,
	  CMD_OK,
	  "b was entered" },
	{ "its end is waited for",
	  RUN_UNTIL_ENDED,
	  false,
	  { ENTERED, BOOT("multiboot1", "\"entered\"") },
	  false,
	  MACHINE,
	  NO_PORT,
	  CMD_OK,
	  NULL },
	{ "its end does not come",
	  RUN_UNTIL_ENDED,
	  false,
	  { ENTERED, BOOT("multiboot1", "\"entered\"") },
	  false,
	  RUN_END_TIMEOUT,
	  NO_PORT,
	  CMD_TIMEOUT,
	  "the machine did not end within 3s" },
	{ "its banner",
	  0,
	  false,
	  { ENTERED, BOOT("multiboot1", "{\"console\":\"GNU Mach\"}"), "\r\nGNU Ma", "ch 1.8" },
	  true,
	  RUN_END_STOPPED,
	  NO_PORT,
	  CMD_OK,
	  "\"GNU Mach\" seen" },
	{ "a banner before the boot does not count",
	  0,
	  false,
	  { ENTERED, "GNU Mach", BOOT("multiboot1", "{\"console\":\"GNU Mach\"}") },
	  false,
	  MACHINE,
	  NO_PORT,
	  CMD_UNMET,
	  "\"GNU Mach\" not seen before the machine ended; last line: GNU Mach" },
	{ "no banner",
	  0,
	  false,
	  { ENTERED, BOOT("multiboot1", "{\"console\":\"Login\"}"), "\033[1mtty0\033[m\r\n", " \r\n" },
	  false,
	  RUN_END_TIMEOUT,
	  NO_PORT,
	  CMD_TIMEOUT,
	  "\"Login\" not seen within 3s; last line: tty0" },
	{ "a banner that an earlier link waits for",
	  0,
	  false,
	  { ENTERED, BOOT("image", "{\"console\":\"Mach\"}"), ENTERED, BOOT("multiboot1", "\"entered\""), "Mach\n" },
	  true,
	  RUN_END_STOPPED,
	  NO_PORT,
	  CMD_OK,
	  NULL },
	{ "a banner that a called kernel forges",
	  0,
	  false,
	  { ENTERED, BOOT("image", "{\"console\":\"Mach\"}"), ENTERED, STEP("c"), "Mach\n" },
	  false,
	  RUN_END_TIMEOUT,
	  NO_PORT,
	  CMD_TIMEOUT,
	  NULL },
	{ "an image reports for itself",
	  0,
	  false,
	  { ENTERED, BOOT("image", "\"entered\"") },
	  false,
	  MACHINE,
	  NO_PORT,
	  CMD_CHILD_FAILED,
	  "b did not begin" },
	{ "and does",
	  0,
	  false,
	  { ENTERED, BOOT("image", "\"entered\""), ENTERED, END("ok") },
	  false,
	  MACHINE,
	  0x10,
	  CMD_OK,
	  NULL },
	{ "and stops without a word",
	  0,
	  false,
	  { ENTERED, BOOT("image", "\"entered\""), ENTERED },
	  false,
	  MACHINE,
	  0,
	  CMD_STAGE_FAILED,
	  NULL },
	{ "a native kernel exits well",
	  0,
	  false,
	  { ENTERED, BOOT("native", "\"success\""), EXIT("0") },
	  false,
	  MACHINE,
	  0,
	  CMD_OK,
	  NULL },
	{ "a native kernel fails",
	  0,
	  false,
	  { ENTERED, BOOT("native", "\"success\""), EXIT("7") },
	  false,
	  MACHINE,
	  7,
	  CMD_CHILD_FAILED,
	  "the kernel exited with status 7" },
	{ "with the expected result",
	  0,
	  false,
	  { ENTERED, BOOT("native", "{\"result\":{\"n\":1}}"), EXIT("0") },
	  false,
	  MACHINE,
	  0,
	  CMD_OK,
	  NULL },
	{ "with another one",
	  0,
	  false,
	  { ENTERED, BOOT("native", "{\"result\":{\"n\":9}}"), EXIT("0") },
	  false,
	  MACHINE,
	  0,
	  CMD_UNMET,
	  NULL },
	{ "with none",
	  0,
	  false,
	  { ENTERED, BOOT("native", "{\"result\":{\"n\":9}}"), "{\"event\":\"exit\",\"status\":0}" },
	  false,
	  MACHINE,
	  0x10,
	  CMD_UNMET,
	  NULL },
	{ "with an exit record that is none",
	  0,
	  false,
	  { ENTERED, BOOT("native", "{\"result\":{\"n\":9}}"), ENTERED },
	  false,
	  MACHINE,
	  0x10,
	  CMD_CHILD_FAILED,
	  "b left no exit record that can be read (0x10 was written to the exit port)" },
	{ "with a fault",
	  0,
	  false,
	  { ENTERED, BOOT("native", "\"success\""), ENTERED, FAULT },
	  false,
	  MACHINE,
	  0x12,
	  CMD_CHILD_FAILED,
	  "b: page fault at 0x10" },
	{ "a stage's fault",
	  0,
	  false,
	  { ENTERED, FAULT },
	  false,
	  MACHINE,
	  0x12,
	  CMD_STAGE_FAILED,
	  "the stage: page fault at 0x10" },
	{ "a foreign kernel says by the port that all is well",
	  0,
	  false,
	  { ENTERED, BOOT("multiboot1", "\"success\"") },
	  false,
	  MACHINE,
	  0,
	  CMD_OK,
	  NULL },
	{ "or that it is not",
	  0,
	  false,
	  { ENTERED, BOOT("multiboot1", "\"success\"") },
	  false,
	  MACHINE,
	  3,
	  CMD_CHILD_FAILED,
	  "the kernel exited with status 3" },
	{ "or is reset",
	  0,
	  false,
	  { ENTERED, BOOT("multiboot1", "\"success\"") },
	  false,
	  MACHINE,
	  RESET,
	  CMD_CHILD_FAILED,
	  NULL },
	{ "or leaves no result",
	  0,
	  false,
	  { ENTERED, BOOT("multiboot1", "{\"result\":1}") },
	  false,
	  MACHINE,
	  0,
	  CMD_UNMET,
	  NULL },
	{ "an expression",
	  RUN_UNTIL_MATCH,
	  false,
	  { ENTERED, "log", "in: " },
	  true,
	  RUN_END_STOPPED,
	  NO_PORT,
	  CMD_OK,
	  "\"login:\" seen" },
	{ "an expression that never matches",
	  RUN_UNTIL_MATCH,
	  false,
	  { ENTERED, "nothing\n", END("ok") },
	  false,
	  MACHINE,
	  0x10,
	  CMD_UNMET,
	  NULL },
	{ "an expression that is waited for",
	  RUN_UNTIL_MATCH,
	  false,
	  { ENTERED, "nothing\n" },
	  false,
	  RUN_END_TIMEOUT,
	  NO_PORT,
	  CMD_TIMEOUT,
	  "\"log ?in:\" not matched within 3s; last line: nothing" },
	{ "interrupted",
	  0,
	  false,
	  { ENTERED, STEP("c") },
	  false,
	  RUN_END_INTERRUPTED,
	  NO_PORT,
	  CMD_INTERRUPTED,
	  "by SIGINT in c" },
	{ "a foreign kernel ends",
	  RUN_UNTIL_ENDED,
	  true,
	  { "text\n" },
	  false,
	  MACHINE,
	  NO_PORT,
	  CMD_OK,
	  "the machine ended" },

	/* What a called kernel does is not the verdict. */
	{ "a called kernel writes 0 to the port",
	  0,
	  false,
	  { ENTERED, STEP("c") },
	  false,
	  MACHINE,
	  0,
	  CMD_STAGE_FAILED,
	  "the machine stopped in the middle of c (0 was written to the exit port); that kernel, which is not "
	  "isolated, is the likely cause" },
	{ "or what a stage writes", 0, false, { ENTERED, STEP("c") }, false, MACHINE, 0x10, CMD_STAGE_FAILED, NULL },
	{ "or resets the machine",
	  0,
	  false,
	  { ENTERED, STEP("c") },
	  false,
	  MACHINE,
	  RESET,
	  CMD_STAGE_FAILED,
	  "the machine stopped in the middle of c (it was reset); that kernel, which is not isolated, is the likely "
	  "cause" },
	{ "or brings the stage down",
	  0,
	  false,
	  { ENTERED, STEP("c"), FAULT },
	  false,
	  MACHINE,
	  0x12,
	  CMD_STAGE_FAILED,
	  "c: page fault at 0x10" },
	{ "or says that all is done",
	  0,
	  false,
	  { ENTERED, STEP("c"), END("ok") },
	  false,
	  MACHINE,
	  0x10,
	  CMD_STAGE_FAILED,
	  NULL },
	{ "or that it has exited",
	  0,
	  false,
	  { ENTERED, STEP("c"), EXIT("0") },
	  false,
	  MACHINE,
	  0,
	  CMD_STAGE_FAILED,
	  NULL },
	{ "or that another is booted",
	  0,
	  false,
	  { ENTERED, STEP("c"), BOOT("multiboot1", "\"entered\"") },
	  false,
	  MACHINE,
	  0,
	  CMD_STAGE_FAILED,
	  NULL },
	{ "in an image that was booted as well",
	  0,
	  false,
	  { ENTERED, BOOT("image", "\"entered\""), ENTERED, STEP("c") },
	  false,
	  MACHINE,
	  0,
	  CMD_STAGE_FAILED,
	  NULL },
	{ "a machine that begins anew has stopped",
	  0,
	  false,
	  { ENTERED, STEP("c"), ENTERED, END("ok") },
	  false,
	  MACHINE,
	  NO_PORT,
	  CMD_STAGE_FAILED,
	  "the machine began anew in the middle of c; that kernel, which is not isolated, is the likely cause" },
	{ "an isolated one is not to blame",
	  0,
	  false,
	  { ENTERED, "{\"event\":\"step\",\"name\":\"c\",\"kind\":\"call\",\"source\":\"s\",\"called\":\"svm\"}" },
	  false,
	  MACHINE,
	  NO_PORT,
	  CMD_STAGE_FAILED,
	  "the machine stopped in the middle of c" },

	/* The reason is what ended the run. */
	{ "the error that ended it",
	  0,
	  false,
	  { ENTERED, STEP("c"), ERROR("c", "one"), STEP("d"), ERROR("d", "two"), END("failed") },
	  false,
	  MACHINE,
	  0x12,
	  CMD_STAGE_FAILED,
	  "d: two" },
	{ "not one that was passed over",
	  0,
	  false,
	  { ENTERED, STEP("c"), ERROR("c", "one"), STEP("d"), RESULT("d", "failed"), END("child-failed") },
	  false,
	  MACHINE,
	  0x11,
	  CMD_CHILD_FAILED,
	  "d: because" },
	{ "nor a failure that was",
	  0,
	  false,
	  { ENTERED, STEP("c"), RESULT("c", "timeout"), STEP("d"), RESULT("d", "ok"), END("ok") },
	  false,
	  MACHINE,
	  0x10,
	  CMD_OK,
	  "all steps done" },
	{ "a reboot that was asked for",
	  0,
	  false,
	  { ENTERED, STEP("c"), RESULT("c", "failed"),
	    "{\"event\":\"end\",\"status\":\"child-failed\",\"reason\":\"the machine reboots (on_error)\"}" },
	  false,
	  MACHINE,
	  RESET,
	  CMD_CHILD_FAILED,
	  "c: because; the machine reboots (on_error)" },
};

static void tell(struct run_judge *judge, const char *line)
{
	enum record_event event;
	const char *why;
	if (line[0] != '{') {
		run_judge_text(judge, RECORDS_CONSOLE, line, strlen(line));
		return;
	}
	json_t *doc = record_parse(line, strlen(line), &event, &why);
	assert_non_null(doc);
	(void)run_judge_record(judge, event, doc);
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
		judge.expression = "log ?in:";
		for (size_t line = 0; line < LINES && story->lines[line]; line++)
			tell(&judge, story->lines[line]);
		bool done = run_judge_done(&judge);
		const struct run_ending ending = { story->end, story->port == RESET ? -1 : story->port,
						   story->port == RESET, 3000000, "SIGINT" };
		int code = run_judge_verdict(&judge, &ending);
		if (done != story->done || code != story->code || !judge.reason[0] ||
		    (story->reason && strcmp(story->reason, judge.reason) != 0))
			fail_msg("%s: done %d, exit code %d (%s)", story->name, done, code, judge.reason);
		run_judge_free(&judge);
	}
	regfree(&regex);
}

/* --json lists each step once, whatever became of it. */
static void all_steps_are_listed(void **state)
{
	(void)state;
	static const char *const RECORDS[] = {
		ENTERED,
		STEP("a"),
		ERROR("a", "one"),
		STEP("b"),
		RESULT("b", "failed"),
		"{\"event\":\"step\",\"name\":\"b\",\"kind\":\"call\",\"source\":\"s\",\"retry\":1}",
		RESULT("b", "ok"),
		"{\"event\":\"skipped\",\"step\":\"c\",\"fact\":\"state.x\",\"wanted\":1,\"found\":2}",
		ERROR("d", "not there"),
		END("failed"),
	};
	static const struct {
		const char *step, *status, *reason;
		int retry;
	} WANTED[] = {
		{ "a", "failed", "one", 0 }, { "b", "failed", "because", 0 },   { "b", "ok", "because", 1 },
		{ "c", "skipped", NULL, 0 }, { "d", "failed", "not there", 0 },
	};
	struct run_judge judge;
	run_judge_init(&judge, RUN_UNTIL_READY, NULL, false);
	for (size_t i = 0; i < sizeof(RECORDS) / sizeof(RECORDS[0]); i++)
		tell(&judge, RECORDS[i]);
	assert_int_equal(json_array_size(judge.steps), sizeof(WANTED) / sizeof(WANTED[0]));
	for (size_t i = 0; i < sizeof(WANTED) / sizeof(WANTED[0]); i++) {
		const json_t *step = json_array_get(judge.steps, i), *reason = json_object_get(step, "reason");
		assert_string_equal(json_string_value(json_object_get(step, "step")), WANTED[i].step);
		assert_string_equal(json_string_value(json_object_get(step, "status")), WANTED[i].status);
		assert_int_equal(reason != NULL, WANTED[i].reason != NULL);
		if (reason)
			assert_string_equal(json_string_value(reason), WANTED[i].reason);
		assert_int_equal(json_integer_value(json_object_get(step, "retry")), WANTED[i].retry);
		assert_true(json_is_real(json_object_get(step, "begun_at")));
	}
	run_judge_free(&judge);
}

/* The debug port's text meets an expectation as the console's does, and the lines of the two are apart. */
static void both_channels_are_looked_at(void **state)
{
	(void)state;
	struct run_judge judge;
	run_judge_init(&judge, RUN_UNTIL_READY, NULL, false);
	tell(&judge, BOOT("multiboot1", "{\"console\":\"marker\"}"));
	run_judge_text(&judge, RECORDS_PORT, "mar", 3);
	run_judge_text(&judge, RECORDS_CONSOLE, "ker", 3);
	assert_false(run_judge_done(&judge));
	run_judge_text(&judge, RECORDS_PORT, "ker", 3);
	assert_true(run_judge_done(&judge));
	run_judge_free(&judge);
}

/* What the init of a root says (docs/ROOTS.md), each followed by the machine's end or by the time's. */
static void a_roots_program_is_waited_for(void **state)
{
#define PROGRAM "{\"event\":\"application\",\"argv\":[\"/a\"],\"pid\":77,\"uid\":0,\"gid\":0,\"shell\":false}"
	static const struct {
		const char *lines[LINES];
		enum run_end end;
		int code;
		const char *reason;
	} CASES[] = {
		{ { PROGRAM, EXIT("0") }, MACHINE, CMD_OK, "the program ended with status 0" },
		{ { PROGRAM, "{\"event\":\"exit\",\"status\":0,\"reason\":\"it left much\"}" },
		  MACHINE,
		  CMD_OK,
		  "the program ended with status 0; it left much" },
		{ { PROGRAM, "{\"event\":\"exit\",\"status\":137,\"reason\":\"killed\"}" },
		  MACHINE,
		  CMD_CHILD_FAILED,
		  "b: killed" },
		{ { "{\"event\":\"exit\",\"status\":127,\"reason\":\"/a: not there\"}" },
		  MACHINE,
		  CMD_CHILD_FAILED,
		  "b: /a: not there" },
		{ { PROGRAM }, RUN_END_TIMEOUT, CMD_TIMEOUT, "the program did not end within 3s" },
	};
	(void)state;
	for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
		struct run_judge judge;
		run_judge_init(&judge, RUN_UNTIL_READY, NULL, false);
		judge.root = true;
		tell(&judge, ENTERED);
		tell(&judge,
		     "{\"event\":\"handoff\",\"step\":\"b\",\"doc\":{\"results\":{\"a\":{\"status\":\"ok\"}}}}");
		tell(&judge, "{\"event\":\"boot\",\"step\":\"b\",\"kernel\":\"linux\",\"expect\":\"entered\"}");
		assert_false(run_judge_done(&judge));
		for (size_t line = 0; line < LINES && CASES[i].lines[line]; line++)
			tell(&judge, CASES[i].lines[line]);
		const struct run_ending ending = { CASES[i].end, 0x11, false, 3000000, "SIGINT" };
		assert_int_equal(run_judge_verdict(&judge, &ending), CASES[i].code);
		assert_string_equal(judge.reason, CASES[i].reason);
		const json_t *results = json_object_get(judge.handoff, "results"), *own = json_object_get(results, "b");
		assert_non_null(json_object_get(results, "a"));
		assert_int_equal(own != NULL, CASES[i].lines[1] != NULL);
		if (i == 0)
			assert_int_equal(json_integer_value(json_object_get(json_object_get(own, "result"), "m")), 2);
		run_judge_free(&judge);
	}
}

/* That of an image within the first one, too. */
static void a_root_is_recognised_by_its_kernel(void **state)
{
	static const char *const steps[2] = {
		"{\"event\":\"step\",\"name\":\"b\",\"kind\":\"boot\",\"source\":\"fs:/kchain/linux\"}",
		"{\"event\":\"step\",\"name\":\"b\",\"kind\":\"boot\",\"source\":\"fs:/linux\"}"
	};
	(void)state;
	for (int i = 0; i < 2; i++) {
		struct run_judge judge;
		run_judge_init(&judge, RUN_UNTIL_READY, NULL, false);
		tell(&judge, ENTERED);
		tell(&judge, steps[i]);
		tell(&judge, "{\"event\":\"boot\",\"step\":\"b\",\"kernel\":\"linux\",\"expect\":\"entered\"}");
		assert_int_equal(run_judge_done(&judge), i);
		run_judge_free(&judge);
	}
}

static void a_line_longer_than_the_buffer_still_matches_at_its_end(void **state)
{
	(void)state;
	struct run_judge judge;
	run_judge_init(&judge, RUN_UNTIL_READY, NULL, false);
	tell(&judge, BOOT("multiboot1", "{\"console\":\"marker\"}"));
	for (int i = 0; i < 3 * RUN_LINE_BYTES; i++)
		run_judge_text(&judge, RECORDS_CONSOLE, "x", 1);
	assert_false(run_judge_done(&judge));
	run_judge_text(&judge, RECORDS_CONSOLE, "marker", 6);
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
	static const char console[] = "a\033[2J\xc2\x9b"
				      "b\xc2\033x\x9b"
				      "c\n";
	run_view_text(&view, RECORDS_CONSOLE, console, sizeof(console) - 1);
	fclose(to);
	for (size_t i = 0; i < used; i++) {
		lines += shown[i] == '\n';
		assert_true((unsigned char)shown[i] >= ' ' || shown[i] == '\n');
		assert_false(i && (unsigned char)shown[i - 1] == 0xc2 && ((unsigned char)shown[i] & 0xe0) == 0x80);
	}
	assert_true(chain_is_utf8(shown));
	assert_int_equal(lines, sizeof(LINES_SHOWN) / sizeof(LINES_SHOWN[0]) + 2); /* the hint has a line of its own */
	assert_non_null(strstr(shown, " ab\xef\xbf\xbd"
				      "c\n"));
	free(shown);
}

/* Every byte, and every pair of them, behind every beginning of a sequence; cut anywhere. */
static void a_stream_is_made_plain(void **state)
{
	(void)state;
	static const char *const BEGINNINGS[] = { "",        "a",           "\033",  "\033[",        "\033[1;",
						  "\033]0;", "\033]0;\033", "\033P", "\033(",        "\xc2",
						  "\xe0",    "\xe2\x94",    "\xed",  "\xf0\x9f\x98", "\xf4",
						  "\x9b",    "\xff" };
	for (size_t b = 0; b < sizeof(BEGINNINGS) / sizeof(BEGINNINGS[0]); b++)
		for (unsigned pair = 0; pair < 0x10000; pair++) {
			struct plain_text plain = { 0 };
			char in[16], out[16 * PLAIN_TEXT_MOST];
			size_t count = (size_t)snprintf(in, sizeof(in), "%s", BEGINNINGS[b]), used = 0;
			in[count++] = (char)(pair >> 8);
			in[count++] = (char)pair;
			in[count++] = '\n';
			for (size_t i = 0; i < count; i++)
				used += plain_text_take(&plain, (unsigned char)in[i], out + used);
			assert_true(used > 0 && out[used - 1] == '\n' &&
				    plain.state == PLAIN_GROUND); /* a newline always ends a line */
			out[used] = '\0';
			for (size_t i = 0; i < used; i++)
				out[i] = out[i] == '\n' || out[i] == '\t' ? ' ' : out[i];
			if (!chain_is_utf8(out) || chain_text_has_control(out, used))
				fail_msg("beginning %zu, pair %04x", b, pair);
		}
}

static void what_is_plain_stays(void **state)
{
	(void)state;
	static const struct {
		const char *in, *out;
	} CASES[] = {
		{ "abc \xc3\xa9 \xe2\x94\x82 \xf0\x9f\x98\x80", "abc \xc3\xa9 \xe2\x94\x82 \xf0\x9f\x98\x80" },
		{ "a\tb\r", "a\tb" },
		{ "\033[1;31mred\033[0m", "red" },
		{ "\033]0;title\007x", "x" },
		{ "\033]0;title\033\\x", "x" },
		{ "\033(Bx", "x" },
		{ "\x9b"
		  "2J",
		  "2J" },
		{ "\xc2\x9b"
		  "2J",
		  "2J" },
		{ "caf\xe9!", "caf\xef\xbf\xbd!" },
		{ "\xe2\x94", "" },
		{ "\xed\xa0\x80", "\xef\xbf\xbd" },
		{ "\xe2\033[mx", "\xef\xbf\xbdx" },
	};
	for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
		struct plain_text plain = { 0 };
		char out[64 * PLAIN_TEXT_MOST];
		size_t used = 0;
		for (const char *at = CASES[i].in; *at; at++)
			used += plain_text_take(&plain, (unsigned char)*at, out + used);
		out[used] = '\0';
		assert_string_equal(out, CASES[i].out);
	}
}

/* On a terminal of 80 columns nothing is wider, and no word is lost or cut. */
static void lines_fit_a_terminal(void **state)
{
	(void)state;
	static const char *const TEXTS[] = { "short",
					     "",
					     "x",
					     "one two three four five six seven eight nine ten eleven twelve thirteen "
					     "fourteen fifteen sixteen seventeen eighteen",
					     "exactly-fifty-eight-columns-are-what-fits-behind-the-names",
					     "exactly-fifty-eight-columns-are-what-fits-behind-the-name x",
					     "a-word-that-is-longer-than-any-line-of-the-terminal-is-shown-as-it-is-"
					     "since-it-may-be-a-path and more words behind it to be wrapped again" };
	for (size_t columns = 45; columns < 130; columns++)
		for (size_t i = 0; i < sizeof(TEXTS) / sizeof(TEXTS[0]); i++) {
			char *shown = NULL, joined[512] = "";
			size_t used = 0;
			FILE *to = open_memstream(&shown, &used);
			struct run_view view;
			run_view_init(&view, to, false, false);
			assert_int_equal(view.columns, 0);
			view.columns = columns;
			run_view_note(&view, CMD_RED, "name", "%s", TEXTS[i]);
			fclose(to);
			for (char *line = strtok(shown, "\n"); line; line = strtok(NULL, "\n")) {
				if (strlen(line) > columns && strchr(line + 22, ' '))
					fail_msg("%zu columns: %s", columns, line);
				snprintf(joined + strlen(joined), sizeof(joined) - strlen(joined), "%s%s",
					 *joined ? " " : "", line + 22);
			}
			assert_string_equal(joined, TEXTS[i]);
			free(shown);
		}
}

static void words(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		bool good;
		uint64_t bytes;
	} SIZES[] = { { "0", true, 0 },
		      { "4096", true, 4096 },
		      { "64K", true, 65536 },
		      { "128MiB", true, 128 << 20 },
		      { "1g", true, 1 << 30 },
		      { "", false, 0 },
		      { "K", false, 0 },
		      { "-1", false, 0 },
		      { "1.5M", false, 0 },
		      { "1Q", false, 0 },
		      { "99999999999999999999", false, 0 },
		      { "18446744073709551615K", false, 0 } };
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
	static const struct {
		uint64_t us;
		const char *text;
	} TIMES[] = { { 0, "0us" },      { 1, "1us" },        { 1500, "1500us" },  { 250000, "250ms" },
		      { 3000000, "3s" }, { 90000000, "90s" }, { 120000000, "2m" }, { 3600000000, "1h" } };
	for (size_t i = 0; i < sizeof(TIMES) / sizeof(TIMES[0]); i++) {
		char time[CMD_TIME_BYTES];
		assert_string_equal(cmd_time_text(TIMES[i].us, time), TIMES[i].text);
		assert_true(cmd_time_parse(time, &value) && value == TIMES[i].us);
	}
	assert_false(cmd_size_parse("00000000000000000000000000000000001K", &value));
	assert_true(cmd_address_parse("0xFFffffffffffffff", &value) && value == UINT64_MAX);
	assert_false(cmd_address_parse("0x", &value));
	assert_false(cmd_address_parse("0x10000000000000000", &value));
	assert_true(cmd_address_parse("77", &value) && value == 77);
}

/* What is made of `--disk` and a file with these contents. */
static void disks_are_what_they_contain(void **state)
{
	(void)state;
#define QCOW2_3(features, backing)                                                                                     \
	"QFI\xfb\0\0\0\3\0\0\0\0\0\0\0" backing "\0\0\0\0\0\0\0\20\0\0\0\0\0\0\0\0"                                    \
	"0123456789012345678901234567890123456789"                                                                     \
	"\0\0\0\0\0\0\0" features
	static const struct {
		const char *bytes;
		size_t count;
		const char *options;
		enum chain_status status;
		const char *drive; /* behind id and before the file's name; null: any */
		const char *rest;  /* behind the file's name */
	} CASES[] = {
		{ "", 0, "", CHAIN_OK, "raw", ",readonly=on" },
		{ "QFI", 3, "", CHAIN_OK, "raw", ",readonly=on" },
		{ "QFI\xfb\0\0\0\4", 8, "", CHAIN_OK, "raw", ",readonly=on" }, /* no version that there is */
		{ "QFI\xfb\0\0\0\2", 8, "", CHAIN_OK, "qcow2", ",readonly=on" },
		{ "QFI\xfb\0\0\0\1", 8, "", CHAIN_OK, "qcow", ",readonly=on" },
		{ QCOW2_3("\0", "\0"), 80, "", CHAIN_OK, "qcow2", ",readonly=on" },
		{ QCOW2_3("\0", "\1"), 80, "", CHAIN_E_CMD_DISK_FILES, "qcow2", NULL },
		{ QCOW2_3("\4", "\0"), 80, "", CHAIN_E_CMD_DISK_FILES, "qcow2", NULL },
		{ QCOW2_3("\4", "\1"), 80, ",format=qcow2", CHAIN_OK, "qcow2", ",readonly=on" },
		{ QCOW2_3("\4", "\1"), 80, ",format=raw", CHAIN_OK, "raw", ",readonly=on" },
		{ "KDMV", 4, "", CHAIN_E_CMD_DISK_FILES, "vmdk", NULL },
		{ "# Disk DescriptorFile", 21, ",rw", CHAIN_E_CMD_DISK_FILES, "vmdk", NULL },
		{ "vhdxfile", 8, "", CHAIN_OK, "vhdx", ",readonly=on" },
		{ "conectix", 8, ",rw", CHAIN_OK, "vpc", "" },
		{ "WithoutFreeSpace", 16, ",snapshot", CHAIN_OK, "parallels", ",snapshot=on" },
		{ "x", 1, ",rw,ro", CHAIN_OK, "raw", "" }, /* the first one counts, since the last is taken off first */
		{ "x", 1, ",bus=nvme", CHAIN_OK, "raw", ",readonly=on" },
		{ "x", 1, ",serial=S,bus=nvme,rw", CHAIN_OK, "raw", "" },
		{ "x", 1, ",bus=virtio", CHAIN_OK, "raw", ",readonly=on" },
		{ "x", 1, ",bus=", CHAIN_E_CMD_DISK_BUS, NULL, NULL },
		{ "x", 1, ",bus=scsi", CHAIN_E_CMD_DISK_BUS, NULL, NULL },
		{ "x", 1, ",format=", CHAIN_E_CMD_DISK_FORMAT, NULL, NULL },
		{ "x", 1, ",format=tape", CHAIN_E_CMD_DISK_FORMAT, NULL, NULL },
		{ "x", 1, ",read-only", CHAIN_E_IO, NULL, NULL }, /* a part of the name, which is not there */
	};
	char path[64] = "/tmp/kchain-disk,XXXXXX", text[128], wanted[256];
	int fd = mkstemp(path);
	assert_true(fd >= 0);
	for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
		struct chain_error err = { 0 };
		struct qemu_disk disk;
		assert_int_equal(ftruncate(fd, 0), 0);
		assert_int_equal(pwrite(fd, CASES[i].bytes, CASES[i].count, 0), CASES[i].count);
		snprintf(text, sizeof(text), "%s%s", path, CASES[i].options);
		enum chain_status status = qemu_disk_parse(text, 3, &disk, &err);
		if (status != CASES[i].status)
			fail_msg("case %zu: %s", i, chain_status_slug(status));
		if (status == CHAIN_E_CMD_DISK_FILES)
			assert_string_equal(err.detail, CASES[i].drive);
		if (status)
			continue;
		snprintf(wanted, sizeof(wanted), "if=none,id=kchain-disk3,format=%s,file=/tmp/kchain-disk,,%s%s",
			 CASES[i].drive, strchr(path, ',') + 1, CASES[i].rest);
		assert_string_equal(disk.drive, wanted);
		snprintf(wanted, sizeof(wanted), "drive=kchain-disk3%s",
			 strstr(CASES[i].options, "serial=S") ? ",serial=S" :
			 strstr(CASES[i].options, "bus=nvme") ? ",serial=kchain" :
								"");
		assert_string_equal(disk.device, wanted);
		assert_int_equal(disk.nvme, strstr(CASES[i].options, "bus=nvme") != NULL);
		qemu_disk_free(&disk);
	}
	assert_int_equal(close(fd) | unlink(path), 0);
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
		cmocka_unit_test(verdicts),
		cmocka_unit_test(all_steps_are_listed),
		cmocka_unit_test(both_channels_are_looked_at),
		cmocka_unit_test(a_stream_is_made_plain),
		cmocka_unit_test(what_is_plain_stays),
		cmocka_unit_test(lines_fit_a_terminal),
		cmocka_unit_test(a_roots_program_is_waited_for),
		cmocka_unit_test(a_root_is_recognised_by_its_kernel),
		cmocka_unit_test(a_line_longer_than_the_buffer_still_matches_at_its_end),
		cmocka_unit_test(a_guest_can_not_move_the_cursor),
		cmocka_unit_test(disks_are_what_they_contain),
		cmocka_unit_test(words),
		cmocka_unit_test(slips_are_recognised),
		cmocka_unit_test(sizes_are_short),
		cmocka_unit_test(progress_is_shown_after_a_second_and_then_seldom),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
