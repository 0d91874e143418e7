/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: the EROFS on-disk structures and constants that our reader and writer use (Linux, fs/erofs/erofs_fs.h and
 * Documentation/filesystems/erofs.rst). Everything on disk is little-endian, and so must the host be.
 * Must not know: how they are read or written.
 *
 * An image is a sequence of blocks. The superblock lies at byte 1024. Inode number N ("nid") lies at
 * meta_blkaddr * block + 32 * N; behind it come its inline attributes, and, for FLAT_INLINE, the last partial block of
 * its data. */
#ifndef FS_EROFS_FORMAT_H
#define FS_EROFS_FORMAT_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "EROFS structures are used as they lie");

#define FS_EROFS_MAGIC 0xe0f5e1e2u

enum {
	FS_EROFS_SUPER_OFFSET = 1024,
	FS_EROFS_SLOT_BYTES = 32, /* inode numbers count these */
	FS_EROFS_NAME_MAX = 255,
	FS_EROFS_BLOCK_BITS_MIN = 9,
	FS_EROFS_BLOCK_BITS_MAX = 16,

	FS_EROFS_COMPAT_CHECKSUM = 0x1, /* `checksum` is valid */
	FS_EROFS_COMPAT_MTIME = 0x2,    /* times in inodes are modification times */
};

/* feature_incompat: what a reader must understand to read the image. */
enum {
	FS_EROFS_INCOMPAT_ZERO_PADDING = 0x1,
	FS_EROFS_INCOMPAT_COMPRESSION = 0x2,
	FS_EROFS_INCOMPAT_CHUNKED = 0x4,
	FS_EROFS_INCOMPAT_DEVICE_TABLE = 0x8,
	FS_EROFS_INCOMPAT_TAIL_PACKED = 0x10,
	FS_EROFS_INCOMPAT_FRAGMENTS = 0x20,
	FS_EROFS_INCOMPAT_XATTR_PREFIXES = 0x40,
	FS_EROFS_INCOMPAT_48BIT = 0x80,
	FS_EROFS_INCOMPAT_METABOX = 0x100,
};

struct fs_erofs_super {
	uint32_t magic;
	uint32_t checksum; /* crc32c, not inverted at the end, from here to the end of the block, this field zero */
	uint32_t feature_compat;
	uint8_t block_bits;
	uint8_t extra_slots; /* the superblock is 128 + 16 * extra_slots bytes */
	uint16_t root_nid;
	uint64_t inode_count;
	uint64_t build_time; /* the time of every compact inode, in seconds */
	uint32_t build_time_ns;
	uint32_t block_count;
	uint32_t meta_block;
	uint32_t xattr_block;
	uint8_t uuid[16];
	uint8_t volume_name[16];
	uint32_t feature_incompat;
	uint16_t compression;
	uint16_t extra_devices;
	uint16_t device_slot_offset;
	uint8_t dir_block_bits; /* beyond block_bits; 0 in every image known */
	uint8_t xattr_prefix_count;
	uint32_t xattr_prefix_start;
	uint64_t packed_nid;
	uint8_t reserved[24];
};
static_assert(sizeof(struct fs_erofs_super) == 128, "superblock");
static_assert(offsetof(struct fs_erofs_super, root_nid) == 14, "superblock root_nid");
static_assert(offsetof(struct fs_erofs_super, build_time) == 24, "superblock build_time");
static_assert(offsetof(struct fs_erofs_super, block_count) == 36, "superblock block_count");
static_assert(offsetof(struct fs_erofs_super, uuid) == 48, "superblock uuid");
static_assert(offsetof(struct fs_erofs_super, feature_incompat) == 80, "superblock feature_incompat");
static_assert(offsetof(struct fs_erofs_super, dir_block_bits) == 90, "superblock dir_block_bits");
static_assert(offsetof(struct fs_erofs_super, packed_nid) == 96, "superblock packed_nid");

