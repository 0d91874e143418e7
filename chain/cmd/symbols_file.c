/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "symbols_file.h"

#include "chain/hash.h"

#include <dirent.h>
#include <elfutils/libdwelf.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ENTRIES_MAX = 16384, ID_BYTES_MAX = (SYMBOLS_ID_HEX - 1) / 2, PATH_BYTES = 4096 };

struct search {
	const struct symbols_kernel *kernel;
	Elf *own;                    /* of the kernel's bytes; null: they are not at hand */
	char wanted[SYMBOLS_ID_HEX]; /* the kernel's build-id; empty: not known */
	struct symbols_file *best;
	bool has_lines, has_names; /* the best one */
};

/* --- what a file is --- */

static void read_build_id(Elf *elf, char out[SYMBOLS_ID_HEX])
{
	const void *bytes;
	ssize_t count = dwelf_elf_gnu_build_id(elf, &bytes);
	*out = '\0';
	if (count > 0 && count <= ID_BYTES_MAX)
		chain_hex_of(bytes, (size_t)count, out);
}

static bool has_section(Elf *elf, uint32_t type, const char *name)
{
	GElf_Shdr section;
	size_t names;
	if (elf_getshdrstrndx(elf, &names))
		return false;
	for (Elf_Scn *at = NULL; (at = elf_nextscn(elf, at)) != NULL;) {
		const char *found = gelf_getshdr(at, &section) ? elf_strptr(elf, names, section.sh_name) : NULL;
		if (found && section.sh_type != SHT_NOBITS &&
		    (name ? strcmp(found, name) == 0 : section.sh_type == type))
			return true;
	}
	return false;
}

static bool has_lines(Elf *elf)
{
	return has_section(elf, 0, ".debug_line") && has_section(elf, 0, ".debug_info");
}
static bool has_names(Elf *elf)
{
	return has_section(elf, SHT_SYMTAB, NULL);
}

/* The bytes of segment `i` that a file holds, behind the headers where it begins with them: these are the file's own.
 */
static const char *segment_bytes(Elf *elf, size_t i, GElf_Phdr *out, size_t *out_bytes)
{
	GElf_Ehdr header;
	size_t size;
	const char *file = elf_rawfile(elf, &size);
	if (!file || !gelf_getehdr(elf, &header) || !gelf_getphdr(elf, (int)i, out) || out->p_offset > size ||
	    out->p_filesz > size - out->p_offset)
		return NULL;
	uint64_t headers = header.e_phoff + (uint64_t)header.e_phnum * header.e_phentsize;
	uint64_t skip = out->p_offset == 0 && headers < out->p_filesz ? headers : 0;
	*out_bytes = out->p_filesz - skip;
	return file + out->p_offset + skip;
}

/* Whether both files load the same: one is the other without its symbols. For kernels without a build-id. */
static bool loads_the_same(Elf *a, Elf *b)
{
	size_t count_a, count_b, loaded = 0;
	if (elf_getphdrnum(a, &count_a) || elf_getphdrnum(b, &count_b) || count_a != count_b ||
	    gelf_getclass(a) != gelf_getclass(b))
		return false;
	for (size_t i = 0; i < count_a; i++) {
		GElf_Phdr x, y;
		size_t bytes_x, bytes_y;
		const char *in_x = segment_bytes(a, i, &x, &bytes_x), *in_y = segment_bytes(b, i, &y, &bytes_y);
		if (!in_x || !in_y || x.p_vaddr != y.p_vaddr || x.p_type != y.p_type || bytes_x != bytes_y ||
		    (x.p_type == PT_LOAD && memcmp(in_x, in_y, bytes_x) != 0))
			return false;
		loaded += x.p_type == PT_LOAD;
	}
	return loaded > 0;
}

static bool has_digest(Elf *elf, const char *digest)
{
	struct chain_digest wanted, found;
	size_t size;
	const char *file = elf_rawfile(elf, &size);
	if (!file || !chain_digest_parse(digest, &wanted))
		return false;
	chain_digest_of(wanted.kind, file, size, &found);
	return chain_digest_same(&wanted, &found);
}

static bool is_of_the_kernel(const struct search *s, Elf *elf)
{
	char id[SYMBOLS_ID_HEX];
	read_build_id(elf, id);
	if (*s->wanted)
		return strcmp(id, s->wanted) == 0;
	if (s->own)
		return loads_the_same(s->own, elf);
	return s->kernel->digest && has_digest(elf, s->kernel->digest);
}

/* --- candidates --- */

static void consider(struct search *s, Elf *elf, const char *path)
{
	bool lines = has_lines(elf), names = has_names(elf);
	if ((!lines && !names) || (s->has_lines && !lines) || (s->has_names && s->has_lines == lines))
		return;
	s->has_lines = lines;
	s->has_names = true;
	s->best->elf = elf;
	snprintf(s->best->path, sizeof(s->best->path), "%s", path);
}

