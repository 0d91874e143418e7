/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Lays an image out and writes it: all places are final before the first byte goes to the sink; digests that are only
 * known when the data has gone by (the manifest's lines, and the id of it all) are written behind. */
#include "bake_internal.h"

#include <stdlib.h>
#include <string.h>

enum { PATH_MAX_BYTES = 1023 /* CHAIN_IMAGE_PATH_BYTES less the terminator */ };

struct bake {
	const struct chain_bake_request *request;
	struct chain_bake_result *result;
	const struct bake_container *container;
	struct bake_stage stage;
	struct fs_writer *writer;
	const struct fs_placed *placed;
	size_t placed_count;
	const struct fs_placed *root; /* null: none */
	struct bake_entry *entries;   /* owned */
	uint8_t *meta;                /* owned: the filesystem's metadata, hashed when it is complete */
	uint64_t meta_bytes;
	struct chain_verity of_file; /* of a file whose digest the caller knows, as it goes by */
	struct bake_part_line lines[BAKE_PART_LINES];
};

const char *chain_bake_part_name(enum chain_bake_part_kind kind)
{
	static const char *const names[CHAIN_BAKE_PART_COUNT] = { "elf",     "stage", "manifest",
								  "fs-meta", "files", "sections" };

	return (unsigned)kind < CHAIN_BAKE_PART_COUNT ? names[kind] : "unknown";
}

static enum chain_status path_check(const struct fs_spec *spec, struct chain_error *err)
{
	if (strlen(spec->path) > PATH_MAX_BYTES)
		return CHAIN_FAIL(err, LIMIT, .subject = spec->path, .detail = "bytes of path",
				  .value = strlen(spec->path), .limit = PATH_MAX_BYTES);
	if (chain_text_has_control(spec->path, strlen(spec->path)))
		return chain_fail_text(err, CHAIN_E_BAKE_PATH, spec->path, "a path can't hold control characters");
	if (spec->type != FS_REGULAR && spec->type != FS_DIRECTORY && spec->type != FS_SYMLINK)
		return chain_fail_text(err, CHAIN_E_BAKE_NOT_BAKEABLE, spec->path, "a device, pipe or socket");
	return CHAIN_OK;
}

static enum chain_status request_check(const struct chain_bake_request *r, struct chain_error *err)
{
	const size_t name_bytes = r->name ? strlen(r->name) : 0;

	if (name_bytes >= CHAIN_IMAGE_NAME_BYTES)
		return CHAIN_FAIL(err, BAKE_NAME, .subject = r->name, .bytes = name_bytes,
				  .limit = CHAIN_IMAGE_NAME_BYTES - 1);
	if (r->name && chain_text_has_control(r->name, name_bytes))
		return chain_fail_text(err, CHAIN_E_BAKE_PATH, r->name, "a name can't hold control characters");
	if (r->base % BAKE_BLOCK != 0 || r->base < 0x100000 || r->base > UINT32_MAX)
		return CHAIN_FAIL(err, BAKE_BAD_BASE, .subject = r->name ? r->name : "image", .base = r->base);
	for (size_t i = 0; i < r->spec_count; i++) {
		const enum chain_status status = path_check(&r->specs[i], err);

		if (status)
			return status;
	}
	return CHAIN_OK;
}

static enum chain_status tree_layout(struct bake *bake, struct chain_error *err)
{
	const struct chain_bake_request *r = bake->request;
	enum chain_status status = fs_writer_new(&bake->writer, err);

	for (size_t i = 0; !status && i < r->spec_count; i++)
		status = fs_writer_add(bake->writer, &r->specs[i], err);
	if (!status)
		status = fs_writer_layout(bake->writer, err);
	if (status)
		return status;
	bake->placed = fs_writer_placed(bake->writer, &bake->placed_count);
	bake->meta_bytes = fs_writer_meta_bytes(bake->writer);
	bake->meta = calloc(1, bake->meta_bytes);
	bake->entries = calloc(bake->placed_count + 1, sizeof(*bake->entries));
	if (!bake->meta || !bake->entries)
		return chain_fail_no_memory(err, "image", bake->meta_bytes);
	for (size_t i = 0; i < bake->placed_count; i++) {
		const struct fs_placed *p = &bake->placed[i];

		bake->entries[i] = (struct bake_entry){ .path = p->spec->path,
							.bytes = p->size_bytes,
							.link = p->spec->type == FS_SYMLINK };
		if (r->root && strcmp(p->spec->path, r->root) == 0)
			bake->root = p;
		bake->result->content_bytes += p->size_bytes;
		if (p->shared)
			bake->result->shared_bytes += p->size_bytes;
	}
	bake->result->entry_count = bake->placed_count;
	return CHAIN_OK;
}

/* Where everything lies, for a manifest of `manifest_bytes`. */
static void places_set(struct bake *bake, uint64_t manifest_bytes)
{
	struct chain_bake_result *out = bake->result;
	struct chain_image_header *h = &out->header;
	const uint64_t fs_bytes = fs_writer_image_bytes(bake->writer), stage_bytes = bake->stage.bytes_count;
	const uint64_t text = CHAIN_IMAGE_FILE_ALIGN - 1, block = BAKE_BLOCK - 1, big = CHAIN_IMAGE_FS_ALIGN - 1,
		       base = bake->request->base;

	/* the sums stay far below 2^64: base and stage below 4 GiB, the filesystem at most 2^32 blocks */
	h->manifest_bytes = manifest_bytes;
	h->manifest_offset = (bake->stage.memory_bytes + block) & ~block;
	h->fs_offset = ((base + h->manifest_offset + manifest_bytes + big) & ~big) - base;
	h->fs_bytes = fs_bytes;
	h->fs_memory_bytes = (fs_bytes + big) & ~big;
	h->file_base = bake->stage.file_base;
	h->file_manifest = (h->file_base + stage_bytes + text) & ~text;
	h->file_fs = (h->file_manifest + manifest_bytes + block) & ~block;

	const uint64_t fs_phys = base + h->fs_offset, meta = bake->meta_bytes;
	const struct chain_bake_part parts[CHAIN_BAKE_PART_COUNT] = {
		[CHAIN_BAKE_ELF] = { 0, h->file_base, 0, 0 },
		[CHAIN_BAKE_STAGE] = { h->file_base, stage_bytes, base, bake->stage.memory_bytes },
		[CHAIN_BAKE_MANIFEST] = { h->file_manifest, manifest_bytes, base + h->manifest_offset, manifest_bytes },
		[CHAIN_BAKE_FS_META] = { h->file_fs, meta, fs_phys, meta },
		[CHAIN_BAKE_FILES] = { h->file_fs + meta, fs_bytes - meta, fs_phys + meta, h->fs_memory_bytes - meta },
		[CHAIN_BAKE_SECTIONS] = { h->file_fs + fs_bytes, 0, 0, 0 },
	};
	static const enum chain_bake_part_kind lines[BAKE_PART_LINES] = { CHAIN_BAKE_ELF, CHAIN_BAKE_STAGE,
									  CHAIN_BAKE_FS_META, CHAIN_BAKE_SECTIONS };
	uint8_t sections[BAKE_TAIL_MAX];

	memcpy(out->parts, parts, sizeof(parts));
	out->root = (struct chain_bake_part){ .bytes = 0 };
	if (bake->root)
		out->root = (struct chain_bake_part){ h->file_fs + bake->root->data_offset, bake->root->size_bytes,
						      fs_phys + bake->root->data_offset, bake->root->size_bytes };
	out->memory_end = fs_phys + h->fs_memory_bytes;
	out->parts[CHAIN_BAKE_SECTIONS].bytes = bake->container->tail(out, sections);
	out->file_bytes = out->parts[CHAIN_BAKE_SECTIONS].offset + out->parts[CHAIN_BAKE_SECTIONS].bytes;
	for (size_t i = 0; i < BAKE_PART_LINES; i++)
		bake->lines[i] = (struct bake_part_line){ .name = chain_bake_part_name(lines[i]),
							  .offset = out->parts[lines[i]].offset,
							  .bytes = out->parts[lines[i]].bytes };
}

/* The manifest names offsets that depend on its own size. They only grow with it, so this ends after two or three
 * rounds. */
static enum chain_status image_layout(struct bake *bake, struct chain_error *err)
{
	struct chain_bake_result *out = bake->result;
	uint64_t bytes = 0, wanted;

	memcpy(&out->header, bake->stage.bytes + bake->stage.header_at, sizeof(out->header));
	out->header.flags = bake->request->flags;
	out->header.base = bake->request->base;
	if (bake->request->name)
		memcpy(out->header.name, bake->request->name, strlen(bake->request->name) + 1);
	out->entry = bake->stage.entry;
	for (;;) {
		places_set(bake, bytes);
		wanted = bake_manifest_write(bake->lines, bake->entries, bake->placed_count, NULL);
		if (wanted == bytes)
			break;
		bytes = wanted;
	}
	if (out->memory_end > (uint64_t)UINT32_MAX + 1)
		return CHAIN_FAIL(err, BAKE_TOO_LARGE, .subject = bake->request->name ? bake->request->name : "image",
				  .end = out->memory_end, .limit = (uint64_t)UINT32_MAX + 1);
	return CHAIN_OK;
}

/* The stage at its base, and everything behind it. */
static enum chain_status stage_and_layout(struct bake *bake, struct chain_error *err)
{
	enum chain_status status = bake_stage_load(bake->request, &bake->stage, err);

	return status ? status : image_layout(bake, err);
}

/* A root that would lie where its kernel wants to be drives the whole image further up. */
static enum chain_status place(struct bake *bake, struct chain_bake_request *moved, struct chain_error *err)
{
	const uint64_t big = CHAIN_IMAGE_FS_ALIGN - 1;
	enum chain_status status = stage_and_layout(bake, err);

	if (status || !bake->root || bake->result->root.phys >= moved->root_floor)
		return status;
	moved->base += (moved->root_floor - bake->result->root.phys + big) & ~big;
	status = request_check(moved, err);
	bake_stage_free(&bake->stage);
	return status ? status : stage_and_layout(bake, err);
}

static enum chain_status emit(struct bake *bake, uint64_t offset, const void *bytes, size_t count,
			      struct chain_error *err)
{
	return count > 0 ? bake->request->sink(bake->request->ctx, offset, bytes, count, err) : CHAIN_OK;
}

/* A digest that was given decided which files are stored once, so it has to be true of the bytes that are stored. */
static enum chain_status assigned_check(const struct fs_spec *spec, const uint8_t digest[CHAIN_LOCATED_BYTES],
					struct chain_error *err)
{
	if (!spec->digest || memcmp(digest, spec->digest, CHAIN_LOCATED_BYTES) == 0)
		return CHAIN_OK;
	return chain_fail_text(err, CHAIN_E_FILE_CHANGED, spec->path, "its digest is another than a moment ago");
}

static enum chain_status data_place(void *ctx, const struct fs_spec *spec, uint64_t offset, bool *out_placed,
				    uint8_t out_digest[CHAIN_LOCATED_BYTES], struct chain_error *err)
{
	struct bake *bake = ctx;
	const struct chain_bake_request *r = bake->request;
	const enum chain_status status =
		r->place(r->ctx, spec, bake->result->header.file_fs + offset, out_placed, out_digest, err);

	return !status && *out_placed ? assigned_check(spec, out_digest, err) : status;
}

static enum chain_status data_read(void *ctx, const struct fs_spec *spec, uint64_t offset, void *buf, size_t count,
				   struct chain_error *err)
{
	struct bake *bake = ctx;
	const enum chain_status status = bake->request->source(bake->request->ctx, spec, offset, buf, count, err);
	uint8_t digest[CHAIN_LOCATED_BYTES];

	if (status || !spec->digest)
		return status;
	if (offset == 0)
		chain_verity_init(&bake->of_file);
	chain_verity_update(&bake->of_file, buf, count);
	if (offset + count < spec->size_bytes)
		return CHAIN_OK;
	chain_verity_final_located(&bake->of_file, digest);
	return assigned_check(spec, digest, err);
}

static enum chain_status fs_take(void *ctx, uint64_t offset, const void *buf, size_t count, struct chain_error *err)
{
	struct bake *bake = ctx;
	const uint8_t *bytes = buf;

	if (offset < bake->meta_bytes) {
		const uint64_t room = bake->meta_bytes - offset;
		const size_t piece = count < room ? count : (size_t)room;

		memcpy(bake->meta + offset, bytes, piece);
		offset += piece;
		bytes += piece;
		count -= piece;
	}
	return emit(bake, bake->result->header.file_fs + offset, bytes, count, err);
}

static struct bake_part_line *line_of(struct bake *bake, enum chain_bake_part_kind kind)
{
	size_t i = 0;

	while (strcmp(bake->lines[i].name, chain_bake_part_name(kind)) != 0)
		i++;
	return &bake->lines[i];
}

static enum chain_status part_emit(struct bake *bake, enum chain_bake_part_kind kind, const void *bytes,
				   struct chain_error *err)
{
	struct bake_part_line *line = line_of(bake, kind);

	chain_verity_of_located(bytes, line->bytes, line->digest);
	return emit(bake, line->offset, bytes, (size_t)line->bytes, err);
}

static enum chain_status parts_emit(struct bake *bake, struct chain_error *err)
{
	uint8_t block[BAKE_BLOCK], sections[BAKE_TAIL_MAX];
	uint8_t *headers = bake->stage.file_base > 0 ? block : bake->stage.bytes;
	enum chain_status status;

	bake->container->head(bake->result, &bake->stage, headers);
	memcpy(bake->stage.bytes + bake->stage.header_at, &bake->result->header, sizeof(bake->result->header));
	status = part_emit(bake, CHAIN_BAKE_ELF, headers, err);
	if (!status)
		status = part_emit(bake, CHAIN_BAKE_STAGE, bake->stage.bytes, err);
	if (!status)
		status = fs_writer_emit(bake->writer, data_read, fs_take, bake->request->place ? data_place : NULL,
					bake, err);
	if (!status)
		status = part_emit(bake, CHAIN_BAKE_FS_META, bake->meta, err);
	bake->container->tail(bake->result, sections);
	return status ? status : part_emit(bake, CHAIN_BAKE_SECTIONS, sections, err);
}

static enum chain_status manifest_emit(struct bake *bake, struct chain_error *err)
{
	struct chain_bake_result *out = bake->result;
	const uint64_t bytes = out->header.manifest_bytes;
	char *text = malloc(bytes);
	enum chain_status status;

	if (!text)
		return chain_fail_no_memory(err, "manifest", bytes);
	for (size_t i = 0; i < bake->placed_count; i++) {
		const struct fs_placed *p = &bake->placed[i];

		bake->entries[i].digest = p->digest;
		if (bake->request->placed)
			bake->request->placed(bake->request->ctx, p->spec, out->header.file_fs + p->data_offset,
					      p->digest);
	}
	bake_manifest_write(bake->lines, bake->entries, bake->placed_count, text);
	chain_sha256_of(text, bytes, out->id);
	memcpy(out->header.id, out->id, sizeof(out->id));
	status = emit(bake, out->header.file_manifest, text, bytes, err);
	free(text);
	if (status)
		return status;
	return emit(bake, out->header.file_base + bake->stage.header_at, &out->header, sizeof(out->header), err);
}

enum chain_status chain_bake(const struct chain_bake_request *request, struct chain_bake_result *out,
			     struct chain_error *err)
{
	struct chain_bake_request moved = *request;
	struct bake bake = { .request = &moved, .result = out, .container = bake_container_named(request->format) };
	enum chain_status status;

	*out = (struct chain_bake_result){ .file_bytes = 0 };
	status = request_check(request, err);
	if (!status)
		status = tree_layout(&bake, err);
	if (!status)
		status = place(&bake, &moved, err);
	if (!status)
		status = parts_emit(&bake, err);
	if (!status)
		status = manifest_emit(&bake, err);
	free(bake.entries);
	free(bake.meta);
	fs_writer_free(bake.writer);
	bake_stage_free(&bake.stage);
	return status;
}
