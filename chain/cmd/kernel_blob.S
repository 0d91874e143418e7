/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* The script that fetches a Linux kernel, inside the command. */
	.section .rodata
	.globl cmd_kernel_fetch_sh
cmd_kernel_fetch_sh:
	.incbin "chain/cmd/kernel/fetch.sh"
	.byte 0
	.section .note.GNU-stack, "", @progbits
