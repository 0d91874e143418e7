/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Opening an image: the header's numbers are bounded first, then the manifest is checked against the id, then the
 * filesystem's metadata against the manifest. After that the tree may be walked; contents are checked when used. */
#include "image_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { BLOCK = 4096 };

static bool ident_says_image(const uint8_t *bytes, uint64_t count)
{
	return count >= 16 && memcmp(bytes, "\177ELF", 4) == 0 &&
	       memcmp(bytes + CHAIN_IMAGE_IDENT_OFFSET, CHAIN_IMAGE_IDENT, CHAIN_IMAGE_IDENT_BYTES) == 0;
}

bool image_header_find(const uint8_t *bytes, uint64_t count, uint64_t *out_at)
{
	const uint64_t search = CHAIN_IMAGE_SEARCH_BYTES + BLOCK;
	const uint64_t limit = count < search ? count : search;

	for (uint64_t at = 0;
	     limit >= sizeof(struct chain_image_header) && at <= limit - sizeof(struct chain_image_header);
	     at += CHAIN_IMAGE_HEADER_ALIGN) {
		if (memcmp(bytes + at, CHAIN_IMAGE_MAGIC, 8) == 0) {
			*out_at = at;
			return true;
		}
	}
	return false;
}

bool chain_image_is(const void *bytes, uint64_t bytes_count)
{
	struct chain_image_header header;
	uint64_t at;

	if (ident_says_image(bytes, bytes_count))
		return true;
	if (!image_header_find(bytes, bytes_count, &at))
		return false;
	memcpy(&header, (const uint8_t *)bytes + at, sizeof(header));
	return header.manifest_bytes != 0;
}

static enum chain_status bad_header(struct chain_error *err, const char *field, uint64_t value, uint64_t limit)
{
	return CHAIN_FAIL(err, IMAGE_BAD_HEADER, .subject = "image header", .detail = field, .value = value,
			  .wanted = limit);
}

/* What holds wherever the image lies. */
static enum chain_status header_check(const struct chain_image_header *h, struct chain_error *err)
{
	if (h->version < CHAIN_IMAGE_VERSION_SHA256 || h->version > CHAIN_IMAGE_VERSION)
		return CHAIN_FAIL(err, IMAGE_VERSION, .subject = "image header", .version = h->version,
				  .understood = CHAIN_IMAGE_VERSION);
	if (h->manifest_bytes == 0)
		return chain_fail_subject(err, CHAIN_E_IMAGE_NOT_BAKED, "image header");
	if (h->flags & ~(uint32_t)CHAIN_IMAGE_FLAG_VERIFY_ALL)
		return bad_header(err, "flags", h->flags, CHAIN_IMAGE_FLAG_VERIFY_ALL);
	if (!memchr(h->name, '\0', sizeof(h->name)))
		return bad_header(err, "the end of the name", (unsigned char)h->name[CHAIN_IMAGE_NAME_BYTES - 1], 0);
	if (chain_text_has_control(h->name, strlen(h->name)))
		return chain_fail_text(err, CHAIN_E_IMAGE_BAD_NAME, "image header", h->name);
	if (h->manifest_offset % BLOCK != 0 || h->manifest_offset < h->stage_bytes)
		return bad_header(err, "manifest_offset", h->manifest_offset, h->stage_bytes);
	if (h->fs_bytes % BLOCK != 0 || h->fs_bytes == 0)
		return bad_header(err, "fs_bytes", h->fs_bytes, BLOCK);
	if (h->fs_memory_bytes % CHAIN_IMAGE_FS_ALIGN != 0 || h->fs_memory_bytes < h->fs_bytes ||
	    h->fs_memory_bytes - h->fs_bytes >= CHAIN_IMAGE_FS_ALIGN)
		return bad_header(err, "fs_memory_bytes", h->fs_memory_bytes, h->fs_bytes);
	if (h->fs_offset < h->manifest_offset || h->fs_offset - h->manifest_offset < h->manifest_bytes ||
	    (h->base + h->fs_offset) % CHAIN_IMAGE_FS_ALIGN != 0)
		return bad_header(err, "fs_offset", h->fs_offset, h->manifest_offset);
	return CHAIN_OK;
}

/* Whether the file has room for what its header says; each comparison is free of sums that could wrap. */
static enum chain_status file_check(const struct chain_image *image, struct chain_error *err)
{
	const struct chain_image_header *h = &image->header;
	const uint64_t count = image->bytes_count;

