/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: what the outcome of a call comes to: a verdict, and that as an entry of `results`.
 * Must not know: how the call was made. */
#ifndef STAGE_JUDGE_H
#define STAGE_JUDGE_H

#include "chain/config.h"
#include "stage/call.h"

enum stage_verdict_status { STAGE_VERDICT_OK, STAGE_VERDICT_FAILED, STAGE_VERDICT_FAULT, STAGE_VERDICT_TIMEOUT };

struct stage_verdict {
	enum stage_verdict_status status;
	bool good;          /* what the step expects */
	int exit;           /* -1: it left none */
	json_t *result;     /* owned; null: none */
	char reason[192];   /* empty: nothing to say */
	size_t place_bytes; /* of the reason: what and where; behind it, what may differ each time the same goes wrong
			     */
};

/* Whatever the kernel left, and where there is no memory for it, too: that is the kernel's own failure. A text that the
 * step expects was seen, or not, as `got` says. */
void stage_judge(const struct chain_step *step, const struct stage_call_result *got, struct stage_verdict *out);
/* It is good for sure, and left `result`, which is stolen. */
void stage_verdict_good(struct stage_verdict *out, json_t *result);
/* There is no room to keep its result: it fails for that. Nothing is owned then. */
void stage_verdict_drop_result(struct stage_verdict *verdict, const struct stage_call_result *got);
void stage_verdict_free(struct stage_verdict *verdict);

const char *stage_verdict_name(enum stage_verdict_status status);
/* {"status", "exit", "result" | "reason", "fault"?}: new reference; null when memory ran out. `got` is what was judged.
 */
json_t *stage_verdict_entry(const struct stage_verdict *verdict, const struct stage_call_result *got);
/* Where the kernel faulted, as the entry's member `fault` (docs/RECORDS.md), with its registers on demand; nothing
 * where it did not, or nothing is known of the place. False when memory ran out. */
bool stage_fault_add(json_t *entry, const struct stage_call_result *got, bool registers);

#endif
