/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: walking the host's files into nodes. Owner 0:0, modes 0644 and 0755 and one time for all: what differs from
 * machine to machine stays out of the image. */

#include "bake_host.h"
#include "chain/digest.h"
#include "cmd.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static enum chain_status io(const char *path, int number, struct chain_error *err)
{
	return chain_fail(err, CHAIN_E_IO, path, strerror(number), 0, 0, 0, 0);
}

static enum chain_status no_memory(const char *subject, uint64_t bytes, struct chain_error *err)
{
	return chain_fail(err, CHAIN_E_NO_MEMORY, subject, NULL, bytes, 0, 0, 0);
}

enum chain_status bake_tree_init(struct bake_tree *tree, const char *output, struct bake_share *share,
				 struct bake_cache *cache, struct chain_error *err)
{
	const char *epoch = getenv("SOURCE_DATE_EPOCH");
	struct stat about;

	*tree = (struct bake_tree){.fd = -1, .share = share, .cache = cache};
	if (share)
		bake_share_recheck(share);
	if (output && stat(output, &about) == 0) {
		tree->skip_dev = about.st_dev;
		tree->skip_ino = about.st_ino;
	}
	if (epoch && *epoch && !cmd_count_parse(epoch, &tree->mtime))
		return chain_fail(err, CHAIN_E_IO, "SOURCE_DATE_EPOCH", "is not a number of seconds", 0, 0, 0, 0);
	return CHAIN_OK;
}

static void node_free(struct bake_node *node)
{
	free(node->path);
	free(node->host);
	free(node->target);
	free(node->text);
	free(node);
}

void bake_tree_free(struct bake_tree *tree)
{
	for (size_t i = 0; i < tree->count; i++)
		node_free(tree->v[i]);
	free(tree->v);
	free(tree->specs);
	bake_hash_stop(&tree->hash);
	if (tree->fd >= 0)
		close(tree->fd);
	*tree = (struct bake_tree){.fd = -1};
}

/* Adds an empty node; takes `path` and `host`, on failure too. */
static struct bake_node *node_new(struct bake_tree *tree, char *path, char *host, struct chain_error *err)
{
	struct bake_node *node = path ? calloc(1, sizeof(*node)) : NULL;

	if (tree->count == tree->room) {
		const size_t room = tree->room ? tree->room * 2 : 64;
		struct bake_node **grown = realloc(tree->v, room * sizeof(*grown));

		if (grown) {
			tree->v = grown;
			tree->room = room;
		}
	}
	if (!node || tree->count == tree->room) {
		(void)no_memory(path ? path : "tree", sizeof(*node), err);
		free(node);
		free(path);
		free(host);
		return NULL;
	}
	node->path = path;
	node->host = host;
	node->spec =
	    (struct fs_spec){.path = path, .type = FS_REGULAR, .mode = 0644, .mtime = tree->mtime, .cookie = node};
	tree->v[tree->count++] = node;
	return node;
}

static char *join(const char *folder, const char *name)
{
	const size_t bytes = strlen(folder);
	char *path;

	return asprintf(&path, "%s%s%s", folder, bytes > 0 && folder[bytes - 1] == '/' ? "" : "/", name) < 0 ? NULL
													     : path;
}

static const char *type_name(mode_t mode)
{
	return S_ISCHR(mode) || S_ISBLK(mode) ? "a device"
	       : S_ISFIFO(mode)		      ? "a pipe"
	       : S_ISSOCK(mode)		      ? "a socket"
					      : "of no known type";
}

static enum chain_status link_read(struct bake_node *node, uint64_t size, struct chain_error *err)
{
	const size_t room = size ? (size_t)size + 1 : 4097;

	node->target = malloc(room);
	if (!node->target)
		return no_memory(node->host, room, err);
	const ssize_t got = readlink(node->host, node->target, room);

	if (got < 0)
		return io(node->host, errno, err);
	if ((size_t)got == room)
		return chain_fail(err, CHAIN_E_BAKE_CHANGED, node->host, "its target grew", 0, 0, 0, 0);
	node->target[got] = '\0';
	node->spec.type = FS_SYMLINK;
	node->spec.mode = 0777;
	node->spec.target = node->target;
	return CHAIN_OK;
}

