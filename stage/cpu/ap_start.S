/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Where a processor begins after INIT and a startup message (SDM volume 3A 9.4.3): real mode, at the start of a page below 1 MiB into which
 * this was copied. Straight to 64-bit mode (APM 14.6.1), under tables that show the page at its physical address and the stage at
 * its virtual one. */

#include "ap_layout.h"

#define SEL_CODE 0x08
#define AT(label) (label - stage_ap_start)

	.section .rodata
	.globl	stage_ap_start
	.globl	stage_ap_start_end
	.balign	16
	.code16
stage_ap_start:
	cli
	cld
	mov	%cs, %ax
	mov	%ax, %ds
	movzwl	%ax, %ebx
	shl	$4, %ebx		/* physical address of the page */
	lea	AT(gdt)(%ebx), %eax
	mov	%eax, AT(gdt_pointer) + 2
	lgdtl	AT(gdt_pointer)
	lea	AT(long_mode)(%ebx), %eax
	mov	%eax, AT(far_pointer)

	mov	AP_PARAMS + AP_CR4, %eax
	mov	%eax, %cr4
	mov	AP_PARAMS + AP_CR3, %eax
	mov	%eax, %cr3
	mov	$0xc0000080, %ecx	/* EFER */
	mov	AP_PARAMS + AP_EFER, %eax
	xor	%edx, %edx
	wrmsr
	mov	AP_PARAMS + AP_CR0, %eax
	mov	%eax, %cr0
	ljmpl	*AT(far_pointer)

	.code64
long_mode:
	xor	%eax, %eax
	mov	%eax, %ds
	mov	%eax, %es
	mov	%eax, %ss
	mov	%eax, %fs
	mov	%eax, %gs
	/* One that was given up, and comes late, finds another's stack here: it stops. */
	mov	%rbx, %rsi
	mov	$1, %eax
	cpuid
	shr	$24, %ebx
	cmp	%ebx, AP_PARAMS + AP_ID(%rsi)
1:	je	2f
	cli
	hlt
	jmp	1b			/* an NMI woke it; the flags are as they were */
2:	mov	%rsi, %rbx
	mov	AP_PARAMS + AP_STACK(%rbx), %rsp
	mov	AP_PARAMS + AP_ARGUMENT(%rbx), %rdi
	mov	AP_PARAMS + AP_ENTRY(%rbx), %rax
	xor	%ebp, %ebp
	push	$0			/* as if called */
	jmp	*%rax

	.balign	8
gdt:	.quad	0
	.quad	0x00af9b000000ffff
gdt_pointer:
	.word	15
	.long	0
	.balign	4
far_pointer:
	.long	0
	.word	SEL_CODE
stage_ap_start_end:

	.section .note.GNU-stack, "", @progbits
