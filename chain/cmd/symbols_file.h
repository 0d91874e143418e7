/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: finding the file that has a kernel's symbols. Runs in a process of its own: what it opens is a stranger's, and
 * what it opened is left to that process's end. Must not know: what is done with it. */
#ifndef KCHAIN_SYMBOLS_FILE_H
#define KCHAIN_SYMBOLS_FILE_H

#include "symbols.h"

#include <gelf.h>

struct symbols_file {
	Elf *elf;
	char build_id[SYMBOLS_ID_HEX]; /* of the kernel; empty: it has none */
	char path[4096];               /* empty: the kernel's own bytes */
};

/* The best there is: one with lines, else one with names. False: neither; build_id is set nevertheless where it is
 * known. */
bool symbols_file_open(const struct symbols_places *places, const struct symbols_kernel *kernel,
		       struct symbols_file *out);

#endif
