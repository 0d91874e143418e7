/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* The two ways in.
 *
 * stage_entry32: from a Multiboot loader (section 3.2: protected mode, paging off, EAX magic, EBX information
 * structure), wherever in the low 4 GiB the image lies, on a multiple of 4 KiB. It finds out where that is, maps the
 * image at the virtual address it was linked for, the low 4 GiB at 0 and at KCHAIN_DIRECT_VIRT, and goes on in 64-bit
 * mode. Relies on a zeroed .bss, which the loader owes us, and on nothing else.
 *
 * stage_entry_call: from a stage that calls this kernel (abi/native.h): 64-bit, mapped, on a stack of its own. */

#include "boot_layout.h"
#include "abi/native.h"

#define SEL_CODE 0x08
#define SEL_DATA 0x10
#define PTE_RW 3
#define PTE_LARGE_RW 0x83

	.section .boot_bss, "aw", @nobits
	.balign	4096
early_root:		.skip 4096
early_low_directories:	.skip 4096	/* 0 and KCHAIN_DIRECT_VIRT */
early_low_tables:	.skip 4 * 4096	/* the low 4 GiB in 2 MiB pages */
early_top_directories:	.skip 4096	/* the top 512 GiB, where images are linked */
early_image_directory:	.skip 4096
	.balign	4096
	.globl	stage_boot_guard
stage_boot_guard:	.skip 4096	/* left unmapped by the final tables: where a stack overflow ends */
	.globl	stage_boot_stack
stage_boot_stack:	.skip BOOT_STACK_BYTES
boot_stack_top:

	.section .boot.text, "ax"
	.globl	stage_entry32
	.code32
stage_entry32:
	cli
	cld
	mov	%eax, %esi
	rdtsc				/* before anything else: the first link's clock starts here */
	mov	%eax, %edi
	/* There is no stack yet, and no address is known but EBX: the second word of the information structure
	 * (Multiboot 1: mem_lower; Multiboot 2: reserved) serves as one for a moment. */
	mov	4(%ebx), %ecx
	lea	8(%ebx), %esp
	call	1f
1:	pop	%ebp
	mov	%ecx, 4(%ebx)
	lea	(boot_stack_top - 1b)(%ebp), %esp
	lea	(stage_boot - 1b)(%ebp), %ecx
	mov	%edi, BOOT_ENTRY_TSC(%ecx)
	mov	%edx, BOOT_ENTRY_TSC + 4(%ecx)
	mov	%esi, BOOT_MAGIC(%ecx)
	mov	%ebx, BOOT_INFO_PHYS(%ecx)
	lea	(stage_image_start - 1b)(%ebp), %eax
	mov	%eax, BOOT_IMAGE_PHYS(%ecx)

	/* Long mode (APM 14.6)? CPUID itself first: EFLAGS.ID can be changed where it is there. */
	pushf
	mov	(%esp), %eax
	xorl	$0x200000, (%esp)
	popf
	pushf
	pop	%ecx
	xor	%ecx, %eax
	test	$0x200000, %eax
	jz	no_long_mode
	mov	$0x80000000, %eax
	cpuid
	cmp	$0x80000001, %eax
	jb	no_long_mode
	mov	$0x80000001, %eax
	cpuid
	bt	$29, %edx
	jnc	no_long_mode
	push	%edx			/* bit 20: no-execute */

	/* Low 4 GiB, twice. */
	lea	(early_low_tables - 1b)(%ebp), %edi
	mov	$PTE_LARGE_RW, %eax
	mov	$4 * 512, %ecx
2:	mov	%eax, (%edi)
	add	$8, %edi
	add	$0x200000, %eax
	loop	2b
	lea	(early_low_directories - 1b)(%ebp), %edi
	lea	(early_low_tables + PTE_RW - 1b)(%ebp), %eax
	mov	%eax, (%edi)
	add	$4096, %eax
	mov	%eax, 8(%edi)
	add	$4096, %eax
	mov	%eax, 16(%edi)
	add	$4096, %eax
	mov	%eax, 24(%edi)
	lea	(early_root - 1b)(%ebp), %edx
	lea	PTE_RW(%edi), %eax
	mov	%eax, (%edx)
	mov	%eax, ((KCHAIN_DIRECT_VIRT >> 39) & 511) * 8(%edx)

	/* The image, page by page, from its linked address on. */
	lea	(early_top_directories + PTE_RW - 1b)(%ebp), %eax
	mov	%eax, 511 * 8(%edx)
	lea	(early_top_directories - 1b)(%ebp), %edi
	lea	(early_image_directory + PTE_RW - 1b)(%ebp), %eax
	mov	$stage_early_top_slot, %ecx
	mov	%eax, (%edi, %ecx, 8)
	lea	(stage_early_image_tables - 1b)(%ebp), %edi
	lea	(stage_image_start + PTE_RW - 1b)(%ebp), %eax
	mov	$stage_early_pages, %ecx
