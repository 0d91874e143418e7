/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: the transports of transport.c, one for each kind of source that is not in memory. Not for others. */
#ifndef STAGE_SOURCES_H
#define STAGE_SOURCES_H

#include "chain/source.h"

/* `ctx`: the disks' entries by the pipeline's names, a JSON object. `rest`: what follows the scheme in `source`. */
typedef enum chain_status stage_source_open(void *ctx, const char *source, const char *rest, struct chain_stream *out,
					    struct chain_error *err);
stage_source_open stage_open_block;

#endif
