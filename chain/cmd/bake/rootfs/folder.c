/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* A folder of the host: owners, modes, times, links, devices and attributes as they are there. Each folder is entered
 * by its descriptor, so the walk stays in the tree whatever takes a folder's place meanwhile. */

#include "rootfs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

enum { DEPTH_MAX = 200, NAMES_BYTES = 65536, VALUE_BYTES = 65536, INODE_SLOTS = 1024 };

/* The first name of each file that has several. */
struct inode {
	uint64_t dev, ino;
	const char *path;
};

struct walk {
	const struct rootfs_request *request;
	struct rootfs *out;
	struct inode *inodes; /* owned; by hash of their numbers, half of them empty at least */
	size_t inode_count, inode_room;
	char *names, *value; /* owned: of attributes */
	unsigned depth;
};

static enum chain_status io(const char *path, int number, struct chain_error *err)
{
	return CHAIN_FAIL(err, IO, .subject = path, .detail = strerror(number));
}

/* --- hard links --- */

static struct inode *slot_of(struct inode *slots, size_t room, uint64_t dev, uint64_t ino)
{
	size_t at = (size_t)((ino * 0x9e3779b97f4a7c15u) ^ dev) & (room - 1);

	while (slots[at].path && (slots[at].dev != dev || slots[at].ino != ino))
		at = (at + 1) & (room - 1);
	return &slots[at];
}

static enum chain_status inodes_grow(struct walk *walk, struct chain_error *err)
{
	const size_t room = walk->inode_room ? walk->inode_room * 2 : INODE_SLOTS;
	struct inode *grown;

	if (walk->inode_count * 2 < walk->inode_room)
		return CHAIN_OK;
	grown = calloc(room, sizeof(*grown));
	if (!grown)
		return chain_fail_no_memory(err, walk->request->path, room * sizeof(*grown));
	for (size_t i = 0; i < walk->inode_room; i++)
		if (walk->inodes[i].path)
			*slot_of(grown, room, walk->inodes[i].dev, walk->inodes[i].ino) = walk->inodes[i];
	free(walk->inodes);
	walk->inodes = grown;
	walk->inode_room = room;
	return CHAIN_OK;
}

/* Another name of a file that has one already is that. */
static enum chain_status link_find(struct walk *walk, struct rootfs_node *node, const struct stat *about,
				   struct chain_error *err)
{
	const enum chain_status status = inodes_grow(walk, err);

	if (status)
		return status;
	struct inode *slot = slot_of(walk->inodes, walk->inode_room, about->st_dev, about->st_ino);

	if (slot->path) {
		node->spec.hard_link = slot->path;
		return CHAIN_OK;
	}
	*slot = (struct inode){ about->st_dev, about->st_ino, node->spec.path };
	walk->inode_count++;
	return CHAIN_OK;
}

/* --- attributes --- */

/* The labels and signatures of a machine's own security module mean nothing elsewhere. */
static bool is_kept(const char *name)
{
	return strncmp(name, "security.", 9) != 0 || strcmp(name, "security.capability") == 0;
}

static enum chain_status xattrs_read(struct walk *walk, struct rootfs_node *node, const char *place,
				     struct chain_error *err)
{
	const ssize_t bytes = llistxattr(place, walk->names, NAMES_BYTES);
	struct fs_xattr *list;
	size_t count = 0;

	if (bytes <= 0)
		return bytes == 0 || errno == ENOTSUP || errno == ENOSYS ? CHAIN_OK : io(node->spec.path, errno, err);
	for (const char *at = walk->names; at < walk->names + bytes; at += strlen(at) + 1)
		count += is_kept(at);
	list = rootfs_memory(walk->out, (count + 1) * sizeof(*list), err);
	if (!list)
		return CHAIN_E_NO_MEMORY;
	node->spec.xattrs = list;
	for (const char *at = walk->names; at < walk->names + bytes; at += strlen(at) + 1) {
		if (!is_kept(at))
			continue;
		const ssize_t got = lgetxattr(place, at, walk->value, VALUE_BYTES);

		if (got < 0)
			return io(node->spec.path, errno, err);
		list->name = rootfs_text(walk->out, at, strlen(at), err);
		list->value = rootfs_text(walk->out, walk->value, (size_t)got, err);
		list->value_bytes = (size_t)got;
		if (!list->name || !list->value)
			return CHAIN_E_NO_MEMORY;
		list++;
		node->spec.xattr_count++;
	}
	return CHAIN_OK;
}

/* --- nodes --- */

static enum fs_type type_of(mode_t mode)
{
	return S_ISREG(mode)  ? FS_REGULAR :
	       S_ISDIR(mode)  ? FS_DIRECTORY :
	       S_ISLNK(mode)  ? FS_SYMLINK :
	       S_ISCHR(mode)  ? FS_CHAR_DEVICE :
	       S_ISBLK(mode)  ? FS_BLOCK_DEVICE :
	       S_ISFIFO(mode) ? FS_FIFO :
				FS_SOCKET;
}

/* As Linux encodes a device's number in file systems (struct fs_node). */
static uint32_t rdev_of(dev_t device)
{
	const uint32_t low = minor(device), high = major(device);

	return (low & 0xff) | high << 8 | (low & ~0xffu) << 12;
}

static void node_fill(const struct walk *walk, struct rootfs_node *node, const struct stat *about)
{
	struct fs_spec *spec = &node->spec;

	spec->mode = about->st_mode & 07777;
	spec->uid = walk->request->owner_said ? walk->request->owner_uid : about->st_uid;
	spec->gid = walk->request->owner_said ? walk->request->owner_gid : about->st_gid;
	spec->mtime = (uint64_t)about->st_mtim.tv_sec;
	spec->mtime_ns = (uint32_t)about->st_mtim.tv_nsec;
	if (S_ISCHR(about->st_mode) || S_ISBLK(about->st_mode))
		spec->rdev = rdev_of(about->st_rdev);
	if (S_ISREG(about->st_mode))
		spec->size_bytes = (uint64_t)about->st_size;
	node->bytes.dev = about->st_dev;
	node->bytes.ino = about->st_ino;
	node->bytes.ctime_ns = (uint64_t)about->st_ctim.tv_sec * 1000000000 + (uint64_t)about->st_ctim.tv_nsec;
}

static enum chain_status target_read(struct walk *walk, int folder, const char *name, struct rootfs_node *node,
				     struct chain_error *err)
{
	char target[4097];
	const ssize_t got = readlinkat(folder, name, target, sizeof(target));

	if (got < 0)
		return io(node->spec.path, errno, err);
	node->spec.target = rootfs_text(walk->out, target, (size_t)got, err);
	return node->spec.target ? CHAIN_OK : CHAIN_E_NO_MEMORY;
}

static enum chain_status folder_walk(struct walk *walk, int fd, const char *path, const char *host,
				     struct chain_error *err);

/* New; null: no memory. */
static const char *join(struct walk *walk, const char *folder, const char *name, struct chain_error *err)
{
	const size_t bytes = strlen(folder), more = strlen(name);
	char *path = rootfs_memory(walk->out, bytes + 1 + more + 1, err);

	if (!path)
		return NULL;
	memcpy(path, folder, bytes);
	path[bytes] = '/';
	memcpy(path + bytes + (bytes == 0 || folder[bytes - 1] != '/'), name, more + 1);
	return path;
}

