/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "internal.h"
#include "write_internal.h"

#include <stdlib.h>
#include <string.h>

/* Block numbers have 32 bits, and the superblock counts the blocks in as many. */
#define IMAGE_BYTES_MAX ((uint64_t)UINT32_MAX * FS_BLOCK_BYTES)

void fs_wdir_start(struct fs_wdir *it, const struct fs_writer *writer, uint32_t dir)
{
	it->writer = writer;
	it->dir = dir;
	it->child = writer->nodes[dir].first_child;
	it->dots = 0;
}

bool fs_wdir_peek(const struct fs_wdir *it, struct fs_wentry *out)
{
	static const char dots[] = "..";
	const struct fs_wnode *nodes = it->writer->nodes;
	const struct fs_wnode *child = it->child == FS_NONE ? NULL : &nodes[it->child];

	if (child) {
		out->name = child->path + child->name_offset;
		out->name_bytes = child->path_bytes - child->name_offset;
		out->nid = nodes[child->inode].nid;
		out->type = fs_wnode_type(child);
	}
	if (it->dots == 2)
		return child != NULL;
	if (child && fs_name_compare(out->name, out->name_bytes, dots, it->dots + 1) < 0)
		return true;
	out->name = dots;
	out->name_bytes = it->dots + 1;
	out->nid = nodes[it->dots ? nodes[it->dir].parent : it->dir].nid;
	out->type = FS_DIRECTORY;
	return true;
}

void fs_wdir_take(struct fs_wdir *it)
{
	struct fs_wentry entry;

	if (fs_wdir_peek(it, &entry) && fs_name_is_dot(entry.name, entry.name_bytes))
		it->dots++;
	else
		it->child = it->writer->nodes[it->child].next;
}

uint32_t fs_wdir_take_block(struct fs_wdir *it, uint32_t *out_bytes)
{
	struct fs_wentry entry;
	uint32_t count = 0, bytes = 0;

	while (fs_wdir_peek(it, &entry)) {
		uint32_t more = (uint32_t)sizeof(struct fs_erofs_dirent) + entry.name_bytes;

		if (bytes + more > FS_BLOCK_BYTES)
			break;
		bytes += more;
		count++;
		fs_wdir_take(it);
	}
	*out_bytes = bytes;
	return count;
}

static uint64_t directory_bytes(const struct fs_writer *writer, uint32_t dir)
{
	struct fs_wdir it;
	uint64_t total = 0;
	uint32_t last = 0, bytes;

	fs_wdir_start(&it, writer, dir);
	while (fs_wdir_take_block(&it, &bytes)) {
		total += FS_BLOCK_BYTES; /* every block but the last counts whole */
		last = bytes;
	}
	return total - FS_BLOCK_BYTES + last; /* "." is always there */
}

/* A compact inode has no time of its own, and shorter numbers. */
static bool needs_extended(const struct fs_writer *writer, const struct fs_wnode *node)
{
	if (node->size_bytes > UINT32_MAX || node->nlink > UINT16_MAX)
		return true;
	if (!node->spec)
		return false;
	return node->spec->mtime != writer->build_time || node->spec->mtime_ns != writer->build_time_ns ||
	       node->spec->uid > UINT16_MAX || node->spec->gid > UINT16_MAX;
}

static uint32_t inode_bytes(const struct fs_wnode *node)
{
	return node->xattr_bytes +
	       (uint32_t)(node->extended ? sizeof(struct fs_erofs_extended) : sizeof(struct fs_erofs_compact));
}

/* What fills no block of a directory or link goes behind the inode, in the same block (FLAT_INLINE): metadata is hashed
 * whole at every boot, and a block for each directory would be most of it. A file in the metadata goes there whole or
 * not at all. All others stay on blocks of their own, to be used in place. */
static uint32_t inline_bytes(const struct fs_wnode *node)
{
	uint32_t tail = (uint32_t)(node->size_bytes % FS_BLOCK_BYTES);
	enum fs_area_kind area = fs_wnode_area(node);

	if (area >= FS_AREA_FILES || (area == FS_AREA_META_FILES && tail != node->size_bytes))
		return 0;
	return inode_bytes(node) <= FS_BLOCK_BYTES - tail ? tail : 0;
}

static void measure(struct fs_writer *writer)
{
	const struct fs_spec *root = writer->nodes[0].spec;

	writer->build_time = root ? root->mtime : 0;
	writer->build_time_ns = root ? root->mtime_ns : 0;
	writer->inode_count = 0;
	for (uint32_t i = 0; i < writer->node_count; i++) {
		struct fs_wnode *node = &writer->nodes[i];

		if (node->inode != i)
			continue;
		if (fs_wnode_type(node) == FS_REGULAR)
			node->size_bytes = node->spec->size_bytes;
		else if (fs_wnode_type(node) == FS_SYMLINK)
			node->size_bytes = strlen(node->spec->target);
		else if (fs_wnode_type(node) == FS_DIRECTORY)
			node->size_bytes = directory_bytes(writer, i);
		node->align_bytes = fs_wnode_type(node) == FS_REGULAR ? node->spec->align_bytes : 0;
		node->xattr_bytes = fs_xattrs_bytes(node->spec);
		node->extended = needs_extended(writer, node);
		node->inline_bytes = inline_bytes(node);
		node->number = (uint32_t)++writer->inode_count;
	}
}

