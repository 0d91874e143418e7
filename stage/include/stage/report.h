/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: what the stage tells: aligned, timed lines for people on the console and machine records (docs/RECORDS.md) for
 * `kchain run` and `kchain watch`.
 * Must not know: how a console or the record channel works. */
#ifndef STAGE_REPORT_H
#define STAGE_REPORT_H

#include "chain/error.h"

#include <jansson.h>
#include <stdint.h>

/* One line: time since the first link was entered, `what` in a column of its own, the text. */
void stage_say(const char *what, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Sends a record, with the time where the clock's rate is known. Steals `event` (null: memory ran out; said on the
 * console). */
void stage_record_event(json_t *event);
/* The same of members that need not be made an object first: arguments as of chain_json_object (chain/json_write.h). */
#define stage_record_members(...) stage_record_members_of(__VA_ARGS__, 0)
void stage_record_members_of(int kind, ...);

/* The record of a handoff whose text is there already: writing a long history once more would cost more than the call
 * it is for. */
void stage_record_handoff(const char *step, const char *text);

/* A failure, for people and as a record: `step` (nullable) names where in the pipeline. */
void stage_report_error(const char *step, const struct chain_error *err);

#endif
