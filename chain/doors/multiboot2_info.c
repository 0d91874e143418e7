/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Multiboot 2, section 3.6: the information structure for a kernel. The same code counts its bytes and writes them, so
 * that both agree. */

#include "chain/multiboot2_format.h"
#include "multiboot2.h"

#include <string.h>

enum {
	HEAD_BYTES = 8,
	TAG_BYTES = 8,
	RSDP_OLD_BYTES = 20,
	STRINGS_MAX = 1 << 20,
	/* ELF: types of sections, and where fields lie in a section header, by class */
	SHT_SYMTAB = 2,
	SHT_STRTAB = 3,
	SHT_NOBITS = 8,
};

/* The structure under way. `buf` is null while it is only counted. */
struct maker {
	const struct chain_door_info *info;
	uint8_t *buf;
	uint64_t phys, used;
	uint32_t present; /* a bit for each tag's number */
};

static void put(struct maker *m, const void *bytes, uint64_t count)
{
	if (m->buf && count)
		memcpy(m->buf + m->used, bytes, count);
	m->used += count;
}

static void put_tag(struct maker *m, uint32_t type, uint64_t content_bytes)
{
	const struct chain_mb2_tag tag = { type, (uint32_t)(TAG_BYTES + content_bytes) };
	put(m, &tag, sizeof(tag));
	m->present |= 1u << type;
}

static void pad(struct maker *m)
{
	static const uint8_t zeros[CHAIN_MB2_TAG_ALIGN];
	put(m, zeros, -m->used % CHAIN_MB2_TAG_ALIGN);
}

static void put_bytes(struct maker *m, uint32_t type, const void *bytes, uint64_t count)
{
	put_tag(m, type, count);
	put(m, bytes, count);
	pad(m);
}

static void put_text(struct maker *m, uint32_t type, const char *text)
{
	put_bytes(m, type, text, strlen(text) + 1);
}

static enum chain_status put_modules(struct maker *m, struct chain_error *err)
{
	for (size_t i = 0; i < m->info->module_count; i++) {
		const struct chain_door_module *module = &m->info->modules[i];
		uint64_t string_bytes = strlen(module->string) + 1;
		if (m->buf && module->range.end >= CHAIN_4G)
			return CHAIN_FAIL(err, MULTIBOOT_MODULE_PLACE, .subject = m->info->subject, .index = i,
					  .base = module->range.base, .end = module->range.end);
		const uint32_t range[2] = { (uint32_t)module->range.base, (uint32_t)module->range.end };
		put_tag(m, CHAIN_MB2_MODULE, sizeof(range) + string_bytes);
		put(m, range, sizeof(range));
		put(m, module->string, string_bytes);
		pad(m);
	}
	m->present |= 1u << CHAIN_MB2_MODULE; /* that there are none is an answer */
	return CHAIN_OK;
}

static void put_memory(struct maker *m)
{
	const uint32_t contiguous[2] = { chain_memory_contiguous_kib(m->info->mem, m->info->mem_count, 0, 640 * 1024),
					 chain_memory_contiguous_kib(m->info->mem, m->info->mem_count, 1 << 20,
								     CHAIN_4G) };
	const uint32_t form[2] = { sizeof(struct chain_mb2_mmap_entry), 0 };
	put_bytes(m, CHAIN_MB2_MEMORY, contiguous, sizeof(contiguous));
	put_tag(m, CHAIN_MB2_MMAP, sizeof(form) + m->info->mem_count * sizeof(struct chain_mb2_mmap_entry));
	put(m, form, sizeof(form));
	for (size_t i = 0; i < m->info->mem_count; i++) {
		const struct chain_mem_entry *from = &m->info->mem[i];
		const struct chain_mb2_mmap_entry entry = { from->range.base, chain_range_bytes(from->range),
							    from->type, 0 };
		put(m, &entry, sizeof(entry));
	}
	pad(m);
}

/* Section 3.6.12. */
static void put_framebuffer(struct maker *m)
{
	const struct chain_framebuffer *fb = &m->info->machine->framebuffer;
	struct chain_mb2_framebuffer to = { fb->phys, fb->pitch_bytes, fb->width, fb->height,
					    fb->bpp,  fb->type,        0,         { 0 } };
	if (!fb->phys)
		return;
	if (fb->type == CHAIN_FRAMEBUFFER_RGB)
		memcpy(to.color, fb->colors, sizeof(to.color));
	put_bytes(m, CHAIN_MB2_FRAMEBUFFER, &to,
		  fb->type == CHAIN_FRAMEBUFFER_RGB ? sizeof(to) : offsetof(struct chain_mb2_framebuffer, color));
}

