/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "check_areas.h"

#include <stdlib.h>

static enum chain_status add(struct fs_areas *areas, uint64_t base, uint64_t bytes, uint64_t nid, bool data,
			     struct chain_error *err)
{
	if (!bytes)
		return CHAIN_OK;
	if (areas->count == areas->capacity) {
		size_t capacity = areas->capacity ? areas->capacity * 2 : 64;
		struct fs_area *grown = realloc(areas->v, capacity * sizeof(*grown));

		if (!grown)
			return chain_fail_no_memory(err, FS_SUBJECT, capacity * sizeof(*grown));
		areas->v = grown;
		areas->capacity = capacity;
	}
	areas->v[areas->count++] = (struct fs_area){ base, base + bytes, nid, data };
	return CHAIN_OK;
}

enum chain_status fs_areas_add_node(struct fs_areas *areas, const struct fs *fs, const struct fs_node *node,
				    const struct fs_inode_place *place, struct chain_error *err)
{
	bool data = node->type != FS_DIRECTORY;
	uint64_t tail_bytes = node->tail_offset ? node->size_bytes % fs->block_bytes : 0;
	enum chain_status status =
		add(areas, place->offset, place->inode_bytes + place->xattr_bytes, node->nid, false, err);

	if (!status)
		status = add(areas, node->data_offset, node->size_bytes - tail_bytes, node->nid, data, err);
	return status ? status : add(areas, node->tail_offset, tail_bytes, node->nid, data, err);
}

static int by_base(const void *a, const void *b)
{
	const struct fs_area *left = a, *right = b;

	if (left->base != right->base)
		return left->base < right->base ? -1 : 1;
	return left->nid < right->nid ? -1 : left->nid > right->nid;
}

static enum chain_status overlap(const struct fs_area *area, const struct fs_area *other, struct chain_error *err)
{
	const char *what = area->data  ? "its data lies on the metadata" :
			   other->data ? "its metadata lies on the data" :
					 "its metadata lies on that";

	return CHAIN_FAIL(err, FS_OVERLAP, .subject = FS_SUBJECT, .detail = what, .nid = area->nid,
			  .offset = area->base, .other = other->nid);
}

enum chain_status fs_areas_check(struct fs_areas *areas, struct chain_error *err)
{
	struct fs_area meta = { 0 }, data = { 0 }; /* what reaches furthest of all that begins before */

	if (areas->count)
		qsort(areas->v, areas->count, sizeof(*areas->v), by_base);
	for (size_t i = 0; i < areas->count; i++) {
		const struct fs_area *area = &areas->v[i];

		if (area->base < FS_EROFS_SUPER_OFFSET + sizeof(struct fs_erofs_super))
			return CHAIN_FAIL(err, FS_BAD_INODE, .subject = FS_SUBJECT,
					  .detail = "it lies on the superblock or before it", .nid = area->nid,
					  .value = area->base);
		if (area->base < meta.end)
			return overlap(area, &meta, err);
		if (!area->data && area->base < data.end)
			return overlap(area, &data, err);
		if (area->end > (area->data ? data.end : meta.end))
			*(area->data ? &data : &meta) = *area;
	}
	return CHAIN_OK;
}

void fs_areas_free(struct fs_areas *areas)
{
	free(areas->v);
	*areas = (struct fs_areas){ 0 };
}
