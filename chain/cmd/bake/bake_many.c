/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: many images in one run of `kchain bake`: what each is called, and one line for each. */

#include "bake_job.h"
#include "chain/cmd/cmd.h"

#include <errno.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct many {
	const struct bake_job *model;
	const char *const *inputs;
	char **outputs; /* owned */
	size_t count;
	bool json;
};

/* FOLDER/INPUT.elf: the name of the pipeline's file without ".json", or of the folder that is baked. Null: no memory.
 */
static char *output_of(const char *folder, const char *input)
{
	const bool here = strcmp(input, ".") == 0 || strcmp(input, "..") == 0;
	char *real = here ? realpath(input, NULL) : NULL, *copy = real ? real : strdup(input), *path = NULL;
	const char *name = copy ? basename(copy) : "";
	const size_t bytes = strlen(name), end = strlen(folder);
	const bool json = bytes > 5 && strcmp(name + bytes - 5, ".json") == 0;

	if (copy && asprintf(&path, "%s%s%.*s.elf", folder, folder[end - 1] == '/' ? "" : "/",
			     (int)(json ? bytes - 5 : bytes), name) < 0)
		path = NULL;
	free(copy);
	return path;
}

static int by_text(const void *a, const void *b)
{
	return strcmp(**(char **const *)a, **(char **const *)b);
}

/* -1 to go on, or an exit code. */
static int names_check(const struct many *many)
{
	char ***sorted = calloc(many->count, sizeof(*sorted));
	int code = -1;

	if (!sorted)
		return cmd_usage("bake", "out of memory");
	for (size_t i = 0; i < many->count; i++)
		sorted[i] = &many->outputs[i];
	qsort(sorted, many->count, sizeof(*sorted), by_text);
	for (size_t i = 1; code < 0 && i < many->count; i++)
		if (by_text(&sorted[i - 1], &sorted[i]) == 0)
			code = cmd_usage("bake", "'%s' and '%s' would both be written to '%s'",
					 many->inputs[sorted[i - 1] - many->outputs],
					 many->inputs[sorted[i] - many->outputs], *sorted[i]);
	free(sorted);
	return code;
}

static int names_make(struct many *many)
{
	many->outputs = calloc(many->count, sizeof(*many->outputs));
	for (size_t i = 0; many->outputs && i < many->count; i++) {
		many->outputs[i] = output_of(many->model->output, many->inputs[i]);
		if (!many->outputs[i])
			return cmd_usage("bake", "out of memory");
	}
	return many->outputs ? names_check(many) : cmd_usage("bake", "out of memory");
}

static int folder_make(const char *path, bool json)
{
	struct chain_error err = { .status = CHAIN_OK };

	if (mkdir(path, 0777) == 0 || errno == EEXIST)
		return -1;
	(void)chain_fail_text(&err, CHAIN_E_IO, path, strerror(errno));
	return cmd_refuse(&err, json);
}

static bool print_good(const struct many *many, const struct bake_job *job)
{
	char hex[CHAIN_SHA256_HEX + 1], size[CMD_SIZE_BYTES];

	if (many->json)
		return cmd_json_line(bake_report_json(job));
	chain_sha256_to_hex(job->result.id, hex);
	fputs(cmd_style(stdout, CMD_BOLD), stdout);
	cmd_text_put(stdout, job->output);
	return printf("%s  %s  sha256:%.12s\n", cmd_style(stdout, CMD_PLAIN),
		      cmd_size_text(job->result.file_bytes, size), hex) > 0;
}

static void print_bad(const struct many *many, const struct bake_job *job, struct chain_error *err)
{
	const char *input = job->input;
	const size_t bytes = strlen(input);

	if (strncmp(err->subject, input, bytes) != 0)
		cmd_error_in_file(err, input);
	cmd_document_print(&job->document, err);
	if (!many->json)
		return;
	json_t *line = cmd_document_json(&job->document, err, CMD_REFUSED);

	(void)cmd_json_set_text(line, "input", input, bytes);
	(void)cmd_json_line(line);
}

static bool bake_one(const struct many *many, size_t i, struct bake_share *share)
{
	struct bake_job job = *many->model;
	struct chain_error err = { .status = CHAIN_OK };

	job.input = many->inputs[i];
	job.output = many->outputs[i];
	job.share = share;
	bool good = !bake_job_run(&job, &err);

	if (good)
		good = print_good(many, &job);
	else
		print_bad(many, &job, &err);
	bake_job_free(&job);
	return good;
}

static int bake_all(const struct many *many)
{
	struct bake_share share;
	size_t bad = 0;

	bake_share_init(&share);
	for (size_t i = 0; i < many->count; i++)
		bad += !bake_one(many, i, &share);
	bake_share_free(&share);
	if (bad > 0)
		cmd_warn("%zu of %zu images could not be baked", bad, many->count);
	return bad > 0 ? CMD_REFUSED : CMD_OK;
}

int bake_many(const struct bake_job *model, const char *const *inputs, size_t count, bool json)
{
	struct many many = { .model = model, .inputs = inputs, .count = count, .json = json };
	int code = names_make(&many);

	if (code < 0)
		code = folder_make(model->output, json);
	if (code < 0)
		code = bake_all(&many);
	for (size_t i = 0; many.outputs && i < count; i++)
		free(many.outputs[i]);
	free(many.outputs);
	return code;
}
