/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: {{fact|default}} in arguments, module strings and state: checking them against a pipeline, expanding them from
 * a handoff. Must not know: where the text is used. */
#ifndef CHAIN_TEMPLATE_H
#define CHAIN_TEMPLATE_H

#include "chain/config.h"

enum { CHAIN_TEMPLATE_MAX_BYTES = 64 * 1024, CHAIN_TEMPLATE_FACT_BYTES = 1024 /* room for one value */ };

/* New string. A fact that is absent takes its default where it has one; CHAIN_E_TEMPLATE_ABSENT where not,
 * _VALUE for a fact that is no plain value, is longer than CHAIN_TEMPLATE_FACT_BYTES or holds control characters,
 * CHAIN_E_LIMIT above CHAIN_TEMPLATE_MAX_BYTES. */
enum chain_status chain_template_expand(const char *text, const json_t *handoff, const char *where, char **out,
					struct chain_error *err) CHAIN_MUST_CHECK;

/* The same, but a fact that `pending` (nullable) speaks of is left as it stands, braces and all: what is not known
 * before a boot is seen to be so. Its form is the handoff's: {"results": {"sum": …}} is about every fact that begins
 * with results.sum. */
enum chain_status chain_template_expand_known(const char *text, const json_t *handoff, const json_t *pending,
					      const char *where, char **out, struct chain_error *err) CHAIN_MUST_CHECK;

/* The same for a step's arguments. `quoted`: they are a native kernel's, in which a value stands for itself whatever
 * quotes and backslashes it has (chain/args.h). */
enum chain_status chain_template_expand_args(const char *text, const json_t *handoff, const json_t *pending,
					     bool quoted, const char *where, char **out,
					     struct chain_error *err) CHAIN_MUST_CHECK;

/* Whether each fact that a text names can be there when a step runs, or has a default. CHAIN_E_TEMPLATE_SYNTAX,
 * CHAIN_E_TEMPLATE_UNKNOWN, CHAIN_E_TEMPLATE_NO_DEFAULT name the path. */
struct chain_json_path; /* chain/json_walk.h */
enum chain_status chain_template_check(const char *text, const struct chain_config *config,
				       struct chain_json_path *path, struct chain_error *err) CHAIN_MUST_CHECK;

/* Whether a value of `state` is made of a fact that `pending` speaks of. */
bool chain_template_pending(const json_t *value, const json_t *pending);

/* Whether a JSON value has a template in it, in any depth; and whether it is one that may stand for null. */
bool chain_template_in(const json_t *value);
bool chain_template_may_be_null(const json_t *value);

/* A value of `state` with its templates filled in. A text that is one template and nothing else takes the fact's JSON
 * value with its type (the default's, where that reads as JSON, else it is a text); others become text. New reference,
 * which may share parts with the handoff. Errors as chain_template_expand. */
enum chain_status chain_template_fill(const json_t *value, const json_t *handoff, const char *where, json_t **out,
				      struct chain_error *err) CHAIN_MUST_CHECK;

#endif
