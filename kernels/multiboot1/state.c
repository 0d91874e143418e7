/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* A plain Multiboot 1 kernel that writes to a part of its processor's state, or says what it finds there: "write PART
 * [NUMBER]", "read PART [NUMBER]". What one leaves and the next one finds is what leaks. "write all" writes to
 * everything that it may write to and goes on, or spins with the number 1. See the table at the end; the number is an
 * MSR's, a debug register's, a part of the XSAVE area. */

#include "kchain_mailbox.h"
#include "state.h"

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>

struct __attribute__((packed)) table {
	uint16_t limit;
	uint32_t base;
	uint16_t padding;
};
struct __attribute__((packed)) found {
	uint64_t general64[8];
	struct table gdtr, idtr;
	uint32_t general[6], magic, info, flags, cr[4], efer;
	uint16_t ldtr, tr, selectors[5], padding;
};
static_assert(offsetof(struct found, gdtr) == FOUND_GDTR && offsetof(struct found, general) == FOUND_GENERAL, "found");
static_assert(offsetof(struct found, flags) == FOUND_FLAGS && offsetof(struct found, efer) == FOUND_EFER, "found");
static_assert(offsetof(struct found, selectors) == FOUND_SELECTORS && sizeof(struct found) == FOUND_BYTES, "found");

enum {
	DEBUG = 0xe9,
	NOBODY = 0x80,
	MAGIC = 0x2badb002,
	AREA_BYTES = 16384,
	HEADER = 512,
	X87 = 1,
	SSE = 2,
	AVX = 4,
	RFLAGS = 2,
	RFLAGS_MARKED = 0x2474d7,
	CR4_OSXSAVE = 1 << 18,
	CR4_PKE = 1 << 22,
	SCRATCH = 0x3ff,
	CURSOR_INDEX = 0x3d4,
	TIMER_CONTROL = 0x43,
	TIMER_2 = 0x42,
	TIMER_GATE = 0x61,
	CLOCK_INDEX = 0x70
};

struct found found;
void leave_marked(uint64_t flags, uint64_t port);
uint64_t try(uint64_t (*function)(uint64_t), uint64_t argument);
extern uint32_t tried_vector;
extern const uint8_t traps[];
extern uint64_t pdpt[512], gdt[];

static struct {
	uint16_t low, selector, type, middle;
	uint32_t high, reserved;
} idt[32];
static uint8_t area[AREA_BYTES] __attribute__((aligned(64)));
static struct kchain_mailbox *mailbox;
static uint32_t result_bytes;
static uint64_t leave_flags = RFLAGS, number;

/* --- instructions --- */

static void out8(uint16_t port, uint8_t v)
{
	__asm__ volatile("outb %0, %1" : : "a"(v), "Nd"(port));
}
static uint8_t in8(uint16_t port)
{
	uint8_t v;
	__asm__ volatile("inb %1, %0" : "=a"(v) : "Nd"(port));
	return v;
}
static uint64_t rdmsr(uint64_t msr)
{
	uint32_t low, high;
	__asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"((uint32_t)msr));
	return (uint64_t)high << 32 | low;
}
static void wrmsr(uint64_t msr, uint64_t v)
{
	__asm__ volatile("wrmsr" : : "a"((uint32_t)v), "d"((uint32_t)(v >> 32)), "c"((uint32_t)msr) : "memory");
}
static void cpuid(uint32_t leaf, uint32_t sub, uint32_t r[4])
{
	__asm__ volatile("cpuid" : "=a"(r[0]), "=b"(r[1]), "=c"(r[2]), "=d"(r[3]) : "a"(leaf), "c"(sub));
}
static uint64_t read_cr4(void)
{
	uint64_t v;
	__asm__ volatile("mov %%cr4, %0" : "=r"(v));
	return v;
}
static void set_cr4(uint64_t bits)
{
	__asm__ volatile("mov %0, %%cr4" : : "r"(read_cr4() | bits));
}
static uint64_t xgetbv(void)
{
	uint32_t low, high;
	__asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
	return (uint64_t)high << 32 | low;
}
static uint64_t xsetbv(uint64_t v)
{
	__asm__ volatile("xsetbv" : : "c"(0), "a"((uint32_t)v), "d"((uint32_t)(v >> 32)));
	return v;
}
static void xsave(uint64_t parts)
{
	__asm__ volatile("xsave64 %0" : "+m"(area) : "a"((uint32_t)parts), "d"((uint32_t)(parts >> 32)));
}
static void xrstor(uint64_t parts)
{
	__asm__ volatile("xrstor64 %0" : : "m"(area), "a"((uint32_t)parts), "d"((uint32_t)(parts >> 32)));
}

