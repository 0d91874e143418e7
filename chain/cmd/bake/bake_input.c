/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: what `kchain bake` is given: a pipeline file, a folder with a pipeline.json, or a folder that holds one kernel.
 */

#include "bake_job.h"
#include "chain/json_memory.h"
#include "chain/json_walk.h"
#include "chain/template.h"
#include "chain/cmd/cmd.h"

#include <errno.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct baked {
	const struct bake_tree *tree;
	bool with_root;
};

/* The files of a root that could not be made are no further problem. */
static bool exists(void *ctx, const char *path)
{
	static const char *const of_root[] = { BAKE_ROOT_KERNEL, BAKE_ROOT_INITRD, BAKE_ROOT_IMAGE };
	const struct baked *baked = ctx;
	const struct bake_tree *tree = baked->tree;

	for (size_t i = 0; baked->with_root && i < sizeof(of_root) / sizeof(of_root[0]); i++)
		if (strcmp(of_root[i], path) == 0)
			return true;
	for (size_t i = 0; i < tree->count; i++) {
		const char *at = tree->v[i]->path;
		const size_t bytes = strlen(at);

		/* behind a link anything may be: that is looked at in the finished image */
		if (strcmp(at, path) == 0 ||
		    (tree->v[i]->spec.type == FS_SYMLINK && strncmp(at, path, bytes) == 0 && path[bytes] == '/'))
			return true;
	}
	return false;
}

/* Every file that the pipeline names is looked for: all that are missing are reported. */
static enum chain_status files_add(struct bake_job *job, struct bake_tree *tree, const char *folder,
				   struct chain_error *err)
{
	for (size_t i = 0; i < job->config.file_count; i++) {
		const struct chain_config_file *file = &job->config.files[i];
		struct chain_json_path path = { .at = "files" };
		struct chain_error why = { .status = CHAIN_OK };

		if (!file->from || !bake_tree_add(tree, folder, file, &why))
			continue; /* what can't be read of the document is reported already */
		if (why.status == CHAIN_E_NO_MEMORY) {
			*err = why;
			return why.status;
		}
		(void)chain_json_push_key(&path, file->path);
		cmd_document_note(&job->document, path.at, &why);
	}
	return CHAIN_OK;
}

/* Whether all that "files" says is there, so that what is not in the tree will not be baked. */
static bool files_are_whole(const struct cmd_document *document)
{
	for (size_t i = 0; i < document->count; i++)
		if (strncmp(document->problems[i].path, "files", 5) == 0 || !document->problems[i].path[0])
			return false;
	return document->more == 0;
}

/* Lack of memory, which ends a check, is no problem of the document's. */
static enum chain_status problems_note(struct cmd_document *document, enum chain_status status,
				       struct chain_errors *errors, struct chain_error *err)
{
	if (status != CHAIN_E_NO_MEMORY) {
		cmd_document_note_all(document, errors);
		return CHAIN_OK;
	}
	for (size_t i = 0; i < errors->count; i++)
		if (errors->v[i].status == status)
			return chain_fail_no_memory(err, document->name, errors->v[i].number[0]);
	return chain_json_no_memory(err, document->name);
}

/* Facts in the environment of a root's program: its init fills them in when it is too late to say what is wrong. */
static enum chain_status root_env_check(struct bake_job *job, struct chain_errors *errors, struct chain_error *err)
{
	struct chain_json_path path = { .errors = errors };
	struct chain_error why = { .status = CHAIN_OK };
	enum chain_status first = CHAIN_OK;
	const char *name;
	json_t *value;

	chain_json_push_key(&path, "root");
	chain_json_push_key(&path, "env");
	json_object_foreach (job->root.spec.env, name, value) {
		const size_t mark = chain_json_push_key(&path, name);

		(void)chain_json_goes_on(
			&path, chain_template_check(json_string_value(value), &job->config, &path, &why), &first, &why);
		chain_json_pop(&path, mark);
	}
	if (errors->count > 0 && !job->document.name) {
		*err = errors->v[0];
		return err->status;
	}
	return problems_note(&job->document, first, errors, err);
}

/* A failure of the root's, at the key that it is about. */
static enum chain_status root_note(struct bake_job *job, struct chain_error *why, struct chain_error *err)
{
	struct chain_json_path path = { .at = "root" };