/* Whether the node's data may be stored once for several: what is known to be alike, and not changed in place later. */
static bool may_share(const struct fs_wnode *node)
{
	switch (fs_wnode_area(node)) {
	case FS_AREA_LINKS:
		return !node->inline_bytes;
	case FS_AREA_FILES:
		return node->spec->digest && node->size_bytes && !node->spec->reserve_bytes;
	default:
		return false;
	}
}

static bool same_data(const struct fs_wnode *a, const struct fs_wnode *b)
{
	if (fs_wnode_type(a) != fs_wnode_type(b) || a->size_bytes != b->size_bytes)
		return false;
	if (fs_wnode_type(a) == FS_SYMLINK)
		return strcmp(a->spec->target, b->spec->target) == 0;
	return memcmp(a->spec->digest, b->spec->digest, 32) == 0;
}

/* FNV-1a, 64 bits. */
static uint64_t hash_data(const struct fs_wnode *node)
{
	bool link = fs_wnode_type(node) == FS_SYMLINK;
	const uint8_t *bytes = link ? (const uint8_t *)node->spec->target : node->spec->digest;
	uint64_t count = link ? node->size_bytes : 32, hash = 0xcbf29ce484222325;

	for (uint64_t i = 0; i < count; i++)
		hash = (hash ^ bytes[i]) * 0x100000001b3;
	return hash ^ hash >> 32;
}

/* Gives alike files and links one owner of their data, the first in tree order, with the strictest alignment. */
static enum chain_status share_data(struct fs_writer *writer, struct chain_error *err)
{
	size_t slots = 64;
	uint32_t *table;

	while (slots < writer->node_count * 2)
		slots *= 2;
	table = malloc(slots * sizeof(*table));
	if (!table)
		return chain_fail_no_memory(err, "filesystem writer", slots * sizeof(*table));
	memset(table, 0xff, slots * sizeof(*table)); /* FS_NONE */
	for (uint32_t i = 0; i < writer->node_count; i++) {
		struct fs_wnode *node = &writer->nodes[i], *owner;
		size_t at;

		if (node->inode != i || !may_share(node))
			continue;
		at = hash_data(node) & (slots - 1);
		while (table[at] != FS_NONE && !same_data(&writer->nodes[table[at]], node))
			at = (at + 1) & (slots - 1);
		if (table[at] == FS_NONE)
			table[at] = i;
		owner = &writer->nodes[table[at]];
		node->data = table[at];
		if (owner->align_bytes < node->align_bytes)
			owner->align_bytes = node->align_bytes;
	}
	free(table);
	return CHAIN_OK;
}

/* Takes `bytes` at the next multiple of `align` (a power of two) and leaves *cursor behind it, at a block's start. */
static enum chain_status take(uint64_t *cursor, uint64_t bytes, uint64_t align, const char *path, uint64_t *out_offset,
			      struct chain_error *err)
{
	uint64_t offset, end;

	if (__builtin_add_overflow(*cursor, align - 1, &offset))
		return CHAIN_FAIL(err, LIMIT, .subject = path, .detail = "bytes of alignment", .value = align,
				  .limit = IMAGE_BYTES_MAX);
	offset &= ~(align - 1);
	if (__builtin_add_overflow(offset, bytes, &end) || end > IMAGE_BYTES_MAX)
		return CHAIN_FAIL(err, LIMIT, .subject = path, .detail = "bytes", .value = bytes,
				  .limit = IMAGE_BYTES_MAX);
	*out_offset = offset;
	*cursor = (end + FS_BLOCK_BYTES - 1) & ~(uint64_t)(FS_BLOCK_BYTES - 1);
	return CHAIN_OK;
}

/* Inodes follow the superblock. One that fits a block, with what is stored behind it, doesn't cross its end. */
static enum chain_status place_inodes(struct fs_writer *writer, uint64_t *cursor, struct chain_error *err)
{
	uint64_t at = FS_EROFS_SUPER_OFFSET + sizeof(struct fs_erofs_super), unused;

	for (uint32_t i = 0; i < writer->node_count; i++) {
		struct fs_wnode *node = &writer->nodes[i];
		uint64_t bytes, left = FS_BLOCK_BYTES - at % FS_BLOCK_BYTES;

		if (node->inode != i)
			continue;
		bytes = (uint64_t)inode_bytes(node) + node->inline_bytes;
		if (bytes > left && bytes <= FS_BLOCK_BYTES)
			at += left;
		node->nid = at / FS_EROFS_SLOT_BYTES;
		if (node->inline_bytes)
			node->data_offset = at + inode_bytes(node);
		at += (bytes + FS_EROFS_SLOT_BYTES - 1) & ~(uint64_t)(FS_EROFS_SLOT_BYTES - 1);
	}
	return take(cursor, at, FS_BLOCK_BYTES, "the inodes", &unused, err);
}