static uint64_t any_of(const uint8_t *bytes, uint64_t count)
{
	uint64_t any = 0;
	for (uint64_t i = 0; i < count; i++)
		any |= (uint64_t)bytes[i] << i % 8 * 8;
	return any;
}
static void fill(uint8_t *bytes, uint64_t count, uint8_t with)
{
	for (uint64_t i = 0; i < count; i++)
		bytes[i] = with;
}

/* --- parts of the state --- */

static uint64_t read_general(uint64_t n)
{
	(void)n;
	return any_of((const uint8_t *)found.general, sizeof(found.general)) |
	       any_of((const uint8_t *)found.general64, sizeof(found.general64));
}
static uint64_t write_general(uint64_t n) /* at the very end, whatever is written to */
{
	(void)n;
	return PATTERN;
}
static uint64_t read_flags(uint64_t n)
{
	(void)n;
	return found.flags;
}
static uint64_t write_flags(uint64_t n)
{
	(void)n;
	leave_flags = RFLAGS_MARKED;
	return leave_flags;
}
static uint64_t read_selectors(uint64_t n)
{
	(void)n;
	return found.selectors[0] | found.selectors[1] | found.selectors[2] | found.selectors[3] | found.selectors[4];
}
static uint64_t write_selectors(uint64_t n)
{
	(void)n;
	__asm__ volatile("mov %0, %%ds\n\tmov %0, %%es\n\tmov %0, %%fs\n\tmov %0, %%gs" : : "r"(SELECTOR_OTHER));
	return SELECTOR_OTHER;
}
static uint64_t read_tables(uint64_t n) /* limits and bases */
{
	(void)n;
	return found.gdtr.base | found.gdtr.limit | found.idtr.base | found.idtr.limit;
}
static uint64_t write_tables(uint64_t n)
{
	struct __attribute__((packed)) {
		uint16_t limit;
		uint64_t base;
	} now;
	(void)n;
	__asm__ volatile("sgdt %0" : "=m"(now));
	return now.base | now.limit; /* its own, without which it would not be here */
}
static uint64_t read_ldtr(uint64_t n)
{
	(void)n;
	return found.ldtr | found.tr;
}
static uint64_t write_ldtr(uint64_t n)
{
	(void)n;
	__asm__ volatile("lldt %w0\n\tltr %w1" : : "r"(SELECTOR_LDT), "r"(SELECTOR_TSS));
	return SELECTOR_LDT | SELECTOR_TSS;
}
static uint64_t read_cr(uint64_t n)
{
	uint64_t v = 0;
	if (n == 8)
		__asm__ volatile("mov %%cr8, %0" : "=r"(v));
	return n == 8 ? v : found.cr[n ? n - 1 : 0];
}
static uint64_t write_cr(uint64_t n)
{
	uint64_t v;
	switch (n) {
	case 0: /* MP, NE, WP, AM */
		__asm__ volatile("mov %%cr0, %0\n\tor $0x50022, %0\n\tmov %0, %%cr0" : "=r"(v));
		return v;
	case 2:
		__asm__ volatile("mov %0, %%cr2" : : "r"((uint64_t)PATTERN));
		return PATTERN;
	case 3: /* set by its own entry */
		__asm__ volatile("mov %%cr3, %0" : "=r"(v));
		return v;
	case 4: /* TSD, DE, MCE, PGE, PCE, OSFXSR, OSXMMEXCPT, FSGSBASE */
		set_cr4(0x107cc);
		return read_cr4();
	default:
		__asm__ volatile("mov %0, %%cr8" : : "r"(0xaull));
		return read_cr(8);
	}
}
static uint64_t read_efer(uint64_t n)
{
	(void)n;
	return found.efer;
}
static uint64_t write_efer(uint64_t n) /* `n`: SVME, say */
{
	wrmsr(0xc0000080, rdmsr(0xc0000080) | (n ? n : 0x801));
	return rdmsr(0xc0000080);
}
static uint64_t read_dr(uint64_t n)
{
	uint64_t v;
	switch (n) {
	case 0:
		__asm__ volatile("mov %%dr0, %0" : "=r"(v));
		break;
	case 1:
		__asm__ volatile("mov %%dr1, %0" : "=r"(v));
		break;
	case 2:
		__asm__ volatile("mov %%dr2, %0" : "=r"(v));
		break;
	case 3:
		__asm__ volatile("mov %%dr3, %0" : "=r"(v));
		break;
	case 6:
		__asm__ volatile("mov %%dr6, %0" : "=r"(v));
		break;
	default:
		__asm__ volatile("mov %%dr7, %0" : "=r"(v));
		break;
	}
	return v;
}
static uint64_t write_dr(uint64_t n)
{
	uint64_t v = 0x5a5a5a5a;
	switch (n) {
	case 0:
		__asm__ volatile("mov %0, %%dr0" : : "r"(v));
		break;
	case 1:
		__asm__ volatile("mov %0, %%dr1" : : "r"(v));
		break;
	case 2:
		__asm__ volatile("mov %0, %%dr2" : : "r"(v));
		break;
	case 3:
		__asm__ volatile("mov %0, %%dr3" : : "r"(v));
		break;
	case 6:
		__asm__ volatile("mov %0, %%dr6" : : "r"(0xffff4ff0ull));
		break;
	default:
		__asm__ volatile("mov %0, %%dr7" : : "r"(0x0fffull));
		break;
	}
	return read_dr(n);
}
static uint64_t read_dr_many(uint64_t n)
{
	uint64_t v = 0;
	for (uint64_t i = 0; i < 10000; i++)
		v |= read_dr(n) | write_dr(n);
	return v;
}
static uint64_t read_x87(uint64_t n) /* registers; instruction and data pointers, opcode */
{
	(void)n;
	set_cr4(0x200);
	__asm__ volatile("fxsave64 %0" : "+m"(area));
	return any_of(area + 32, 128) | any_of(area + 6, 18);
}
static uint64_t write_x87(uint64_t n)
{
	(void)n;
	set_cr4(0x200);
	fill(area, 512, 0);
	area[0] = 0x7f;
	area[1] = 3;
	area[4] = 0xff;
	*(uint32_t *)(area + 24) = 0x1f80;
	fill(area + 6, 18, 0x5a);
	for (unsigned i = 0; i < 8; i++)
		fill(area + 32 + 16 * i, 8, 0x5a);
	__asm__ volatile("fxrstor64 %0" : : "m"(area));
	return read_x87(0);
}
static uint64_t read_x87_words(uint64_t n) /* status above control */
{
	uint16_t control, status;
	(void)n;
	__asm__ volatile("fnstcw %0\n\tfnstsw %1" : "=m"(control), "=m"(status));
	return (uint64_t)status << 16 | control;
}
static uint64_t write_x87_words(uint64_t n)
{
	uint16_t control = 0x0c7f;
	(void)n;
	__asm__ volatile("fninit\n\tfldcw %0\n\tfldpi\n\tfldz\n\tfcompp" : : "m"(control));
	return read_x87_words(0);
}
static uint64_t read_mxcsr(uint64_t n)
{
	uint32_t v;
	(void)n;
	set_cr4(0x200);
	__asm__ volatile("stmxcsr %0" : "=m"(v));
	return v;
}
static uint64_t write_mxcsr(uint64_t n)
{
	uint32_t v = 0xffbf;
	(void)n;
	set_cr4(0x200);
	__asm__ volatile("ldmxcsr %0" : : "m"(v));
	return read_mxcsr(0);
}
static uint64_t read_xmm(uint64_t n)
{
	(void)n;
	set_cr4(0x200);
	__asm__ volatile("fxsave64 %0" : "+m"(area));
	return any_of(area + 160, 256);
}
static uint64_t write_xmm(uint64_t n)
{
	(void)n;
	set_cr4(0x200);
	__asm__ volatile("fxsave64 %0" : "+m"(area));
	fill(area + 160, 256, 0x5a);
	__asm__ volatile("fxrstor64 %0" : : "m"(area));
	return read_xmm(0);
}

