/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* One baked file by its path. Links are followed by the manifest, not by the filesystem alone, so that each of their
 * targets is checked before it is believed. */
#include "image_internal.h"

#include <assert.h>
#include <string.h>

static_assert(CHAIN_IMAGE_CHECKED_SLOTS == 1 << 8, "was_checked takes the top 8 bits");

struct walk {
	const struct chain_image *image;
	const char *subject;               /* the path that was asked for */
	char done[CHAIN_IMAGE_PATH_BYTES]; /* "" or "/a/b": no link in it */
	size_t done_bytes;
	char rest[CHAIN_IMAGE_PATH_BYTES]; /* what is still to be walked */
	unsigned links;
};

static enum chain_status too_long(const struct walk *walk, uint64_t bytes, struct chain_error *err)
{
	return CHAIN_FAIL(err, LIMIT, .subject = walk->subject, .detail = "bytes of path", .value = bytes,
			  .limit = CHAIN_IMAGE_PATH_BYTES - 1);
}

/* Reads a link's target, checks its digest, and puts it before the rest of the path. */
static enum chain_status link_follow(struct walk *walk, const struct chain_manifest_entry *entry,
				     struct chain_error *err)
{
	char target[CHAIN_IMAGE_PATH_BYTES];
	struct chain_digest digest;
	struct fs_node node;
	enum chain_status status = fs_lookup(&walk->image->fs, walk->done, false, &node, err);
	const size_t rest_bytes = strlen(walk->rest);

	if (status)
		return status;
	if (node.type != FS_SYMLINK)
		return chain_fail_text(err, CHAIN_E_MANIFEST_KIND, walk->done, "a link");
	if (node.size_bytes != entry->bytes)
		return CHAIN_FAIL(err, MANIFEST_SIZE, .subject = walk->done, .bytes = entry->bytes,
				  .fs_bytes = node.size_bytes);
	if (++walk->links > CHAIN_IMAGE_LINKS_MAX)
		return CHAIN_FAIL(err, MANIFEST_LOOP, .subject = walk->subject, .limit = CHAIN_IMAGE_LINKS_MAX);
	if (node.size_bytes >= sizeof(target) - 1 - rest_bytes)
		return too_long(walk, node.size_bytes + rest_bytes + 1, err);
	status = fs_read(&walk->image->fs, &node, 0, target, node.size_bytes, err);
	if (status)
		return status;
	chain_digest_of(entry->digest.kind, target, node.size_bytes, &digest);
	status = image_digest_same(&digest, &entry->digest, walk->done, err);
	if (status)
		return status;
	target[node.size_bytes] = '/';
	memmove(walk->rest + node.size_bytes + 1, walk->rest, rest_bytes + 1);
	memcpy(walk->rest, target, node.size_bytes + 1);
	if (target[0] == '/') {
		walk->done_bytes = 0;
	} else {
		while (walk->done_bytes > 0 && walk->done[--walk->done_bytes] != '/')
			;
	}
	walk->done[walk->done_bytes] = '\0';
	return CHAIN_OK;
}

/* Takes one component from `rest` to `done`; false at the end. */
static enum chain_status component_take(struct walk *walk, bool *out_more, struct chain_error *err)
{
	char *start = walk->rest + strspn(walk->rest, "/");
	const size_t bytes = strcspn(start, "/");

	*out_more = bytes > 0;
	if (bytes == 2 && memcmp(start, "..", 2) == 0) {
		while (walk->done_bytes > 0 && walk->done[--walk->done_bytes] != '/')
			;
	} else if (bytes > 0 && !(bytes == 1 && *start == '.')) {
		if (bytes + 2 > sizeof(walk->done) - walk->done_bytes)
			return too_long(walk, walk->done_bytes + bytes + 1, err);
		walk->done[walk->done_bytes++] = '/';
		memcpy(walk->done + walk->done_bytes, start, bytes);
		walk->done_bytes += bytes;
	}
	walk->done[walk->done_bytes] = '\0';
	memmove(walk->rest, start + bytes, strlen(start + bytes) + 1);
	return CHAIN_OK;
}

/* Walks to the file's own path and its line. */
static enum chain_status resolve(struct walk *walk, struct chain_manifest_entry *out, struct chain_error *err)
{
	bool more, found = false;

	for (;;) {
		enum chain_status status = component_take(walk, &more, err);

		if (status || !more)
			return status ? status :
			       found  ? CHAIN_OK :
					chain_fail_subject(err, CHAIN_E_MANIFEST_NO_ENTRY, walk->subject);
		found = !chain_manifest_find(walk->image, walk->done, out, NULL);
		if (found && out->kind == CHAIN_MANIFEST_LINK) {
			found = false;
			status = link_follow(walk, out, err);
			if (status)
				return status;
		}
	}
}

/* Whether fs-meta's digest, which was found right when the image was opened, covers the file. Only the pipeline's may
 * do without its own: of any other, what the manifest says of it is reported to others. */
static bool is_covered(const struct chain_image *image, const struct chain_manifest_entry *entry, const uint8_t *bytes)
{
	const uint64_t at = (uint64_t)(bytes - image->fs_bytes);

	return image_is_pipeline(entry) && entry->bytes <= image->fs_meta_bytes &&
	       at <= image->fs_meta_bytes - entry->bytes;
}

/* Whether the file's digest has been found right before. If not, *out_slot is where to note that it was. */
static bool was_checked(const struct chain_image *image, const struct chain_manifest_entry *entry, uint64_t **out_slot)
{
	const uint64_t at = (uint64_t)(entry->path - image->manifest);
	struct chain_image_checked *checked = image->checked;

	*out_slot = checked ? &checked->path_at[at * 0x9e3779b97f4a7c15 >> 56] : NULL;
	return checked && (checked->all || **out_slot == at);
}

static enum chain_status digest_check(const struct chain_image *image, const struct chain_manifest_entry *entry,
				      const uint8_t *bytes, uint64_t count, const char *path, struct chain_error *err)
{
	struct chain_digest digest;
	uint64_t *slot;

	if (was_checked(image, entry, &slot) || is_covered(image, entry, bytes))
		return CHAIN_OK;
	chain_digest_of(entry->digest.kind, bytes, count, &digest);
	const enum chain_status status = image_bytes_same(image, bytes, &digest, entry, path, err);

	if (!status && slot)
		*slot = (uint64_t)(entry->path - image->manifest);
	return status;
}

enum chain_status chain_image_file(const struct chain_image *image, const char *path, const uint8_t **out_bytes,
				   uint64_t *out_count, struct chain_digest *out_digest, struct chain_error *err)
{
	struct walk walk = { .image = image, .subject = path };
	struct chain_manifest_entry entry;
	struct fs_node node;
	enum chain_status status;

	if (strlen(path) >= sizeof(walk.rest))
		return too_long(&walk, strlen(path), err);
	strcpy(walk.rest, path);
	status = resolve(&walk, &entry, err);
	if (!status)
		status = fs_lookup(&image->fs, walk.done, false, &node, err);
	if (status)
		return status;
	if (node.type != FS_REGULAR)
		return chain_fail_text(err, CHAIN_E_MANIFEST_KIND, walk.done, "a file");
	status = fs_file_bytes(&image->fs, &node, out_bytes, out_count, err);
	if (status)
		return status;
	if (*out_count != entry.bytes)
		return CHAIN_FAIL(err, MANIFEST_SIZE, .subject = walk.done, .bytes = entry.bytes,
				  .fs_bytes = *out_count);
	if (out_digest)
		*out_digest = entry.digest;
	return digest_check(image, &entry, *out_bytes, *out_count, walk.done, err);
}
