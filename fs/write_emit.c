/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "internal.h"
#include "write_internal.h"

#include <stdlib.h>
#include <string.h>

enum { PIECE_BYTES = 1024 * 1024 };

/* Gathers what ascends into pieces for the sink. The first block waits in `first` until everything else is out. */
struct out {
	fs_source *source;
	fs_sink *sink;
	fs_place *place; /* may be null */
	void *ctx;
	struct chain_sha256 sha;
	uint8_t *buf;  /* PIECE_BYTES */
	uint64_t base; /* of buf in the image */
	size_t used;
	uint8_t first[FS_BLOCK_BYTES];
};

static enum chain_status flush(struct out *out, struct chain_error *err)
{
	enum chain_status status = out->used ? out->sink(out->ctx, out->base, out->buf, out->used, err) : CHAIN_OK;

	out->base += out->used;
	out->used = 0;
	return status;
}

/* Goes forward to `offset`. The rest of a block is filled with zeros; a longer gap is left out. */
static enum chain_status seek(struct out *out, uint64_t offset, struct chain_error *err)
{
	uint64_t gap = offset - (out->base + out->used);
	enum chain_status status;

	if (gap < FS_BLOCK_BYTES && gap <= PIECE_BYTES - out->used) {
		memset(out->buf + out->used, 0, gap);
		out->used += gap;
		return CHAIN_OK;
	}
	if (gap < FS_BLOCK_BYTES) {
		size_t now = PIECE_BYTES - out->used;

		memset(out->buf + out->used, 0, now);
		out->used = PIECE_BYTES;
		gap -= now;
		status = flush(out, err);
		memset(out->buf, 0, gap);
		out->used = gap;
		return status;
	}
	status = flush(out, err);
	out->base = offset;
	return status;
}

/* Metadata: hashed, and kept back where it belongs to the first block, which is hashed at the end. */
static enum chain_status put(struct out *out, uint64_t offset, const void *bytes, size_t count, struct chain_error *err)
{
	const uint8_t *from = bytes;
	enum chain_status status;

	if (offset < FS_BLOCK_BYTES) {
		size_t now = count < FS_BLOCK_BYTES - offset ? count : (size_t)(FS_BLOCK_BYTES - offset);

		memcpy(out->first + offset, from, now);
		from += now;
		count -= now;
		offset += now;
	}
	if (!count)
		return CHAIN_OK;
	status = seek(out, offset, err);
	if (!status && count > PIECE_BYTES - out->used)
		status = flush(out, err);
	if (status)
		return status;
	chain_sha256_update(&out->sha, from, count);
	memcpy(out->buf + out->used, from, count); /* at most PIECE_BYTES */
	out->used += count;
	return CHAIN_OK;
}

static uint16_t disk_mode(enum fs_type type)
{
	static const uint16_t modes[] = {
		[FS_REGULAR] = FS_MODE_REGULAR,    [FS_DIRECTORY] = FS_MODE_DIRECTORY, [FS_CHAR_DEVICE] = FS_MODE_CHAR,
		[FS_BLOCK_DEVICE] = FS_MODE_BLOCK, [FS_FIFO] = FS_MODE_FIFO,           [FS_SOCKET] = FS_MODE_SOCKET,
		[FS_SYMLINK] = FS_MODE_SYMLINK,
	};

	return modes[type];
}

static uint32_t start_block(const struct fs_wnode *node)
{
	enum fs_type type = fs_wnode_type(node);

	if (type == FS_CHAR_DEVICE || type == FS_BLOCK_DEVICE)
		return node->spec->rdev;
	return node->size_bytes == node->inline_bytes ? 0 : (uint32_t)(node->data_offset / FS_BLOCK_BYTES);
}

