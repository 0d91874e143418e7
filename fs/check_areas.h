/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: which bytes of an image belong to what, so that check.c can say where two claims collide: metadata belongs to
 * one inode, data may be that of several, but never metadata as well. Uses malloc. */
#ifndef FS_CHECK_AREAS_H
#define FS_CHECK_AREAS_H

#include "internal.h"

struct fs_area {
	uint64_t base, end; /* in the image */
	uint64_t nid;
	bool data;
};
struct fs_areas {
	struct fs_area *v; /* owned; begins as all zeros */
	size_t count, capacity;
};

/* The bytes of an inode, its attributes and what it holds, all of which were found inside the image. */
enum chain_status fs_areas_add_node(struct fs_areas *areas, const struct fs *fs, const struct fs_node *node,
				    const struct fs_inode_place *place, struct chain_error *err) CHAIN_MUST_CHECK;
/* CHAIN_E_FS_OVERLAP; n log n in the number of areas, whose order it changes. */
enum chain_status fs_areas_check(struct fs_areas *areas, struct chain_error *err) CHAIN_MUST_CHECK;
void fs_areas_free(struct fs_areas *areas);

#endif