static enum chain_status walk(struct bake_tree *tree, const char *path, const char *host,
			      const struct chain_config_file *file, struct chain_error *err);

static void digest_find(struct bake_tree *tree, struct bake_node *node)
{
	const struct bake_known *known = tree->cache ? bake_cache_find(tree->cache, &node->identity) : NULL;

	node->cached = known != NULL;
	node->known = tree->share ? bake_share_find(tree->share, &node->identity) : NULL;
	known = node->known ? node->known : known;
	if (!known)
		return;
	memcpy(node->sha256, known->sha256, sizeof(node->sha256));
	node->spec.sha256 = node->sha256;
}

/* Takes `path` and `host`. */
static enum chain_status add(struct bake_tree *tree, char *path, char *host, bool follow,
			     const struct chain_config_file *file, struct chain_error *err)
{
	struct stat about;
	struct bake_node *node = node_new(tree, path, host, err);

	if (!node)
		return CHAIN_E_NO_MEMORY;
	if (!chain_is_utf8(path))
		return chain_fail(err, CHAIN_E_BAKE_PATH, path, "its name is not UTF-8", 0, 0, 0, 0);
	if (!host)
		return no_memory(path, 0, err);
	if ((follow ? stat : lstat)(host, &about) < 0)
		return io(host, errno, err);
	if (tree->skip_ino && about.st_ino == tree->skip_ino && about.st_dev == tree->skip_dev) {
		cmd_warn("%s is the output of this very command and is left out", host);
		node_free(tree->v[--tree->count]);
		return CHAIN_OK;
	}
	if (S_ISLNK(about.st_mode))
		return link_read(node, (uint64_t)about.st_size, err);
	if (S_ISDIR(about.st_mode)) {
		node->spec.type = FS_DIRECTORY;
		node->spec.mode = 0755;
		return walk(tree, node->path, node->host, file, err);
	}
	if (!S_ISREG(about.st_mode))
		return chain_fail(err, CHAIN_E_BAKE_NOT_BAKEABLE, host, type_name(about.st_mode), 0, 0, 0, 0);
	node->spec.mode = file->mode != CHAIN_CONFIG_MODE_AS_IS ? file->mode : about.st_mode & 0111 ? 0755 : 0644;
	node->spec.size_bytes = (uint64_t)about.st_size;
	node->spec.align_bytes = file->align_bytes;
	node->spec.reserve_bytes = file->reserve_bytes;
	node->many_names = about.st_nlink > 1;
	node->identity = bake_identity_of(&about);
	digest_find(tree, node);
	return CHAIN_OK;
}

static enum chain_status walk(struct bake_tree *tree, const char *path, const char *host,
			      const struct chain_config_file *file, struct chain_error *err)
{
	enum chain_status status = CHAIN_OK;
	DIR *folder = opendir(host);

	if (!folder)
		return io(host, errno, err);
	while (status == CHAIN_OK) {
		errno = 0;
		const struct dirent *entry = readdir(folder);

		if (!entry) {
			if (errno != 0)
				status = io(host, errno, err);
			break;
		}
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			status = add(tree, join(path, entry->d_name), join(host, entry->d_name), false, file, err);
	}
	(void)closedir(folder);
	return status;
}

enum chain_status bake_tree_add(struct bake_tree *tree, const char *dir, const struct chain_config_file *file,
				struct chain_error *err)
{
	char *path = strdup(file->path);
	size_t bytes = path ? strlen(path) : 0;

	while (bytes > 1 && path[bytes - 1] == '/')
		path[--bytes] = '\0';
	const bool alone = file->from[0] == '/' || strcmp(dir, ".") == 0, here = strcmp(file->from, ".") == 0;

	return add(tree, path,
		   alone  ? strdup(file->from)
		   : here ? strdup(dir)
			  : join(dir, file->from),
		   true, file, err);
}

enum chain_status bake_tree_add_text(struct bake_tree *tree, const char *path, char *text, struct chain_error *err)
{
	struct bake_node *node = node_new(tree, strdup(path), NULL, err);

