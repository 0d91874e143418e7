/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: the file without a name that unpacked bytes go to. Many files are small, so they are written together. */

#include "chain/cmd/cmd_out.h"
#include "tar_read.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PIECE = 1 << 18, BLOCK = 4096 };

static enum chain_status io(const struct tar_spool *spool, int number, struct chain_error *err)
{
	char subject[2 * CHAIN_SUBJECT_BYTES];

	(void)snprintf(subject, sizeof(subject), "a file in %s", spool->folder);
	return chain_fail_text(err, CHAIN_E_IO, subject, strerror(number));
}

void tar_spool_init(struct tar_spool *spool, const char *folder)
{
	*spool = (struct tar_spool){ .folder = folder, .fd = -1, .least = TAR_UNPACKED_BYTES };
}

void tar_spool_close(struct tar_spool *spool)
{
	free(spool->piece);
	if (spool->fd >= 0)
		(void)close(spool->fd);
	*spool = (struct tar_spool){ .fd = -1 };
}

uint64_t tar_spool_limit(const struct tar_spool *spool)
{
	uint64_t limit;

	if (__builtin_mul_overflow(spool->packed, (uint64_t)TAR_UNPACKED_FACTOR, &limit))
		limit = UINT64_MAX;
	return limit > spool->least ? limit : spool->least;
}

static enum chain_status make(struct tar_spool *spool, struct chain_error *err)
{
	struct cmd_out file;

	spool->piece = malloc(PIECE);
	if (!spool->piece)
		return chain_fail_no_memory(err, spool->folder, PIECE);
	const enum chain_status status = cmd_out_open_unnamed(&file, spool->folder, err);

	return status ? status : cmd_out_commit(&file, &spool->fd, err);
}

enum chain_status tar_spool_take(struct tar_spool *spool, uint64_t bytes, uint64_t *out_at, struct chain_error *err)
{
	const enum chain_status status = spool->fd < 0 ? make(spool, err) : CHAIN_OK;

	*out_at = spool->bytes;
	if (status)
		return status;
	if (bytes > INT64_MAX || spool->bytes > INT64_MAX - bytes)
		return io(spool, EFBIG, err);
	spool->bytes += bytes;
	return CHAIN_OK;
}

static bool is_zero(const uint8_t *bytes, size_t count)
{
	return bytes[0] == 0 && memcmp(bytes, bytes + 1, count - 1) == 0;
}

static enum chain_status piece_write(struct tar_spool *spool, struct chain_error *err)
{
	const uint8_t *at = spool->piece;
	size_t left = spool->piece_bytes;

	while (left > 0) {
		size_t count = 0;
		ssize_t put;

		while (count < left && !(left - count >= BLOCK && is_zero(at + count, BLOCK)))
			count += left - count < BLOCK ? left - count : BLOCK;
		put = count > 0 ? pwrite(spool->fd, at, count, (off_t)spool->piece_at) : BLOCK;
		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0)
			return io(spool, errno, err);
		at += put;
		left -= (size_t)put;
		spool->piece_at += (uint64_t)put;
	}
	spool->piece_bytes = 0;
	return CHAIN_OK;
}

enum chain_status tar_spool_write(struct tar_spool *spool, uint64_t at, const void *bytes, size_t count,
				  struct chain_error *err)
{
	enum chain_status status = CHAIN_OK;
	const uint8_t *from = bytes;

	if (spool->piece_bytes > 0 && at != spool->piece_at + spool->piece_bytes)
		status = piece_write(spool, err);
	if (spool->piece_bytes == 0)
		spool->piece_at = at;
	while (!status && count > 0) {
		const size_t room = PIECE - spool->piece_bytes, some = count < room ? count : room;

		memcpy(spool->piece + spool->piece_bytes, from, some);
		spool->piece_bytes += some;
		from += some;
		count -= some;
		if (spool->piece_bytes == PIECE)
			status = piece_write(spool, err);
	}
	return status;
}

enum chain_status tar_spool_flush(struct tar_spool *spool, struct chain_error *err)
{
	if (spool->fd < 0)
		return CHAIN_OK;
	const enum chain_status status = piece_write(spool, err);

	if (!status && ftruncate(spool->fd, (off_t)spool->bytes) < 0)
		return io(spool, errno, err);
	return status;
}
