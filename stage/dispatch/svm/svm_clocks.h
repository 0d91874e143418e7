/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: the two clocks that an isolated kernel can read: an 8254 timer (Intel 231164) that counts by the TSC, and an
 * MC146818 clock that shows the machine's date and time. Neither ever interrupts.
 * Must not know: how the kernel's instruction was caught; the machine's own timer and clock. */
#ifndef STAGE_SVM_CLOCKS_H
#define STAGE_SVM_CLOCKS_H

#include "stage/rtc.h"

#include <stdbool.h>
#include <stdint.h>

/* Of a fan-out: read only once it is made. */
struct svm_clocks {
	uint32_t tsc_khz;
	bool has_time;
	uint64_t time_tsc;     /* when `time` was */
	struct stage_rtc time; /* valid where `has_time` is set */
};

struct svm_pit {
	struct svm_pit_channel {
		uint64_t start;  /* counting: the timer's tick at which it began; else how many ticks it has counted */
		uint32_t reload; /* 1 to 65536; 0: no count was written since the control word */
		uint16_t latch;
		uint8_t control; /* of the control word: access (bits 4, 5) and mode (1 to 3) */
		uint8_t low, status;
		bool counting, low_written, low_read, latched, status_latched;
	} channels[3];
	uint8_t port_b; /* 0x61, bits 0 and 1: the gate of channel 2, the speaker */
};

/* As a BIOS leaves it: channel 0 at 18.2 Hz. */
void svm_pit_reset(struct svm_pit *pit);
/* Ports 0x40 to 0x43 and 0x61, at this value of the TSC. Null, or what the write asks for that is not there. */
const char *svm_pit_out(struct svm_pit *pit, const struct svm_clocks *clocks, uint16_t port, uint8_t value,
			uint64_t tsc);
uint8_t svm_pit_in(struct svm_pit *pit, const struct svm_clocks *clocks, uint16_t port, uint64_t tsc);

/* A register of the clock; false: it has no such register, or there is no clock. */
bool svm_rtc_in(const struct svm_clocks *clocks, uint8_t index, uint64_t tsc, uint8_t *out);

#endif
