/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "internal.h"

#include <string.h>

int fs_name_compare(const char *a, size_t a_bytes, const char *b, size_t b_bytes)
{
	int order = memcmp(a, b, a_bytes < b_bytes ? a_bytes : b_bytes);

	if (order)
		return order;
	return a_bytes < b_bytes ? -1 : a_bytes > b_bytes;
}

/* One block of a directory: checked so far that its entries lie inside and count is right. */
struct dir_block {
	const uint8_t *bytes;
	uint32_t bytes_count, entry_count;
	uint64_t dir_nid, index; /* for errors */
};

static enum chain_status bad_block(const struct dir_block *block, uint64_t entry, const char *what,
				   struct chain_error *err)
{
	return CHAIN_FAIL(err, FS_BAD_DIRECTORY, .subject = FS_SUBJECT, .detail = what, .inode = block->dir_nid,
			  .block = block->index, .entry = entry);
}

static uint64_t block_count(const struct fs *fs, const struct fs_node *dir)
{
	return dir->size_bytes / fs->block_bytes + (dir->size_bytes % fs->block_bytes != 0);
}

static struct fs_erofs_dirent disk_entry(const struct dir_block *block, uint32_t index)
{
	struct fs_erofs_dirent entry;

	memcpy(&entry, block->bytes + index * sizeof(entry), sizeof(entry));
	return entry;
}

static enum chain_status open_block(const struct fs *fs, const struct fs_node *dir, uint64_t index,
				    struct dir_block *out, struct chain_error *err)
{
	uint64_t start = index * fs->block_bytes;
	uint64_t left = dir->size_bytes - start;
	bool last = left <= fs->block_bytes;
	uint32_t names;

	out->dir_nid = dir->nid;
	out->index = index;
	out->bytes_count = last ? (uint32_t)left : fs->block_bytes;
	out->bytes =
		fs_gate(fs, last && dir->tail_offset ? dir->tail_offset : dir->data_offset + start, out->bytes_count);
	if (!out->bytes)
		return CHAIN_FAIL(err, FS_BAD_EXTENT, .subject = FS_SUBJECT, .nid = dir->nid,
				  .offset = dir->data_offset, .bytes = dir->size_bytes, .total = fs->bytes_count);
	if (out->bytes_count < sizeof(struct fs_erofs_dirent))
		return bad_block(out, 0, "too short for an entry", err);
	names = disk_entry(out, 0).name_offset;
	if (names < sizeof(struct fs_erofs_dirent) || names % sizeof(struct fs_erofs_dirent) ||
	    names >= out->bytes_count)
		return bad_block(out, 0, "the first name is out of place", err);
	out->entry_count = names / (uint32_t)sizeof(struct fs_erofs_dirent);
	return CHAIN_OK;
}

/* Entry `index` < entry_count, "." and ".." included. */
static enum chain_status entry_of_block(const struct dir_block *block, uint32_t index, struct fs_dirent *out,
					struct chain_error *err)
{
	struct fs_erofs_dirent entry = disk_entry(block, index);
	uint32_t names = block->entry_count * (uint32_t)sizeof(entry);
	uint32_t end = block->bytes_count;
	const char *name, *zero;

	if (index + 1 < block->entry_count)
		end = disk_entry(block, index + 1).name_offset;
	if (entry.name_offset < names || end > block->bytes_count || entry.name_offset >= end)
		return bad_block(block, index, "the name lies outside its block", err);
	name = (const char *)block->bytes + entry.name_offset;
	zero = memchr(name, 0, end - entry.name_offset);
	if (zero && index + 1 == block->entry_count)
		end = (uint32_t)((const uint8_t *)zero - block->bytes);
	else if (zero)
		return bad_block(block, index, "the name has a zero byte inside", err);
	out->name = name;
	out->name_bytes = end - entry.name_offset;
	out->nid = entry.nid;
	out->type = entry.type;
	if (out->name_bytes == 0 || out->name_bytes > FS_EROFS_NAME_MAX)
		return bad_block(block, index, "the name is empty or too long", err);
	if (memchr(name, '/', out->name_bytes))
		return bad_block(block, index, "the name has a slash inside", err);
	if (entry.type < FS_REGULAR || entry.type > FS_SYMLINK)
		return bad_block(block, index, "the type is unknown", err);
	return CHAIN_OK;
}

