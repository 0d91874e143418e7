/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Every byte of an image: digests of parts, files and links, and zeros everywhere else. Contents are read in the order
 * in which they lie, each stretch once however many names it has. */
#include "image_internal.h"

#include <stdlib.h>
#include <string.h>

enum { CHUNK = 32 << 20 /* between two calls about the progress */ };

/* A file's or link's data, and the line of the manifest that vouches for it. */
struct extent {
	uint64_t offset, bytes; /* in the filesystem */
	uint64_t cursor;
};

/* Small files wait until there are as many as are worth being hashed side by side. */
struct waiting {
	struct chain_verity_group group;
	struct line {
		const struct extent *extent;
		size_t file; /* in the group; that of the line before it where the bytes are the same ones */
	} lines[CHAIN_VERITY_GROUP_FILES];
	size_t count;
};

struct verify {
	const struct chain_image *image;
	chain_image_progress *progress;
	void *ctx;
	uint64_t done, total;
	struct extent *extents;
	uint64_t count;
	struct waiting *waiting;
	const struct extent *hashed; /* whose digest the next one is, too; null: none */
	struct chain_digest digest;
};

static void heard(struct verify *v, uint64_t bytes)
{
	v->done += bytes;
	if (v->progress)
		v->progress(v->ctx, v->done, v->total);
}

/* `at`: offset of the bytes in the file or memory, for the error. */
static enum chain_status zero_check(const uint8_t *bytes, uint64_t count, uint64_t at, const char *subject,
				    struct chain_error *err)
{
	if (count == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, (size_t)count - 1) == 0))
		return CHAIN_OK;
	while (*bytes == 0) {
		bytes++;
		at++;
	}
	return CHAIN_FAIL(err, IMAGE_NOT_ZERO, .subject = subject, .offset = at, .value = *bytes);
}

static void hash(struct verify *v, const uint8_t *bytes, uint64_t count, enum chain_digest_kind kind,
		 struct chain_digest *out)
{
	struct chain_hash ctx;

	if (count <= CHUNK) {
		chain_digest_of(kind, bytes, count, out);
		heard(v, count);
		return;
	}
	chain_hash_init(&ctx, kind);
	while (count > 0) {
		const uint64_t piece = count < CHUNK ? count : CHUNK;

		chain_hash_update(&ctx, bytes, piece);
		heard(v, piece);
		bytes += piece;
		count -= piece;
	}
	chain_hash_final(&ctx, out);
}

/* The stage's file bytes with the id counted as zero; `out` is to be ended. */
static void stage_hash(const struct chain_image *image, uint64_t offset, uint64_t bytes, struct chain_hash *out)
{
	static const uint8_t no_id[CHAIN_SHA256_BYTES] = { 0 };
	const uint64_t id_at = image->header_at + offsetof(struct chain_image_header, id);
	const uint64_t behind = id_at + sizeof(no_id);

	chain_hash_init(out, image->digests);
	chain_hash_update(out, image->bytes + offset, id_at - offset);
	chain_hash_update(out, no_id, sizeof(no_id));
	chain_hash_update(out, image->bytes + behind, offset + bytes - behind);
}

static void part_hash(const struct chain_image *image, const struct chain_manifest_entry *part, struct chain_hash *out)
{
	chain_hash_init(out, part->digest.kind);
	chain_hash_update(out, image->bytes + part->offset, part->bytes);
}

static enum chain_status parts_verify(struct verify *v, struct chain_error *err)
{
	const struct chain_image *image = v->image;
	struct chain_manifest_entry part;
	struct chain_hash hash;
	uint64_t cursor = 0;

	for (size_t i = 0; i < IMAGE_PART_COUNT; i++) {
		if (!chain_manifest_next(image, &cursor, &part))
			return CHAIN_FAIL(err, MANIFEST_MALFORMED, .subject = "manifest", .detail = "a part is missing",
					  .line = i + 2);
		if (i == IMAGE_PART_STAGE)
			stage_hash(image, part.offset, part.bytes, &hash);
		else
			part_hash(image, &part, &hash);
		heard(v, part.bytes);
		const enum chain_status status = image_hash_same(image, &hash, &part, image_part_names[i], err);

		if (status)
			return status;
	}
	return CHAIN_OK;
}

/* The bytes between parts, manifest and filesystem. */
static enum chain_status gaps_verify(const struct chain_image *image, struct chain_error *err)
{
	const struct chain_image_header *h = &image->header;
	struct chain_manifest_entry stage;
	uint64_t cursor = 0, at;
	enum chain_status status;

	(void)chain_manifest_next(image, &cursor, &stage);
	if (!chain_manifest_next(image, &cursor, &stage))
		return CHAIN_FAIL(err, MANIFEST_MALFORMED, .subject = "manifest", .detail = "the stage is missing",
				  .line = 3);
	at = stage.offset + stage.bytes;
	status = zero_check(image->bytes + at, h->file_manifest - at, at, "padding before the manifest", err);
	if (status)
		return status;
	at = h->file_manifest + h->manifest_bytes;
	return zero_check(image->bytes + at, h->file_fs - at, at, "padding before the filesystem", err);
}

