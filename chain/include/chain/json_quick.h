/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: reading results of a fan-out's kernels on the processors where they ran, for which jansson's reader does not
 * serve: its strtod takes 8 KiB of stack, it reports through errno, which is the boot processor's, and it takes 5,000
 * instructions for a result of a few bytes, half of all that is done for a kernel. All else is read by jansson alone
 * (chain/json.h). Must not know: what is wrong with a text that it does not take. */
#ifndef CHAIN_JSON_QUICK_H
#define CHAIN_JSON_QUICK_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

/* The value that chain_json_any makes of the text: a new reference. Null: that one has to be asked, which may take the
 * text, too. Left to it are texts with escapes in strings, with numbers of many digits, that are no JSON, or that
 * memory was lacking for. Takes no lock and keeps nothing: several
 * processors may read at once, each with memory of its own (chain/json_memory.h). */
json_t *chain_json_quick(const char *text, uint64_t bytes, unsigned max_depth);

#endif
