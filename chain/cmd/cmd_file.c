/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: whole files in and out. */

#include "cmd.h"
#include "chain/json_memory.h"
#include "cmd_map.h"
#include "cmd_out.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static enum chain_status io(const char *path, int number, struct chain_error *err)
{
	return chain_fail_text(err, CHAIN_E_IO, path, strerror(number));
}

static enum chain_status too_large(const char *path, uint64_t bytes, uint64_t limit, struct chain_error *err)
{
	return CHAIN_FAIL(err, LIMIT, .subject = path, .detail = "bytes", .value = bytes, .limit = limit);
}

/* Pipes and devices have no size beforehand: read until the end. */
static enum chain_status read_all(const char *path, int fd, uint64_t limit, struct cmd_file *out,
				  struct chain_error *err)
{
	size_t room = 65536, used = 0;
	uint8_t *bytes = malloc(room);
	while (bytes) {
		ssize_t got = read(fd, bytes + used, room - used);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0) {
			int number = errno;
			free(bytes);
			return io(path, number, err);
		}
		used += (size_t)got;
		if (limit && used > limit) {
			free(bytes);
			return too_large(path, used, limit, err);
		}
		if (got == 0) {
			*out = (struct cmd_file){ .bytes = bytes, .bytes_count = used };
			return CHAIN_OK;
		}
		if (used < room)
			continue;
		uint8_t *grown = room > SIZE_MAX / 2 ? NULL : realloc(bytes, room * 2);
		if (!grown)
			free(bytes);
		bytes = grown;
		room *= 2;
	}
	return chain_fail_no_memory(err, path, room);
}

/* A regular file of this size. */
static enum chain_status read_exactly(const char *path, int fd, size_t count, struct cmd_file *out,
				      struct chain_error *err)
{
	uint8_t *bytes = malloc(count);
	size_t used = 0;
	if (!bytes)
		return chain_fail_no_memory(err, path, count);
	while (used < count) {
		ssize_t got = pread(fd, bytes + used, count - used, (off_t)used);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0) {
			enum chain_status status =
				got < 0 ? io(path, errno, err) :
					  chain_fail_text(err, CHAIN_E_FILE_CHANGED, path, "it became shorter");
			free(bytes);
			return status;
		}
		used += (size_t)got;
	}
	*out = (struct cmd_file){ .bytes = bytes, .bytes_count = count };
	return CHAIN_OK;
}

/* Files that this process has read, the first ones: what it writes is not to take their place. */
enum { INPUTS_MAX = 64 };
static struct input {
	dev_t dev;
	ino_t ino;
} inputs[INPUTS_MAX];
static size_t input_count;

static void input_note(const struct stat *about)
{
	if (input_count < INPUTS_MAX)
		inputs[input_count++] = (struct input){ about->st_dev, about->st_ino };
}

static bool is_input(const struct stat *about)
{
	for (size_t i = 0; i < input_count; i++)
		if (inputs[i].dev == about->st_dev && inputs[i].ino == about->st_ino)
			return true;
	return false;
}

void cmd_file_note_input(const char *path)
{
	struct stat about;
	if (stat(path, &about) == 0)
		input_note(&about);
}

enum { MAPPED_FROM = 1 << 20 }; /* smaller ones are as quickly read */

enum chain_status cmd_file_load_fd(int fd, const char *path, uint64_t limit, struct cmd_file *out,
				   struct chain_error *err)
{
	struct stat about;
	*out = (struct cmd_file){ 0 };
	if (fstat(fd, &about) < 0)
		return io(path, errno, err);
	if (S_ISDIR(about.st_mode))
		return io(path, EISDIR, err);
	if (!S_ISREG(about.st_mode) || about.st_size == 0)
		return read_all(path, fd, limit, out, err);
	uint64_t count = (uint64_t)about.st_size;
	input_note(&about);
	if (limit && count > limit)
		return too_large(path, count, limit, err);
	if (limit || count < MAPPED_FROM)
		return read_exactly(path, fd, count, out, err);
	enum chain_status status = cmd_map_open(path, fd, count, &out->map, err);
	if (!status)
		*out = (struct cmd_file){ .bytes = cmd_map_bytes(out->map), .bytes_count = count, .map = out->map };
	return status;
}

