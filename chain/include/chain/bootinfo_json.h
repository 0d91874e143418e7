/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: a bootinfo as a JSON document: `kchain run --bootinfo FILE` records it, `kchain plan --bootinfo FILE` reads it.
 * Must not know: who made it. */
#ifndef CHAIN_BOOTINFO_JSON_H
#define CHAIN_BOOTINFO_JSON_H

#include "chain/bootinfo.h"

#include <jansson.h>

/* A new reference in *out. `devices` (nullable, borrowed) are those that were looked at: an array of entries as a
 * handoff's `net` and `block` have them, each with its "class" and "name". `memory` (nullable, borrowed) is what
 * chain_bootinfo_memory_json made of the same map. `from_json` refuses unknown versions and wrong types by key; the
 * document's "devices" is an array or is not there. */
enum chain_status chain_bootinfo_to_json(const struct chain_bootinfo *info, const json_t *devices, const json_t *memory,
					 json_t **out, struct chain_error *err) CHAIN_MUST_CHECK;
enum chain_status chain_bootinfo_from_json(const json_t *doc, struct chain_bootinfo *out,
					   struct chain_error *err) CHAIN_MUST_CHECK;

/* A memory map as documents have it: a new array, or null. */
json_t *chain_bootinfo_memory_json(const struct chain_mem_entry *mem, size_t count);
/* As a bootinfo and a handoff's platform have it. Null: no memory. */
json_t *chain_bootinfo_framebuffer_json(const struct chain_framebuffer *fb);

#endif
