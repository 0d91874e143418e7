/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: {{fact|default}} in arguments and module strings: checking them against a pipeline, expanding them from a handoff.
 * Must not know: where the text is used. */
#ifndef CHAIN_TEMPLATE_H
#define CHAIN_TEMPLATE_H

#include "chain/config.h"

enum { CHAIN_TEMPLATE_MAX_BYTES = 64 * 1024 };

/* CHAIN_E_TEMPLATE_SYNTAX, _UNKNOWN, _NO_DEFAULT; `where` is the place in the pipeline. */
enum chain_status chain_template_check(const char *text, const struct chain_config *config, const char *where,
				       struct chain_error *err) CHAIN_MUST_CHECK;

/* New string. A fact that is absent takes its default where it has one; CHAIN_E_TEMPLATE_ABSENT where not,
 * _VALUE for a fact that is no plain value or holds control characters, CHAIN_E_LIMIT above CHAIN_TEMPLATE_MAX_BYTES. */
enum chain_status chain_template_expand(const char *text, const json_t *handoff, const char *where, char **out,
					struct chain_error *err) CHAIN_MUST_CHECK;

#endif
