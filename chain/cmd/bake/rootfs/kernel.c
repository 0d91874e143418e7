/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "kernel.h"
#include "chain/cmd/cmd.h"

#include <elf.h>
#include <errno.h>
#include <lzma.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

enum { MODULE_BYTES_MAX = 256 << 20, NAME_BYTES = 128, XZ_MEMORY_MAX = 256 << 20 };

/* --- files --- */

static enum chain_status read_node(const struct rootfs *rootfs, const char *path, uint8_t **out, size_t *out_count,
				   struct chain_error *err)
{
	const struct rootfs_node *node = rootfs_find(rootfs, path);

	while (node && node->spec.hard_link)
		node = rootfs_find(rootfs, node->spec.hard_link);
	if (!node || node->spec.type != FS_REGULAR)
		return CHAIN_FAIL(err, IO, .subject = path, .detail = strerror(ENOENT));
	*out_count = (size_t)node->spec.size_bytes;
	*out = malloc(*out_count + 1);
	return *out ? rootfs_read(node, 0, *out, *out_count, err) : chain_fail_no_memory(err, path, *out_count + 1);
}

static enum chain_status read_host(const char *path, uint8_t **out, size_t *out_count, struct chain_error *err)
{
	struct cmd_file file;
	enum chain_status status = cmd_file_load(path, 0, &file, err);

	if (status)
		return status;
	*out_count = (size_t)file.bytes_count;
	*out = malloc(*out_count + 1);
	if (*out && *out_count > 0)
		memcpy(*out, file.bytes, *out_count);
	status = *out ? cmd_file_check(&file, path, err) : chain_fail_no_memory(err, path, *out_count + 1);
	cmd_file_free(&file);
	return status;
}

enum chain_status kernel_file_read(const struct rootfs *rootfs, const char *path, uint8_t **out, size_t *out_count,
				   struct chain_error *err)
{
	*out = NULL;
	const enum chain_status status =
		rootfs ? read_node(rootfs, path, out, out_count, err) : read_host(path, out, out_count, err);

	if (status) {
		free(*out);
		*out = NULL;
		return status;
	}
	(*out)[*out_count] = '\0';
	return CHAIN_OK;
}

/* --- what is packed --- */

static uint8_t *unpack_xz(const uint8_t *bytes, size_t count, size_t *out_count)
{
	uint64_t memory = XZ_MEMORY_MAX;

	for (size_t room = count * 4 + 65536; room <= MODULE_BYTES_MAX; room *= 2) {
		uint8_t *out = malloc(room);
		size_t in = 0, done = 0;
		const lzma_ret end =
			out ? lzma_stream_buffer_decode(&memory, 0, NULL, bytes, &in, count, out, &done, room) :
			      LZMA_MEM_ERROR;

		*out_count = done;
		if (end == LZMA_OK)
			return out;
		free(out);
		if (end != LZMA_BUF_ERROR)
			return NULL;
	}
	return NULL;
}

static uint8_t *unpack_zstd(const uint8_t *bytes, size_t count, size_t *out_count)
{
	const unsigned long long room = ZSTD_getFrameContentSize(bytes, count);
	uint8_t *out = room <= MODULE_BYTES_MAX ? malloc((size_t)room + 1) : NULL;
	const size_t done = out ? ZSTD_decompress(out, (size_t)room, bytes, count) : 0;

	if (out && ZSTD_isError(done)) {
		free(out);
		out = NULL;
	}
	*out_count = done;
	return out;
}

/* The last four bytes say how much comes out (RFC 1952). */
static uint8_t *unpack_gzip(const uint8_t *bytes, size_t count, size_t *out_count)
{
	uint32_t room = 0;
	uint8_t *out;
	z_stream z = { .next_in = (z_const Bytef *)bytes, .avail_in = (uInt)count };

	if (count >= 18)
		memcpy(&room, bytes + count - 4, sizeof(room));
	out = room <= MODULE_BYTES_MAX ? malloc((size_t)room + 1) : NULL;
	z.next_out = out;
	z.avail_out = room;
	if (!out || inflateInit2(&z, 16 + MAX_WBITS) != Z_OK) {
		free(out);
		return NULL;
	}
	if (inflate(&z, Z_FINISH) != Z_STREAM_END) {
		free(out);
		out = NULL;
	}
	*out_count = room - z.avail_out;
	(void)inflateEnd(&z);
	return out;
}

