/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: telling an interrupt of the machine from an INT instruction with its number, and ending one that nobody asked
 * for. Must not know: calls. */
#ifndef STAGE_INTERRUPTS_H
#define STAGE_INTERRUPTS_H

#include "chain/error.h"

#include <stdbool.h>
#include <stdint.h>

/* Once, before the first call: the 8259s are masked and away from the exceptions. CHAIN_E_NO_MEMORY: no tables to reach
 * the local APIC by. */
enum chain_status stage_interrupts_open(struct chain_error *err) CHAIN_MUST_CHECK;
/* Whether the vector that has just come on this processor is in service at a controller, or one that controllers send
 * for nothing. */
bool stage_interrupt_came(uint8_t vector);
/* Ends it, and counts it. */
void stage_interrupt_dismiss(uint8_t vector);
/* How many there were, on all processors. */
uint64_t stage_interrupts_dismissed(void);

#endif
