/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* The first program of a Linux system, or of a root: says at which tick it was entered, and ends QEMU; where it may not
 * write to ports, it says so on its standard output and ends. */

	.text
	.globl	_start
_start:
	rdtsc				/* instructions since reset, under -icount */
	shl	$32, %rdx
	or	%rax, %rdx
	mov	$172, %eax		/* iopl: ports may be written to */
	mov	$3, %edi
	mov	%rdx, %r12
	syscall
	mov	%eax, %r13d
	lea	number(%rip), %rdi
	mov	$16, %ecx
1:	rol	$4, %r12
	mov	%r12d, %eax
	and	$15, %eax
	lea	digits(%rip), %rsi
	mov	(%rsi,%rax), %al
	stosb
	loop	1b
	lea	text(%rip), %rsi
	mov	$text_end - text, %edx
	test	%r13d, %r13d
	jnz	2f
	mov	%edx, %ecx
	mov	$0xe9, %edx
	rep outsb
	mov	$0x10, %eax		/* the verdict "as expected" (docs/RECORDS.md) */
	out	%eax, $0xf4
1:	jmp	1b
2:	mov	$1, %edi		/* write(1, text) */
	mov	$1, %eax
	syscall
	xor	%edi, %edi		/* exit(0) */
	mov	$60, %eax
	syscall

	.section .rodata
digits:	.ascii	"0123456789abcdef"
	.data
text:	.ascii	"{\"event\":\"child\",\"ticks\":\"0x"
number:	.fill	16, 1, '0'
	.ascii	"\"}\n"
text_end:
	.section .note.GNU-stack,"",@progbits