static const struct {
	const char *end;
	uint8_t *(*unpack)(const uint8_t *bytes, size_t count, size_t *out_count);
} packings[] = { { ".xz", unpack_xz }, { ".zst", unpack_zstd }, { ".gz", unpack_gzip } };

static bool ends_with(const char *text, size_t bytes, const char *end)
{
	const size_t end_bytes = strlen(end);

	return bytes >= end_bytes && memcmp(text + bytes - end_bytes, end, end_bytes) == 0;
}

/* --- what Linux does not need of a module --- */

static bool is_debug(const Elf64_Shdr *section, const char *names, size_t names_bytes)
{
	const char *name = section->sh_name < names_bytes ? names + section->sh_name : "";

	return !(section->sh_flags & SHF_ALLOC) &&
	       (strncmp(name, ".debug_", 7) == 0 || strncmp(name, ".rela.debug_", 12) == 0 ||
		strcmp(name, ".BTF") == 0 || strcmp(name, ".comment") == 0 || strncmp(name, ".zdebug_", 8) == 0 ||
		strncmp(name, ".rela.zdebug_", 13) == 0);
}

static bool fits(const Elf64_Shdr *section, size_t count)
{
	return section->sh_type == SHT_NOBITS || section->sh_type == SHT_NULL ||
	       (section->sh_offset <= count && section->sh_size <= count - section->sh_offset &&
		(section->sh_addralign & (section->sh_addralign - 1)) == 0 && section->sh_addralign <= 4096);
}

static bool has_bytes(const Elf64_Shdr *section)
{
	return section->sh_type != SHT_NULL && section->sh_type != SHT_NOBITS;
}

/* The section with bytes that lies next at or behind `from`, and was not had before; null: there is none. */
static Elf64_Shdr *next_in_file(Elf64_Shdr *table, size_t sections, uint64_t from, const bool *done)
{
	Elf64_Shdr *next = NULL;

	for (size_t i = 0; i < sections; i++)
		if (!done[i] && has_bytes(&table[i]) && table[i].sh_offset >= from &&
		    (!next || table[i].sh_offset < next->sh_offset))
			next = &table[i];
	return next;
}

/* Moves the sections that stay together, as they lie in the file; they keep their numbers. 0: it can't be done. */
static size_t sections_move(uint8_t *bytes, Elf64_Shdr *table, size_t sections, const char *names, size_t names_bytes)
{
	bool *done = calloc(sections, sizeof(*done));
	size_t end = sizeof(Elf64_Ehdr);
	uint64_t from = 0;

	for (Elf64_Shdr *s; done && (s = next_in_file(table, sections, from, done)) != NULL;) {
		const size_t align = s->sh_addralign ? (size_t)s->sh_addralign : 1;

		done[s - table] = true;
		from = s->sh_offset;
		if (is_debug(s, names, names_bytes)) {
			*s = (Elf64_Shdr){ .sh_name = s->sh_name, .sh_type = SHT_NULL };
			continue;
		}
		end = (end + align - 1) & ~(align - 1);
		if (end > s->sh_offset) {
			end = 0;
			break;
		}
		memmove(bytes + end, bytes + s->sh_offset, (size_t)s->sh_size);
		s->sh_offset = end;
		end += (size_t)s->sh_size;
	}
	if (!done)
		end = 0;
	free(done);
	return end;
}

static bool all_fit(const Elf64_Shdr *table, size_t sections, size_t count)
{
	for (size_t i = 0; i < sections; i++)
		if (!fits(&table[i], count))
			return false;
	return true;
}

/* Takes debug sections and what follows the ELF file (the signature) out of a module, in place: what Linux's loader
 * does not look at (kernel/module/main.c copies sections with SHF_ALLOC, and the tables of names and symbols). Returns
 * what is left; `count` where it is no ELF file that can be so made smaller. */
