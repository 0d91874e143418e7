/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "stage/judge.h"

#include "chain/handoff.h"
#include "chain/json.h"
#include "chain/json_memory.h"
#include "chain/json_write.h"
#include "stage/cpu.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *stage_verdict_name(enum stage_verdict_status status)
{
	static const char *const names[] = { "ok", "failed", "fault", "timeout" };
	return names[status];
}

/* The reason's other bytes stay as they are: this is done for each of a thousand kernels. */
static void begin(struct stage_verdict *out, enum stage_verdict_status status, int exit_status)
{
	out->status = status;
	out->good = status == STAGE_VERDICT_OK;
	out->exit = exit_status;
	out->result = NULL;
	out->reason[0] = '\0';
	out->place_bytes = 0;
}

void stage_verdict_good(struct stage_verdict *out, json_t *result)
{
	begin(out, STAGE_VERDICT_OK, 0);
	out->result = result;
}

/* `format` null: nothing to say. */
static void __attribute__((format(printf, 4, 5)))
rule(struct stage_verdict *out, enum stage_verdict_status status, int exit_status, const char *format, ...)
{
	out->status = status;
	out->exit = exit_status;
	if (!format)
		return;
	va_list args;
	va_start(args, format);
	vsnprintf(out->reason, sizeof(out->reason), format, args);
	va_end(args);
	out->place_bytes = strlen(out->reason);
}

/* What it left is not kept, for that reason. Lack of memory is reported as such: jansson gets some again. */
static void refuse_result(const struct stage_call_result *got, enum chain_status status, const struct chain_error *why,
			  struct stage_verdict *out)
{
	char text[CHAIN_TEXT_BYTES + CHAIN_SUBJECT_BYTES];
	if (status == CHAIN_E_NO_MEMORY) {
		stage_verdict_drop_result(out, got);
		return;
	}
	chain_error_format(why, text, sizeof(text));
	rule(out, STAGE_VERDICT_FAILED, got->exit, "the result%s%s",
	     status == CHAIN_E_JSON_SYNTAX ? " is not JSON" : "", text);
}

/* It ended in good order: what it left in its mailbox counts. */
static void judge_result(const struct stage_call_result *got, struct stage_verdict *out)
{
	struct chain_error why;
	enum chain_status status = got->mailbox_lost ? CHAIN_E_NO_MEMORY : CHAIN_OK;
	why.status =
		CHAIN_OK; /* the rest of it is written with a failure: this is done for each of a thousand kernels */
	if (got->mailbox_claimed > STAGE_CALL_MAILBOX_BYTES) {
		rule(out, STAGE_VERDICT_FAILED, got->exit, "a result of %" PRIu64 " bytes; the mailbox has %d",
		     got->mailbox_claimed, STAGE_CALL_MAILBOX_BYTES);
		return;
	}
	if (got->mailbox)
		status = chain_json_any(got->mailbox, got->mailbox_bytes, CHAIN_RESULT_DEPTH_MAX, "", &out->result,
					&why);
	if (status)
		refuse_result(got, status, &why, out);
	else if (got->exit)
		rule(out, STAGE_VERDICT_FAILED, got->exit, "its exit status is not 0");
	else
		rule(out, STAGE_VERDICT_OK, 0, NULL);
}

static const char *fault_name(const struct stage_call_result *got)
{
	return got->what ? got->what : got->instruction ? "interrupt" : stage_vector_name(got->vector);
}

static void judge_fault(const struct chain_step *step, const struct stage_call_result *got, struct stage_verdict *out)
{
	char number[8] = "", cpu[24] = "", stack[96] = "";
	if (got->instruction)
		snprintf(number, sizeof(number), " %u", (unsigned)got->vector);
	if (step->fanout.cpus > 1)
		snprintf(cpu, sizeof(cpu), ", on cpu %" PRIu32, got->cpu);
	if (got->overflowed)
		snprintf(stack, sizeof(stack), ": its stack of %" PRIu64 " bytes overflowed (kchain_stack_bytes)",
			 got->overflowed);
	rule(out, STAGE_VERDICT_FAULT, -1, "%s%s at 0x%" PRIx64 "%s, address 0x%" PRIx64 ", error code 0x%" PRIx64 "%s",
	     fault_name(got), number, got->rip, stack, got->address, got->error_code, cpu);
	out->place_bytes = strcspn(out->reason, ",");
}

