/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Where every exception and interrupt arrives. It works under a called kernel's page tables: until CR3 has been changed it touches
 * only the image (read-only there) and the interrupt stack, which is mapped in both. */

#include "trap_layout.h"

	.text
	.balign	16
	.globl	stage_trap_entries
stage_trap_entries:		/* 256 entries of TRAP_ENTRY_BYTES each; the pushed vector is sign-extended, see below */
	.set	vector, 0
	.rept	256
	.if	(vector == 8) || (vector >= 10 && vector <= 14) || (vector == 17) || (vector == 21) || (vector == 29) || (vector == 30)
	.byte	0x66, 0x90	/* the processor pushed an error code (APM 8.2) */
	.else
	.byte	0x6a, 0
	.endif
	.byte	0x6a, vector
	.byte	0xe9
	.long	trap_common - . - 4
	.set	vector, vector + 1
	.endr

trap_common:
	push	%rax
	push	%rbx
	push	%rcx
	push	%rdx
	push	%rsi
	push	%rdi
	push	%rbp
	push	%r8
	push	%r9
	push	%r10
	push	%r11
	push	%r12
	push	%r13
	push	%r14
	push	%r15
	mov	%cr3, %rax
	push	%rax
	mov	%rsp, %rbp
	movzbl	16 * 8(%rsp), %ecx
	mov	%rcx, 16 * 8(%rsp)
	cld

	/* The processor's block lies where its GDT does. */
	sub	$16, %rsp
	sgdt	(%rsp)
	mov	2(%rsp), %rbx
	mov	CPU_ROOT(%rbx), %rcx
	cmp	%rax, %rcx
	je	1f
	mov	%rcx, %cr3
1:	mov	$0xc0000101, %ecx	/* MSR_GS_BASE: a called kernel may have changed it by mistake */
	mov	%ebx, %eax
	mov	%rbx, %rdx
	shr	$32, %rdx
	wrmsr
	mov	$0xc0000100, %ecx	/* MSR_FS_BASE: the C library's own, not the kernel's that was interrupted */
	rdmsr
	mov	%eax, %r12d
	shl	$32, %rdx
	or	%rdx, %r12
	mov	CPU_FS_BASE(%rbx), %rax
	mov	%rax, %rdx
	shr	$32, %rdx
	wrmsr
	and	$-16, %rsp
	sub	$512, %rsp
	fxsave64 (%rsp)
	fninit
	ldmxcsr	default_mxcsr(%rip)
	mov	%rbp, %rdi
	call	stage_trap
	fxrstor64 (%rsp)
	mov	$0xc0000100, %ecx
	mov	%r12d, %eax
	mov	%r12, %rdx
	shr	$32, %rdx
	wrmsr

	mov	%rbp, %rsp
	pop	%rax
	mov	%cr3, %rcx
	cmp	%rax, %rcx
	je	2f
	mov	%rax, %cr3
2:	pop	%r15
	pop	%r14
	pop	%r13
	pop	%r12
	pop	%r11
	pop	%r10
	pop	%r9
	pop	%r8
	pop	%rbp
	pop	%rdi
	pop	%rsi
	pop	%rdx
	pop	%rcx
	pop	%rbx
	pop	%rax
	add	$16, %rsp		/* vector and error code */
	iretq

	.section .rodata
	.balign	4
default_mxcsr:
	.long	0x1f80

	.section .note.GNU-stack, "", @progbits
