/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* PVH (Xen's docs/misc/pvh.pandoc): an ELF file whose note says where it is entered in 32-bit mode. */

#include "chain/pvh_format.h"
#include "doors.h"

#include <string.h>

extern const struct chain_door chain_door_pvh;

static bool find_note(const uint8_t *file, uint64_t file_bytes, const uint8_t **out, uint64_t *out_bytes)
{
	struct chain_elf elf;
	return !chain_elf_open(&elf, file, file_bytes, "", NULL) &&
	       !chain_elf_find_note(&elf, CHAIN_PVH_NOTE_NAME, CHAIN_PVH_NOTE_ENTRY, out, out_bytes, NULL);
}

static bool probe(const uint8_t *file, uint64_t file_bytes)
{
	const uint8_t *note;
	uint64_t note_bytes;
	return find_note(file, file_bytes, &note, &note_bytes);
}

static enum chain_status read_kernel(const uint8_t *file, uint64_t file_bytes, const char *subject,
				     struct chain_kernel *out, struct chain_error *err)
{
	struct chain_elf elf;
	const uint8_t *note;
	uint64_t note_bytes;
	*out = (struct chain_kernel){ .door = &chain_door_pvh,
				      .mode = CHAIN_ENTRY_PROTECTED32,
				      .limit = chain_door_pvh.limit };
	enum chain_status status =
		chain_elf_read_kernel(&elf, file, file_bytes, subject, out->segments, &out->segment_count, err);
	if (!status)
		status = chain_elf_find_note(&elf, CHAIN_PVH_NOTE_NAME, CHAIN_PVH_NOTE_ENTRY, &note, &note_bytes, err);
	if (status)
		return status;
	/* "a 32-bit physical address", which 64-bit kernels write as one of 64 bits */
	if (note_bytes != sizeof(uint32_t) && note_bytes != sizeof(uint64_t))
		return CHAIN_FAIL(err, PVH_NOTE, .subject = subject, .bytes = note_bytes);
	out->entry = note_bytes == sizeof(uint32_t) ? chain_le32(note) : chain_le64(note);
	status = door_check_entry(out, subject, err);
	return status ? status : door_check_low(out, subject, err);
}

/* start information | modules | memory map | texts */
static uint64_t texts_at(const struct chain_door_info *info)
{
	return sizeof(struct chain_pvh_info) + info->module_count * sizeof(struct chain_pvh_module) +
	       info->mem_count * sizeof(struct chain_pvh_mmap_entry);
}

static enum chain_status info_bytes(const struct chain_door_info *info, uint64_t *out, struct chain_error *err)
{
	(void)err;
	*out = texts_at(info) + strlen(info->cmdline) + 1;
	for (size_t i = 0; i < info->module_count; i++)
		*out += strlen(info->modules[i].string) + 1;
	return CHAIN_OK;
}

static enum chain_status info_build(const struct chain_door_info *info, uint64_t phys, uint8_t *buf,
				    struct chain_error *err)
{
	struct door_block block = { buf, phys, 0 }, texts = { buf, phys, texts_at(info) };
	uint64_t bytes;
	enum chain_status status = info_bytes(info, &bytes, err);
	if (!status && (bytes > CHAIN_4G || phys > CHAIN_4G - bytes))
		status = CHAIN_FAIL(err, MULTIBOOT_INFO_PLACE, .subject = info->subject, .base = phys, .bytes = bytes);
	if (status)
		return status;
	struct chain_pvh_info head = {
		.magic = CHAIN_PVH_MAGIC,
		.version = CHAIN_PVH_VERSION,
		.module_count = (uint32_t)info->module_count,
		.rsdp = info->machine->acpi_rsdp,
		.mmap_count = (uint32_t)info->mem_count,
		.modules = info->module_count ? phys + sizeof(head) : 0,
		.mmap = phys + sizeof(head) + info->module_count * sizeof(struct chain_pvh_module),
		.cmdline = door_put(&texts, info->cmdline, strlen(info->cmdline) + 1, 1),
	};
	door_put(&block, &head, sizeof(head), 1);
	for (size_t i = 0; i < info->module_count; i++) {
		const struct chain_door_module *from = &info->modules[i];
		const struct chain_pvh_module module = { from->range.base, chain_range_bytes(from->range),
							 door_put(&texts, from->string, strlen(from->string) + 1, 1),
							 0 };
		door_put(&block, &module, sizeof(module), 1);
	}
	for (size_t i = 0; i < info->mem_count; i++) {
		const struct chain_mem_entry *from = &info->mem[i];
		const struct chain_pvh_mmap_entry entry = { from->range.base, chain_range_bytes(from->range),
							    from->type, 0 };
		door_put(&block, &entry, sizeof(entry), 1);
	}
	return CHAIN_OK;
}

static struct chain_entry entry(const struct chain_kernel *kernel, uint64_t info_phys)
{
	struct chain_entry state = chain_entry_at(kernel->mode, kernel->entry);
	state.registers[CHAIN_RBX] = info_phys;
	return state;
}

const struct chain_door chain_door_pvh = {
	.name = "pvh",
	.title = "PVH",
	.handoff = CHAIN_HANDOFF_MODULE,
	.limit = CHAIN_4G,
	.lone_file = true,
	.probe = probe,
	.read = read_kernel,
	.info_bytes = info_bytes,
	.info_build = info_build,
	.entry = entry,
};