/* What XCR0 can be set to here. Under QEMU's emulation that can't be caught; where it is, it ends the kernel. */
static uint64_t parts_there(void)
{
	uint32_t r[4];
	cpuid(0xd, 0, r);
	return (uint64_t)r[3] << 32 | r[0];
}
static uint64_t all_parts(uint64_t n)
{
	static const uint64_t together[] = { 0x18, 0xe0, 0x60000 }; /* MPX, AVX-512, AMX */
	(void)n;
	for (uint64_t part = 2; part < 63; part++)
		try(xsetbv, xgetbv() | 1ull << part);
	for (unsigned i = 0; i < sizeof(together) / sizeof(together[0]); i++)
		try(xsetbv, xgetbv() | together[i]);
	tried_vector = UINT32_MAX;
	return xgetbv();
}
static uint64_t read_xcr0(uint64_t n)
{
	(void)n;
	set_cr4(CR4_OSXSAVE);
	return xgetbv();
}
static uint64_t write_xcr0(uint64_t n)
{
	(void)n;
	set_cr4(CR4_OSXSAVE);
	return all_parts(0);
}
static uint64_t part_place(uint64_t n, uint32_t *bytes)
{
	static const struct {
		uint32_t at, bytes;
	} known[] = {
		/* where CPUID does not say */
		{ 0, 0 },     { 160, 256 },  { 576, 256 },   { 960, 64 }, { 1024, 16 },
		{ 1088, 64 }, { 1152, 512 }, { 1664, 1024 }, { 0, 0 },    { 2688, 8 },
	};
	uint32_t r[4];
	cpuid(0xd, (uint32_t)n, r);
	*bytes = r[0] ? r[0] : n < sizeof(known) / sizeof(known[0]) ? known[n].bytes : 0;
	return r[0] ? r[1] : n < sizeof(known) / sizeof(known[0]) ? known[n].at : 0;
}
static uint64_t read_part(uint64_t n) /* bit 0 of the result: the processor says that it is in use */
{
	uint32_t bytes;
	set_cr4(CR4_OSXSAVE);
	all_parts(0);
	uint64_t at = part_place(n, &bytes);
	fill(area, sizeof(area), 0);
	xsave(1ull << n);
	return any_of(area + at, bytes) & (area[HEADER + n / 8] >> n % 8 & 1 ? UINT64_MAX : 0);
}
static uint64_t write_part(uint64_t n)
{
	uint32_t bytes;
	set_cr4(CR4_OSXSAVE);
	all_parts(0);
	uint64_t at = part_place(n, &bytes);
	fill(area, sizeof(area), 0);
	*(uint32_t *)(area + 24) = 0x1f80;
	fill(area + at, bytes, 0x5a);
	if (n == 4) { /* BNDCFGU and BNDSTATUS: reserved bits are zero */
		fill(area + at, bytes, 0);
		area[at] = 2;
		area[at + 8] = 0x58;
	}
	area[HEADER + n / 8] = (uint8_t)(1u << n % 8);
	xrstor(1ull << n);
	return read_part(n);
}
static uint64_t read_pkru(uint64_t n)
{
	uint32_t v;
	(void)n;
	set_cr4(CR4_PKE);
	__asm__ volatile("rdpkru" : "=a"(v) : "c"(0) : "rdx");
	return v;
}
static uint64_t write_pkru(uint64_t n)
{
	(void)n;
	set_cr4(CR4_PKE);
	__asm__ volatile("wrpkru" : : "a"(0x5a5a5a58), "c"(0), "d"(0));
	return read_pkru(0);
}
static uint64_t read_msr(uint64_t n)
{
	return rdmsr(n);
}
static uint64_t write_msr(uint64_t n)
{
	static const struct {
		uint32_t msr;
		uint64_t value;
	} own[] = { { 0x174, 0x5a58 }, { 0x277, 0x0706050401000706 }, { 0xc0000084, 0x5a5a5a } };
	uint64_t value = 0x00005a5a5a5a5a5a;
	for (unsigned i = 0; i < sizeof(own) / sizeof(own[0]); i++)
		value = own[i].msr == n ? own[i].value : value;
	wrmsr(n, value);
	return rdmsr(n);
}
static uint64_t read_tsc_aux(uint64_t n)
{
	uint32_t low, high, aux;
	(void)n;
	__asm__ volatile("rdtscp" : "=a"(low), "=d"(high), "=c"(aux));
	return aux;
}
static uint64_t write_tsc_aux(uint64_t n)
{
	(void)n;
	wrmsr(0xc0000103, 0x5a5a);
	return read_tsc_aux(0);
}
static uint64_t read_counter(uint64_t n)
{
	uint32_t low, high;
	__asm__ volatile("rdpmc" : "=a"(low), "=d"(high) : "c"((uint32_t)n));
	return low;
}
/* The second GiB is mapped by a global page for a moment: who finds it without having mapped it uses somebody else's
 * translation. */
