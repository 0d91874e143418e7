/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: what the entry code found out, and the machine as the door described it.
 * Must not know: what is done with it. */
#ifndef STAGE_BOOT_H
#define STAGE_BOOT_H

#include "chain/bootinfo.h"
#include "chain/image_format.h"
#include "stage/native.h"

/* Filled in by stage/boot/entry.S; offsets in boot_layout.h. */
struct stage_boot {
	uint64_t entry_tsc;
	uint64_t image_phys;         /* where the image's first byte lies; 0 when called */
	uint32_t magic;              /* EAX at the entry */
	uint32_t info_phys;          /* EBX at the entry */
	const struct kchain_call *call; /* null: booted */
};
extern struct stage_boot stage_boot;

static inline bool stage_is_called(void) { return stage_boot.call != NULL; }

/* Zeroed data that a called kernel does without: it lies in the last segment, see stage/kernel.ld. The odd end of the name makes the
 * compiler's section line a comment from there on, so that the section takes no room in the file. */
#define STAGE_BOOT_ONLY __attribute__((section(".boot_bss.data,\"aw\",@nobits#")))

/* This image's own header, as `bake` filled it in. */
extern const struct chain_image_header stage_image_header;
/* First byte of the image in virtual memory, and the end of what it takes up (stage_bytes on). */
extern const uint8_t stage_image_start[], stage_image_end[];

/* Never null; empty in a called kernel. */
struct chain_bootinfo *stage_bootinfo(void);

/* The RSDP (ACPI 6.5 section 5.2.5.1), searched in the BIOS areas; 0: none. */
uint64_t stage_find_rsdp(void);
/* Enabled processors by ACPI's MADT: how many (0: it says nothing), and the local APIC ids of the first `room` of them. */
uint32_t stage_list_cpus(uint64_t rsdp_phys, uint32_t *apic_ids, uint32_t room);
/* SMBIOS entry point in the BIOS area (SMBIOS 3.6 section 5.2.1); 0: none. */
uint64_t stage_find_smbios(void);

#endif
