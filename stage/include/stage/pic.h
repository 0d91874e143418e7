/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: the PC's two 8259A interrupt controllers (Intel 231468), where a machine has them.
 * Must not know: who is interrupted, and why. */
#ifndef STAGE_PIC_H
#define STAGE_PIC_H

#include <stdbool.h>
#include <stdint.h>

enum { STAGE_PIC_VECTOR = 0x20, STAGE_PIC_LINES = 16, STAGE_PIC_TIMER = 0 /* line */ };

/* Whatever the firmware or a kernel had made of them: all lines masked, at vectors from STAGE_PIC_VECTOR on. */
void stage_pic_reset(void);
/* The same, unless it was done before. */
void stage_pic_prepare(void);
/* Lets one line of the first controller through. */
void stage_pic_unmask(uint8_t line);
/* Whether the vector is an interrupt that came by them: one in service, or what they send when a line is quiet again
 * before they were asked. */
bool stage_pic_has(uint8_t vector);
/* Ends such an interrupt. */
void stage_pic_end(uint8_t vector);

#endif