static int extent_order(const void *a, const void *b)
{
	const struct extent *x = a, *y = b;

	if (x->offset != y->offset)
		return x->offset < y->offset ? -1 : 1;
	if (x->bytes != y->bytes)
		return x->bytes < y->bytes ? -1 : 1;
	return x->cursor < y->cursor ? -1 : x->cursor > y->cursor;
}

/* Who opens a path follows the links that the manifest has; so nothing may be listed behind one. Leaves `path` as it
 * was. */
static enum chain_status folders_check(const struct chain_image *image, char *path, struct chain_error *err)
{
	struct chain_manifest_entry above;

	for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		if (!chain_manifest_find(image, path, &above, NULL))
			return chain_fail_text(err, CHAIN_E_MANIFEST_KIND, path, "a folder");
		*slash = '/';
	}
	return CHAIN_OK;
}

/* Looks one line's node up and notes where its data lies. */
static enum chain_status extent_note(struct verify *v, const struct chain_manifest_entry *entry, uint64_t cursor,
				     struct chain_error *err)
{
	const bool link = entry->kind == CHAIN_MANIFEST_LINK;
	struct extent *extent = &v->extents[v->count++];
	char path[CHAIN_IMAGE_PATH_BYTES];
	struct fs_node node;
	enum chain_status status = image_path_copy(entry, path, err);

	if (!status)
		status = folders_check(v->image, path, err);
	if (!status)
		status = fs_lookup(&v->image->fs, path, false, &node, err);
	if (status)
		return status;
	if (node.type != (link ? FS_SYMLINK : FS_REGULAR))
		return chain_fail_text(err, CHAIN_E_MANIFEST_KIND, path, link ? "a link" : "a file");
	if (node.size_bytes != entry->bytes)
		return CHAIN_FAIL(err, MANIFEST_SIZE, .subject = path, .bytes = entry->bytes,
				  .fs_bytes = node.size_bytes);
	*extent = (struct extent){ node.tail_offset ? node.tail_offset : node.data_offset, node.size_bytes, cursor };
	if (node.size_bytes == 0) {
		extent->offset = 0;
	} else if (extent->bytes > v->image->fs_bytes_count ||
		   extent->offset > v->image->fs_bytes_count - extent->bytes ||
		   (node.tail_offset && node.data_offset && node.data_offset != node.tail_offset)) {
		return CHAIN_FAIL(err, FS_NOT_CONTIGUOUS, .subject = path, .nid = node.nid);
	}
	return CHAIN_OK;
}

static bool same_extent(const struct extent *a, const struct extent *b)
{
	return a->offset == b->offset && a->bytes == b->bytes;
}

/* The line of the manifest at a cursor. */
static enum chain_status entry_of(const struct verify *v, uint64_t cursor, struct chain_manifest_entry *out,
				  char path[CHAIN_IMAGE_PATH_BYTES], struct chain_error *err)
{
	if (!chain_manifest_next(v->image, &cursor, out))
		return CHAIN_FAIL(err, MANIFEST_MALFORMED, .subject = "manifest", .detail = "changed while it was read",
				  .line = 0);
	return image_path_copy(out, path, err);
}

/* No baker lays files on each other in part, and to hash them would cost the square of what the image weighs. The
 * extents are sorted. */
static enum chain_status overlap_check(const struct verify *v, struct chain_error *err)
{
	struct chain_manifest_entry entry;
	char path[CHAIN_IMAGE_PATH_BYTES];

	for (uint64_t i = 0; i < v->count; i++) {
		const struct extent *e = &v->extents[i];
		const bool in_metadata = e->offset < v->image->fs_meta_bytes,
			   disjoint = i == 0 || same_extent(e, e - 1) || e->offset >= e[-1].offset + e[-1].bytes;

		if (e->bytes == 0 || (disjoint && !in_metadata))
			continue;
		const enum chain_status status = entry_of(v, e->cursor, &entry, path, err);

		if (status)
			return status;
		if (!disjoint || (entry.kind != CHAIN_MANIFEST_LINK && !image_is_pipeline(&entry)))
			return CHAIN_FAIL(err, IMAGE_OVERLAP, .subject = path,
					  .detail = disjoint ? "the filesystem's metadata" : "another file",
					  .offset = e->offset);
	}
	return CHAIN_OK;
}

/* In the order in which they came, so that the first that is damaged is reported. */
static enum chain_status waiting_check(struct verify *v, struct chain_error *err)
{
	struct waiting *w = v->waiting;
	enum chain_status status = CHAIN_OK;