static size_t encode_inode(const struct fs_writer *writer, const struct fs_wnode *node, uint8_t *buf)
{
	static const struct fs_spec made = { .mode = 0755 };
	const struct fs_spec *spec = node->spec ? node->spec : &made;
	uint16_t xattr_count = 0, layout = node->inline_bytes ? FS_EROFS_FLAT_INLINE : FS_EROFS_FLAT_PLAIN;
	struct fs_erofs_compact compact;
	struct fs_erofs_extended disk = { .format =
						  (uint16_t)(FS_EROFS_FORM_EXTENDED | layout << FS_EROFS_LAYOUT_SHIFT),
					  .mode = (uint16_t)(disk_mode(fs_wnode_type(node)) | spec->mode),
					  .size = node->size_bytes,
					  .start_block = start_block(node),
					  .ino = node->number,
					  .uid = spec->uid,
					  .gid = spec->gid,
					  .nlink = node->nlink,
					  .mtime = node->spec ? spec->mtime : writer->build_time,
					  .mtime_ns = node->spec ? spec->mtime_ns : writer->build_time_ns };

	if (node->xattr_bytes)
		xattr_count = (uint16_t)((node->xattr_bytes - sizeof(struct fs_erofs_xattr_header)) / 4 + 1);
	disk.xattr_count = xattr_count;
	if (node->extended) {
		memcpy(buf, &disk, sizeof(disk));
		return sizeof(disk);
	}
	compact = (struct fs_erofs_compact){ .format = (uint16_t)(FS_EROFS_FORM_COMPACT |
								  layout << FS_EROFS_LAYOUT_SHIFT),
					     .xattr_count = xattr_count,
					     .mode = disk.mode,
					     .nlink = (uint16_t)disk.nlink,
					     .size = (uint32_t)disk.size,
					     .start_block = disk.start_block,
					     .ino = disk.ino,
					     .uid = (uint16_t)disk.uid,
					     .gid = (uint16_t)disk.gid };
	memcpy(buf, &compact, sizeof(compact));
	return sizeof(compact);
}

/* One block of a directory: `it` stands before its `count` entries. */
static void encode_dir_block(struct fs_wdir *it, uint32_t count, uint8_t *block)
{
	uint32_t name_offset = count * (uint32_t)sizeof(struct fs_erofs_dirent);

	for (uint32_t i = 0; i < count; i++) {
		struct fs_wentry entry = { 0 };
		struct fs_erofs_dirent disk = { 0 };

		(void)fs_wdir_peek(it, &entry);
		fs_wdir_take(it);
		disk.nid = entry.nid;
		disk.name_offset = (uint16_t)name_offset;
		disk.type = (uint8_t)entry.type;
		memcpy(block + i * sizeof(disk), &disk, sizeof(disk));
		memcpy(block + name_offset, entry.name, entry.name_bytes);
		name_offset += entry.name_bytes;
	}
}

/* What of a directory or link is stored behind the inode. */
static void encode_inline(const struct fs_writer *writer, uint32_t index, uint8_t *buf)
{
	const struct fs_wnode *node = &writer->nodes[index];
	struct fs_wdir it, ahead;
	struct fs_wentry next;
	uint32_t count, bytes;

	if (fs_wnode_type(node) == FS_SYMLINK) {
		memcpy(buf, node->spec->target, node->inline_bytes); /* whole: a target is shorter than a block */
		return;
	}
	fs_wdir_start(&ahead, writer, index);
	do {
		it = ahead;
		count = fs_wdir_take_block(&ahead, &bytes);
	} while (fs_wdir_peek(&ahead, &next));
	encode_dir_block(&it, count, buf);
}

/* A file that lies in the metadata: it counts by its bytes, as all metadata does. */
static enum chain_status put_meta_file(struct out *out, struct fs_wnode *node, uint8_t *scratch,
				       struct chain_error *err)
{
	struct chain_verity verity;
	enum chain_status status = CHAIN_OK;

	chain_verity_init(&verity);
	for (uint64_t done = 0; !status && done < node->size_bytes; done += PIECE_BYTES) {
		uint64_t left = node->size_bytes - done;
		size_t count = left < PIECE_BYTES ? (size_t)left : PIECE_BYTES;

		status = out->source(out->ctx, node->spec, done, scratch, count, err);
		if (status)
			break;
		if (!node->spec->digest)
			chain_verity_update(&verity, scratch, count);
		status = put(out, node->data_offset + done, scratch, count, err);
	}
	chain_verity_final_located(&verity, node->digest);
	return status;
}

