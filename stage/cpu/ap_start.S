/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Where a processor begins after INIT and a startup message (SDM volume 3A 9.4.3): real mode, at the start of a page
 * below 1 MiB into which this was copied. Straight to 64-bit mode (APM 14.6.1), under tables that show the page at its
 * physical address and the stage at its virtual one. Many run it at once: nothing is written before each has found its
 * own stack. */

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
	lgdtl	AT(gdt_pointer)
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

	mov	$AP_PAGE + AP_PARAMS, %esi
	mov	AP_ID_LEAF(%rsi), %eax
	xor	%ecx, %ecx
	cpuid				/* leaf 0xb: all of the id in EDX */
	cmpl	$1, AP_ID_LEAF(%rsi)
	jne	1f
	shr	$24, %ebx		/* leaf 1: its low 8 bits in EBX */
	mov	%ebx, %edx
1:	mov	AP_IDS(%rsi), %rdi
	xor	%ecx, %ecx
2:	cmp	AP_COUNT(%rsi), %ecx
	jae	stop
	cmp	(%rdi,%rcx,4), %edx
	je	3f
	inc	%ecx
	jmp	2b
3:	imul	AP_BLOCK_BYTES(%rsi), %ecx
	mov	AP_BLOCKS(%rsi), %rdi
	add	%rcx, %rdi
	mov	AP_STACK_AT(%rsi), %eax
	mov	(%rdi,%rax), %rsp
	mov	AP_ENTRY(%rsi), %rax
	xor	%ebp, %ebp
	push	$0			/* as if called */
	jmp	*%rax

	/* Nobody's: it was given up, and comes late. An NMI may wake it; the flags are then as they were. */
stop:	cli
	hlt
	jmp	stop

	.balign	8
gdt:	.quad	0
	.quad	0x00af9b000000ffff
gdt_pointer:
	.word	15
	.long	AP_PAGE + AT(gdt)
	.balign	4
far_pointer:
	.long	AP_PAGE + AT(long_mode)
	.word	SEL_CODE
stage_ap_start_end:

	.section .note.GNU-stack, "", @progbits
