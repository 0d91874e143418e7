/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: where the running stage lies, piece by piece, so that it can be started again.
 * Must not know: when that is done. */
#ifndef STAGE_SELF_H
#define STAGE_SELF_H

#include "chain/self.h"

/* `image` is the open, running image. */
enum chain_status stage_self(struct chain_self *out, const struct chain_image *image,
			     struct chain_error *err) CHAIN_MUST_CHECK;

#endif