static enum chain_status put_inodes(struct out *out, const struct fs_writer *writer, uint8_t *scratch,
				    struct chain_error *err)
{
	for (uint32_t i = 0; i < writer->node_count; i++) {
		struct fs_wnode *node = &writer->nodes[i];
		bool file = fs_wnode_type(node) == FS_REGULAR;
		enum chain_status status;
		size_t bytes;

		if (node->inode != i)
			continue;
		bytes = encode_inode(writer, node, scratch);
		if (node->xattr_bytes)
			fs_xattrs_write(node->spec, scratch + bytes);
		bytes += node->xattr_bytes;
		if (node->inline_bytes && !file) {
			encode_inline(writer, i, scratch + bytes);
			bytes += node->inline_bytes;
		}
		status = put(out, node->nid * FS_EROFS_SLOT_BYTES, scratch, bytes, err);
		if (!status && node->inline_bytes && file)
			status = put_meta_file(out, node, scratch, err);
		if (status)
			return status;
	}
	return CHAIN_OK;
}

static enum chain_status put_directories(struct out *out, const struct fs_writer *writer, struct chain_error *err)
{
	for (uint32_t i = 0; i < writer->node_count; i++) {
		const struct fs_wnode *node = &writer->nodes[i];
		uint64_t offset = node->data_offset, end = offset + node->size_bytes - node->inline_bytes;
		struct fs_wdir it, ahead;
		uint32_t count, bytes;

		if (fs_wnode_type(node) != FS_DIRECTORY)
			continue;
		fs_wdir_start(&it, writer, i);
		for (ahead = it; offset < end; offset += FS_BLOCK_BYTES) {
			uint8_t block[FS_BLOCK_BYTES] = { 0 };
			enum chain_status status;

			count = fs_wdir_take_block(&ahead, &bytes);
			encode_dir_block(&it, count, block);
			status = put(out, offset, block, sizeof(block), err);
			if (status)
				return status;
		}
	}
	return CHAIN_OK;
}

static enum chain_status put_links(struct out *out, const struct fs_writer *writer, struct chain_error *err)
{
	for (uint32_t i = 0; i < writer->node_count; i++) {
		const struct fs_wnode *node = &writer->nodes[i];
		enum chain_status status;

		if (fs_wnode_type(node) != FS_SYMLINK || node->inline_bytes || node->data != i)
			continue;
		status = put(out, node->data_offset, node->spec->target, node->size_bytes, err);
		if (status)
			return status;
	}
	return CHAIN_OK;
}

static enum chain_status put_meta_files(struct out *out, const struct fs_writer *writer, uint8_t *scratch,
					struct chain_error *err)
{
	for (uint32_t i = 0; i < writer->node_count; i++) {
		struct fs_wnode *node = &writer->nodes[i];
		enum chain_status status;

		if (fs_wnode_area(node) != FS_AREA_META_FILES || node->inline_bytes || node->data != i)
			continue;
		status = put_meta_file(out, node, scratch, err);
		if (status)
			return status;
	}
	return seek(out, writer->meta_bytes, err);
}

static uint64_t block_end(uint64_t offset)
{
	return (offset + FS_BLOCK_BYTES - 1) & ~(uint64_t)(FS_BLOCK_BYTES - 1);
}

/* The file's bytes go by, and are hashed unless somebody has done so before. */
static enum chain_status stream_file(struct out *out, struct fs_wnode *node, struct chain_error *err)
{
	struct chain_verity verity;
	uint64_t done = 0;
	enum chain_status status = CHAIN_OK;

	chain_verity_init(&verity);
	while (!status && done < node->size_bytes) {
		uint64_t left = node->size_bytes - done;
		size_t count;

		if (out->used == PIECE_BYTES && (status = flush(out, err)))
			break;
		count = left < PIECE_BYTES - out->used ? (size_t)left : PIECE_BYTES - out->used;
		status = out->source(out->ctx, node->spec, done, out->buf + out->used, count, err);
		if (!status && !node->spec->digest)
			chain_verity_update(&verity, out->buf + out->used, count);
		out->used += count;
		done += count;
	}
	if (status)
		return status;
	chain_verity_final_located(&verity, node->digest);
	return seek(out, block_end(node->data_offset + done), err);
}

/* The file counts by its digest, wherever that comes from. */
static enum chain_status put_file(struct out *out, struct fs_wnode *node, struct chain_error *err)
{
	bool placed = false;
	enum chain_status status = seek(out, node->data_offset, err);

