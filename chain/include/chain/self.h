/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: the running image as a kernel that is started again where it lies (the source "self:"): its pieces, and
 * checking that they are still what was baked. Must not know: how a stage keeps what it overwrites of itself, how a
 * plan is made. */
#ifndef CHAIN_SELF_H
#define CHAIN_SELF_H

#include "chain/image.h"
#include "chain/plan.h"

/* What errors call it. */
#define CHAIN_SOURCE_SELF "self:"

enum { CHAIN_SELF_PIECES_MAX = 12 };

/* Ascending by address; the first begins at the image's base. */
struct chain_self {
	struct chain_plan_piece pieces[CHAIN_SELF_PIECES_MAX];
	size_t piece_count;
	uint64_t entry; /* physical */
};

/* Appends a piece of memory [phys, phys + memory_bytes) whose first blob->bytes_count bytes are the blob's.
 * CHAIN_E_LIMIT. */
enum chain_status chain_self_add(struct chain_self *self, uint64_t phys, uint64_t memory_bytes,
				 const struct chain_blob *blob, bool keep_rest,
				 struct chain_error *err) CHAIN_MUST_CHECK;
/* Manifest and filesystem of an open image whose first byte lies at `base`: nobody writes to them. */
enum chain_status chain_self_add_contents(struct chain_self *self, const struct chain_image *image, uint64_t base,
					  struct chain_error *err) CHAIN_MUST_CHECK;

/* The pieces as a stage will have them that runs at `base`, from the image's file. Borrows it. Errors of elf.h,
 * CHAIN_E_LIMIT. */
enum chain_status chain_self_from_file(struct chain_self *out, const struct chain_image *image, uint64_t base,
				       struct chain_error *err) CHAIN_MUST_CHECK;

/* Whether the stage's own bytes are those the manifest vouches for, and the header is the one `image` was opened with.
 * Manifest, metadata and files are checked by the stage that starts, as at every entry. CHAIN_E_IMAGE_DIGEST,
 * CHAIN_E_IMAGE_NO_HEADER. */
enum chain_status chain_self_check(const struct chain_self *self, const struct chain_image *image,
				   struct chain_error *err) CHAIN_MUST_CHECK;

#endif
