/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "system.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum chain_status init_fail(struct chain_error *err, const char *subject)
{
	return chain_fail_text(err, CHAIN_E_IO, subject, strerror(errno));
}

enum chain_status init_read(const char *path, uint64_t max_bytes, char **out, uint64_t *out_bytes,
			    struct chain_error *err)
{
	enum chain_status status = CHAIN_OK;
	uint64_t room = 4096, used = 0;
	char *text = malloc(room);
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		status = init_fail(err, path);
	while (!status && text) {
		ssize_t count = read(fd, text + used, room - used - 1);
		if (count < 0)
			status = init_fail(err, path);
		if (count <= 0)
			break;
		used += (uint64_t)count;
		if (used > max_bytes)
			status = CHAIN_FAIL(err, LIMIT, .subject = path, .detail = "bytes or more", .value = used,
					    .limit = max_bytes);
		char *more = used + 1 < room ? text : realloc(text, room * 2);
		if (!more) {
			free(text);
			text = NULL;
		} else if (more != text || used + 1 >= room) {
			text = more;
			room *= 2;
		}
	}
	if (!text && !status)
		status = chain_fail_no_memory(err, path, room);
	if (fd >= 0)
		close(fd);
	if (status) {
		free(text);
		return status;
	}
	text[used] = '\0';
	*out = text;
	*out_bytes = used;
	return CHAIN_OK;
}

enum chain_status init_write_file(const char *path, const char *text, size_t bytes, unsigned mode,
				  struct chain_error *err)
{
	/* What is there may be a link to somewhere else. */
	if (unlink(path) && errno != ENOENT)
		return init_fail(err, path);
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
	if (fd < 0)
		return init_fail(err, path);
	bool failed = fchmod(fd, mode) != 0;
	for (size_t done = 0; done < bytes && !failed;) {
		ssize_t count = write(fd, text + done, bytes - done);
		failed = count < 0;
		done += failed ? 0 : (size_t)count;
	}
	enum chain_status status = failed ? init_fail(err, path) : CHAIN_OK;
	close(fd);
	return status;
}
