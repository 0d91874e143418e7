/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: an image on its way to a file: what is zero is not written, and what another file has is copied by the kernel.
 */

#include "bake_host.h"
#include "chain/cmd/cmd.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static enum chain_status io(const char *path, int number, struct chain_error *err)
{
	return chain_fail_text(err, CHAIN_E_IO, path, strerror(number));
}

enum chain_status bake_out_open(struct bake_out *out, const char *path, bool progress, struct chain_error *err)
{
	struct stat about;

	*out = (struct bake_out){ .path = path, .fd = -1, .shows = progress };
	if (stat(path, &about) == 0 && !S_ISREG(about.st_mode))
		return chain_fail_text(err, CHAIN_E_NOT_SUPPORTED, path,
				       "an image can only be written to a regular file");
	const enum chain_status status = cmd_out_open(&out->file, path, err);

	cmd_progress_start(&out->progress, "written");
	out->fd = !status ? out->file.fd : -1;
	return status;
}

enum chain_status bake_out_open_unnamed(struct bake_out *out, const char *folder, struct chain_error *err)
{
	*out = (struct bake_out){ .path = folder, .fd = -1 };
	const enum chain_status status = cmd_out_open_unnamed(&out->file, folder, err);

	out->fd = !status ? out->file.fd : -1;
	return status;
}

static void progress_add(struct bake_out *out, uint64_t bytes)
{
	if (out->shows)
		cmd_progress_add(&out->progress, bytes);
}

/* The file is this long in the end, whatever of it is written. */
static void reach(struct bake_out *out, uint64_t end)
{
	if (out->bytes < end)
		out->bytes = end;
}

static bool is_zero(const char *bytes, size_t count)
{
	return bytes[0] == 0 && memcmp(bytes, bytes + 1, count - 1) == 0;
}

/* How much from the start of `count` bytes for `offset` is of one sort: blocks of zeros, which need no room in a file
 * that has nothing there yet, or all else. */
static size_t stretch(const char *bytes, uint64_t offset, size_t count, bool *out_zero)
{
	size_t done = 0;

	*out_zero = false;
	while (done < count) {
		const size_t left = FS_BLOCK_BYTES - (size_t)((offset + done) % FS_BLOCK_BYTES),
			     block = left < count - done ? left : count - done;
		const bool zero = block == FS_BLOCK_BYTES && is_zero(bytes + done, block);

		if (done > 0 && zero != *out_zero)
			break;
		*out_zero = zero;
		done += block;
	}
	return done;
}

enum chain_status bake_out_write(struct bake_out *out, uint64_t offset, const void *bytes, size_t count,
				 struct chain_error *err)
{
	const char *at = bytes;

	reach(out, offset + count);
	while (count > 0) {
		bool zero;
		const size_t piece = stretch(at, offset, count, &zero);
		const ssize_t put = zero ? (ssize_t)piece : pwrite(out->fd, at, piece, (off_t)offset);

		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0)
			return io(out->path, errno, err);
		at += put;
		offset += (uint64_t)put;
		count -= (size_t)put;
		progress_add(out, (uint64_t)put);
	}
	return CHAIN_OK;
}

/* The kernel's own copy is not to be had between all files: then the bytes come this way. */
static ssize_t copy_by_hand(int from_fd, int to_fd, uint64_t from, uint64_t to, size_t count)
{
	char buf[65536];
	const ssize_t got = pread(from_fd, buf, count < sizeof(buf) ? count : sizeof(buf), (off_t)from);

	return got > 0 ? pwrite(to_fd, buf, (size_t)got, (off_t)to) : got;
}

static ssize_t copy_some(int from_fd, int to_fd, uint64_t from, uint64_t to, size_t count)
{
	off_t in = (off_t)from, at = (off_t)to;
	const ssize_t copied = copy_file_range(from_fd, &in, to_fd, &at, count, 0);

	if (copied >= 0 || (errno != EXDEV && errno != EINVAL && errno != EOPNOTSUPP && errno != ENOSYS))
		return copied;
	return copy_by_hand(from_fd, to_fd, from, to, count);
}

static enum chain_status shorter(const struct bake_out *out, struct chain_error *err)
{
	const char *name = out->copy.name;

