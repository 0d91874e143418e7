/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "internal.h"

#include <string.h>

static const struct {
	uint32_t mode;
	enum fs_type type;
	const char *name;
} file_types[] = {
	{ FS_MODE_REGULAR, FS_REGULAR, "a file" },
	{ FS_MODE_DIRECTORY, FS_DIRECTORY, "a directory" },
	{ FS_MODE_SYMLINK, FS_SYMLINK, "a symbolic link" },
	{ FS_MODE_CHAR, FS_CHAR_DEVICE, "a character device" },
	{ FS_MODE_BLOCK, FS_BLOCK_DEVICE, "a block device" },
	{ FS_MODE_FIFO, FS_FIFO, "a FIFO" },
	{ FS_MODE_SOCKET, FS_SOCKET, "a socket" },
};
enum { FILE_TYPE_COUNT = sizeof(file_types) / sizeof(file_types[0]) };

const char *fs_type_name(enum fs_type type)
{
	for (size_t i = 0; i < FILE_TYPE_COUNT; i++)
		if (file_types[i].type == type)
			return file_types[i].name;
	return "of unknown type";
}

static bool has_data(enum fs_type type)
{
	return type == FS_REGULAR || type == FS_DIRECTORY || type == FS_SYMLINK;
}

/* The fields that both forms have, in the wider one. */
static void widen(const struct fs *fs, const struct fs_erofs_compact *compact, struct fs_erofs_extended *out)
{
	memset(out, 0, sizeof(*out));
	out->format = compact->format;
	out->xattr_count = compact->xattr_count;
	out->mode = compact->mode;
	out->size = compact->size;
	out->start_block = compact->start_block;
	out->uid = compact->uid;
	out->gid = compact->gid;
	out->mtime = fs->build_time;
	out->mtime_ns = fs->build_time_ns;
	out->nlink = compact->nlink;
}

static enum chain_status load(const struct fs *fs, uint64_t nid, struct fs_erofs_extended *disk,
			      struct fs_inode_place *place, struct chain_error *err)
{
	struct fs_erofs_compact compact;
	const uint8_t *at;

	if (nid >= (fs->bytes_count - fs->meta_base) / FS_EROFS_SLOT_BYTES)
		return CHAIN_FAIL(err, FS_BAD_NID, .subject = FS_SUBJECT, .nid = nid, .total = fs->bytes_count);
	place->offset = fs->meta_base + nid * FS_EROFS_SLOT_BYTES;
	place->inode_bytes = sizeof(compact);
	at = fs_gate(fs, place->offset, sizeof(compact));
	if (!at)
		return CHAIN_FAIL(err, FS_BAD_NID, .subject = FS_SUBJECT, .nid = nid, .total = fs->bytes_count);
	memcpy(&compact, at, sizeof(compact));
	if (compact.format & ~FS_EROFS_FORMAT_BITS)
		return CHAIN_FAIL(err, NOT_SUPPORTED, .subject = FS_SUBJECT,
				  .detail = "an inode format newer than this program");
	if ((compact.format & FS_EROFS_FORM_MASK) == FS_EROFS_FORM_COMPACT) {
		widen(fs, &compact, disk);
		return CHAIN_OK;
	}
	place->inode_bytes = sizeof(*disk);
	at = fs_gate(fs, place->offset, sizeof(*disk));
	if (!at)
		return CHAIN_FAIL(err, FS_BAD_NID, .subject = FS_SUBJECT, .nid = nid, .total = fs->bytes_count);
	memcpy(disk, at, sizeof(*disk));
	return CHAIN_OK;
}

static enum chain_status bad_extent(const struct fs *fs, uint64_t nid, uint64_t offset, uint64_t count,
				    struct chain_error *err)
{
	return CHAIN_FAIL(err, FS_BAD_EXTENT, .subject = FS_SUBJECT, .nid = nid, .offset = offset, .bytes = count,
			  .total = fs->bytes_count);
}

/* FLAT_INLINE: whole blocks from start_block, the rest behind the inode, in the inode's own block. */
static enum chain_status place_inline(const struct fs *fs, const struct fs_inode_place *place, struct fs_node *node,
				      uint64_t start, struct chain_error *err)
{
	uint64_t tail_bytes = node->size_bytes % fs->block_bytes;
	uint64_t whole_bytes = node->size_bytes - tail_bytes;
	uint64_t tail = place->offset + place->inode_bytes + place->xattr_bytes;

	/* A size of whole blocks would make a whole block inline, which no writer does. */
	if (tail_bytes == 0 || tail_bytes > fs->block_bytes - tail % fs->block_bytes)
		return CHAIN_FAIL(err, FS_BAD_INLINE, .subject = FS_SUBJECT, .nid = node->nid, .offset = tail,
				  .bytes = tail_bytes);
	if (!fs_gate(fs, tail, tail_bytes))
		return bad_extent(fs, node->nid, tail, tail_bytes, err);
	if (!whole_bytes) {
		node->data_offset = tail;
		return CHAIN_OK;
	}
	if (!fs_gate(fs, start, whole_bytes))
		return bad_extent(fs, node->nid, start, whole_bytes, err);
	node->data_offset = start;
	node->tail_offset = tail;
	return CHAIN_OK;
}

static enum chain_status place_data(const struct fs *fs, const struct fs_inode_place *place,
				    const struct fs_erofs_extended *disk, struct fs_node *node, struct chain_error *err)
{
	uint64_t start = (uint64_t)disk->start_block * fs->block_bytes;

	switch (place->layout) {
	case FS_EROFS_FLAT_PLAIN:
	case FS_EROFS_FLAT_INLINE:
		break;
	case FS_EROFS_COMPRESSED_FULL:
	case FS_EROFS_COMPRESSED_COMPACT:
		return CHAIN_FAIL(err, NOT_SUPPORTED, .subject = FS_SUBJECT, .detail = "a compressed file");
	case FS_EROFS_CHUNKED:
		return CHAIN_FAIL(err, NOT_SUPPORTED, .subject = FS_SUBJECT, .detail = "a chunked file");
	default:
		return CHAIN_FAIL(err, NOT_SUPPORTED, .subject = FS_SUBJECT,
				  .detail = "a data layout newer than this program");
	}
	node->size_bytes = disk->size;
	if (!node->size_bytes) /* writers leave any block number here */
		return CHAIN_OK;
	if (place->layout == FS_EROFS_FLAT_INLINE)
		return place_inline(fs, place, node, start, err);
	if (!fs_gate(fs, start, node->size_bytes))
		return bad_extent(fs, node->nid, start, node->size_bytes, err);
	node->data_offset = start;
	return CHAIN_OK;
}

static enum chain_status decode(const struct fs_erofs_extended *disk, struct fs_node *node, struct chain_error *err)
{
	size_t i = 0;

	while (i < FILE_TYPE_COUNT && file_types[i].mode != (disk->mode & FS_MODE_TYPE))
		i++;
	if (i == FILE_TYPE_COUNT)
		return CHAIN_FAIL(err, FS_BAD_MODE, .subject = FS_SUBJECT, .nid = node->nid, .mode = disk->mode);
	node->type = file_types[i].type;
	node->mode = disk->mode & FS_MODE_PERMISSIONS;
	node->uid = disk->uid;
	node->gid = disk->gid;
	node->nlink = disk->nlink;
	node->mtime = disk->mtime;
	node->mtime_ns = disk->mtime_ns;
	if (node->type == FS_CHAR_DEVICE || node->type == FS_BLOCK_DEVICE)
		node->rdev = disk->start_block;
	return CHAIN_OK;
}

enum chain_status fs_inode_read(const struct fs *fs, uint64_t nid, struct fs_node *out, struct fs_inode_place *place,
				struct chain_error *err)
{
	struct fs_erofs_extended disk = { 0 };
	enum chain_status status;

