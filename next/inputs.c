/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "inputs.h"

#include "chain/door.h"
#include "chain/handoff.h"
#include "chain/json.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define OWN_HANDOFF "/run/kchain/handoff.json"
#define OWN_RESULT  "/run/kchain/result.json"
enum { RESULT_MAX_BYTES = 1024 * 1024 };

static enum chain_status failed(struct chain_error *err, const char *subject, int number)
{
	return CHAIN_FAIL(err, IO, .subject = subject, .detail = strerror(number));
}

/* --- files --- */

static enum chain_status map(const char *path, int fd, struct next_file *out, struct chain_error *err)
{
	struct stat about;
	if (fstat(fd, &about))
		return failed(err, path, errno);
	if (!S_ISREG(about.st_mode))
		return failed(err, path, S_ISDIR(about.st_mode) ? EISDIR : EINVAL);
	*out = (struct next_file){ .count = (uint64_t)about.st_size };
	if (!out->count)
		return CHAIN_OK;
	void *bytes = mmap(NULL, out->count, PROT_READ, MAP_PRIVATE, fd, 0);
	if (bytes == MAP_FAILED)
		return failed(err, path, errno);
	out->bytes = bytes;
	return CHAIN_OK;
}

static enum chain_status load(const char *path, struct next_file *out, struct chain_error *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return failed(err, path, errno);
	enum chain_status status = map(path, fd, out, err);
	close(fd);
	return status;
}

/* --- documents --- */

/* `usual` is read where it is there and nothing else was named. */
static enum chain_status text_of(const char *named, const char *usual, struct next_file *out, const char **out_path,
				 struct chain_error *err)
{
	*out = (struct next_file){ .count = 0 };
	*out_path = named ? named : usual;
	if (!named && (!usual || access(usual, F_OK)))
		*out_path = NULL;
	return *out_path ? load(*out_path, out, err) : CHAIN_OK;
}

static const char *text(const struct next_file *file)
{
	return file->bytes ? (const char *)file->bytes : "";
}

static enum chain_status read_documents(const struct next_options *options, struct next_inputs *out,
					struct chain_error *err)
{
	struct next_file file;
	const char *path;
	enum chain_status status = text_of(options->handoff, OWN_HANDOFF, &file, &path, err);
	if (!status && path)
		status = chain_handoff_parse(text(&file), file.count, &out->parent, err);
	if (!status)
		status = text_of(options->result, OWN_RESULT, &file, &path, err);
	if (!status && path)
		status = file.count > RESULT_MAX_BYTES ? CHAIN_FAIL(err, LIMIT, .subject = path, .detail = "bytes",
								    .value = file.count, .limit = RESULT_MAX_BYTES) :
							 chain_json_any(text(&file), file.count, CHAIN_RESULT_DEPTH_MAX,
									path, &out->result, err);
	if (!status)
		status = text_of(options->state, NULL, &file, &path, err);
	if (!status && path)
		status = chain_json_load(text(&file), file.count, CHAIN_HANDOFF_MAX_BYTES, path, &out->state, err);
	return status;
}

/* --- the kernel --- */

static enum chain_status verify(struct next_inputs *out, struct chain_error *err)
{
	struct chain_image image;
	enum chain_status status = chain_image_open(&image, out->kernel.bytes, out->kernel.count, err);
	if (status)
		return status;
	out->digest.kind = CHAIN_DIGEST_SHA256;
	memcpy(out->digest.bytes, image.header.id, CHAIN_SHA256_BYTES);
	return chain_image_verify(&image, NULL, NULL, err);
}

static enum chain_status check_digest(const struct next_options *options, const struct next_inputs *inputs,
				      struct chain_error *err)
{
	struct chain_digest wanted, found = inputs->digest;
	char words[CHAIN_DIGEST_TEXT_BYTES];
	if (!options->digest)
		return CHAIN_OK;
	if (!chain_digest_parse(options->digest, &wanted))
		return CHAIN_FAIL(err, IO, .subject = options->digest,
				  .detail = "is no digest: sha256: or fsverity:, and 64 hexadecimal digits");
	if (inputs->kind != CHAIN_KERNEL_IMAGE)
		chain_digest_of(wanted.kind, inputs->kernel.bytes, inputs->kernel.count, &found);
	if (chain_digest_same(&wanted, &found))
		return CHAIN_OK;
	return CHAIN_FAIL(err, IMAGE_OTHER_ID, .subject = options->image, .detail = chain_digest_text(&found, words));
}

static enum chain_status read_kernel(const struct next_options *options, struct next_inputs *out,
				     struct chain_error *err)
{
	enum chain_status status = load(options->image, &out->kernel, err);
	if (!status)
		status = chain_kernel_probe(out->kernel.bytes, out->kernel.count, options->image, &out->kind, err);
	if (status)
		return status;
	out->door = chain_kernel_door(out->kind, out->kernel.bytes, out->kernel.count);
	if (out->kind == CHAIN_KERNEL_IMAGE)
		status = verify(out, err);
	else
		chain_digest_of(CHAIN_DIGEST_FSVERITY, out->kernel.bytes, out->kernel.count, &out->digest);
	return status ? status : check_digest(options, out, err);
}

static enum chain_status read_module(const char *word, struct next_inputs *out, struct chain_error *err)
{
	struct next_file file;
	const char *equals = strchr(word, '='), *slash;
	char *path = equals ? strndup(word, (size_t)(equals - word)) : strdup(word);
	if (!path)
		return chain_fail_no_memory(err, word, strlen(word) + 1);
	enum chain_status status = load(path, &file, err);
	slash = strrchr(path, '/');
	out->modules[out->module_count++] = (struct chain_plan_module){
		.blob = { status ? NULL : file.bytes, status ? 0 : file.count, CHAIN_PHYS_UNKNOWN },
		.string = equals ? equals + 1 :
			  slash  ? strrchr(word, '/') + 1 :
				   word,
		.movable = true,
	};
	free(path);
	return status;
}

enum chain_status next_inputs_read(const struct next_options *options, struct next_inputs *out, struct chain_error *err)
{
	*out = (struct next_inputs){ .module_count = 0 };
	enum chain_status status = read_documents(options, out, err);
	for (size_t i = 0; !status && i < options->module_count; i++)
		status = read_module(options->modules[i], out, err);
	return status ? status : read_kernel(options, out, err);
}

void next_inputs_free(struct next_inputs *inputs)
{
	json_decref(inputs->parent);
	json_decref(inputs->result);
	json_decref(inputs->state);
}
