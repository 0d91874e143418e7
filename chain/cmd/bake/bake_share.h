/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: what one bake leaves for the next ones of the same run, so that a file which many images have in common is
 * read, hashed and looked at once: digests of files, where they lie in the image baked last, and which kernels were
 * found good. Grows with the number of different files, not with their sizes or the number of images.
 *
 * What is shared is copied out of the last image, where it has the digest that was seen, and not out of the file: an
 * image is whole even where a file that seems the same (bake_known.h) is not. Where memory is short, less is shared. */
#ifndef KCHAIN_BAKE_SHARE_H
#define KCHAIN_BAKE_SHARE_H

#include "bake_known.h"
#include "chain/image.h"

struct bake_share {
	int fd;                     /* the image baked last; -1: none */
	struct bake_identity image; /* of it, when it was finished */
	struct bake_table table;
	struct bake_good {
		uint8_t digest[CHAIN_SHA256_BYTES];
		enum chain_kernel_kind kind;
	} * good;
	size_t good_count, good_room;
};

void bake_share_init(struct bake_share *share);
void bake_share_free(struct bake_share *share);

/* To be called before a bake: where somebody has written to the image baked last, nothing is copied from it. */
void bake_share_recheck(struct bake_share *share);
/* Null when it is not known. Borrowed until the next bake_share_start. */
const struct bake_known *bake_share_find(const struct bake_share *share, const struct bake_identity *identity);

/* Begins to tell of a finished image; takes `fd`. Then each file in it is added. */
void bake_share_start(struct bake_share *share, int fd);
bool bake_share_add(struct bake_share *share, const struct bake_known *file);
void bake_share_finish(struct bake_share *share);

/* Kernels that were checked. */
bool bake_share_is_good(const struct bake_share *share, const uint8_t digest[CHAIN_SHA256_BYTES],
			enum chain_kernel_kind *out);
void bake_share_good(struct bake_share *share, const uint8_t digest[CHAIN_SHA256_BYTES], enum chain_kernel_kind kind);

#endif
