/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: what failing_io.c tells failing_command.c. */
#ifndef CHAIN_TESTS_FAILING_IO_H
#define CHAIN_TESTS_FAILING_IO_H

#include <stdbool.h>

/* Whether a system call failed, or a file was cut. */
bool failing_io_failed(void);

#endif