static enum chain_status place_area(struct fs_writer *writer, enum fs_area_kind area, uint64_t *cursor,
				    struct chain_error *err)
{
	for (uint32_t i = 0; i < writer->node_count; i++) {
		struct fs_wnode *node = &writer->nodes[i];
		uint64_t bytes = node->size_bytes - node->inline_bytes, align = FS_BLOCK_BYTES;
		enum chain_status status;

		if (fs_wnode_area(node) != area || node->inode != i || node->data != i)
			continue;
		if (node->align_bytes > align)
			align = node->align_bytes;
		if (area == FS_AREA_FILES && __builtin_add_overflow(bytes, node->spec->reserve_bytes, &bytes))
			return CHAIN_FAIL(err, LIMIT, .subject = node->spec->path, .detail = "bytes reserved",
					  .value = node->spec->reserve_bytes, .limit = IMAGE_BYTES_MAX);
		if (!bytes)
			continue;
		status = take(cursor, bytes, align, node->spec ? node->spec->path : "a directory", &node->data_offset,
			      err);
		if (status)
			return status;
	}
	return CHAIN_OK;
}

static int compare_placed(const void *a, const void *b)
{
	const struct fs_placed *left = a, *right = b;

	return strcmp(left->spec->path, right->spec->path);
}

static bool is_listed(const struct fs_wnode *node)
{
	return fs_wnode_type(node) == FS_REGULAR || fs_wnode_type(node) == FS_SYMLINK;
}

/* Links are known here; of a file the digest may only come while its data goes by. */
static const uint8_t *digest_of(const struct fs_writer *writer, const struct fs_wnode *node)
{
	struct fs_wnode *owner = &writer->nodes[node->data];

	if (fs_wnode_type(owner) == FS_SYMLINK)
		chain_sha256_of(owner->spec->target, owner->size_bytes, owner->digest);
	else if (!owner->size_bytes)
		chain_verity_of_located(NULL, 0, owner->digest);
	return owner->spec->digest ? owner->spec->digest : owner->digest;
}

/* Copies each owner's place to those it owns data for, and lists them all. */
static enum chain_status list_placed(struct fs_writer *writer, struct chain_error *err)
{
	size_t count = 0;

	for (size_t i = 0; i < writer->node_count; i++)
		count += is_listed(&writer->nodes[i]);
	free(writer->placed);
	writer->placed_count = 0;
	writer->placed = malloc((count + 1) * sizeof(*writer->placed));
	if (!writer->placed)
		return chain_fail_no_memory(err, "filesystem writer", count * sizeof(*writer->placed));
	for (uint32_t i = 0; i < writer->node_count; i++) {
		struct fs_wnode *node = &writer->nodes[i];
		const struct fs_wnode *inode = &writer->nodes[node->inode];

		if (!is_listed(node))
			continue;
		node->data = inode->data;
		node->data_offset = writer->nodes[node->data].data_offset;
		writer->placed[writer->placed_count++] = (struct fs_placed){ .spec = node->spec,
									     .nid = inode->nid,
									     .data_offset = node->data_offset,
									     .size_bytes = inode->size_bytes,
									     .shared = node->data != i,
									     .digest = digest_of(writer, node) };
	}
	qsort(writer->placed, writer->placed_count, sizeof(*writer->placed), compare_placed);
	return CHAIN_OK;
}

enum chain_status fs_writer_layout(struct fs_writer *writer, struct chain_error *err)
{
	uint64_t cursor = 0;
	enum chain_status status;

	if (writer->laid_out)
		return chain_fail_subject(err, CHAIN_E_FS_WRITER_ORDER, "fs_writer_layout");
	status = fs_writer_make_tree(writer, err);
	if (status)
		return status;
	measure(writer);
	status = share_data(writer, err);
	if (!status)
		status = place_inodes(writer, &cursor, err);
	for (enum fs_area_kind area = FS_AREA_DIRECTORIES; !status && area < FS_AREA_FILES; area++)
		status = place_area(writer, area, &cursor, err);
	writer->meta_bytes = cursor;
	if (!status)
		status = place_area(writer, FS_AREA_FILES, &cursor, err);
	writer->image_bytes = cursor;
	if (!status)
		status = list_placed(writer, err);
	writer->laid_out = !status;
	return status;
}

uint64_t fs_writer_image_bytes(const struct fs_writer *writer)
{
	return writer->image_bytes;
}
uint64_t fs_writer_meta_bytes(const struct fs_writer *writer)
{
	return writer->meta_bytes;
}

const struct fs_placed *fs_writer_placed(const struct fs_writer *writer, size_t *out_count)
{
	*out_count = writer->placed_count;
	return writer->placed;
}
