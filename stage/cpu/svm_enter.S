/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* One stretch of a guest (APM 15.5). From CLGI to STGI nothing can come between: the segments and MSRs that VMLOAD
 * brings are the guest's for that long, and traps need the host's. */

#include "svm_layout.h"

	.text
	.globl	stage_svm_enter
stage_svm_enter:			/* RDI registers, RSI vmcb, RDX host's page; both physical */
	push	%rbx
	push	%rbp
	push	%r12
	push	%r13
	push	%r14
	push	%r15
	push	%rdx
	push	%rdi
	clgi
	mov	%rdx, %rax
	vmsave	%rax
	fxrstor64 (%rdi)
	mov	%rsi, %rax
	vmload	%rax
	mov	SVM_RBX(%rdi), %rbx
	mov	SVM_RCX(%rdi), %rcx
	mov	SVM_RDX(%rdi), %rdx
	mov	SVM_RSI(%rdi), %rsi
	mov	SVM_RBP(%rdi), %rbp
	mov	SVM_R8(%rdi), %r8
	mov	SVM_R9(%rdi), %r9
	mov	SVM_R10(%rdi), %r10
	mov	SVM_R11(%rdi), %r11
	mov	SVM_R12(%rdi), %r12
	mov	SVM_R13(%rdi), %r13
	mov	SVM_R14(%rdi), %r14
	mov	SVM_R15(%rdi), %r15
	mov	SVM_RDI(%rdi), %rdi
	vmrun	%rax
	vmsave	%rax			/* RAX and RSP are the host's again */
	push	%rdi
	mov	8(%rsp), %rdi
	mov	%rbx, SVM_RBX(%rdi)
	mov	%rcx, SVM_RCX(%rdi)
	mov	%rdx, SVM_RDX(%rdi)
	mov	%rsi, SVM_RSI(%rdi)
	mov	%rbp, SVM_RBP(%rdi)
	mov	%r8, SVM_R8(%rdi)
	mov	%r9, SVM_R9(%rdi)
	mov	%r10, SVM_R10(%rdi)
	mov	%r11, SVM_R11(%rdi)
	mov	%r12, SVM_R12(%rdi)
	mov	%r13, SVM_R13(%rdi)
	mov	%r14, SVM_R14(%rdi)
	mov	%r15, SVM_R15(%rdi)
	pop	%rax
	mov	%rax, SVM_RDI(%rdi)
	fxsave64 (%rdi)
	fninit
	ldmxcsr	default_mxcsr(%rip)
	cld
	pop	%rdi
	pop	%rax
	vmload	%rax
	stgi
	pop	%r15
	pop	%r14
	pop	%r13
	pop	%r12
	pop	%rbp
	pop	%rbx
	ret

	.section .rodata
	.balign	4
default_mxcsr:
	.long	0x1f80

	.section .note.GNU-stack, "", @progbits
