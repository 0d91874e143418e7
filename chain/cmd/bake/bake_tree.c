/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: the nodes of a tree, and what several of them have in common: folders, inodes, contents. */

#include "bake_host.h"
#include "chain/digest.h"
#include "chain/cmd/cmd.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static enum chain_status no_memory(const char *subject, uint64_t bytes, struct chain_error *err)
{
	return chain_fail_no_memory(err, subject, bytes);
}

enum chain_status bake_tree_init(struct bake_tree *tree, struct bake_share *share, struct bake_cache *cache,
				 struct chain_error *err)
{
	const char *epoch = getenv("SOURCE_DATE_EPOCH");

	*tree = (struct bake_tree){ .fd = -1, .share = share, .cache = cache };
	if (share)
		bake_share_recheck(share);
	if (epoch && *epoch && !cmd_count_parse(epoch, &tree->mtime))
		return chain_fail_text(err, CHAIN_E_IO, "SOURCE_DATE_EPOCH", "is not a number of seconds");
	return CHAIN_OK;
}

static void node_free(struct bake_node *node)
{
	free(node->path);
	free(node->host);
	free(node->target);
	free(node->xattrs);
	free(node->text);
	free(node);
}

void bake_tree_free(struct bake_tree *tree)
{
	for (size_t i = 0; i < tree->count; i++)
		node_free(tree->v[i]);
	free(tree->v);
	free(tree->pipeline);
	free(tree->specs);
	bake_hash_stop(&tree->hash);
	if (tree->fd >= 0)
		close(tree->fd);
	*tree = (struct bake_tree){ .fd = -1 };
}

struct bake_node *bake_node_new(struct bake_tree *tree, char *path, char *host, struct chain_error *err)
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
	node->number = tree->count;
	node->spec = (struct fs_spec){
		.path = path, .type = FS_REGULAR, .mode = 0644, .mtime = tree->mtime, .cookie = node
	};
	tree->v[tree->count++] = node;
	return node;
}

enum chain_status bake_tree_add_pipeline(struct bake_tree *tree, char *text, struct chain_error *err)
{
	struct bake_node *node = bake_node_new(tree, strdup(CHAIN_FS_PIPELINE), NULL, err);

	if (!node) {
		free(text);
		return CHAIN_E_NO_MEMORY;
	}
	node->text = text;
	node->spec.size_bytes = strlen(text);
	node->spec.in_metadata = true;
	return CHAIN_OK;
}

static int by_path(const void *a, const void *b)
{
	const struct bake_node *x = *(struct bake_node *const *)a, *y = *(struct bake_node *const *)b;
	const int order = strcmp(x->path, y->path);

	return order ? order : (x->number > y->number) - (x->number < y->number);
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

/* A root that has nothing to say needs no node, and a folder that two entries of "files" fill is one folder: the first
 * one's. */
static void folders_merge(struct bake_tree *tree)
{
	size_t kept = 0;

	qsort(tree->v, tree->count, sizeof(*tree->v), by_path);
	for (size_t i = 0; i < tree->count; i++) {
		struct bake_node *node = tree->v[i];
		const bool folder = node->spec.type == FS_DIRECTORY;

		if (folder && ((strcmp(node->path, "/") == 0 && !node->xattrs) ||
			       (kept > 0 && tree->v[kept - 1]->spec.type == FS_DIRECTORY &&
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

		if (!node->many_names)
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

	if (status)
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
	return node->host && !node->unpacked && node->spec.type == FS_REGULAR && !node->spec.hard_link &&
	       node->spec.size_bytes;
}

void bake_tree_cache(const struct bake_tree *tree)
{
	for (size_t i = 0; i < tree->count; i++)
		if (has_bytes(tree->v[i]))
			bake_cache_note(tree->cache, &tree->v[i]->identity, tree->v[i]->digest);
	bake_cache_finish(tree->cache);
}

void bake_tree_share(const struct bake_tree *tree, int fd)
{
	bool room = true; /* without memory for it the next bake reads the file again, that is all */

	bake_share_start(tree->share, fd);
	for (size_t i = 0; room && i < tree->count; i++) {
		const struct bake_node *node = tree->v[i];
		struct bake_known known = { .identity = node->identity, .offset = node->image_offset };

		if (!has_bytes(node))
			continue;
		memcpy(known.digest, node->digest, sizeof(known.digest));
		room = bake_share_add(tree->share, &known);
	}
	bake_share_finish(tree->share);
}
