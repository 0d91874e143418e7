/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* libFuzzer target: any bytes as a filesystem (see fuzz_expand). The checksum is switched off first, or hardly anything
 * would pass it. What is given out lies inside the image, and in an image that fs_check has passed nothing fails. */
#include "../../chain/tests/fuzz.h"

#include "fs/check.h"
#include "fs/erofs_format.h"

enum { DEPTH_MAX = 6, NODES_MAX = 300 };

struct walk {
	const struct fs *fs;
	bool sound; /* fs_check passed it */
	unsigned depth, nodes;
};

static void check_data(const struct walk *walk, const struct fs_node *node)
{
	const struct fs *fs = walk->fs;
	struct chain_error err = { 0 };
	const uint8_t *bytes = NULL;
	uint64_t count = 0, some;
	uint8_t copy[256];

	if (node->type != FS_REGULAR && node->type != FS_SYMLINK)
		return;
	bool whole = !fuzz_status(fs_file_bytes(fs, node, &bytes, &count, &err), &err);
	FUZZ_HOLDS(whole || !walk->sound || node->type == FS_SYMLINK || err.status == CHAIN_E_FS_NOT_CONTIGUOUS);
	if (whole)
		FUZZ_HOLDS(count == node->size_bytes && bytes &&
			   (!count || (bytes >= fs->bytes && count <= fs->bytes_count &&
				       (uint64_t)(bytes - fs->bytes) <= fs->bytes_count - count)));
	some = node->size_bytes < sizeof(copy) ? node->size_bytes : sizeof(copy);
	err.status = CHAIN_OK;
	if (!fuzz_status(fs_read(fs, node, node->size_bytes - some, copy, some, &err), &err)) {
		if (whole)
			FUZZ_HOLDS(!some || memcmp(copy, bytes + count - some, some) == 0);
	} else {
		FUZZ_HOLDS(!walk->sound);
	}
	err.status = CHAIN_OK;
	FUZZ_HOLDS(fuzz_status(fs_read(fs, node, node->size_bytes, copy, 1, &err), &err) !=
		   CHAIN_OK); /* past the end */
}

static enum chain_status visit(void *ctx, const struct fs_dirent *entry, struct chain_error *err)
{
	struct walk *walk = ctx;
	struct chain_error inner = { 0 };
	struct fs_node node;

	(void)err;
	FUZZ_HOLDS(entry->name_bytes >= 1 && entry->name_bytes <= 255);
	FUZZ_HOLDS(!memchr(entry->name, '/', entry->name_bytes) && !memchr(entry->name, 0, entry->name_bytes));
	FUZZ_HOLDS((const uint8_t *)entry->name >= walk->fs->bytes &&
		   (const uint8_t *)entry->name + entry->name_bytes <= walk->fs->bytes + walk->fs->bytes_count);
	if (++walk->nodes > NODES_MAX)
		return CHAIN_OK;
	if (fuzz_status(fs_node_read(walk->fs, entry->nid, &node, &inner), &inner)) {
		FUZZ_HOLDS(!walk->sound);
		return CHAIN_OK;
	}
	FUZZ_HOLDS(!walk->sound || node.type == entry->type);
	check_data(walk, &node);
	if (node.type == FS_DIRECTORY && walk->depth < DEPTH_MAX) {
		walk->depth++;
		enum chain_status status = fuzz_status(fs_read_dir(walk->fs, &node, visit, walk, &inner), &inner);

		FUZZ_HOLDS(status == CHAIN_OK || !walk->sound);
		walk->depth--;
	}
	return CHAIN_OK;
}

static void look_up(struct walk *walk, const char *path, bool follow)
{
	struct chain_error err = { 0 };
	struct fs_node node;

	walk->nodes = 0;
	if (fuzz_status(fs_lookup(walk->fs, path, follow, &node, &err), &err))
		return;
	FUZZ_HOLDS(!follow || node.type != FS_SYMLINK);
	if (node.type != FS_DIRECTORY) {
		check_data(walk, &node);
		return;
	}
	enum chain_status status = fuzz_status(fs_read_dir(walk->fs, &node, visit, walk, &err), &err);

	FUZZ_HOLDS(status == CHAIN_OK || !walk->sound);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const paths[] = { "/", "/a", "/dir/file", "/link/x", "/../dir/./loop", "/abs", "/dir/sub/" };
	uint8_t *bytes = fuzz_expand(data, size, &size);
	struct chain_error err = { 0 };
	struct fs_check_report report;
	struct fs fs;

	if (size >=
	    FS_EROFS_SUPER_OFFSET + sizeof(struct fs_erofs_super)) /* without the feature bit there is no checksum */
		bytes[FS_EROFS_SUPER_OFFSET + offsetof(struct fs_erofs_super, feature_compat)] &=
			(uint8_t)~FS_EROFS_COMPAT_CHECKSUM;
	if (fuzz_status(fs_mount(&fs, bytes, size, &err), &err) == CHAIN_OK) {
		FUZZ_HOLDS(fs.bytes_count <= size && fs.block_bytes && !(fs.block_bytes & (fs.block_bytes - 1)));
		struct walk walk = { .fs = &fs, .sound = !fuzz_status(fs_check(&fs, &report, &err), &err) };

		for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
			look_up(&walk, paths[i], true);
			look_up(&walk, paths[i], false);
		}
	}
	free(bytes);
	return 0;
}
