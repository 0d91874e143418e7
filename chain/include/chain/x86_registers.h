/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: bits of control registers and numbers of model-specific registers that more than one file needs (AMD APM volume
 * 2, 3.1 and appendix A). Must not know: who sets them, or why. */
#ifndef CHAIN_X86_REGISTERS_H
#define CHAIN_X86_REGISTERS_H

enum {
	CR0_PE = 1,
	CR0_ET = 1 << 4,
	CR0_NE = 1 << 5,
	CR4_PAE = 1 << 5,
	EFER_SCE = 1,
	EFER_LME = 1 << 8,
	EFER_LMA = 1 << 10,
	EFER_NXE = 1 << 11,
	EFER_SVME = 1 << 12,
};
#define CR0_PG (1u << 31)

#define MSR_APIC_BASE 0x1bu
#define MSR_EFER      0xc0000080u
#define MSR_FS_BASE   0xc0000100u

#endif
