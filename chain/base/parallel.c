/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "chain/parallel.h"

static const struct chain_parallel *others;

void chain_parallel_set(const struct chain_parallel *parallel)
{
	others = parallel;
}

bool chain_parallel_gather(uint64_t bytes)
{
	return others && others->gather(bytes);
}

bool chain_parallel_run(chain_parallel_piece *piece, void *ctx, size_t count)
{
	return others->run(piece, ctx, count);
}
