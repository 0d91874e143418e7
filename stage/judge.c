/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "stage/judge.h"

#include "chain/handoff.h"
#include "chain/json.h"
#include "stage/cpu.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

const char *stage_verdict_name(enum stage_verdict_status status)
{
	static const char *const names[] = { "ok", "failed", "fault", "timeout" };
	return names[status];
}

/* True, so that it ends a judgement. `format` null: nothing to say. */
static bool __attribute__((format(printf, 4, 5))) rule(struct stage_verdict *out, enum stage_verdict_status status, int exit_status,
						      const char *format, ...)
{
	out->status = status;
	out->exit = exit_status;
	if (!format)
		return true;
	va_list args;
	va_start(args, format);
	vsnprintf(out->reason, sizeof(out->reason), format, args);
	va_end(args);
	return true;
}

/* It ended in good order: what it left in its mailbox counts. */
static bool judge_result(const struct stage_call_result *got, struct stage_verdict *out)
{
	enum chain_status status = CHAIN_OK;
	if (got->mailbox_claimed > STAGE_CALL_MAILBOX_BYTES)
		return rule(out, STAGE_VERDICT_FAILED, got->exit, "a result of %" PRIu64 " bytes; the mailbox has %d", got->mailbox_claimed,
			    STAGE_CALL_MAILBOX_BYTES);
	if (got->mailbox)
		status = chain_json_any(got->mailbox, got->mailbox_bytes, CHAIN_RESULT_DEPTH_MAX, "", &out->result, NULL);
	if (status == CHAIN_E_NO_MEMORY)
		return false;
	if (status)
		return rule(out, STAGE_VERDICT_FAILED, got->exit, "the result is not JSON, or nested too deep");
	if (got->exit)
		return rule(out, STAGE_VERDICT_FAILED, got->exit, "its exit status is not 0");
	return rule(out, STAGE_VERDICT_OK, 0, NULL);
}

static bool judge_end(const struct chain_step *step, const struct stage_call_result *got, struct stage_verdict *out)
{
	char cpu[24] = "";
	switch (got->outcome) {
	case STAGE_CALL_TIMED_OUT:
		return rule(out, STAGE_VERDICT_TIMEOUT, -1, "it did not return in time");
	case STAGE_CALL_REFUSED:
		return rule(out, STAGE_VERDICT_FAILED, -1, "it needs %s (0x%" PRIx64 "): not there under isolation svm; at 0x%" PRIx64,
			    got->what, got->address, got->rip);
	case STAGE_CALL_HALTED: /* a kernel that knows nothing of us has no other way to say that it is done */
		return rule(out, STAGE_VERDICT_OK, 0, "%s", got->what ? got->what : "");
	case STAGE_CALL_FAULTED:
		if (got->what)
			return rule(out, STAGE_VERDICT_FAULT, -1, "%s (0x%" PRIx64 ") at 0x%" PRIx64, got->what, got->address, got->rip);
		if (step->fanout.cpus > 1)
			snprintf(cpu, sizeof(cpu), ", on cpu %" PRIu32, got->cpu);
		return rule(out, STAGE_VERDICT_FAULT, -1, "%s at 0x%" PRIx64 ", address 0x%" PRIx64 ", error code 0x%" PRIx64 "%s",
			    stage_vector_name(got->vector), got->rip, got->address, got->error_code, cpu);
	case STAGE_CALL_DONE:
	case STAGE_CALL_EXITED:
		break;
	}
	return judge_result(got, out);
}

bool stage_judge(const struct chain_step *step, const struct stage_call_result *got, struct stage_verdict *out)
{
	*out = (struct stage_verdict){ .exit = -1 };
	if (!judge_end(step, got, out))
		return false;
	out->good = out->status == STAGE_VERDICT_OK;
	if (out->good && step->expect == CHAIN_EXPECT_RESULT && !chain_result_contains(out->result, step->expect_result)) {
		out->good = false;
		rule(out, STAGE_VERDICT_FAILED, out->exit, "the result is not the expected one");
	}
	return true;
}

void stage_verdict_free(struct stage_verdict *verdict)
{
	json_decref(verdict->result);
	verdict->result = NULL;
}

json_t *stage_verdict_entry(const struct stage_verdict *verdict)
{
	return chain_result_entry(stage_verdict_name(verdict->status), verdict->exit, json_incref(verdict->result),
				  verdict->reason[0] ? verdict->reason : NULL);
}