/* Inode `format`: bit 0 the form, bits 1 to 3 the data layout, the rest zero. */
enum {
	FS_EROFS_FORM_COMPACT = 0,
	FS_EROFS_FORM_EXTENDED = 1,
	FS_EROFS_FORM_MASK = 1,
	FS_EROFS_LAYOUT_SHIFT = 1,
	FS_EROFS_LAYOUT_MASK = 7,
	FS_EROFS_FORMAT_BITS = 0xf
};
enum fs_erofs_layout {
	FS_EROFS_FLAT_PLAIN = 0, /* whole blocks from start_block on */
	FS_EROFS_COMPRESSED_FULL = 1,
	FS_EROFS_FLAT_INLINE = 2, /* as FLAT_PLAIN, but the last partial block lies behind the inode */
	FS_EROFS_COMPRESSED_COMPACT = 3,
	FS_EROFS_CHUNKED = 4,
};

struct fs_erofs_compact {
	uint16_t format;
	uint16_t xattr_count; /* 0: none; else 12 + 4 * (n - 1) bytes of inline attributes follow */
	uint16_t mode;        /* type and permissions, as in stat(2) */
	uint16_t nlink;
	uint32_t size;
	uint32_t reserved;
	uint32_t start_block; /* devices: their number */
	uint32_t ino;         /* a short inode number for old programs */
	uint16_t uid, gid;
	uint32_t reserved2;
};
static_assert(sizeof(struct fs_erofs_compact) == 32, "compact inode");
static_assert(offsetof(struct fs_erofs_compact, start_block) == 16, "compact inode start_block");
static_assert(offsetof(struct fs_erofs_compact, uid) == 24, "compact inode uid");

struct fs_erofs_extended {
	uint16_t format;
	uint16_t xattr_count;
	uint16_t mode;
	uint16_t reserved;
	uint64_t size;
	uint32_t start_block;
	uint32_t ino;
	uint32_t uid, gid;
	uint64_t mtime;
	uint32_t mtime_ns;
	uint32_t nlink;
	uint8_t reserved2[16];
};
static_assert(sizeof(struct fs_erofs_extended) == 64, "extended inode");
static_assert(offsetof(struct fs_erofs_extended, start_block) == 16, "extended inode start_block");
static_assert(offsetof(struct fs_erofs_extended, mtime) == 32, "extended inode mtime");
static_assert(offsetof(struct fs_erofs_extended, nlink) == 44, "extended inode nlink");

/* A directory is a sequence of blocks, each with its entries first and their names behind them; entry 0's name offset
 * tells how many there are. Names ascend bytewise over the whole directory, "." and ".." among them. The last name of
 * a block ends at the block's end or at a zero byte. */
struct __attribute__((packed)) fs_erofs_dirent {
	uint64_t nid;
	uint16_t name_offset; /* from the start of the block */
	uint8_t type;         /* enum fs_type */
	uint8_t reserved;
};
static_assert(sizeof(struct fs_erofs_dirent) == 12, "directory entry");
static_assert(offsetof(struct fs_erofs_dirent, name_offset) == 8, "directory entry name_offset");

/* Inline attributes: this header, shared_count 32-bit numbers of shared ones, then entries, each padded to 4 bytes. */
struct fs_erofs_xattr_header {
	uint32_t name_filter;
	uint8_t shared_count;
	uint8_t reserved[7];
};
static_assert(sizeof(struct fs_erofs_xattr_header) == 12, "attribute header");

struct fs_erofs_xattr_entry {
	uint8_t name_bytes; /* without the prefix that name_index stands for */
	uint8_t name_index;
	uint16_t value_bytes;
};
static_assert(sizeof(struct fs_erofs_xattr_entry) == 4, "attribute entry");

/* Modes, as Linux numbers them. */
enum {
	FS_MODE_TYPE = 0170000,
	FS_MODE_FIFO = 0010000,
	FS_MODE_CHAR = 0020000,
	FS_MODE_DIRECTORY = 0040000,
	FS_MODE_BLOCK = 0060000,
	FS_MODE_REGULAR = 0100000,
	FS_MODE_SYMLINK = 0120000,
	FS_MODE_SOCKET = 0140000,
	FS_MODE_PERMISSIONS = 07777
};

#endif
