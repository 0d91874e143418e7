/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* A Multiboot 1 kernel that QEMU starts in the place of one that is too large for its own loader: it has QEMU copy the
 * large one's segments from its firmware configuration device into memory, and enters it with what it was told itself.
 * qemu_large.c fills in the words below, by qemu_large.h. 32-bit protected mode, no paging, flat segments; not a byte
 * of it is run on the host. */
#define __ASSEMBLER__ 1
#include "qemu_large.h"

	.section .rodata
	.balign 16
	.globl qemu_large_loader, qemu_large_loader_end
qemu_large_loader:
	/* Multiboot specification 0.6.96 section 3.1: magic, flags (bit 16: the addresses are here), checksum; then
	 * addresses, filled in */
	.long 0x1badb002, 0x10000, -(0x1badb002 + 0x10000)
	.fill 5, 4, 0
	.fill 1 + 1 + 4 * QEMU_LARGE_PIECES_MAX, 4, 0
.if . - qemu_large_loader - QEMU_LARGE_START
	.error "the words are not where qemu_large.h says"
.endif

	.code32
	/* edi: its own address; ebx: the Multiboot information */
	.byte 0xbf
	.long 0
	lea	stack_top - qemu_large_loader(%edi), %esp
	push	%ebx
	mov	%edi, %ebp
	cld

	/* QEMU docs/specs/fw_cfg: the directory is item 0x19: a count, then entries of 64 bytes: size, selector, 2
	 * bytes, name; big-endian */
	mov	$0x510, %dx
	mov	$0x19, %ax
	out	%ax, %dx
	lea	entry - qemu_large_loader(%ebp), %edi
	mov	$4, %ecx
	mov	$0x511, %dx
	rep insb
	mov	entry - qemu_large_loader(%ebp), %esi
	bswap	%esi
1:	test	%esi, %esi
	jz	missing
	dec	%esi
	lea	entry - qemu_large_loader(%ebp), %edi
	mov	$64, %ecx
	rep insb
	push	%esi
	lea	name - qemu_large_loader(%ebp), %esi
	lea	entry + 8 - qemu_large_loader(%ebp), %edi
	mov	$(name_end - name), %ecx
	repe cmpsb
	pop	%esi
	jne	1b
	movzwl	entry + 4 - qemu_large_loader(%ebp), %eax
	xchg	%al, %ah
	shl	$16, %eax
	/* control: the selector above; bit 3 selects, bit 2 skips, bit 1 reads, bit 0 says that it failed */
	or	$8, %eax

	lea	QEMU_LARGE_PIECES(%ebp), %esi
	mov	QEMU_LARGE_COUNT(%ebp), %ebx
2:	test	%ebx, %ebx
	jz	enter
	dec	%ebx
	or	$4, %eax
	mov	(%esi), %ecx		/* bytes to skip */
	call	transfer
	mov	$2, %eax
	mov	4(%esi), %ecx		/* bytes to read */
	mov	8(%esi), %edi		/* to where */
	call	transfer
	add	%ecx, %edi
	mov	12(%esi), %ecx		/* bytes of zeros behind them */
	xor	%eax, %eax
	rep stosb
	add	$16, %esi
	jmp	2b

enter:	pop	%ebx
	mov	$0x2badb002, %eax
	jmp	*QEMU_LARGE_ENTRY(%ebp)

/* eax: control, ecx: bytes, edi: address. Keeps ecx and edi. QEMU does it at once; if it fails there is nobody to
 * tell. */
transfer:
	push	%ecx
	bswap	%eax
	mov	%eax, access - qemu_large_loader(%ebp)
	bswap	%ecx
	mov	%ecx, access + 4 - qemu_large_loader(%ebp)
	movl	$0, access + 8 - qemu_large_loader(%ebp)
	mov	%edi, %eax
	bswap	%eax
	mov	%eax, access + 12 - qemu_large_loader(%ebp)
	mov	$0x514, %dx
	xor	%eax, %eax
	out	%eax, %dx
	lea	access - qemu_large_loader(%ebp), %eax
	bswap	%eax
	mov	$0x518, %dx
	out	%eax, %dx
3:	mov	access - qemu_large_loader(%ebp), %eax
	bswap	%eax
	test	$1, %eax
	jnz	missing
	test	%eax, %eax
	jnz	3b
	pop	%ecx
	ret

missing:
	mov	$QEMU_LARGE_MISSING, %eax
	mov	$0xf4, %dx
	out	%eax, %dx
4:	cli
	hlt
	jmp	4b

name:	.asciz	QEMU_LARGE_ITEM
name_end:
	.balign 16
access:	.fill 16, 1, 0
entry:	.fill 64, 1, 0
	.fill 64, 1, 0
stack_top:
qemu_large_loader_end:
	.section .note.GNU-stack, "", @progbits
