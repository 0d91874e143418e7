/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* The last code of the stage that runs before a booted kernel: carries out a plan's moves, then leaves long mode and
 * enters the kernel. It is copied to memory that no move reads or writes, together with its parameters, the moves and
 * an identity map, and runs there; nothing else of the stage may be touched once it has begun.
 *
 * In: RDI = physical address of struct commit_params (stage/commit.c), identity mapped. Never returns. */

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
	sub	%rsi, %rax		/* dest - source as unsigned: below the length means a forward copy would eat its source */
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
	/* Multiboot 1 section 3.2: flat 32-bit segments, paging off, interrupts off; the GDT may be gone soon. */
	lgdt	COMMIT_GDTR(%rbx)
	lidt	COMMIT_IDTR(%rbx)
	lea	protected(%rip), %rax
	mov	%eax, COMMIT_FAR(%rbx)
	ljmp	*COMMIT_FAR(%rbx)

	.code32
protected:
	mov	$COMMIT_SEL_DATA, %eax
	mov	%eax, %ds
	mov	%eax, %es
	mov	%eax, %fs
	mov	%eax, %gs
	mov	%eax, %ss
	mov	$0x00000011, %eax	/* PE and ET: paging off */
	mov	%eax, %cr0
	mov	$0xc0000080, %ecx	/* EFER: LME, NXE, SCE off */
	xor	%eax, %eax
	xor	%edx, %edx
	wrmsr
	xor	%eax, %eax
	mov	%eax, %cr4
	mov	%eax, %cr3
	mov	%eax, %cr2
	mov	COMMIT_EAX(%ebx), %eax
	mov	COMMIT_ENTRY(%ebx), %edx
	mov	COMMIT_EBX(%ebx), %ebx
	xor	%ecx, %ecx
	xor	%esi, %esi
	xor	%edi, %edi
	xor	%ebp, %ebp
	jmp	*%edx
	.code64
stage_commit_trampoline_end:
