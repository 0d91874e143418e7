/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: where people's text and machine records go: a 16550 UART, the VGA text screen, QEMU's debug port; in a called
 * kernel, the caller's console. A console that is not there, or stopped answering, swallows its text; nothing ever
 * waits for good. Must not know: what is written. */
#ifndef STAGE_CONSOLE_H
#define STAGE_CONSOLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* "com1", "com1,115200" to "com4", "vga", "none". False: not a console's name (nothing changed). One that is
 * missing from the machine is taken and ignored. Until the first call everything goes to com1 at 115200 and vga. */
bool stage_console_add(const char *name);
/* Forgets the list: nothing is written until the next add. */
void stage_console_clear(void);

/* Whether anybody reads what is written: a text costs thousands of instructions to make. */
bool stage_console_is_open(void);
void stage_console_write(const char *bytes, uint64_t count);
void stage_console_put(const char *bytes, uint64_t count); /* the same for a booted kernel; count > 0 */

/* One machine record: a JSON object without newline. To the debug port where there is one, else to the consoles
 * behind "@kchain ". */
void stage_record(const char *json, uint64_t count);
/* The same for one that lies in several texts. */
void stage_record_parts(const char *const *texts, size_t count);

/* Whether the VGA is there and shows text, as the BIOS left it. */
bool stage_vga_is_text(void);

#endif
