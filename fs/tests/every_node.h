/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: an image's worth of nodes, of every kind that the writer knows, for those who read them back by other means. */
#ifndef FS_TESTS_EVERY_NODE_H
#define FS_TESTS_EVERY_NODE_H

#include "support.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>

#define FILE_OF(text)                                                                                                  \
	.type = FS_REGULAR, .mode = 0644, .size_bytes = sizeof(text) - 1, .cookie = (void *)(uintptr_t)(text)

enum { BIG_BYTES = 3 * 1024 * 1024 + 17, MANY = 900, LONG_NAMES = 40 };
static uint8_t big[BIG_BYTES];
static char names[MANY + LONG_NAMES][300];
static char long_target[4000];
static const struct fs_xattr notes[] = { { "user.note", "some value", 10 },
					 { "user.z", "", 0 },
					 { "trusted.x", "\1\2\3", 3 } };

static const struct fs_spec fixed[] = {
	{ .path = "/", .type = FS_DIRECTORY, .mode = 0750, .mtime = 1700000000 },
	{ .path = "/text", FILE_OF("some text\n"), .mtime = 1700000000 },
	{ .path = "/empty", FILE_OF(""), .mtime = 1 },
	{ .path = "/!bang", FILE_OF("!") },
	{ .path = "/.-dash", FILE_OF("-") },
	{ .path = "/deep/er/and/deeper/file", FILE_OF("deep"), .uid = 1000, .gid = 100 },
	{ .path = "/deep/owned",
	  FILE_OF("far owner"),
	  .uid = 100000,
	  .gid = 200000,
	  .mtime = 1600000000,
	  .mtime_ns = 123456789 },
	{ .path = "/deep-er", FILE_OF("sorts before /deep/") },
	{ .path = "/set", .type = FS_REGULAR, .mode = 04755, .size_bytes = 3, .cookie = (void *)(uintptr_t) "abc" },
	{ .path = "/sticky", .type = FS_DIRECTORY, .mode = 01777, .uid = 7 },
	{ .path = "/big", .type = FS_REGULAR, .mode = 0400, .size_bytes = BIG_BYTES, .cookie = big },
	{ .path = "/aligned",
	  .type = FS_REGULAR,
	  .mode = 0600,
	  .size_bytes = 8192,
	  .cookie = big + 1,
	  .align_bytes = 1 << 20,
	  .reserve_bytes = 100000 },
	{ .path = "/in-metadata", FILE_OF("behind its inode"), .in_metadata = true },
	{ .path = "/in-metadata-large",
	  .type = FS_REGULAR,
	  .mode = 0644,
	  .size_bytes = 9000,
	  .cookie = big + 2,
	  .in_metadata = true },
	{ .path = "/in-metadata-noted",
	  FILE_OF("behind its attributes"),
	  .uid = 100000,
	  .in_metadata = true,
	  .xattrs = notes,
	  .xattr_count = 3 },
	{ .path = "/hard-metadata", .type = FS_REGULAR, .hard_link = "/in-metadata" },
	{ .path = "/link", .type = FS_SYMLINK, .mode = 0777, .target = "deep/er/and" },
	{ .path = "/again", .type = FS_SYMLINK, .mode = 0777, .target = "deep/er/and" },
	{ .path = "/long", .type = FS_SYMLINK, .mode = 0777, .target = long_target },
	{ .path = "/hard", .type = FS_REGULAR, .hard_link = "/text" },
	{ .path = "/deep/hard", .type = FS_REGULAR, .hard_link = "/text" },
	{ .path = "/hard-link", .type = FS_SYMLINK, .hard_link = "/link" },
	{ .path = "/!hard-long", .type = FS_SYMLINK, .hard_link = "/long" },
	{ .path = "/hard-fifo", .type = FS_FIFO, .hard_link = "/fifo" },
	{ .path = "/hard-sock", .type = FS_SOCKET, .hard_link = "/sock" },
	{ .path = "/hard-tty", .type = FS_CHAR_DEVICE, .hard_link = "/tty" },
	{ .path = "/hard-disk", .type = FS_BLOCK_DEVICE, .hard_link = "/disk" },
	{ .path = "/noted", FILE_OF("has attributes"), .xattrs = notes, .xattr_count = 3 },
	{ .path = "/fifo", .type = FS_FIFO, .mode = 0620 },
	{ .path = "/sock", .type = FS_SOCKET, .mode = 0755 },
	{ .path = "/tty", .type = FS_CHAR_DEVICE, .mode = 0666, .rdev = 5 << 8 },
	{ .path = "/disk",
	  .type = FS_BLOCK_DEVICE,
	  .mode = 0660,
	  .rdev = (300 & 0xff) | 259 << 8 | (300 & ~0xffu) << 12 },
};
enum { FIXED = sizeof(fixed) / sizeof(fixed[0]), COUNT = FIXED + MANY + LONG_NAMES };
static struct fs_spec specs[COUNT];

/* A directory of short names and one of the longest, both of several blocks. */
static inline void nodes_make(void)
{
	uint64_t seed = 7;

	for (size_t i = 0; i < BIG_BYTES; i++)
		big[i] = (uint8_t)next_random(&seed);
	memset(long_target, 'x', sizeof(long_target) - 1);
	for (size_t i = 100; i < sizeof(long_target) - 1; i += 100)
		long_target[i] = '/';
	memcpy(specs, fixed, sizeof(fixed));
	for (int i = 0; i < MANY + LONG_NAMES; i++) {
		if (i < MANY)
			snprintf(names[i], sizeof(names[i]), "/many/file%d", i);
		else
			snprintf(names[i], sizeof(names[i]), "/long-names/%0255d", i);
		specs[FIXED + i] = (struct fs_spec){ .path = names[i],
						     .type = FS_REGULAR,
						     .mode = 0640,
						     .mtime = (uint64_t)i,
						     .size_bytes = (uint64_t)i * 7,
						     .cookie = big + i };
	}
}

static inline mode_t mode_of(enum fs_type type)
{
	static const mode_t modes[] = { 0, S_IFREG, S_IFDIR, S_IFCHR, S_IFBLK, S_IFIFO, S_IFSOCK, S_IFLNK };

	return modes[type];
}

/* Linux's numbers in what an inode holds of a device. */
static inline dev_t device_of(uint32_t rdev)
{
	return makedev(rdev >> 8 & 0xfff, (rdev & 0xff) | (rdev >> 12 & 0xfff00));
}

/* The node whose inode `spec` is a name of. */
static inline const struct fs_spec *inode_of(const struct fs_spec *spec)
{
	for (size_t i = 0; spec->hard_link && i < COUNT; i++)
		if (strcmp(specs[i].path, spec->hard_link) == 0)
			return &specs[i];
	return spec;
}

/* How many names it has. */
static inline unsigned names_of(const struct fs_spec *inode)
{
	unsigned count = 0;

	for (size_t i = 0; i < COUNT; i++)
		count += inode_of(&specs[i]) == inode;
	return count;
}

#endif
