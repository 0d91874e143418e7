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
		return chain_fail(err, CHAIN_E_NO_MEMORY, FS_SUBJECT, NULL, capacity * sizeof(*seen), 0, 0, 0);
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
	return chain_fail(err, CHAIN_E_FS_BAD_XATTR, FS_SUBJECT, what, nid, index, 0, 0);
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
		if (status != CHAIN_OK)
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
	for (uint64_t i = header.shared_count; status == CHAIN_OK && offset < end; i++) {
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
		return chain_fail(err, CHAIN_E_FS_BAD_LINK, FS_SUBJECT, "the target is empty or too long", node->nid,
				  node->size_bytes, 0, 0);
	if (node->tail_offset)
		return CHAIN_OK; /* blocks smaller than a target; each piece was found inside */
	status = fs_file_bytes(fs, node, &target, &count, err);
	if (status == CHAIN_OK && memchr(target, 0, count))
		status = chain_fail(err, CHAIN_E_FS_BAD_LINK, FS_SUBJECT, "the target has a zero byte inside",
				    node->nid, node->size_bytes, 0, 0);
	return status;
}

static enum chain_status check_node(struct check *check, const struct fs_node *node, const struct fs_inode_place *place,
				    struct chain_error *err)
{
	if (node->mtime_ns >= 1000000000)
		return chain_fail(err, CHAIN_E_FS_BAD_INODE, FS_SUBJECT, "a time has too many nanoseconds", node->nid,
				  node->mtime_ns, 0, 0);
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
			return chain_fail(err, CHAIN_E_FS_DIRECTORIES_OVERLAP, FS_SUBJECT, "directories",
					  check->directory_bytes, check->fs->bytes_count, 0, 0);
		break;
	case FS_SYMLINK:
		check->report.link_count++;
		break;
	default:
		check->report.device_count++;
	}
	if (node->type == FS_SYMLINK) {
		enum chain_status status = check_link(check->fs, node, err);

		if (status != CHAIN_OK)
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

	if (status == CHAIN_OK && node.type != type)
		status = chain_fail(err, CHAIN_E_FS_BAD_TYPE, FS_SUBJECT, NULL, nid, node.type, type, 0);
	if (status == CHAIN_OK)
		status = check_node(check, &node, &place, err);
	if (status == CHAIN_OK)
		status = fs_areas_add_node(&check->areas, check->fs, &node, &place, err);
	if (status == CHAIN_OK)
		status = make_room(check, err);
	if (status != CHAIN_OK)
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
		return chain_fail(err, CHAIN_E_FS_BAD_PARENT, FS_SUBJECT, up ? "\"..\"" : "\".\"", dir->nid, entry->nid,
				  wanted, 0);
	if (entry->type != FS_DIRECTORY)
		return chain_fail(err, CHAIN_E_FS_BAD_TYPE, FS_SUBJECT, NULL, entry->nid, FS_DIRECTORY, entry->type, 0);
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
		return chain_fail(err, CHAIN_E_FS_BAD_TYPE, FS_SUBJECT, NULL, entry->nid, check->seen[known - 1].type,
				  entry->type, 0);
	if (entry->type == FS_DIRECTORY)
		return chain_fail(err, CHAIN_E_FS_DIRECTORY_TWICE, FS_SUBJECT, NULL, entry->nid, dir_nid, 0, 0);
	check->seen[known - 1].links++;
	return CHAIN_OK;
}

static enum chain_status check_directory(struct check *check, struct chain_error *err)
{
	struct fs_node node;
	enum chain_status status = fs_node_read(check->fs, check->seen[check->current].nid, &node, err);

	check->dot = check->dot_dot = false;
	if (status == CHAIN_OK)
		status = fs_dir_visit_all(check->fs, &node, meet, check, err);
	if (status == CHAIN_OK && !(check->dot && check->dot_dot))
		status = CHAIN_FAIL(err, FS_BAD_DIRECTORY, .subject = FS_SUBJECT,
				    .detail = "\".\" or \"..\" is missing", .inode = node.nid, .block = 0, .entry = 0);
	return status;
}

static enum chain_status check_counts(const struct check *check, struct chain_error *err)
{
	for (size_t i = 0; i < check->count; i++) {
		const struct seen *seen = &check->seen[i];

		if (seen->nlink != seen->links)
			return chain_fail(err, CHAIN_E_FS_BAD_LINK_COUNT, FS_SUBJECT, NULL, seen->nid, seen->nlink,
					  seen->links, 0);
	}
	if (check->count != check->fs->inode_count)
		return chain_fail(err, CHAIN_E_FS_BAD_COUNT, FS_SUBJECT, NULL, check->fs->inode_count, check->count, 0,
				  0);
	return CHAIN_OK;
}

enum chain_status fs_check(const struct fs *fs, struct fs_check_report *out, struct chain_error *err)
{
	struct check check = { .fs = fs };
	enum chain_status status = fs_checksum_check(fs, err);

	if (status == CHAIN_OK)
		status = discover(&check, fs->root_nid, fs->root_nid, FS_DIRECTORY, err);

	for (; status == CHAIN_OK && check.current < check.count; check.current++)
		if (check.seen[check.current].type == FS_DIRECTORY)
			status = check_directory(&check, err);
	if (status == CHAIN_OK)
		status = check_counts(&check, err);
	if (status == CHAIN_OK)
		status = fs_areas_check(&check.areas, err);
	if (status == CHAIN_OK && out)
		*out = check.report;
	fs_areas_free(&check.areas);
	free(check.slots);
	free(check.seen);
	return status;
}
