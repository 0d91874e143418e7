/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: the verdict of a run, and its reason in a clause. */

#include "run_judge.h"

#include "chain/cmd/plain_text.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static int verdict(struct run_judge *judge, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));
static int verdict(struct run_judge *judge, int code, const char *format, ...)
{
	char text[RUN_REASON_BYTES];
	va_list args;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	cmd_text_escape(text, strlen(text), judge->reason, sizeof(judge->reason));
	return code;
}

/* The stage's own end record. */
static int of_end(struct run_judge *judge, int code)
{
	const char *words[] = { [CMD_OK] = "all steps done",
				[CMD_CHILD_FAILED] = "a child failed",
				[CMD_UNMET] = "an expectation was not met" };
	const char *plain =
		code == CMD_OK || code == CMD_CHILD_FAILED || code == CMD_UNMET ? words[code] : "the stage failed";
	if (code != CMD_OK && judge->end_reason[0] && judge->failure[0])
		return verdict(judge, code, "%.240s; %.240s", judge->failure, judge->end_reason);
	if (judge->end_reason[0])
		return verdict(judge, code, "%s", judge->end_reason);
	return verdict(judge, code, "%s", code != CMD_OK && judge->failure[0] ? judge->failure : plain);
}

/* A root's program, or why it is not one, as init said. */
static int of_program(struct run_judge *judge)
{
	const char *reason = judge->exit_reason;
	if (judge->exit_status != 0)
		return verdict(judge, CMD_CHILD_FAILED, "%s: %s", judge->booted_step, *reason ? reason : "it failed");
	if (!judge->result_met)
		return verdict(judge, CMD_UNMET, "the program's result is not the expected one");
	return verdict(judge, CMD_OK, "the program ended with status 0%s%s", *reason ? "; " : "", reason);
}

/* A booted native kernel said how it ended. */
static int of_exit(struct run_judge *judge)
{
	if (judge->application || judge->exit_reason[0])
		return of_program(judge);
	if (judge->exit_status != 0 && judge->fault[0])
		return verdict(judge, CMD_CHILD_FAILED, "%s: %.300s", judge->booted_step, judge->fault);
	if (judge->exit_status != 0)
		return verdict(judge, CMD_CHILD_FAILED, "the kernel exited with status %lld",
			       (long long)judge->exit_status);
	if (!judge->result_met)
		return verdict(judge, CMD_UNMET, "the kernel's result is not the expected one");
	return verdict(judge, CMD_OK, "the kernel exited with status 0");
}

/* The machine stopped at once: by the exit port, a reset or a triple fault. */
static int of_accident(struct run_judge *judge, const struct run_ending *ending)
{
	char how[64] = "";
	const char *blame = "";
	if (judge->fault[0])
		return verdict(judge, judge->native && judge->booted ? CMD_CHILD_FAILED : CMD_STAGE_FAILED,
			       "%s: %.300s",
			       judge->calling                         ? judge->step :
			       judge->booted && judge->booted_step[0] ? judge->booted_step :
									"the stage",
			       judge->fault);
	if (judge->link_count == 0)
		return verdict(judge, CMD_STAGE_FAILED, "the stage did not begin");
	if (ending->port >= 0)
		snprintf(how, sizeof(how), " (%s%x was written to the exit port)", ending->port ? "0x" : "",
			 (unsigned)ending->port);
	else if (ending->reset)
		snprintf(how, sizeof(how), " (it was reset)");
	if (judge->calling && strcmp(judge->called, "svm") != 0)
		blame = "; that kernel, which is not isolated, is the likely cause";
	return verdict(judge, CMD_STAGE_FAILED, "the machine %s in the middle%s%s%s%s",
		       judge->restarted ? "began anew" : "stopped", judge->step[0] ? " of " : "", judge->step, how,
		       blame);
}

/* What a kernel wrote to the exit port that was booted, and has not said otherwise how it ended. */
static int of_port(struct run_judge *judge, int port)
{
	if (judge->native)
		return verdict(judge, CMD_CHILD_FAILED,
			       "%s left no exit record that can be read (%#x was written to the exit port)",
			       judge->booted_step, (unsigned)port);
	if (port == 0 || port == 0x10)
		return judge->want ? verdict(judge, CMD_UNMET, "the kernel left no result") :
				     verdict(judge, CMD_OK, "the kernel exited with status 0");
	return verdict(judge, CMD_CHILD_FAILED, "the kernel exited with status %d", port);
}

