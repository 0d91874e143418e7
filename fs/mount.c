/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "internal.h"

#include <string.h>

static const struct {
	uint32_t bit;
	const char *name;
} incompat_features[] = {
	{ FS_EROFS_INCOMPAT_DEVICE_TABLE, "a device table" },
	{ FS_EROFS_INCOMPAT_CHUNKED, "chunked files" },
	{ FS_EROFS_INCOMPAT_ZERO_PADDING, "compression (zero padding)" },
	{ FS_EROFS_INCOMPAT_COMPRESSION, "compression (big clusters or configurations)" },
	{ FS_EROFS_INCOMPAT_TAIL_PACKED, "compression (packed tails)" },
	{ FS_EROFS_INCOMPAT_FRAGMENTS, "compression (fragments)" },
	{ FS_EROFS_INCOMPAT_XATTR_PREFIXES, "long attribute prefixes" },
	{ FS_EROFS_INCOMPAT_48BIT, "48-bit block numbers" },
	{ FS_EROFS_INCOMPAT_METABOX, "a metadata box" },
};

/* Every incompatible feature is refused: none is of use without compression, other devices or chunks. */
static enum chain_status check_features(const struct fs_erofs_super *super, struct chain_error *err)
{
	for (size_t i = 0; i < sizeof(incompat_features) / sizeof(incompat_features[0]); i++)
		if (super->feature_incompat & incompat_features[i].bit)
			return CHAIN_FAIL(err, NOT_SUPPORTED, .subject = FS_SUBJECT,
					  .detail = incompat_features[i].name);
	if (super->feature_incompat)
		return CHAIN_FAIL(err, NOT_SUPPORTED, .subject = FS_SUBJECT,
				  .detail = "an EROFS feature newer than this program");
	if (super->extra_devices)
		return CHAIN_FAIL(err, NOT_SUPPORTED, .subject = FS_SUBJECT, .detail = "a device table");
	if (super->dir_block_bits)
		return CHAIN_FAIL(err, NOT_SUPPORTED, .subject = FS_SUBJECT,
				  .detail = "directory blocks larger than a block");
	return CHAIN_OK;
}

static enum chain_status check_sizes(const struct fs_erofs_super *super, uint64_t bytes_count, struct chain_error *err)
{
	uint64_t claimed = (uint64_t)super->block_count << super->block_bits; /* at most 2^48 */
	uint64_t super_end = FS_EROFS_SUPER_OFFSET + sizeof(*super) + (uint64_t)super->extra_slots * 16;

	if (claimed > bytes_count)
		return CHAIN_FAIL(err, TRUNCATED, .subject = FS_SUBJECT, .offset = 0, .bytes = claimed,
				  .total = bytes_count);
	if (claimed < super_end)
		return CHAIN_FAIL(err, FS_BAD_SUPERBLOCK, .subject = FS_SUBJECT, .detail = "the number of blocks",
				  .value = super->block_count);
	if (super->meta_block >= super->block_count)
		return CHAIN_FAIL(err, FS_BAD_SUPERBLOCK, .subject = FS_SUBJECT, .detail = "the first metadata block",
				  .value = super->meta_block);
	return CHAIN_OK;
}

/* The checksum covers the superblock's block from the superblock on; blocks smaller than its offset, one block. */
enum chain_status fs_checksum_check(const struct fs *fs, struct chain_error *err)
{
	struct fs_erofs_super super;
	uint64_t count = fs->block_bytes;
	const uint8_t *block;
	uint32_t computed;

	memcpy(&super, fs->bytes + FS_EROFS_SUPER_OFFSET, sizeof(super)); /* it has been found to be there */
	if (!(super.feature_compat & FS_EROFS_COMPAT_CHECKSUM))
		return CHAIN_OK;
	if (count > FS_EROFS_SUPER_OFFSET)
		count -= FS_EROFS_SUPER_OFFSET;
	block = fs_gate(fs, FS_EROFS_SUPER_OFFSET, count);
	if (!block)
		return CHAIN_FAIL(err, TRUNCATED, .subject = FS_SUBJECT, .offset = FS_EROFS_SUPER_OFFSET,
				  .bytes = count, .total = fs->bytes_count);
	computed = fs_super_checksum(block, count);
	if (computed != super.checksum)
		return CHAIN_FAIL(err, FS_BAD_CHECKSUM, .subject = FS_SUBJECT, .said = super.checksum,
				  .found = computed);
	return CHAIN_OK;
}

static enum chain_status check_root(const struct fs *fs, struct chain_error *err)
{
	struct fs_node root;
	enum chain_status status = fs_node_read(fs, fs->root_nid, &root, err);

	if (!status && root.type != FS_DIRECTORY)
		status = chain_fail_text(err, CHAIN_E_FS_NOT_DIRECTORY, FS_SUBJECT, "the root");
	return status;
}

static enum chain_status mount(struct fs *fs, const void *bytes, uint64_t bytes_count, bool verified,
			       struct chain_error *err)
{
	struct fs whole = { .bytes = bytes, .bytes_count = bytes_count };
	struct fs_erofs_super super;
	const uint8_t *at = fs_gate(&whole, FS_EROFS_SUPER_OFFSET, sizeof(super));
	enum chain_status status;

	memset(fs, 0, sizeof(*fs));
	if (!at)
		return CHAIN_FAIL(err, TRUNCATED, .subject = FS_SUBJECT, .offset = FS_EROFS_SUPER_OFFSET,
				  .bytes = sizeof(super), .total = bytes_count);
	memcpy(&super, at, sizeof(super));
	if (super.magic != FS_EROFS_MAGIC)
		return CHAIN_FAIL(err, FS_BAD_MAGIC, .subject = FS_SUBJECT, .magic = super.magic,
				  .wanted = FS_EROFS_MAGIC);
	if (super.block_bits < FS_EROFS_BLOCK_BITS_MIN || super.block_bits > FS_EROFS_BLOCK_BITS_MAX)
		return CHAIN_FAIL(err, FS_BAD_BLOCK_SIZE, .subject = FS_SUBJECT, .bits = super.block_bits,
				  .least = FS_EROFS_BLOCK_BITS_MIN, .most = FS_EROFS_BLOCK_BITS_MAX);
	whole.block_bytes = 1u << super.block_bits;
	status = verified ? CHAIN_OK : fs_checksum_check(&whole, err);
	if (!status)
		status = check_features(&super, err);
	if (!status)
		status = check_sizes(&super, bytes_count, err);
	if (status)
		return status;

	whole.bytes_count = (uint64_t)super.block_count << super.block_bits;
	whole.meta_base = (uint64_t)super.meta_block << super.block_bits;
	whole.root_nid = super.root_nid;
	whole.inode_count = super.inode_count;
	whole.build_time = super.build_time;
	whole.build_time_ns = super.build_time_ns;
	memcpy(whole.uuid, super.uuid, sizeof(whole.uuid));
	status = check_root(&whole, err);
	if (!status)
		*fs = whole;
	return status;
}

enum chain_status fs_mount(struct fs *fs, const void *bytes, uint64_t bytes_count, struct chain_error *err)
{
	return mount(fs, bytes, bytes_count, false, err);
}

enum chain_status fs_mount_verified(struct fs *fs, const void *bytes, uint64_t bytes_count, struct chain_error *err)
{
	return mount(fs, bytes, bytes_count, true, err);
}
