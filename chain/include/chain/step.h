/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: all that is decided about one step before anything is started: its sources opened and checked, the handoff
 * built, the arguments expanded and, for a boot, the plan. The stage and `kchain plan` run this same code, so what a
 * boot will do can be seen beforehand. Must not know: how a plan is carried out, consoles, devices. */
#ifndef CHAIN_STEP_H
#define CHAIN_STEP_H

#include "chain/call_way.h"
#include "chain/config.h"
#include "chain/fixed.h"
#include "chain/guest.h"
#include "chain/handoff.h"
#include "chain/plan.h"
#include "chain/source.h"

/* The kernel that was opened last, if it is a file of the image that its manifest alone vouches for: a step that names
 * it again need not look for it. All zero: none. */
struct chain_opened {
	const char *source; /* borrowed from the pipeline */
	const struct chain_door *door;
	struct chain_source_bytes bytes; /* not to be closed */
	enum chain_kernel_kind kind;
};

/* The link that takes the step. All borrowed. */
struct chain_link {
	const struct chain_config *config;
	const struct chain_sources *sources; /* its bootinfo is the machine's */
	struct chain_range fs;               /* physical place of the baked filesystem */
	const json_t *parent;                /* received handoff, or null */
	const json_t *net, *block, *results; /* so far; null: none */
	const char *door;
	const uint8_t *boot_id;
	uint64_t entered_ticks, left_ticks, tsc_hz;
	const struct chain_claims
		*in_use; /* memory that this side needs until the boot; null: a plan is not carried out here */
	struct chain_handoff_shared *shared; /* what the handoffs of this link have in common; null: nothing */
	struct chain_opened *opened;         /* kept from step to step; null: nothing is */
	bool regardless;                     /* of "when": a plan shows what a step does if it is taken */
	const json_t *pending; /* facts that a plan can't know, see chain_template_expand_known; null: none */
};

struct chain_prepared {
	json_t *unmet; /* owned: {"fact", "wanted", "found"} of a "when" that does not hold; then there is only the
			  handoff besides */
	enum chain_kernel_kind kind;
	struct chain_source_bytes kernel;
	json_t *handoff; /* owned; of a fan-out, what its kernels have in common */
	json_t *fanout;  /* owned: what chain_fanout_resolve found */
	char *handoff_text;
	uint64_t handoff_bytes;            /* owned */
	char *args;                        /* owned */
	struct chain_plan_module *modules; /* owned, strings too */
	size_t module_count;
	struct chain_source_bytes *module_sources;
	size_t module_source_count;           /* owned: what the modules' bytes are borrowed from */
	const struct chain_sources *sources;  /* borrowed */
	struct chain_source_bytes root;       /* boot steps: of "root"; without bytes: none */
	struct chain_plan plan;               /* boot steps; owned */
	enum chain_call_way way;              /* call steps */
	uint64_t memory_bytes;                /* call steps: of the kernel's window or machine */
	struct chain_fixed fixed;             /* CHAIN_CALL_FIXED: where it lies */
	const struct chain_bootinfo *machine; /* borrowed */
};

/* Whether a kernel of that kind can be started as the step says: any can be booted, and called in isolation; only a
 * native one or a plain Multiboot one called otherwise (CHAIN_E_CALL_NOT_NATIVE), the former without modules
 * (CHAIN_E_CALL_MODULES), the latter one at a time (CHAIN_E_FIXED_CONCURRENCY) and without devices
 * (CHAIN_E_CONFIG_DEVICE_NATIVE). */
enum chain_status chain_step_check_kind(const struct chain_step *step, enum chain_kernel_kind kind,
					struct chain_error *err) CHAIN_MUST_CHECK;

/* The whole of a step's preparation. On failure nothing is left to be freed. */
enum chain_status chain_step_prepare(const struct chain_link *link, const struct chain_step *step,
				     struct chain_prepared *out, struct chain_error *err) CHAIN_MUST_CHECK;
void chain_prepared_free(struct chain_prepared *prepared);

enum chain_call_way chain_step_way(const struct chain_step *step, enum chain_kernel_kind kind);
/* The memory of its window or machine. */
uint64_t chain_step_memory(const struct chain_step *step, enum chain_kernel_kind kind);

/* What a call that is not native asks for, with room for texts of so many bytes. Borrows both. */
struct chain_guest_request chain_step_guest(const struct chain_step *step, const struct chain_prepared *prepared,
					    uint64_t text_bytes);
/* The bytes of its own texts: the handoff, and the terminated arguments. */
uint64_t chain_prepared_text_bytes(const struct chain_prepared *prepared);

/* The expectation's name in records and in plans. New reference, or null. */
json_t *chain_step_expect_json(const struct chain_step *step);

#endif
