/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* The first-stage kernel inside the command, so that `bake` needs no compiler and no second file; and the
 * first process of a root's Linux (init/), and what starts another kernel from there (next/). */
	.section .rodata
	.balign 4096
	.globl cmd_stage_elf
	.globl cmd_stage_elf_end
cmd_stage_elf:
	.incbin STAGE_ELF
cmd_stage_elf_end:
	.byte 0

	.balign 16
	.globl cmd_root_init
	.globl cmd_root_init_end
cmd_root_init:
	.incbin ROOT_INIT
cmd_root_init_end:
	.byte 0

	.balign 16
	.globl cmd_root_next
	.globl cmd_root_next_end
cmd_root_next:
	.incbin ROOT_NEXT
cmd_root_next_end:
	.byte 0
	.section .note.GNU-stack, "", @progbits
