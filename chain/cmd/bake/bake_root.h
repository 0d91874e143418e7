/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: "root" of a pipeline (docs/ROOTS.md): what it may say, and the four files that an image gets for it. Must not
 * know: what a root comes from (rootfs/), the form of an image. */
#ifndef KCHAIN_BAKE_ROOT_H
#define KCHAIN_BAKE_ROOT_H

#include "bake_host.h"
#include "rootfs/kernel.h"
#include "rootfs/rootfs.h"

#define BAKE_ROOT_KERNEL "/kchain/linux"
#define BAKE_ROOT_INITRD "/kchain/initrd.cpio"
#define BAKE_ROOT_IMAGE  "/kchain/root"

/* As the pipeline or the command line says it. Zeroed, there is none. */
struct bake_root_spec {
	char *from, *type, *platform, *owner, *fs;
	char *kernel, *modules; /* of the host; null: looked for */
	json_t *more;           /* names of further modules */
	unsigned write, end;    /* their words' indices */
	json_t *entrypoint, *env, *ports;
	json_t *add; /* folders of the host, by where they are put */
	char *workdir, *user, *stop_signal, *hostname, *args;
	bool unverified, next; /* next: kchain-next is within its reach */
};

/* All owned; bake_root_free. */
struct bake_root {
	bool asked;
	struct bake_root_spec spec;
	struct rootfs rootfs;
	bool open;
	struct chain_error failed; /* why what it comes from could not be opened */
	const char *at[2];    /* the key of "root", and the key below it, that the last failure is about; null: none */
	struct rootfs *added; /* what was put into it; open */
	size_t added_count;
	int made; /* the EROFS made of its nodes; -1: none */
	struct kernel_modules modules;
	char *kernel_name; /* where the kernel is from */
	uint64_t floor;    /* physical address above which the root must lie, for its kernel to find room */
	char *entry;       /* as JSON, for people */
};

/* Takes "root" out of a pipeline's document, with what `over` (nullable: the command line's, the same keys) says
 * besides, opens what it comes from, and has the steps that boot "linux" say what that means. Host paths are relative
 * to `folder`. What "root" itself says wrong goes to `errors`, and why its source can't be opened to root->failed.
 * *out_text: the pipeline without it, new; null: it has none. */
enum chain_status bake_root_take(struct bake_root *root, const char *text, uint64_t bytes, const json_t *over,
				 const char *folder, char **out_text, struct chain_errors *errors,
				 struct chain_error *err);
/* Adds its files to the tree. `unnamed`: a folder for files without names. After a failure root->at says what it is
 * about. */
enum chain_status bake_root_add(struct bake_root *root, struct bake_tree *tree, const char *unnamed,
				struct chain_error *err);
void bake_root_free(struct bake_root *root);

/* What came of it, for the report; new. */
json_t *bake_root_json(const struct bake_root *root);
void bake_root_print(const struct bake_root *root);

/* bake_entry.c: {"argv", "env", ...} of root.json; the program is one that can be started. New. */
enum chain_status bake_entry_make(const struct bake_root *root, json_t **out, struct chain_error *err);

#endif