static size_t strip(uint8_t *bytes, size_t count)
{
	Elf64_Ehdr head;

	if (count < sizeof(head))
		return count;
	memcpy(&head, bytes, sizeof(head));
	const size_t table_bytes = (size_t)head.e_shnum * sizeof(Elf64_Shdr);

	if (memcmp(head.e_ident, ELFMAG, SELFMAG) != 0 || head.e_ident[EI_CLASS] != ELFCLASS64 ||
	    head.e_shentsize != sizeof(Elf64_Shdr) || head.e_shstrndx >= head.e_shnum || head.e_shoff > count ||
	    table_bytes > count - head.e_shoff)
		return count;
	Elf64_Shdr *table = malloc(table_bytes);
	size_t end = 0;

	if (!table)
		return count;
	memcpy(table, bytes + head.e_shoff, table_bytes);
	const Elf64_Shdr names = table[head.e_shstrndx];
	uint8_t *copy = all_fit(table, head.e_shnum, count) ? malloc(count) : NULL;

	if (copy) {
		memcpy(copy, bytes, count);
		end = sections_move(copy, table, head.e_shnum, (const char *)bytes + names.sh_offset,
				    (size_t)names.sh_size);
		end = (end + 7) & ~(size_t)7;
	}
	if (end > 0 && end + table_bytes <= count) {
		head.e_shoff = end;
		memcpy(copy, &head, sizeof(head));
		memcpy(copy + end, table, table_bytes);
		count = end + table_bytes;
		memcpy(bytes, copy, count);
	}
	free(copy);
	free(table);
	return count;
}

/* --- picking --- */

struct pick {
	const struct kernel_files *files;
	struct kernel_modules *out;
	char *order, *builtin; /* owned: lists of paths, one a line; "" where there is none */
	unsigned depth;
};

/* Whether the base name in a path, up to ".ko", is `name`, '-' and '_' being the same. */
static bool is_named(const char *path, size_t bytes, const char *name)
{
	const char *slash = memrchr(path, '/', bytes), *base = slash ? slash + 1 : path;
	const size_t base_bytes = (size_t)(path + bytes - base), name_bytes = strlen(name);

	if (base_bytes < name_bytes + 3 || memcmp(base + name_bytes, ".ko", 3) != 0)
		return false;
	for (size_t i = 0; i < name_bytes; i++)
		if (base[i] != name[i] && !(strchr("-_", base[i]) && strchr("-_", name[i])))
			return false;
	return true;
}

/* The line's path in a list, where it ends at a colon (modules.dep) or at the end of the line; null: there is none. */
static const char *line_find(const char *list, const char *name, size_t *out_bytes)
{
	for (const char *line = list; *line; line += strcspn(line, "\n"), line += *line == '\n') {
		*out_bytes = strcspn(line, ":\n");
		if (is_named(line, *out_bytes, name))
			return line;
	}
	return NULL;
}

static bool is_there(const struct pick *pick, const char *name)
{
	for (size_t i = 0; i < pick->out->count; i++)
		if (is_named(pick->out->v[i].name, strlen(pick->out->v[i].name), name))
			return true;
	return false;
}

static char *list_read(const struct kernel_files *files, const char *name)
{
	uint8_t *bytes = NULL;
	size_t count;
	char *path;

	if (asprintf(&path, "%s/%s", files->modules, name) < 0)
		return NULL;
	if (kernel_file_read(files->rootfs, path, &bytes, &count, NULL))
		bytes = (uint8_t *)strdup("");
	free(path);
	return (char *)bytes;
}

/* Unpacks what ends like that. */
static enum chain_status file_unpack(struct kernel_module *io, const char *path, struct chain_error *err)
{
	for (size_t i = 0; i < sizeof(packings) / sizeof(packings[0]); i++) {
		if (!ends_with(path, strlen(path), packings[i].end))
			continue;
		uint8_t *packed = io->bytes;

		io->bytes = packings[i].unpack(packed, io->count, &io->count);
		free(packed);
		if (!io->bytes)
			return CHAIN_FAIL(err, ROOT_MODULE, .subject = path, .detail = "it can't be unpacked");
	}
	return CHAIN_OK;
}

/* A module's file, found by its line; lists may say its name as it was before it was packed. */
static enum chain_status file_load(const struct pick *pick, const char *line, size_t bytes, struct kernel_module *out,
				   struct chain_error *err)
{
	static const char *const ends[] = { "", ".xz", ".zst", ".gz" };
	enum chain_status status = CHAIN_E_IO;

