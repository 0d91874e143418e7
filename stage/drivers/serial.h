/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: 16550 UARTs at their PC addresses (National Semiconductor PC16550D). Every wait is bounded. */
#ifndef STAGE_SERIAL_H
#define STAGE_SERIAL_H

#include <stdbool.h>
#include <stdint.h>

/* `options`: the baud rate, "" for 115200. False when there is no UART, or the rate is not one. */
bool stage_serial_open(unsigned unit, const char *options);
void stage_serial_write(unsigned unit, const char *bytes, uint64_t count);

#endif
