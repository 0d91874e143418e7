/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: what a run has come to, from its records and its console: whether it may stop, and with which exit code.
 * Must not know: QEMU, serial ports, how it is shown. */
#ifndef KCHAIN_RUN_JUDGE_H
#define KCHAIN_RUN_JUDGE_H

#include "records.h"

#include <regex.h>

enum run_until {
	RUN_UNTIL_READY, /* the last step's expectation is met */
	RUN_UNTIL_ENDED, /* the machine has ended */
	RUN_UNTIL_MATCH, /* a line of the console matches */
};

enum run_end {
	RUN_END_STOPPED, /* by us: run_judge_done said so */
	RUN_END_MACHINE, /* the machine ended by itself */
	RUN_END_TIMEOUT,
	RUN_END_INTERRUPTED,
};

/* How a run came to its end. */
struct run_ending {
	enum run_end end;
	int port;           /* RUN_END_MACHINE: what was written to the exit port; -1: nothing */
	bool reset;         /* RUN_END_MACHINE: it was reset, by somebody's request or by a triple fault */
	uint64_t limit_us;  /* RUN_END_TIMEOUT: the time that it had */
	const char *signal; /* RUN_END_INTERRUPTED: "SIGINT"; borrowed */
};

enum {
	RUN_LINE_BYTES = 8192,
	RUN_REASON_BYTES = 512,
	RUN_NAME_BYTES = 128,
	RUN_LAST_BYTES = 160,
	JUDGE_ROWS_MAX = 200000
};

struct run_judge {
	enum run_until until;
	const regex_t *regex;   /* RUN_UNTIL_MATCH; borrowed */
	const char *expression; /* its text; borrowed */
	bool foreign;           /* no kernel of ours: it keeps no records */
	bool root;              /* set by the caller: the image has a root, whose program says how it ends */
	bool brief;             /* set by the caller: `links` and `steps` stay empty, so that memory stays bounded */
	json_t *links, *steps;  /* owned arrays, for --json */
	json_t *rows;           /* owned: of the `kernels` records of the step that runs */
	uint64_t rows_lost;     /* beyond JUDGE_ROWS_MAX */
	uint64_t lacking;       /* something is missing in `links` or `steps`: bytes that there were not */
	double now;             /* seconds since the start by our clock, set by the caller before each record */
	double step_at;         /* when `step` began, by that clock */
	json_int_t step_us;     /* by the machine's; -1: not known */
	json_t *handoff, *bootinfo, *echo; /* owned; null until recorded */
	json_t *exit_result;               /* owned: of the last `exit` record; null: it had none */
	char answered[RUN_NAME_BYTES];     /* the step whose result was recorded last; empty: none */
	unsigned link_count, call_count, boot_count, failed_count, error_count;
	char fault[RUN_REASON_BYTES];   /* of a stage, or of a booted native kernel; empty: none */
	char failure[RUN_REASON_BYTES]; /* what went wrong last, with its step; empty once another step has begun */
	char reason[RUN_REASON_BYTES];  /* of the verdict */
	char step[RUN_NAME_BYTES];      /* begun and not ended */
	bool calling; /* it is a call: the stage waits, and what only a stage or a booted kernel says is not theirs */
	char called[16]; /* how: "native", "fixed", "svm"; empty: not known */
	char source[4 * RUN_NAME_BYTES], digest[CHAIN_DIGEST_TEXT_BYTES]; /* of its kernel; empty: not known */
	json_int_t attempt; /* of a step that is tried again: which time; 0: the first */
	bool restarted;     /* the machine began anew in the middle of a call */
	uint64_t forged;    /* records that came from a called kernel and are a stage's or a booted one's to send */
	struct {
		char text[RUN_LINE_BYTES]; /* as far as it has come; its front is dropped when it is longer */
		size_t used;
	} lines[RECORDS_CHANNEL_COUNT];
	char last[RUN_LAST_BYTES];  /* the last line that was not empty, or its beginning */
	char match[RUN_NAME_BYTES]; /* what of the text met the expectation or the expression */
	bool matched;
	/* Since the last `boot` record: */
	bool booted, entered, reports, native, kernel_known, marker_seen;
	char booted_step[RUN_NAME_BYTES];
	char *marker; /* owned; null: none expected */
	json_t *want; /* owned; the result expected; null: any */
	bool want_success;
	/* Since the last `entered` record: */
	bool ended;
	int end_code;                      /* enum cmd_exit */
	char end_reason[RUN_REASON_BYTES]; /* of the `end` record; empty: none */
	bool exited;
	json_int_t exit_status;
	char exit_reason[RUN_REASON_BYTES]; /* of the `exit` record; empty: none */
	bool application;                   /* a root's program was started */
	bool shell;                         /* a shell in its place */
	bool result_met;
};

void run_judge_init(struct run_judge *judge, enum run_until until, const regex_t *regex, bool foreign);
void run_judge_free(struct run_judge *judge);
/* False: the record can't be the stage's, and nothing was made of it. */
bool run_judge_record(struct run_judge *judge, enum record_event event, const json_t *doc);
void run_judge_text(struct run_judge *judge, enum records_channel from, const char *bytes, size_t count);
/* Whether a kernel was booted that is not one of ours: what it writes, wherever it does, is text. */
bool run_judge_is_foreign(const struct run_judge *judge);

/* Whether what was waited for has happened. */
bool run_judge_done(const struct run_judge *judge);
/* The chain says it is over, so the machine should end by itself at once. */
bool run_judge_over(const struct run_judge *judge);
/* A kernel was booted of which is not known whether it will keep records: worth a short wait, no more. */
bool run_judge_unsure(const struct run_judge *judge);

/* run_verdict.c: the exit code; judge->reason says why in a clause. Only the stage's own end record, and the kernel
 * that was booted last, can make it a good one. */
int run_judge_verdict(struct run_judge *judge, const struct run_ending *ending);

#endif
