/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: where in a JSON text something stands that a path of json_walk.h names. The parser keeps no places: they are
 * looked for when they are to be reported. Must not know: what the documents mean. */
#ifndef CHAIN_JSON_PLACE_H
#define CHAIN_JSON_PLACE_H

#include <stdint.h>

struct chain_json_place {
	uint64_t offset;       /* in bytes: of a member's key, of an element of an array, or of the whole document */
	uint64_t value_offset; /* of the value itself */
	uint64_t line, column; /* of `offset`, from 1; the column in characters */
};

/* What the text, which may be any text, does not have is looked for as far as it has the way there: of a missing member
 * the object is reported. So is what stands before the "..." of a path that was cut. Takes time in proportion to the
 * text, and no memory. */
struct chain_json_place chain_json_find(const char *text, uint64_t bytes, const char *path);

#endif
