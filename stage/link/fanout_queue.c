/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "fanout_queue.h"

#include <stdlib.h>

enum chain_status fanout_queue_make(struct fanout_queue *q, const struct chain_step *step,
				    const struct chain_image *image, const struct chain_prepared *prepared,
				    struct chain_error *err)
{
	*q = (struct fanout_queue){ .step = step };
	enum chain_status status = chain_fanout_expand(step, image, prepared->handoff, &q->set, err);
	if (!status)
		status = chain_fanout_texts_make(step, &q->set, prepared->handoff, prepared->args, &q->texts, err);
	if (status)
		return status;
	q->texts.quoted = prepared->kind == CHAIN_KERNEL_NATIVE;
	const size_t count = q->set.count, each = sizeof(*q->again) + sizeof(*q->attempts);
	q->again = calloc(count, each);
	q->attempts = (uint8_t *)(q->again + count);
	return q->again ? CHAIN_OK : chain_fail_no_memory(err, step->name, count * each);
}

void fanout_queue_free(struct fanout_queue *q)
{
	free(q->again);
	chain_fanout_texts_free(&q->texts);
	chain_fanout_set_free(&q->set);
}

enum chain_status fanout_queue_next(struct fanout_queue *q, struct stage_call_task *out, bool *out_any,
				    struct chain_error *err)
{
	*out_any = !q->stopped && (q->again_count || q->unstarted < q->set.count);
	if (!*out_any)
		return CHAIN_OK;
	uint32_t index = q->again_count ? q->again[--q->again_count] : q->unstarted++;
	*out = (struct stage_call_task){ .index = index, .attempt = q->attempts[index] };
	size_t bytes = 0;
	enum chain_status status =
		chain_fanout_text(&q->texts, index, out->attempt, &out->handoff, &bytes, &out->args, err);
	out->handoff_bytes = bytes;
	return status;
}

bool fanout_queue_end(struct fanout_queue *q, uint32_t index, bool good)
{
	bool last = good || q->attempts[index]++ >= q->step->retries || q->stopped;
	if (!last) {
		q->again[q->again_count++] = index;
		q->retried++;
	}
	q->stopped = q->stopped || (last && !good && q->step->fanout.stop);
	return last;
}
