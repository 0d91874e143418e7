/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: the ports of the 8254 timer (Intel 231164) and the control words for its channel 0, low then high byte.
 * Must not know: what is timed. */
#ifndef STAGE_CPU_PIT_H
#define STAGE_CPU_PIT_H

enum {
	PIT_CHANNEL0 = 0x40,
	PIT_CHANNEL2 = 0x42,
	PIT_CONTROL = 0x43,
	PIT0_LATCH = 0,
	PIT0_ONE_SHOT = 0x30, /* mode 0 */
	PIT0_RATE = 0x34,     /* mode 2 */
	PIT_HZ = 1193182,
};

#endif