	memset(out, 0, sizeof(*out));
	memset(place, 0, sizeof(*place));
	out->nid = nid;
	status = load(fs, nid, &disk, place, err);
	if (!status)
		status = decode(&disk, out, err);
	if (status)
		return status;
	place->layout = (uint32_t)(disk.format >> FS_EROFS_LAYOUT_SHIFT) & FS_EROFS_LAYOUT_MASK;
	if (disk.xattr_count)
		place->xattr_bytes = (uint32_t)sizeof(struct fs_erofs_xattr_header) + 4u * (disk.xattr_count - 1u);
	if (!fs_gate(fs, place->offset, place->inode_bytes + place->xattr_bytes))
		return bad_extent(fs, nid, place->offset, place->inode_bytes + place->xattr_bytes, err);
	return has_data(out->type) ? place_data(fs, place, &disk, out, err) : CHAIN_OK;
}

enum chain_status fs_node_read(const struct fs *fs, uint64_t nid, struct fs_node *out, struct chain_error *err)
{
	struct fs_inode_place place;

	return fs_inode_read(fs, nid, out, &place, err);
}

enum chain_status fs_file_bytes(const struct fs *fs, const struct fs_node *node, const uint8_t **out_bytes,
				uint64_t *out_count, struct chain_error *err)
{
	const uint8_t *at;

	if (node->type != FS_REGULAR && node->type != FS_SYMLINK)
		return CHAIN_FAIL(err, FS_NOT_FILE, .subject = FS_SUBJECT, .detail = fs_type_name(node->type),
				  .nid = node->nid);
	if (node->tail_offset)
		return CHAIN_FAIL(err, FS_NOT_CONTIGUOUS, .subject = FS_SUBJECT, .nid = node->nid);
	at = fs_gate(fs, node->data_offset, node->size_bytes);
	if (!at)
		return bad_extent(fs, node->nid, node->data_offset, node->size_bytes, err);
	*out_bytes = at;
	*out_count = node->size_bytes;
	return CHAIN_OK;
}

/* Copies what of [offset, offset + count) lies in one stretch of `stretch_bytes` at `place`; the stretch begins at
 * `start` in the file. */
static enum chain_status copy_stretch(const struct fs *fs, const struct fs_node *node, uint64_t place, uint64_t start,
				      uint64_t stretch_bytes, uint64_t offset, uint8_t *buf, uint64_t count,
				      struct chain_error *err)
{
	uint64_t from = offset > start ? offset : start;
	uint64_t to = offset + count < start + stretch_bytes ? offset + count : start + stretch_bytes;
	const uint8_t *at;

	if (from >= to)
		return CHAIN_OK;
	at = fs_gate(fs, place, stretch_bytes);
	if (!at)
		return bad_extent(fs, node->nid, place, stretch_bytes, err);
	memcpy(buf + (from - offset), at + (from - start), to - from);
	return CHAIN_OK;
}

enum chain_status fs_read(const struct fs *fs, const struct fs_node *node, uint64_t offset, void *buf, uint64_t count,
			  struct chain_error *err)
{
	uint64_t tail_bytes = node->tail_offset ? node->size_bytes % fs->block_bytes : 0;
	uint64_t whole_bytes = node->size_bytes - tail_bytes;
	enum chain_status status;

	if (node->type != FS_REGULAR && node->type != FS_SYMLINK)
		return CHAIN_FAIL(err, FS_NOT_FILE, .subject = FS_SUBJECT, .detail = fs_type_name(node->type),
				  .nid = node->nid);
	if (count > node->size_bytes || offset > node->size_bytes - count)
		return CHAIN_FAIL(err, FS_PAST_END, .subject = FS_SUBJECT, .offset = offset, .bytes = count,
				  .total = node->size_bytes, .nid = node->nid);
	status = copy_stretch(fs, node, node->data_offset, 0, whole_bytes, offset, buf, count, err);
	if (!status)
		status = copy_stretch(fs, node, node->tail_offset, whole_bytes, tail_bytes, offset, buf, count, err);
	return status;
}
