/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* The last code of the stage that runs before a booted kernel: carries out a plan's moves, then leaves long mode and
 * enters the kernel. It is copied to memory that no move reads or writes, together with its parameters, the moves and
 * an identity map, and runs there; nothing else of the stage may be touched once it has begun.
 *
 * In: RDI = physical address of struct commit_params (stage/commit/commit_params.h), identity mapped. Never returns. */

#include "commit_layout.h"

	.section .text.commit_trampoline, "ax"
	.code64
	.globl stage_commit_trampoline
	.globl stage_commit_trampoline_end
stage_commit_trampoline:
	mov	%rdi, %rbx
	mov	COMMIT_MOVES(%rbx), %rbp
	mov	COMMIT_MOVE_COUNT(%rbx), %r12
1:	test	%r12, %r12
	jz	enter
	mov	MOVE_DEST(%rbp), %rdi
	mov	MOVE_SOURCE(%rbp), %rsi
	mov	MOVE_BYTES(%rbp), %rcx
	cmpq	$0, MOVE_ZERO(%rbp)
	jne	zero
	mov	%rdi, %rax
	/* dest - source as unsigned: below the length means a forward copy would eat its source */
	sub	%rsi, %rax
	cmp	%rcx, %rax
	jb	backward
	cld
	mov	%rcx, %rdx
	shr	$3, %rcx
	rep movsq
	mov	%rdx, %rcx
	and	$7, %ecx
	rep movsb
	jmp	next
backward:
	std
	lea	-1(%rdi,%rcx), %rdi
	lea	-1(%rsi,%rcx), %rsi
	mov	%rcx, %rdx
	and	$7, %ecx
	rep movsb
	mov	%rdx, %rcx
	shr	$3, %rcx
	sub	$7, %rdi
	sub	$7, %rsi
	rep movsq
	cld
	jmp	next
zero:
	cld
	xor	%eax, %eax
	mov	%rcx, %rdx
	shr	$3, %rcx
	rep stosq
	mov	%rdx, %rcx
	and	$7, %ecx
	rep stosb
next:
	add	$MOVE_SIZE, %rbp
	dec	%r12
	jmp	1b

enter:
	/* Interrupts are off, and there is no table of them; the descriptors may be gone soon. */
	andb	$~2, COMMIT_GDT + CHAIN_ENTRY_TASK + 5(%rbx)	/* not busy, should it be entered once more */
	lgdt	COMMIT_GDTR(%rbx)
	lidt	COMMIT_IDTR(%rbx)
	lea	protected(%rip), %rax
	cmpl	$0, COMMIT_LONG64(%rbx)
	je	1f
	lea	long_mode(%rip), %rax
1:	mov	%rax, COMMIT_FAR(%rbx)
	lea	COMMIT_ADDRESS(%rbx), %eax
	mov	%eax, last_jump + 2(%rip)	/* of 32-bit code, which lies below 4 GiB then */
	lea	COMMIT_FAR(%rbx), %rsp
	lretq

long_mode:
	mov	$CHAIN_ENTRY_DATA, %eax
	mov	%eax, %ds
	mov	%eax, %es
	mov	%eax, %fs
	mov	%eax, %gs
	mov	%eax, %ss
	xor	%eax, %eax
	lldt	%ax
	mov	$0xc0000080, %ecx
	mov	COMMIT_EFER(%rbx), %eax
	xor	%edx, %edx
	wrmsr
	mov	COMMIT_CR4(%rbx), %rax
	mov	%rax, %cr4
	mov	COMMIT_CR0(%rbx), %rax
	mov	%rax, %cr0
	mov	COMMIT_REGISTER(CHAIN_RAX)(%rbx), %rax
	mov	COMMIT_REGISTER(CHAIN_RCX)(%rbx), %rcx
	mov	COMMIT_REGISTER(CHAIN_RDX)(%rbx), %rdx
	mov	COMMIT_REGISTER(CHAIN_RSP)(%rbx), %rsp
	mov	COMMIT_REGISTER(CHAIN_RBP)(%rbx), %rbp
	mov	COMMIT_REGISTER(CHAIN_RSI)(%rbx), %rsi
	mov	COMMIT_REGISTER(CHAIN_RDI)(%rbx), %rdi
	mov	COMMIT_REGISTER(CHAIN_R8)(%rbx), %r8
	mov	COMMIT_REGISTER(CHAIN_R9)(%rbx), %r9
	mov	COMMIT_REGISTER(CHAIN_R10)(%rbx), %r10
	mov	COMMIT_REGISTER(CHAIN_R11)(%rbx), %r11
	mov	COMMIT_REGISTER(CHAIN_R12)(%rbx), %r12
	mov	COMMIT_REGISTER(CHAIN_R13)(%rbx), %r13
	mov	COMMIT_REGISTER(CHAIN_R14)(%rbx), %r14
	mov	COMMIT_REGISTER(CHAIN_R15)(%rbx), %r15
	mov	COMMIT_REGISTER(CHAIN_RBX)(%rbx), %rbx
	jmp	*(stage_commit_trampoline - COMMIT_BYTES + COMMIT_ADDRESS)(%rip)

	.code32
protected:
	mov	$CHAIN_ENTRY_DATA, %eax
	mov	%eax, %ds
	mov	%eax, %es
	mov	%eax, %fs
	mov	%eax, %gs
	mov	%eax, %ss
	mov	COMMIT_CR0(%ebx), %eax	/* paging off: no long mode any more */
	mov	%eax, %cr0
	mov	$0xc0000080, %ecx
	mov	COMMIT_EFER(%ebx), %eax
	xor	%edx, %edx
	wrmsr
	mov	COMMIT_CR4(%ebx), %eax
	mov	%eax, %cr4
	xor	%eax, %eax
	mov	%eax, %cr3
	mov	%eax, %cr2
	lldt	%ax
	mov	$CHAIN_ENTRY_TASK, %eax
	ltr	%ax
	mov	COMMIT_REGISTER(CHAIN_RAX)(%ebx), %eax
	mov	COMMIT_REGISTER(CHAIN_RCX)(%ebx), %ecx
	mov	COMMIT_REGISTER(CHAIN_RDX)(%ebx), %edx
	mov	COMMIT_REGISTER(CHAIN_RSP)(%ebx), %esp
	mov	COMMIT_REGISTER(CHAIN_RBP)(%ebx), %ebp
	mov	COMMIT_REGISTER(CHAIN_RSI)(%ebx), %esi
	mov	COMMIT_REGISTER(CHAIN_RDI)(%ebx), %edi
	mov	COMMIT_REGISTER(CHAIN_RBX)(%ebx), %ebx
last_jump:
	jmp	*0			/* through the address of the parameters, which was put here */
	.code64
stage_commit_trampoline_end:
