/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "stage/judge.h"

#include "chain/handoff.h"
#include "chain/json.h"
#include "stage/cpu.h"

#include <inttypes.h>
#include <stdio.h>

/* What a kernel left in its mailbox as an entry of `results`; never null unless memory ran out. */
static json_t *outcome(const struct stage_call_result *got, bool *good)
{
	char reason[160];
	*good = false;
	if (got->outcome == STAGE_CALL_TIMED_OUT)
		return chain_result_entry("timeout", -1, NULL, "it did not return in time");
	if (got->outcome == STAGE_CALL_REFUSED) {
		snprintf(reason, sizeof(reason), "it needs %s (0x%" PRIx64 "): not there under isolation svm; at 0x%" PRIx64, got->what,
			 got->address, got->rip);
		return chain_result_entry("failed", -1, NULL, reason);
	}
	if (got->outcome == STAGE_CALL_HALTED) { /* a kernel that knows nothing of us has no other way to say that it is done */
		*good = true;
		return chain_result_entry("ok", 0, NULL, got->what);
	}
	if (got->outcome == STAGE_CALL_FAULTED && got->what) {
		snprintf(reason, sizeof(reason), "%s (0x%" PRIx64 ") at 0x%" PRIx64, got->what, got->address, got->rip);
		return chain_result_entry("fault", -1, NULL, reason);
	}
	if (got->outcome == STAGE_CALL_FAULTED) {
		snprintf(reason, sizeof(reason), "%s at 0x%" PRIx64 ", address 0x%" PRIx64 ", error code 0x%" PRIx64,
			 stage_vector_name(got->vector), got->rip, got->address, got->error_code);
		return chain_result_entry("fault", -1, NULL, reason);
	}
	if (got->mailbox_claimed > STAGE_CALL_MAILBOX_BYTES) {
		snprintf(reason, sizeof(reason), "a result of %" PRIu64 " bytes; the mailbox has %d", got->mailbox_claimed,
			 STAGE_CALL_MAILBOX_BYTES);
		return chain_result_entry("failed", got->exit, NULL, reason);
	}
	json_t *result = NULL;
	enum chain_status status = CHAIN_OK;
	if (got->mailbox)
		status = chain_json_any(got->mailbox, got->mailbox_bytes, CHAIN_RESULT_DEPTH_MAX, "", &result, NULL);
	if (status == CHAIN_E_NO_MEMORY)
		return NULL;
	if (status)
		return chain_result_entry("failed", got->exit, NULL, "the result is not JSON, or nested too deep");
	*good = got->exit == 0;
	return chain_result_entry(*good ? "ok" : "failed", got->exit, result, *good ? NULL : "its exit status is not 0");
}

json_t *stage_judge(const struct chain_step *step, const struct stage_call_result *got, bool *good)
{
	json_t *entry = outcome(got, good);
	if (!entry || !*good || step->expect != CHAIN_EXPECT_RESULT ||
	    chain_result_contains(json_object_get(entry, "result"), step->expect_result))
		return entry;
	*good = false;
	if (json_object_set_new(entry, "status", json_string("failed")) ||
	    json_object_set_new(entry, "reason", json_string("the result is not the expected one"))) {
		json_decref(entry);
		return NULL;
	}
	return entry;
}
