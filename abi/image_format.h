/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: the header that every kernel of our runtime carries (stage and native kernels) and that `bake` fills in.
 * C and assembly-free; little-endian; sizes in bytes. docs/IMAGE.md has the same table, tested.
 *
 * Place: the linker script puts it (input section .kchain.header) within the first 8 KiB of the image, behind the
 * Multiboot headers, on a multiple of 64. All offsets count from the image's first loaded byte ("base"), so they hold
 * wherever the image is placed. An unbaked kernel has everything but magic, version and stage_bytes zero. */
#ifndef KCHAIN_ABI_IMAGE_FORMAT_H
#define KCHAIN_ABI_IMAGE_FORMAT_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#define CHAIN_IMAGE_MAGIC "KCHAIN\r\n" /* 8 bytes, no terminator */

enum {
	CHAIN_IMAGE_VERSION = 4,
	/* Still read, not written: */
	CHAIN_IMAGE_VERSION_LOCATED = 3, /* the pipeline lies with the other files; the first with locators */
	CHAIN_IMAGE_VERSION_SHA256 = 1,  /* all digests are SHA-256 */
	CHAIN_IMAGE_SEARCH_BYTES =
		8192, /* of the image in memory; a file may have 4096 bytes of ELF headers before it */
	CHAIN_IMAGE_HEADER_ALIGN = 64,
	CHAIN_IMAGE_FS_ALIGN = 2 * 1024 * 1024,
	CHAIN_IMAGE_FILE_ALIGN =
		8, /* of the stage's segments and the manifest in the file; in memory each has pages of its own */
	CHAIN_IMAGE_NAME_BYTES = 64,
	CHAIN_IMAGE_FLAG_VERIFY_ALL = 1, /* check everything at entry */
};

struct chain_image_header {
	char magic[8];
	uint32_t version;
	uint32_t flags;
	uint8_t id[32];       /* SHA-256 of the manifest; counted as zero where a digest covers this header */
	uint64_t stage_bytes; /* memory of the stage itself: text to end of bss, from base (set by the linker script) */
	uint64_t manifest_offset; /* multiple of 4096 */
	uint64_t manifest_bytes;
	uint64_t fs_offset;                /* base + fs_offset is a multiple of 2 MiB */
	uint64_t fs_bytes;                 /* multiple of 4096 */
	uint64_t fs_memory_bytes;          /* fs_bytes rounded up to 2 MiB */
	uint64_t base;                     /* physical address the image was linked for by `bake`; information only */
	char name[CHAIN_IMAGE_NAME_BYTES]; /* pipeline's name, terminated */
	/* Where the same things lie in the file: the first loaded byte, the manifest, the filesystem. */
	uint64_t file_base;
	uint64_t file_manifest;
	uint64_t file_fs;
};
static_assert(sizeof(struct chain_image_header) == 192, "image header");
static_assert(offsetof(struct chain_image_header, id) == 16, "image header id");
static_assert(offsetof(struct chain_image_header, stage_bytes) == 48, "image header stage_bytes");
static_assert(offsetof(struct chain_image_header, name) == 104, "image header name");
static_assert(offsetof(struct chain_image_header, file_base) == 168, "image header file_base");

/* The manifest is text (UTF-8, lines ended by '\n'), so that `kchain cat IMAGE --manifest | sha256sum` gives the id:
 *
 *   kchain-manifest 4
 *   part elf <fs-verity hex> <offset in the image file> <bytes>      the ELF headers; empty where they begin the stage
 *   part stage <fs-verity hex> <offset> <bytes> <locator>            its text and data, with its id counted as zero
 *   part fs-meta <fs-verity hex> <offset> <bytes> <locator>          the filesystem's metadata blocks, in which the
 *                                                                    pipeline's file lies as well
 *   part sections <fs-verity hex> <offset> <bytes>                   section names and table, to the end of the file
 *   file <fs-verity hex> <bytes> <locator> <path>                    sorted bytewise by path, over files and links
 *   link <SHA-256 hex of the target's text> <bytes> <path>
 *
 * A digest is what `fsverity digest` prints of a file with these bytes (chain/verity.h); a link can't have one.
 * Numbers are decimal without leading zeros, paths absolute without control characters and without empty, "." and ".."
 * components. Nothing is listed behind a link. Directories, modes, owners and times are covered by fs-meta.
 *
 * A locator, 16 hexadecimal digits (chain/verity.h), tells which block was changed. There is one in each line of a part
 * or file of more than 4096 bytes, and in no other.
 *
 * An image of version 3 has "kchain-manifest 3", and the pipeline's file lies with the others. One of version 2 has no
 * locators either, one of version 1 SHA-256 in all lines. */
#define CHAIN_MANIFEST_FIRST_LINE "kchain-manifest 4\n" /* of each version as long, and the same but for the digit */
enum { CHAIN_MANIFEST_VERSION_AT = 16 };

/* A baked ELF file also says so in the padding of e_ident (7 bytes from byte 9 on), so that an image with a damaged
 * header is still refused as an image and not booted as any other kernel. */
#define CHAIN_IMAGE_IDENT "kchain\1"
enum { CHAIN_IMAGE_IDENT_OFFSET = 9, CHAIN_IMAGE_IDENT_BYTES = 7 };

/* Paths inside the filesystem that kchain itself uses. The pipeline, which every boot reads, lies in the metadata, so
 * that no second digest has to be made before it is believed. No other file may lie there. */
#define CHAIN_FS_PIPELINE "/kchain/pipeline.json"

#endif
