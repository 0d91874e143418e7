/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: the memory that jansson gets, and what it lacked. Once an allocation has failed all others do, until that has
 * been reported: jansson passes over a lost character of a string or a lost member when one allocation fails and the
 * next does not, and calls a text wrong that it had no memory for. Must not know: any document. One of a program, for
 * one thread of it: others may only make values, by chain_json_quick, in memory that is their own. */
#ifndef CHAIN_JSON_MEMORY_H
#define CHAIN_JSON_MEMORY_H

#include "chain/error.h"

#include <stddef.h>
#include <stdint.h>

/* Before the first value is made. Reading a text does it, too (chain/json.h). */
void chain_json_memory_init(void);

/* Whom values get their memory from from now on, instead of chain_json_memory_take, which is malloc and remembers what
 * failed. It goes back by free. */
void chain_json_memory_from(void *(*take)(size_t bytes));
void *chain_json_memory_take(size_t bytes);

/* Bytes of the first allocation that failed; 0: none has. */
uint64_t chain_json_memory_lacking(void);

/* An allocation of JSON that is not jansson's failed. */
void chain_json_memory_fail(uint64_t bytes);

/* Something could not be made: CHAIN_E_NO_MEMORY with those bytes; where no allocation failed, CHAIN_E_JSON_TEXT. */
enum chain_status chain_json_no_memory(struct chain_error *err, const char *subject);

/* The failure has been reported, or is about to be: memory is allocated again. */
void chain_json_memory_reset(void);

#endif
