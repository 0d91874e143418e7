/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: the grammar of what follows "block:" (docs/PIPELINE.md, "Sources").
 * Must not know: disks. */
#ifndef CHAIN_BLOCK_SOURCE_H
#define CHAIN_BLOCK_SOURCE_H

#include <stdbool.h>
#include <stdint.h>

struct chain_block_source {
	char disk[64];          /* the pipeline's name for it */
	char partition[128];    /* number from 1, GUID, or name; "": the whole disk */
	uint64_t offset, bytes; /* a piece of it; bytes 0: all of it */
};

/* False: it can't be written so. */
bool chain_block_source_parse(const char *rest, struct chain_block_source *out);

#endif