	for (size_t i = 0; status == CHAIN_E_IO && i < sizeof(ends) / sizeof(ends[0]); i++) {
		char *path;

		if (asprintf(&path, "%s/%.*s%s", pick->files->modules, (int)bytes, line, ends[i]) < 0)
			return chain_fail_no_memory(err, pick->files->modules, bytes);
		status = kernel_file_read(pick->files->rootfs, path, &out->bytes, &out->count,
					  i + 1 < sizeof(ends) / sizeof(ends[0]) ? NULL : err);
		out->file_bytes = out->count;
		if (!status)
			status = file_unpack(out, path, err);
		free(path);
	}
	return status;
}

/* The value of "depends=" in its section .modinfo; it may be empty. Null: there is none. */
static const char *depends_of(const struct kernel_module *module)
{
	static const char key[] = "\0depends=";
	const uint8_t *at = memmem(module->bytes, module->count, key, sizeof(key) - 1);

	return at && memchr(at + sizeof(key) - 1, 0, (size_t)(module->bytes + module->count - at) - (sizeof(key) - 1)) ?
		       (const char *)at + sizeof(key) - 1 :
		       NULL;
}

static enum chain_status lacks(const struct pick *pick, const char *name, struct chain_error *err)
{
	static const struct {
		const char *name, *what;
	} known[] = { { "nd_e820", "nd_e820 (CONFIG_X86_PMEM_LEGACY)" },
		      { "nd_pmem", "nd_pmem (CONFIG_BLK_DEV_PMEM)" },
		      { "erofs", "erofs (CONFIG_EROFS_FS)" },
		      { "dax", "files that are used in place (CONFIG_FS_DAX)" },
		      { "overlay", "overlay (CONFIG_OVERLAY_FS)" } };
	const char *what = name;

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (strcmp(known[i].name, name) == 0)
			what = known[i].what;
	return CHAIN_FAIL(err, ROOT_KERNEL_LACKS, .subject = pick->files->modules, .detail = what);
}

static enum chain_status module_pick(struct pick *pick, const char *name, bool optional, struct chain_error *err);

/* `depends`: names with commas between them. */
static enum chain_status needed_pick(struct pick *pick, const char *depends, struct chain_error *err)
{
	enum chain_status status = CHAIN_OK;
	char name[NAME_BYTES];

	for (const char *at = depends; !status && *at;) {
		const size_t bytes = strcspn(at, ",");

		if (bytes >= sizeof(name))
			return CHAIN_FAIL(err, ROOT_MODULE, .subject = depends,
					  .detail = "a module's name is too long");
		memcpy(name, at, bytes);
		name[bytes] = '\0';
		status = bytes ? module_pick(pick, name, false, err) : CHAIN_OK;
		at += bytes + (at[bytes] == ',');
	}
	return status;
}

static enum chain_status module_add(struct pick *pick, struct kernel_module *module, struct chain_error *err)
{
	struct kernel_modules *out = pick->out;
	struct kernel_module *grown = realloc(out->v, (out->count + 1) * sizeof(*grown));

	if (!grown)
		return chain_fail_no_memory(err, module->name, (out->count + 1) * sizeof(*grown));
	out->v = grown;
	module->count = strip(module->bytes, module->count);
	out->v[out->count++] = *module;
	*module = (struct kernel_module){ .name = NULL };
	return CHAIN_OK;
}

static enum chain_status module_take(struct pick *pick, const char *line, size_t bytes, struct chain_error *err)
{
	enum { DEPTH_MAX = 32 };
	struct kernel_module module = { .name = NULL };
	const char *slash = memrchr(line, '/', bytes), *base = slash ? slash + 1 : line;
	enum chain_status status = file_load(pick, line, bytes, &module, err);
	const char *depends = !status ? depends_of(&module) : NULL;

	if (!status) {
		module.name = strndup(base, (size_t)((const char *)memmem(base, bytes, ".ko", 3) - base) + 3);
		if (!module.name)
			status = chain_fail_no_memory(err, line, NAME_BYTES);
		else if (!depends)
			status = CHAIN_FAIL(err, ROOT_MODULE, .subject = module.name, .detail = "is no kernel module");
		else if (++pick->depth > DEPTH_MAX)
			status = CHAIN_FAIL(err, ROOT_MODULE, .subject = module.name,
					    .detail = "modules need each other");
	}
	if (!status)
		status = needed_pick(pick, depends, err);
	if (!status)
		pick->depth--;
	if (!status)
		status = module_add(pick, &module, err);
	free(module.name);
	free(module.bytes);
	return status;
}

