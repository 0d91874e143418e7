/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: what the entry code found out, and the machine as the door described it.
 * Must not know: what is done with it. */
#ifndef STAGE_BOOT_H
#define STAGE_BOOT_H

#include "chain/bootinfo.h"
#include "abi/image_format.h"
#include "abi/native.h"
#include "stage/face.h"

/* Filled in by stage/boot/entry.S; offsets in boot_layout.h. */
struct stage_boot {
	uint64_t entry_tsc;
	uint64_t image_phys;            /* where the image's first byte lies; 0 when called */
	uint32_t magic;                 /* EAX at the entry */
	uint32_t info_phys;             /* EBX at the entry */
	const struct kchain_call *call; /* never null: stage_no_call of a booted kernel */
	const struct stage_face *face;
};
extern struct stage_boot stage_boot;
extern struct kchain_call stage_no_call; /* all of it 0 */

/* Zeroed data that a called kernel does without: it lies in the last segment, see stage/kernel.ld. The odd end of the
 * name makes the compiler's section line a comment from there on, so that the section takes no room in the file. */
#define STAGE_BOOT_ONLY __attribute__((section(".boot_bss.data,\"aw\",@nobits#")))

/* A function that a called kernel does without: it lies where such a kernel can't execute it, see stage/kernel.ld. */
#define STAGE_BOOT_TEXT __attribute__((noinline, section(".boot_text")))

/* This image's own header, as `bake` filled it in. */
extern const struct chain_image_header stage_image_header;
/* First byte of the image in virtual memory, and the end of what it takes up (stage_bytes on). */
extern const uint8_t stage_image_start[], stage_image_end[];

/* Never null; empty in a called kernel. */
struct chain_bootinfo *stage_bootinfo(void);

/* Firmware's tables. All of this looks at memory through stage_phys_view only, and believes nothing that has no right
 * sum. */

/* Whether an RSDP (ACPI 6.5 section 5.2.5.3), or an SMBIOS entry point of either kind (SMBIOS 3.6 section 5.2), lies
 * there. */
bool stage_is_rsdp(uint64_t phys);
bool stage_is_smbios(uint64_t phys);
/* Searched in the BIOS areas below 1 MiB (ACPI 6.5 section 5.2.5.1; SMBIOS 3.6 section 5.2; MP 1.4 chapter 4); 0 or
 * null: none. */
uint64_t stage_find_rsdp(void);
uint64_t stage_find_smbios(void);
const uint8_t *stage_find_mp_pointer(void); /* 16 bytes */
/* What of info->acpi_rsdp and info->smbios is not known (0) yet, by the configuration tables of info->efi_system_table.
 */
void stage_efi_find(struct chain_bootinfo *info);
/* The same, searched in the memory above 1 MiB that the firmware kept, at most 64 MiB of it: millions of instructions.
 */
void stage_search_kept(struct chain_bootinfo *info);

/* Enabled processors by ACPI's MADT, or by the MP table where that says nothing: how many (0: neither does), and the
 * local APIC ids of the first `room` of them. */
uint32_t stage_list_cpus(uint64_t rsdp_phys, uint32_t *apic_ids, uint32_t room);
/* The same by the MP table alone (MP 1.4 section 4.3.1). */
uint32_t stage_list_mp_cpus(uint32_t *apic_ids, uint32_t room);

bool stage_sums_to_zero(const uint8_t *bytes, size_t count);

#endif