	if (h->file_base % BLOCK != 0 || h->file_base > image->header_at || h->file_base > h->file_manifest)
		return bad_header(err, "file_base", h->file_base, image->header_at);
	if (h->file_manifest % CHAIN_IMAGE_FILE_ALIGN != 0 || h->file_manifest < image->header_at + sizeof(*h))
		return bad_header(err, "file_manifest", h->file_manifest, image->header_at + sizeof(*h));
	if (h->file_fs % BLOCK != 0 || h->file_fs < h->file_manifest)
		return bad_header(err, "file_fs", h->file_fs, h->file_manifest);
	if (h->file_manifest > count || h->manifest_bytes > count - h->file_manifest)
		return CHAIN_FAIL(err, IMAGE_TRUNCATED, .subject = "manifest",
				  .end = h->file_manifest + h->manifest_bytes, .total = count);
	if (h->manifest_bytes > h->file_fs - h->file_manifest)
		return bad_header(err, "manifest_bytes", h->manifest_bytes, h->file_fs - h->file_manifest);
	if (h->file_fs > count || h->fs_bytes > count - h->file_fs)
		return CHAIN_FAIL(err, IMAGE_TRUNCATED, .subject = "filesystem", .end = h->file_fs + h->fs_bytes,
				  .total = count);
	return CHAIN_OK;
}

/* Whether the parts lie as the header says and, in a file, leave no byte out but padding. */
static enum chain_status parts_check(struct chain_image *image,
				     const struct chain_manifest_entry parts[IMAGE_PART_COUNT], struct chain_error *err)
{
	const struct chain_image_header *h = &image->header;
	const struct chain_manifest_entry *elf = &parts[IMAGE_PART_ELF], *stage = &parts[IMAGE_PART_STAGE];
	const struct chain_manifest_entry *meta = &parts[IMAGE_PART_FS_META], *sections = &parts[IMAGE_PART_SECTIONS];
	const uint64_t fs_end = h->file_fs + h->fs_bytes;

	if (elf->offset != 0 || elf->bytes != h->file_base)
		return bad_header(err, "file_base", h->file_base, elf->bytes);
	if (stage->offset != h->file_base || stage->bytes > h->file_manifest - h->file_base ||
	    stage->bytes > h->stage_bytes)
		return bad_header(err, "stage_bytes", h->stage_bytes, stage->bytes);
	if (meta->offset != h->file_fs || meta->bytes > h->fs_bytes || meta->bytes % BLOCK != 0)
		return bad_header(err, "file_fs", h->file_fs, meta->offset);
	if (sections->offset != fs_end)
		return bad_header(err, "fs_bytes", h->fs_bytes, sections->offset - h->file_fs);
	image->fs_meta_bytes = meta->bytes;
	if (image->loaded)
		return CHAIN_OK;
	if (image->header_at - h->file_base > stage->bytes ||
	    stage->bytes - (image->header_at - h->file_base) < sizeof(*h))
		return bad_header(err, "file_base", h->file_base, stage->bytes);
	if (image->bytes_count - fs_end < sections->bytes)
		return CHAIN_FAIL(err, IMAGE_TRUNCATED, .subject = "sections", .end = fs_end + sections->bytes,
				  .total = image->bytes_count);
	if (image->bytes_count - fs_end > sections->bytes)
		return CHAIN_FAIL(err, IMAGE_TRAILING, .subject = "sections", .end = fs_end + sections->bytes,
				  .total = image->bytes_count);
	return CHAIN_OK;
}

static size_t digests_tell(const struct chain_digest *found, const struct chain_digest *wanted, char *out, size_t size)
{
	char found_hex[CHAIN_SHA256_HEX + 1], wanted_hex[CHAIN_SHA256_HEX + 1];

	chain_sha256_to_hex(found->bytes, found_hex);
	chain_sha256_to_hex(wanted->bytes, wanted_hex);
	return (size_t)snprintf(out, size, "%s, not %s", found_hex, wanted_hex);
}

enum chain_status image_digest_same(const struct chain_digest *found, const struct chain_digest *wanted,
				    const char *subject, struct chain_error *err)
{
	char detail[CHAIN_SUBJECT_BYTES];

	if (chain_digest_same(found, wanted))
		return CHAIN_OK;
	(void)digests_tell(found, wanted, detail, sizeof(detail));
	return chain_fail_text(err, CHAIN_E_IMAGE_DIGEST, subject, detail);
}

/* "; block 3 of 17 is damaged, bytes 8192 to 12287", where it is known. */
static void place_tell(const struct chain_image *image, const struct chain_manifest_entry *entry,
		       const uint8_t locator[CHAIN_LOCATOR_BYTES], char *out, size_t size)
{
	const uint64_t block = CHAIN_VERITY_BLOCK_BYTES, blocks = (entry->bytes + block - 1) / block;
	const uint64_t number = !image->locates ? 0 :
				blocks > 1      ? chain_locator_find(entry->locator, locator, blocks) :
						  blocks;
	const uint64_t end = number < blocks ? number * block : entry->bytes;

	if (number > 0)
		(void)snprintf(out, size,
			       "; block %" PRIu64 " of %" PRIu64 " is damaged, bytes %" PRIu64 " to %" PRIu64, number,
			       blocks, (number - 1) * block, end - 1);
	else if (image->locates && blocks > 1)
		(void)snprintf(out, size, "; more than one of its %" PRIu64 " blocks is damaged", blocks);
}

