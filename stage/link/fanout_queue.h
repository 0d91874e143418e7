/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: which kernel's turn is next, with what it gets to read, and which take another turn.
 * Must not know: how a turn is taken, or what a kernel left. */
#ifndef STAGE_LINK_FANOUT_QUEUE_H
#define STAGE_LINK_FANOUT_QUEUE_H

#include "chain/fanout.h"
#include "chain/step.h"
#include "stage/fanout.h"

struct fanout_queue {
	const struct chain_step *step; /* borrowed */
	struct chain_fanout_set set;
	struct chain_fanout_texts texts;
	uint32_t unstarted;           /* the first that has had no turn */
	uint32_t *again, again_count; /* owned: those that take another one, the last one first */
	uint8_t *attempts;            /* owned: turns that have ended, by index */
	uint32_t retried;
	bool stopped; /* nothing more is started */
};

enum chain_status fanout_queue_make(struct fanout_queue *queue, const struct chain_step *step,
				    const struct chain_image *image, const struct chain_prepared *prepared,
				    struct chain_error *err) CHAIN_MUST_CHECK;
void fanout_queue_free(struct fanout_queue *queue);

/* The next turn, whose texts stay until the next call; false in *out_any: there is none at the moment. */
enum chain_status fanout_queue_next(struct fanout_queue *queue, struct stage_call_task *out, bool *out_any,
				    struct chain_error *err) CHAIN_MUST_CHECK;
/* A turn has ended. True: that was the kernel's last one. */
bool fanout_queue_end(struct fanout_queue *queue, uint32_t index, bool good);

#endif