	if (!why->status)
		return CHAIN_OK;
	if (why->status == CHAIN_E_NO_MEMORY || !job->document.name) {
		*err = *why;
		return why->status;
	}
	for (size_t i = 0; i < 2 && job->root.at[i]; i++)
		(void)chain_json_push_key(&path, job->root.at[i]);
	cmd_document_note(&job->document, path.at, why);
	return CHAIN_OK;
}

/* The files of "root", where it could be opened. */
static enum chain_status root_add(struct bake_job *job, struct bake_tree *tree, struct chain_error *err)
{
	struct chain_error why = { .status = CHAIN_OK };

	if (job->root.open && !job->root.failed.status)
		(void)bake_root_add(&job->root, tree, job->folder ? job->folder : ".", &why);
	return root_note(job, &why, err);
}

/* Reads on behind what is wrong: all of it is reported. */
static enum chain_status text_read(struct bake_job *job, struct bake_tree *tree, const char *text, uint64_t bytes,
				   const char *folder, struct chain_errors *errors, struct chain_error *err)
{
	struct cmd_document *document = &job->document;
	char *without_root = NULL;
	struct baked baked = { .tree = tree };
	struct chain_error why = { .status = CHAIN_OK };
	enum chain_status status =
		bake_root_take(&job->root, text, bytes, job->root_said, folder, &without_root, errors, err);

	if (!status && !document->name && errors->count > 0) { /* nobody wrote a document to point at */
		*err = errors->v[0];
		status = err->status;
	}
	if (!status) {
		why = job->root.failed;
		status = root_note(job, &why, err);
	}
	if (!status)
		status = problems_note(document,
				       chain_config_parse_all(without_root ? without_root : text,
							      without_root ? strlen(without_root) : bytes,
							      document->name ? document->name : "", false, &job->config,
							      errors),
				       errors, err);
	free(without_root);
	if (!status)
		status = files_add(job, tree, folder, err);
	if (!status)
		status = root_env_check(job, errors, err);
	if (!status)
		status = root_add(job, tree, err);
	baked.with_root = job->root.asked;
	if (!status && files_are_whole(document))
		status = problems_note(document, chain_config_check_sources(&job->config, exists, &baked, errors),
				       errors, err);
	return status ? status : cmd_document_status(document, err);
}

static enum chain_status document_read(struct bake_job *job, struct bake_tree *tree, const char *folder,
				       struct chain_errors *errors, struct chain_error *err)
{
	const struct cmd_file *file = &job->document.file;

	return text_read(job, tree, (const char *)file->bytes, file->bytes_count, folder, errors, err);
}

static enum chain_status pipeline_read(struct bake_job *job, struct bake_tree *tree, const char *path,
				       struct chain_error *err)
{
	char *copy = strdup(path);
	char *text = NULL;
	struct chain_errors *errors = calloc(1, sizeof(*errors));

	tree->pipeline = strdup(path);
	enum chain_status status = copy && errors && tree->pipeline ?
					   cmd_document_open(&job->document, path, CHAIN_CONFIG_MAX_BYTES, err) :
					   chain_fail_no_memory(err, path, strlen(path) + 1 + sizeof(*errors));

	if (!status)
		status = document_read(job, tree, dirname(copy), errors, err);
	free(errors);
	free(copy);
	if (!status)
		status = chain_config_baked_text(&job->config, &text, err);
	return status ? status : bake_tree_add_pipeline(tree, text, err);
}

/* The folder's kernel: the one called "kernel", or the only one there. Borrowed from the tree. */
static enum chain_status kernel_find(const char *folder, struct bake_tree *tree, const char **out,
				     struct chain_error *err)
{
	char names[CHAIN_SUBJECT_BYTES] = "";
	size_t count = 0, used = 0;

	*out = NULL;
	for (size_t i = 0; i < tree->count; i++) {
		const struct bake_node *node = tree->v[i];
		enum chain_kernel_kind kind;
		struct cmd_file file;

		if (node->spec.type != FS_REGULAR || !node->host)
			continue;
		enum chain_status status = bake_tree_load(tree, node, &file, err);

		if (status)
			return status;
		const bool good = !chain_kernel_probe(file.bytes, file.bytes_count, node->path, &kind, NULL);

		status = cmd_file_check(&file, node->host, err);
		cmd_file_free(&file);
		if (status)
			return status;
		if (!good)
			continue;
		if (strcmp(node->path, "/kernel") == 0) {
			*out = node->path;
			return CHAIN_OK;
		}
		*out = node->path;
		if (used < sizeof(names) - 1)
			used += (size_t)snprintf(names + used, sizeof(names) - used, "%s%s", count ? ", " : "",
						 node->path);
		count++;
	}
	if (count == 0)
		return chain_fail_subject(err, CHAIN_E_BAKE_NO_KERNEL, folder);
	return count == 1 ? CHAIN_OK :
			    CHAIN_FAIL(err, BAKE_MANY_KERNELS, .subject = folder, .detail = names, .count = count);
}

