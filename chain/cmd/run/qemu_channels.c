/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "qemu_channels.h"

void qemu_add_channels(struct words *words, int console, int records)
{
	words_add(words, "-chardev");
	words_add(words, "socket,id=console,fd=%d", console);
	words_add(words, "-serial");
	words_add(words, "chardev:console");
	words_add(words, "-chardev");
	/* QEMU writes each byte of a record by itself, which takes half as long into a pipe as into a socket. */
	words_add(words, "file,id=records,path=/proc/self/fd/%d", records);
	words_add(words, "-device");
	words_add(words, "isa-debugcon,iobase=0xe9,chardev=records");
	words_add(words, "-device");
	words_add(words, "isa-debug-exit,iobase=0xf4,iosize=0x04");
}
