/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: what other processes there are, by /proc. Must not know: whose they are. */
#ifndef INIT_PROCESSES_H
#define INIT_PROCESSES_H

#include <stdbool.h>
#include <stddef.h>

/* How many run besides this one and the kernel's own; the names of the first, as far as there is room. */
unsigned init_processes(char *names, size_t size);
/* Asks all of them to end, and after two seconds makes them. */
void init_processes_end(void);
/* Whether the kernel has killed one for want of memory since it began. */
bool init_out_of_memory(void);

#endif
