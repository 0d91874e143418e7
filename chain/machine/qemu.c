/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "chain/bootinfo.h"

#include <stdio.h>
#include <string.h>

/* As a Multiboot kernel got them from QEMU 7.2 (TCG, default processor) with 2 MiB to 5 GiB. */
struct machine {
	const char *name;
	uint64_t split_from;   /* with that much RAM or more, a part lies above 4 GiB … */
	uint64_t low_bytes;    /* … and this much below */
	uint64_t top_reserved; /* what SeaBIOS keeps at the end of low RAM; qboot keeps nothing */
	bool has_vga;
	struct {
		uint64_t base, bytes;
		uint32_t type;
	} fixed[4];
};

enum chain_status chain_bootinfo_qemu(const char *machine, uint64_t memory_bytes, uint32_t cpus,
				      struct chain_bootinfo *out, struct chain_error *err)
{
	static const struct machine machines[] = {
		{ "pc",
		  0xe0000000,
		  0xc0000000,
		  0x20000,
		  true,
		  { { 0xfffc0000, 0x40000, 2 }, { 0xfd00000000, 0x300000000, 2 } } },
		{ "q35",
		  0xb0000000,
		  0x80000000,
		  0x20000,
		  true,
		  { { 0xb0000000, 0x10000000, 2 },
		    { 0xfed1c000, 0x4000, 2 },
		    { 0xfffc0000, 0x40000, 2 },
		    { 0xfd00000000, 0x300000000, 2 } } },
		{ "microvm", 0xc0000000, 0xc0000000, 0, false, { { 0xd0000, 0x20000, CHAIN_MEM_NVS } } },
	};
	const uint64_t four_gib = (uint64_t)1 << 32, mib = 1 << 20;
	const struct machine *m = NULL;
	for (size_t i = 0; i < sizeof(machines) / sizeof(machines[0]); i++)
		if (!strcmp(machines[i].name, machine))
			m = &machines[i];
	if (!m)
		return chain_fail_subject(err, CHAIN_E_BOOTINFO_MACHINE, machine);
	if (memory_bytes < 2 * mib || memory_bytes % mib || memory_bytes > (uint64_t)1 << 40)
		return CHAIN_FAIL(err, BOOTINFO_MEMORY, .subject = machine, .bytes = memory_bytes);
	uint64_t low = memory_bytes, high = 0;
	if (memory_bytes >= m->split_from) {
		low = m->low_bytes;
		high = memory_bytes - low;
	}
	const struct {
		uint64_t base, end;
		uint32_t type;
	} rows[] = {
		{ 0, 0x9fc00, CHAIN_MEM_AVAILABLE },
		{ 0x9fc00, 0xa0000, CHAIN_MEM_RESERVED },
		{ 0xf0000, 0x100000, CHAIN_MEM_RESERVED },
		{ mib, low - m->top_reserved, CHAIN_MEM_AVAILABLE },
		{ low - m->top_reserved, low, CHAIN_MEM_RESERVED },
		{ four_gib, four_gib + high, CHAIN_MEM_AVAILABLE },
	};
	enum chain_status status = chain_bootinfo_make(out, err);
	snprintf(out->door, sizeof(out->door), "multiboot1");
	out->cpus = cpus;
	if (m->has_vga)
		out->framebuffer = chain_framebuffer_ega_text();
	for (size_t i = 0; !status && i < sizeof(rows) / sizeof(rows[0]); i++)
		status = chain_bootinfo_add_mem(out, rows[i].base, rows[i].end - rows[i].base, rows[i].type, err);
	for (size_t i = 0; !status && i < sizeof(m->fixed) / sizeof(m->fixed[0]); i++)
		status = chain_bootinfo_add_mem(out, m->fixed[i].base, m->fixed[i].bytes, m->fixed[i].type, err);
	if (!status)
		status = chain_bootinfo_normalise(out, err);
	if (status)
		chain_bootinfo_free(out);
	return status;
}
