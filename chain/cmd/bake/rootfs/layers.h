/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: a tree that is put together of layers, entry by entry, as an archive has them: what comes later takes the place
 * of what was there, whiteouts take away what lower layers have (OCI image layer specification, "Whiteouts"; the result
 * is what `umoci unpack` makes). Must not know: archives, digests, where a file's bytes lie. Nothing is ever looked up
 * on the host: links in an entry's path lead on within the tree, and none leads out of it. */
#ifndef KCHAIN_ROOTFS_LAYERS_H
#define KCHAIN_ROOTFS_LAYERS_H

#include "rootfs.h"

#include <stdbool.h>

enum {
	LAYERS_LINKS_MAX = 40,       /* followed in one path, as Linux has it */
	LAYERS_ENTRIES_MAX = 1 << 23 /* of all layers together */
};

/* One entry of an archive. Borrowed. */
struct layers_entry {
	const char *path; /* as the archive has it: relative; "./" before it, "." parts and more than one slash mean
			     nothing */
	enum fs_type type;
	uint32_t mode, uid, gid, rdev; /* as struct fs_node has them */
	uint64_t mtime;
	uint32_t mtime_ns;
	const char *target;    /* of a symbolic link */
	const char *hard_link; /* this is another name of that path, and nothing else counts; null: it is not */
	uint64_t size_bytes;
	struct rootfs_bytes bytes;
	const struct fs_xattr *xattrs;
	size_t xattr_count;
};

struct layers;

/* `name` is what errors call the archive; borrowed. */
enum chain_status layers_new(struct layers **out, const char *name, struct chain_error *err) CHAIN_MUST_CHECK;
void layers_free(struct layers *layers);
/* Entries that follow are of the next layer. `whiteouts`: names that begin with ".wh." are such. */
void layers_begin(struct layers *layers, bool whiteouts);
/* CHAIN_E_ROOT_NAME, _PARENT, _LINKS, _HARD_LINK, CHAIN_E_LIMIT: the subject is the archive's name and the entry's
 * path. */
enum chain_status layers_put(struct layers *layers, const struct layers_entry *entry,
			     struct chain_error *err) CHAIN_MUST_CHECK;
/* Whether an entry would be a whiteout, so that its bytes are of no interest. */
bool layers_is_whiteout(const struct layers *layers, const char *path);
/* Adds all nodes to `out`: a folder before what is in it, names of a folder in the order of their bytes. */
enum chain_status layers_emit(const struct layers *layers, struct rootfs *out,
			      struct chain_error *err) CHAIN_MUST_CHECK;

#endif
