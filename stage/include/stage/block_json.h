/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: what the handoff says of a disk (docs/HANDOFF.md). Must not know: drivers. */
#ifndef STAGE_BLOCK_JSON_H
#define STAGE_BLOCK_JSON_H

#include "stage/block.h"

#include <jansson.h>

/* Reads the partition table and describes the disk; new reference. A disk that cannot be read is `present` with the
 * reason, a broken table is part of the description. CHAIN_E_NO_MEMORY. */
enum chain_status stage_block_describe(struct stage_block *dev, json_t **out, struct chain_error *err) CHAIN_MUST_CHECK;

#endif
