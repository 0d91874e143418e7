/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: what a fan-out means: which kernels it has and what each gets (docs/PIPELINE.md), the handoff's text for each,
 * and what their results come to. The stage and `kchain plan` use the same code. Must not know: processors, windows,
 * when anything runs. */
#ifndef CHAIN_FANOUT_H
#define CHAIN_FANOUT_H

#include "chain/bootinfo.h"
#include "chain/config.h"
#include "chain/fixed.h"
#include "chain/image.h"

/* The kernels of a step, in order: what each has as `self.input`, as JSON text; null where the step gives none. */
struct chain_fanout_set {
	char **inputs; /* owned */
	size_t count;
};

/* What the step leaves to the state, of its handoff: a new reference; null: nothing, or the state lacks it. A list is
 * taken out of `handoff`, which the kernels get: each has its own value of it, and all of them in each of as many
 * handoffs would take the square of their number. What `handoff` shares with other documents stays as it is. */
enum chain_status chain_fanout_resolve(const struct chain_step *step, json_t *handoff, json_t **out,
				       struct chain_error *err) CHAIN_MUST_CHECK;

/* Lists the kernels. What the step leaves to the state is `resolved` (borrowed, nullable): CHAIN_E_FANOUT_ABSENT,
 * _STATE where it is of another kind, _COUNT where there are none or too many. Files that "each" and "slices" name are
 * read from `image`, their digests checked. CHAIN_E_FANOUT_EMPTY when a pattern matches nothing, CHAIN_E_LIMIT above
 * CHAIN_FANOUT_MAX, CHAIN_E_CONFIG_DEVICE_INDEX when a device is assigned to a kernel that there is not, those of
 * image.h and fs.h. */
enum chain_status chain_fanout_expand(const struct chain_step *step, const struct chain_image *image,
				      const json_t *resolved, struct chain_fanout_set *out,
				      struct chain_error *err) CHAIN_MUST_CHECK;
void chain_fanout_set_free(struct chain_fanout_set *set);

/* The texts that each kernel gets, made from the step's handoff once: only `self` differs. */
struct chain_fanout_texts {
	const struct chain_fanout_set *set; /* borrowed */
	const char *args;                   /* borrowed: as in the pipeline */
	json_t *handoff;                    /* owned: for arguments that depend on the kernel */
	char *head;
	size_t head_bytes;      /* owned: all up to `self`'s last member of the step */
	char *text, *text_args; /* owned: of the last kernel asked for */
	size_t room_bytes;
	bool args_differ;
	bool quoted;                   /* set by the caller: see chain_template_expand_args */
	const json_t *pending;         /* borrowed, set by a caller that plans: see chain_template_expand_known */
	const struct chain_step *step; /* borrowed */
};

/* `handoff` is the step's, as chain_step_prepare makes it, `args` its expanded arguments where they are the same for
 * all (see chain_fanout_args_differ). */
enum chain_status chain_fanout_texts_make(const struct chain_step *step, const struct chain_fanout_set *set,
					  const json_t *handoff, const char *args, struct chain_fanout_texts *out,
					  struct chain_error *err) CHAIN_MUST_CHECK;
void chain_fanout_texts_free(struct chain_fanout_texts *texts);
/* The handoff of one kernel, terminated, into room for chain_fanout_text_bytes; its length. Needs no memory, and may be
 * asked for on several processors at once. */
size_t chain_fanout_handoff(const struct chain_fanout_texts *texts, size_t index, unsigned attempt, char *out);
/* Where the arguments depend on the kernel: its own, owned by the caller; null after a failure. */
enum chain_status chain_fanout_args(const struct chain_fanout_texts *texts, size_t index, unsigned attempt,
				    char **out_args, struct chain_error *err) CHAIN_MUST_CHECK;
/* Both; borrowed until the next call. */
enum chain_status chain_fanout_text(struct chain_fanout_texts *texts, size_t index, unsigned attempt,
				    const char **out_handoff, size_t *out_bytes, const char **out_args,
				    struct chain_error *err) CHAIN_MUST_CHECK;
/* Bytes that both can take up at most, terminators included. */
size_t chain_fanout_text_bytes(const struct chain_fanout_texts *texts);

/* Whether `args` names {{self.index}}, {{self.count}}, {{self.attempt}} or {{self.input…}}. */
bool chain_fanout_args_differ(const char *args);

/* The windows that `count` kernels of the step get on this machine, as many as run at once, laid out as the stage does
 * when nothing but the image, its modules and `heap_bytes` of its own are in memory. Where the step says how many run
 * at once, all must fit, else one; CHAIN_E_NO_SPACE names the window and says how much is missing. `fixed` (null:
 * another kind of kernel): the one window that its kernels have in turn; CHAIN_E_FIXED_PROCESSORS,
 * CHAIN_E_FIXED_OVERLAP. Fails as chain_fanout_workers does, too. */
struct chain_fanout_layout {
	uint32_t processors, workers; /* of the machine; of those, first ones of a kernel, which get a window */
	struct chain_range *windows;  /* owned: one for each worker */
	uint64_t window_bytes;
};
enum chain_status chain_fanout_lay_out(const struct chain_step *step, size_t count, const struct chain_fixed *fixed,
				       const struct chain_bootinfo *machine, uint64_t heap_bytes,
				       struct chain_fanout_layout *out, struct chain_error *err) CHAIN_MUST_CHECK;
void chain_fanout_layout_free(struct chain_fanout_layout *layout);

/* How many windows there are to be: a worker on each processor; where a kernel has several, on each `cpus` of all
 * but the first, which can't be taken back with the others; no more than kernels, no more than the step says.
 * CHAIN_E_FANOUT_CPUS: there are not processors enough for one. */
enum chain_status chain_fanout_workers(const struct chain_config_fanout *fanout, const char *subject, size_t count,
				       uint32_t processors, uint32_t *out, struct chain_error *err) CHAIN_MUST_CHECK;

/* How many of `count` kernels must end well for the step to be a success. */
size_t chain_fanout_required(const struct chain_config_fanout *fanout, size_t count);

#endif
