/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: a plan for readers: as JSON (`kchain plan --json`) and as a table. The same plan gives the same text.
 * Must not know: how a plan is made. */
#ifndef CHAIN_PLAN_JSON_H
#define CHAIN_PLAN_JSON_H

#include "chain/plan.h"

#include <jansson.h>

/* New reference in *out: "mode", "entry", "eax", "ebx", "info", "handoff" (null: none), "totals" {copied, zeroed,
 * in_place}, "moves"
 * [{kind, owner, tag, source (null: not in target memory), base, end}], "claims" [{owner, tag, base, end}], "memory"
 * [{base, end, type}]. Addresses are hex strings. CHAIN_E_NO_MEMORY. */
enum chain_status chain_plan_to_json(const struct chain_plan *plan, json_t **out,
				     struct chain_error *err) CHAIN_MUST_CHECK;

/* A table of several lines, ended by a newline; *out is the caller's to free. CHAIN_E_NO_MEMORY. */
enum chain_status chain_plan_format(const struct chain_plan *plan, char **out,
				    struct chain_error *err) CHAIN_MUST_CHECK;

#endif
