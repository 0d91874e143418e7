/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: which kernel's turn is next, with what it gets to read, and which take another turn.
 * Must not know: how a turn is taken, or what a kernel left.
 *
 * The boot processor makes turns ready and hears of their end; every processor takes them. What a turn needs (attempt,
 * arguments) is written before its ticket is given, and stays until the turn has ended. */
#ifndef STAGE_LINK_FANOUT_QUEUE_H
#define STAGE_LINK_FANOUT_QUEUE_H

#include "chain/fanout.h"
#include "chain/step.h"
#include "stage/call.h"
#include "tickets.h"

struct fanout_queue {
	const struct chain_step *step; /* borrowed */
	struct chain_fanout_set set;
	struct chain_fanout_texts texts;
	struct tickets first,
		again;           /* first turns, by index; and those of kernels that take another one: before them */
	uint8_t *attempts;       /* owned: turns that have ended, by index */
	char **args;             /* owned, by index: of turns that are ready or taken; null: all have the same */
	uint32_t ended, dropped; /* turns; tickets that nobody shall take */
	uint32_t retried;
	bool stopped;           /* nothing more is started */
	struct chain_error err; /* why, where its status says so */
};

enum chain_status fanout_queue_make(struct fanout_queue *queue, const struct chain_step *step,
				    const struct chain_image *image, const struct chain_prepared *prepared,
				    struct chain_error *err) CHAIN_MUST_CHECK;
void fanout_queue_free(struct fanout_queue *queue);

/* Makes some of the first turns ready; false: there are no more of them. Where arguments can't be made the queue stops,
 * with the error. */
bool fanout_queue_prepare(struct fanout_queue *queue);
/* On any processor: the next turn, its handoff in `texts`, which has room for chain_fanout_text_bytes; false: there is
 * none at the moment. */
bool fanout_queue_take(struct fanout_queue *queue, char *texts, struct stage_call_task *out);
/* A turn has ended. True: that was the kernel's last one. */
bool fanout_queue_end(struct fanout_queue *queue, uint32_t index, bool good);
uint32_t fanout_queue_ready(const struct fanout_queue *queue);
/* No turn is ready, taken, or still to be made ready. */
bool fanout_queue_is_over(const struct fanout_queue *queue);

#endif
