/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: what the parts of `kchain inspect` share: a JSON document says all, and what is printed is made of it. */
#ifndef KCHAIN_INSPECT_H
#define KCHAIN_INSPECT_H

#include "chain/elf.h"
#include "chain/cmd/image_file.h"

/* inspect_image.c: of a baked image; new. CHAIN_E_NO_MEMORY. */
enum chain_status inspect_image(const struct image_file *file, const char *path, json_t **out,
				struct chain_error *err) CHAIN_MUST_CHECK;
/* The segments of a kernel as a list, each with what it holds; new. */
json_t *inspect_segments(const struct chain_segment *segments, size_t count);
/* "0x…"; new. */
json_t *inspect_hex(uint64_t value);

/* inspect_elf.c: of a file that is one: `bits`, `type`, `machine`, `entry`, `build_id`, `segments`, `notes` and
 * `symbols`, a list of all if asked for; new. */
bool inspect_is_elf(const uint8_t *bytes, uint64_t count);
enum chain_status inspect_elf(const uint8_t *bytes, uint64_t count, const char *path, bool with_symbols, json_t **out,
			      struct chain_error *err) CHAIN_MUST_CHECK;

/* inspect_root.c: a step's root, with what its first process is told; new; null: it has none. */
struct chain_step;
json_t *inspect_root_json(const struct chain_image *image, const struct chain_step *step);
void inspect_root_print(const json_t *root);

/* inspect_print.c: either document, for people. */
void inspect_print_image(const json_t *doc);
void inspect_print_kernel(const json_t *doc);

#endif
