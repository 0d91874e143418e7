/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: the Linux kernel of a root with its modules: where they are found, which modules a root in place needs, and in
 * which order they are loaded. Must not know: how they get into an image. */
#ifndef KCHAIN_ROOTFS_KERNEL_H
#define KCHAIN_ROOTFS_KERNEL_H

#include "rootfs.h"

/* Files of a kernel: of the host, or of a root. */
struct kernel_files {
	const struct rootfs *rootfs; /* null: of the host */
	const char *modules;         /* the folder that has modules.order or modules.dep */
};

struct kernel_module {
	char *name; /* without folder and ".ko", as the file has it */
	uint8_t *bytes;
	size_t count;
	size_t file_bytes; /* before its signature and debug data were taken out, and unpacked */
};

struct kernel_modules {
	struct kernel_module *v; /* in the order in which they are to be loaded */
	size_t count;
};

/* What for. */
struct kernel_wanted {
	const char *fs; /* "erofs", … */
	bool overlay;
	const char *const *more; /* names of further modules, ends with null; null: none */
};

/* Picks them: each behind those that it needs (its own "depends=" says which; modules.builtin says what the kernel has
 * within itself), with its signature and debug data taken out, unpacked where it is packed (xz, zstd, gzip).
 * CHAIN_E_ROOT_KERNEL_LACKS, CHAIN_E_ROOT_MODULE. */
enum chain_status kernel_modules_pick(const struct kernel_files *files, const struct kernel_wanted *wanted,
				      struct kernel_modules *out, struct chain_error *err) CHAIN_MUST_CHECK;
void kernel_modules_free(struct kernel_modules *modules);

/* A whole file, new; `path` is absolute in a root, or one of the host. CHAIN_E_IO. */
enum chain_status kernel_file_read(const struct rootfs *rootfs, const char *path, uint8_t **out, size_t *out_count,
				   struct chain_error *err) CHAIN_MUST_CHECK;

#endif
