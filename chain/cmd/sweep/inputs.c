/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "inputs.h"

#include "chain/cmd/cmd.h"
#include "chain/handoff.h"
#include "chain/json.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* An input lies in the handoff, its state, and in a block in a list and an object. */
enum { DEPTH_MAX = CHAIN_JSON_DEPTH_MAX - 4 };
enum { INPUT_MAX = CHAIN_HANDOFF_MAX_BYTES - JOB_INPUT_MORE - JOB_HANDOFF_MORE };

static enum chain_status bad_line(const struct lines *lines, const char *why, struct chain_error *err)
{
	return CHAIN_FAIL(err, SWEEP_INPUT, .subject = lines->path, .line = lines->line, .detail = why);
}

static enum chain_status check_line(const struct lines *lines, const char *text, size_t bytes, struct chain_error *err)
{
	struct chain_error why = { 0 };
	char words[CHAIN_SUBJECT_BYTES];
	json_t *value = NULL;
	if (!bytes)
		return bad_line(lines, "it is empty", err);
	if (bytes > INPUT_MAX) {
		snprintf(words, sizeof(words), "%zu bytes; a handoff has room for %d", bytes, INPUT_MAX);
		return bad_line(lines, words, err);
	}
	enum chain_status status = chain_json_any(text, bytes, DEPTH_MAX, "it", &value, &why);
	json_decref(value);
	if (status == CHAIN_E_NO_MEMORY)
		return chain_fail_again(err, &why, lines->path);
	if (!status)
		return CHAIN_OK;
	chain_error_format(&why, words, sizeof(words));
	return bad_line(lines, words, err);
}

static enum chain_status check_all(struct inputs *inputs, struct chain_error *err)
{
	struct chain_sha256 hash;
	const char *text;
	size_t bytes;
	enum chain_status status = lines_open(&inputs->lines, inputs->fd, inputs->path, err);
	chain_sha256_init(&hash);
	while (!status) {
		status = lines_next(&inputs->lines, &text, &bytes, err);
		if (status || !text)
			break;
		status = check_line(&inputs->lines, text, bytes, err);
		chain_sha256_update(&hash, text, bytes);
		chain_sha256_update(&hash, "\n", 1);
	}
	inputs->line_count = inputs->lines.line;
	chain_sha256_final(&hash, inputs->digest);
	lines_close(&inputs->lines);
	return !status && !inputs->line_count ? chain_fail_subject(err, CHAIN_E_SWEEP_NO_INPUTS, inputs->path) : status;
}

/* What can be read once only is copied, so that it can be dealt out after it was checked. */
static enum chain_status copy(int from, const char *path, int *out_fd, struct chain_error *err)
{
	char bytes[65536];
	ssize_t got = 1;
	*out_fd = memfd_create("kchain-inputs", MFD_CLOEXEC);
	while (*out_fd >= 0 && got > 0) {
		got = read(from, bytes, sizeof(bytes));
		if (got < 0 && errno == EINTR)
			got = 1;
		else if (got > 0 && write(*out_fd, bytes, (size_t)got) != got)
			got = -1;
	}
	return *out_fd >= 0 && got == 0 ? CHAIN_OK : chain_fail_text(err, CHAIN_E_IO, path, strerror(errno));
}

static enum chain_status open_file(struct inputs *inputs, struct chain_error *err)
{
	struct stat about;
	const bool standard = strcmp(inputs->path, "-") == 0;
	int fd = standard ? STDIN_FILENO : open(inputs->path, O_RDONLY | O_CLOEXEC);
	if (standard)
		inputs->path = "standard input";
	if (fd < 0 || fstat(fd, &about) < 0)
		return chain_fail_text(err, CHAIN_E_IO, inputs->path, strerror(errno));
	if (S_ISREG(about.st_mode) && !standard) {
		inputs->fd = fd;
		cmd_file_note_input(inputs->path);
		return CHAIN_OK;
	}
	enum chain_status status = copy(fd, inputs->path, &inputs->fd, err);
	if (!standard)
		close(fd);
	return status;
}

