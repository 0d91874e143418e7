/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* The way into a called kernel and back. stage_call_resume is reached by iretq from a trap that take_back()
 * (call_run.c) redirected, with the stage's page tables, FS base and vector registers (trap_entry.S), and the stack
 * that stage_call_enter left. Of the floating-point state a function's caller counts on the control words only (System
 * V ABI, AMD64, 3.2.1). */

	.text
	.globl stage_call_enter
	.globl stage_call_resume
/* RDI &saved_rsp, RSI root, RDX the frame to be left by, on the entry stack, RCX the processor's block */
stage_call_enter:
	push	%rbx
	push	%rbp
	push	%r12
	push	%r13
	push	%r14
	push	%r15
	pushfq
	sub	$8, %rsp
	stmxcsr	(%rsp)
	fnstcw	4(%rsp)
	mov	%rsp, (%rdi)
	mov	%rdx, %rsp
	mov	%rsi, %rax
	mov	%rcx, %rbx
	jmp	stage_trap_leave

stage_call_resume:
	cld
	ldmxcsr	(%rsp)
	fldcw	4(%rsp)
	add	$8, %rsp
	popfq
	pop	%r15
	pop	%r14
	pop	%r13
	pop	%r12
	pop	%rbp
	pop	%rbx
	ret

	.globl stage_call_on_stack
stage_call_on_stack:			/* RDI the stack, RSI the function, RDX its argument */
	push	%rbp
	mov	%rsp, %rbp
	mov	%rdi, %rsp
	mov	%rdx, %rdi
	call	*%rsi
	mov	%rbp, %rsp
	pop	%rbp
	ret

	.section .note.GNU-stack, "", @progbits
