/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* What setup.S and child.S say their ticks by, at QEMU's debug port, in the mode that both are assembled for; included
 * behind their code. */

/* ESI, in real mode SI: text, ended by a zero byte */
1:	out	%al, $0xe9
say:	lodsb
	test	%al, %al
	jnz	1b
	ret

/* EDX: number */
say_hex:
	mov	$8, %ecx
1:	rol	$4, %edx
	mov	%dl, %al
	and	$15, %al
	cmp	$10, %al
	jb	2f
	add	$('a' - '0' - 10), %al
2:	add	$'0', %al
	out	%al, $0xe9
	loop	1b
	ret
