/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: the pipeline (docs/PIPELINE.md): from JSON text to a checked struct, and its canonical form as it is baked.
 * Must not know: files of the host, kernels, devices, what a step does. */
#ifndef CHAIN_CONFIG_H
#define CHAIN_CONFIG_H

#include "chain/errors.h"
#include "chain/hash.h"

#include <jansson.h>
#include <stdbool.h>

enum {
	CHAIN_CONFIG_MAX_BYTES = 1024 * 1024,
	CHAIN_CONFIG_NAME_MAX = 63,
	CHAIN_CALL_MEMORY_MIN = 128 * 1024,
	CHAIN_CALL_MEMORY_MAX = 1024 * 1024 * 1024,
	CHAIN_CALL_RETRIES_MAX = 100,
};

struct chain_config_file {
	char *path;                          /* in the image */
	char *from;                          /* on the host, relative to the pipeline file; null in a baked pipeline */
	uint32_t mode;                       /* CHAIN_CONFIG_MODE_AS_IS: as the host's file has it */
	uint64_t align_bytes, reserve_bytes; /* 0: nothing special */
};
#define CHAIN_CONFIG_MODE_AS_IS UINT32_MAX

/* ABSENT: the boot ends where there is one that matches; it is not configured. */
enum chain_need { CHAIN_NEED_OPTIONAL, CHAIN_NEED_REQUIRED, CHAIN_NEED_ABSENT };

struct chain_config_net {
	char *name;
	char *mac, *pci;     /* what it must match; null: anything */
	bool dhcp;           /* else static */
	uint64_t timeout_us; /* of DHCP */
	char *address;       /* "10.0.2.15/24" */
	char *gateway;       /* null: none */
	char **dns;
	size_t dns_count;
	char *hostname; /* sent with DHCP requests; null: none */
	enum chain_need need;
	bool fresh; /* configure it even if the handoff says it is */
};

struct chain_config_block {
	char *name;
	char *serial, *pci; /* null: any */
	bool has_index;
	uint64_t index; /* the n-th found, from 0 */
	enum chain_need need;
};

/* What vouches for the bytes of a source. */
struct chain_config_pin {
	bool unverified;
	bool pinned[CHAIN_DIGEST_KINDS];
	uint8_t digests[CHAIN_DIGEST_KINDS][CHAIN_SHA256_BYTES];
};
/* By a digest of either kind. */
bool chain_config_is_pinned(const struct chain_config_pin *pin);

struct chain_config_module {
	char *from;   /* source */
	char *string; /* may hold {{…}} */
	struct chain_config_pin pin;
};

struct chain_door;
enum chain_step_kind { CHAIN_STEP_CALL, CHAIN_STEP_BOOT };
enum chain_expect { CHAIN_EXPECT_ENTERED, CHAIN_EXPECT_SUCCESS, CHAIN_EXPECT_CONSOLE, CHAIN_EXPECT_RESULT };
enum chain_on_error { CHAIN_ON_ERROR_HALT, CHAIN_ON_ERROR_REBOOT, CHAIN_ON_ERROR_CONTINUE, CHAIN_ON_ERROR_BOOT };

/* What a called kernel runs in: a window of the stage's own address space (a kernel with fixed addresses:
 * chain/fixed.h), or a machine of its own (chain/guest.h). */
enum chain_isolation { CHAIN_ISOLATION_NONE, CHAIN_ISOLATION_SVM };

enum { CHAIN_FANOUT_MAX = 65536, CHAIN_FANOUT_CPUS_MAX = 1023 };
enum chain_fanout_kind {
	CHAIN_FANOUT_NONE,
	CHAIN_FANOUT_COUNT,
	CHAIN_FANOUT_LIST,
	CHAIN_FANOUT_EACH,
	CHAIN_FANOUT_SLICES
};

/* "fanout" of a call step: the call is made many times, side by side. */
struct chain_config_fanout {
	enum chain_fanout_kind kind; /* CHAIN_FANOUT_NONE: an ordinary call */
	uint64_t count;              /* all but CHAIN_FANOUT_EACH; 0 with `from` */
	char *from; /* CHAIN_FANOUT_COUNT and _LIST: the fact of the state that says it at boot ("state.inputs"); null:
		       it is written here */
	json_t *list;         /* CHAIN_FANOUT_LIST: owned */
	char *path;           /* "fs:/…": CHAIN_FANOUT_EACH (a pattern), CHAIN_FANOUT_SLICES */
	bool at_byte;         /* slices end anywhere, not at the end of a line */
	uint64_t concurrency; /* 0: as many as there are processors for */
	uint64_t cpus;        /* processors of each kernel, at least 1; 0, where nothing was read, is 1 */
	unsigned require_percent;
	uint64_t require_count; /* one of them; percent 0: the count */
	bool stop;              /* nothing more is started after a kernel has failed for good */
	bool mute;              /* the kernels' console text is dropped */
};

