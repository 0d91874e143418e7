/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: what the operand of `run` and `plan` is (an image, another kernel, a pipeline or a folder) and its checked
 * bytes. Must not know: what is done with it. */
#ifndef KCHAIN_RUN_INPUT_H
#define KCHAIN_RUN_INPUT_H

#include "chain/door.h"
#include "chain/image.h"
#include "chain/cmd/cmd_document.h"

struct run_input {
	int fd;               /* the kernel, open for reading; no name on disk where it was baked for this run */
	struct cmd_file file; /* its bytes */
	enum chain_kernel_kind kind;
	struct chain_image image;     /* kind CHAIN_KERNEL_IMAGE: opened and wholly verified; borrows `file` */
	struct chain_kernel kernel;   /* what its headers say */
	bool wants_net;               /* its pipeline names a network device */
	uint64_t memory_bytes;        /* end of what it takes in memory; 0: not known */
	bool baked;                   /* for this run */
	struct cmd_document document; /* what it was baked from, and what is wrong with that; stays after a failure,
					 until it is closed */
};

/* Bakes where `path` is a folder or a pipeline, in that form (null: the usual one); that file has no name any more when
 * this returns. On failure nothing is left but the document. */
enum chain_status run_input_open(const char *path, const char *format, struct run_input *out,
				 struct chain_error *err) CHAIN_MUST_CHECK;
void run_input_close(struct run_input *input);

#endif
