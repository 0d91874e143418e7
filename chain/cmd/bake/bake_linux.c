/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: which Linux kernels of a tree are baked unpacked: those that steps boot and nobody wants as they are. */

#include "bake_job.h"
#include "chain/door.h"
#include "chain/linux_format.h"
#include "chain/source.h"
#include "chain/cmd/linux_payload.h"

#include <stdlib.h>
#include <string.h>

/* What all the steps together say of one file. */
struct demand {
	const char *path;
	bool keep; /* somebody needs the bytes as they are */
	bool ask;  /* "kaslr": false */
};

static bool is_of(const char *source, const char *path)
{
	const char *at = source ? chain_source_path(source) : NULL;

	return at && strcmp(at, path) == 0;
}

static void step_ask(const struct chain_step *step, struct demand *demand)
{
	for (size_t i = 0; i < step->module_count; i++)
		demand->keep |= is_of(step->modules[i].from, demand->path);
	if (is_of(step->source, demand->path)) {
		demand->keep |= step->kind != CHAIN_STEP_BOOT || chain_config_is_pinned(&step->pin) || step->kaslr;
		demand->ask |= step->kaslr_said && !step->kaslr;
	}
	if (step->fallback)
		step_ask(step->fallback, demand);
}

static struct bake_node *node_find(const struct bake_tree *tree, const char *path)
{
	for (size_t i = 0; i < tree->count; i++)
		if (strcmp(tree->v[i]->path, path) == 0)
			return tree->v[i]->spec.type == FS_REGULAR && tree->v[i]->host && tree->v[i]->spec.size_bytes ?
				       tree->v[i] :
				       NULL;
	return NULL;
}

/* From now on the node is these bytes, whatever is known of its file. Takes them. */
static void node_replace(struct bake_node *node, uint8_t *bytes, uint64_t count)
{
	free(node->text);
	node->text = (char *)bytes;
	node->spec.size_bytes = count;
	node->spec.digest = NULL;
	node->known = NULL;
	node->cached = node->many_names = false;
	node->unpacked = true;
}

/* A kernel that can't be recognised as Linux once it is unpacked (before 4.19) stays as it is. */
static enum chain_status payload_take(struct bake_node *node, const struct linux_payload *payload, const char *subject,
				      struct chain_error *err)
{
	enum chain_kernel_kind kind;
	struct chain_kernel kernel;
	uint8_t *bytes;
	enum chain_status status = linux_payload_unpack(payload, subject, &bytes, err);

	if (status)
		return status;
	const struct chain_door *linux_door = chain_door_named("linux");
	const bool good = !chain_kernel_probe(bytes, payload->promised, subject, &kind, NULL) &&
			  chain_kernel_door(kind, bytes, payload->promised) == linux_door;

	if (good)
		status = linux_door->read(bytes, payload->promised, subject, &kernel, err);
	if (good && !status)
		node_replace(node, bytes, payload->promised);
	else
		free(bytes);
	return status;
}

static enum chain_status file_look(struct bake_node *node, const struct chain_step *step, const struct demand *demand,
				   const struct cmd_file *file, struct chain_error *err)
{
	struct linux_payload payload;

	if (!chain_linux_is_bzimage(file->bytes, file->bytes_count))
		return step->kaslr_said ? chain_fail_subject(err, CHAIN_E_CONFIG_KASLR, step->source) : CHAIN_OK;
	if (demand->keep)
		return CHAIN_OK;
	const enum chain_status status =
		linux_payload_find(file->bytes, file->bytes_count, step->source, &payload, err);

	if (status || !linux_payload_can_unpack(&payload) || !(demand->ask || linux_payload_is_quicker(&payload)))
		return status;
	return payload_take(node, &payload, step->source, err);
}

static enum chain_status step_unpack(const struct bake_job *job, struct bake_tree *tree, const struct chain_step *step,
				     struct chain_error *err)
{
	struct demand demand = { .path = step->kind == CHAIN_STEP_BOOT && step->source ?
						 chain_source_path(step->source) :
						 NULL };
	struct bake_node *node = demand.path ? node_find(tree, demand.path) : NULL;
	struct cmd_file file;

	if (!node || node->unpacked)
		return CHAIN_OK;
	for (size_t i = 0; i < job->config.step_count; i++)
		step_ask(&job->config.steps[i], &demand);
	enum chain_status status = bake_tree_load(tree, node, &file, err);

	if (status)
		return status;
	status = file_look(node, step, &demand, &file, err);
	const enum chain_status whole = cmd_file_check(&file, node->host, err);

	cmd_file_free(&file);
	return whole ? whole : status;
}

static enum chain_status step_note(struct bake_job *job, size_t i, const char *key, struct chain_error *why,
				   struct chain_error *err)
{
	char path[64];

	if (!why->status)
		return CHAIN_OK;
	if (!job->document.name || why->status == CHAIN_E_NO_MEMORY) {
		*err = *why;
		return why->status;
	}
	(void)snprintf(path, sizeof(path), "steps[%zu].%s", i, key);
	cmd_document_note(&job->document, path, why);
	return CHAIN_OK;
}

enum chain_status bake_linux_unpack(struct bake_job *job, struct bake_tree *tree, struct chain_error *err)
{
	enum chain_status status = CHAIN_OK;

	for (size_t i = 0; !status && i < job->config.step_count; i++) {
		const struct chain_step *step = &job->config.steps[i];
		struct chain_error why = { .status = CHAIN_OK };

		(void)step_unpack(job, tree, step, &why);
		status = step_note(job, i, "boot", &why, err);
		if (status || !step->fallback)
			continue;
		(void)step_unpack(job, tree, step->fallback, &why);
		status = step_note(job, i, "on_error.boot", &why, err);
	}
	return status ? status : cmd_document_status(&job->document, err);
}