/* One entry of "devices": an interface or a disk of the pipeline, and the kernel of the step that has it to itself. */
struct chain_config_assigned {
	char *name;
	uint64_t kernel;       /* its index; 0 where there is no fan-out */
	bool is_net, required; /* as the pipeline's own entry says */
};

enum chain_config_handoff { CHAIN_CONFIG_HANDOFF_LAST, CHAIN_CONFIG_HANDOFF_FIRST, CHAIN_CONFIG_HANDOFF_NONE };

struct chain_step {
	char *name;
	json_t *when; /* facts and the values they must have for the step to be taken; owned; null: always */
	enum chain_step_kind kind;
	char *source;
	struct chain_config_pin pin;
	const struct chain_door *door; /* the protocol that the kernel is started by; null: as its file says */
	char *args;                    /* may hold {{…}}; never null; begins with argv0 where there is one */
	char *argv0;                   /* what the kernel is to take for its own name; null: nothing */
	struct chain_config_module *modules;
	size_t module_count;
	enum chain_config_handoff handoff_at;
	char *handoff_string;   /* begins with "kchain-handoff" unless handoff_at is none */
	bool fs_keep;           /* boot */
	bool video_required;    /* the screen must be of the kind that the kernel asks for */
	char *root, *root_type; /* boot: "fs:/…", a file system that the kernel uses where it lies, and what kind it is
				   (null: not said); null: none */
	bool root_unverified;   /* its bytes are not hashed */
	bool kaslr, kaslr_said; /* boot: a Linux kernel stays packed, or does not; not said: as is quicker */
	uint64_t memory_bytes, timeout_us, retries; /* call */
	bool memory_said; /* else memory_bytes is the default, which a kernel with fixed addresses has another of */
	enum chain_isolation isolation; /* call */
	struct chain_config_assigned *devices;
	size_t device_count;               /* call */
	struct chain_config_fanout fanout; /* call */
	enum chain_expect expect;
	char *expect_console;  /* CHAIN_EXPECT_CONSOLE */
	json_t *expect_result; /* CHAIN_EXPECT_RESULT; owned */
	enum chain_on_error on_error;
	struct chain_step *fallback; /* CHAIN_ON_ERROR_BOOT; owned */
};

struct chain_config {
	char *name;
	char **console;
	size_t console_count;
	bool verify_all;
	struct chain_config_file *files;
	size_t file_count;
	struct chain_config_net *net;
	size_t net_count;
	struct chain_config_block *block;
	size_t block_count;
	struct chain_step *steps;
	size_t step_count;
	json_t *state; /* owned object */
	json_t *doc;   /* owned: the whole document as read */
};

/* Parses and checks. `subject` is the file's name for syntax errors; other errors name the place in the document, in
 * the form of json_walk.h. `baked` allows file entries without a host path. On failure nothing is left in *out. */
enum chain_status chain_config_parse(const char *text, uint64_t bytes, const char *subject, bool baked,
				     struct chain_config *out, struct chain_error *err) CHAIN_MUST_CHECK;
/* The same, and reads on behind what is wrong: all of it is reported. What could be read is left in *out, for the
 * caller to free whatever is returned, which is the first failure's status. */
enum chain_status chain_config_parse_all(const char *text, uint64_t bytes, const char *subject, bool baked,
					 struct chain_config *out, struct chain_errors *errors);
void chain_config_free(struct chain_config *config);

/* Whether a call of `count` kernels has each that "devices" of the step names. CHAIN_E_CONFIG_DEVICE_INDEX; `where` is
 * what the error calls the step. */
enum chain_status chain_config_check_assigned(const struct chain_step *step, uint64_t count, const char *where,
					      struct chain_error *err) CHAIN_MUST_CHECK;

/* The names of the devices that kernel `index` of the step has to itself, in the pipeline's order: an array; null in
 * *out where it has none. */
enum chain_status chain_config_assigned_names(const struct chain_step *step, uint64_t index, json_t **out,
					      struct chain_error *err) CHAIN_MUST_CHECK;

/* The form that is baked: compact, keys sorted, host paths taken out. Parsed again with `baked` it gives the same
 * pipeline. New string, caller frees. */
enum chain_status chain_config_baked_text(const struct chain_config *config, char **out,
					  struct chain_error *err) CHAIN_MUST_CHECK;

/* Whether each "fs:" source of the steps is there, as `exists` says. CHAIN_E_CONFIG_NO_SOURCE for each that is not. The
 * status is the first's. */
typedef bool chain_config_exists(void *ctx, const char *path);
enum chain_status chain_config_check_sources(struct chain_config *config, chain_config_exists *exists, void *ctx,
					     struct chain_errors *errors);

#endif
