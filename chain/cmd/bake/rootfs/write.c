/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "write.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct output {
	int fd;
};

static enum chain_status read_node(void *ctx, const struct fs_spec *spec, uint64_t offset, void *buf, size_t count,
				   struct chain_error *err)
{
	(void)ctx;
	return rootfs_read(spec->cookie, offset, buf, count, err);
}

static enum chain_status write_out(void *ctx, uint64_t offset, const void *bytes, size_t count, struct chain_error *err)
{
	const struct output *out = ctx;

	for (size_t done = 0; done < count;) {
		const ssize_t put = pwrite(out->fd, (const char *)bytes + done, count - done, (off_t)(offset + done));

		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0)
			return CHAIN_FAIL(err, IO, .subject = "root", .detail = strerror(errno));
		done += (size_t)put;
	}
	return CHAIN_OK;
}

/* Each node as the writer takes it: with a way back to its bytes. */
static enum chain_status specs_add(const struct rootfs *rootfs, struct fs_spec *specs, struct fs_writer *writer,
				   struct chain_error *err)
{
	enum chain_status status = CHAIN_OK;

	for (size_t i = 0; !status && i < rootfs->node_count; i++) {
		const struct rootfs_node *node = &rootfs->nodes[i];

		specs[i] = node->spec;
		specs[i].cookie = (void *)(uintptr_t)node;
		if (!chain_is_utf8(specs[i].path))
			return CHAIN_FAIL(err, BAKE_PATH, .subject = specs[i].path, .detail = "its name is not UTF-8");
		status = fs_writer_add(writer, &specs[i], err);
	}
	return status;
}

enum chain_status rootfs_write(const struct rootfs *rootfs, int fd, uint64_t *out_bytes, struct chain_error *err)
{
	struct output out = { fd };
	struct fs_writer *writer = NULL;
	struct fs_spec *specs = calloc(rootfs->node_count + 1, sizeof(*specs));
	enum chain_status status = specs ? fs_writer_new(&writer, err) :
					   chain_fail_no_memory(err, "root", (rootfs->node_count + 1) * sizeof(*specs));

	if (!status)
		status = specs_add(rootfs, specs, writer, err);
	if (!status)
		status = fs_writer_layout(writer, err);
	if (!status) {
		*out_bytes = fs_writer_image_bytes(writer);
		if (ftruncate(fd, (off_t)*out_bytes) < 0)
			status = CHAIN_FAIL(err, IO, .subject = "root", .detail = strerror(errno));
	}
	if (!status)
		status = fs_writer_emit(writer, read_node, write_out, NULL, &out, err);
	fs_writer_free(writer);
	free(specs);
	return status;
}

int rootfs_unnamed(const char *folder, struct chain_error *err)
{
	const char *temporary = getenv("TMPDIR");
	char name[4096];
	int fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	if (fd >= 0)
		return fd;
	(void)snprintf(name, sizeof(name), "%s/kchain.XXXXXX", temporary && *temporary == '/' ? temporary : "/tmp");
	fd = mkostemp(name, O_CLOEXEC);
	if (fd >= 0)
		(void)unlink(name);
	else
		(void)CHAIN_FAIL(err, IO, .subject = name, .detail = strerror(errno));
	return fd;
}
