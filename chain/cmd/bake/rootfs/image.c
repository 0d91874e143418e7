/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* A file system image: baked as it is, byte for byte. Which one it is its magic number says (each in the format's own
 * documentation, or in Linux's include/uapi/linux/magic.h). */

#include "rootfs.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct {
	const char *type;
	size_t at;
	const char *magic;
	size_t bytes;
} kinds[] = {
	{ "erofs", 1024, "\xe2\xe1\xf5\xe0", 4 },
	{ "ext4", 1024 + 56, "\x53\xef", 2 },
	{ "squashfs", 0, "hsqs", 4 },
	{ "iso9660", 32769, "CD001", 5 },
	{ "xfs", 0, "XFSB", 4 },
	{ "btrfs", 65536 + 64, "_BHRfS_M", 8 },
	{ "f2fs", 1024, "\x10\x20\xf5\xf2", 4 },
	{ "cramfs", 0, "\x45\x3d\xcd\x28", 4 },
	{ "romfs", 0, "-rom1fs-", 8 },
	{ "vfat", 54, "FAT16   ", 8 },
	{ "vfat", 82, "FAT32   ", 8 },
};

static const char *type_of(const uint8_t *bytes, size_t count)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (count >= kinds[i].at + kinds[i].bytes &&
		    memcmp(bytes + kinds[i].at, kinds[i].magic, kinds[i].bytes) == 0)
			return kinds[i].type;
	return NULL;
}

static bool probe(const struct rootfs_request *request, const struct rootfs_head *head)
{
	(void)request;
	return !head->folder && type_of(head->bytes, head->count);
}

static enum chain_status open_image(const struct rootfs_request *request, struct rootfs *out, struct chain_error *err)
{
	uint8_t head[ROOTFS_HEAD_BYTES];
	struct stat about;
	ssize_t got;

	out->image = open(request->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (out->image < 0 || fstat(out->image, &about) < 0 || (got = pread(out->image, head, sizeof(head), 0)) < 0)
		return CHAIN_FAIL(err, IO, .subject = request->path, .detail = strerror(errno));
	if (!S_ISREG(about.st_mode) || about.st_size == 0)
		return CHAIN_FAIL(err, ROOT_UNKNOWN, .subject = request->path);
	out->image_bytes = (uint64_t)about.st_size;
	out->image_type = type_of(head, (size_t)got);
	return CHAIN_OK;
}

extern const struct rootfs_source rootfs_source_image;
const struct rootfs_source rootfs_source_image = {
	.name = "image",
	.about = "a file system (EROFS, ext4, squashfs, ISO 9660 or another), baked as it is",
	.probe = probe,
	.open = open_image,
};
