/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "results.h"

#include "lines.h"

#include "chain/cmd/cmd.h"
#include "chain/json.h"
#include "chain/json_memory.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SYNC_US = 500000, WRITE_FROM = 256 << 10 };

static enum chain_status io(const struct results *results, struct chain_error *err)
{
	return chain_fail_text(err, CHAIN_E_IO, results->path, strerror(errno));
}

/* --- opening --- */

/* A file system's folder entry is a matter of its own. */
static void sync_folder(const char *path)
{
	char *copy = strdup(path);
	int fd = copy ? open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	if (fd >= 0) {
		fsync(fd);
		close(fd);
	}
	free(copy);
}

static enum chain_status open_locked(struct results *results, const char *path, int how, uint64_t total,
				     struct chain_error *err)
{
	struct stat about;
	*results = (struct results){ .path = path, .total = total, .fd = open(path, how | O_RDWR | O_CLOEXEC, 0666) };
	if (results->fd < 0)
		return errno == EEXIST ? chain_fail_subject(err, CHAIN_E_SWEEP_EXISTS, path) : io(results, err);
	if (fstat(results->fd, &about) == 0 && !S_ISREG(about.st_mode))
		return chain_fail_text(err, CHAIN_E_IO, path, "it is no regular file");
	if (flock(results->fd, LOCK_EX | LOCK_NB) < 0)
		return errno == EWOULDBLOCK ? chain_fail_subject(err, CHAIN_E_SWEEP_BUSY, path) : io(results, err);
	results->done = calloc(1, total / 8 + 1);
	return results->done ? CHAIN_OK : chain_fail_no_memory(err, path, total / 8 + 1);
}

static enum chain_status put(struct results *results, const char *text, size_t bytes, struct chain_error *err)
{
	if (results->room - results->used < bytes + 1) {
		size_t room = 2 * (results->used + bytes + 1);
		char *grown = realloc(results->buf, room);
		if (!grown)
			return chain_fail_no_memory(err, results->path, room);
		results->buf = grown;
		results->room = room;
	}
	memcpy(results->buf + results->used, text, bytes);
	results->used += bytes;
	results->buf[results->used++] = '\n';
	return CHAIN_OK;
}

static enum chain_status begin(struct results *results, const json_t *header, struct chain_error *err)
{
	char *text = cmd_json_text(header, JSON_COMPACT);
	enum chain_status status =
		text ? put(results, text, strlen(text), err) : chain_json_no_memory(err, results->path);
	free(text);
	if (!status)
		status = results_sync(results, UINT64_MAX, err);
	sync_folder(results->path);
	return status;
}

enum chain_status results_create(struct results *results, const char *path, const json_t *header, uint64_t total,
				 struct chain_error *err)
{
	enum chain_status status = open_locked(results, path, O_CREAT | O_EXCL, total, err);
	if (!status)
		status = begin(results, header, err);
	if (status)
		results_close(results);
	return status;
}

/* --- going on --- */

static enum chain_status check_header(struct lines *lines, const json_t *header, const char *text, size_t bytes,
				      struct chain_error *err)
{
	json_t *was = NULL;
	char differs[CHAIN_SUBJECT_BYTES];
	enum chain_status status = chain_json_any(text, bytes, CHAIN_JSON_DEPTH_MAX, lines->path, &was, NULL);
	const char *why = status == CHAIN_E_NO_MEMORY ? NULL : status ? "no JSON" : results_header_check(was);
	if (why)
		status = chain_fail_text(err, CHAIN_E_SWEEP_HEADER, lines->path, why);
	else if (status)
		status = chain_json_no_memory(err, lines->path);
	else if (results_header_differs(was, header, differs, sizeof(differs)))
		status = chain_fail_text(err, CHAIN_E_SWEEP_DIFFERS, lines->path, differs);
	json_decref(was);
	return status;
}

