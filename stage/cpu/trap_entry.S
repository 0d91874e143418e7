/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Where every exception and interrupt arrives. It works under a called kernel's page tables: until CR3 has been changed it touches
 * only the image (read-only there) and the interrupt stack, which is mapped in both. */

#include "trap_layout.h"

	.text
	.balign	16
	.globl	stage_trap_entries
stage_trap_entries:		/* of 256 vectors; each pushes its number, sign-extended (see below), and jumps to the end of its group */
	.set	vector, 0
	.rept	256 / TRAP_GROUP
	.rept	TRAP_GROUP
	.byte	0x6a, vector
	.byte	0xeb, (TRAP_GROUP - 1 - vector % TRAP_GROUP) * TRAP_ENTRY_BYTES
	.set	vector, vector + 1
	.endr
	.byte	0xe9
	.long	trap_number - . - 4
	.endr

/* The processor pushed an error code for some vectors (APM 8.2); the others get a zero in its place. */
trap_number:
	push	%rax
	movzbl	8(%rsp), %eax
	bt	%eax, with_error_code(%rip)
	pop	%rax
	jc	trap_common
	pushq	(%rsp)
	movq	$0, 8(%rsp)
	.weak	stage_call_resume	/* a kernel that calls none has none */
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
	cmpq	$stage_call_resume, TRAP_RIP(%rbp)
	je	2f			/* the kernel is over: what it had in its registers is nobody's */
	fxrstor64 (%rsp)
	mov	$0xc0000100, %ecx
	mov	%r12d, %eax
	mov	%r12, %rdx
	shr	$32, %rdx
	wrmsr

2:	mov	%rbp, %rsp
	pop	%rax
	mov	%cr3, %rcx
	cmp	%rax, %rcx
	je	3f
	mov	%rax, %cr3
3:	pop	%r15
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
with_error_code:		/* a bit a vector: 8, 10 to 14, 17, 21, 29, 30 */
	.long	0x60227d00, 0, 0, 0, 0, 0, 0, 0

	.section .note.GNU-stack, "", @progbits
