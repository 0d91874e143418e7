/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: a tar archive, compressed or not, as the source of a root. */

#include "archives.h"
#include "chain/cmd/cmd.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct tar_source {
	struct tar_spool spool;
	int fd;
};

bool archives_is_folder(const char *path)
{
	struct stat about;

	return stat(path, &about) == 0 && S_ISDIR(about.st_mode);
}

/* Whatever is wrong with it: it is one when it can be opened as one. */
static bool tar_probe(const struct rootfs_request *request, const struct rootfs_head *head)
{
	struct tar_spool spool;
	struct tar_reader *reader;
	struct layers_entry entry;
	bool more, is = false;
	const int fd = head->folder ? -1 : open(request->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	const struct tar_stretch whole = { .fd = fd, .bytes = head->file_bytes, .name = request->path };

	if (fd < 0)
		return false;
	tar_spool_init(&spool, request->folder);
	if (!tar_open(&reader, &whole, TAR_FILTER_ANY, false, &spool, NULL)) {
		is = tar_next(reader, &entry, &more, NULL) != CHAIN_E_ROOT_ARCHIVE;
		tar_close(reader);
	}
	tar_spool_close(&spool);
	(void)close(fd);
	return is;
}

static enum chain_status read_all(struct tar_reader *reader, const char *name, struct rootfs *out,
				  struct chain_error *err)
{
	uint8_t packed[CHAIN_SHA256_BYTES], unpacked[CHAIN_SHA256_BYTES];
	struct layers *layers;
	enum chain_status status = layers_new(&layers, name, err);

	if (status)
		return status;
	layers_begin(layers, false);
	status = tar_read_layer(reader, layers, err);
	if (!status)
		status = tar_finish(reader, packed, unpacked, err);
	if (!status)
		status = layers_emit(layers, out, err);
	layers_free(layers);
	return status;
}

static enum chain_status tar_source_open(const struct rootfs_request *request, struct rootfs *out,
					 struct chain_error *err)
{
	struct tar_source *source = rootfs_memory(out, sizeof(*source), err);
	struct tar_reader *reader;
	struct stat about;

	if (!source)
		return CHAIN_E_NO_MEMORY;
	tar_spool_init(&source->spool, request->folder);
	source->fd = open(request->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	out->private = source;
	if (source->fd < 0 || fstat(source->fd, &about) < 0)
		return chain_fail_text(err, CHAIN_E_IO, request->path, strerror(errno));
	if (!S_ISREG(about.st_mode))
		return chain_fail_text(err, CHAIN_E_NOT_SUPPORTED, request->path, "an archive that is no regular file");
	if (request->tag)
		return chain_fail_text(err, CHAIN_E_ROOT_TAG, request->source, "a tar archive has no tags");
	const struct tar_stretch whole = { .fd = source->fd, .bytes = (uint64_t)about.st_size, .name = request->path };
	enum chain_status status = tar_open(&reader, &whole, TAR_FILTER_ANY, true, &source->spool, err);

	if (status)
		return status;
	status = read_all(reader, request->path, out, err);
	tar_close(reader);
	if (!status)
		archives_attributes_tell(&source->spool);
	return status;
}

static void tar_source_close(struct rootfs *rootfs)
{
	struct tar_source *source = rootfs->private;

	if (!source)
		return;
	tar_spool_close(&source->spool);
	if (source->fd >= 0)
		(void)close(source->fd);
}

const struct rootfs_source rootfs_source_tar = {
	.name = "tar",
	.about = "a tar archive, compressed by gzip, zstd, xz, bzip2, lz4 or others, or not",
	.probe = tar_probe,
	.open = tar_source_open,
	.close = tar_source_close,
};