static uint64_t read_tlb(uint64_t n)
{
	(void)n;
	return *(volatile uint64_t *)0x40000000;
}
static uint64_t write_tlb(uint64_t n)
{
	static uint64_t pages[512] __attribute__((aligned(4096)));
	(void)n;
	set_cr4(0x80); /* PGE */
	pages[0] = 0x200000 | 0x183;
	*(volatile uint64_t *)0x200000 = 0x5a5a;
	pdpt[1] = (uint64_t)pages | 3;
	return read_tlb(0);
}
/* A table that nobody but the processor writes to: it marks an entry as accessed, and as written through. */
static uint64_t untouched[512] __attribute__((aligned(4096))) = { 0x200000 | 0x83 };
static uint64_t read_marks(uint64_t n)
{
	(void)n;
	return *(volatile uint64_t *)untouched & 0x60;
}
static uint64_t write_marks(uint64_t n)
{
	pdpt[2] = (uint64_t)untouched | 3;
	*(volatile uint64_t *)0x80000000 = 1;
	return read_marks(n);
}
static uint64_t read_memory(uint64_t n)
{
	return *(volatile uint64_t *)n;
}
static uint64_t write_memory(uint64_t n)
{
	*(volatile uint64_t *)n = PATTERN;
	return read_memory(n);
}
static uint64_t read_port(uint64_t n)
{
	return in8((uint16_t)n);
}
static uint64_t write_port(uint64_t n)
{
	out8((uint16_t)n, 0x5a);
	return in8((uint16_t)n);
}
static uint64_t read_timer(uint64_t n) /* channel 2's count, and whether the speaker is on */
{
	(void)n;
	out8(TIMER_CONTROL, 0x80);
	uint64_t low = in8(TIMER_2), speaker = in8(TIMER_GATE) & 2 ? 0x5a000000 : 0;
	return speaker | (uint64_t)in8(TIMER_2) << 8 | low;
}
static uint64_t write_timer(uint64_t n) /* with its gate closed it stands still */
{
	(void)n;
	out8(TIMER_GATE, 2);
	out8(TIMER_CONTROL, 0xb0);
	out8(TIMER_2, 0x5a);
	out8(TIMER_2, 0x5a);
	return read_timer(0);
}
static uint64_t read_clock_index(uint64_t n) /* at first it points at a register that is always 0x80 */
{
	(void)n;
	uint8_t there = in8(CLOCK_INDEX + 1);
	return there == 0x80 ? 0 : 0x5a00u | there;
}
static uint64_t write_clock_index(uint64_t n)
{
	(void)n;
	out8(CLOCK_INDEX, 0xb);
	return read_clock_index(0);
}
static uint64_t read_cursor(uint64_t n)
{
	(void)n;
	out8(CURSOR_INDEX, 15);
	return in8(CURSOR_INDEX + 1);
}
static uint64_t write_cursor(uint64_t n)
{
	(void)n;
	out8(CURSOR_INDEX, 15);
	out8(CURSOR_INDEX + 1, 0x5a);
	return read_cursor(0);
}
static uint64_t read_parts(uint64_t n)
{
	(void)n;
	return parts_there();
}
/* What a processor refuses; an emulator may let it pass, until the next exit. */
static uint64_t make_invalid(uint64_t n)
{
	uint64_t v;
	switch (n) {
	case 0: /* NW without CD */
		__asm__ volatile("mov %%cr0, %0\n\tor $0x20000000, %0\n\tmov %0, %%cr0" : "=&r"(v));
		break;
	case 1: /* no PAE in 64-bit mode */
		__asm__ volatile("mov %%cr4, %0\n\tand $~0x20, %0\n\tmov %0, %%cr4" : "=&r"(v));
		break;
	case 2: /* a code segment of 64 bits and of 32 */
		gdt[SELECTOR_OTHER / 8] = 0x00ef9b000000ffff;
		__asm__ volatile("push %1\n\tlea 1f(%%rip), %0\n\tpush %0\n\tlretq\n1:"
				 : "=&r"(v)
				 : "i"(SELECTOR_OTHER));
		break;
	case 0x100 ... 0x11f: /* any bit of CR0, CR3, CR4 */
		__asm__ volatile("mov %%cr0, %0" : "=r"(v));
		__asm__ volatile("mov %0, %%cr0" : : "r"(v ^ 1ull << (n & 0x1f)));
		break;
	case 0x300 ... 0x33f:
		__asm__ volatile("mov %%cr3, %0" : "=r"(v));
		__asm__ volatile("mov %0, %%cr3" : : "r"(v ^ 1ull << (n & 0x3f)));
		break;
	case 0x400 ... 0x43f:
		__asm__ volatile("mov %0, %%cr4" : : "r"(read_cr4() ^ 1ull << (n & 0x3f)));
		break;
	default: /* 64-bit mode turned off with paging on */
		wrmsr(0xc0000080, rdmsr(0xc0000080) & ~0x100ull);
		break;
	}
	return in8(0x80);
}
static uint64_t vmrun(uint64_t n)
{
	__asm__ volatile("vmrun %%rax" : : "a"(n));
	return n;
}

