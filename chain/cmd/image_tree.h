/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: going through what is in an image: its folders, and the images in it. How deep either may be is the same for
 * who bakes, verifies and lists. Must not know: what is done with what is found. */
#ifndef KCHAIN_IMAGE_TREE_H
#define KCHAIN_IMAGE_TREE_H

#include "chain/image.h"

/* Calls `visit` (nullable) for what is at `path` and below, a folder in front of what is in it. The whole filesystem is
 * checked first (fs_check), so that a folder with two parents is not gone through as often as there are ways to it. A
 * path of more than CHAIN_IMAGE_PATH_BYTES - 1 bytes is CHAIN_E_LIMIT: there is no other limit on how deep folders are.
 */
typedef enum chain_status image_tree_visit(void *ctx, const char *path, const struct fs_node *node,
					   struct chain_error *err);
enum chain_status image_tree_walk(const struct fs *fs, const char *path, image_tree_visit *visit, void *ctx,
				  struct chain_error *err) CHAIN_MUST_CHECK;

/* So many images may be in each other, the outermost one counted. */
enum { IMAGE_NESTING_MAX = 64 };

/* An image in a file of an image. */
struct image_child {
	struct chain_manifest_entry entry;
	const uint8_t *bytes;
	uint64_t bytes_count;
};
/* Those of one image, each once, whatever names it has; new, to be freed. CHAIN_E_NO_MEMORY. */
enum chain_status image_children_find(const struct chain_image *image, struct image_child **out, size_t *out_count,
				      struct chain_error *err) CHAIN_MUST_CHECK;
/* False where it does not fit. */
bool image_child_path(const struct image_child *child, char out[CHAIN_IMAGE_PATH_BYTES]);

/* CHAIN_E_LIMIT when there is an image in the `depth`-th (from 1) of images in each other for which there is no room.
 * `bytes` are those of the `depth`-th; what is no sound image in it is left to those who verify. */
enum chain_status image_nesting_check(const uint8_t *bytes, uint64_t bytes_count, unsigned depth,
				      struct chain_error *err) CHAIN_MUST_CHECK;

#endif
