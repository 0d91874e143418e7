/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: the VGA's 80 by 25 text screen, where the BIOS left the adapter in that mode. */
#ifndef STAGE_VGA_H
#define STAGE_VGA_H

#include <stdbool.h>
#include <stdint.h>

bool stage_vga_open(unsigned unit, const char *options);
void stage_vga_write(unsigned unit, const char *bytes, uint64_t count);

#endif
