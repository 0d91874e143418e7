/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: the grammar of what follows "block:" (docs/PIPELINE.md, "Sources").
 * Must not know: disks. */
#ifndef CHAIN_BLOCK_SOURCE_H
#define CHAIN_BLOCK_SOURCE_H

#include <stdbool.h>
#include <stdint.h>

/* What a partition may be called by. */
enum chain_partition_by {
	CHAIN_PARTITION_INDEX = 1, /* in its table, from 1 */
	CHAIN_PARTITION_UUID = 2,  /* in its table */
	CHAIN_PARTITION_NAME = 4,  /* in its table */
	CHAIN_PARTITION_LABEL = 8, /* of the file system that lies in it */
	CHAIN_PARTITION_ANY = 15,
};

struct chain_block_source {
	char disk[64];          /* the pipeline's name for it */
	char partition[128];    /* what it is called; "": the whole disk */
	unsigned by;            /* of enum chain_partition_by, ORed: by which of them it may be so called */
	uint64_t offset, bytes; /* a piece of it; bytes 0: all of it */
};

/* False: it can't be written so. */
bool chain_block_source_parse(const char *rest, struct chain_block_source *out);

#endif
