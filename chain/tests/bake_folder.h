/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: a scratch folder with what `kchain bake` reads and a place for what it writes. Must not know: what is in a
 * tree. */
#ifndef BAKE_FOLDER_H
#define BAKE_FOLDER_H

#include "chain/cmd/bake/bake_job.h"
#include "../cmd/cmd.h"
#include "bake_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "/tmp/kchain-bake-XXXXXX";

/* Good for four names at a time. */
static inline const char *at(const char *name)
{
	static char paths[4][256];
	static unsigned next;

	next = (next + 1) % 4;
	(void)snprintf(paths[next], sizeof(paths[next]), "%s/%s", folder, name);
	return paths[next];
}

static inline void put(const char *name, const void *bytes, size_t count)
{
	assert_int_equal(cmd_file_write(at(name), bytes, count, NULL), CHAIN_OK);
}

static inline size_t entries(const char *name)
{
	DIR *dir = opendir(at(name));
	size_t count = 0;

	assert_non_null(dir);
	while (readdir(dir))
		count++;
	(void)closedir(dir);
	return count;
}

/* in/ with a folder, out/, stage.elf, and a Multiboot kernel by its address fields: loaded to 4 MiB, entered there. */
static inline bool folder_make(const char *inner, const char *kernel_name)
{
	static uint8_t kernel[4096], stage[STAGE_FILE_BYTES];
	static const uint32_t header[8] = { 0x1badb002, 0x10000, 0u - 0x1badb002 - 0x10000, 0x400000, 0x400000, 0,
					    0,          0x400000 };

	memcpy(kernel, header, sizeof(header));
	stage_make(stage);
	if (!mkdtemp(folder) || mkdir(at("in"), 0755) || mkdir(at(inner), 0755) || mkdir(at("out"), 0755))
		return false;
	put("stage.elf", stage, sizeof(stage));
	put(kernel_name, kernel, sizeof(kernel));
	return true;
}

static inline int folder_remove(void **state)
{
	char command[300];

	(void)state;
	(void)snprintf(command, sizeof(command), "rm -rf '%s'", folder);
	return system(command);
}

#endif