static const struct part {
	const char *name;
	uint64_t (*read)(uint64_t n);
	uint64_t (*write)(uint64_t n);
	uint64_t all[4]; /* with which numbers "write all" writes to it; behind the last one a 0 */
} parts[] = {
	{ "cursor", read_cursor, write_cursor, { 1 } },
	{ "timer", read_timer, write_timer, { 0 } },
	{ "clock-index", read_clock_index, write_clock_index, { 0 } },
	{ "port", read_port, write_port, { SCRATCH } },
	{ "memory", read_memory, write_memory, { 0x300000 } },
	{ "tlb", read_tlb, write_tlb, { 1 } },
	{ "marks", read_marks, write_marks, { 1 } },
	{ "general", read_general, write_general, { 1 } },
	{ "flags", read_flags, write_flags, { 1 } },
	{ "selectors", read_selectors, write_selectors, { 1 } },
	{ "tables", read_tables, write_tables, { 1 } },
	{ "ldtr", read_ldtr, write_ldtr, { 1 } },
	{ "cr", read_cr, write_cr, { 2, 4, 8 } },
	{ "efer", read_efer, write_efer, { 1 } },
	{ "xcr0", read_xcr0, write_xcr0, { 1 } },
	{ "pkru", read_pkru, write_pkru, { 1 } },
	{ "part", read_part, write_part, { 2, 3, 4 } },
	{ "mxcsr", read_mxcsr, write_mxcsr, { 1 } },
	{ "xmm", read_xmm, write_xmm, { 1 } },
	{ "x87", read_x87, write_x87, { 1 } },
	{ "x87-words", read_x87_words, write_x87_words, { 1 } },
	{ "msr", read_msr, write_msr, { 0x174, 0x175, 0x176, 0x277 } },
	{ "msr", read_msr, write_msr, { 0xc0000081, 0xc0000082, 0xc0000083, 0xc0000084 } },
	{ "msr", read_msr, write_msr, { 0xc0000100, 0xc0000101, 0xc0000102 } },
	{ "dr", read_dr, write_dr, { 0 } },
	{ "dr-many", read_dr_many, read_dr_many, { 0 } },
	{ "tsc-aux", read_tsc_aux, write_tsc_aux, { 0 } },
	{ "counter", read_counter, read_counter, { 0 } },
	{ "parts", read_parts, read_parts, { 0 } },
	{ "vmrun", vmrun, vmrun, { 0 } },
	{ "invalid", make_invalid, make_invalid, { 0 } },
};
enum { PARTS = sizeof(parts) / sizeof(parts[0]) };

