/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "symbols.h"

#include "child.h"
#include "symbols_file.h"

#include <dwarf.h>
#include <elfutils/libdw.h>
#include <gelf.h>
#include <stdlib.h>
#include <string.h>

/* --- in the child: one file's symbols --- */

/* A kernel that runs where it was loaded has physical addresses, one that mapped itself virtual ones; symbols have the
 * latter. False: it is in nothing that was loaded. */
static bool linked_address(Elf *elf, uint64_t address, uint64_t *out)
{
	size_t count = 0;
	GElf_Phdr p;
	if (elf_getphdrnum(elf, &count))
		return false;
	for (int physical = 0; physical < 2; physical++)
		for (size_t i = 0; i < count; i++) {
			if (!gelf_getphdr(elf, (int)i, &p) || p.p_type != PT_LOAD ||
			    address - (physical ? p.p_paddr : p.p_vaddr) >= p.p_memsz)
				continue;
			*out = physical ? address - p.p_paddr + p.p_vaddr : address;
			return true;
		}
	return false;
}

struct nearest {
	GElf_Sym symbol;
	const char *name; /* borrowed; null: none */
};

/* A function's symbol that has the address, else the nearest one below it that has no size (assembly). */
static bool is_better(const GElf_Sym *s, uint64_t address, const struct nearest *best)
{
	int type = GELF_ST_TYPE(s->st_info);
	if ((type != STT_FUNC && type != STT_NOTYPE) || s->st_shndx == SHN_UNDEF || s->st_shndx == SHN_ABS ||
	    s->st_value > address)
		return false;
	if (s->st_size ? address - s->st_value >= s->st_size : best->name && best->symbol.st_size)
		return false;
	return !best->name || (s->st_size && !best->symbol.st_size) || s->st_value > best->symbol.st_value;
}

static void find_function(Elf *elf, uint64_t address, json_t *out)
{
	struct nearest best = { .name = NULL };
	GElf_Shdr section;
	for (Elf_Scn *at = NULL; (at = elf_nextscn(elf, at)) != NULL;) {
		Elf_Data *data = gelf_getshdr(at, &section) && section.sh_type == SHT_SYMTAB && section.sh_entsize ?
					 elf_getdata(at, NULL) :
					 NULL;
		for (size_t i = 0; data && i < data->d_size / section.sh_entsize; i++) {
			GElf_Sym symbol;
			if (!gelf_getsym(data, (int)i, &symbol) || !is_better(&symbol, address, &best))
				continue;
			const char *name = elf_strptr(elf, section.sh_link, symbol.st_name);
			if (name && *name)
				best = (struct nearest){ symbol, name };
		}
	}
	if (!best.name)
		return;
	json_object_set_new(out, "function", json_string(best.name));
	json_object_set_new(out, "offset", json_integer((json_int_t)(address - best.symbol.st_value)));
}

/* The unit that has the address; by the index of units where there is one that knows it. */
static bool find_unit(Dwarf *dwarf, uint64_t address, Dwarf_Die *out)
{
	Dwarf_CU *unit = NULL;
	Dwarf_Die sub;
	uint8_t type;
	if (dwarf_addrdie(dwarf, address, out))
		return true;
	while (dwarf_get_units(dwarf, unit, &unit, NULL, &type, out, &sub) == 0)
		if (type == DW_UT_compile && dwarf_haspc(out, address) > 0)
			return true;
	return false;
}

static void find_line(Dwarf *dwarf, uint64_t address, json_t *out)
{
	Dwarf_Die unit;
	int number = 0;
	Dwarf_Line *line = find_unit(dwarf, address, &unit) ? dwarf_getsrc_die(&unit, address) : NULL;
	const char *file = line ? dwarf_linesrc(line, NULL, NULL) : NULL;
	if (!file || dwarf_lineno(line, &number) || number <= 0)
		return;
	json_object_set_new(out, "file", json_string(strncmp(file, "./", 2) == 0 ? file + 2 : file));
	json_object_set_new(out, "line", json_integer(number));
}

struct look_up {
	const struct symbols_places *places;
	const struct symbols_kernel *kernel;
	const uint64_t *addresses;
	size_t count;
};

static json_t *look_up(void *ctx)
{
	const struct look_up *l = ctx;
	struct symbols_file file;
	json_t *list = json_array();
	bool found = symbols_file_open(l->places, l->kernel, &file);
	Dwarf *dwarf = found ? dwarf_begin_elf(file.elf, DWARF_C_READ, NULL) : NULL;
	for (size_t i = 0; i < l->count; i++) {
		json_t *symbol = json_object();
		uint64_t address;
		bool loaded = found && linked_address(file.elf, l->addresses[i], &address);
		if (loaded)
			find_function(file.elf, address, symbol);
		if (loaded && dwarf)
			find_line(dwarf, address, symbol);
		json_array_append_new(list, symbol);
	}
	return json_pack("{s:s, s:s, s:b, s:o}", "build_id", file.build_id, "path", file.path, "found", found,
			 "symbols", list);
}

/* --- here --- */

static void take_text(const json_t *doc, const char *key, char *out, size_t size)
{
	const char *text = json_string_value(json_object_get(doc, key));
	snprintf(out, size, "%s", text ? text : "");
}

static void take(const json_t *doc, size_t count, struct symbol *out, struct symbols_answer *answer)
{
	const json_t *list = json_object_get(doc, "symbols");
	take_text(doc, "build_id", answer->build_id, sizeof(answer->build_id));
	take_text(doc, "path", answer->path, sizeof(answer->path));
	answer->found = json_is_true(json_object_get(doc, "found"));
	for (size_t i = 0; i < count; i++) {
		const json_t *symbol = json_array_get(list, i);
		json_int_t line = json_integer_value(json_object_get(symbol, "line"));
		take_text(symbol, "function", out[i].function, sizeof(out[i].function));
		take_text(symbol, "file", out[i].file, sizeof(out[i].file));
		out[i].offset = (uint64_t)json_integer_value(json_object_get(symbol, "offset"));
		out[i].line = line > 0 && line <= INT32_MAX ? (unsigned)line : 0;
	}
}

enum chain_status symbols_look_up(const struct symbols_places *places, const struct symbols_kernel *kernel,
				  const uint64_t *addresses, size_t count, struct symbol *out,
				  struct symbols_answer *answer, struct chain_error *err)
{
	struct look_up l = { .places = places, .kernel = kernel, .addresses = addresses, .count = count };
	json_t *doc;
	if (count)
		memset(out, 0, count * sizeof(*out));
	*answer = (struct symbols_answer){ .found = false };
	enum chain_status status = child_run(look_up, &l, kernel->name ? kernel->name : "kernel", &doc, err);
	if (status)
		return status;
	take(doc, count, out, answer);
	json_decref(doc);
	return CHAIN_OK;
}

void symbol_text(const struct symbol *symbol, char *out, size_t size)
{
	char where[SYMBOL_FILE_BYTES + 32] = "";
	if (symbol->line)
		snprintf(where, sizeof(where), "%s:%u", symbol->file, symbol->line);
	else if (*symbol->function && symbol->offset)
		snprintf(where, sizeof(where), "+0x%llx", (unsigned long long)symbol->offset);
	snprintf(out, size, "%s%s%s", symbol->function, *symbol->function && symbol->line ? ", " : "", where);
}
