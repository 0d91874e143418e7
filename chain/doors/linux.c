/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Linux by its own boot protocol (Documentation/arch/x86/boot.rst): a bzImage, entered at its 64-bit entry point or,
 * where it has none, at the 32-bit one; and an unpacked vmlinux at its 64-bit entry point. */

#include "chain/linux_format.h"
#include "doors.h"

#include <string.h>

extern const struct chain_door chain_door_linux;

enum {
	VERSION_RELOCATABLE = 0x205,
	VERSION_INIT_SIZE = 0x20a,
	VERSION_64BIT = 0x20c,
	VERSION_INITRD_MAX = 0x203,
	VERSION_CMDLINE_SIZE = 0x206,
	VERSION_SIZE = 0x204,
	VERSION_SETUP_DATA = 0x209,
	VERSION_LEAST = 0x202, /* before it the command line had to lie in the first megabyte */
	VERSION_OURS = 0x20f,  /* what a vmlinux, which has no header, is told */
	SETUP_SECTS_OLD = 4,
	CMDLINE_MAX_OLD = 255,
	CMDLINE_MAX_VMLINUX = 2047,
	PAGE = 4096,
	PARAGRAPH = 16,
	GROWS_OLD = 8, /* what does not say how much memory it needs may unpack to so many times its size */
};
#define INITRD_MAX_OLD     0x37ffffffu
#define INITRD_MAX_VMLINUX 0x7fffffffu /* it says nothing; no newer bzImage says less */

static uint32_t u32(const uint8_t *file, unsigned at)
{
	return chain_le32(file + at);
}
static uint16_t version(const uint8_t *file)
{
	return chain_le16(file + CHAIN_LINUX_VERSION);
}

/* An executable of 64 bits with a note of Linux's own (include/linux/elfnote-lto.h, build-salt.h). */
static bool is_vmlinux(const uint8_t *file, uint64_t file_bytes)
{
	static const uint32_t types[] = { 0x100, 0x101 };
	struct chain_elf elf;
	const uint8_t *note;
	uint64_t note_bytes;
	if (chain_elf_open(&elf, file, file_bytes, "", NULL) || !elf.is64 || elf.machine != CHAIN_ELF_MACHINE_X86_64 ||
	    elf.type != CHAIN_ELF_TYPE_EXEC)
		return false;
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (!chain_elf_find_note(&elf, "Linux", types[i], &note, &note_bytes, NULL))
			return true;
	return false;
}

static bool probe(const uint8_t *file, uint64_t file_bytes)
{
	return chain_linux_is_bzimage(file, file_bytes) || is_vmlinux(file, file_bytes);
}

/* --- what the headers say --- */

static enum chain_status lies(const char *subject, const char *what, uint64_t value, uint64_t limit,
			      struct chain_error *err)
{
	return CHAIN_FAIL(err, LINUX_HEADER, .subject = subject, .detail = what, .value = value, .limit = limit);
}

/* Where the protected-mode code begins in the file. */
static uint64_t code_offset(const uint8_t *file)
{
	uint64_t sectors = file[CHAIN_LINUX_SETUP_SECTS] ? file[CHAIN_LINUX_SETUP_SECTS] : SETUP_SECTS_OLD;
	return (sectors + 1) * CHAIN_LINUX_SECTOR;
}

