/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Where the C library's SYSCALL instructions arrive, in ring 0 on the caller's own stack. The caller may use the 128
 * bytes below its stack pointer (System V ABI, AMD64, 3.2.2) and any alignment; all registers but RAX, RCX and R11
 * survive (Linux's convention, which musl's inline assembly counts on), SSE registers included. */

	.text
	.globl	stage_syscall_entry
stage_syscall_entry:
	lea	-128(%rsp), %rsp
	push	%rcx			/* return address */
	push	%r11			/* flags */
	push	%rbp
	mov	%rsp, %rbp
	push	%r9
	push	%r8
	push	%r10
	push	%rdx
	push	%rsi
	push	%rdi
	mov	%rsp, %rsi		/* the six arguments, as an array */
	push	%rax
	and	$-16, %rsp
	mov	%rax, %rdi
	cld
	call	stage_syscall_brief
	test	%edx, %edx
	jnz	1f
	sub	$512, %rsp
	fxsave64 (%rsp)
	mov	-56(%rbp), %rdi
	lea	-48(%rbp), %rsi
	call	stage_syscall
	fxrstor64 (%rsp)
1:	lea	-48(%rbp), %rsp
	pop	%rdi
	pop	%rsi
	pop	%rdx
	pop	%r10
	pop	%r8
	pop	%r9
	pop	%rbp
	popfq
	pop	%rcx
	lea	128(%rsp), %rsp
	jmp	*%rcx

	.section .note.GNU-stack, "", @progbits
