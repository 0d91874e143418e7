/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: the header of a Multiboot 1 kernel that is loaded where its address fields say (section 3.1.3). */
#ifndef CHAIN_TESTS_LOW_KERNEL_H
#define CHAIN_TESTS_LOW_KERNEL_H

#include "chain/multiboot1_format.h"

#include <string.h>

/* At the beginning of `kernel`, whose first `bytes` are loaded to `load`; entered behind the header. */
static inline void low_kernel_header(uint8_t *kernel, uint32_t bytes, uint32_t load, uint32_t bss_end)
{
	const uint32_t flags = MULTIBOOT_AOUT_KLUDGE;
	const uint32_t header[] = { MULTIBOOT_HEADER_MAGIC,
				    flags,
				    0u - MULTIBOOT_HEADER_MAGIC - flags,
				    load,
				    load,
				    load + bytes,
				    bss_end,
				    load + 64 };
	memcpy(kernel, header, sizeof(header));
}

#endif
