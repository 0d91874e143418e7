/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* What image.c, image_manifest.c and image_verify.c share. */
#ifndef CHAIN_IMAGE_INTERNAL_H
#define CHAIN_IMAGE_INTERNAL_H

#include "chain/image.h"

/* The parts, in the manifest's order, which is that of their offsets. */
enum image_part { IMAGE_PART_ELF, IMAGE_PART_STAGE, IMAGE_PART_FS_META, IMAGE_PART_SECTIONS, IMAGE_PART_COUNT };
extern const char *const image_part_names[IMAGE_PART_COUNT];

/* Checks every line and fills in fs_meta_bytes, entries_at and entry_count. `parts` receives the part lines. */
enum chain_status image_manifest_check(struct chain_image *image, struct chain_manifest_entry parts[IMAGE_PART_COUNT],
				       struct chain_error *err);

/* Where the image header begins in a file, or in memory from the image's base on. */
bool image_header_find(const uint8_t *bytes, uint64_t count, uint64_t *out_at);

/* Compares two digests; the detail of the error gives both. */
enum chain_status image_digest_same(const struct chain_digest *found, const struct chain_digest *wanted,
				    const char *subject, struct chain_error *err);

/* Ends the hash, and compares it with what the line of a part or file says. The error tells the one damaged block,
 * where the line has a locator. */
enum chain_status image_hash_same(const struct chain_image *image, struct chain_hash *hash,
				  const struct chain_manifest_entry *entry, const char *subject,
				  struct chain_error *err);
/* The same for entry->bytes bytes whose digest was found before; they are hashed again to find the damaged block. */
enum chain_status image_bytes_same(const struct chain_image *image, const uint8_t *bytes,
				   const struct chain_digest *found, const struct chain_manifest_entry *entry,
				   const char *subject, struct chain_error *err);

/* Whether it is the one file that lies in the filesystem's metadata. */
bool image_is_pipeline(const struct chain_manifest_entry *entry);

/* Copies a path of the manifest and terminates it. CHAIN_E_LIMIT. */
enum chain_status image_path_copy(const struct chain_manifest_entry *entry, char out[CHAIN_IMAGE_PATH_BYTES],
				  struct chain_error *err);

#endif
