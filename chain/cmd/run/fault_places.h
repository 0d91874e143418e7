/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: saying in records (docs/RECORDS.md) where in its source a kernel faulted: which kernel it was, and its symbols.
 * Must not know: how records are shown, how symbols are read. */
#ifndef KCHAIN_FAULT_PLACES_H
#define KCHAIN_FAULT_PLACES_H

#include "records.h"
#include "run_input.h"
#include "chain/cmd/symbols.h"

enum { FAULT_IMAGES_MAX = 16, FAULT_LOOKUPS_MAX = 200 };

struct fault_step {
	char source[1024], digest[CHAIN_DIGEST_TEXT_BYTES];
};

struct fault_places {
	const struct run_input *input; /* borrowed; null: what runs is not at hand */
	struct symbols_places places;
	char *owned[SYMBOLS_FOLDERS_MAX];
	size_t owned_count;                          /* folders that were not given */
	struct chain_image images[FAULT_IMAGES_MAX]; /* the one that was started, and those it booted; borrow `input` */
	size_t image_count;
	const struct chain_image *image; /* whose pipeline runs; null: not at hand */
	struct fault_step step, booted;  /* called last, booted last; empty: none */
	unsigned lookups;                /* so far: whoever makes faults up does not keep us busy for ever */
};

/* Folders: those given, in which whatever fits is taken; then beside `operand` (null: none), beside the files that its
 * pipeline names, and where this command has its stage's. */
void fault_places_init(struct fault_places *places, const struct cmd_list *folders, const char *operand,
		       const struct run_input *input);
void fault_places_free(struct fault_places *places);

/* Hears each record, in order. Where it says that a kernel faulted, *out is a copy (new) whose `fault` objects have, as
 * far as they are known, `function`, `offset`, `file`, `line`, `place` for people, and `build_id`; else null. Failures
 * are the symbols' alone. */
enum chain_status fault_places_record(struct fault_places *places, enum record_event event, const json_t *doc,
				      json_t **out, struct chain_error *err) CHAIN_MUST_CHECK;

/* The same of `faults`, objects of one kernel, which are changed. */
enum chain_status fault_places_add(const struct symbols_places *places, const struct symbols_kernel *kernel,
				   json_t *const *faults, size_t count, struct chain_error *err) CHAIN_MUST_CHECK;

#endif
