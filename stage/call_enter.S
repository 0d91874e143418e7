/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* The way into a called kernel and back. stage_call_resume is reached by iretq from a trap that take_back() (call.c)
 * redirected, with the stage's page tables and the stack that stage_call_enter left. */

	.text
	.globl stage_call_enter
	.globl stage_call_resume
stage_call_enter:			/* RDI &saved_rsp, RSI root, RDX entry, RCX stack, R8 and R9 the kernel's RDI and RSI */
	push	%rbx
	push	%rbp
	push	%r12
	push	%r13
	push	%r14
	push	%r15
	pushfq
	mov	%rdx, %r11
	mov	%rcx, %r10
	mov	$0xc0000100, %ecx	/* MSR_FS_BASE */
	rdmsr
	push	%rax
	push	%rdx
	sub	$528, %rsp		/* FXSAVE area on a 16-byte boundary: 9 pushes and a return address are 80 bytes */
	fxsave64 (%rsp)
	mov	%rsp, (%rdi)
	mov	%r8, %rdi
	mov	%rsi, %cr3
	mov	%r9, %rsi
	mov	%r10, %rsp
	xor	%eax, %eax
	xor	%ebx, %ebx
	xor	%ecx, %ecx
	xor	%edx, %edx
	xor	%ebp, %ebp
	xor	%r8d, %r8d
	xor	%r9d, %r9d
	xor	%r10d, %r10d
	xor	%r12d, %r12d
	xor	%r13d, %r13d
	xor	%r14d, %r14d
	xor	%r15d, %r15d
	jmp	*%r11

stage_call_resume:
	cld
	fxrstor64 (%rsp)
	add	$528, %rsp
	pop	%rdx
	pop	%rax
	mov	$0xc0000100, %ecx
	wrmsr
	popfq
	pop	%r15
	pop	%r14
	pop	%r13
	pop	%r12
	pop	%rbp
	pop	%rbx
	ret
