/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: reading JSON that is written as most of it is, in a fifth of the instructions that jansson's reader takes. Must
 * not know: what is wrong with a text that it does not take. */
#ifndef CHAIN_JSON_QUICK_H
#define CHAIN_JSON_QUICK_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

/* The value that chain_json_any makes of the text: a new reference. Null: that one has to be asked, which may take the
 * text, too. Left to it are texts with escapes in strings, with numbers of many digits, that are no JSON, or that
 * memory was lacking for. `any`: also what is neither an object nor an array. Takes no lock and keeps nothing: several
 * processors may read at once, each with memory of its own (chain/json_memory.h). */
json_t *chain_json_quick(const char *text, uint64_t bytes, unsigned max_depth, bool any);

#endif