	return chain_fail_text(err, CHAIN_E_FILE_CHANGED, name ? name : out->path,
			       name ? "it became shorter" : "the image baked before it became shorter");
}

static void advance(struct bake_out *out, uint64_t bytes)
{
	struct bake_copy *copy = &out->copy;

	copy->from += bytes;
	copy->to += bytes;
	copy->count -= bytes;
	progress_add(out, bytes);
}

/* Leaves a hole of the file at the beginning of what is to be copied out, and finds how much of it follows that is
 * none: all, where the file system does not know of holes. */
static enum chain_status hole_skip(struct bake_out *out, uint64_t *out_data, struct chain_error *err)
{
	struct bake_copy *copy = &out->copy;
	struct stat about;
	const off_t data = lseek(copy->fd, (off_t)copy->from, SEEK_DATA);

	*out_data = copy->count;
	if (data < 0 && errno != ENXIO)
		return CHAIN_OK;
	if (fstat(copy->fd, &about) < 0)
		return io(copy->name ? copy->name : out->path, errno, err);
	if ((uint64_t)about.st_size < copy->from + copy->count)
		return shorter(out, err);
	const uint64_t hole = data < 0 ? copy->count : (uint64_t)data - copy->from;

	advance(out, hole < copy->count ? hole : copy->count);
	*out_data = copy->count;
	if (copy->count == 0)
		return CHAIN_OK;
	const off_t end = lseek(copy->fd, data, SEEK_HOLE);

	if (end > data && (uint64_t)(end - data) < copy->count)
		*out_data = (uint64_t)(end - data);
	return CHAIN_OK;
}

static enum chain_status data_copy(struct bake_out *out, uint64_t count, struct chain_error *err)
{
	/* In pieces that end at round places of the output: there the page cache takes more pages at a time. */
	enum { PIECE = 1 << 27 };
	const struct bake_copy *copy = &out->copy;

	while (count > 0) {
		const uint64_t round = PIECE - copy->to % PIECE;
		const size_t piece = (size_t)(count < round ? count : round);
		const ssize_t copied = copy_some(copy->fd, out->fd, copy->from, copy->to, piece);

		if (copied < 0 && errno == EINTR)
			continue;
		if (copied < 0)
			return io(out->path, errno, err);
		if (copied == 0)
			return shorter(out, err);
		advance(out, (uint64_t)copied);
		count -= (uint64_t)copied;
	}
	return CHAIN_OK;
}

enum chain_status bake_out_flush(struct bake_out *out, struct chain_error *err)
{
	enum chain_status status = CHAIN_OK;
	uint64_t data;

	reach(out, out->copy.to + out->copy.count);
	while (!status && out->copy.count > 0) {
		status = hole_skip(out, &data, err);
		if (!status)
			status = data_copy(out, data, err);
	}
	return status;
}

enum chain_status bake_out_copy(struct bake_out *out, const char *name, int fd, uint64_t from, uint64_t to,
				uint64_t count, struct chain_error *err)
{
	struct bake_copy *copy = &out->copy;

	if (copy->count > 0 && copy->fd == fd && copy->from + copy->count == from && copy->to + copy->count == to) {
		copy->count += count;
		return CHAIN_OK;
	}
	const enum chain_status status = bake_out_flush(out, err);

	*copy = (struct bake_copy){ name, fd, from, to, count };
	return status;
}

/* Zeros at the end were not written. */
enum chain_status bake_out_finish(struct bake_out *out, struct chain_error *err)
{
	enum chain_status status = bake_out_flush(out, err);

	while (!status && ftruncate(out->fd, (off_t)out->bytes) < 0)
		if (errno != EINTR)
			status = io(out->path, errno, err);
	return status;
}

enum chain_status bake_out_commit(struct bake_out *out, int *out_fd, struct chain_error *err)
{
	if (out->shows)
		cmd_progress_end(&out->progress);
	out->fd = -1;
	return cmd_out_commit(&out->file, out_fd, err);
}

void bake_out_drop(struct bake_out *out)
{
	if (out->fd < 0)
		return;
	if (out->shows)
		cmd_progress_end(&out->progress);
	out->fd = -1;
	cmd_out_drop(&out->file);
}