static enum chain_status check_header(const uint8_t *file, uint64_t file_bytes, const char *subject,
				      struct chain_error *err)
{
	uint64_t header_end = CHAIN_LINUX_MAGIC + file[CHAIN_LINUX_JUMP_BYTES];
	if (version(file) < VERSION_LEAST)
		return CHAIN_FAIL(err, LINUX_VERSION, .subject = subject, .major = version(file) >> 8,
				  .minor = version(file) & 0xff, .least_major = 2, .least_minor = 2);
	if (!(file[CHAIN_LINUX_LOADFLAGS] & CHAIN_LINUX_LOADED_HIGH))
		return chain_fail_subject(err, CHAIN_E_LINUX_REAL_MODE, subject);
	if (header_end > CHAIN_LINUX_HEADER_END_MAX || header_end <= CHAIN_LINUX_CMD_LINE_PTR)
		return lies(subject, "the end of the setup header", header_end, CHAIN_LINUX_HEADER_END_MAX, err);
	if (code_offset(file) >= file_bytes)
		return lies(subject, "the size of the setup code", code_offset(file), file_bytes, err);
	uint64_t code_bytes = file_bytes - code_offset(file), said = u32(file, CHAIN_LINUX_SYSSIZE);
	if (version(file) >= VERSION_SIZE && said > (code_bytes + PARAGRAPH - 1) / PARAGRAPH)
		return lies(subject, "the size of the kernel", said * PARAGRAPH, code_bytes, err);
	return CHAIN_OK;
}

/* Whether the kernel is entered in 64-bit mode. */
static bool is_wide(const uint8_t *file)
{
	return version(file) >= VERSION_64BIT && chain_le16(file + CHAIN_LINUX_XLOADFLAGS) & CHAIN_LINUX_KERNEL_64;
}

/* Whether such a kernel, its initial file system and what it is told may lie above 4 GiB. */
static bool reaches_all(const uint8_t *file)
{
	return is_wide(file) && chain_le16(file + CHAIN_LINUX_XLOADFLAGS) & CHAIN_LINUX_ABOVE_4G;
}

/* Boot protocol 2.05 and later: it may lie anywhere, on a multiple of its alignment. */
static enum chain_status take_placement(const uint8_t *file, const char *subject, struct chain_kernel *out,
					struct chain_error *err)
{
	uint64_t align = u32(file, CHAIN_LINUX_ALIGNMENT);
	if (version(file) < VERSION_RELOCATABLE || !file[CHAIN_LINUX_RELOCATABLE])
		return CHAIN_OK;
	if (!align || align & (align - 1))
		return lies(subject, "the alignment", align, CHAIN_4G, err);
	out->movable = true;
	out->move_align = align < PAGE ? PAGE : align;
	out->move_within = (struct chain_range){ CHAIN_LINUX_HIGH, reaches_all(file) ? CHAIN_MEMORY_END : CHAIN_4G };
	return CHAIN_OK;
}

static uint64_t initrd_end(const uint8_t *file)
{
	if (reaches_all(file))
		return CHAIN_MEMORY_END;
	return (uint64_t)(version(file) >= VERSION_INITRD_MAX ? u32(file, CHAIN_LINUX_INITRD_ADDR_MAX) :
								INITRD_MAX_OLD) +
	       1;
}

static enum chain_status read_bzimage(const uint8_t *file, uint64_t file_bytes, const char *subject,
				      struct chain_kernel *out, struct chain_error *err)
{
	enum chain_status status = check_header(file, file_bytes, subject, err);
	if (status)
		return status;
	uint64_t offset = code_offset(file), code_bytes = file_bytes - offset, base = CHAIN_LINUX_HIGH,
		 bytes = code_bytes * GROWS_OLD;
	if (version(file) >= VERSION_INIT_SIZE) {
		base = chain_le64(file + CHAIN_LINUX_PREF_ADDRESS);
		bytes = u32(file, CHAIN_LINUX_INIT_SIZE);
		if (bytes < code_bytes)
			return lies(subject, "init_size", bytes, code_bytes, err);
	}
	struct chain_range place;
	status = chain_range_make(base, bytes, subject, &place, err);
	if (status)
		return status;
	bool wide = is_wide(file);
	if (wide && code_bytes <= CHAIN_LINUX_ENTRY_64)
		return lies(subject, "the 64-bit entry point", CHAIN_LINUX_ENTRY_64, code_bytes, err);
	*out = (struct chain_kernel){
		.door = &chain_door_linux,
		.segment_count = 1,
		.clears_itself = true,
		.segments = { { .phys = place,
				.virt = place,
				.file_offset = offset,
				.file_bytes = code_bytes,
				.flags = CHAIN_ELF_PF_R | CHAIN_ELF_PF_W | CHAIN_ELF_PF_X } },
		.mode = wide ? CHAIN_ENTRY_LONG64 : CHAIN_ENTRY_PROTECTED32,
		.entry = base + (wide ? CHAIN_LINUX_ENTRY_64 : 0),
		.limit = initrd_end(file),
	};
	if (out->limit <= CHAIN_LINUX_HIGH)
		return lies(subject, "initrd_addr_max", out->limit - 1, CHAIN_LINUX_HIGH, err);
	status = take_placement(file, subject, out, err);
	return status || reaches_all(file) ? status : door_check_low(out, subject, err);
}

