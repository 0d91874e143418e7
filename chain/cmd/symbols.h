/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: which function and which line of the source an address of a kernel is in, by libelf and libdw, and where the
 * file that says so is: by build-id, as debuggers find it. Must not know: faults, records, images. */
#ifndef KCHAIN_SYMBOLS_H
#define KCHAIN_SYMBOLS_H

#include "chain/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SYMBOLS_FOLDERS_MAX = 64, SYMBOLS_ID_HEX = 2 * 64 + 1 };

/* Where symbols are looked for, in this order: the kernel's own file; in each folder .build-id/xx/yyy.debug, NAME.debug
 * for a kernel NAME or NAME.elf, what its .gnu_debuglink names, there and in .debug, and any ELF file in it (not
 * below); then /usr/lib/debug. Borrowed. */
struct symbols_places {
	const char *folders[SYMBOLS_FOLDERS_MAX];
	size_t count;
};

/* A kernel; any member but the name may be null, but one of the others has to be there. Borrowed. */
struct symbols_kernel {
	const char *name; /* of its file, without folders */
	const uint8_t *bytes;
	uint64_t bytes_count;
	const char *build_id; /* hexadecimal */
	const char *digest;   /* of its bytes: chain_digest_text */
};

enum { SYMBOL_NAME_BYTES = 160, SYMBOL_FILE_BYTES = 256 };
struct symbol {
	char function[SYMBOL_NAME_BYTES]; /* UTF-8 as in the file, cut if need be; empty: not known */
	uint64_t offset;                  /* of the address from the function's beginning */
	char file[SYMBOL_FILE_BYTES];     /* as the compiler was told; empty: not known */
	unsigned line;
};

struct symbols_answer {
	char build_id[SYMBOLS_ID_HEX]; /* of the kernel; empty: it has none */
	char path[4096];               /* of the file that says it; empty: the kernel itself, or none */
	bool found;                    /* there are symbols of this kernel, though perhaps none for an address */
};

/* For each address, as the kernel had it, virtual or physical. In a process of its own (child.h), whose failure is the
 * error's. */
enum chain_status symbols_look_up(const struct symbols_places *places, const struct symbols_kernel *kernel,
				  const uint64_t *addresses, size_t count, struct symbol *out,
				  struct symbols_answer *answer, struct chain_error *err) CHAIN_MUST_CHECK;

/* "divide, src/nbody.c:25", "divide+0x12" where no line is known, "" where nothing is; cut to `size`. */
void symbol_text(const struct symbol *symbol, char *out, size_t size);

#endif
