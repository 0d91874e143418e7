/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: one run of `kchain bake` without its command line and its printing, so that `run` and `plan` can bake too. */
#ifndef KCHAIN_BAKE_JOB_H
#define KCHAIN_BAKE_JOB_H

#include "bake_host.h"
#include "bake_root.h"
#include "chain/bake.h"
#include "chain/image.h"
#include "chain/cmd/cmd_document.h"

struct bake_job {
	/* what is asked for; borrowed */
	const char *input;     /* a pipeline, or a folder */
	const char *output;    /* null: NAME.elf in the current folder */
	const char *folder;    /* not null: the image gets no name; it is a file in this folder that only `fd` leads to.
				  Alone */
	const char *name;      /* null: the pipeline's */
	const char *stage;     /* file; null: the one inside the command */
	const char *format;    /* null: the usual form of an image's file */
	uint64_t base;         /* 0: the usual place, or behind what called kernels need for themselves */
	uint64_t memory_bytes; /* 0: not checked whether the steps fit */
	const json_t *root_said; /* what the command line says of the root, as "root" of a pipeline; null: nothing */
	bool progress;
	struct bake_share *share; /* with the other bakes of this run; null: alone */
	struct bake_cache *cache; /* with other runs; null: alone */

	/* what came of it; owned */
	struct cmd_document
		document; /* the pipeline, and what is wrong with it; without a name where a folder has none */
	struct chain_config config;
	struct bake_root root;
	char *output_made; /* where `output` was null */
	int fd;            /* where `folder` is not null: the caller's */
	struct chain_bake_result result;
	struct bake_step {
		char *kind;
	} * steps; /* of the kernel of each step, by name */
};

/* On failure no file is left; either way the job is to be freed. */
enum chain_status bake_job_run(struct bake_job *job, struct chain_error *err);
void bake_job_free(struct bake_job *job);

/* bake_input.c: the pipeline and the tree that it asks for. A folder without a pipeline.json gets one. */
enum chain_status bake_input_read(struct bake_job *job, struct bake_tree *tree, struct chain_error *err);
/* bake_linux.c: Linux kernels that steps boot are replaced in the tree by what is packed in them, where they may. */
enum chain_status bake_linux_unpack(struct bake_job *job, struct bake_tree *tree, struct chain_error *err);
/* bake_check.c: every step's kernel is one and is whole, and (with memory_bytes) every boot can be planned. */
enum chain_status bake_steps_check(struct bake_job *job, const struct chain_image *image, struct chain_error *err);

/* bake_possible.c: whether there can be a machine that takes the step, as far as its kernel and modules are in the
 * image. The limits of arguments and modules, what the kernel's headers say, where it wants to lie. */
enum chain_status bake_possible_check(const struct bake_job *job, const struct chain_image *image,
				      const struct chain_step *step, enum chain_kernel_kind kind,
				      struct chain_error *err);

/* bake.c: what came of a job that succeeded; new. */
json_t *bake_report_json(const struct bake_job *job);
/* bake_many.c: an image of each input, in the folder model->output. Prints, and returns an exit code. */
int bake_many(const struct bake_job *model, const char *const *inputs, size_t count, bool json);

#endif
