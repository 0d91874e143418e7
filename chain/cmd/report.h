/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: what `kchain run --json` says happened, read back as spans of time on one clock.
 * Must not know: how it is drawn or printed. */
#ifndef KCHAIN_REPORT_H
#define KCHAIN_REPORT_H

#include "cmd.h"

enum report_status { REPORT_OK, REPORT_FAILED, REPORT_FAULT, REPORT_TIMEOUT, REPORT_STATUS_COUNT };
const char *report_status_name(enum report_status status);

/* Microseconds since the first link was entered, as the machine counted them where it did; else as the host did. */
struct report_span {
	double begin, end;
	const char *name; /* borrowed from the document */
	enum report_status status;
};

struct report_turn {
	double begin, end;
	uint32_t index, attempt, processor;
	enum report_status status;
};

struct report_fanout {
	const char *name; /* borrowed */
	double begin, end;
	uint64_t count, ok, failed, not_run, retried, workers;
	uint32_t cpus; /* of each kernel: the one that a turn names and those behind it; at least 1 */
	struct report_turn *turns; size_t turn_count; /* owned; in the order in which they ended */
};

struct report {
	json_t *doc; /* owned */
	struct report_span *links; size_t link_count;
	struct report_span *steps; size_t step_count;
	struct report_fanout *fanouts; size_t fanout_count;
	double end;
	uint32_t processors; /* one more than the highest that a turn had */
};

/* CHAIN_E_IO, CHAIN_E_JSON_…, CHAIN_E_REPORT_FORM with the place that is wrong. */
enum chain_status report_read(const char *path, struct report *out, struct chain_error *err) CHAIN_MUST_CHECK;
void report_free(struct report *report);

/* New text, or null when memory ran out. */
char *report_svg(const struct report *report, size_t *out_bytes);

#endif