/* Section 3.6.13 to 3.6.16: copies of what the firmware has, and where its system table lies. */
static void put_firmware(struct maker *m)
{
	const struct chain_bootinfo *machine = m->info->machine;
	if (machine->efi_system_table)
		put_bytes(m, CHAIN_MB2_EFI64, &machine->efi_system_table, sizeof(machine->efi_system_table));
	if (machine->smbios_bytes) {
		/* _SM_ has its version at 6, _SM3_ at 7 (SMBIOS 3.6, 5.2) */
		const uint8_t *entry = machine->smbios_entry, *version = entry + (entry[3] == '3' ? 7 : 6);
		const uint8_t head[8] = { version[0], version[1] };
		put_tag(m, CHAIN_MB2_SMBIOS, sizeof(head) + machine->smbios_bytes);
		put(m, head, sizeof(head));
		put(m, entry, machine->smbios_bytes);
		pad(m);
	}
	if (machine->rsdp_bytes >= RSDP_OLD_BYTES)
		put_bytes(m, CHAIN_MB2_RSDP_OLD, machine->rsdp, RSDP_OLD_BYTES);
	if (machine->rsdp_bytes > RSDP_OLD_BYTES)
		put_bytes(m, CHAIN_MB2_RSDP_NEW, machine->rsdp, machine->rsdp_bytes);
}

/* --- ELF sections: the headers as the file has them; symbols and their names are put behind the tags, and found by
 * address --- */

struct sections {
	bool is64;
	const uint8_t *headers;
	uint32_t count, entry_bytes, names;
};

static uint64_t field(const struct sections *s, const uint8_t *header, unsigned at32, unsigned at64)
{
	return s->is64 ? chain_le64(header + at64) : chain_le32(header + at32);
}

/* What can't be read is not there. */
static bool find_sections(const struct chain_door_info *info, struct sections *out)
{
	struct chain_elf elf;
	const struct chain_reader file = { info->file, info->file_bytes, "" };
	if (!info->file_bytes || chain_elf_open(&elf, info->file, info->file_bytes, "", NULL))
		return false;
	const uint8_t *h = info->file;
	uint64_t at = elf.is64 ? chain_le64(h + 40) : chain_le32(h + 32);
	*out = (struct sections){ .is64 = elf.is64,
				  .entry_bytes = elf.is64 ? 64 : 40,
				  .count = chain_le16(h + (elf.is64 ? 60 : 48)),
				  .names = chain_le16(h + (elf.is64 ? 62 : 50)) };
	if (!at || !out->count || chain_le16(h + (elf.is64 ? 58 : 46)) != out->entry_bytes ||
	    !chain_reader_has(&file, at, (uint64_t)out->count * out->entry_bytes))
		return false;
	out->headers = h + at;
	return true;
}

/* Whether a section is not loaded with the kernel, but of use to it: tables of symbols and of names. */
static bool is_carried(const struct sections *s, const uint8_t *header, const struct chain_reader *file,
		       uint64_t *offset, uint64_t *bytes)
{
	uint32_t type = chain_le32(header + 4);
	*offset = field(s, header, 16, 24);
	*bytes = field(s, header, 20, 32);
	return (type == SHT_SYMTAB || type == SHT_STRTAB) && !field(s, header, 12, 16) &&
	       chain_reader_has(file, *offset, *bytes);
}

/* How far the kernel lies from where its headers say. */
static uint64_t distance(const struct chain_door_info *info)
{
	struct chain_elf elf;
	struct chain_segment segments[CHAIN_SEGMENTS_MAX];
	size_t count = 0;
	if (!info->kernel->movable || chain_elf_open(&elf, info->file, info->file_bytes, "", NULL) ||
	    chain_elf_segments(&elf, segments, CHAIN_SEGMENTS_MAX, &count, NULL))
		return 0;
	return info->kernel->segments[0].phys.base - segments[0].phys.base;
}

/* `carry_at`: where the first of the carried sections will lie. */
static void put_sections(struct maker *m, const struct sections *s, uint64_t carry_at)
{
	const struct chain_reader file = { m->info->file, m->info->file_bytes, "" };
	const uint32_t head[3] = { s->count, s->entry_bytes, s->names };
	uint64_t moved = m->buf ? distance(m->info) : 0;
	put_tag(m, CHAIN_MB2_ELF_SECTIONS, sizeof(head) + (uint64_t)s->count * s->entry_bytes);
	put(m, head, sizeof(head));
	for (uint32_t i = 0; i < s->count; i++) {
		uint8_t header[64];
		uint64_t offset, bytes, addr;
		memcpy(header, s->headers + (uint64_t)i * s->entry_bytes, s->entry_bytes);
		addr = field(s, header, 12, 16);
		if (is_carried(s, header, &file, &offset, &bytes)) {
			addr = carry_at;
			carry_at = door_after(carry_at, bytes, CHAIN_MB2_TAG_ALIGN);
			carry_at = door_after(carry_at, 0, CHAIN_MB2_TAG_ALIGN);
		} else if (addr) {
			addr += moved;
		}
		memcpy(header + (s->is64 ? 16 : 12), &addr, s->is64 ? 8 : 4);
		put(m, header, s->entry_bytes);
	}
	pad(m);
}

