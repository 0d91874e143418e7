/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: a node as a line of text, in one form for who lists a mounted tree and for who says what has to be in it.
 * Fields are separated by tabs: path, mode with type, owner, group, links, size, device, time, target; an attribute:
 * path, @name, bytes. */
#ifndef FS_TESTS_TREE_LINE_H
#define FS_TESTS_TREE_LINE_H

#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

/* A directory's size is the file system's own business. */
static inline void tree_line_print(const char *path, const struct stat *st, const char *target)
{
	printf("%s\t%o\t%u\t%u\t%lu\t%lld\t%u:%u\t%lld.%09ld\t%s\n", path, st->st_mode, st->st_uid, st->st_gid,
	       (unsigned long)st->st_nlink, S_ISDIR(st->st_mode) ? 0 : (long long)st->st_size, major(st->st_rdev),
	       minor(st->st_rdev), (long long)st->st_mtim.tv_sec, st->st_mtim.tv_nsec, target);
}

static inline void tree_line_print_bytes(const char *path, const char *mark, const char *name, const void *bytes,
					 size_t count)
{
	printf("%s\t%s%s\t", path, mark, name);
	for (size_t i = 0; i < count; i++)
		printf("%02x", ((const unsigned char *)bytes)[i]);
	putchar('\n');
}

#endif
