/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "fs/check.h"
#include "check_areas.h"

#include <stdlib.h>
#include <string.h>

/* An inode that was reached. */
struct seen {
	uint64_t nid, parent;  /* parent: directories only */
	uint32_t nlink, links; /* as it says, as found */
	enum fs_type type;
};

/* Inodes in the order of discovery, which is also the queue of directories, and a hash table of their indexes. */
struct check {
	const struct fs *fs;
	struct seen *seen;
	size_t count, capacity;
	size_t *slots; /* index + 1; 0: empty */
	size_t slot_count;
	struct fs_check_report report;
	struct fs_areas areas;
	/* Of all directories, of all attributes: neither can be more than the image, or parts of it are used twice, and
	 * time would not be linear in its size. */
	uint64_t directory_bytes, xattr_bytes;
	size_t current; /* the directory being read */
	bool dot, dot_dot;
};

static size_t slot_of(const struct check *check, uint64_t nid)
{
	size_t at = (size_t)((nid * 0x9e3779b97f4a7c15) >> 32) & (check->slot_count - 1);

	while (check->slots[at] && check->seen[check->slots[at] - 1].nid != nid)
		at = (at + 1) & (check->slot_count - 1);
	return at;
}

/* Keeps the table at most half full. */
static enum chain_status make_room(struct check *check, struct chain_error *err)
{
	size_t capacity = check->capacity ? check->capacity * 2 : 64;
	struct seen *seen;
	size_t *slots;

	if (check->count < check->capacity)
		return CHAIN_OK;
	seen = realloc(check->seen, capacity * sizeof(*seen));
	if (seen)
		check->seen = seen;
	slots = seen ? calloc(capacity * 2, sizeof(*slots)) : NULL;
	if (!slots)
		return chain_fail_no_memory(err, FS_SUBJECT, capacity * sizeof(*seen));
	free(check->slots);
	check->slots = slots;
	check->slot_count = capacity * 2;
	check->capacity = capacity;
	for (size_t i = 0; i < check->count; i++)
		slots[slot_of(check, check->seen[i].nid)] = i + 1;
	return CHAIN_OK;
}

static enum chain_status bad_xattr(uint64_t nid, uint64_t index, const char *what, struct chain_error *err)
{
	return CHAIN_FAIL(err, FS_BAD_XATTR, .subject = FS_SUBJECT, .detail = what, .nid = nid, .index = index);
}

/* An entry at `offset`, of which `left` bytes may be used. */
static enum chain_status xattr_entry(const struct fs *fs, uint64_t nid, uint64_t index, uint64_t offset, uint64_t left,
				     uint64_t *out_bytes, struct chain_error *err)
{
	struct fs_erofs_xattr_entry entry;
	const uint8_t *at = left >= sizeof(entry) ? fs_gate(fs, offset, sizeof(entry)) : NULL;

	if (!at)
		return bad_xattr(nid, index, "it is cut", err);
	memcpy(&entry, at, sizeof(entry));
	*out_bytes = (sizeof(entry) + entry.name_bytes + entry.value_bytes + 3u) & ~(uint64_t)3;
	if (*out_bytes > left || !fs_gate(fs, offset, *out_bytes))
		return bad_xattr(nid, index, "it does not fit its room", err);
	return CHAIN_OK;
}

static enum chain_status shared_xattrs(const struct fs *fs, uint64_t nid, const uint8_t *numbers, uint32_t count,
				       struct chain_error *err)
{
	struct fs_erofs_super super;
	uint64_t area, unused;

	memcpy(&super, fs->bytes + FS_EROFS_SUPER_OFFSET, sizeof(super)); /* fs_mount has read it */
	area = (uint64_t)super.xattr_block * fs->block_bytes;
	for (uint32_t i = 0; i < count; i++) {
		uint32_t number;
		uint64_t offset;
		enum chain_status status;

		memcpy(&number, numbers + 4 * i, sizeof(number));
		offset = area + 4 * (uint64_t)number;
		if (offset >= fs->bytes_count)
			return bad_xattr(nid, i, "it lies outside the filesystem", err);
		status = xattr_entry(fs, nid, i, offset, fs->bytes_count - offset, &unused, err);
		if (status)
			return status;
	}
	return CHAIN_OK;
}