	if (!node) {
		free(text);
		return CHAIN_E_NO_MEMORY;
	}
	node->text = text;
	node->spec.size_bytes = strlen(text);
	return CHAIN_OK;
}

static int by_path(const void *a, const void *b)
{
	return strcmp((*(struct bake_node *const *)a)->path, (*(struct bake_node *const *)b)->path);
}

static int by_inode(const void *a, const void *b)
{
	const struct bake_node *x = *(struct bake_node *const *)a, *y = *(struct bake_node *const *)b;

	if (x->identity.dev != y->identity.dev)
		return x->identity.dev < y->identity.dev ? -1 : 1;
	if (x->identity.ino != y->identity.ino)
		return x->identity.ino < y->identity.ino ? -1 : 1;
	return strcmp(x->path, y->path);
}

/* The root needs no node, and a folder that two entries of "files" fill is one folder. */
static void folders_merge(struct bake_tree *tree)
{
	size_t kept = 0;

	qsort(tree->v, tree->count, sizeof(*tree->v), by_path);
	for (size_t i = 0; i < tree->count; i++) {
		struct bake_node *node = tree->v[i];
		const bool folder = node->spec.type == FS_DIRECTORY;

		if (folder &&
		    (strcmp(node->path, "/") == 0 || (kept > 0 && tree->v[kept - 1]->spec.type == FS_DIRECTORY &&
						      strcmp(tree->v[kept - 1]->path, node->path) == 0)))
			node_free(node);
		else
			tree->v[kept++] = node;
	}
	tree->count = kept;
}

static void hard_links_find(struct bake_tree *tree)
{
	const struct bake_node *first = NULL;

	qsort(tree->v, tree->count, sizeof(*tree->v), by_inode);
	for (size_t i = 0; i < tree->count; i++) {
		struct bake_node *node = tree->v[i];

		if (!node->many_names || node->spec.type != FS_REGULAR)
			continue;
		if (first && first->identity.dev == node->identity.dev && first->identity.ino == node->identity.ino) {
			node->spec.hard_link = first->path;
			node->spec.size_bytes = 0;
		} else {
			first = node;
		}
	}
}

enum chain_status bake_tree_finish(struct bake_tree *tree, struct chain_error *err)
{
	if (tree->count > 0) {
		folders_merge(tree);
		hard_links_find(tree);
	}
	const enum chain_status status = tree->count > 0 ? bake_tree_twins(tree, err) : CHAIN_OK;

	if (status != CHAIN_OK)
		return status;
	if (tree->count > 0)
		qsort(tree->v, tree->count, sizeof(*tree->v), by_path);
	tree->specs = calloc(tree->count + 1, sizeof(*tree->specs));
	if (!tree->specs)
		return no_memory("tree", tree->count * sizeof(*tree->specs), err);
	for (size_t i = 0; i < tree->count; i++)
		tree->specs[i] = tree->v[i]->spec;
	return CHAIN_OK;
}

static bool has_bytes(const struct bake_node *node)
{
	return node->host && node->spec.type == FS_REGULAR && !node->spec.hard_link && node->spec.size_bytes;
}

void bake_tree_cache(const struct bake_tree *tree)
{
	for (size_t i = 0; i < tree->count; i++)
		if (has_bytes(tree->v[i]))
			bake_cache_note(tree->cache, &tree->v[i]->identity, tree->v[i]->sha256);
	bake_cache_finish(tree->cache);
}

void bake_tree_share(const struct bake_tree *tree, int fd)
{
	bool room = true; /* without memory for it the next bake reads the file again, that is all */

	bake_share_start(tree->share, fd);
	for (size_t i = 0; room && i < tree->count; i++) {
		const struct bake_node *node = tree->v[i];
		struct bake_known known = {.identity = node->identity, .offset = node->image_offset};

		if (!has_bytes(node))
			continue;
		memcpy(known.sha256, node->sha256, sizeof(known.sha256));
		room = bake_share_add(tree->share, &known);
	}
	bake_share_finish(tree->share);
}
