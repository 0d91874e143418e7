/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: the order of a bake: read, walk, write beside, check what was written, put it in its place. */

#include "bake_job.h"
#include "chain/cmd/cmd.h"
#include "chain/cmd/cmd_map.h"
#include "chain/cmd/image_tree.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum {
	LARGE = 1 << 20,    /* from here on a second thread is worth it */
	IMAGE_LEAST = 8192, /* smaller files are no images: a header, a manifest and a filesystem's first block */
};

struct streams {
	struct bake_tree tree;
	struct bake_out out;
};

static enum chain_status read_file(void *ctx, const struct fs_spec *spec, uint64_t offset, void *buf, size_t count,
				   struct chain_error *err)
{
	return bake_tree_read(&((struct streams *)ctx)->tree, spec, offset, buf, count, err);
}

static enum chain_status write_image(void *ctx, uint64_t offset, const void *bytes, size_t count,
				     struct chain_error *err)
{
	return bake_out_write(&((struct streams *)ctx)->out, offset, bytes, count, err);
}

/* A file that the image before this one has as well is copied from there; one whose digest is known, from where it is;
 * a large one is hashed while it is copied. */
static enum chain_status place_file(void *ctx, const struct fs_spec *spec, uint64_t offset, bool *out_placed,
				    uint8_t out_digest[CHAIN_LOCATED_BYTES], struct chain_error *err)
{
	struct streams *streams = ctx;
	const struct bake_node *node = spec->cookie;
	const struct bake_known *known = node->known;
	const uint64_t blocks = (spec->size_bytes + FS_BLOCK_BYTES - 1) & ~(uint64_t)(FS_BLOCK_BYTES - 1);

	*out_placed = true;
	if (known && known->offset > 0) {
		memcpy(out_digest, known->digest, CHAIN_LOCATED_BYTES);
		/* whole blocks, so that the file system may share them; what follows the file in its last one is zero
		 * there too */
		return bake_out_copy(&streams->out, NULL, streams->tree.share->fd, known->offset, offset, blocks, err);
	}
	if (node->cached) {
		memcpy(out_digest, node->digest, CHAIN_LOCATED_BYTES);
		return bake_tree_copy(&streams->tree, node, &streams->out, offset, err);
	}
	if (spec->size_bytes >= LARGE && !node->text)
		return bake_tree_stream(&streams->tree, node, &streams->out, offset, out_digest, err);
	*out_placed = false;
	return CHAIN_OK;
}

static void note_place(void *ctx, const struct fs_spec *spec, uint64_t offset,
		       const uint8_t digest[CHAIN_LOCATED_BYTES])
{
	struct bake_node *node = spec->cookie;

	(void)ctx;
	node->image_offset = offset;
	memmove(node->digest, digest, CHAIN_LOCATED_BYTES);
}

static enum chain_status stage_get(const struct bake_job *job, struct cmd_file *out, struct chain_error *err)
{
	if (job->stage)
		return cmd_file_load(job->stage, 0, out, err);
	*out = (struct cmd_file){ .bytes = cmd_stage_elf,
				  .bytes_count = (uint64_t)(cmd_stage_elf_end - cmd_stage_elf) };
	return out->bytes_count > 0 ? CHAIN_OK : chain_fail_subject(err, CHAIN_E_BAKE_NO_STAGE, "kchain");
}

static enum chain_status write_all(struct bake_job *job, uint64_t base, struct streams *streams,
				   struct chain_error *err)
{
	struct chain_bake_request request = {
		.name = job->name ? job->name : job->config.name,
		.format = job->format,
		.base = base,
		.flags = job->config.verify_all ? CHAIN_IMAGE_FLAG_VERIFY_ALL : 0,
		.stage_subject = job->stage ? job->stage : "built-in stage",
		.specs = streams->tree.specs,
		.spec_count = streams->tree.count,
		.root = job->root.asked ? BAKE_ROOT_IMAGE : NULL,
		.root_floor = job->base ? 0 : job->root.floor,
		.source = read_file,
		.sink = write_image,
		.place = place_file,
		.placed = note_place,
		.ctx = streams,
	};
	struct cmd_file stage;
	enum chain_status status = stage_get(job, &stage, err);

	if (status)
		return status;
	request.stage = stage.bytes;
	request.stage_bytes = stage.bytes_count;
	status = chain_bake(&request, &job->result, err);
	if (job->stage) {
		const enum chain_status whole = cmd_file_check(&stage, job->stage, err);

		status = whole ? whole : status;
		cmd_file_free(&stage);
	}
	return status ? status : bake_out_finish(&streams->out, err);
}

/* Images among the files: so many may be in each other, this one counted. */
static enum chain_status nesting_check(const struct bake_tree *tree, const uint8_t *bytes, struct chain_error *err)
{
	enum chain_status status = CHAIN_OK;

	for (size_t i = 0; !status && i < tree->count; i++) {
		const struct bake_node *node = tree->v[i];
		const uint8_t *at = bytes + node->image_offset;
		const uint64_t count = node->spec.size_bytes;

		if (node->image_offset > 0 && count >= IMAGE_LEAST && chain_image_is(at, count))
			status = image_nesting_check(at, count, 2, err);
	}
	return status;
}

/* What was written is read back for the checks: the kernels come from the image and not from files that may have
 * changed. */
static enum chain_status check(struct bake_job *job, const struct bake_tree *tree, struct bake_out *out,
			       struct chain_error *err)
{
	const uint64_t bytes = job->result.file_bytes;
	struct chain_image image;
	struct cmd_map *map;
	enum chain_status status = cmd_map_open(out->path, out->fd, bytes, &map, err);