static enum chain_status check_xattrs(struct check *check, uint64_t nid, const struct fs_inode_place *place,
				      struct chain_error *err)
{
	uint64_t offset = place->offset + place->inode_bytes, end = offset + place->xattr_bytes;
	struct fs_erofs_xattr_header header;
	const uint8_t *at = fs_gate(check->fs, offset, place->xattr_bytes);
	enum chain_status status;

	if (!place->xattr_bytes)
		return CHAIN_OK;
	check->xattr_bytes += place->xattr_bytes;
	if (!at || check->xattr_bytes > check->fs->bytes_count)
		return bad_xattr(nid, 0, "attributes take more room than the filesystem has", err);
	memcpy(&header, at, sizeof(header));
	if (header.shared_count > (place->xattr_bytes - sizeof(header)) / 4)
		return bad_xattr(nid, 0, "the shared ones do not fit", err);
	status = shared_xattrs(check->fs, nid, at + sizeof(header), header.shared_count, err);
	offset += sizeof(header) + 4u * header.shared_count;
	for (uint64_t i = header.shared_count; !status && offset < end; i++) {
		uint64_t bytes = 0;

		status = xattr_entry(check->fs, nid, i, offset, end - offset, &bytes, err);
		offset += bytes;
	}
	return status;
}

static enum chain_status check_link(const struct fs *fs, const struct fs_node *node, struct chain_error *err)
{
	const uint8_t *target;
	uint64_t count;
	enum chain_status status;

	if (node->size_bytes == 0 || node->size_bytes > FS_LINK_BYTES_MAX)
		return CHAIN_FAIL(err, FS_BAD_LINK, .subject = FS_SUBJECT, .detail = "the target is empty or too long",
				  .nid = node->nid, .bytes = node->size_bytes);
	if (node->tail_offset)
		return CHAIN_OK; /* blocks smaller than a target; each piece was found inside */
	status = fs_file_bytes(fs, node, &target, &count, err);
	if (!status && memchr(target, 0, count))
		status = CHAIN_FAIL(err, FS_BAD_LINK, .subject = FS_SUBJECT,
				    .detail = "the target has a zero byte inside", .nid = node->nid,
				    .bytes = node->size_bytes);
	return status;
}

static enum chain_status check_node(struct check *check, const struct fs_node *node, const struct fs_inode_place *place,
				    struct chain_error *err)
{
	if (node->mtime_ns >= 1000000000)
		return CHAIN_FAIL(err, FS_BAD_INODE, .subject = FS_SUBJECT, .detail = "a time has too many nanoseconds",
				  .nid = node->nid, .value = node->mtime_ns);
	check->report.inode_count++;
	switch (node->type) {
	case FS_REGULAR:
		check->report.file_count++;
		check->report.file_bytes += node->size_bytes;
		break;
	case FS_DIRECTORY:
		check->report.directory_count++;
		check->directory_bytes += node->size_bytes;
		if (check->directory_bytes > check->fs->bytes_count)
			return CHAIN_FAIL(err, FS_DIRECTORIES_OVERLAP, .subject = FS_SUBJECT, .detail = "directories",
					  .bytes = check->directory_bytes, .total = check->fs->bytes_count);
		break;
	case FS_SYMLINK:
		check->report.link_count++;
		break;
	default:
		check->report.device_count++;
	}
	if (node->type == FS_SYMLINK) {
		enum chain_status status = check_link(check->fs, node, err);

		if (status)
			return status;
	}
	return check_xattrs(check, node->nid, place, err);
}

static enum chain_status discover(struct check *check, uint64_t nid, uint64_t parent, enum fs_type type,
				  struct chain_error *err)
{
	struct fs_node node;
	struct fs_inode_place place;
	enum chain_status status = fs_inode_read(check->fs, nid, &node, &place, err);

	if (!status && node.type != type)
		status = CHAIN_FAIL(err, FS_BAD_TYPE, .subject = FS_SUBJECT, .nid = nid, .type = node.type,
				    .entry_type = type);
	if (!status)
		status = check_node(check, &node, &place, err);
	if (!status)
		status = fs_areas_add_node(&check->areas, check->fs, &node, &place, err);
	if (!status)
		status = make_room(check, err);
	if (status)
		return status;
	check->slots[slot_of(check, nid)] = check->count + 1;
	check->seen[check->count++] = (struct seen){
		.nid = nid, .parent = parent, .nlink = node.nlink, .links = type == FS_DIRECTORY ? 2 : 1, .type = type
	};
	return CHAIN_OK;
}

