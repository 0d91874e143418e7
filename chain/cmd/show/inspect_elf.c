/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: what `kchain inspect` says of a kernel's ELF file, by libelf: segments, notes, symbols. In a process of its own
 * (child.h). */

#include "inspect.h"

#include "chain/digest.h"
#include "chain/cmd/child.h"

#include <elfutils/libdwelf.h>
#include <gelf.h>
#include <stdlib.h>
#include <string.h>

enum { NOTES_MAX = 1000, SYMBOLS_MAX = 1000000, SHOWN_BYTES = 64 };

struct look {
	const uint8_t *bytes;
	uint64_t count;
	bool symbols; /* all of them */
};

static json_t *word(const char *known, const char *format, unsigned value)
{
	char text[32];

	(void)snprintf(text, sizeof(text), format, value);
	return json_string(known ? known : text);
}

static const char *segment_type(uint32_t type)
{
	static const struct {
		uint32_t type;
		const char *name;
	} ROWS[] = { { PT_LOAD, "load" },
		     { PT_DYNAMIC, "dynamic" },
		     { PT_INTERP, "interpreter" },
		     { PT_NOTE, "note" },
		     { PT_PHDR, "headers" },
		     { PT_TLS, "tls" },
		     { PT_GNU_EH_FRAME, "eh-frame" },
		     { PT_GNU_STACK, "stack" },
		     { PT_GNU_RELRO, "relro" },
		     { PT_GNU_PROPERTY, "property" } };

	for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++)
		if (ROWS[i].type == type)
			return ROWS[i].name;
	return NULL;
}

/* A stranger's numbers may be larger than JSON's integers are here. */
static json_t *number(uint64_t value)
{
	return value <= INT64_MAX ? json_integer((json_int_t)value) : inspect_hex(value);
}

/* A stranger's name may be anything. */
static json_t *name_json(const char *text, size_t bytes)
{
	const size_t room = cmd_text_escape(text, bytes, NULL, 0) + 1;
	char *shown = malloc(room);
	json_t *name = shown ? (cmd_text_escape(text, bytes, shown, room), json_string(shown)) : json_null();

	free(shown);
	return name;
}

static json_t *segments(Elf *elf)
{
	json_t *rows = json_array();
	size_t count = 0;
	GElf_Phdr p;

	(void)elf_getphdrnum(elf, &count);
	for (size_t i = 0; i < count; i++) {
		if (!gelf_getphdr(elf, (int)i, &p))
			continue;
		const char flags[] = { p.p_flags & PF_R ? 'r' : '-', p.p_flags & PF_W ? 'w' : '-',
				       p.p_flags & PF_X ? 'x' : '-', '\0' };

		json_array_append_new(rows, json_pack("{s:o, s:s, s:o, s:o, s:o, s:o, s:o}", "type",
						      word(segment_type(p.p_type), "0x%x", p.p_type), "flags", flags,
						      "offset", number(p.p_offset), "virt", inspect_hex(p.p_vaddr),
						      "phys", inspect_hex(p.p_paddr), "file_bytes", number(p.p_filesz),
						      "memory_bytes", number(p.p_memsz)));
	}
	return rows;
}

/* ELF gABI, "Note Section". Those of a segment; of sections where no segment has any. */
static void add_notes(json_t *rows, Elf_Data *data)
{
	size_t at = 0, name, content;
	GElf_Nhdr head;

	while (data && json_array_size(rows) < NOTES_MAX && (at = gelf_getnote(data, at, &head, &name, &content)) > 0) {
		const char *text = (const char *)data->d_buf + name;
		char hex[2 * SHOWN_BYTES + 1];
		const size_t shown = head.n_descsz < SHOWN_BYTES ? head.n_descsz : SHOWN_BYTES;

		chain_hex_of((const uint8_t *)data->d_buf + content, shown, hex);
		json_array_append_new(rows, json_pack("{s:o, s:I, s:I, s:s}", "name",
						      name_json(text, strnlen(text, head.n_namesz)), "type",
						      (json_int_t)head.n_type, "bytes", (json_int_t)head.n_descsz,
						      "content", hex));
	}
}

static json_t *notes(Elf *elf)
{
	json_t *rows = json_array();
	size_t count = 0;
	GElf_Phdr p;
	GElf_Shdr section;

	(void)elf_getphdrnum(elf, &count);
	for (size_t i = 0; i < count; i++)
		if (gelf_getphdr(elf, (int)i, &p) && p.p_type == PT_NOTE)
			add_notes(rows, elf_getdata_rawchunk(elf, (int64_t)p.p_offset, p.p_filesz,
							     p.p_align == 8 ? ELF_T_NHDR8 : ELF_T_NHDR));
	for (Elf_Scn *at = NULL; json_array_size(rows) == 0 && (at = elf_nextscn(elf, at)) != NULL;)
		if (gelf_getshdr(at, &section) && section.sh_type == SHT_NOTE)
			add_notes(rows, elf_getdata(at, NULL));
	return rows;
}