/* The machine ended and nobody said why. */
static int of_silence(struct run_judge *judge, const struct run_ending *ending)
{
	const bool failed = judge->want_success && ending->reset;
	if (judge->foreign)
		return verdict(judge, CMD_OK, "the machine ended");
	if (judge->booted && !judge->entered && !judge->reports)
		return verdict(judge, failed ? CMD_CHILD_FAILED : CMD_OK, "%s was entered, and the machine %s",
			       judge->booted_step, failed ? "was reset" : "ended");
	if (judge->booted && judge->native)
		return verdict(judge, CMD_CHILD_FAILED, "%s ended without an exit record%s", judge->booted_step,
			       ending->reset ? " (the machine was reset)" : "");
	if (judge->booted && !judge->entered)
		return verdict(judge, CMD_CHILD_FAILED, "%s did not begin", judge->booted_step);
	return of_accident(judge, ending);
}

/* What was waited for, as the subject of "… within 3s". */
static void awaited(const struct run_judge *judge, char *out, size_t size)
{
	if (judge->until == RUN_UNTIL_MATCH)
		snprintf(out, size, "\"%s\" not matched", judge->expression ? judge->expression : "");
	else if (judge->booted && judge->marker && !judge->marker_seen)
		snprintf(out, size, "\"%s\" not seen", judge->marker);
	else if (judge->step[0])
		snprintf(out, size, "%s did not end", judge->step);
	else if (judge->application)
		snprintf(out, size, "the program did not end");
	else if (judge->booted && (judge->native || (judge->want_success && !judge->reports)))
		snprintf(out, size, "%s did not exit", judge->booted_step);
	else if (judge->booted && judge->reports && !judge->entered)
		snprintf(out, size, "%s did not begin", judge->booted_step);
	else if (judge->foreign || judge->until == RUN_UNTIL_ENDED)
		snprintf(out, size, "the machine did not end");
	else
		snprintf(out, size, judge->link_count ? "the chain did not end" : "the stage did not begin");
}

/* What was waited for did not come: until when, and the last line that did. */
static int of_waiting(struct run_judge *judge, int code, const char *until)
{
	struct plain_text plain = { 0 };
	char what[RUN_REASON_BYTES / 2], last[RUN_LAST_BYTES + PLAIN_TEXT_MOST];
	size_t used = 0;
	for (const char *at = judge->last + strspn(judge->last, " \t"); *at && used < RUN_LAST_BYTES; at++)
		used += plain_text_take(&plain, (unsigned char)*at, last + used);
	last[used] = '\0';
	awaited(judge, what, sizeof(what));
	return verdict(judge, code, "%s %s%s%s", what, until, used ? "; last line: " : "", last);
}

static int of_timeout(struct run_judge *judge, uint64_t limit_us)
{
	char time[CMD_TIME_BYTES], until[CMD_TIME_BYTES + sizeof("within ")];
	snprintf(until, sizeof(until), "within %s", cmd_time_text(limit_us, time));
	return of_waiting(judge, CMD_TIMEOUT, until);
}

static int of_machine(struct run_judge *judge, const struct run_ending *ending)
{
	const int port = ending->port;
	const bool booted_last = judge->foreign || (judge->booted && (!judge->entered || judge->native));
	if (judge->until == RUN_UNTIL_MATCH ||
	    (judge->booted && judge->marker && !judge->marker_seen && !judge->calling))
		return of_waiting(judge, CMD_UNMET, "before the machine ended");
	if (judge->ended)
		return of_end(judge, judge->end_code);
	if (judge->exited)
		return of_exit(judge);
	if (judge->calling || judge->fault[0])
		return of_accident(judge, ending);
	if (port >= 0)
		return booted_last ? of_port(judge, port) : of_accident(judge, ending);
	return of_silence(judge, ending);
}

int run_judge_verdict(struct run_judge *judge, const struct run_ending *ending)
{
	const char *signal = ending->signal ? ending->signal : "a signal";
	if (ending->end == RUN_END_INTERRUPTED)
		return verdict(judge, CMD_INTERRUPTED, "by %s%s%s", signal, judge->step[0] ? " in " : "", judge->step);
	if (judge->until == RUN_UNTIL_MATCH && judge->matched)
		return verdict(judge, CMD_OK, "\"%s\" seen", judge->match);
	if (run_judge_done(judge))
		return judge->marker ? verdict(judge, CMD_OK, "\"%s\" seen", judge->match) :
				       verdict(judge, CMD_OK, "%s was entered", judge->booted_step);
	if (ending->end == RUN_END_STOPPED && run_judge_unsure(judge))
		return verdict(judge, CMD_OK, "%s was entered", judge->booted_step);
	if (ending->end == RUN_END_TIMEOUT)
		return of_timeout(judge, ending->limit_us);
	return of_machine(judge, ending);
}