static enum chain_status read_vmlinux(const uint8_t *file, uint64_t file_bytes, const char *subject,
				      struct chain_kernel *out, struct chain_error *err)
{
	*out = (struct chain_kernel){ .door = &chain_door_linux,
				      .mode = CHAIN_ENTRY_LONG64,
				      .limit = chain_door_linux.limit };
	return door_read_elf(file, file_bytes, subject, out, err);
}

static enum chain_status read_kernel(const uint8_t *file, uint64_t file_bytes, const char *subject,
				     struct chain_kernel *out, struct chain_error *err)
{
	return chain_linux_is_bzimage(file, file_bytes) ? read_bzimage(file, file_bytes, subject, out, err) :
							  read_vmlinux(file, file_bytes, subject, out, err);
}

/* --- what the kernel is told: boot_params | command line | more of the memory map --- */

static uint64_t extra_entries(const struct chain_door_info *info)
{
	return info->mem_count > CHAIN_LINUX_E820_MAX ? info->mem_count - CHAIN_LINUX_E820_MAX : 0;
}

static uint64_t cmdline_max(const struct chain_door_info *info)
{
	if (!chain_linux_is_bzimage(info->file, info->file_bytes))
		return CMDLINE_MAX_VMLINUX;
	return version(info->file) >= VERSION_CMDLINE_SIZE ? u32(info->file, CHAIN_LINUX_CMDLINE_SIZE) :
							     CMDLINE_MAX_OLD;
}

static enum chain_status info_bytes(const struct chain_door_info *info, uint64_t *out, struct chain_error *err)
{
	uint64_t cmdline = strlen(info->cmdline), extra = extra_entries(info);
	if (cmdline > cmdline_max(info))
		return CHAIN_FAIL(err, LINUX_CMDLINE, .subject = info->subject, .bytes = cmdline,
				  .limit = cmdline_max(info));
	if (extra && chain_linux_is_bzimage(info->file, info->file_bytes) && version(info->file) < VERSION_SETUP_DATA)
		return CHAIN_FAIL(err, LIMIT, .subject = info->subject, .detail = "entries of the memory map",
				  .value = info->mem_count, .limit = CHAIN_LINUX_E820_MAX);
	*out = door_after(CHAIN_LINUX_PARAMS_BYTES, cmdline + 1, 1);
	if (extra)
		*out = door_after(*out, CHAIN_LINUX_DATA_HEADER + extra * CHAIN_LINUX_E820_BYTES, 8);
	return CHAIN_OK;
}

static void set(uint8_t *params, unsigned at, uint64_t value, unsigned bytes)
{
	memcpy(params + at, &value, bytes);
}

/* A number of which the upper half lies elsewhere: zero-page.rst, "ext_…". A kernel that does not know of it has
 * nothing above 4 GiB. */
static void set_wide(uint8_t *params, unsigned low_at, unsigned high_at, uint64_t value)
{
	set(params, low_at, value, 4);
	set(params, high_at, value >> 32, 4);
}