static json_t *symbol_json(const GElf_Sym *symbol, const char *name)
{
	static const char *const TYPES[] = { "none", "object", "function", "section", "file", "common", "tls" },
				 *const BINDINGS[] = { "local", "global", "weak" };
	const unsigned type = GELF_ST_TYPE(symbol->st_info), binding = GELF_ST_BIND(symbol->st_info);

	return json_pack(
		"{s:o, s:o, s:o, s:o, s:o}", "address", inspect_hex(symbol->st_value), "bytes", number(symbol->st_size),
		"type", word(type < sizeof(TYPES) / sizeof(TYPES[0]) ? TYPES[type] : NULL, "%u", type), "binding",
		word(binding < sizeof(BINDINGS) / sizeof(BINDINGS[0]) ? BINDINGS[binding] : NULL, "%u", binding),
		"name", name_json(name, strlen(name)));
}

static int by_address(const void *a, const void *b)
{
	const GElf_Sym *x = a, *y = b;

	return x->st_value != y->st_value ? (x->st_value > y->st_value) - (x->st_value < y->st_value) :
					    (x->st_name > y->st_name) - (x->st_name < y->st_name);
}

/* Of the whole table: how many have names, how many of these are functions; all of them in the order of their addresses
 * where `list` is there. */
static void add_symbols(Elf *elf, Elf_Scn *section, const GElf_Shdr *head, json_t *doc, json_t *list)
{
	Elf_Data *data = head->sh_entsize ? elf_getdata(section, NULL) : NULL;
	const size_t most = data ? data->d_size / head->sh_entsize : 0, count = most < SYMBOLS_MAX ? most : SYMBOLS_MAX;
	GElf_Sym *all = calloc(count + 1, sizeof(*all));
	json_int_t named = 0, functions = 0;

	for (size_t i = 0; all && i < count; i++)
		if (!gelf_getsym(data, (int)i, &all[i]))
			all[i] = (GElf_Sym){ .st_name = 0 };
	if (all)
		qsort(all, count, sizeof(*all), by_address);
	for (size_t i = 0; all && i < count; i++) {
		const char *name = all[i].st_name ? elf_strptr(elf, head->sh_link, all[i].st_name) : NULL;

		if (!name || !*name)
			continue;
		named++;
		functions += GELF_ST_TYPE(all[i].st_info) == STT_FUNC;
		if (list)
			json_array_append_new(list, symbol_json(&all[i], name));
	}
	free(all);
	json_object_set_new(doc, "count", json_integer(named));
	json_object_set_new(doc, "functions", json_integer(functions));
	json_object_set_new(doc, "left_out", json_integer((json_int_t)(most - count)));
}

static json_t *symbols(Elf *elf, bool all)
{
	json_t *doc = json_pack("{s:i, s:i, s:i}", "count", 0, "functions", 0, "left_out", 0),
	       *list = all ? json_array() : NULL;
	GElf_Shdr head;

	for (Elf_Scn *at = NULL; (at = elf_nextscn(elf, at)) != NULL;)
		if (gelf_getshdr(at, &head) && head.sh_type == SHT_SYMTAB) {
			add_symbols(elf, at, &head, doc, list);
			break;
		}
	if (list)
		json_object_set_new(doc, "list", list);
	return doc;
}

static json_t *work(void *ctx)
{
	const struct look *look = ctx;
	const void *id;
	GElf_Ehdr head;
	char hex[2 * SHOWN_BYTES + 1] = "";

	(void)elf_version(EV_CURRENT);
	Elf *elf = elf_memory((char *)(uintptr_t)look->bytes, look->count); /* which it reads only */
	if (!elf || elf_kind(elf) != ELF_K_ELF || !gelf_getehdr(elf, &head))
		return NULL;
	const ssize_t bytes = dwelf_elf_gnu_build_id(elf, &id);

	if (bytes > 0 && bytes <= SHOWN_BYTES)
		chain_hex_of(id, (size_t)bytes, hex);
	return json_pack("{s:i, s:o, s:o, s:o, s:s, s:o, s:o, s:o}", "bits", gelf_getclass(elf) == ELFCLASS64 ? 64 : 32,
			 "type",
			 word(head.e_type == ET_EXEC ? "executable" :
			      head.e_type == ET_DYN  ? "position-independent" :
						       NULL,
			      "%u", head.e_type),
			 "machine",
			 word(head.e_machine == EM_X86_64 ? "x86-64" :
			      head.e_machine == EM_386    ? "i386" :
							    NULL,
			      "%u", head.e_machine),
			 "entry", inspect_hex(head.e_entry), "build_id", hex, "segments", segments(elf), "notes",
			 notes(elf), "symbols", symbols(elf, look->symbols));
}

bool inspect_is_elf(const uint8_t *bytes, uint64_t count)
{
	return count >= SELFMAG && memcmp(bytes, ELFMAG, SELFMAG) == 0;
}

enum chain_status inspect_elf(const uint8_t *bytes, uint64_t count, const char *path, bool with_symbols, json_t **out,
			      struct chain_error *err)
{
	struct look look = { .bytes = bytes, .count = count, .symbols = with_symbols };

	return child_run(work, &look, path, out, err);
}
