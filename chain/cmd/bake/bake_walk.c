/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: walking the host's files into nodes. Owner 0:0, modes 0644 and 0755 and one time for all: what differs from
 * machine to machine stays out of the image.
 *
 * A folder is entered by its descriptor, and what is in it is looked at by its name alone, in the working directory: so
 * the walk stays in the tree that it was given, whatever takes the place of a folder meanwhile. */

#include "bake_host.h"
#include "chain/cmd/cmd.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static enum chain_status io(const char *path, int number, struct chain_error *err)
{
	return chain_fail_text(err, CHAIN_E_IO, path, strerror(number));
}

static enum chain_status no_memory(const char *subject, uint64_t bytes, struct chain_error *err)
{
	return chain_fail_no_memory(err, subject, bytes);
}

static enum chain_status changed(const char *path, const char *how, struct chain_error *err)
{
	return chain_fail_text(err, CHAIN_E_FILE_CHANGED, path, how);
}

/* New; null: no memory. Not by a format: there are two of these for each file. */
static char *join(const char *folder, const char *name)
{
	const size_t folder_bytes = strlen(folder), name_bytes = strlen(name);
	const bool slash = folder_bytes == 0 || folder[folder_bytes - 1] != '/';
	char *path = malloc(folder_bytes + slash + name_bytes + 1);

	if (!path)
		return NULL;
	memcpy(path, folder, folder_bytes);
	path[folder_bytes] = '/';
	memcpy(path + folder_bytes + slash, name, name_bytes + 1);
	return path;
}

static const char *type_name(mode_t mode)
{
	return S_ISCHR(mode) || S_ISBLK(mode) ? "a device" :
	       S_ISFIFO(mode)                 ? "a pipe" :
	       S_ISSOCK(mode)                 ? "a socket" :
						"of no known type";
}

/* One entry of a walk: `name` from the working directory; a link is followed only where the pipeline names it. */
struct entry {
	const char *name;
	bool follow;
	const struct chain_config_file *file;
	struct bake_node *node;
};

static enum chain_status link_read(const struct entry *entry, uint64_t size, struct chain_error *err)
{
	struct bake_node *node = entry->node;
	const size_t room = size ? (size_t)size + 1 : 4097;

	node->target = malloc(room);
	if (!node->target)
		return no_memory(node->host, room, err);
	const ssize_t got = readlink(entry->name, node->target, room);

	if (got < 0)
		return io(node->host, errno, err);
	if ((size_t)got == room)
		return changed(node->host, "its target grew", err);
	node->target[got] = '\0';
	node->spec.type = FS_SYMLINK;
	node->spec.mode = 0777;
	node->spec.target = node->target;
	return CHAIN_OK;
}

static void digest_find(struct bake_tree *tree, struct bake_node *node)
{
	const struct bake_known *known = tree->cache ? bake_cache_find(tree->cache, &node->identity) : NULL;

	node->cached = known != NULL;
	node->known = tree->share ? bake_share_find(tree->share, &node->identity) : NULL;
	known = node->known ? node->known : known;
	if (!known)
		return;
	memcpy(node->digest, known->digest, sizeof(node->digest));
	node->spec.digest = node->digest;
}

static int open_entry(const struct entry *entry, int flags)
{
	return open(entry->name,
		    O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | (entry->follow ? 0 : O_NOFOLLOW) | flags);
}

/* Files of /proc say that they are empty, and are not. */
static enum chain_status emptiness_check(const struct entry *entry, struct chain_error *err)
{
	const char *host = entry->node->host;
	const int fd = open_entry(entry, 0);
	char byte;
	ssize_t got = 0;
	int number = errno;

	if (fd < 0)
		return io(host, number, err);
	while ((got = read(fd, &byte, 1)) < 0 && errno == EINTR)
		;
	number = errno;
	(void)close(fd);
	if (got < 0)
		return io(host, number, err);
	return got == 0 ? CHAIN_OK :
			  chain_fail_text(err, CHAIN_E_BAKE_NOT_BAKEABLE, host,
					  "a file that has bytes and says that it has none");
}

static enum chain_status regular_add(struct bake_tree *tree, const struct entry *entry, const struct stat *about,
				     struct chain_error *err)
{
	const struct chain_config_file *file = entry->file;
	struct bake_node *node = entry->node;

	node->spec.mode = file->mode != CHAIN_CONFIG_MODE_AS_IS ? file->mode : about->st_mode & 0111 ? 0755 : 0644;
	node->spec.size_bytes = (uint64_t)about->st_size;
	node->spec.align_bytes = file->align_bytes;
	node->spec.reserve_bytes = file->reserve_bytes;
	digest_find(tree, node);
	return about->st_size == 0 ? emptiness_check(entry, err) : CHAIN_OK;
}

