/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* The first 1024 bytes of a bzImage whose code in real mode only says at which tick it was entered, and ends QEMU:
 * where QEMU's own -kernel enters Linux. bench/child.py fills in the sizes. Offsets: Documentation/arch/x86/boot.rst.
 */

	.code16
	.text
	.org	0x1f1
	.byte	1			/* setup_sects */
	.org	0x1fe
	.word	0xaa55
	jmp	begin
	.ascii	"HdrS"
	.word	0x20c			/* protocol */
	.org	0x211
	.byte	1			/* loaded high */
	.org	0x22c
	.long	0x7fffffff		/* initrd_addr_max */
	.long	0x200000		/* alignment */
	.byte	1, 0			/* relocatable */
	.org	0x238
	.long	2047			/* cmdline_size */
	.org	0x26c
begin:
	rdtsc				/* instructions since reset, under -icount */
	mov	%cs, %bx
	mov	%bx, %ds
	mov	%bx, %ss
	mov	$0x3f0, %sp
	push	%eax
	push	%edx
	mov	$(entered - 0x200), %si	/* CS is 512 bytes behind where the file lies */
	call	say
	pop	%edx
	call	say_hex
	pop	%edx
	call	say_hex
	mov	$(end - 0x200), %si
	call	say
	mov	$0x10, %eax		/* the verdict "as expected" (docs/RECORDS.md) */
	mov	$0xf4, %dx
	out	%eax, %dx
1:	cli
	hlt
	jmp	1b

#include "say.S"

entered: .asciz	"{\"event\":\"child\",\"ticks\":\"0x"
end:	.asciz	"\"}\n"
	.org	0x400
