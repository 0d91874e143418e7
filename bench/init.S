/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* The first program of a Linux system: says at which tick it was entered, and ends QEMU. */

	.text
	.globl	_start
_start:
	rdtsc				/* instructions since reset, under -icount */
	shl	$32, %rdx
	or	%rax, %rdx
	mov	%rdx, %r12
	mov	$172, %eax		/* iopl: ports may be written to */
	mov	$3, %edi
	syscall
	lea	entered(%rip), %rsi
	call	say
	mov	$16, %ecx
1:	rol	$4, %r12
	mov	%r12d, %eax
	and	$15, %eax
	lea	digits(%rip), %rsi
	mov	(%rsi,%rax), %al
	out	%al, $0xe9
	loop	1b
	lea	end(%rip), %rsi
	call	say
	mov	$0x10, %eax		/* the verdict "as expected" (docs/RECORDS.md) */
	out	%eax, $0xf4
1:	jmp	1b

1:	out	%al, $0xe9
say:	lodsb
	test	%al, %al
	jnz	1b
	ret

	.section .rodata
entered: .asciz	"{\"event\":\"child\",\"ticks\":\"0x"
end:	.asciz	"\"}\n"
digits:	.ascii	"0123456789abcdef"
	.section .note.GNU-stack,"",@progbits
