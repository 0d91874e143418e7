/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: the local interrupt controller of the processor it is asked on, as xAPIC (registers in memory) or x2APIC
 * (model-specific registers): Intel SDM volume 3A chapter 11, APM volume 2 chapter 16. Must not know: who is
 * interrupted, and why. */
#ifndef STAGE_APIC_H
#define STAGE_APIC_H

#include <stdbool.h>
#include <stdint.h>

/* How its registers are reached; faked in tests. */
struct stage_apic_env {
	volatile uint32_t *registers; /* the xAPIC's page */
	uint64_t (*rdmsr)(uint32_t msr);
	void (*wrmsr)(uint32_t msr, uint64_t value);
};

struct stage_apic {
	struct stage_apic_env env;
	bool x2;
	uint32_t line0; /* as it was before stage_apic_tick */
};

enum { STAGE_APIC_XID_MAX = 254, STAGE_APIC_SPURIOUS = 0xff };
#define STAGE_APIC_NOBODY UINT32_MAX /* an id that no processor has: in x2APIC mode, all of them (SDM 11.12.9) */
/* Where the xAPIC's registers are, by IA32_APIC_BASE. */
uint64_t stage_apic_phys(const struct stage_apic_env *env);
/* Takes the mode the firmware left, or changes to x2APIC where ids beyond STAGE_APIC_XID_MAX need it (`want_x2`).
 * False: they can't be reached. To be called on each processor that is to receive interrupts. */
bool stage_apic_open(struct stage_apic *apic, const struct stage_apic_env *env, bool want_x2, bool has_x2);

/* The same without changing anything. False: it is off. */
bool stage_apic_see(struct stage_apic *apic, const struct stage_apic_env *env);
/* Whether an interrupt of this vector was taken and has not ended. */
bool stage_apic_in_service(const struct stage_apic *apic, uint8_t vector);

/* No interrupt reaches this processor any more but INIT, NMI and startup messages. */
void stage_apic_close(const struct stage_apic *apic);

/* This processor's own timer interrupts it every now and then (at most some tens of ms apart: its clock is 25 MHz to 1
 * GHz), and nothing that comes by the 8259; 0: as before. Needs no interrupt that anybody else could be asked for. */
void stage_apic_tick(struct stage_apic *apic, uint8_t vector);

uint32_t stage_apic_id(const struct stage_apic *apic);
void stage_apic_end(const struct stage_apic *apic); /* of an interrupt (EOI) */

enum stage_apic_message {                            /* interrupt command register, bits 0 to 15 (SDM figure 11-12) */
			  STAGE_APIC_FIXED = 0x4000, /* + vector */
			  STAGE_APIC_NMI = 0x4400,
			  STAGE_APIC_INIT = 0x4500,
			  STAGE_APIC_STARTUP = 0x4600, /* + page of the entry */
};
/* False: the id can't be reached in this mode, or the message was not taken within a bounded number of polls. */
bool stage_apic_send(const struct stage_apic *apic, uint32_t id, uint32_t message);

#endif