	if (!status && out->place)
		status = out->place(out->ctx, node->spec, node->data_offset, &placed, node->digest, err);
	if (!status && placed) {
		status = flush(out, err);
		out->base = block_end(node->data_offset + node->size_bytes);
	} else if (!status) {
		status = stream_file(out, node, err);
	}
	chain_sha256_update(&out->sha, node->spec->digest ? node->spec->digest : node->digest, CHAIN_SHA256_BYTES);
	return status;
}

static enum chain_status put_files(struct out *out, const struct fs_writer *writer, struct chain_error *err)
{
	enum chain_status status = CHAIN_OK;

	for (uint32_t i = 0; !status && i < writer->node_count; i++) {
		struct fs_wnode *node = &writer->nodes[i];

		if (fs_wnode_area(node) == FS_AREA_FILES && node->data == i && node->size_bytes)
			status = put_file(out, node, err);
	}
	return status ? status : flush(out, err);
}

/* The first block, last: so a torn image has no superblock. The UUID is of RFC 9562's version 8 (bytes of our own
 * making). */
static enum chain_status put_first_block(struct out *out, const struct fs_writer *writer, struct chain_error *err)
{
	struct fs_erofs_super super = { .magic = FS_EROFS_MAGIC,
					.feature_compat = FS_EROFS_COMPAT_CHECKSUM | FS_EROFS_COMPAT_MTIME,
					.block_bits = 12,
					.root_nid = (uint16_t)writer->nodes[0].nid,
					.inode_count = writer->inode_count,
					.build_time = writer->build_time,
					.build_time_ns = writer->build_time_ns,
					.block_count = (uint32_t)(writer->image_bytes / FS_BLOCK_BYTES) };
	uint8_t digest[CHAIN_SHA256_BYTES];
	uint8_t *at = out->first + FS_EROFS_SUPER_OFFSET;

	memcpy(at, &super, sizeof(super));
	chain_sha256_update(&out->sha, out->first, sizeof(out->first));
	chain_sha256_final(&out->sha, digest);
	memcpy(super.uuid, digest, sizeof(super.uuid));
	super.uuid[6] = (uint8_t)((super.uuid[6] & 0x0f) | 0x80);
	super.uuid[8] = (uint8_t)((super.uuid[8] & 0x3f) | 0x80);
	memcpy(at, &super, sizeof(super));
	super.checksum = fs_super_checksum(at, FS_BLOCK_BYTES - FS_EROFS_SUPER_OFFSET);
	memcpy(at, &super, sizeof(super));
	return out->sink(out->ctx, 0, out->first, sizeof(out->first), err);
}

static enum chain_status emit(struct out *out, const struct fs_writer *writer, struct chain_error *err)
{
	/* The largest things built in one piece: an inode with all its attributes, a piece of a file. */
	uint8_t *scratch = malloc(PIECE_BYTES);
	enum chain_status status;

	if (!scratch)
		return chain_fail_no_memory(err, "filesystem writer", PIECE_BYTES);
	status = put_inodes(out, writer, scratch, err);
	if (!status)
		status = put_directories(out, writer, err);
	if (!status)
		status = put_links(out, writer, err);
	if (!status)
		status = put_meta_files(out, writer, scratch, err);
	free(scratch);
	if (!status)
		status = put_files(out, writer, err);
	return status ? status : put_first_block(out, writer, err);
}

enum chain_status fs_writer_emit(struct fs_writer *writer, fs_source *source, fs_sink *sink, fs_place *place, void *ctx,
				 struct chain_error *err)
{
	struct out out = { .source = source, .sink = sink, .place = place, .ctx = ctx, .base = FS_BLOCK_BYTES };
	enum chain_status status;

	if (!writer->laid_out)
		return chain_fail_subject(err, CHAIN_E_FS_WRITER_ORDER, "fs_writer_emit");
	out.buf = malloc(PIECE_BYTES);
	if (!out.buf)
		return chain_fail_no_memory(err, "filesystem writer", PIECE_BYTES);
	chain_sha256_init(&out.sha);
	status = emit(&out, writer, err);
	free(out.buf);
	return status;
}