static enum chain_status enter(struct walk *walk, int folder, const char *name, const struct stat *before,
			       const char *path, const char *host, struct chain_error *err)
{
	const int fd = openat(folder, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct stat about;

	if (fd < 0)
		return io(host, errno, err);
	if (fstat(fd, &about) < 0 || about.st_ino != before->st_ino || about.st_dev != before->st_dev) {
		(void)close(fd);
		return CHAIN_FAIL(err, FILE_CHANGED, .subject = host, .detail = "another folder has taken its place");
	}
	return folder_walk(walk, fd, path, host, err);
}

static enum chain_status entry_add(struct walk *walk, int folder, const char *name, const char *above,
				   const char *host_above, struct chain_error *err)
{
	const char *path = join(walk, above, name, err), *host = join(walk, host_above, name, err);
	char place[64 + 256];
	struct stat about;

	if (!path || !host)
		return CHAIN_E_NO_MEMORY;
	if (fstatat(folder, name, &about, AT_SYMLINK_NOFOLLOW) < 0)
		return io(host, errno, err);
	struct rootfs_node *node = rootfs_add(walk->out, path, type_of(about.st_mode), err);

	if (!node)
		return CHAIN_E_NO_MEMORY;
	node->bytes.host = S_ISREG(about.st_mode) ? host : NULL;
	node_fill(walk, node, &about);
	(void)snprintf(place, sizeof(place), "/proc/self/fd/%d/%.255s", folder, name);
	enum chain_status status = xattrs_read(walk, node, place, err);

	if (!status && S_ISLNK(about.st_mode))
		status = target_read(walk, folder, name, node, err);
	if (!status && !S_ISDIR(about.st_mode) && about.st_nlink > 1)
		status = link_find(walk, node, &about, err);
	return !status && S_ISDIR(about.st_mode) ? enter(walk, folder, name, &about, path, host, err) : status;
}

/* Takes `fd`. */
static enum chain_status folder_walk(struct walk *walk, int fd, const char *path, const char *host,
				     struct chain_error *err)
{
	DIR *folder = fdopendir(fd);
	enum chain_status status = CHAIN_OK;

	if (!folder) {
		(void)close(fd);
		return io(host, errno, err);
	}
	if (++walk->depth > DEPTH_MAX)
		status = CHAIN_FAIL(err, LIMIT, .subject = host, .detail = "folders in each other",
				    .value = walk->depth, .limit = DEPTH_MAX);
	while (!status) {
		errno = 0;
		const struct dirent *found = readdir(folder);

		if (!found) {
			status = errno ? io(host, errno, err) : CHAIN_OK;
			break;
		}
		if (strcmp(found->d_name, ".") != 0 && strcmp(found->d_name, "..") != 0)
			status = entry_add(walk, fd, found->d_name, path, host, err);
	}
	walk->depth--;
	(void)closedir(folder);
	return status;
}

static enum chain_status top_add(struct walk *walk, struct chain_error *err)
{
	const char *top = walk->request->path;
	const int fd = open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char place[64];
	struct stat about;

	if (fd < 0 || fstat(fd, &about) < 0)
		return io(top, errno, err);
	struct rootfs_node *node = rootfs_add(walk->out, "/", FS_DIRECTORY, err);

	if (!node) {
		(void)close(fd);
		return CHAIN_E_NO_MEMORY;
	}
	node_fill(walk, node, &about);
	(void)snprintf(place, sizeof(place), "/proc/self/fd/%d/.", fd);
	const enum chain_status status = xattrs_read(walk, node, place, err);

	if (status) {
		(void)close(fd);
		return status;
	}
	return folder_walk(walk, fd, "/", top, err);
}

static bool probe(const struct rootfs_request *request, const struct rootfs_head *head)
{
	(void)request;
	return head->folder;
}

static enum chain_status open_folder(const struct rootfs_request *request, struct rootfs *out, struct chain_error *err)
{
	struct walk walk = {
		.request = request, .out = out, .names = malloc(NAMES_BYTES), .value = malloc(VALUE_BYTES)
	};
	const enum chain_status status = walk.names && walk.value ?
						 top_add(&walk, err) :
						 chain_fail_no_memory(err, request->path, NAMES_BYTES + VALUE_BYTES);

	free(walk.names);
	free(walk.value);
	free(walk.inodes);
	return status;
}

extern const struct rootfs_source rootfs_source_folder;
const struct rootfs_source rootfs_source_folder = {
	.name = "folder",
	.about = "a folder, with owners, modes and times as they are there",
	.probe = probe,
	.open = open_folder,
};
