/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Usage: write_every_node FILE. Writes an image of every kind of node, and prints what has to be found in it. */
#include "every_node.h"
#include "tree_line.h"

#include "chain/digest.h"

static void node_print(const struct fs_spec *spec)
{
	const struct fs_spec *inode = inode_of(spec);
	uint8_t sha256[CHAIN_SHA256_BYTES];
	struct stat st = { .st_mode = mode_of(inode->type) | inode->mode,
			   .st_uid = inode->uid,
			   .st_gid = inode->gid,
			   .st_nlink = names_of(inode),
			   .st_size = (off_t)inode->size_bytes,
			   .st_rdev = device_of(inode->rdev) };

	st.st_mtim = (struct timespec){ .tv_sec = (time_t)inode->mtime, .tv_nsec = inode->mtime_ns };
	if (inode->target)
		st.st_size = (off_t)strlen(inode->target);
	tree_line_print(spec->path, &st, inode->target ? inode->target : "");
	for (size_t i = 0; i < inode->xattr_count; i++)
		tree_line_print_bytes(spec->path, "@", inode->xattrs[i].name, inode->xattrs[i].value,
				      inode->xattrs[i].value_bytes);
	if (inode->type != FS_REGULAR)
		return;
	chain_sha256_of(inode->cookie, inode->size_bytes, sha256);
	tree_line_print_bytes(spec->path, "", "sha256", sha256, sizeof(sha256));
}

int main(int argc, char **argv)
{
	struct image *image;

	if (argc != 2)
		return 2;
	nodes_make();
	image = image_of(specs, COUNT);
	write_file(argv[1], image->bytes, image->bytes_count);
	image_free(image);
	for (size_t i = 0; i < COUNT; i++)
		node_print(&specs[i]);
	return fflush(stdout) == 0 ? 0 : 1;
}