static Elf *open_elf(const char *path, int *out_fd)
{
	struct stat about;
	int fd = *out_fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0 || fstat(fd, &about) < 0 || !S_ISREG(about.st_mode))
		return NULL;
	return elf_begin(fd, ELF_C_READ_MMAP, NULL);
}

static void try_file(struct search *s, const char *path)
{
	int fd = -1;
	Elf *elf = s->has_lines ? NULL : open_elf(path, &fd);
	if (elf && elf_kind(elf) == ELF_K_ELF && is_of_the_kernel(s, elf)) {
		if (!s->own && !*s->wanted)
			read_build_id(elf, s->wanted); /* it is the kernel itself: now that is known */
		consider(s, elf, path);
	}
	if (s->best->elf == elf && elf)
		return; /* kept open until the process ends */
	elf_end(elf);
	if (fd >= 0)
		close(fd);
}

static void try_below(struct search *s, const char *folder, const char *between, const char *name)
{
	char path[PATH_BYTES];
	if (*name && snprintf(path, sizeof(path), "%s/%s%s", folder, between, name) < (int)sizeof(path))
		try_file(s, path);
}

/* As gdb does ("Debugging Information in Separate Files"). */
static void try_build_id(struct search *s, const char *folder)
{
	char name[SYMBOLS_ID_HEX + 16];
	if (strlen(s->wanted) < 3)
		return;
	snprintf(name, sizeof(name), ".build-id/%.2s/%s.debug", s->wanted, s->wanted + 2);
	try_below(s, folder, "", name);
}

static void try_names(struct search *s, const char *folder)
{
	const char *kernel = s->kernel->name ? s->kernel->name : "";
	const char *link = s->own ? dwelf_elf_gnu_debuglink(s->own, &(GElf_Word){ 0 }) : NULL;
	char name[PATH_BYTES];
	size_t bytes = strlen(kernel);
	if (bytes > 4 && strcmp(kernel + bytes - 4, ".elf") == 0)
		bytes -= 4;
	if (bytes && snprintf(name, sizeof(name), "%.*s.debug", (int)bytes, kernel) < (int)sizeof(name))
		try_below(s, folder, "", name);
	if (link && !strchr(link, '/')) {
		try_below(s, folder, "", link);
		try_below(s, folder, ".debug/", link);
	}
	try_below(s, folder, "", kernel);
}

static int by_text(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static void try_all(struct search *s, const char *folder)
{
	struct dirent **entries;
	int count = s->has_lines ? 0 : scandir(folder, &entries, NULL, by_text);
	for (int i = 0; i < count; i++) {
		if (i < ENTRIES_MAX)
			try_below(s, folder, "", entries[i]->d_name);
		free(entries[i]);
	}
	if (count > 0)
		free(entries);
}

/* --- the whole --- */

static void begin(struct search *s, const struct symbols_kernel *kernel, struct symbols_file *out)
{
	*out = (struct symbols_file){ .elf = NULL };
	*s = (struct search){ .kernel = kernel, .best = out };
	if (kernel->bytes)
		s->own = elf_memory((char *)(uintptr_t)kernel->bytes,
				    kernel->bytes_count); /* read only, whatever its type says */
	if (s->own && elf_kind(s->own) != ELF_K_ELF)
		s->own = NULL;
	if (s->own)
		read_build_id(s->own, s->wanted);
	else if (kernel->build_id &&
		 kernel->build_id[strspn(kernel->build_id, "0123456789abcdef")] == '\0') /* it becomes part of a path */
		snprintf(s->wanted, sizeof(s->wanted), "%s", kernel->build_id);
	if (s->own)
		consider(s, s->own, "");
}

bool symbols_file_open(const struct symbols_places *places, const struct symbols_kernel *kernel,
		       struct symbols_file *out)
{
	static const char *const USUAL[] = { "/usr/lib/debug", "/usr/local/lib/debug" };
	struct search s;
	elf_version(EV_CURRENT);
	begin(&s, kernel, out);
	for (int round = 0; round < 2;
	     round++) { /* once more where the first round has found the kernel, and with it its build-id */
		bool known = *s.wanted != '\0';
		for (size_t i = 0; i < places->count; i++) {
			try_build_id(&s, places->folders[i]);
			try_names(&s, places->folders[i]);
		}
		for (size_t i = 0; i < places->count; i++)
			try_all(&s, places->folders[i]);
		for (size_t i = 0; i < sizeof(USUAL) / sizeof(USUAL[0]); i++)
			try_build_id(&s, USUAL[i]);
		if (s.has_lines || known == (*s.wanted != '\0'))
			break;
	}
	memcpy(out->build_id, s.wanted, sizeof(out->build_id));
	return out->elf != NULL;
}
