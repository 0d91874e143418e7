/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* What a boot loader, `bake` and a calling stage find in the first 8 KiB of the image. */

#include "abi/native.h"

	/* Multiboot 1, section 3.1: flags ALIGN (0), MEMINFO (1), address fields (16), so that loaders which refuse
	 * an ELF64 take it as plain bytes. */
#define MB1_MAGIC 0x1badb002
#define MB1_FLAGS 0x00010003
	.section .boot.multiboot, "a"
	.balign	8
	.globl	stage_mb1_header
stage_mb1_header:
	.long	MB1_MAGIC
	.long	MB1_FLAGS
	.long	-(MB1_MAGIC + MB1_FLAGS)
	.long	stage_mb1_header_phys
	.long	stage_load_phys
	.long	stage_load_end_phys
	.long	stage_bss_end_phys
	.long	stage_entry32_phys

	/* Multiboot 2, section 3.1: the same by tags: addresses (2), entry (3), module alignment (6). */
#define MB2_MAGIC 0xe85250d6
	.balign	8
mb2_header:
	.long	MB2_MAGIC
	.long	0
	.long	mb2_end - mb2_header
	.long	-(MB2_MAGIC + (mb2_end - mb2_header))
	.short	2, 0
	.long	24
	.long	stage_load_phys + (mb2_header - stage_mb1_header)
	.long	stage_load_phys
	.long	stage_load_end_phys
	.long	stage_bss_end_phys
	.short	3, 0
	.long	12
	.long	stage_entry32_phys
	.balign	8
	.short	6, 0
	.long	8
	.short	0, 0
	.long	8
mb2_end:

	/* abi/image_format.h, struct chain_image_header: `bake` fills in the rest. */
	.section .kchain.header, "a"
	.balign	64
	.globl	stage_image_header
stage_image_header:
	.ascii	"KCHAIN\r\n"
	.long	4, 0		/* version, flags */
	.fill	32, 1, 0
	.quad	stage_image_bytes
	.fill	192 - 56, 1, 0

	/* abi/native.h, struct kchain_native_note. A kernel may define the weak numbers itself. */
	.weak	kchain_stack_bytes
	.weak	kchain_heap_bytes
	.section .note.kchain, "a", @note
	.balign	4
	.long	2f - 1f, 4f - 3f, 1 /* KCHAIN_NOTE_NATIVE */
1:	.asciz	"KCHAIN"
2:	.balign	4
3:	.long	1 /* KCHAIN_NATIVE_ABI */
	.long	kchain_stack_bytes
	.quad	stage_entry_call
	.quad	kchain_heap_bytes
4:

	/* PVH: the physical address of its entry. QEMU reads eight bytes of it, whatever the size says. */
	.section .note.xen, "a", @note
	.balign	4
	.long	2f - 1f, 4f - 3f, 18 /* XEN_ELFNOTE_PHYS32_ENTRY */
1:	.asciz	"Xen"
2:	.balign	4
3:	.quad	stage_entry_pvh_phys
4:

	.section .note.GNU-stack, "", @progbits
