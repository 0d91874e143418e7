/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Shared by image_probe.c and image_looks.c: what is said of a file that can't be started. */
#ifndef CHAIN_IMAGE_LOOKS_H
#define CHAIN_IMAGE_LOOKS_H

#include "chain/error.h"

/* Of one that nobody knows how to start: CHAIN_E_NOT_A_KERNEL with what it is instead, or what is wrong with it as an
 * ELF file. */
enum chain_status chain_image_refuse(const void *bytes, uint64_t bytes_count, const char *subject,
				     struct chain_error *err);
/* Of one that has a Multiboot header without address fields, and is no ELF file. */
enum chain_status chain_image_refuse_unplaced(const void *bytes, uint64_t bytes_count, const char *subject,
					      struct chain_error *err);

#endif
