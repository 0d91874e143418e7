/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* The symbols of an image for host tests, in the order and with the page borders that stage/boot/kernel.ld gives
 * them. */
	.data
	.balign	4096
	.globl	stage_image_start, stage_text_end, stage_rodata_start, stage_boot_text_end,
	.globl	stage_rodata_end, stage_data_start, stage_boot_guard
	.globl	stage_boot_stack, stage_image_end
stage_image_start:
	.skip	3 * 4096 + 100
stage_text_end:
	.balign	4096
stage_rodata_start:
	.skip	4096
stage_boot_text_end:
	.skip	2 * 4096
stage_rodata_end:
stage_data_start:
	.skip	2 * 4096
stage_boot_guard:
	.skip	4096
stage_boot_stack:
	.skip	4 * 4096
stage_image_end:
	.section .note.GNU-stack, "", @progbits