3:	mov	%eax, (%edi)
	add	$8, %edi
	add	$4096, %eax
	loop	3b
	lea	(early_image_directory - 1b)(%ebp), %edi
	lea	(stage_early_image_tables + PTE_RW - 1b)(%ebp), %eax
	mov	$stage_early_tables, %ecx
4:	mov	%eax, (%edi)
	add	$8, %edi
	add	$4096, %eax
	loop	4b

	mov	%edx, %cr3
	mov	%cr4, %eax
	or	$0x620, %eax		/* PAE, OSFXSR, OSXMMEXCPT */
	mov	%eax, %cr4
	pop	%edi
	mov	$0xc0000080, %ecx	/* EFER: SCE, LME, and NXE where it exists */
	rdmsr
	or	$0x101, %eax
	bt	$20, %edi
	jnc	5f
	or	$0x800, %eax
5:	wrmsr
	mov	%cr0, %eax
	and	$~0x6000000c, %eax	/* CD, NW, TS, EM off */
	or	$0x80010033, %eax	/* PG, WP, NE, ET, MP, PE */
	mov	%eax, %cr0

	lea	(boot_gdt - 1b)(%ebp), %eax
	sub	$8, %esp
	movw	$boot_gdt_end - boot_gdt - 1, (%esp)
	mov	%eax, 2(%esp)
	lgdt	(%esp)
	add	$8, %esp
	pushl	$SEL_CODE
	lea	(entry64 - 1b)(%ebp), %eax
	push	%eax
	lret

	/* One line on the serial port and the screen, without stack or waiting for good; then nothing more can be
	 * done. */
no_long_mode:
	lea	(no_long_mode_text - 1b)(%ebp), %esi
	mov	$0xb8000, %edi
6:	lodsb
	test	%al, %al
	jz	8f
	mov	%al, (%edi)
	movb	$0x0f, 1(%edi)
	add	$2, %edi
	mov	%al, %bl
	mov	$0x3fd, %edx
	mov	$100000, %ecx
7:	in	%dx, %al
	test	$0x20, %al
	loopz	7b
	mov	%bl, %al
	mov	$0x3f8, %edx
	out	%al, %dx
	jmp	6b
8:	mov	$0xf4, %edx		/* QEMU's isa-debug-exit, if it is there */
	mov	$1, %eax
	out	%eax, %dx
9:	hlt
	jmp	9b
no_long_mode_text:
	.asciz	"kchain: this processor has no 64-bit mode (for QEMU: -cpu max)\r\n"

	.balign	8
boot_gdt:
	.quad	0
	.quad	0x00af9b000000ffff
	.quad	0x00cf93000000ffff
boot_gdt_end:

	.code64
entry64:
	mov	$SEL_DATA, %eax
	mov	%eax, %ds
	mov	%eax, %es
	mov	%eax, %ss
	xor	%eax, %eax
	mov	%eax, %fs
	mov	%eax, %gs
	mov	$boot_stack_top, %rsp
	mov	$10f, %rax
	jmp	*%rax
10:	mov	$stage_data_start, %rsi		/* whoever starts this image again needs its data as it was loaded */
	mov	$stage_data_copy, %rdi
	mov	$stage_data_words, %ecx
	rep movsq
	movq	$stage_no_call, stage_boot + BOOT_CALL(%rip)
	movq	$stage_booted_face, stage_boot + BOOT_FACE(%rip)
	xor	%ebp, %ebp
	push	$0			/* as if called: a return address behind a 16-byte boundary */
	jmp	stage_boot_start_booted

	.text
	.globl	stage_entry_call
stage_entry_call:
	rdtsc
	mov	%eax, stage_boot + BOOT_ENTRY_TSC(%rip)
	mov	%edx, stage_boot + BOOT_ENTRY_TSC + 4(%rip)
	mov	%rdi, stage_boot + BOOT_CALL(%rip)
	movq	$stage_called_face, stage_boot + BOOT_FACE(%rip)
	jmp	stage_boot_start_called

	.section .note.GNU-stack, "", @progbits
