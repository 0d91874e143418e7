/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "fanout_queue.h"

#include <stdlib.h>

enum { PREPARED_AT_ONCE = 16 /* with arguments of their own, which takes about as long as a short turn */ };

enum chain_status fanout_queue_make(struct fanout_queue *q, const struct chain_step *step,
				    const struct chain_image *image, const struct chain_prepared *prepared,
				    struct chain_error *err)
{
	*q = (struct fanout_queue){ .step = step };
	enum chain_status status = chain_fanout_expand(step, image, prepared->fanout, &q->set, err);
	if (!status)
		status = chain_fanout_texts_make(step, &q->set, prepared->handoff, prepared->args, &q->texts, err);
	if (status)
		return status;
	q->texts.quoted = prepared->kind == CHAIN_KERNEL_NATIVE;
	const size_t count = q->set.count;
	const size_t each = sizeof(*q->again.slots) + sizeof(*q->attempts) + sizeof(*q->args);
	q->again.room = (uint32_t)count;
	q->again.slots = calloc(count, sizeof(*q->again.slots));
	q->attempts = calloc(count, sizeof(*q->attempts));
	if (q->texts.args_differ)
		q->args = calloc(count, sizeof(*q->args));
	bool ok = q->again.slots && q->attempts && (q->args || !q->texts.args_differ);
	return ok ? CHAIN_OK : chain_fail_no_memory(err, step->name, count * each);
}

void fanout_queue_free(struct fanout_queue *q)
{
	for (size_t i = 0; q->args && i < q->set.count; i++)
		free(q->args[i]);
	free(q->args);
	free(q->attempts);
	free(q->again.slots);
	chain_fanout_texts_free(&q->texts);
	chain_fanout_set_free(&q->set);
}

/* No processor takes what this one has taken. */
static void stop(struct fanout_queue *q)
{
	uint32_t index;
	q->stopped = true;
	while (tickets_take(&q->again, &index) || tickets_take(&q->first, &index))
		q->dropped++;
}

static bool give(struct fanout_queue *q, struct tickets *tickets, uint32_t index)
{
	if (q->args) {
		free(q->args[index]);
		q->args[index] = NULL;
		if (chain_fanout_args(&q->texts, index, q->attempts[index], &q->args[index], &q->err)) {
			stop(q);
			return false;
		}
	}
	tickets_give(tickets, index);
	return true;
}

static uint32_t filled(const struct tickets *t)
{
	return atomic_load_explicit(&t->filled, memory_order_relaxed);
}

bool fanout_queue_prepare(struct fanout_queue *q)
{
	uint32_t count = q->args ? PREPARED_AT_ONCE : (uint32_t)q->set.count;
	for (; !q->stopped && count && filled(&q->first) < q->set.count; count--)
		if (!give(q, &q->first, filled(&q->first)))
			return false;
	return !q->stopped && filled(&q->first) < q->set.count;
}

bool fanout_queue_take(struct fanout_queue *q, char *texts, struct stage_call_task *out)
{
	uint32_t index;
	if (!tickets_take(&q->again, &index) && !tickets_take(&q->first, &index))
		return false;
	*out = (struct stage_call_task){ .index = index,
					 .attempt = q->attempts[index],
					 .handoff = texts,
					 .args = q->args ? q->args[index] : q->texts.text_args };
	out->handoff_bytes = chain_fanout_handoff(&q->texts, index, out->attempt, texts);
	return true;
}

bool fanout_queue_end(struct fanout_queue *q, uint32_t index, bool good)
{
	bool last = good || q->attempts[index]++ >= q->step->retries || q->stopped;
	q->ended++;
	if (!last && give(q, &q->again, index))
		q->retried++;
	if (last && !good && q->step->fanout.stop)
		stop(q);
	return last;
}

uint32_t fanout_queue_ready(const struct fanout_queue *q)
{
	return tickets_left(&q->first) + tickets_left(&q->again);
}

bool fanout_queue_is_over(const struct fanout_queue *q)
{
	return (q->stopped || filled(&q->first) == q->set.count) &&
	       filled(&q->first) + filled(&q->again) == q->ended + q->dropped;
}