/* --- what it is told, and what it tells --- */

static void put(char c)
{
	if (!mailbox)
		out8(DEBUG, (uint8_t)c);
	else if (result_bytes < KCHAIN_MAILBOX_TEXT_BYTES)
		mailbox->text[result_bytes++] = c;
}
static void say(const char *text)
{
	while (*text)
		put(*text++);
}
static void say_hex(uint64_t v)
{
	unsigned digits = 1;
	while (digits < 16 && v >> 4 * digits)
		digits++;
	say("0x");
	while (digits--)
		put("0123456789abcdef"[v >> 4 * digits & 15]);
}

static _Noreturn void tell(const char *key, uint64_t value)
{
	if (!mailbox)
		say("{\"event\":\"exit\",\"status\":0,\"result\":");
	say("{\"");
	say(key);
	say("\":\"");
	say_hex(value);
	say("\"}");
	if (mailbox)
		kchain_mailbox_leave(mailbox, 0, mailbox->text, result_bytes);
	else
		say("}");
	leave_marked(leave_flags, mailbox ? NOBODY : DEBUG);
	__builtin_unreachable();
}

static uint64_t write_all(uint64_t then_spins)
{
	for (const struct part *p = parts; p < parts + PARTS; p++)
		for (unsigned i = 0; i < 4 && p->all[i]; i++)
			try(p->write, p->all[i]);
	while (then_spins)
		__asm__ volatile("pause");
	return 1;
}

