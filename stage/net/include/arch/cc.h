/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: what lwIP wants to know of compiler and platform. */
#ifndef STAGE_LWIP_CC_H
#define STAGE_LWIP_CC_H

#include <stdint.h>

#define PACK_STRUCT_STRUCT    __attribute__((packed))
#define LWIP_NO_CTYPE_H       1
#define LWIP_CHKSUM_ALGORITHM 3

/* A broken invariant inside lwIP: the exception report names the place. Its texts would cost 10 KB. */
#define LWIP_PLATFORM_DIAG(x)                                                                                          \
	do {                                                                                                           \
	} while (0)
#define LWIP_PLATFORM_ASSERT(x) __builtin_trap()

uint32_t stage_lwip_random(void);
#define LWIP_RAND() stage_lwip_random()

#endif
