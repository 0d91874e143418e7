/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: the gate through which the readers of boot information reach a loader's memory. Not for others. */
#ifndef CHAIN_BOOT_SOURCE_H
#define CHAIN_BOOT_SOURCE_H

#include "chain/boot_read.h"

struct boot_source {
	chain_boot_map *map;
	void *ctx;
	const char *subject; /* in errors: whose information it is */
	struct chain_error *err;
};

/* `what` names the field in errors. CHAIN_E_MULTIBOOT_INFO_UNREADABLE, also for no bytes at all and above 4 GiB. */
enum chain_status boot_source_fetch(const struct boot_source *source, const char *what, uint64_t phys, uint64_t bytes,
				    const void **out) CHAIN_MUST_CHECK;
/* A copy of the terminated string at `phys`: *out is the caller's to free. A null address is an empty string. */
enum chain_status boot_source_copy_string(const struct boot_source *source, const char *what, uint64_t phys,
					  char **out) CHAIN_MUST_CHECK;
/* The same in the place of a string that the bootinfo owns. */
enum chain_status boot_source_set_string(const struct boot_source *source, const char *what, uint64_t phys,
					 char **owned) CHAIN_MUST_CHECK;
/* CHAIN_E_MULTIBOOT_INFO_LIMIT. */
enum chain_status boot_source_limit(const struct boot_source *source, const char *what, uint64_t count,
				    uint64_t limit) CHAIN_MUST_CHECK;
/* Sorts the memory map, and refuses one without an entry: CHAIN_E_MULTIBOOT_INFO_NO_MEMORY with the loader's `flags`.
 */
enum chain_status boot_source_end_map(const struct boot_source *source, struct chain_bootinfo *out,
				      uint32_t flags) CHAIN_MUST_CHECK;

#endif
