/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: the names of facts ("net.lan.address", "results.count.result.n"; docs/PIPELINE.md has the table): which of them
 * a pipeline may name and how sure they are, and their values in a handoff. Must not know: where facts are put or
 * compared. */
#ifndef CHAIN_FACT_H
#define CHAIN_FACT_H

#include "chain/config.h"

enum { CHAIN_FACT_MAX = 200 }; /* characters of a name */

enum chain_certainty { CHAIN_FACT_UNKNOWN, CHAIN_FACT_MAYBE, CHAIN_FACT_ALWAYS };

/* Where a fact is named decides what is known of `self` (a kernel of a fan-out knows more, most of all where each has a
 * file) and of `state`: a text is put in when the pipeline's own state is complete; the state itself is made of what
 * was received and of its own plain values. */
enum chain_fact_use {
	CHAIN_FACT_IN_TEXT,
	CHAIN_FACT_IN_FANOUT,
	CHAIN_FACT_IN_EACH,
	CHAIN_FACT_IN_STATE,
	CHAIN_FACT_IN_WHEN
};

/* UNKNOWN: there is no such fact, or it can't be used so (an object in a text). */
enum chain_certainty chain_fact_certainty(const struct chain_config *config, const char *fact, enum chain_fact_use use);

/* The fact's value in a handoff: a new reference, or null when it is absent, which a JSON null is as well. */
enum chain_status chain_fact_value(const json_t *handoff, const char *fact, json_t **out,
				   struct chain_error *err) CHAIN_MUST_CHECK;

#endif