static enum chain_status folder_add(struct bake_tree *tree, const struct entry *entry, struct chain_error *err);

static enum chain_status node_fill(struct bake_tree *tree, struct entry *entry, struct chain_error *err)
{
	struct bake_node *node = entry->node;
	struct stat about;

	if ((entry->follow ? stat : lstat)(entry->name, &about) < 0)
		return io(node->host, errno, err);
	const bool link = S_ISLNK(about.st_mode), folder = S_ISDIR(about.st_mode);

	if (!link && !folder && !S_ISREG(about.st_mode))
		return chain_fail_text(err, CHAIN_E_BAKE_NOT_BAKEABLE, node->host, type_name(about.st_mode));
	node->identity = bake_identity_of(&about);
	node->many_names = !folder && about.st_nlink > 1;
	enum chain_status status = bake_xattrs_read(node, entry->name, entry->follow, &tree->xattrs_left, err);

	if (status)
		return status;
	return link   ? link_read(entry, (uint64_t)about.st_size, err) :
	       folder ? folder_add(tree, entry, err) :
			regular_add(tree, entry, &about, err);
}

/* Takes `path` and `host`. */
static enum chain_status add(struct bake_tree *tree, char *path, char *host, struct entry *entry,
			     struct chain_error *err)
{
	entry->node = bake_node_new(tree, path, host, err);
	if (!entry->node)
		return CHAIN_E_NO_MEMORY;
	if (!host)
		return no_memory(path, strlen(path) + 1, err);
	if (!chain_is_utf8(path))
		return chain_fail_text(err, CHAIN_E_BAKE_PATH, host, "its name is not UTF-8");
	if (strlen(path) >= CHAIN_IMAGE_PATH_BYTES)
		return CHAIN_FAIL(err, LIMIT, .subject = host, .detail = "bytes of path", .value = strlen(path),
				  .limit = CHAIN_IMAGE_PATH_BYTES - 1);
	return node_fill(tree, entry, err);
}

/* What is in the working directory, which is the folder's. */
static enum chain_status folder_walk(struct bake_tree *tree, DIR *folder, const struct entry *above,
				     struct chain_error *err)
{
	const char *path = above->node->path, *host = above->node->host;
	enum chain_status status = CHAIN_OK;

	while (!status) {
		errno = 0;
		const struct dirent *found = readdir(folder);
		struct entry entry = { .file = above->file };

		if (!found)
			return errno != 0 ? io(host, errno, err) : CHAIN_OK;
		if (strcmp(found->d_name, ".") == 0 || strcmp(found->d_name, "..") == 0)
			continue;
		entry.name = found->d_name;
		status = add(tree, join(path, found->d_name), join(host, found->d_name), &entry, err);
		/* back from a folder that was in it */
		if (!status && entry.node->spec.type == FS_DIRECTORY && fchdir(dirfd(folder)) < 0)
			status = io(host, errno, err);
	}
	return status;
}

static enum chain_status folder_add(struct bake_tree *tree, const struct entry *entry, struct chain_error *err)
{
	struct bake_node *node = entry->node;
	const int fd = open_entry(entry, O_DIRECTORY);
	struct stat about;

	if (fd < 0)
		return errno == ELOOP || errno == ENOTDIR ?
			       changed(node->host, "something else has taken its place", err) :
			       io(node->host, errno, err);
	DIR *folder = fdopendir(fd);
	enum chain_status status = CHAIN_OK;

	node->spec.type = FS_DIRECTORY;
	node->spec.mode = 0755;
	if (!folder || fstat(fd, &about) < 0 || fchdir(fd) < 0)
		status = io(node->host, errno, err);
	else if (about.st_dev != node->identity.dev || about.st_ino != node->identity.ino)
		status = changed(node->host, "another folder has taken its place", err);
	else
		status = folder_walk(tree, folder, entry, err);
	(void)(folder ? closedir(folder) : close(fd));
	return status;
}

enum chain_status bake_tree_add(struct bake_tree *tree, const char *dir, const struct chain_config_file *file,
				struct chain_error *err)
{
	const int here = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC), number = errno;
	const bool alone = file->from[0] == '/' || strcmp(dir, ".") == 0, same = strcmp(file->from, ".") == 0;
	char *path = strdup(file->path), *host = alone ? strdup(file->from) :
						 same  ? strdup(dir) :
							 join(dir, file->from);
	struct entry entry = { .name = host, .follow = true, .file = file };
	size_t bytes = path ? strlen(path) : 0;

	if (here < 0) {
		free(path);
		free(host);
		return io(".", number, err);
	}
	while (bytes > 1 && path[bytes - 1] == '/')
		path[--bytes] = '\0';
	enum chain_status status = add(tree, path, host, &entry, err);

	if (fchdir(here) < 0 && !status)
		status = io(".", errno, err);
	(void)close(here);
	return status;
}
