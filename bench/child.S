/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* The child that every loader in bench/ starts: it says at which tick it was entered, and ends QEMU.
 * bench/child.py links it at the address where it is to run, and says where the whole child will end. By Multiboot 1,
 * unless DOOR_multiboot2, DOOR_pvh or DOOR_linux is defined: the former has a header, too; of the others, whose headers
 * child.py makes, the first byte is the entry point. */

	.code32
	.text
	.globl	_start
#if defined(DOOR_multiboot2)
header:
	.long	0xe85250d6, 0, tags_end - header, -(0xe85250d6 + (tags_end - header))
	.short	2, 0
	.long	24, header, header, CHILD_END, CHILD_END
	.short	3, 0
	.long	12, _start, 0
	.short	0, 0
	.long	8
tags_end:
#elif !defined(DOOR_pvh) && !defined(DOOR_linux)
header:
	.long	0x1badb002, 1 << 16, -(0x1badb002 + (1 << 16))
	.long	header, header, CHILD_END, CHILD_END, _start
#endif

_start:
	mov	%eax, %ebp		/* the door's magic */
	rdtsc				/* instructions since reset, under -icount */
	mov	$stack, %esp		/* only now: a Multiboot loader need not leave a stack */
	push	%eax
	push	%edx

	mov	$entered, %esi
	call	say
	pop	%edx			/* the high half first */
	call	say_hex
	pop	%edx
	call	say_hex
	mov	$by, %esi
	call	say
	mov	%ebp, %edx
	call	say_hex
	mov	$end, %esi
	call	say
	mov	$0x10, %eax		/* the verdict "as expected" (docs/RECORDS.md) */
	out	%eax, $0xf4
1:	cli
	hlt
	jmp	1b

#include "say.S"

entered: .asciz	"{\"event\":\"child\",\"ticks\":\"0x"
by:	.asciz	"\",\"magic\":\"0x"
end:	.asciz	"\"}\n"
	.balign	16
	.skip	64
stack:
