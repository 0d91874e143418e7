/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: how a run looks to a person: a line a record, the console between them, one column of times.
 * Must not know: what the lines mean for the exit code. */
#ifndef KCHAIN_RUN_VIEW_H
#define KCHAIN_RUN_VIEW_H

#include "chain/cmd/plain_text.h"
#include "records.h"

enum { VIEW_LINE_BYTES = 1024, VIEW_NAME_BYTES = 64 };

/* A line of a channel's text that has not ended yet. */
struct view_line {
	struct plain_text plain;
	char text[VIEW_LINE_BYTES];
	size_t used;
	uint64_t more; /* bytes of it beyond the buffer */
	bool dropping; /* its rest */
};

struct run_view {
	FILE *to;                   /* records; borrowed */
	bool through;               /* the console is a person's terminal: it goes to stdout byte by byte */
	bool raw;                   /* the console's text goes to stdout, beside `to` and without times */
	size_t columns;             /* of the terminal that `to` is; 0: it is none, and lines are as long as they are */
	bool verbose;               /* devices, boot information, and the stage's own console lines as well */
	double now;                 /* seconds since the start by our clock, set by the caller before each call */
	bool untimed;               /* `now` is not known: what is shown is a log without times so far */
	char name[VIEW_NAME_BYTES]; /* of the link that runs */
	char source[VIEW_LINE_BYTES];    /* of the step that was begun */
	char turn[VIEW_NAME_BYTES + 64]; /* which try it is, and what it stands in for; empty: neither */
	double step_at;
	json_int_t step_us; /* -1: not known */
	struct view_line lines[RECORDS_CHANNEL_COUNT];
	bool live;            /* the last line of a terminal shows progress and is to be overwritten */
	double live_at;       /* when it was last shown */
	json_int_t live_done; /* what it showed */
};

void run_view_init(struct run_view *view, FILE *to, bool raw, bool verbose);
/* A time as the lines begin with it. */
enum { RUN_VIEW_TIME_BYTES = 32 };
const char *run_view_time(const struct run_view *view, double at, char out[RUN_VIEW_TIME_BYTES]);
void run_view_record(struct run_view *view, enum record_event event, const json_t *doc);
/* run_view_fanout.c: `groups` is the member `failures` of a fan-out's result; null is allowed. */
/* What went wrong with a group of a fan-out's kernels, and where, as a clause. */
enum { RUN_FAILURE_BYTES = 400 };
void run_view_failure_text(const json_t *group, char out[RUN_FAILURE_BYTES]);
void run_view_failures(struct run_view *view, const json_t *groups);
/* run_view_text.c */
void run_view_text(struct run_view *view, enum records_channel from, const char *bytes, size_t count);
/* Shows unfinished lines, when nothing has come for a while and at the end. */
void run_view_flush(struct run_view *view);
/* A line of progress stands until something else is said. */
void run_view_end_live(struct run_view *view);
/* A line of ours: `what` in the second column. */
void run_view_note(struct run_view *view, enum cmd_style style, const char *what, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/* Whether two streams are shown in one place, so that lines of both must not be mixed up. */
bool run_view_together(FILE *a, FILE *b);

#endif
