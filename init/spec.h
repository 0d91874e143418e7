/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: what /kchain/root.json says, the file that `bake` writes for this init (docs/ROOTS.md), and the words of the
 * kernel's command line that change it. Must not know: how any of it is done. */
#ifndef INIT_SPEC_H
#define INIT_SPEC_H

#include "chain/json.h"

enum { INIT_SPEC_MAX_BYTES = 1024 * 1024, INIT_SIGNALS = 65 /* Linux has 1 to 64 */ };

/* What of the root can be written to; what is written is in memory, and lost at the end. */
enum init_write { INIT_WRITE_OVERLAY, INIT_WRITE_TMP, INIT_WRITE_NONE };
enum init_end { INIT_END_POWEROFF, INIT_END_REBOOT };

struct init_variable {
	char *name, *value;
};

/* All texts are owned, and null where the document says nothing and there is no default. */
struct init_spec {
	char **modules; /* in the order in which they are loaded */
	size_t module_count;
	char *device; /* below /dev */
	char *type, *options;
	unsigned write; /* enum init_write */
	char **argv;
	size_t argc;
	struct init_variable *env;
	size_t env_count;
	char *workdir, *user; /* null: "/", root */
	unsigned stop_signal; /* SIGTERM where it is not said */
	bool shell;           /* on the console, in the place of the program */
	char *hostname;
	unsigned end; /* enum init_end */
};

/* Reads the document. Unknown keys are ignored. Errors of json.h, and CHAIN_E_JSON_TYPE, _WORD, _MISSING_KEY with the
 * key's place. *out holds what init_spec_free frees, also after a failure. */
enum chain_status init_spec_parse(const char *text, uint64_t bytes, struct init_spec *out,
				  struct chain_error *err) CHAIN_MUST_CHECK;
void init_spec_free(struct init_spec *spec);

/* Words of the kernel's command line: kchain.shell=0 or 1, kchain.hostname=NAME, kchain.write=WORD, kchain.end=WORD.
 * Others that begin with "kchain." are CHAIN_E_JSON_UNKNOWN_KEY, other values CHAIN_E_JSON_WORD. */
enum chain_status init_spec_cmdline(const char *cmdline, struct init_spec *spec,
				    struct chain_error *err) CHAIN_MUST_CHECK;

/* Fills in the templates of the environment's values from a handoff. Errors of chain/template.h. */
enum chain_status init_spec_expand(struct init_spec *spec, const json_t *handoff,
				   struct chain_error *err) CHAIN_MUST_CHECK;

/* "SIGTERM", "TERM", "15"; 0: no signal has that name. */
unsigned init_signal_number(const char *text);
/* "SIGTERM"; of those without a name their number. */
const char *init_signal_name(unsigned number, char out[16]);

#endif