static enum chain_status check_result(struct results *results, const struct lines *lines, const char *text,
				      size_t bytes, struct chain_error *err)
{
	struct outcome outcome;
	const char *why;
	enum chain_status status = outcome_parse(text, bytes, &outcome, &why);
	if (!status && outcome.index >= results->total)
		why = "an index that is not in the sweep";
	if (why)
		status = CHAIN_FAIL(err, SWEEP_LINE, .subject = lines->path, .line = lines->line, .detail = why);
	else if (status)
		status = chain_json_no_memory(err, lines->path);
	else if (!results_lacks(results, outcome.index))
		status = CHAIN_FAIL(err, SWEEP_TWICE, .subject = lines->path, .line = lines->line,
				    .index = outcome.index);
	if (!status) {
		results->done[outcome.index / 8] |= (uint8_t)(1u << outcome.index % 8);
		results->done_count++;
		results->counts[outcome.status]++;
	}
	outcome_free(&outcome);
	return status;
}

static enum chain_status read_lines(struct results *results, const json_t *header, struct chain_error *err)
{
	struct lines lines;
	const char *text;
	size_t bytes;
	enum chain_status status = lines_open(&lines, results->fd, results->path, err);
	while (!status) {
		status = lines_next(&lines, &text, &bytes, err);
		if (status || !text || !lines.whole) /* cut: it was not finished when its sweep ended */
			break;
		status = lines.line == 1 ? check_header(&lines, header, text, bytes, err) :
					   check_result(results, &lines, text, bytes, err);
		results->bytes = lines.line_end;
	}
	lines_close(&lines);
	return status;
}

enum chain_status results_resume(struct results *results, const char *path, const json_t *header, uint64_t total,
				 struct chain_error *err)
{
	enum chain_status status = open_locked(results, path, O_CREAT, total, err);
	if (!status)
		status = read_lines(results, header, err);
	if (!status && ftruncate(results->fd, (off_t)results->bytes) < 0)
		status = io(results, err);
	if (!status && !results->bytes)
		status = begin(results, header, err);
	if (status)
		results_close(results);
	return status;
}

void results_close(struct results *results)
{
	if (results->fd >= 0)
		close(results->fd);
	free(results->buf);
	free(results->done);
	*results = (struct results){ .fd = -1 };
}

/* --- adding --- */

bool results_lacks(const struct results *results, uint64_t index)
{
	return index < results->total && !(results->done[index / 8] & 1u << index % 8);
}

enum chain_status results_add(struct results *results, const struct outcome *outcome, struct chain_error *err)
{
	if (!results_lacks(results, outcome->index))
		return CHAIN_OK;
	char *text = outcome_text(outcome);
	enum chain_status status =
		text ? put(results, text, strlen(text), err) : chain_json_no_memory(err, results->path);
	free(text);
	if (status)
		return status;
	results->done[outcome->index / 8] |= (uint8_t)(1u << outcome->index % 8);
	results->counts[outcome->status]++;
	results->unsynced++;
	return CHAIN_OK;
}

/* After a failure nothing of a line is left behind the last whole one; what was not written stays to be written. */
static enum chain_status write_out(struct results *results, struct chain_error *err)
{
	size_t at = 0;
	while (at < results->used) {
		ssize_t got = pwrite(results->fd, results->buf + at, results->used - at, (off_t)(results->bytes + at));
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0) {
			enum chain_status status = io(results, err);
			const char *end = memrchr(results->buf, '\n', at);
			const size_t whole = end ? (size_t)(end - results->buf) + 1 : 0;
			results->bytes += whole;
			results->used = 0;
			return ftruncate(results->fd, (off_t)results->bytes) < 0 ? io(results, err) : status;
		}
		at += (size_t)got;
	}
	results->bytes += results->used;
	results->used = 0;
	return CHAIN_OK;
}

enum chain_status results_sync(struct results *results, uint64_t now, struct chain_error *err)
{
	enum chain_status status = CHAIN_OK;
	if (results->unsynced && !results->unsynced_at)
		results->unsynced_at = now;
	const bool due = now == UINT64_MAX || (results->unsynced && now - results->unsynced_at >= SYNC_US);
	if (due || results->used >= WRITE_FROM)
		status = write_out(results, err);
	if (status || !due)
		return status;
	if (fdatasync(results->fd) < 0)
		return io(results, err);
	results->done_count += results->unsynced;
	results->unsynced = results->unsynced_at = 0;
	return CHAIN_OK;
}

int results_wait_ms(const struct results *results, uint64_t now)
{
	if (!results->unsynced)
		return -1;
	const uint64_t spent = results->unsynced_at ? now - results->unsynced_at : 0;
	return spent >= SYNC_US ? 0 : (int)((SYNC_US - spent) / 1000) + 1;
}
