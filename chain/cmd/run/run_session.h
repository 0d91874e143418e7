/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: following one boot: bytes in, display and verdict out. What `run` and `watch` have in common.
 * Must not know: QEMU, termios. */
#ifndef KCHAIN_RUN_SESSION_H
#define KCHAIN_RUN_SESSION_H

#include "fault_places.h"
#include "run_judge.h"
#include "run_view.h"

#include <signal.h>

struct run_session_options {
	const char *command;                        /* for usage errors: "run" */
	const char *until;                          /* "ended", "ready" or an expression; null: the default */
	enum run_until otherwise;                   /* the default */
	const char *console;                        /* file that gets a raw copy of the console; null: none */
	const char *result, *bootinfo, *screenshot; /* files; null: none. The last is written by the caller */
	struct fault_places *places;                /* borrowed: says where kernels faulted; null: nobody does */
	uint64_t timeout_us;                        /* 0: none */
	bool json, verbose;
	bool cut;      /* the console ends with the line that was waited for */
	bool local;    /* we start the machine ourselves, so its time begins when the session does */
	bool recorded; /* it is a log of what was: its records' times are the times */
};

struct run_stream {
	struct run_session *session;
	struct records records;
};

struct run_session {
	struct run_session_options options;
	struct run_judge judge;
	struct run_view view;
	struct run_stream streams[RECORDS_CHANNEL_COUNT];
	regex_t regex;
	bool has_regex, heard, closed;
	bool broken;        /* nobody reads what is shown any more */
	bool symbols_lost;  /* it was reported that some can't be read */
	const char *signal; /* that asked us to end; null: none did */
	FILE *copy;         /* of the console */
	uint64_t start_us, boot_us,
		over_us; /* by our clock; boot_us: last `boot` record, over_us: since when it is over; 0: not */
	int signals;     /* signalfd of SIGINT, SIGTERM, SIGHUP and SIGCHLD; -1 */
	sigset_t before;
	char bad[64]; /* why the first bad record was refused */
};

/* Returns -1 or an exit code after an error it printed. SIGINT, SIGTERM, SIGHUP and SIGCHLD are blocked until
 * run_session_close. */
int run_session_open(struct run_session *session, const struct run_session_options *options, bool foreign);
void run_session_console(struct run_session *session, const char *bytes, size_t count);
void run_session_debug(struct run_session *session, const char *bytes, size_t count);

/* Whether to stop now, and why. Also shows an unfinished line that has been there for a while. */
bool run_session_stop(struct run_session *session, enum run_end *out_end);
/* Milliseconds after which run_session_stop should be asked again at the latest. */
int run_session_wait_ms(const struct run_session *session);
/* Reads the signalfd: true when a person or the system asked us to end, or nobody reads what we show. */
bool run_session_interrupted(struct run_session *session);

/* Ends the streams, judges, prints the summary and writes the files. `about` (stolen, nullable) joins the --json
 * document. Returns the exit code. */
int run_session_finish(struct run_session *session, struct run_ending ending, json_t *about);
void run_session_close(struct run_session *session);

uint64_t run_clock_us(void);

#endif
