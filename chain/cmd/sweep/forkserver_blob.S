/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* The library that makes a QEMU a fork server, inside the command. */
	.section .rodata
	.globl cmd_forkserver_so
	.globl cmd_forkserver_so_end
cmd_forkserver_so:
	.incbin FORKSERVER_SO
cmd_forkserver_so_end:
	.byte 0
	.section .note.GNU-stack, "", @progbits
