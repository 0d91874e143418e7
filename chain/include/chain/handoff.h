/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: the handoff document (docs/HANDOFF.md): reading a received one, building the next, comparing two.
 * Must not know: where it lies in memory, how a kernel finds it. */
#ifndef CHAIN_HANDOFF_H
#define CHAIN_HANDOFF_H

#include "chain/bootinfo.h"
#include "chain/config.h"
#include "chain/json_write.h"
#include "chain/json.h"
#include "abi/module_name.h"

enum {
	CHAIN_HANDOFF_MAX_BYTES = 1024 * 1024,
	CHAIN_HANDOFF_LINKS_MAX = 64, /* the first and the last ones; what is between is counted and folded */
	CHAIN_BOOT_ID_BYTES = 16,
	/* Levels a kernel's result may have: it lies in the handoff, its results, its step's entry and, of a fan-out, a
	   list. */
	CHAIN_RESULT_DEPTH_MAX = CHAIN_JSON_DEPTH_MAX - 4,
};

/* What the module string of a handoff begins with. */
#define CHAIN_HANDOFF_STRING KCHAIN_HANDOFF_NAME

/* Reads a received handoff: strict JSON, at most CHAIN_HANDOFF_MAX_BYTES, version 1, known members of the right type.
 * Unknown members are kept. New reference. CHAIN_E_HANDOFF_VERSION, CHAIN_E_HANDOFF_MEMBER, those of json.h. */
enum chain_status chain_handoff_parse(const char *text, uint64_t bytes, json_t **out,
				      struct chain_error *err) CHAIN_MUST_CHECK;

/* The number of the link that received `parent` (null: the first, 0): one more than the last, however many of them are
 * still listed. */
uint64_t chain_handoff_next_link(const json_t *parent);

/* What the handoffs of one link have in common, made and written once: the machine as all describe it, and what calls
 * are told besides, as long as nothing of chain_handoff_input changes but the step and the results. */
struct chain_handoff_shared {
	struct chain_json_known platform;
	json_t *doc; /* owned: the last call's; null: there was none */
	uint64_t tsc_hz;
	struct chain_json_kept text;
};

/* With the machine over what `parent` (nullable) said of it. Nothing is left to be freed after a failure:
 * CHAIN_E_JSON_DEPTH as for the handoff around it. */
enum chain_status chain_handoff_share(const json_t *parent, const struct chain_bootinfo *info, const char *door,
				      struct chain_handoff_shared *out, struct chain_error *err) CHAIN_MUST_CHECK;
void chain_handoff_shared_free(struct chain_handoff_shared *shared);

/* What this link adds. All borrowed; json members may be null. */
struct chain_handoff_input {
	const json_t *parent; /* received, or null for the first link */
	const struct chain_config *config;
	const struct chain_step *step;
	const uint8_t *image_sha256;         /* 32 bytes: id of this link's image; null: not a baked one */
	const char *door;                    /* how this link was entered */
	uint64_t entered_ticks;              /* TSC */
	uint64_t left_ticks;                 /* TSC; 0: this link is still running (a call) */
	uint64_t tsc_hz;                     /* 0: not known */
	const uint8_t *boot_id;              /* CHAIN_BOOT_ID_BYTES; used by the first link */
	struct chain_handoff_shared *shared; /* what the link's handoffs have in common; null: this one has nothing */
	bool own_machine; /* `bootinfo` is a machine of the kernel's own: what earlier links said of theirs does not
			     hold */
	const struct chain_bootinfo *bootinfo;
	uint64_t fs_phys, fs_bytes; /* 0: no filesystem is handed on */
	const json_t *net, *block;  /* objects by the pipeline's names */
	const json_t *results;      /* object by step */
};

/* The next handoff, new reference, with `self.kernel` still null. Members that the parent had and this link says
 * nothing of are passed on. One that was made with `shared` is let go of before the next is made with it: they may be
 * the same document. Errors of template.h where `state` can't be made. */
enum chain_status chain_handoff_build(const struct chain_handoff_input *input, json_t **out,
				      struct chain_error *err) CHAIN_MUST_CHECK;

/* The kernel's digest is known when it was opened, and whether that happens may depend on the handoff. */
enum chain_status chain_handoff_set_kernel(json_t *handoff, const struct chain_digest *digest,
					   struct chain_error *err) CHAIN_MUST_CHECK;

/* The root that the kernel is to use where it lies; `type` may be null: not known. */
enum chain_status chain_handoff_set_root(json_t *handoff, const char *type, uint64_t phys, uint64_t bytes,
					 struct chain_error *err) CHAIN_MUST_CHECK;

/* Compact text, new, that the next link can read: CHAIN_E_LIMIT above CHAIN_HANDOFF_MAX_BYTES, CHAIN_E_JSON_DEPTH above
 * CHAIN_JSON_DEPTH_MAX levels. `shared` (nullable): what is written already. */
enum chain_status chain_handoff_text(const json_t *handoff, struct chain_handoff_shared *shared, char **out,
				     uint64_t *out_bytes, struct chain_error *err) CHAIN_MUST_CHECK;

/* Replaces what no plan can know by the string "volatile": boot_id, ticks and times, whatever DHCP gave, results, and
 * the keys of `state` that the pipeline (nullable) makes of facts. In place. */
enum chain_status chain_handoff_mask(json_t *handoff, const struct chain_config *config,
				     struct chain_error *err) CHAIN_MUST_CHECK;

/* Takes leases that have ended by `now_us` (the handoff's clock) for what they are: such an interface is `present`,
 * with that reason. In place. */
enum chain_status chain_handoff_expire(json_t *handoff, uint64_t now_us, struct chain_error *err) CHAIN_MUST_CHECK;

/* The parent's entry for an interface if it is still true: configured, the same MAC or place as `config` asks for, and
 * not to be made anew. Borrowed, or null. */
const json_t *chain_handoff_keep_net(const json_t *parent, const struct chain_config_net *config);

/* Result of a called kernel as it is recorded: {"status", "exit", "result" | "reason"}. Steals `result` (nullable). New
 * reference or null. */
json_t *chain_result_entry(const char *status, int exit_status, json_t *result, const char *reason);

/* Whether `result` has all that `wanted` has (objects by subset, the rest by equality). */
bool chain_result_contains(const json_t *result, const json_t *wanted);

#endif