/* CHAIN_E_IMAGE_DIGEST, with the place of the damage. The hash has ended and found that digest. */
static enum chain_status damaged(const struct chain_image *image, const struct chain_hash *hash,
				 const struct chain_digest *found, const struct chain_manifest_entry *entry,
				 const char *subject, struct chain_error *err)
{
	char detail[CHAIN_SUBJECT_BYTES];
	uint8_t locator[CHAIN_LOCATOR_BYTES] = { 0 };

	if (hash->kind == CHAIN_DIGEST_FSVERITY)
		chain_verity_locator(&hash->fsverity, locator);
	const size_t used = digests_tell(found, &entry->digest, detail, sizeof(detail));

	place_tell(image, entry, locator, detail + used, sizeof(detail) - used);
	return chain_fail_text(err, CHAIN_E_IMAGE_DIGEST, subject, detail);
}

enum chain_status image_hash_same(const struct chain_image *image, struct chain_hash *hash,
				  const struct chain_manifest_entry *entry, const char *subject,
				  struct chain_error *err)
{
	struct chain_digest found;

	chain_hash_final(hash, &found);
	return chain_digest_same(&found, &entry->digest) ? CHAIN_OK : damaged(image, hash, &found, entry, subject, err);
}

enum chain_status image_bytes_same(const struct chain_image *image, const uint8_t *bytes,
				   const struct chain_digest *found, const struct chain_manifest_entry *entry,
				   const char *subject, struct chain_error *err)
{
	struct chain_hash hash;
	struct chain_digest again;

	if (chain_digest_same(found, &entry->digest))
		return CHAIN_OK;
	chain_hash_init(&hash, entry->digest.kind);
	chain_hash_update(&hash, bytes, entry->bytes);
	chain_hash_final(&hash, &again);
	return damaged(image, &hash, found, entry, subject, err);
}

/* The common end of both ways to open: the header is checked and the three pieces are in place. */
static enum chain_status contents_check(struct chain_image *image, struct chain_error *err)
{
	struct chain_manifest_entry parts[IMAGE_PART_COUNT];
	struct chain_digest digest, id = { .kind = CHAIN_DIGEST_SHA256 };
	enum chain_status status;

	memcpy(id.bytes, image->header.id, sizeof(id.bytes));
	chain_digest_of(id.kind, image->manifest, image->manifest_bytes, &digest);
	status = image_digest_same(&digest, &id, "manifest", err);
	if (!status)
		status = image_manifest_check(image, parts, err);
	if (!status)
		status = parts_check(image, parts, err);
	if (status)
		return status;
	chain_digest_of(image->digests, image->fs_bytes, image->fs_meta_bytes, &digest);
	status = image_bytes_same(image, image->fs_bytes, &digest, &parts[IMAGE_PART_FS_META], "fs-meta", err);
	if (status)
		return status;
	return fs_mount_verified(&image->fs, image->fs_bytes, image->fs_bytes_count, err);
}

enum chain_status chain_image_open(struct chain_image *out, const void *bytes, uint64_t bytes_count,
				   struct chain_error *err)
{
	enum chain_status status;

	*out = (struct chain_image){ .bytes = bytes, .bytes_count = bytes_count };
	if (!image_header_find(bytes, bytes_count, &out->header_at))
		return CHAIN_FAIL(err, IMAGE_NO_HEADER, .subject = "image header",
				  .bytes = CHAIN_IMAGE_SEARCH_BYTES + BLOCK);
	memcpy(&out->header, out->bytes + out->header_at, sizeof(out->header));
	status = header_check(&out->header, err);
	if (!status)
		status = file_check(out, err);
	if (status)
		return status;
	out->manifest = (const char *)out->bytes + out->header.file_manifest;
	out->manifest_bytes = out->header.manifest_bytes;
	out->fs_bytes = out->bytes + out->header.file_fs;
	out->fs_bytes_count = out->header.fs_bytes;
	return contents_check(out, err);
}

enum chain_status chain_image_open_loaded(struct chain_image *out, const void *base,
					  const struct chain_image_header *header, struct chain_error *err)
{
	enum chain_status status;

	*out = (struct chain_image){ .bytes = base, .header = *header, .loaded = true };
	status = header_check(header, err);
	if (status)
		return status;
	if (__builtin_add_overflow(header->fs_offset, header->fs_memory_bytes, &out->bytes_count))
		return bad_header(err, "fs_offset", header->fs_offset, header->fs_memory_bytes);
	out->manifest = (const char *)out->bytes + header->manifest_offset;
	out->manifest_bytes = header->manifest_bytes;
	out->fs_bytes = out->bytes + header->fs_offset;
	out->fs_bytes_count = header->fs_bytes;
	return contents_check(out, err);
}
