/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* A kernel that says what it found at its entry: by Multiboot 2, or by PVH (FOUND_PVH). It copies the handoff to the
 * debug port as a record, and what else it was told as another, and ends the machine. */

#include <stdint.h>

#ifdef FOUND_PVH
__asm__(".pushsection .note.found, \"a\", @note\n"
	".long 4, 4, 18, 0x6e6558, found_entry\n" /* "Xen", XEN_ELFNOTE_PHYS32_ENTRY */
	".popsection\n");
#else
__asm__(".pushsection .header, \"a\"\n"
	".balign 8\n"
	"1: .long 0xe85250d6, 0, 2f - 1b, -(0xe85250d6 + (2f - 1b))\n"
	".short 1, 0\n .long 16, 6, 14\n"                              /* it needs the memory map and the RSDP */
	".short 6, 0\n .long 8\n"                                      /* modules on pages */
	".short 10, 0\n .long 24, 0x1000000, 0x3ffffff, 0x100000, 1\n" /* it is position-independent enough to be moved
									  here */
	".short 0, 0\n .long 8\n"
	"2: .popsection\n");
#endif
__asm__(".text\n"
	".globl found_entry\n"
	"found_entry: call 1f\n"
	"1: pop %ecx\n"
	"lea stack_end - 1b(%ecx), %esp\n"
	"push %ebx\n"
	"push %eax\n"
	"call found\n"
	".bss\n"
	".skip 8192\n"
	"stack_end:\n"
	".text\n");

static void out(uint16_t port, uint8_t value)
{
	__asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static void say(const char *text)
{
	while (*text)
		out(0xe9, (uint8_t)*text++);
}

static void say_bytes(const char *bytes, uint32_t count)
{
	while (count--)
		out(0xe9, (uint8_t)*bytes++);
}

static void say_number(const char *name, uint32_t value)
{
	char digits[11];
	unsigned at = sizeof(digits) - 1;
	digits[at] = '\0';
	do
		digits[--at] = (char)('0' + value % 10);
	while ((value /= 10) != 0);
	say(",\"");
	say(name);
	say("\":");
	say(digits + at);
}

static int begins(const char *text, const char *with)
{
	while (*with && *text == *with) {
		text++;
		with++;
	}
	return !*with;
}

struct found {
	uint32_t handoff, handoff_bytes, modules, mmap, rsdp, base;
	const char *cmdline;
};

static void take_module(struct found *f, uint32_t base, uint32_t bytes, const char *string)
{
	f->modules++;
	if (!begins(string, "kchain-handoff"))
		return;
	f->handoff = base;
	f->handoff_bytes = bytes;
}

#ifdef FOUND_PVH
static void look(struct found *f, const uint32_t *info)
{
	const uint64_t *module = (const uint64_t *)info[4];
	for (uint32_t i = 0; i < info[3]; i++, module += 4)
		take_module(f, (uint32_t)module[0], (uint32_t)module[1], (const char *)(uint32_t)module[2]);
	f->cmdline = (const char *)info[6];
	f->rsdp = info[8] != 0;
	f->mmap = info[12];
}
#else
static void look(struct found *f, const uint32_t *info)
{
	enum { CMDLINE = 1, MODULE = 3, MMAP = 6, RSDP = 14, BASE = 21 };
	const uint32_t *tag = info + 2;
	for (; tag[0]; tag += (tag[1] + 7) / 8 * 2) {
		if (tag[0] == CMDLINE)
			f->cmdline = (const char *)(tag + 2);
		if (tag[0] == MODULE)
			take_module(f, tag[2], tag[3] - tag[2], (const char *)(tag + 4));
		if (tag[0] == MMAP)
			f->mmap = (tag[1] - 16) / tag[2];
		if (tag[0] == RSDP)
			f->rsdp = begins((const char *)(tag + 2), "RSD PTR ") ? 1 : 0;
		if (tag[0] == BASE)
			f->base = tag[2];
	}
}
#endif

void found(uint32_t eax, uint32_t ebx);
void found(uint32_t eax, uint32_t ebx)
{
	struct found f = { 0 };
	look(&f, (const uint32_t *)ebx);
	say("{\"event\":\"found\",\"args\":\"");
	say(f.cmdline ? f.cmdline : "");
	say("\"");
	say_number("eax", eax);
	say_number("modules", f.modules);
	say_number("mmap", f.mmap);
	say_number("rsdp", f.rsdp);
	say_number("base", f.base);
	say("}\n");
	if (f.handoff) {
		say("{\"event\":\"found-handoff\",\"doc\":");
		say_bytes((const char *)f.handoff, f.handoff_bytes);
		say("}\n");
	}
	say("{\"event\":\"exit\",\"status\":0}\n");
	out(0xf4, 0x10);
	for (;;)
		__asm__ volatile("cli\n\thlt");
}