/* The folder's own name, as far as a pipeline may be called that. */
static char *folder_name(const char *folder)
{
	char *real = realpath(folder, NULL), *name = real ? strdup(basename(real)) : NULL;

	free(real);
	for (char *c = name; c && *c; c++)
		if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-", *c))
			*c = '-';
	if (name && strlen(name) > CHAIN_CONFIG_NAME_MAX)
		name[CHAIN_CONFIG_NAME_MAX] = '\0';
	if (name && !*name) {
		free(name);
		name = strdup("image");
	}
	return name;
}

static enum chain_status folder_read(struct bake_job *job, struct bake_tree *tree, struct chain_error *err)
{
	char root[] = "/", here[] = ".";
	const struct chain_config_file all = { .path = root, .from = here, .mode = CHAIN_CONFIG_MODE_AS_IS };
	const char *kernel = NULL;
	char *name = NULL, *source = NULL, *text = NULL;
	enum chain_status status = bake_tree_add(tree, job->input, &all, err);

	if (!status)
		status = kernel_find(job->input, tree, &kernel, err);
	if (status)
		return status;
	name = folder_name(job->input);
	if (name && asprintf(&source, "fs:%s", kernel) < 0)
		source = NULL;
	json_t *doc = json_pack("{s:i, s:s, s:[{s:s, s:s}]}", "kchain", 1, "name", name ? name : "", "steps", "name",
				"kernel", "boot", source ? source : "");

	text = doc && name && source ? json_dumps(doc, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
	json_decref(doc);
	free(name);
	free(source);
	if (!text)
		return chain_fail_no_memory(err, job->input, strlen(job->input) + sizeof(CHAIN_FS_PIPELINE));
	status = chain_config_parse(text, strlen(text), job->input, true, &job->config, err);
	if (status) {
		free(text);
		return status;
	}
	return bake_tree_add_pipeline(tree, text, err);
}

/* A root that nobody wrote a pipeline for: it is booted, with the network that DHCP gives. */
static enum chain_status root_read(struct bake_job *job, struct bake_tree *tree, struct chain_error *err)
{
	struct chain_errors *errors = calloc(1, sizeof(*errors));
	char *name = folder_name(json_string_value(json_object_get(job->root_said, "from"))), *text = NULL;
	json_t *doc = json_pack("{s:i, s:s, s:[s], s:{s:{s:{s:s}, s:s}}, s:[{s:s, s:s}]}", "kchain", 1, "name",
				job->name ? job->name : (name ? name : "root"), "console", "com1,115200", "net", "lan",
				"dhcp", "timeout", "5s", "need", "optional", "steps", "name", "root", "boot", "linux");
	enum chain_status status = CHAIN_OK;

	text = doc ? json_dumps(doc, JSON_COMPACT) : NULL;
	json_decref(doc);
	free(name);
	if (!errors || !text)
		status = chain_fail_no_memory(err, "root", sizeof(*errors));
	if (!status)
		status = text_read(job, tree, text, strlen(text), ".", errors, err);
	free(errors);
	free(text);
	text = NULL;
	cmd_document_forget(&job->document); /* nobody wrote it */
	if (!status)
		status = chain_config_baked_text(&job->config, &text, err);
	return status ? status : bake_tree_add_pipeline(tree, text, err);
}

enum chain_status bake_input_read(struct bake_job *job, struct bake_tree *tree, struct chain_error *err)
{
	struct stat about;
	char *pipeline;
	enum chain_status status;

	if (!job->input)
		return root_read(job, tree, err);
	if (stat(job->input, &about) < 0)
		return chain_fail_text(err, CHAIN_E_IO, job->input, strerror(errno));
	if (!S_ISDIR(about.st_mode))
		return pipeline_read(job, tree, job->input, err);
	if (asprintf(&pipeline, "%s/pipeline.json", job->input) < 0)
		return chain_fail_no_memory(err, job->input, strlen(job->input) + sizeof("/pipeline.json"));
	if (stat(pipeline, &about) == 0)
		status = pipeline_read(job, tree, pipeline, err);
	else
		status = folder_read(job, tree, err);
	free(pipeline);
	return status;
}
