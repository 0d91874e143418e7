/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Where every exception and interrupt arrives, and the only way into a called kernel and back from it.
 * `.text.trap_entry` is what a called kernel's page tables show of the stage's text (one page, see call_window.c): it
 * runs under whatever tables are in force, until CR3 has been changed, and touches no memory but the processor's entry
 * area.
 *
 * A trap arrives on an entry stack. Under a called kernel's tables that is a page of the kernel's window, which any of
 * the kernel's processors may write to at any time: nothing is read back from it. Under the stage's tables the same
 * address shows a page that only the stage has. The handler runs on a stack of the stage's, with a copy of the
 * frame. */

#include "trap_layout.h"

	.section .text.trap_entry, "ax"
	.balign	16
	.globl	stage_trap_entries
	.globl	stage_trap_leave
/* of 256 vectors; each pushes its number, sign-extended (stage_trap takes 8 bits), and jumps to the end of its group */
stage_trap_entries:
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

/* The processor aligns RSP to 16 before it pushes five words, or six with an error code (APM 8.9.3): RSP itself says
 * which, the vector does not (INT n pushes none). */
trap_number:
	testb	$8, %spl
	jnz	1f
	push	(%rsp)			/* STAGE_NO_ERROR_CODE in its place */
	movq	$-1, 8(%rsp)
1:	push	%rax
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
	cld
	mov	%rsp, %rbx		/* the entry area begins with the processor's block */
	and	$-ENTRY_AREA_BYTES, %rbx
	mov	CPU_ENTRY_OFFSET(%rbx), %r14
	mov	CPU_ROOT(%rbx), %rcx
	mov	%cr3, %rax
	cmp	%rax, %rcx
	je	2f
	cmp	%rbx, CPU_SELF(%rbx)	/* right before CR3: what is executed by mistake shall not load it */
	jne	3f
	mov	%rcx, %cr3
	jmp	trap_arrived
2:	xor	%r14d, %r14d
	jmp	trap_arrived
3:	ud2				/* no trap, or no way back: a kernel jumped here */

/* RAX root, RBX the processor's block, RSP what trap_arrived was entered with; under the stage's tables */
stage_trap_leave:
	cmp	%rbx, CPU_SELF(%rbx)
	jne	3b
	mov	%rax, %cr3
trap_pop:
	pop	%r15
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


	.text
/* RAX the tables that the trap came under, RBX the processor's block, RSP the frame on the entry stack without CR3,
 * which is to be read at R14 from there. */
trap_arrived:
	mov	%rsp, %r13
	mov	%esp, %edx
	shr	$ENTRY_STACK_SHIFT, %edx
	and	$ENTRY_STACKS - 1, %edx
	/* An INT 2 that a kernel executes does not hold back NMIs: one that comes meanwhile returns at once, for the
	 * stack is in use. */
	cmp	$ENTRY_STACK_NMI, %edx
	jne	4f
	mov	CPU_STACKS + 8 * ENTRY_STACK_NMI(%rbx), %rcx
	sub	TRAP_RSP - 8(%r13), %rcx
	test	%r14, %r14		/* what a kernel had as its stack pointer means nothing */
	jnz	4f
	cmp	$HANDLER_STACK_LEAST, %rcx
	jbe	trap_pop
4:	mov	CPU_STACKS(%rbx,%rdx,8), %rsp
	sub	$TRAP_FRAME_BYTES, %rsp
	mov	%rsp, %rbp
	mov	%rax, (%rbp)
	lea	(%r13,%r14), %rsi
	lea	8(%rbp), %rdi
	mov	$TRAP_FRAME_BYTES / 8 - 1, %ecx
	rep movsq

	/* What a called kernel may have changed by mistake, and the handler can't do without. */
	mov	%cr0, %rax
	cmp	CPU_CR0(%rbx), %rax
	je	5f
	mov	CPU_CR0(%rbx), %rax
	mov	%rax, %cr0
5:	mov	%cr4, %rax
	cmp	CPU_CR4(%rbx), %rax
	je	6f
	mov	CPU_CR4(%rbx), %rax
	mov	%rax, %cr4
6:	mov	$0xc0000101, %ecx	/* MSR_GS_BASE */
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
	.weak	stage_call_resume	/* a kernel that calls none has none */
	cmpq	$stage_call_resume, TRAP_RIP(%rbp)
	je	1f			/* the kernel is over: what it had in its registers is nobody's */
	fxrstor64 (%rsp)
	mov	$0xc0000100, %ecx
	mov	%r12d, %eax
	mov	%r12, %rdx
	shr	$32, %rdx
	wrmsr

1:	mov	(%rbp), %rax
	lea	8(%rbp), %rsp
	cmp	%rax, CPU_ROOT(%rbx)
	je	trap_pop
	mov	%rsp, %rsi		/* back to where the other tables show it */
	lea	(%r13,%r14), %rdi
	mov	$TRAP_FRAME_BYTES / 8 - 1, %ecx
	rep movsq
	mov	%r13, %rsp
	jmp	stage_trap_leave

	.section .rodata
	.balign	4
default_mxcsr:
	.long	0x1f80

	.section .note.GNU-stack, "", @progbits
