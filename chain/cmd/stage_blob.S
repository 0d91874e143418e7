/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* The first-stage kernel inside the command, so that `bake` needs no compiler and no second file. */
	.section .rodata
	.balign 4096
	.globl cmd_stage_elf
	.globl cmd_stage_elf_end
cmd_stage_elf:
	.incbin STAGE_ELF
cmd_stage_elf_end:
	.byte 0
	.section .note.GNU-stack, "", @progbits