static void set_screen(const struct chain_framebuffer *fb, uint8_t *params)
{
	enum { BLOCK = 65536 };
	bool text = !fb->phys || fb->type == CHAIN_FRAMEBUFFER_TEXT;
	set(params, CHAIN_LINUX_SCREEN_TYPE, text ? CHAIN_LINUX_SCREEN_TEXT : CHAIN_LINUX_SCREEN_FRAMEBUFFER, 1);
	if (text) {
		set(params, CHAIN_LINUX_SCREEN_MODE, 3, 1); /* the BIOS's number for 80 columns of 25 lines in colour */
		set(params, CHAIN_LINUX_SCREEN_COLUMNS, 80, 1);
		set(params, CHAIN_LINUX_SCREEN_LINES, 25, 1);
		set(params, CHAIN_LINUX_SCREEN_POINTS, 16, 2);
		return;
	}
	set(params, CHAIN_LINUX_LFB_WIDTH, fb->width, 2);
	set(params, CHAIN_LINUX_LFB_HEIGHT, fb->height, 2);
	set(params, CHAIN_LINUX_LFB_DEPTH, fb->bpp, 2);
	set(params, CHAIN_LINUX_LFB_BASE, fb->phys, 4);
	set(params, CHAIN_LINUX_LFB_SIZE, ((uint64_t)fb->pitch_bytes * fb->height + BLOCK - 1) / BLOCK, 4);
	set(params, CHAIN_LINUX_LFB_PITCH, fb->pitch_bytes, 2);
	if (fb->phys >= CHAIN_4G) {
		set(params, CHAIN_LINUX_LFB_CAPABILITIES, CHAIN_LINUX_LFB_64BIT, 4);
		set(params, CHAIN_LINUX_LFB_BASE_HIGH, fb->phys >> 32, 4);
	}
	for (unsigned i = 0; fb->type == CHAIN_FRAMEBUFFER_RGB && i < 3;
	     i++) { /* there size and lowest bit, here the other way round */
		params[CHAIN_LINUX_LFB_COLORS + 2 * i] = fb->colors[2 * i + 1];
		params[CHAIN_LINUX_LFB_COLORS + 2 * i + 1] = fb->colors[2 * i];
	}
}

static void put_entry(uint8_t *at, const struct chain_mem_entry *entry)
{
	set(at, 0, entry->range.base, 8);
	set(at, 8, chain_range_bytes(entry->range), 8);
	set(at, 16, entry->type, 4);
}

static void set_map(const struct chain_door_info *info, struct door_block *block)
{
	size_t first = info->mem_count < CHAIN_LINUX_E820_MAX ? info->mem_count : CHAIN_LINUX_E820_MAX;
	uint64_t extra = extra_entries(info);
	block->buf[CHAIN_LINUX_E820_COUNT] = (uint8_t)first;
	for (size_t i = 0; i < first; i++)
		put_entry(block->buf + CHAIN_LINUX_E820 + i * CHAIN_LINUX_E820_BYTES, &info->mem[i]);
	if (!extra)
		return;
	uint8_t head[CHAIN_LINUX_DATA_HEADER] = { 0 };
	set(head, 8, CHAIN_LINUX_DATA_E820, 4);
	set(head, 12, extra * CHAIN_LINUX_E820_BYTES, 4);
	set(block->buf, CHAIN_LINUX_SETUP_DATA, door_put(block, head, sizeof(head), 8), 8);
	for (uint64_t i = 0; i < extra; i++) {
		uint8_t entry[CHAIN_LINUX_E820_BYTES];
		put_entry(entry, &info->mem[first + i]);
		door_put(block, entry, sizeof(entry), 1);
	}
}

