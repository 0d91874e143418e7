/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: which partition of a disk a source means. Must not know: drivers, or who opens sources. */
#ifndef STAGE_BLOCK_CHOOSE_H
#define STAGE_BLOCK_CHOOSE_H

#include "chain/block_source.h"
#include "stage/byte_device.h"

#include <jansson.h>

/* `entry` is what stage_block_describe made of the disk that `whole` is. Labels of file systems are read only where the
 * source may mean one. `out`, which borrows `whole`, is the partition.
 * CHAIN_E_SOURCE_DEVICE: there is none, or it ends behind its disk. CHAIN_E_SOURCE_AMBIGUOUS: more than one is meant.
 */
enum chain_status stage_partition_choose(const json_t *entry, const struct stage_byte_device *whole,
					 const struct chain_block_source *wanted, const char *source,
					 struct stage_byte_device *out, struct chain_error *err) CHAIN_MUST_CHECK;

/* CHAIN_E_SOURCE_DEVICE: `what` about `name`, and why (nullable). */
enum chain_status stage_block_unusable(const char *source, const char *what, const char *name, const char *why,
				       struct chain_error *err);

#endif