static void put_carried(struct maker *m, const struct sections *s)
{
	const struct chain_reader file = { m->info->file, m->info->file_bytes, "" };
	for (uint32_t i = 0; i < s->count; i++) {
		uint64_t offset, bytes;
		if (!is_carried(s, s->headers + (uint64_t)i * s->entry_bytes, &file, &offset, &bytes))
			continue;
		put(m, m->info->file + offset, bytes);
		pad(m);
	}
}

/* --- the whole --- */

/* `carry_at`: the address of what follows the tags, known from an earlier round. Returns where they end. */
static enum chain_status make(struct maker *m, uint64_t carry_at, uint64_t *out_tags_end, struct chain_error *err)
{
	const struct chain_door_info *info = m->info;
	struct sections sections;
	bool has_sections = find_sections(info, &sections);
	m->used = HEAD_BYTES;
	put_text(m, CHAIN_MB2_CMDLINE, info->cmdline);
	put_text(m, CHAIN_MB2_LOADER, info->loader_name);
	put_memory(m);
	put_framebuffer(m);
	put_firmware(m);
	if (info->kernel->movable) {
		const uint32_t base = (uint32_t)info->kernel->segments[0].phys.base;
		put_bytes(m, CHAIN_MB2_LOAD_BASE, &base, sizeof(base));
	}
	if (has_sections)
		put_sections(m, &sections, carry_at);
	enum chain_status status = put_modules(m, err);
	if (status)
		return status;
	put_tag(m, CHAIN_MB2_END, 0);
	*out_tags_end = m->used;
	if (m->used > UINT32_MAX)
		return CHAIN_FAIL(err, MULTIBOOT_INFO_LIMIT, .subject = info->subject, .detail = "bytes of information",
				  .value = m->used, .limit = UINT32_MAX);
	if (has_sections)
		put_carried(m, &sections);
	if (m->buf) {
		const uint32_t head[2] = { (uint32_t)*out_tags_end, 0 };
		memcpy(m->buf, head, sizeof(head));
	}
	return CHAIN_OK;
}

/* A required request that can't be met is refused by its number (section 3.1.4). */
static enum chain_status check_wanted(const struct maker *m, struct chain_error *err)
{
	struct mb2_header header;
	if (!m->info->file_bytes)
		return CHAIN_OK;
	enum chain_status status = mb2_header_read(m->info->file, m->info->file_bytes, m->info->subject, &header, err);
	uint32_t missing = status ? 0 : header.wanted & ~m->present;
	if (status || !missing)
		return status;
	return CHAIN_FAIL(err, MB2_REQUEST, .subject = m->info->subject, .type = (uint64_t)__builtin_ctz(missing));
}

enum chain_status mb2_info_bytes(const struct chain_door_info *info, uint64_t *out, struct chain_error *err)
{
	struct maker m = { .info = info };
	uint64_t tags_end;
	enum chain_status status = make(&m, 0, &tags_end, err);
	if (!status)
		status = check_wanted(&m, err);
	*out = m.used;
	return status;
}

enum chain_status mb2_info_build(const struct chain_door_info *info, uint64_t phys, uint8_t *buf,
				 struct chain_error *err)
{
	struct maker count = { .info = info }, m = { .info = info, .buf = buf, .phys = phys };
	uint64_t tags_end;
	enum chain_status status = make(&count, 0, &tags_end, err);
	if (!status && (count.used > CHAIN_4G || phys > CHAIN_4G - count.used))
		status = CHAIN_FAIL(err, MULTIBOOT_INFO_PLACE, .subject = info->subject, .base = phys,
				    .bytes = count.used);
	return status ? status : make(&m, phys + tags_end, &tags_end, err);
}

bool mb2_info_texts(const uint8_t *made, uint64_t made_bytes, uint64_t phys, struct chain_range handoff,
		    struct chain_door_texts *out)
{
	const struct chain_reader block = { made, made_bytes, "" };
	(void)phys;
	*out = (struct chain_door_texts){ 0 };
	for (uint64_t at = HEAD_BYTES; chain_reader_has(&block, at, TAG_BYTES);) {
		uint32_t type = chain_le32(made + at), bytes = chain_le32(made + at + 4);
		if (bytes < TAG_BYTES || type == CHAIN_MB2_END)
			break;
		if (type == CHAIN_MB2_CMDLINE)
			out->cmdline = at + TAG_BYTES;
		if (type == CHAIN_MB2_MODULE && chain_reader_has(&block, at, TAG_BYTES + 8) &&
		    chain_le32(made + at + 8) == handoff.base && chain_le32(made + at + 12) == handoff.end)
			out->handoff_end = at + 12;
		at = door_after(at + bytes, 0, CHAIN_MB2_TAG_ALIGN);
	}
	return out->cmdline && (!chain_range_bytes(handoff) || out->handoff_end);
}