/* `previous` is the entry before, over block ends; its name is null at the very first. */
static enum chain_status visit_block(const struct dir_block *block, struct fs_dirent *previous, fs_visit *visit,
				     void *ctx, struct chain_error *err)
{
	for (uint32_t i = 0; i < block->entry_count; i++) {
		struct fs_dirent entry;
		enum chain_status status = entry_of_block(block, i, &entry, err);

		if (status)
			return status;
		if (previous->name &&
		    fs_name_compare(previous->name, previous->name_bytes, entry.name, entry.name_bytes) >= 0) {
			char name[FS_EROFS_NAME_MAX + 1];

			memcpy(name, entry.name, entry.name_bytes);
			name[entry.name_bytes] = 0;
			return CHAIN_FAIL(err, FS_BAD_ORDER, .subject = FS_SUBJECT, .detail = name,
					  .nid = block->dir_nid, .block = block->index, .entry = i);
		}
		*previous = entry;
		status = visit(ctx, &entry, err);
		if (status)
			return status;
	}
	return CHAIN_OK;
}

enum chain_status fs_dir_visit_all(const struct fs *fs, const struct fs_node *dir, fs_visit *visit, void *ctx,
				   struct chain_error *err)
{
	uint64_t count = block_count(fs, dir);
	struct fs_dirent previous = { 0 };

	if (dir->type != FS_DIRECTORY)
		return chain_fail_text(err, CHAIN_E_FS_NOT_DIRECTORY, FS_SUBJECT, fs_type_name(dir->type));
	for (uint64_t i = 0; i < count; i++) {
		struct dir_block block;
		enum chain_status status = open_block(fs, dir, i, &block, err);

		if (!status)
			status = visit_block(&block, &previous, visit, ctx, err);
		if (status)
			return status;
	}
	return CHAIN_OK;
}

struct skip_dots {
	fs_visit *visit;
	void *ctx;
};

static enum chain_status visit_unless_dot(void *ctx, const struct fs_dirent *entry, struct chain_error *err)
{
	const struct skip_dots *skip = ctx;

	return fs_name_is_dot(entry->name, entry->name_bytes) ? CHAIN_OK : skip->visit(skip->ctx, entry, err);
}

enum chain_status fs_read_dir(const struct fs *fs, const struct fs_node *dir, fs_visit *visit, void *ctx,
			      struct chain_error *err)
{
	struct skip_dots skip = { visit, ctx };

	return fs_dir_visit_all(fs, dir, visit_unless_dot, &skip, err);
}

/* The last block whose first name is not behind `name`; block 0 if there is none. */
static enum chain_status find_block(const struct fs *fs, const struct fs_node *dir, const char *name, size_t name_bytes,
				    struct dir_block *out, struct chain_error *err)
{
	uint64_t low = 0, high = block_count(fs, dir);

	while (high - low > 1) {
		uint64_t middle = low + (high - low) / 2;
		struct fs_dirent first;
		enum chain_status status = open_block(fs, dir, middle, out, err);

		if (!status)
			status = entry_of_block(out, 0, &first, err);
		if (status)
			return status;
		if (fs_name_compare(first.name, first.name_bytes, name, name_bytes) <= 0)
			low = middle;
		else
			high = middle;
	}
	return open_block(fs, dir, low, out, err);
}

enum chain_status fs_dir_find(const struct fs *fs, const struct fs_node *dir, const char *name, size_t name_bytes,
			      uint64_t *out_nid, struct chain_error *err)
{
	struct dir_block block;
	uint32_t low = 0, high;
	enum chain_status status;

	if (!dir->size_bytes)
		return CHAIN_E_FS_NOT_FOUND;
	status = find_block(fs, dir, name, name_bytes, &block, err);
	if (status)
		return status;
	for (high = block.entry_count; low < high;) {
		uint32_t middle = low + (high - low) / 2;
		struct fs_dirent entry;
		int order;

		status = entry_of_block(&block, middle, &entry, err);
		if (status)
			return status;
		order = fs_name_compare(entry.name, entry.name_bytes, name, name_bytes);
		if (order == 0) {
			*out_nid = entry.nid;
			return CHAIN_OK;
		}
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return CHAIN_E_FS_NOT_FOUND;
}
