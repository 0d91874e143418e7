/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: the rows of table.c. Not for others. */
#ifndef CHAIN_SOURCES_H
#define CHAIN_SOURCES_H

#include "chain/source.h"

extern const struct chain_source_row chain_source_block, chain_source_fs, chain_source_module, chain_source_self;

#endif
