/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: what `kchain run` wrote about a run, read back as spans of time on one clock.
 * Must not know: how it is drawn or printed.
 *
 * Such a document may come from a stranger, and much of it is what a guest said. What is not of the form that the
 * command gives it is refused or, where a guest could have made it so, left out and counted; all numbers that are kept
 * are within the bounds below. */
#ifndef KCHAIN_REPORT_H
#define KCHAIN_REPORT_H

#include "chain/cmd/cmd.h"
#include "chain/bootinfo.h"
#include "chain/cmd/symbols.h"

enum report_status { REPORT_OK, REPORT_FAILED, REPORT_FAULT, REPORT_TIMEOUT, REPORT_SKIPPED, REPORT_STATUS_COUNT };
const char *report_status_name(enum report_status status);

enum { REPORT_PROCESSORS_MAX = 4096, REPORT_BYTES_MAX = 256 * 1024 * 1024 };
#define REPORT_US_MAX 1e14 /* three years: a time or a duration that is longer is none */

/* Microseconds since the first link was entered, as the machine counted them where it did; else as the host did. begin
 * <= end, both from -REPORT_US_MAX to REPORT_US_MAX. */
struct report_span {
	double begin, end;
	bool timed;                 /* else only the order is known */
	const char *name;           /* borrowed from the document */
	const char *reason, *place; /* borrowed; null: none. `place`: where it faulted */
	enum report_status status;
};

struct report_turn {
	double begin, end;
	uint32_t index, attempt;
	uint32_t processor; /* below REPORT_PROCESSORS_MAX */
	enum report_status status;
};

struct report_fanout {
	const char *name; /* borrowed */
	double begin, end;
	uint64_t count, ok, failed, not_run, retried, workers;
	uint32_t cpus; /* of each kernel: the one that a turn names and those behind it; from 1 to REPORT_PROCESSORS_MAX
			*/
	struct report_turn *turns;
	size_t turn_count;      /* owned; in the order in which they ended */
	const json_t *failures; /* borrowed; groups of kernels that failed alike (docs/PIPELINE.md); null: none */
	double median, p99, most, busy; /* of the turns' durations; busy: their sum */
};

struct report {
	json_t *doc;         /* owned */
	const char *refused; /* borrowed: nothing was started, and why; null: something was */
	bool is_machine;     /* the document says of a machine, not of a run: all below but `machine` is zero */
	struct chain_bootinfo machine; /* owned */
	struct report_span *links;
	size_t link_count;
	struct report_span *steps;
	size_t step_count;
	struct report_fanout *fanouts;
	size_t fanout_count;
	double begin, end;
	uint32_t processors; /* one more than the highest that a turn had; at most 2 * REPORT_PROCESSORS_MAX */
	uint64_t left_out;   /* rows of kernels that say nothing sensible */
};

/* `run --json`, `watch --json`, `run --result` or `run --bootinfo`: what succeeded and what was refused alike.
 * CHAIN_E_IO, CHAIN_E_LIMIT, CHAIN_E_JSON_…, CHAIN_E_REPORT_NONE, CHAIN_E_REPORT_FORM with the place that is wrong,
 * CHAIN_E_BOOTINFO_MEMBER, CHAIN_E_NO_MEMORY. */
enum chain_status report_read(const char *path, const struct symbols_places *symbols, struct report *out,
			      struct chain_error *err) CHAIN_MUST_CHECK;
/* The same of its text; `subject` names it in errors. `symbols`: where those of faulting kernels are looked for, which
 * the document does not say already; null: nowhere. */
enum chain_status report_parse(const char *text, size_t bytes, const char *subject,
			       const struct symbols_places *symbols, struct report *out,
			       struct chain_error *err) CHAIN_MUST_CHECK;
void report_free(struct report *report);

/* For people, and as figures (new; null: no memory). */
void report_print(const struct report *report, FILE *to);
json_t *report_json(const struct report *report);
/* The part of report_print for a document that says of a machine. */
void report_machine_print(const struct report *report, FILE *to);

/* New text, or null when memory ran out. */
char *report_svg(const struct report *report, size_t *out_bytes);

#endif