	if (status)
		return status;
	status = chain_image_open(&image, cmd_map_bytes(map), bytes, err);
	if (!status)
		status = bake_steps_check(job, &image, err);
	if (!status)
		status = nesting_check(tree, cmd_map_bytes(map), err);
	const enum chain_status whole = cmd_map_check(map, out->path, err);

	cmd_map_close(map);
	return whole ? whole : status;
}

static void steps_free(struct bake_job *job)
{
	for (size_t i = 0; job->steps && i < job->config.step_count; i++)
		free(job->steps[i].kind);
	free(job->steps);
	job->steps = NULL;
}

/* A called kernel whose addresses the image lies on drives it further up, where nobody said where it is to be. Each
 * time it gets behind one kernel's memory at least. */
static enum chain_status write_where_it_can_lie(struct bake_job *job, struct streams *streams, struct chain_error *err)
{
	uint64_t base = job->base ? job->base : job->root.asked ? CHAIN_BAKE_ROOT_BASE : CHAIN_BAKE_BASE;

	for (;;) {
		struct chain_error why = { .status = CHAIN_OK };
		enum chain_status status = job->folder ? bake_out_open_unnamed(&streams->out, job->folder, &why) :
							 bake_out_open(&streams->out, job->output, job->progress, &why);

		if (!status)
			status = write_all(job, base, streams, &why);
		if (!status)
			status = check(job, &streams->tree, &streams->out, &why);
		if (status != CHAIN_E_FIXED_ON_IMAGE || job->base || why.number[3] <= base) {
			if (status)
				*err = why;
			return status;
		}
		base = why.number[3];
		steps_free(job);
		cmd_document_forget(&job->document);
		bake_out_drop(&streams->out);
		streams->out = (struct bake_out){ .fd = -1 };
	}
}

static bool same_file(const struct stat *a, dev_t dev, ino_t ino)
{
	return a->st_dev == dev && a->st_ino == ino;
}

/* The host's name of the input that `output` is; null: none. */
static const char *input_find(const struct bake_job *job, const struct bake_tree *tree, const struct stat *output)
{
	const char *const files[] = { tree->pipeline, job->stage };
	struct stat about;

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		if (files[i] && stat(files[i], &about) == 0 && same_file(output, about.st_dev, about.st_ino))
			return files[i];
	for (size_t i = 0; i < tree->count; i++)
		if (tree->v[i]->host && same_file(output, tree->v[i]->identity.dev, tree->v[i]->identity.ino))
			return tree->v[i]->host;
	return NULL;
}

/* The output may be an input itself, by whatever name, or lead to one. */
static enum chain_status inputs_check(const struct bake_job *job, const struct bake_tree *tree, struct chain_error *err)
{
	int (*const looks[])(const char *, struct stat *) = { stat, lstat };
	struct stat about;

	for (size_t i = 0; job->output && i < 2; i++) {
		const char *input = looks[i](job->output, &about) == 0 ? input_find(job, tree, &about) : NULL;

		if (input)
			return chain_fail_text(err, CHAIN_E_OVER_INPUT, job->output, input);
	}
	return CHAIN_OK;
}

static enum chain_status output_name(struct bake_job *job, struct chain_error *err)
{
	if (job->output || job->folder)
		return CHAIN_OK;
	const char *name = job->name ? job->name : job->config.name;

	if (asprintf(&job->output_made, "%s.elf", name) < 0) {
		job->output_made = NULL;
		return chain_fail_no_memory(err, job->input, strlen(name) + sizeof(".elf"));
	}
	job->output = job->output_made;
	return CHAIN_OK;
}

static void attributes_tell(const struct bake_tree *tree)
{
	const struct bake_xattrs_left *left = &tree->xattrs_left;

	if (left->count > 0)
		cmd_warn("%llu attribute%s of files left out (%s%s); user.* and security.capability are kept",
			 (unsigned long long)left->count, left->count == 1 ? "" : "s", left->first,
			 left->count == 1 ? "" : ", ...");
}

enum chain_status bake_job_run(struct bake_job *job, struct chain_error *err)
{
	struct streams streams = { .out.fd = -1 };
	int fd, *const wanted = job->folder ? &job->fd : job->share ? &fd : NULL;
	enum chain_status status = bake_tree_init(&streams.tree, job->share, job->cache, err);

	if (!status)
		status = bake_input_read(job, &streams.tree, err);
	if (!status)
		status = bake_linux_unpack(job, &streams.tree, err);
	if (!status)
		status = bake_tree_finish(&streams.tree, err);
	if (!status)
		status = output_name(job, err);
	if (!status)
		status = inputs_check(job, &streams.tree, err);
	if (!status)
		status = write_where_it_can_lie(job, &streams, err);
	if (!status)
		status = bake_out_commit(&streams.out, wanted, err);
	if (!status)
		attributes_tell(&streams.tree);
	if (!status && job->share)
		bake_tree_share(&streams.tree, fd);
	if (!status && job->cache)
		bake_tree_cache(&streams.tree);
	bake_out_drop(&streams.out);
	bake_tree_free(&streams.tree);
	return status;
}

void bake_job_free(struct bake_job *job)
{
	steps_free(job);
	cmd_document_close(&job->document);
	free(job->output_made);
	bake_root_free(&job->root);
	chain_config_free(&job->config);
}
