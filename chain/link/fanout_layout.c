/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Whether a fan-out fits a machine. */

#include "chain/fanout.h"
#include "chain/guest.h"
#include "chain/range.h"

#include <stdio.h>
#include <stdlib.h>

enum { PAGE = 4096, LOW_END = 0x100000 };

enum chain_status chain_fanout_workers(const struct chain_config_fanout *fanout, const char *subject, size_t count,
				       uint32_t processors, uint32_t *out, struct chain_error *err)
{
	uint64_t others = processors ? processors - 1 : 0, cpus = fanout->cpus ? fanout->cpus : 1;
	if (cpus > 1 && cpus > others)
		return CHAIN_FAIL(err, FANOUT_CPUS, .subject = subject, .cpus = cpus, .needed = cpus + 1,
				  .present = others + 1, .missing = cpus - others);
	/* The boot processor can't be taken back with others; a kernel of one processor it runs, too. */
	uint64_t workers = cpus > 1 ? others / cpus : others + 1;
	if (fanout->concurrency && fanout->concurrency < workers)
		workers = fanout->concurrency;
	*out = (uint32_t)(count < workers ? count : workers);
	return CHAIN_OK;
}

static enum chain_status place(struct chain_claims *claims, const struct chain_bootinfo *machine, uint64_t bytes,
			       enum chain_owner owner, const char *subject, struct chain_range *out,
			       struct chain_error *err)
{
	struct chain_find want = {
		.bytes = bytes, .align = PAGE, .within = { LOW_END, CHAIN_MEMORY_END }, .top_down = true
	};
	uint64_t base;
	enum chain_status status =
		chain_claims_find(claims, NULL, machine->mem, machine->mem_count, &want, subject, &base, err);
	*out = (struct chain_range){ base, base + bytes };
	return status ? status : chain_claims_add(claims, *out, owner, 0, err);
}

static enum chain_status take_what_is_there(struct chain_claims *claims, const struct chain_bootinfo *machine,
					    uint64_t heap_bytes, struct chain_error *err)
{
	struct chain_range heap;
	enum chain_status status = chain_claims_add(claims, machine->image, CHAIN_OWNER_STAGE, 0, err);
	for (size_t i = 0; !status && i < machine->module_count; i++)
		if (!chain_claims_overlap(claims, machine->modules[i].range))
			status = chain_claims_add(claims, machine->modules[i].range, CHAIN_OWNER_BOOT_MODULE,
						  (uint32_t)i, err);
	return status || !heap_bytes ? status :
				       place(claims, machine, heap_bytes, CHAIN_OWNER_HEAP, "heap", &heap, err);
}

static enum chain_status lay_out_fixed(const struct chain_step *step, const struct chain_fixed *fixed,
				       struct chain_claims *claims, struct chain_fanout_layout *out,
				       struct chain_error *err)
{
	enum chain_status status = chain_fixed_check_processors(out->processors, step->source, err);
	out->window_bytes = chain_range_bytes(fixed->window);
	out->windows[0] = fixed->window;
	out->workers = 1;
	return status ? status : chain_fixed_claim(fixed, claims, step->source, err);
}

enum chain_status chain_fanout_lay_out(const struct chain_step *step, size_t count, const struct chain_fixed *fixed,
				       const struct chain_bootinfo *machine, uint64_t heap_bytes,
				       struct chain_fanout_layout *out, struct chain_error *err)
{
	uint32_t workers = 1;
	*out = (struct chain_fanout_layout){ .processors = machine->cpus };
	enum chain_status status =
		fixed ? CHAIN_OK : chain_fanout_workers(&step->fanout, step->name, count, machine->cpus, &workers, err);
	if (status)
		return status;
	size_t capacity = workers + machine->module_count + 2;
	struct chain_claim *storage = calloc(capacity, sizeof(*storage));
	struct chain_claims claims;
	char subject[CHAIN_SUBJECT_BYTES];
	uint64_t native_bytes = (step->memory_bytes + PAGE - 1) & ~(uint64_t)(PAGE - 1);
	out->windows = calloc(workers, sizeof(*out->windows));
	out->window_bytes = step->isolation ? chain_guest_window_bytes(step->memory_bytes) : native_bytes;
	status =
		storage && out->windows ? CHAIN_OK : chain_fail_no_memory(err, step->name, capacity * sizeof(*storage));
	chain_claims_init(&claims, storage, capacity);
	if (!status)
		status = take_what_is_there(&claims, machine, heap_bytes, err);
	if (!status && fixed)
		status = lay_out_fixed(step, fixed, &claims, out, err);
	for (; !status && out->workers < workers; out->workers++) {
		struct chain_error why = { 0 };
		snprintf(subject, sizeof(subject), "%.60s, window %u of %u", step->name, out->workers + 1, workers);
		enum chain_status full = place(&claims, machine, out->window_bytes, CHAIN_OWNER_WINDOW, subject,
					       &out->windows[out->workers], &why);
		if (full && out->workers && !step->fanout.concurrency)
			break; /* fewer at once then */
		if (full) {
			*err = why;
			status = full;
			break;
		}
	}
	free(storage);
	if (status)
		chain_fanout_layout_free(out);
	return status;
}

void chain_fanout_layout_free(struct chain_fanout_layout *layout)
{
	free(layout->windows);
	*layout = (struct chain_fanout_layout){ 0 };
}
