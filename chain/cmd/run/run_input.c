/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "run_input.h"
#include "chain/cmd/image_file.h"

#include "chain/config.h"
#include "chain/json.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static enum chain_status io(const char *path, struct chain_error *err)
{
	return chain_fail_text(err, CHAIN_E_IO, path, strerror(errno));
}

/* A pipeline is text that begins with a brace, or says by its name that it means to be one. */
static bool is_pipeline(const char *path, const struct cmd_file *file)
{
	size_t at = 0, name = strlen(path);
	while (at < file->bytes_count && at < 4096 && strchr(" \t\r\n", file->bytes[at]) && file->bytes[at])
		at++;
	if (at < file->bytes_count && file->bytes[at] == '{')
		return true;
	return name > 5 && strcmp(path + name - 5, ".json") == 0;
}

/* What the pipeline inside asks of the machine: a network device only where it names one. */
static void read_requests(struct run_input *input)
{
	const uint8_t *text;
	uint64_t count;
	const struct chain_image_header *header = &input->image.header;
	input->memory_bytes = header->base + header->fs_offset + header->fs_memory_bytes;
	if (chain_image_file(&input->image, CHAIN_FS_PIPELINE, &text, &count, NULL, NULL))
		return;
	json_t *pipeline;
	if (chain_json_load((const char *)text, count, CHAIN_CONFIG_MAX_BYTES, "", &pipeline, NULL))
		return; /* the stage will say what is wrong with it */
	input->wants_net = json_object_size(json_object_get(pipeline, "net")) > 0;
	json_decref(pipeline);
}

/* Where it wants to lie, as its loader sees it. */
static enum chain_status read_kernel(const char *path, struct run_input *out, struct chain_error *err)
{
	const struct chain_door *door = chain_kernel_door(out->kind, out->file.bytes, out->file.bytes_count);
	enum chain_status status =
		door ? door->read(out->file.bytes, out->file.bytes_count, path, &out->kernel, err) : CHAIN_OK;
	for (size_t i = 0; !status && i < out->kernel.segment_count && !out->kernel.movable; i++)
		if (out->kernel.segments[i].phys.end > out->memory_bytes)
			out->memory_bytes = out->kernel.segments[i].phys.end;
	return status;
}

static enum chain_status look(const char *path, struct run_input *out, struct chain_error *err)
{
	enum chain_status status = chain_kernel_probe(out->file.bytes, out->file.bytes_count, path, &out->kind, err);
	if (!status)
		status = read_kernel(path, out, err);
	if (status || out->kind != CHAIN_KERNEL_IMAGE)
		return status;
	struct image_check check = { .file = &out->file };
	cmd_progress_start(&check.progress, "checked");
	status = chain_image_open(&out->image, out->file.bytes, out->file.bytes_count, err);
	if (!status)
		status = image_file_verify(&check, &out->image, err);
	cmd_progress_end(&check.progress);
	if (status)
		cmd_error_in_file(err, path);
	else
		read_requests(out);
	return status;
}

static enum chain_status map(const char *path, struct run_input *out, struct chain_error *err)
{
	enum chain_status status = cmd_file_load_fd(out->fd, path, 0, &out->file, err);
	if (!status)
		status = look(path, out, err);
	enum chain_status whole = cmd_file_check(&out->file, path, err);
	return whole ? whole : status;
}

static enum chain_status open_any(const char *path, const char *format, struct run_input *out, struct chain_error *err)
{
	struct stat about;
	struct cmd_file file = { 0 };
	if (stat(path, &about) < 0)
		return io(path, err);
	bool pipeline = S_ISDIR(about.st_mode);
	if (!pipeline) {
		enum chain_status status = cmd_file_load(path, 0, &file, err);
		if (status)
			return status;
		pipeline = is_pipeline(path, &file);
		cmd_file_free(&file);
	}
	if (pipeline) {
		enum chain_status status = cmd_bake_unnamed(path, format, &out->fd, &out->document, err);
		out->baked = !status;
		return status ? status : map(path, out, err);
	}
	out->fd = open(path, O_RDONLY | O_CLOEXEC);
	return out->fd < 0 ? io(path, err) : map(path, out, err);
}

/* All but the document. */
static void forget(struct run_input *input)
{
	cmd_file_free(&input->file);
	if (input->fd >= 0)
		close(input->fd);
	*input = (struct run_input){ .fd = -1, .document = input->document };
}

enum chain_status run_input_open(const char *path, const char *format, struct run_input *out, struct chain_error *err)
{
	*out = (struct run_input){ .fd = -1 };
	enum chain_status status = open_any(path, format, out, err);
	if (status)
		forget(out);
	return status;
}

void run_input_close(struct run_input *input)
{
	cmd_document_close(&input->document);
	forget(input);
}