static void judge_end(const struct chain_step *step, const struct stage_call_result *got, struct stage_verdict *out)
{
	switch (got->outcome) {
	case STAGE_CALL_TIMED_OUT:
		if (got->what)
			rule(out, STAGE_VERDICT_TIMEOUT, -1, "it did not return in time: %s (0x%" PRIx64 ")", got->what,
			     got->address);
		else
			rule(out, STAGE_VERDICT_TIMEOUT, -1, "it did not return in time");
		break;
	case STAGE_CALL_REFUSED:
		rule(out, STAGE_VERDICT_FAILED, -1,
		     "it needs %s (0x%" PRIx64 "): not there under isolation svm; at 0x%" PRIx64, got->what,
		     got->address, got->rip);
		break;
	case STAGE_CALL_HALTED: /* a kernel that knows nothing of us has no other way to say that it is done */
		rule(out, STAGE_VERDICT_OK, 0, "%s", got->what ? got->what : "");
		break;
	case STAGE_CALL_FAULTED:
		if (got->what)
			rule(out, STAGE_VERDICT_FAULT, -1, "%s (0x%" PRIx64 ") at 0x%" PRIx64, got->what, got->address,
			     got->rip);
		else
			judge_fault(step, got, out);
		break;
	case STAGE_CALL_DONE:
	case STAGE_CALL_EXITED:
		judge_result(got, out);
		break;
	}
}

void stage_judge(const struct chain_step *step, const struct stage_call_result *got, struct stage_verdict *out)
{
	begin(out, STAGE_VERDICT_OK, -1);
	judge_end(step, got, out);
	out->good = out->status == STAGE_VERDICT_OK;
	if (out->good && step->expect == CHAIN_EXPECT_CONSOLE && !got->marker_seen) {
		out->good = false;
		rule(out, STAGE_VERDICT_FAILED, out->exit, "its text has no \"%.100s\"", step->expect_console);
	}
	if (out->good && step->expect == CHAIN_EXPECT_RESULT &&
	    !chain_result_contains(out->result, step->expect_result)) {
		out->good = false;
		rule(out, STAGE_VERDICT_FAILED, out->exit, "the result is not the expected one");
	}
}

void stage_verdict_drop_result(struct stage_verdict *verdict, const struct stage_call_result *got)
{
	stage_verdict_free(verdict);
	verdict->good = false;
	rule(verdict, STAGE_VERDICT_FAILED, got->exit,
	     "the result of %" PRIu64 " bytes is too large to keep: out of memory", got->mailbox_claimed);
	chain_json_memory_reset();
}

void stage_verdict_free(struct stage_verdict *verdict)
{
	json_decref(verdict->result);
	verdict->result = NULL;
}

static bool add_registers(json_t *fault, const struct stage_call_result *got)
{
	static const char names[] =
		"rax\0rbx\0rcx\0rdx\0rsi\0rdi\0rbp\0r8\0r9\0r10\0r11\0r12\0r13\0r14\0r15\0rsp\0rflags";
	json_t *registers = json_object();
	const char *name = names;
	int bad = 0;
	for (size_t i = 0; i < STAGE_CALL_REGISTERS; i++, name += strlen(name) + 1)
		bad |= json_object_set_new(registers, name, chain_json_hex(got->registers[i]));
	bad |= json_object_set(fault, "registers", registers);
	json_decref(registers);
	return !bad;
}

bool stage_fault_add(json_t *entry, const struct stage_call_result *got, bool registers)
{
	if (got->outcome != STAGE_CALL_FAULTED || !got->located)
		return true;
	json_t *fault = chain_json_object(CHAIN_TEXT("name", fault_name(got)), CHAIN_HEX("rip", got->rip),
					  CHAIN_HEX("address", got->address), CHAIN_INT("cpu", (json_int_t)got->cpu));
	int bad = fault ? 0 : -1;
	if (!got->what) {
		bad |= json_object_set_new(fault, "vector", json_integer(got->vector));
		bad |= json_object_set_new(fault, "error_code", chain_json_hex(got->error_code));
	}
	if (got->overflowed)
		bad |= json_object_set_new(fault, "stack_bytes", json_integer((json_int_t)got->overflowed));
	if (!bad && registers && !add_registers(fault, got))
		bad = -1;
	bad |= json_object_set(entry, "fault", fault);
	json_decref(fault);
	return !bad;
}

json_t *stage_verdict_entry(const struct stage_verdict *verdict, const struct stage_call_result *got)
{
	json_t *entry = chain_result_entry(stage_verdict_name(verdict->status), verdict->exit,
					   json_incref(verdict->result), verdict->reason[0] ? verdict->reason : NULL);
	if (entry && stage_fault_add(entry, got, false))
		return entry;
	json_decref(entry);
	return NULL;
}