/* A kernel that has it within itself needs no module of that name. */
static enum chain_status module_pick(struct pick *pick, const char *name, bool optional, struct chain_error *err)
{
	size_t bytes;
	const char *line;

	if (is_there(pick, name) || line_find(pick->builtin, name, &bytes))
		return CHAIN_OK;
	line = line_find(pick->order, name, &bytes);
	if (!line)
		return optional ? CHAIN_OK : lacks(pick, name, err);
	return module_take(pick, line, bytes, err);
}

/* Without DAX a driver has no use for these functions of the kernel's, whose names it has to have then. */
static enum chain_status dax_check(const struct pick *pick, const char *fs, struct chain_error *err)
{
	static const char wanted[] = "dax_iomap_";

	for (size_t i = 0; i < pick->out->count; i++) {
		const struct kernel_module *module = &pick->out->v[i];

		if (strcmp(fs, "erofs") == 0 && strncmp(module->name, "erofs.", 6) == 0 &&
		    !memmem(module->bytes, module->count, wanted, sizeof(wanted) - 1))
			return lacks(pick, "dax", err);
	}
	return CHAIN_OK;
}

static const char *module_of(const char *fs)
{
	return strcmp(fs, "iso9660") == 0 ? "isofs" : fs;
}

/* One that the root does not need, but its program may. */
static enum chain_status more_pick(struct pick *pick, const char *name, struct chain_error *err)
{
	char detail[CHAIN_SUBJECT_BYTES];
	size_t bytes;

	(void)snprintf(detail, sizeof(detail), "is no module in %s", pick->files->modules);
	if (!line_find(pick->order, name, &bytes) && !line_find(pick->builtin, name, &bytes))
		return CHAIN_FAIL(err, ROOT_MODULE, .subject = name, .detail = detail);
	return module_pick(pick, name, false, err);
}

static enum chain_status all_pick(struct pick *pick, const struct kernel_wanted *wanted, struct chain_error *err)
{
	static const char *const optional[] = { "virtio_pci", "virtio_mmio", "virtio_net" };
	const char *const needed[] = { "nd_e820", "nd_pmem", module_of(wanted->fs),
				       wanted->overlay ? "overlay" : NULL };
	enum chain_status status = CHAIN_OK;

	for (size_t i = 0; !status && i < sizeof(needed) / sizeof(needed[0]); i++)
		status = needed[i] ? module_pick(pick, needed[i], false, err) : CHAIN_OK;
	if (!status)
		status = dax_check(pick, wanted->fs, err);
	for (size_t i = 0; !status && i < sizeof(optional) / sizeof(optional[0]); i++)
		status = module_pick(pick, optional[i], true, err);
	for (size_t i = 0; !status && wanted->more && wanted->more[i]; i++)
		status = more_pick(pick, wanted->more[i], err);
	return status;
}

enum chain_status kernel_modules_pick(const struct kernel_files *files, const struct kernel_wanted *wanted,
				      struct kernel_modules *out, struct chain_error *err)
{
	struct pick pick = { .files = files, .out = out, .builtin = list_read(files, "modules.builtin") };
	enum chain_status status = CHAIN_OK;

	*out = (struct kernel_modules){ .v = NULL };
	pick.order = list_read(files, "modules.order");
	if (pick.order && !*pick.order) {
		free(pick.order);
		pick.order = list_read(files, "modules.dep");
	}
	if (!pick.order || !pick.builtin)
		status = chain_fail_no_memory(err, files->modules, 1);
	else if (!*pick.order && !*pick.builtin)
		status =
			CHAIN_FAIL(err, ROOT_MODULE, .subject = files->modules,
				   .detail = "no folder of a kernel's modules: it has no modules.order or modules.dep");
	if (!status)
		status = all_pick(&pick, wanted, err);
	free(pick.order);
	free(pick.builtin);
	if (status)
		kernel_modules_free(out);
	return status;
}

void kernel_modules_free(struct kernel_modules *modules)
{
	for (size_t i = 0; i < modules->count; i++) {
		free(modules->v[i].name);
		free(modules->v[i].bytes);
	}
	free(modules->v);
	*modules = (struct kernel_modules){ .v = NULL };
}
