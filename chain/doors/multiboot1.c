/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Multiboot 1 (specification 0.6.96) as a way to start a kernel. */

#include "chain/multiboot.h"
#include "doors.h"

#include <string.h>

extern const struct chain_door chain_door_multiboot1;

static bool probe(const uint8_t *file, uint64_t file_bytes)
{
	struct multiboot_header header;
	uint64_t offset;
	enum chain_status status = chain_multiboot_find(file, file_bytes, "", &offset, &header, NULL);
	return !status || status == CHAIN_E_MULTIBOOT_UNKNOWN_FLAG;
}

static enum chain_status read_kernel(const uint8_t *file, uint64_t file_bytes, const char *subject,
				     struct chain_kernel *out, struct chain_error *err)
{
	struct chain_multiboot_kernel kernel;
	enum chain_status status = chain_multiboot_kernel_read(&kernel, file, file_bytes, subject, err);
	if (status)
		return status;
	const struct multiboot_header *header = &kernel.header;
	*out = (struct chain_kernel){
		.door = &chain_door_multiboot1,
		.segment_count = kernel.segment_count,
		.entry = kernel.entry,
		.mode = CHAIN_ENTRY_PROTECTED32,
		.align_modules = header->flags & MULTIBOOT_PAGE_ALIGN,
		.limit = chain_door_multiboot1.limit,
		.video = { header->flags & MULTIBOOT_VIDEO_MODE, header->mode_type == CHAIN_MB1_TEXT_MODE,
			   header->width, header->height, header->depth },
	};
	memcpy(out->segments, kernel.segments, sizeof(out->segments));
	return CHAIN_OK;
}

static struct chain_multiboot_info describe(const struct chain_door_info *info)
{
	return (struct chain_multiboot_info){
		.subject = info->subject,
		.cmdline = info->cmdline,
		.loader_name = info->loader_name,
		.modules = info->modules,
		.module_count = info->module_count,
		.mem = info->mem,
		.mem_count = info->mem_count,
		.framebuffer = info->machine->framebuffer,
	};
}

static enum chain_status info_bytes(const struct chain_door_info *info, uint64_t *out, struct chain_error *err)
{
	const struct chain_multiboot_info said = describe(info);
	return chain_multiboot_info_bytes(&said, out, err);
}

static enum chain_status info_build(const struct chain_door_info *info, uint64_t phys, uint8_t *buf,
				    struct chain_error *err)
{
	const struct chain_multiboot_info said = describe(info);
	return chain_multiboot_info_build(&said, phys, buf, err);
}

/* Section 3.2. */
static struct chain_entry entry(const struct chain_kernel *kernel, uint64_t info_phys)
{
	struct chain_entry state = chain_entry_at(kernel->mode, kernel->entry);
	state.registers[CHAIN_RAX] = MULTIBOOT_BOOTLOADER_MAGIC;
	state.registers[CHAIN_RBX] = info_phys;
	return state;
}

static bool texts(const uint8_t *made, uint64_t made_bytes, uint64_t phys, struct chain_range handoff,
		  struct chain_door_texts *out)
{
	struct multiboot_info info;
	struct multiboot_mod_list module;
	if (made_bytes < sizeof(info))
		return false;
	memcpy(&info, made, sizeof(info));
	*out = (struct chain_door_texts){ .cmdline = info.cmdline - phys };
	if (!chain_range_bytes(handoff))
		return true;
	uint64_t list = info.mods_addr - phys;
	for (uint64_t i = 0, at = list;
	     i < info.mods_count && made_bytes >= sizeof(module) && at <= made_bytes - sizeof(module);
	     i++, at += sizeof(module)) {
		memcpy(&module, made + at, sizeof(module));
		if (module.mod_start == handoff.base && module.mod_end == handoff.end)
			out->handoff_end = at + offsetof(struct multiboot_mod_list, mod_end);
	}
	return out->handoff_end;
}

const struct chain_door chain_door_multiboot1 = {
	.name = "multiboot1",
	.title = "Multiboot 1",
	.handoff = CHAIN_HANDOFF_MODULE,
	.limit = CHAIN_4G - 1, /* a module's end is a 32-bit number */
	.probe = probe,
	.read = read_kernel,
	.info_bytes = info_bytes,
	.info_build = info_build,
	.entry = entry,
	.texts = texts,
};
