/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* One tree put into another: what is there already gives way to files, and folders are joined. */

#include "rootfs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct put {
	struct rootfs *into; /* sorted, and not added to meanwhile */
	const char *at;
	struct rootfs_node *added; /* owned */
	size_t count;
	bool *replaced; /* owned: which of `into` have given way already, and name files of the other tree */
};

/* Where a path of the other tree comes to lie: links of folders that are there are followed. Null: see `err`. */
static const char *target_of(const struct put *put, const char *path, struct chain_error *err)
{
	char *whole = NULL, *end;
	const char *below = path[1] == '\0' ? "" : path, *found = NULL, *target;

	if (asprintf(&whole, "%s%s", strcmp(put->at, "/") == 0 && *below ? "" : put->at, below) < 0) {
		(void)chain_fail_no_memory(err, path, strlen(path));
		return NULL;
	}
	/* The deepest folder above it that is there. */
	for (end = strrchr(whole, '/'); end && end != whole; end = strrchr(whole, '/')) {
		*end = '\0';
		const struct rootfs_node *node = rootfs_find(put->into, whole);

		if (node && node->spec.type != FS_DIRECTORY) {
			(void)CHAIN_FAIL(err, ROOT_PUT, .subject = node->spec.path);
			free(whole);
			return NULL;
		}
		if (node) {
			found = node->spec.path;
			break;
		}
	}
	const size_t from = found ? strlen(whole) : 0;

	free(whole);
	whole = NULL;
	if (asprintf(&whole, "%s%s%s", found ? found : "", strcmp(put->at, "/") == 0 && *below ? "" : put->at, below) <
	    0) {
		(void)chain_fail_no_memory(err, path, strlen(path));
		return NULL;
	}
	if (found) /* in its place, the words that led to it */
		memmove(whole + strlen(found), whole + strlen(found) + from, strlen(whole + strlen(found) + from) + 1);
	target = rootfs_text(put->into, whole, strlen(whole), err);
	free(whole);
	return target;
}

/* Other names of a file that gives way keep its bytes: the first of them is the file now. */
static void links_keep(struct put *put, const struct rootfs_node *gone)
{
	struct rootfs *rootfs = put->into;
	const char *first = NULL;

	for (size_t i = 0; i < rootfs->node_count; i++) {
		struct rootfs_node *node = &rootfs->nodes[i];
		const char *path = node->spec.path;

		if (put->replaced[i] || !node->spec.hard_link || strcmp(node->spec.hard_link, gone->spec.path) != 0)
			continue;
		if (!first) {
			*node = *gone;
			node->spec.path = first = path;
		} else {
			node->spec.hard_link = first;
		}
	}
}

static enum chain_status node_put(struct put *put, const struct rootfs_node *node, struct chain_error *err)
{
	const char *target = target_of(put, node->spec.path, err);
	struct rootfs_node copy = *node;

	if (!target)
		return err->status;
	copy.spec.path = target;
	if (node->spec.hard_link)
		copy.spec.hard_link = target_of(put, node->spec.hard_link, err);
	if (node->spec.hard_link && !copy.spec.hard_link)
		return err->status;
	struct rootfs_node *there = rootfs_at(put->into, target);
	const struct rootfs_node *led = rootfs_find(put->into, target);

	if (!there) {
		put->added[put->count++] = copy;
		return CHAIN_OK;
	}
	if (node->spec.type == FS_DIRECTORY && led && led->spec.type == FS_DIRECTORY)
		return CHAIN_OK;
	if (node->spec.type == FS_DIRECTORY || there->spec.type == FS_DIRECTORY)
		return CHAIN_FAIL(err, ROOT_PUT, .subject = target);
	links_keep(put, there);
	copy.spec.path = there->spec.path;
	*there = copy;
	put->replaced[there - put->into->nodes] = true;
	return CHAIN_OK;
}

enum chain_status rootfs_put(struct rootfs *into, const struct rootfs *from, const char *at, struct chain_error *err)
{
	size_t bytes = strlen(at);

	while (bytes > 1 && at[bytes - 1] == '/')
		bytes--;
	struct put put = { .into = into,
			   .at = rootfs_text(into, at, bytes, err),
			   .added = calloc(from->node_count + 1, sizeof(*put.added)),
			   .replaced = calloc(into->node_count + 1, sizeof(*put.replaced)) };
	const size_t most = into->node_count + from->node_count;
	const bool good = put.added && put.replaced && put.at;
	struct rootfs_node *grown = good ? realloc(into->nodes, (most + 1) * sizeof(*grown)) : NULL;

	enum chain_status status = CHAIN_OK;

	if (!grown) {
		free(put.added);
		free(put.replaced);
		return chain_fail_no_memory(err, at, (most + 1) * sizeof(*grown));
	}
	into->nodes = grown;
	into->node_room = most + 1;
	for (size_t i = 0; !status && i < from->node_count; i++)
		status = node_put(&put, &from->nodes[i], err);
	if (!status && put.count > 0) {
		memcpy(into->nodes + into->node_count, put.added, put.count * sizeof(*put.added));
		into->node_count += put.count;
		rootfs_sort(into);
	}
	free(put.added);
	free(put.replaced);
	return status;
}
