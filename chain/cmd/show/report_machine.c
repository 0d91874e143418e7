/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: what `kchain run --bootinfo` wrote, as `kchain report` prints it: the machine as its first link found it. */

#include "report.h"

#include <inttypes.h>

static const char *type_name(uint32_t type)
{
	switch ((enum chain_mem_type)type) {
	case CHAIN_MEM_AVAILABLE:
		return "available";
	case CHAIN_MEM_RESERVED:
		return "reserved";
	case CHAIN_MEM_ACPI:
		return "ACPI tables";
	case CHAIN_MEM_NVS:
		return "ACPI NVS";
	case CHAIN_MEM_BAD:
		return "bad";
	case CHAIN_MEM_PMEM:
	case CHAIN_MEM_PMEM_LEGACY:
		return "persistent";
	}
	return "of another type";
}

static void put_text(const char *label, const char *text, FILE *to)
{
	if (!*text)
		return;
	fprintf(to, "  %-9s ", label);
	cmd_text_put(to, text);
	fputc('\n', to);
}

static void put_table(const char *name, uint64_t phys, FILE *to)
{
	if (phys)
		fprintf(to, "  %-9s 0x%" PRIx64 "\n", name, phys);
}

static void put_devices(const json_t *devices, FILE *to)
{
	size_t i;
	const json_t *device;
	json_array_foreach (devices, i, device) {
		static const char *const KEYS[] = { "status", "driver", "pci", "serial", "mac", "reason" };
		const char *name = json_string_value(json_object_get(device, "name"));
		fprintf(to, "  %-9s ", "device");
		cmd_text_put(to, name ? name : "?");
		for (size_t k = 0; k < sizeof(KEYS) / sizeof(KEYS[0]); k++) {
			const char *value = json_string_value(json_object_get(device, KEYS[k]));
			if (!value)
				continue;
			fputs("  ", to);
			cmd_text_put(to, value);
		}
		fputc('\n', to);
	}
}

void report_machine_print(const struct report *r, FILE *to)
{
	const struct chain_bootinfo *m = &r->machine;
	uint64_t available = 0;
	char size[CMD_SIZE_BYTES];
	for (size_t i = 0; i < m->mem_count; i++)
		if (m->mem[i].type == CHAIN_MEM_AVAILABLE)
			available += chain_range_bytes(m->mem[i].range);
	fprintf(to, "a machine with %" PRIu32 " processor%s, %s of memory available\n", m->cpus,
		m->cpus == 1 ? "" : "s", cmd_size_text(available, size));
	put_text("door", m->door, to);
	put_text("loader", m->loader, to);
	put_text("arguments", m->cmdline, to);
	for (size_t i = 0; i < m->mem_count; i++)
		fprintf(to, "  %-9s 0x%-12" PRIx64 " 0x%-12" PRIx64 " %s\n", i ? "" : "memory", m->mem[i].range.base,
			m->mem[i].range.end, type_name(m->mem[i].type));
	for (size_t i = 0; i < m->module_count; i++) {
		fprintf(to, "  %-9s 0x%-12" PRIx64 " 0x%-12" PRIx64 " ", "module", m->modules[i].range.base,
			m->modules[i].range.end);
		cmd_text_put(to, m->modules[i].string);
		fputc('\n', to);
	}
	put_table("RSDP", m->acpi_rsdp, to);
	put_table("SMBIOS", m->smbios, to);
	put_table("EFI", m->efi_system_table, to);
	if (m->framebuffer.phys)
		fprintf(to, "  %-9s %" PRIu32 " x %" PRIu32 ", %u bits\n", "screen", m->framebuffer.width,
			m->framebuffer.height, m->framebuffer.bpp);
	put_devices(json_object_get(r->doc, "devices"), to);
}
