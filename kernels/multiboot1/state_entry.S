/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Keeps what the processor held at the entry (state.h), before anything of it is used, and goes to 64-bit mode (APM
 * 14.6.1): the first GiB is mapped as it is. */

#include "state.h"

	.section .header, "a"
	.long	0x1badb002, 0, -0x1badb002

	.text
	.code32
	.globl	start
start:
	mov	%eax, found + FOUND_MAGIC
	mov	%ebx, found + FOUND_INFO
	mov	%ecx, found + FOUND_GENERAL
	mov	%edx, found + FOUND_GENERAL + 4
	mov	%esi, found + FOUND_GENERAL + 8
	mov	%edi, found + FOUND_GENERAL + 12
	mov	%ebp, found + FOUND_GENERAL + 16
	mov	%esp, found + FOUND_GENERAL + 20
	mov	$stack_end, %esp
	pushf
	popl	found + FOUND_FLAGS
	pushl	$2
	popf
	sgdt	found + FOUND_GDTR
	sidt	found + FOUND_IDTR
	sldt	found + FOUND_LDTR
	str	found + FOUND_TR
	mov	%ds, found + FOUND_SELECTORS
	mov	%es, found + FOUND_SELECTORS + 2
	mov	%fs, found + FOUND_SELECTORS + 4
	mov	%gs, found + FOUND_SELECTORS + 6
	mov	%ss, found + FOUND_SELECTORS + 8
	mov	%cr0, %eax
	mov	%eax, found + FOUND_CR
	mov	%cr2, %eax
	mov	%eax, found + FOUND_CR + 4
	mov	%cr3, %eax
	mov	%eax, found + FOUND_CR + 8
	mov	%cr4, %eax
	mov	%eax, found + FOUND_CR + 12

	or	$0x20, %eax		/* CR4.PAE */
	mov	%eax, %cr4
	mov	$pml4, %eax
	mov	%eax, %cr3
	mov	$0xc0000080, %ecx	/* EFER.LME */
	rdmsr
	mov	%eax, found + FOUND_EFER
	or	$0x100, %eax
	wrmsr
	mov	%cr0, %eax
	or	$0x80000000, %eax
	mov	%eax, %cr0
	lgdt	gdt_pointer
	ljmp	$SELECTOR_CODE, $1f

	.code64
1:	mov	%r8, found + FOUND_GENERAL64
	mov	%r9, found + FOUND_GENERAL64 + 8
	mov	%r10, found + FOUND_GENERAL64 + 16
	mov	%r11, found + FOUND_GENERAL64 + 24
	mov	%r12, found + FOUND_GENERAL64 + 32
	mov	%r13, found + FOUND_GENERAL64 + 40
	mov	%r14, found + FOUND_GENERAL64 + 48
	mov	%r15, found + FOUND_GENERAL64 + 56
	mov	$SELECTOR_DATA, %eax
	mov	%eax, %ss
	mov	$stack_end, %esp
	call	begin

/* The last byte of the record goes out with a pattern in all registers but those that this takes. RDI: flags, RSI:
 * port. */
	.globl	leave_marked
leave_marked:
	mov	%esi, %edx
	mov	$PATTERN, %rbx
	mov	%rbx, %rcx
	mov	%rbx, %rsi
	mov	%rbx, %rbp
	mov	%rbx, %r8
	mov	%rbx, %r9
	mov	%rbx, %r10
	mov	%rbx, %r11
	mov	%rbx, %r12
	mov	%rbx, %r13
	mov	%rbx, %r14
	mov	%rbx, %r15
	mov	$'\n', %eax
	push	%rdi
	mov	%rbx, %rdi
	popf
	mov	%rbx, %rsp
	out	%al, %dx
1:	cli
	hlt
	jmp	1b

/* What the first 32 vectors come to: the error code, where there is one, is not looked at. A function that is being
 * tried returns that it failed. */
	.globl	traps
	.balign	16
traps:
	.set	vector, 0
	.rept	32
	.balign	16
	mov	$vector, %eax
	jmp	1f
	.set	vector, vector + 1
	.endr
1:	mov	tried_rsp, %rsp
	mov	%eax, tried_vector
	jmp	2f

/* uint64_t try(uint64_t (*function)(uint64_t), uint64_t argument); one function may try another. Of -mgeneral-regs-only
 * code nothing else is kept over a call. */
	.globl	try
try:
	push	%rbx
	push	%rbp
	push	%r12
	push	%r13
	push	%r14
	push	%r15
	pushq	tried_rsp
	movl	$-1, tried_vector
	mov	%rsp, tried_rsp
	mov	%rdi, %rax
	mov	%rsi, %rdi
	call	*%rax
2:	popq	tried_rsp
	pop	%r15
	pop	%r14
	pop	%r13
	pop	%r12
	pop	%rbp
	pop	%rbx
	ret

	.data
	.balign	4096
	.globl	pml4
pml4:	.quad	pdpt + 3
	.fill	511, 8, 0
	.globl	pdpt
pdpt:	.quad	pd + 3
	.fill	511, 8, 0
pd:	.set	page, 0
	.rept	512
	.quad	page + 0x83		/* 2 MiB, writable, present */
	.set	page, page + 0x200000
	.endr
	.globl	gdt
gdt:	.quad	0, 0x00af9b000000ffff, 0x00cf93000000ffff /* code, data */
	.quad	0x0000820000000000 + 0x1000, 0	/* an LDT */
	.quad	0x00cf93000000ffff		/* data */
	.quad	0x0000890000000000 + 0x1000, 0	/* a TSS */
gdt_end:
gdt_pointer:
	.word	gdt_end - gdt - 1
	.quad	gdt

	.globl	tried_rsp
	.globl	tried_vector
tried_rsp:
	.quad	0
tried_vector:
	.long	-1

	.bss
	.balign	16
	.skip	16384
stack_end:

	.section .note.GNU-stack, "", @progbits
