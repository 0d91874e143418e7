/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "stage/transport.h"

#include "sources.h"
#include "stage/cpu.h"
#include "stage/pages.h"

#include <string.h>

static uint8_t *take_memory(void *ctx, uint64_t bytes, const char *subject, uint64_t *out_phys, struct chain_error *err)
{
	(void)ctx;
	if (stage_pages_take(bytes, STAGE_PAGE, CHAIN_OWNER_HEAP, subject, out_phys, err))
		return NULL;
	return stage_phys_to_virt(*out_phys);
}

static void give_memory(void *ctx, uint64_t phys, uint64_t bytes)
{
	(void)ctx;
	stage_pages_free(phys, bytes);
}

/* A kind of source that is not in memory is a file in sources/ and a row here, beside the library's. */
static const struct {
	const char *scheme;
	stage_source_open *open;
} rows[] = {
	{ "block:", stage_open_block },
};

static enum chain_status open_source(void *ctx, const char *scheme, const char *source, const char *rest,
				     struct chain_stream *out, struct chain_error *err)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (!strcmp(rows[i].scheme, scheme))
			return rows[i].open(ctx, source, rest, out, err);
	return chain_fail_subject(err, CHAIN_E_SOURCE_ELSEWHERE, source);
}

void stage_transport_init(struct chain_transport *out, const json_t *block)
{
	*out = (struct chain_transport){ .open = open_source,
					 .take_memory = take_memory,
					 .give_memory = give_memory,
					 .ctx = (void *)(uintptr_t)block };
}

static void release(const struct chain_plan *plan, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (chain_claims_remove(stage_pages_claims(), plan->fills[i].dest, NULL))
			stage_panic("the place at %#llx was not claimed", (unsigned long long)plan->fills[i].dest.base);
}

void stage_transport_release(const struct chain_plan *plan)
{
	release(plan, plan->fill_count);
}

/* The places are free: the plan was made with the claims that there are. */
enum chain_status stage_transport_fill(const struct chain_plan *plan, struct chain_error *err)
{
	enum chain_status status = CHAIN_OK;
	size_t claimed = 0;
	while (!status && claimed < plan->fill_count) {
		status = chain_claims_add(stage_pages_claims(), plan->fills[claimed].dest, CHAIN_OWNER_MODULE,
					  plan->fills[claimed].tag, err);
		claimed += !status;
	}
	for (size_t i = 0; !status && i < plan->fill_count; i++)
		status = chain_stream_take(plan->fills[i].stream, &plan->fills[i].pin,
					   stage_phys_to_virt(plan->fills[i].dest.base), NULL, err);
	if (status)
		release(plan, claimed);
	return status;
}
