/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: the host's side of `kchain bake`: which files become which nodes, and a file that is there wholly or not at
 * all. Must not know: the form of an image. */
#ifndef KCHAIN_BAKE_HOST_H
#define KCHAIN_BAKE_HOST_H

#include "bake_cache.h"
#include "bake_hash.h"
#include "bake_share.h"
#include "chain/config.h"
#include "chain/cmd/cmd.h"
#include "chain/cmd/cmd_out.h"
#include "fs/write.h"

#include <stdbool.h>
#include <sys/types.h>

/* --- the tree (bake_tree.c, bake_walk.c, bake_xattr.c) ---------------------------------------------------------------
 */

/* One file, folder or link of the host, or a text made by us. */
struct bake_node {
	struct fs_spec spec; /* borrows the strings below */
	char *path, *host, *target;
	struct fs_xattr *xattrs; /* owned, with all that they point to */
	size_t number;           /* in the order of the pipeline */
	char *text; /* owned bytes: made by us, unpacked, or of a small file that was read already; null: read `host` */
	uint8_t digest[CHAIN_LOCATED_BYTES];
	struct bake_identity identity;  /* of a file */
	const struct bake_known *known; /* what an earlier bake of this run found of it; null: nothing */
	bool cached;                    /* `digest` is what an earlier run found */
	uint64_t image_offset;          /* where it came to lie */
	bool many_names;                /* more than one hard link */
	bool alike;                     /* begins as another file of its size does */
	bool unpacked;                  /* `text` is not the file's bytes, but the kernel that was packed in it */
};

/* Attributes that don't go into an image, where that is to be said. */
struct bake_xattrs_left {
	uint64_t count;
	char first[256]; /* name */
};

struct bake_tree {
	struct bake_node **v;
	size_t count, room;
	uint64_t mtime; /* of every node: SOURCE_DATE_EPOCH or 0 */
	char *pipeline; /* the file that says what is baked; null: none */
	struct bake_xattrs_left xattrs_left;
	struct bake_share *share; /* borrowed; null: this bake stands alone */
	struct bake_cache *cache; /* borrowed; null: every file is hashed */
	struct fs_spec *specs;    /* made by bake_tree_finish */
	int fd;                   /* the file being read; -1: none */
	const struct bake_node *reading;
	uint64_t kept_bytes; /* of small files, in memory */
	struct bake_hash hash;
};

enum chain_status bake_tree_init(struct bake_tree *tree, struct bake_share *share, struct bake_cache *cache,
				 struct chain_error *err);
void bake_tree_free(struct bake_tree *tree);
/* A file or a folder with all that is in it. `from` is relative to `dir`. The working directory changes meanwhile.
 * CHAIN_E_FILE_CHANGED when something takes the place of a folder. */
enum chain_status bake_tree_add(struct bake_tree *tree, const char *dir, const struct chain_config_file *file,
				struct chain_error *err);
/* Adds an empty node of a regular file; takes `path` and `host` (null: none), on failure too. Null: no memory. */
struct bake_node *bake_node_new(struct bake_tree *tree, char *path, char *host, struct chain_error *err);
/* Reads the attributes that go into an image of `name`, from the working directory; `follow`: of what a link leads to.
 * Counts the others. */
enum chain_status bake_xattrs_read(struct bake_node *node, const char *name, bool follow, struct bake_xattrs_left *left,
				   struct chain_error *err);
/* The file CHAIN_FS_PIPELINE, which lies in the filesystem's metadata. Takes `text` (malloc'ed), on failure too. */
enum chain_status bake_tree_add_pipeline(struct bake_tree *tree, char *text, struct chain_error *err);
/* Folders that were named twice become one, hard links are found, files of one size are hashed, and `specs` is made. */
enum chain_status bake_tree_finish(struct bake_tree *tree, struct chain_error *err);
/* Tells the next bake of this run what lies where in the finished image; takes `fd`. */
void bake_tree_share(const struct bake_tree *tree, int fd);
/* Tells the next run what the files' digests are. */
void bake_tree_cache(const struct bake_tree *tree);

/* --- reading (bake_read.c) ---------------------------------------------------------------------------------------- */

/* CHAIN_E_FILE_CHANGED: a file is another than the walk saw, when it is opened or when its last byte was read. */

/* All of a file of the host; to be asked cmd_file_check. */
enum chain_status bake_tree_load(struct bake_tree *tree, const struct bake_node *node, struct cmd_file *out,
				 struct chain_error *err);
/* An fs_source whose ctx is the tree. */
enum chain_status bake_tree_read(struct bake_tree *tree, const struct fs_spec *spec, uint64_t offset, void *buf,
				 size_t count, struct chain_error *err);
/* All of a file to `offset` of the output (null: nowhere), hashed meanwhile by a second thread. */
struct bake_out;
enum chain_status bake_tree_stream(struct bake_tree *tree, const struct bake_node *node, struct bake_out *out,
				   uint64_t offset, uint8_t out_digest[CHAIN_LOCATED_BYTES], struct chain_error *err);
/* All of a file to `offset` of the output, past this process: its digest is known. */
enum chain_status bake_tree_copy(struct bake_tree *tree, const struct bake_node *node, struct bake_out *out,
				 uint64_t offset, struct chain_error *err);
/* Gives a digest to each file that may be the same as another one. */
enum chain_status bake_tree_twins(struct bake_tree *tree, struct chain_error *err);

/* --- the output (bake_out.c) -------------------------------------------------------------------------------------- */

struct bake_out {
	const char *path;
	struct cmd_out file;
	int fd;         /* of it; -1: none */
	uint64_t bytes; /* how long it is to be */
	bool shows;     /* progress */
	struct cmd_progress progress;
	struct bake_copy {
		const char *name; /* of the file; null: the image baked before */
		int fd;
		uint64_t from, to, count;
	} copy; /* not yet made: what follows it on both sides becomes part of it */
};

/* To a file of this name, or to one without a name in a folder. It is empty, and each part of it is written once. */
enum chain_status bake_out_open(struct bake_out *out, const char *path, bool progress, struct chain_error *err);
enum chain_status bake_out_open_unnamed(struct bake_out *out, const char *folder, struct chain_error *err);
/* Blocks of zeros become holes. */
enum chain_status bake_out_write(struct bake_out *out, uint64_t offset, const void *bytes, size_t count,
				 struct chain_error *err);
/* Copies from another file (its name, or null: the image baked before), borrowed until bake_out_flush, without looking
 * at the bytes: by reference where the file system can, else within the kernel. Holes stay holes. CHAIN_E_FILE_CHANGED
 * when that file is shorter. */
enum chain_status bake_out_copy(struct bake_out *out, const char *name, int fd, uint64_t from, uint64_t to,
				uint64_t count, struct chain_error *err);
/* To be called before what was borrowed goes. */
enum chain_status bake_out_flush(struct bake_out *out, struct chain_error *err);
/* To be called before the file is read and before the commit: it has its length then. */
enum chain_status bake_out_finish(struct bake_out *out, struct chain_error *err);
/* Puts the file in its place. On failure nothing is left. `out_fd`, where not null, gets the open file. */
enum chain_status bake_out_commit(struct bake_out *out, int *out_fd, struct chain_error *err);
/* Leaves nothing of what was written; does nothing after a commit. */
void bake_out_drop(struct bake_out *out);

#endif
