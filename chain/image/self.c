/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "chain/self.h"

#include "chain/elf.h"
#include "image_internal.h"

#include <string.h>

enum chain_status chain_self_add(struct chain_self *self, uint64_t phys, uint64_t memory_bytes,
				 const struct chain_blob *blob, bool keep_rest, struct chain_error *err)
{
	struct chain_range range;
	enum chain_status status = chain_range_make(phys, memory_bytes, CHAIN_SOURCE_SELF, &range, err);
	if (status)
		return status;
	if (self->piece_count == CHAIN_SELF_PIECES_MAX || blob->bytes_count > memory_bytes)
		return CHAIN_FAIL(err, LIMIT, .subject = CHAIN_SOURCE_SELF, .detail = "pieces",
				  .value = self->piece_count + 1, .limit = CHAIN_SELF_PIECES_MAX);
	self->pieces[self->piece_count++] = (struct chain_plan_piece){
		.segment = { .phys = range, .virt = range, .file_bytes = blob->bytes_count },
		.blob = *blob,
		.keep_rest = keep_rest,
	};
	return CHAIN_OK;
}

enum chain_status chain_self_add_contents(struct chain_self *self, const struct chain_image *image, uint64_t base,
					  struct chain_error *err)
{
	const struct chain_image_header *h = &image->header;
	uint64_t manifest = base + h->manifest_offset, fs = base + h->fs_offset;
	const struct chain_blob text = { (const uint8_t *)image->manifest, image->manifest_bytes, manifest };
	const struct chain_blob files = { image->fs_bytes, image->fs_bytes_count, fs };
	enum chain_status status = chain_self_add(self, manifest, text.bytes_count, &text, true, err);
	return status ? status : chain_self_add(self, fs, h->fs_memory_bytes, &files, true, err);
}

/* Segments of the stage itself come before the manifest; what the kernel may write to is not in place when it starts
 * again. */
enum chain_status chain_self_from_file(struct chain_self *out, const struct chain_image *image, uint64_t base,
				       struct chain_error *err)
{
	struct chain_segment segments[CHAIN_SEGMENTS_MAX];
	struct chain_elf elf;
	size_t count = 0;
	uint64_t entry = 0;
	*out = (struct chain_self){ 0 };
	enum chain_status status = chain_elf_open(&elf, image->bytes, image->bytes_count, CHAIN_SOURCE_SELF, err);
	if (!status)
		status = chain_elf_segments(&elf, segments, CHAIN_SEGMENTS_MAX, &count, err);
	if (!status)
		status = chain_elf_entry(&elf, segments, count, &entry, err);
	for (size_t i = 0; !status && i < count; i++) {
		const struct chain_segment *s = &segments[i];
		uint64_t offset = s->phys.base - image->header.base;
		if (offset >= image->header.manifest_offset)
			continue;
		const struct chain_blob blob = { image->bytes + s->file_offset, s->file_bytes,
						 s->flags & CHAIN_ELF_PF_W ? CHAIN_PHYS_UNKNOWN : base + offset };
		status = chain_self_add(out, base + offset, chain_range_bytes(s->phys), &blob, false, err);
	}
	out->entry = entry - image->header.base + base;
	return status ? status : chain_self_add_contents(out, image, base, err);
}

static void hash_zeros(struct chain_hash *ctx, uint64_t count)
{
	static const uint8_t zeros[256];
	for (; count; count -= count < sizeof(zeros) ? count : sizeof(zeros))
		chain_hash_update(ctx, zeros, count < sizeof(zeros) ? count : sizeof(zeros));
}

/* The first piece has the header, whose id counts as zero. */
static enum chain_status hash_first(struct chain_hash *ctx, const struct chain_blob *blob,
				    const struct chain_image *image, struct chain_error *err)
{
	uint64_t at;
	if (!image_header_find(blob->bytes, blob->bytes_count, &at))
		return CHAIN_FAIL(err, IMAGE_NO_HEADER, .subject = "image header", .bytes = CHAIN_IMAGE_SEARCH_BYTES);
	struct chain_image_header header;
	memcpy(&header, blob->bytes + at, sizeof(header));
	struct chain_digest found = { .kind = CHAIN_DIGEST_SHA256 }, wanted = found;
	memcpy(found.bytes, header.id, sizeof(found.bytes));
	memcpy(wanted.bytes, image->header.id, sizeof(wanted.bytes));
	enum chain_status status = image_digest_same(&found, &wanted, "image header", err);
	if (status)
		return status;
	const uint64_t id = at + offsetof(struct chain_image_header, id), behind = id + sizeof(header.id);
	chain_hash_update(ctx, blob->bytes, id);
	hash_zeros(ctx, sizeof(header.id));
	chain_hash_update(ctx, blob->bytes + behind, blob->bytes_count - behind);
	return CHAIN_OK;
}

enum chain_status chain_self_check(const struct chain_self *self, const struct chain_image *image,
				   struct chain_error *err)
{
	struct chain_manifest_entry part = { 0 };
	uint64_t cursor = 0, at = 0;
	struct chain_hash ctx;
	bool found = true;
	for (int i = 0; found && i <= IMAGE_PART_STAGE; i++)
		found = chain_manifest_next(image, &cursor, &part);
	if (!found || !self->piece_count || self->pieces[0].blob.bytes_count > part.bytes)
		return CHAIN_FAIL(err, MANIFEST_MALFORMED, .subject = "manifest", .detail = "the stage is missing",
				  .line = 3);
	chain_hash_init(&ctx, part.digest.kind);
	enum chain_status status = hash_first(&ctx, &self->pieces[0].blob, image, err);
	if (status)
		return status;
	at = self->pieces[0].blob.bytes_count;
	/* As they lie in the file: behind each other, each on a multiple of a few bytes. */
	for (size_t i = 1; i < self->piece_count && at < part.bytes; i++) {
		const struct chain_blob *blob = &self->pieces[i].blob;
		uint64_t gap = -at % CHAIN_IMAGE_FILE_ALIGN;
		if (!blob->bytes_count)
			continue;
		hash_zeros(&ctx, gap);
		chain_hash_update(&ctx, blob->bytes, blob->bytes_count);
		at += gap + blob->bytes_count;
	}
	return image_hash_same(image, &ctx, &part, image_part_names[IMAGE_PART_STAGE], err);
}