static void take_traps(void)
{
	const struct __attribute__((packed)) {
		uint16_t limit;
		uint64_t base;
	} pointer = { sizeof(idt) - 1, (uint64_t)idt };
	for (unsigned i = 0; i < 32; i++) {
		uint64_t entry = (uint64_t)traps + 16 * i;
		idt[i].low = (uint16_t)entry;
		idt[i].selector = SELECTOR_CODE;
		idt[i].type = 0x8e00;
		idt[i].middle = (uint16_t)(entry >> 16);
		idt[i].high = (uint32_t)(entry >> 32);
	}
	__asm__ volatile("lidt %0" : : "m"(pointer));
}

static const char *skip_word(const char *at, const char *wanted)
{
	while (*wanted && *at == *wanted)
		at++, wanted++;
	if (*wanted || (*at && *at != ' '))
		return NULL;
	while (*at == ' ')
		at++;
	return at;
}

static uint64_t read_hex(const char *at)
{
	uint64_t v = 0;
	for (at += at[0] == '0' && at[1] == 'x' ? 2 : 0; *at && *at != ' '; at++)
		v = v << 4 | (uint64_t)(*at <= '9' ? *at - '0' : *at - 'a' + 10);
	return v;
}

_Noreturn void begin(void);
_Noreturn void begin(void)
{
	const uint32_t *info = (const uint32_t *)(uint64_t)found.info;
	const char *args = (const char *)(uint64_t)info[4], *rest = skip_word(args, "write");
	bool write = rest;
	uint64_t value = 0;
	mailbox = kchain_mailbox_find(found.info);
	take_traps();
	rest = rest ? rest : skip_word(args, "read");
	for (const struct part *p = parts; rest && p < parts + PARTS; p++) {
		const char *behind = skip_word(rest, p->name);
		if (!behind)
			continue;
		number = read_hex(behind);
		value = try(write ? p->write : p->read, number);
		tell(tried_vector == UINT32_MAX ? "value" : "vector",
		     tried_vector == UINT32_MAX ? value : tried_vector);
	}
	if (rest && skip_word(rest, "all"))
		tell("value", write_all(read_hex(skip_word(rest, "all"))));
	tell("unknown", 0);
}