static enum chain_status meet_dot(struct check *check, const struct fs_dirent *entry, struct chain_error *err)
{
	const struct seen *dir = &check->seen[check->current];
	bool up = entry->name_bytes == 2;
	uint64_t wanted = up ? dir->parent : dir->nid;

	*(up ? &check->dot_dot : &check->dot) = true;
	if (entry->nid != wanted)
		return CHAIN_FAIL(err, FS_BAD_PARENT, .subject = FS_SUBJECT, .detail = up ? "\"..\"" : "\".\"",
				  .nid = dir->nid, .found = entry->nid, .wanted = wanted);
	if (entry->type != FS_DIRECTORY)
		return CHAIN_FAIL(err, FS_BAD_TYPE, .subject = FS_SUBJECT, .nid = entry->nid, .type = FS_DIRECTORY,
				  .entry_type = entry->type);
	return CHAIN_OK;
}

static enum chain_status meet(void *ctx, const struct fs_dirent *entry, struct chain_error *err)
{
	struct check *check = ctx;
	uint64_t dir_nid = check->seen[check->current].nid;
	size_t known;

	if (fs_name_is_dot(entry->name, entry->name_bytes))
		return meet_dot(check, entry, err);
	check->report.entry_count++;
	known = check->slots[slot_of(check, entry->nid)];
	if (!known) {
		check->seen[check->current].links += entry->type == FS_DIRECTORY;
		return discover(check, entry->nid, dir_nid, entry->type, err);
	}
	if (check->seen[known - 1].type != entry->type)
		return CHAIN_FAIL(err, FS_BAD_TYPE, .subject = FS_SUBJECT, .nid = entry->nid,
				  .type = check->seen[known - 1].type, .entry_type = entry->type);
	if (entry->type == FS_DIRECTORY)
		return CHAIN_FAIL(err, FS_DIRECTORY_TWICE, .subject = FS_SUBJECT, .nid = entry->nid, .parent = dir_nid);
	check->seen[known - 1].links++;
	return CHAIN_OK;
}

static enum chain_status check_directory(struct check *check, struct chain_error *err)
{
	struct fs_node node;
	enum chain_status status = fs_node_read(check->fs, check->seen[check->current].nid, &node, err);

	check->dot = check->dot_dot = false;
	if (!status)
		status = fs_dir_visit_all(check->fs, &node, meet, check, err);
	if (!status && !(check->dot && check->dot_dot))
		status = CHAIN_FAIL(err, FS_BAD_DIRECTORY, .subject = FS_SUBJECT,
				    .detail = "\".\" or \"..\" is missing", .inode = node.nid, .block = 0, .entry = 0);
	return status;
}

static enum chain_status check_counts(const struct check *check, struct chain_error *err)
{
	for (size_t i = 0; i < check->count; i++) {
		const struct seen *seen = &check->seen[i];

		if (seen->nlink != seen->links)
			return CHAIN_FAIL(err, FS_BAD_LINK_COUNT, .subject = FS_SUBJECT, .nid = seen->nid,
					  .links = seen->nlink, .found = seen->links);
	}
	if (check->count != check->fs->inode_count)
		return CHAIN_FAIL(err, FS_BAD_COUNT, .subject = FS_SUBJECT, .inodes = check->fs->inode_count,
				  .found = check->count);
	return CHAIN_OK;
}

enum chain_status fs_check(const struct fs *fs, struct fs_check_report *out, struct chain_error *err)
{
	struct check check = { .fs = fs };
	enum chain_status status = fs_checksum_check(fs, err);

	if (!status)
		status = discover(&check, fs->root_nid, fs->root_nid, FS_DIRECTORY, err);

	for (; !status && check.current < check.count; check.current++)
		if (check.seen[check.current].type == FS_DIRECTORY)
			status = check_directory(&check, err);
	if (!status)
		status = check_counts(&check, err);
	if (!status)
		status = fs_areas_check(&check.areas, err);
	if (!status && out)
		*out = check.report;
	fs_areas_free(&check.areas);
	free(check.slots);
	free(check.seen);
	return status;
}
