/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: one line of a results file (docs/SWEEP.md): how an instance ended. Must not know: files, engines. */
#ifndef KCHAIN_SWEEP_OUTCOME_H
#define KCHAIN_SWEEP_OUTCOME_H

#include "chain/error.h"

#include <jansson.h>
#include <stdio.h>

enum outcome_status {
	OUTCOME_OK,
	OUTCOME_FAILED,  /* the chain says so, or broke off */
	OUTCOME_TIMEOUT, /* it had no end in its time */
	OUTCOME_LOST,    /* the engine has: QEMU did not start, or was ended by somebody else */
	OUTCOME_STATUS_COUNT
};
const char *outcome_status_name(enum outcome_status status);

/* Where its time went, in microseconds. */
enum outcome_phase {
	OUTCOME_START, /* from the start of QEMU to the stage's first record */
	OUTCOME_RUN,   /* until the chain was over */
	OUTCOME_STOP,  /* until QEMU was gone */
	OUTCOME_PHASE_COUNT
};
const char *outcome_phase_name(enum outcome_phase phase);

enum { OUTCOME_US_MAX = INT32_MAX, OUTCOME_SLOT_MAX = 1000000, OUTCOME_TRIES_MAX = 1000000, OUTCOME_NODE_BYTES = 65 };

struct outcome {
	uint64_t index;
	enum outcome_status status;
	uint64_t tries;
	uint64_t slot;  /* of the engine: which of those that run at once */
	uint64_t at_us; /* since the sweep began: when its last try did */
	uint64_t phase_us[OUTCOME_PHASE_COUNT];
	uint64_t block;        /* how many instances shared the machine; 1: it had one to itself */
	const json_t *result;  /* borrowed; null: it left none */
	const char *reason;    /* borrowed; null: none, of one that is ok */
	const json_t *console; /* borrowed array of texts: the last lines; null: none */
	const char *node;      /* borrowed; null: this machine */
	json_t *doc;           /* owned, of one that was read: what it borrows */
};

/* One line without its newline: malloc'ed; null: no memory. */
char *outcome_text(const struct outcome *outcome);
/* Reads what outcome_text wrote, and members that it does not know. *out_why gets a clause for a line that is none;
 * CHAIN_E_NO_MEMORY otherwise. On failure nothing is left. */
enum chain_status outcome_parse(const char *line, size_t bytes, struct outcome *out, const char **out_why);
void outcome_free(struct outcome *outcome);

#endif