/* As the file has it, or what a vmlinux may rely on. */
static void set_header(const struct chain_door_info *info, uint8_t *params)
{
	if (chain_linux_is_bzimage(info->file, info->file_bytes)) {
		uint64_t end = CHAIN_LINUX_MAGIC + info->file[CHAIN_LINUX_JUMP_BYTES];
		memcpy(params + CHAIN_LINUX_HEADER_START, info->file + CHAIN_LINUX_HEADER_START,
		       end - CHAIN_LINUX_HEADER_START);
		set(params, CHAIN_LINUX_SETUP_DATA, 0, version(info->file) >= VERSION_SETUP_DATA ? 8 : 0);
		set(params, CHAIN_LINUX_CODE32_START, info->kernel->segments[0].phys.base, 4);
	} else {
		set(params, CHAIN_LINUX_ROOT_FLAGS, 1, 2); /* read-only unless the command line says otherwise */
		set(params, CHAIN_LINUX_BOOT_FLAG, CHAIN_LINUX_BOOT_FLAG_VALUE, 2);
		set(params, CHAIN_LINUX_MAGIC, CHAIN_LINUX_MAGIC_VALUE, 4);
		set(params, CHAIN_LINUX_VERSION, VERSION_OURS, 2);
		set(params, CHAIN_LINUX_LOADFLAGS, CHAIN_LINUX_LOADED_HIGH, 1);
	}
	set(params, CHAIN_LINUX_LOADER_TYPE, CHAIN_LINUX_LOADER_OTHER, 1);
}

static enum chain_status info_build(const struct chain_door_info *info, uint64_t phys, uint8_t *buf,
				    struct chain_error *err)
{
	struct door_block block = { buf, phys, CHAIN_LINUX_PARAMS_BYTES };
	uint64_t bytes;
	enum chain_status status = info_bytes(info, &bytes, err);
	if (status)
		return status;
	if (bytes > info->kernel->limit || phys > info->kernel->limit - bytes)
		return CHAIN_FAIL(err, MULTIBOOT_INFO_PLACE, .subject = info->subject, .base = phys, .bytes = bytes);
	memset(buf, 0, CHAIN_LINUX_PARAMS_BYTES);
	set_header(info, buf);
	set_screen(&info->machine->framebuffer, buf);
	set(buf, CHAIN_LINUX_RSDP, info->machine->acpi_rsdp, 8);
	set_wide(buf, CHAIN_LINUX_CMD_LINE_PTR, CHAIN_LINUX_CMD_LINE_PTR_HIGH,
		 door_put(&block, info->cmdline, strlen(info->cmdline) + 1, 1));
	set_map(info, &block);
	if (!info->module_count)
		return CHAIN_OK;
	/* The modules lie behind each other: one initrd. */
	uint64_t start = info->modules[0].range.base, end = info->modules[info->module_count - 1].range.end;
	if (end > info->kernel->limit)
		return CHAIN_FAIL(err, LINUX_INITRD, .subject = info->subject, .base = start, .end = end,
				  .limit = info->kernel->limit);
	set_wide(buf, CHAIN_LINUX_RAMDISK_IMAGE, CHAIN_LINUX_RAMDISK_IMAGE_HIGH, start);
	set_wide(buf, CHAIN_LINUX_RAMDISK_SIZE, CHAIN_LINUX_RAMDISK_SIZE_HIGH, end - start);
	return CHAIN_OK;
}

/* "64-bit Boot Protocol" and "32-bit Boot Protocol". */
static struct chain_entry entry(const struct chain_kernel *kernel, uint64_t info_phys)
{
	struct chain_entry state = chain_entry_at(kernel->mode, kernel->entry);
	state.registers[CHAIN_RSI] = info_phys;
	return state;
}

const struct chain_door chain_door_linux = {
	.name = "linux",
	.title = "Linux",
	.handoff = CHAIN_HANDOFF_INITRD,
	.limit = (uint64_t)INITRD_MAX_VMLINUX + 1,
	.probe = probe,
	.read = read_kernel,
	.info_bytes = info_bytes,
	.info_build = info_build,
	.entry = entry,
};
