/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "write_internal.h"

#include <string.h>

/* EROFS stores a number for the usual beginnings of names (Linux, fs/erofs/erofs_fs.h, EROFS_XATTR_INDEX_*). */
static const struct {
	const char *text;
	uint8_t index;
	bool whole;
} prefixes[] = {
	{ "user.", 1, false },
	{ "system.posix_acl_access", 2, true },
	{ "system.posix_acl_default", 3, true },
	{ "trusted.", 4, false },
	{ "security.", 6, false },
};

/* The part of the name that is stored, or null when its beginning has no number. */
static const char *stored_name(const char *name, uint8_t *out_index)
{
	for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++) {
		size_t bytes = strlen(prefixes[i].text);

		if (strncmp(name, prefixes[i].text, bytes) != 0 || (name[bytes] == 0) != prefixes[i].whole)
			continue;
		*out_index = prefixes[i].index;
		return name + bytes;
	}
	return NULL;
}

static uint64_t entry_bytes(const struct fs_xattr *xattr)
{
	uint8_t index;
	const char *name = stored_name(xattr->name, &index);

	return (sizeof(struct fs_erofs_xattr_entry) + strlen(name) + xattr->value_bytes + 3) & ~(uint64_t)3;
}

/* The one whose name is the least behind `previous` (null: the least of all). Quadratic, over at most FS_XATTRS_MAX. */
static const struct fs_xattr *next_by_name(const struct fs_spec *spec, const struct fs_xattr *previous)
{
	const struct fs_xattr *next = NULL;

	for (size_t i = 0; i < spec->xattr_count; i++) {
		const struct fs_xattr *one = &spec->xattrs[i];

		if (previous && strcmp(one->name, previous->name) <= 0)
			continue;
		if (!next || strcmp(one->name, next->name) < 0)
			next = one;
	}
	return next;
}

enum chain_status fs_xattrs_check(const struct fs_spec *spec, struct chain_error *err)
{
	const uint64_t limit = sizeof(struct fs_erofs_xattr_header) + 4 * (uint64_t)(UINT16_MAX - 1);
	uint64_t total = sizeof(struct fs_erofs_xattr_header);
	size_t distinct = 0;

	if (spec->xattr_count > FS_XATTRS_MAX)
		return CHAIN_FAIL(err, LIMIT, .subject = spec->path, .detail = "attributes", .value = spec->xattr_count,
				  .limit = FS_XATTRS_MAX);
	for (size_t i = 0; i < spec->xattr_count; i++) {
		const struct fs_xattr *one = &spec->xattrs[i];
		uint8_t index;
		const char *name = one->name ? stored_name(one->name, &index) : NULL;

		if (!name || strlen(name) > FS_EROFS_NAME_MAX)
			return CHAIN_FAIL(err, FS_BAD_SPEC, .subject = spec->path,
					  .detail = "EROFS can't store an attribute of this name", .value = i);
		if (one->value_bytes > UINT16_MAX)
			return CHAIN_FAIL(err, LIMIT, .subject = spec->path, .detail = "bytes of an attribute",
					  .value = one->value_bytes, .limit = UINT16_MAX);
		total += entry_bytes(one);
	}
	if (spec->xattr_count && total > limit)
		return CHAIN_FAIL(err, LIMIT, .subject = spec->path, .detail = "bytes of attributes", .value = total,
				  .limit = limit);
	for (const struct fs_xattr *one = next_by_name(spec, NULL); one; one = next_by_name(spec, one))
		distinct++;
	if (distinct != spec->xattr_count)
		return CHAIN_FAIL(err, FS_BAD_SPEC, .subject = spec->path, .detail = "an attribute is given twice",
				  .value = distinct);
	return CHAIN_OK;
}

uint32_t fs_xattrs_bytes(const struct fs_spec *spec)
{
	uint64_t total = sizeof(struct fs_erofs_xattr_header);

	if (!spec || !spec->xattr_count)
		return 0;
	for (size_t i = 0; i < spec->xattr_count; i++)
		total += entry_bytes(&spec->xattrs[i]);
	return (uint32_t)total; /* below 2^18: fs_xattrs_check */
}

void fs_xattrs_write(const struct fs_spec *spec, uint8_t *buf)
{
	memset(buf, 0, fs_xattrs_bytes(spec));
	buf += sizeof(struct fs_erofs_xattr_header);
	for (const struct fs_xattr *one = next_by_name(spec, NULL); one; one = next_by_name(spec, one)) {
		struct fs_erofs_xattr_entry entry = { 0 };
		const char *name = stored_name(one->name, &entry.name_index);

		entry.name_bytes = (uint8_t)strlen(name);
		entry.value_bytes = (uint16_t)one->value_bytes;
		memcpy(buf, &entry, sizeof(entry));
		memcpy(buf + sizeof(entry), name, entry.name_bytes);
		if (one->value_bytes)
			memcpy(buf + sizeof(entry) + entry.name_bytes, one->value, one->value_bytes);
		buf += entry_bytes(one);
	}
}
