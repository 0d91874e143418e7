/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* What Linux enters when it leaves for a kernel of ours (arch/x86/kernel/relocate_kernel_64.S): 64-bit mode, interrupts
 * off, memory mapped where it lies, CR4 as PAE wants it, with LA57 where tables have five levels. Copied to the
 * beginning of a segment, with the commit trampoline's parameters and code behind it. Linux's tables may lie where the
 * trampoline writes, so it has its own from here on (next/map.h). Never returns. */

#include "entry_layout.h"
#include "stage/commit/commit_layout.h"

	.section .rodata.next_entry, "a"
	.code64
	.globl next_entry
	.globl next_entry_end
next_entry:
	mov	%cr4, %rax		/* LA57 can't be changed in long mode (APM volume 2, 5.1.3) */
	and	$0x1000, %eax		/* its bit is a page's size: so far behind is the root of five levels */
	mov	next_entry + NEXT_ENTRY_ROOT(%rip), %rcx
	add	%rax, %rcx
	mov	%rcx, %cr3
	lea	next_entry + NEXT_ENTRY_PARAMS(%rip), %rdi
	cmpl	$0, COMMIT_LONG64(%rdi)
	je	1f
	or	%rax, COMMIT_CR4(%rdi)
1:	jmp	next_entry + NEXT_ENTRY_PARAMS + COMMIT_BYTES
	.org	next_entry + NEXT_ENTRY_ROOT
	.quad	0			/* put there when it is copied */
next_entry_end:
