/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: the form of a baked image (docs/IMAGE.md): the header the stage carries, the manifest, and checking either,
 * on the host and in the stage alike; and telling what kind of kernel a file is.
 * Must not know: where the bytes came from; ELF details (elf.h), EROFS details (fs.h). */
#ifndef CHAIN_IMAGE_H
#define CHAIN_IMAGE_H

#include "chain/error.h"
#include "chain/hash.h"
#include "abi/image_format.h"
#include "fs/fs.h"

/* Which files were found right before: each slot holds where in the manifest the path of one of them lies, or 0. For an
 * image that nobody can change while it is open: a stage's own. `all`: chain_image_verify has passed. */
enum { CHAIN_IMAGE_CHECKED_SLOTS = 256 };
struct chain_image_checked {
	bool all;
	uint64_t path_at[CHAIN_IMAGE_CHECKED_SLOTS];
};

/* A baked image, opened. All pointers borrow `bytes`. */
struct chain_image {
	const uint8_t *bytes; /* the file, or the loaded image from its base (see chain_image_open_loaded) */
	uint64_t bytes_count;
	struct chain_image_header header; /* a copy */
	const char *manifest;             /* manifest text, not terminated */
	uint64_t manifest_bytes;
	enum chain_digest_kind digests; /* of its parts and files, by its version */
	bool locates;                   /* by its version: lines for more than one block have a locator */
	const uint8_t *fs_bytes;
	uint64_t fs_bytes_count;
	struct fs fs;           /* mounted */
	uint64_t header_at;     /* where in `bytes` the header lies */
	uint64_t fs_meta_bytes; /* leading part of the filesystem that the manifest's fs-meta covers */
	uint64_t entries_at;    /* where in the manifest the first file or link line begins */
	uint64_t entry_count;   /* files and links */
	struct chain_image_checked
		*checked; /* caller's, zeroed; null (as opened): a file is hashed each time it is asked for */
	bool loaded;      /* opened in memory: file parts (headers, section table) are not there to be checked */
};

/* One line of the manifest. `path` borrows the manifest and is not terminated. */
struct chain_manifest_entry {
	enum chain_manifest_kind { CHAIN_MANIFEST_PART, CHAIN_MANIFEST_FILE, CHAIN_MANIFEST_LINK } kind;
	struct chain_digest digest;
	uint8_t locator[CHAIN_LOCATOR_BYTES]; /* where it is written: of more than one block, from version 3 on */
	uint64_t offset, bytes;               /* part: place in the image file; file and link: offset 0 */
	const char *path;
	size_t path_bytes; /* name of the part, or absolute path */
};

/* Opens an image file held in memory: finds the header, bounds everything, checks that the manifest has the digest
 * that the header calls its id, that the manifest is well formed, and mounts the filesystem after checking the digest
 * of its metadata. */
enum chain_status chain_image_open(struct chain_image *out, const void *bytes, uint64_t bytes_count,
				   struct chain_error *err) CHAIN_MUST_CHECK;
/* The same for the running stage's own image in memory: `base` is where its first loaded byte lies, `header` its own
 * header. */
enum chain_status chain_image_open_loaded(struct chain_image *out, const void *base,
					  const struct chain_image_header *header,
					  struct chain_error *err) CHAIN_MUST_CHECK;
/* Whether the bytes claim to be a baked image, by their header or their ELF identification (cheap; says nothing of
 * their soundness). A kernel of our runtime with nothing baked in is none. */
bool chain_image_is(const void *bytes, uint64_t bytes_count);

/* Walks the manifest in order; *cursor starts at 0. Returns false at the end; malformed lines were refused by open. */
bool chain_manifest_next(const struct chain_image *image, uint64_t *cursor, struct chain_manifest_entry *out);
/* Finds a file or link by path (binary search). CHAIN_E_MANIFEST_NO_ENTRY. */
enum chain_status chain_manifest_find(const struct chain_image *image, const char *path,
				      struct chain_manifest_entry *out, struct chain_error *err) CHAIN_MUST_CHECK;

/* A baked file's bytes in place, its digest checked against the manifest first (once, where `checked` is there; not at
 * all of a pipeline in the metadata, which was checked when the image was opened).
 * Follows links (at most 40, each checked as well, never out of the root). Borrowed; `out_digest` may be null. A path,
 * with its links followed, has at most CHAIN_IMAGE_PATH_BYTES - 1 bytes. */
enum { CHAIN_IMAGE_PATH_BYTES = 1024, CHAIN_IMAGE_LINKS_MAX = 40 };
enum chain_status chain_image_file(const struct chain_image *image, const char *path, const uint8_t **out_bytes,
				   uint64_t *out_count, struct chain_digest *out_digest,
				   struct chain_error *err) CHAIN_MUST_CHECK;

/* Everything: every part, every file and link, every byte of the filesystem that belongs to none of them is zero (and,
 * for a file, every byte outside parts, manifest and filesystem). Files that lie on each other in part, or in the
 * filesystem's metadata without being the pipeline, are refused (CHAIN_E_IMAGE_OVERLAP), so no byte is hashed more than
 * twice. Takes 24 bytes of heap per file, and 75 KB, for as long as it runs. The error's subject is the part or path.
 * `progress` (nullable) hears bytes hashed so far. */
typedef void chain_image_progress(void *ctx, uint64_t done_bytes, uint64_t total_bytes);
enum chain_status chain_image_verify(const struct chain_image *image, chain_image_progress *progress, void *ctx,
				     struct chain_error *err) CHAIN_MUST_CHECK;

/* What a file is, by its first bytes: one of ours, or else a kernel that a boot protocol knows: CHAIN_KERNEL_FOREIGN
 * and the number of its row in the table of doors. */
enum chain_kernel_kind {
	CHAIN_KERNEL_UNKNOWN,
	CHAIN_KERNEL_IMAGE /* a baked image */,
	CHAIN_KERNEL_NATIVE,
	CHAIN_KERNEL_FOREIGN
};
struct chain_door;
/* The protocol by which a kernel of that kind is started when it is not called as a native one. An image's is known by
 * its file, which may have one of several forms (without a file, `bytes` null: the usual one's). Null for
 * CHAIN_KERNEL_UNKNOWN. */
const struct chain_door *chain_kernel_door(enum chain_kernel_kind kind, const void *bytes, uint64_t bytes_count);
/* CHAIN_E_NOT_A_KERNEL says what the bytes look like instead (a bzImage, an ELF without a Multiboot header for machine
 * …, a script, …). */
enum chain_status chain_kernel_probe(const void *bytes, uint64_t bytes_count, const char *subject,
				     enum chain_kernel_kind *out, struct chain_error *err) CHAIN_MUST_CHECK;
/* The same, but started by that protocol, whatever else it is; null: any. CHAIN_E_KERNEL_DOOR. */
enum chain_status chain_kernel_probe_by(const struct chain_door *door, const void *bytes, uint64_t bytes_count,
					const char *subject, enum chain_kernel_kind *out,
					struct chain_error *err) CHAIN_MUST_CHECK;
const char *chain_kernel_kind_name(enum chain_kernel_kind kind);

#endif