static enum chain_status check_count(const struct inputs *inputs, struct chain_error *err)
{
	uint64_t all;
	if (!__builtin_mul_overflow(inputs->line_count, inputs->repeat, &all) && all <= INPUTS_INSTANCES_MAX)
		return CHAIN_OK;
	return CHAIN_FAIL(err, LIMIT, .subject = "the sweep", .detail = "inputs, each run that often,",
			  .value = inputs->line_count, .limit = INPUTS_INSTANCES_MAX / inputs->repeat);
}

/* Deals anew from the first. */
static enum chain_status rewind_to_first(struct inputs *inputs, struct chain_error *err)
{
	lines_close(&inputs->lines);
	inputs->next = 0;
	return inputs->path ? lines_open(&inputs->lines, inputs->fd, inputs->path, err) : CHAIN_OK;
}

enum chain_status inputs_open(struct inputs *inputs, const char *path, uint64_t count, uint64_t repeat, uint64_t seed,
			      struct chain_error *err)
{
	*inputs = (struct inputs){ .path = path, .fd = -1, .repeat = repeat, .seed = seed, .line_count = count };
	enum chain_status status = path ? open_file(inputs, err) : CHAIN_OK;
	if (!status && path)
		status = check_all(inputs, err);
	if (!status)
		status = check_count(inputs, err);
	if (!status)
		status = rewind_to_first(inputs, err);
	if (status)
		inputs_close(inputs);
	return status;
}

void inputs_close(struct inputs *inputs)
{
	lines_close(&inputs->lines);
	if (inputs->fd >= 0)
		close(inputs->fd);
	inputs->fd = -1;
}

uint64_t inputs_instances(const struct inputs *inputs)
{
	return inputs->line_count * inputs->repeat;
}

enum chain_status inputs_next(struct inputs *inputs, struct job_input *out, bool *out_more, struct chain_error *err)
{
	const uint64_t index = inputs->next, repeat = index % inputs->repeat;
	*out_more = index < inputs_instances(inputs);
	if (!*out_more)
		return CHAIN_OK;
	if (inputs->path && repeat == 0) {
		struct chain_error why = { 0 };
		enum chain_status status = lines_next(&inputs->lines, &inputs->text, &inputs->bytes, &why);
		if (!status && inputs->text)
			status = check_line(&inputs->lines, inputs->text, inputs->bytes, &why);
		if (status || !inputs->text)
			return chain_fail_text(err, CHAIN_E_FILE_CHANGED, inputs->path,
					       "its lines are not those that were checked");
	}
	inputs->next++;
	*out = (struct job_input){ .index = index,
				   .repeat = repeat,
				   .seed = job_seed(inputs->seed, index),
				   .text = inputs->text,
				   .bytes = inputs->bytes };
	return CHAIN_OK;
}

enum chain_status inputs_check_blocks(struct inputs *inputs, uint64_t per_instance, struct chain_error *err)
{
	struct job_input input;
	uint64_t bytes = JOB_HANDOFF_MORE, count = 0;
	bool more = true;
	enum chain_status status = CHAIN_OK;
	while (!status && more) {
		status = inputs_next(inputs, &input, &more, err);
		if (status || !more)
			break;
		bytes += input.bytes + JOB_INPUT_MORE;
		if (bytes > CHAIN_HANDOFF_MAX_BYTES)
			status = CHAIN_FAIL(err, SWEEP_BLOCK, .subject = inputs->path ? inputs->path : "--count",
					    .line = inputs->path ? inputs->lines.line : input.index + 1, .bytes = bytes,
					    .limit = CHAIN_HANDOFF_MAX_BYTES);
		if (++count == per_instance) {
			bytes = JOB_HANDOFF_MORE;
			count = 0;
		}
	}
	return status ? status : rewind_to_first(inputs, err);
}
