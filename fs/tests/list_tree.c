/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Usage: list_tree (in the tree's top folder). Prints all that lstat, readlink and listxattr say of each node. Linked
 * statically: it runs in an initramfs, where there is nothing else. What cannot be read is a line too, which no
 * expectation has. */
#include "tree_line.h"

#include <errno.h>
#include <ftw.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

static int failed(const char *path, const char *what)
{
	printf("%s\t%s: %s\n", path, what, strerror(errno));
	return 0;
}

static int attributes_print(const char *path, const char *shown)
{
	static char names[65536], value[65536];
	const ssize_t bytes = llistxattr(path, names, sizeof(names));

	if (bytes < 0)
		return errno == ENOTSUP ? 0 : failed(shown, "llistxattr");
	for (const char *name = names; name < names + bytes; name += strlen(name) + 1) {
		const ssize_t count = lgetxattr(path, name, value, sizeof(value));

		if (count < 0)
			return failed(shown, name);
		tree_line_print_bytes(shown, "@", name, value, (size_t)count);
	}
	return 0;
}

static int node_print(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	const char *shown = path[1] ? path + 1 : "/";
	static char target[65536];
	ssize_t count = 0;

	(void)ftw;
	if (flag == FTW_NS || flag == FTW_DNR)
		return failed(shown, "lstat");
	if (S_ISLNK(st->st_mode))
		count = readlink(path, target, sizeof(target) - 1);
	if (count < 0)
		return failed(shown, "readlink");
	target[count] = '\0';
	tree_line_print(shown, st, target);
	return attributes_print(path, shown);
}

int main(void)
{
	return nftw(".", node_print, 16, FTW_PHYS) == 0 && fflush(stdout) == 0 ? 0 : 1;
}
