/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* libFuzzer target: any bytes as a filesystem. The checksum is switched off first, or hardly anything would pass it. */
#include "fs/check.h"
#include "fs/erofs_format.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum chain_status read_some(void *ctx, const struct fs_dirent *entry, struct chain_error *err)
{
	const struct fs *fs = ctx;
	struct fs_node node;
	const uint8_t *bytes;
	uint64_t count;
	uint8_t copy[256];

	if (fs_node_read(fs, entry->nid, &node, err) != CHAIN_OK)
		return CHAIN_OK;
	if (fs_file_bytes(fs, &node, &bytes, &count, err) == CHAIN_OK && count)
		copy[0] = (uint8_t)(bytes[0] ^ bytes[count - 1]);
	count = node.size_bytes < sizeof(copy) ? node.size_bytes : sizeof(copy);
	(void)!fs_read(fs, &node, node.size_bytes - count, copy, count, err);
	return CHAIN_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const paths[] = { "/", "/a", "/dir/file", "/link/x", "/../dir/./loop" };
	uint8_t *bytes = malloc(size ? size : 1);
	struct fs fs;

	if (!bytes)
		return 0;
	memcpy(bytes, data, size);
	if (size >= FS_EROFS_SUPER_OFFSET + sizeof(struct fs_erofs_super)) /* without the feature bit there is no checksum */
		bytes[FS_EROFS_SUPER_OFFSET + offsetof(struct fs_erofs_super, feature_compat)] &= (uint8_t)~FS_EROFS_COMPAT_CHECKSUM;
	if (fs_mount(&fs, bytes, size, NULL) == CHAIN_OK) {
		(void)!fs_check(&fs, NULL, NULL);
		for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
			struct fs_node node;

			if (fs_lookup(&fs, paths[i], i % 2, &node, NULL) == CHAIN_OK)
				(void)!fs_read_dir(&fs, &node, read_some, &fs, NULL);
		}
	}
	free(bytes);
	return 0;
}