enum chain_status cmd_file_load(const char *path, uint64_t limit_bytes, struct cmd_file *out, struct chain_error *err)
{
	if (strcmp(path, "-") == 0)
		return cmd_file_load_fd(STDIN_FILENO, "standard input", limit_bytes, out, err);
	*out = (struct cmd_file){ 0 };
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return io(path, errno, err);
	enum chain_status status = cmd_file_load_fd(fd, path, limit_bytes, out, err);
	close(fd);
	return status;
}

enum chain_status cmd_file_check(const struct cmd_file *file, const char *path, struct chain_error *err)
{
	return file->map ? cmd_map_check(file->map, path, err) : CHAIN_OK;
}

void cmd_file_forget(const struct cmd_file *file)
{
	if (file->map)
		cmd_map_forget(file->map);
}

void cmd_file_free(struct cmd_file *file)
{
	if (file->map)
		cmd_map_close(file->map);
	else
		free((void *)(uintptr_t)file->bytes);
	*file = (struct cmd_file){ 0 };
}

/* Zero or the error's number. */
static int write_all(int fd, const void *bytes, size_t count)
{
	const char *at = bytes;
	while (count) {
		ssize_t put = write(fd, at, count);
		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0)
			return errno;
		at += put;
		count -= (size_t)put;
	}
	return 0;
}

static enum chain_status write_direct(const char *path, const void *bytes, size_t count, struct chain_error *err)
{
	bool standard = strcmp(path, "-") == 0;
	int fd = standard ? STDOUT_FILENO : open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return io(path, errno, err);
	fflush(stdout);
	int number = write_all(fd, bytes, count);
	if (!standard && close(fd) < 0 && !number)
		number = errno;
	return number ? io(path, number, err) : CHAIN_OK;
}

static enum chain_status write_whole(const char *path, const void *bytes, size_t count, struct chain_error *err)
{
	struct cmd_out out;
	enum chain_status status = cmd_out_open(&out, path, err);
	if (status)
		return status;
	int number = write_all(out.fd, bytes, count);
	if (!number)
		return cmd_out_commit(&out, NULL, err);
	cmd_out_drop(&out);
	return io(path, number, err);
}

enum chain_status cmd_file_check_writable(const char *path, struct chain_error *err)
{
	struct stat about;
	const char *slash = strrchr(path, '/');
	const bool there = stat(path, &about) == 0;
	if (strcmp(path, "-") == 0)
		return CHAIN_OK;
	if (there && S_ISDIR(about.st_mode))
		return io(path, EISDIR, err);
	if (there && !S_ISREG(about.st_mode))
		return access(path, W_OK) == 0 ? CHAIN_OK : io(path, errno, err);
	if (there && is_input(&about))
		return chain_fail_text(err, CHAIN_E_OVER_INPUT, path, "which is read here");
	char *folder = slash ? strndup(path, slash == path ? 1 : (size_t)(slash - path)) : strdup(".");
	if (!folder)
		return chain_fail_no_memory(err, path, strlen(path) + 1);
	const int number = access(folder, W_OK | X_OK) < 0                      ? errno :
			   stat(folder, &about) == 0 && !S_ISDIR(about.st_mode) ? ENOTDIR :
										  0;
	free(folder);
	return number ? io(path, number, err) : CHAIN_OK;
}

enum chain_status cmd_file_write(const char *path, const void *bytes, size_t count, struct chain_error *err)
{
	struct stat about;
	if (strcmp(path, "-") == 0 || (stat(path, &about) == 0 && !S_ISREG(about.st_mode)))
		return write_direct(path, bytes, count, err);
	return write_whole(path, bytes, count, err);
}

enum chain_status cmd_file_write_json(const char *path, const json_t *doc, struct chain_error *err)
{
	char *text = cmd_json_text(doc, JSON_INDENT(2));
	if (!text)
		return chain_json_no_memory(err, path);
	size_t count = strlen(text);
	text[count++] = '\n'; /* in place of the terminator */
	enum chain_status status = cmd_file_write(path, text, count, err);
	free(text);
	return status;
}

bool cmd_cache_path(const char *name, char *out, size_t size)
{
	const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
	const bool own = cache && *cache == '/';
	if (!own && !(home && *home == '/'))
		return false;
	const int parent = snprintf(out, size, "%s%s", own ? cache : home, own ? "" : "/.cache");
	if (parent < 0 || (size_t)parent + strlen("/kchain/") + strlen(name) >= size) {
		*out = '\0';
		return false;
	}
	mkdir(out, 0777);
	strcat(out, "/kchain");
	mkdir(out, 0777);
	strcat(out, "/");
	strcat(out, name);
	return true;
}
