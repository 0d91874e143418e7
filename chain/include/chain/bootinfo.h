/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: what a machine told the stage at entry, whatever door it came in by.
 * Must not know: Multiboot, PVH or any other door's own structures, or JSON (chain/bootinfo_json.h). */
#ifndef CHAIN_BOOTINFO_H
#define CHAIN_BOOTINFO_H

#include "chain/error.h"
#include "chain/range.h"

#include <stdbool.h>

/* ACPI 6.5, table 15.8 (address range types), as E820 and Multiboot number them. */
enum chain_mem_type {
	CHAIN_MEM_AVAILABLE = 1,
	CHAIN_MEM_RESERVED = 2,
	CHAIN_MEM_ACPI = 3,
	CHAIN_MEM_NVS = 4,
	CHAIN_MEM_BAD = 5,
	CHAIN_MEM_PMEM = 7,
	CHAIN_MEM_PMEM_LEGACY = 12,
};

struct chain_mem_entry {
	struct chain_range range; /* physical, bytes */
	uint32_t type;            /* enum chain_mem_type or a number of the firmware's own */
};

struct chain_boot_module {
	struct chain_range range; /* physical, bytes */
	char *string;             /* owned by the bootinfo; never null */
};

struct chain_framebuffer { /* phys == 0: none was handed over */
	uint64_t phys;
	uint32_t pitch_bytes, width, height;
	uint8_t bpp,
		type; /* as Multiboot 1 section 3.3: enum chain_framebuffer_type, or a number of the loader's own */
	uint8_t colors[6]; /* CHAIN_FRAMEBUFFER_RGB: lowest bit and number of bits of red, green and blue, as received
			    */
};
/* An indexed one's palette is not kept: it lies in memory that a chain gives to others. */
enum chain_framebuffer_type { CHAIN_FRAMEBUFFER_INDEXED, CHAIN_FRAMEBUFFER_RGB, CHAIN_FRAMEBUFFER_TEXT };

/* The text screen of 80 columns by 25 lines that a PC begins with. */
static inline struct chain_framebuffer chain_framebuffer_ega_text(void)
{
	return (struct chain_framebuffer){ .phys = 0xb8000,
					   .pitch_bytes = 160,
					   .width = 80,
					   .height = 25,
					   .bpp = 16,
					   .type = CHAIN_FRAMEBUFFER_TEXT };
}

struct chain_bootinfo {
	char door[24];               /* "multiboot1", "native", … */
	char *loader;                /* boot loader name, owned; never null */
	char *cmdline;               /* owned; never null */
	struct chain_mem_entry *mem; /* owned; sorted by base, no overlaps (see chain_bootinfo_normalise) */
	size_t mem_count;
	struct chain_boot_module *modules; /* owned; in the loader's order */
	size_t module_count;
	struct chain_range image;                     /* where the running image lies, its filesystem included */
	uint64_t image_base;                          /* physical address of the image's first byte */
	uint64_t acpi_rsdp, smbios, efi_system_table; /* physical; 0: not known */
	uint8_t rsdp[36];
	uint32_t rsdp_bytes; /* what lies at acpi_rsdp (ACPI 6.5, table 5.3): 20 or 36 bytes; 0: not known */
	uint8_t smbios_entry[32];
	uint32_t smbios_bytes; /* what lies at smbios (SMBIOS 3.6, 5.2); 0: not known */
	struct chain_framebuffer framebuffer;
	uint32_t cpus; /* at least 1 */
};

/* An empty one; `free` releases all that it owns (null is allowed). Where memory runs out `init` leaves the texts null,
 * and `make` fails: CHAIN_E_NO_MEMORY. */
void chain_bootinfo_init(struct chain_bootinfo *info);
enum chain_status chain_bootinfo_make(struct chain_bootinfo *info, struct chain_error *err) CHAIN_MUST_CHECK;
void chain_bootinfo_free(struct chain_bootinfo *info);

/* Appends copies. CHAIN_E_NO_MEMORY, CHAIN_E_OVERFLOW (base + bytes). A zero-length memory entry is dropped. */
enum chain_status chain_bootinfo_add_mem(struct chain_bootinfo *info, uint64_t base, uint64_t bytes, uint32_t type,
					 struct chain_error *err) CHAIN_MUST_CHECK;
enum chain_status chain_bootinfo_add_module(struct chain_bootinfo *info, uint64_t base, uint64_t bytes,
					    const char *string, struct chain_error *err) CHAIN_MUST_CHECK;

/* Sorts the memory map, resolves overlaps (anything that is not available wins over available; among
 * others the higher type wins) and merges neighbours of one type. */
enum chain_status chain_bootinfo_normalise(struct chain_bootinfo *info, struct chain_error *err) CHAIN_MUST_CHECK;

/* How far available memory reaches without a hole from `base`, in KiB, at most up to `limit`; the map is sorted. */
uint32_t chain_memory_contiguous_kib(const struct chain_mem_entry *mem, size_t count, uint64_t base, uint64_t limit);

/* QEMU's own defaults for `machine` ("pc", "q35", "microvm") with `memory_bytes` of RAM (a multiple of 1 MiB, at
 * least 2 MiB) and `cpus` processors: the memory map SeaBIOS or qboot reports. The image fields are left zero. */
enum chain_status chain_bootinfo_qemu(const char *machine, uint64_t memory_bytes, uint32_t cpus,
				      struct chain_bootinfo *out, struct chain_error *err) CHAIN_MUST_CHECK;

#endif