	chain_verity_group_hash(&w->group);
	for (size_t i = 0; !status && i < w->count; i++) {
		const struct line *line = &w->lines[i];
		struct chain_digest digest = { .kind = CHAIN_DIGEST_FSVERITY };
		struct chain_manifest_entry entry;
		char path[CHAIN_IMAGE_PATH_BYTES];

		memcpy(digest.bytes, w->group.digests[line->file], sizeof(digest.bytes));
		status = entry_of(v, line->extent->cursor, &entry, path, err);
		if (!status)
			status = image_bytes_same(v->image, v->image->fs_bytes + line->extent->offset, &digest, &entry,
						  path, err);
	}
	w->count = 0;
	return status;
}

/* False: there is no room for it now. */
static bool waiting_add(struct verify *v, const struct extent *e)
{
	struct waiting *w = v->waiting;
	const bool again = w->count > 0 && same_extent(w->lines[w->count - 1].extent, e);

	if (w->count == CHAIN_VERITY_GROUP_FILES ||
	    (!again && !chain_verity_group_add(&w->group, v->image->fs_bytes + e->offset, e->bytes)))
		return false;
	w->lines[w->count++] = (struct line){ e, w->group.count - 1 };
	if (e == v->extents || !same_extent(e, e - 1))
		heard(v, e->bytes);
	return true;
}

static enum chain_status extent_verify(struct verify *v, const struct extent *e, struct chain_error *err)
{
	struct chain_manifest_entry entry;
	char path[CHAIN_IMAGE_PATH_BYTES];
	enum chain_status status = entry_of(v, e->cursor, &entry, path, err);

	if (status)
		return status;
	if (entry.digest.kind == CHAIN_DIGEST_FSVERITY && waiting_add(v, e))
		return CHAIN_OK;
	status = waiting_check(v, err);
	if (status)
		return status;
	if (entry.digest.kind == CHAIN_DIGEST_FSVERITY && waiting_add(v, e))
		return CHAIN_OK;
	if (!v->hashed || !same_extent(v->hashed, e) || v->digest.kind != entry.digest.kind)
		hash(v, v->image->fs_bytes + e->offset, e->bytes, entry.digest.kind, &v->digest);
	v->hashed = e;
	return entry.kind == CHAIN_MANIFEST_LINK ?
		       image_digest_same(&v->digest, &entry.digest, path, err) :
		       image_bytes_same(v->image, v->image->fs_bytes + e->offset, &v->digest, &entry, path, err);
}

static enum chain_status extents_verify(struct verify *v, struct chain_error *err)
{
	const struct chain_image *image = v->image;
	const uint64_t fs_at = (uint64_t)(image->fs_bytes - image->bytes);
	uint64_t at = image->fs_meta_bytes;
	enum chain_status status;

	for (uint64_t i = 0; i < v->count; i++) {
		const struct extent *e = &v->extents[i];

		if (e->offset > at) {
			status =
				zero_check(image->fs_bytes + at, e->offset - at, fs_at + at, "filesystem padding", err);
			if (status)
				return status;
		}
		status = extent_verify(v, e, err);
		if (status)
			return status;
		if (e->offset + e->bytes > at)
			at = e->offset + e->bytes;
	}
	status = waiting_check(v, err);
	if (status)
		return status;
	return zero_check(image->fs_bytes + at, image->fs_bytes_count - at, fs_at + at, "filesystem padding", err);
}

static enum chain_status files_verify(struct verify *v, struct chain_error *err)
{
	uint64_t cursor = v->image->entries_at, before = cursor;
	struct chain_manifest_entry entry;
	enum chain_status status = CHAIN_OK;

	while (!status && v->count < v->image->entry_count && chain_manifest_next(v->image, &cursor, &entry)) {
		status = extent_note(v, &entry, before, err);
		before = cursor;
	}
	if (status)
		return status;
	if (v->count > 0)
		qsort(v->extents, (size_t)v->count, sizeof(*v->extents), extent_order);
	status = overlap_check(v, err);
	return status ? status : extents_verify(v, err);
}

enum chain_status chain_image_verify(const struct chain_image *image, chain_image_progress *progress, void *ctx,
				     struct chain_error *err)
{
	struct verify v = { .image = image, .progress = progress, .ctx = ctx, .total = image->bytes_count };
	enum chain_status status = CHAIN_OK;

	if (!image->loaded) {
		status = parts_verify(&v, err);
		if (!status)
			status = gaps_verify(image, err);
	}
	if (status)
		return status;
	/* entry_count lines were seen in the manifest, so the product can't wrap */
	const size_t bytes = (size_t)(image->entry_count + 1) * sizeof(*v.extents);

	v.extents = malloc(bytes);
	v.waiting = malloc(sizeof(*v.waiting));
	if (v.extents && v.waiting) {
		v.waiting->count = v.waiting->group.count = v.waiting->group.blocks = 0;
		status = files_verify(&v, err);
	} else {
		status = chain_fail_no_memory(err, "image", bytes + sizeof(*v.waiting));
	}
	free(v.waiting);
	free(v.extents);
	return status;
}
