/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: reading partition tables: GPT (UEFI 2.10, chapter 5) with its backup, MBR with its extended partitions.
 * Must not know: what the device is. A broken table is a finding, not a failure. */
#ifndef STAGE_BLOCK_PARTITION_H
#define STAGE_BLOCK_PARTITION_H

#include "stage/byte_device.h"

enum { STAGE_PARTITION_LIMIT = 1024, STAGE_MBR_CHAIN_LIMIT = 128, STAGE_GPT_ENTRIES_BYTES = 1024 * 1024 };

struct stage_partition {
	uint32_t index;        /* from 1; MBR's logical partitions from 5 */
	char type[37];         /* GPT: lower-case GUID; MBR: "0x83" */
	char uuid[37];         /* GPT: the partition's GUID; MBR: "1234abcd-01", as Linux forms its PARTUUID */
	char name[36 * 3 + 1]; /* UTF-8; GPT only */
	uint64_t first, sectors;
};

enum stage_table_kind { STAGE_TABLE_NONE, STAGE_TABLE_MBR, STAGE_TABLE_GPT, STAGE_TABLE_BROKEN };

struct stage_partition_table {
	enum stage_table_kind kind;
	char uuid[37];              /* the disk's: GUID, or MBR signature as 8 digits */
	struct chain_error problem; /* why it is broken, or what is wrong though it could be read; CHAIN_OK: nothing */
	struct stage_partition *partitions; /* owned; in table order */
	size_t count;
};

/* Fails only for lack of memory (CHAIN_E_NO_MEMORY); everything else, a read error included, is in out->problem. */
enum chain_status stage_partitions_read(const struct stage_byte_device *device, struct stage_partition_table *out,
					struct chain_error *err) CHAIN_MUST_CHECK;
void stage_partitions_free(struct stage_partition_table *table);
/* "none", "mbr", "gpt", "broken" */
const char *stage_table_kind_name(enum stage_table_kind kind);

#endif
