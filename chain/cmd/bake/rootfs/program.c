/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: see program.h. */

#include "program.h"

#include <elf.h>
#include <stdio.h>
#include <string.h>

enum { PATH_BYTES = 4096, HEAD_BYTES = 256 }; /* Linux looks at so many bytes: BINPRM_BUF_SIZE */

static const char usual_path[] = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

struct check {
	const struct rootfs *rootfs;
	const struct rootfs_entry *entry;
	const char *name;
	unsigned depth;
	struct chain_error *err;
};

/* Subject: the root and the file in it. */
static enum chain_status refuse(const struct check *c, const char *path, const char *detail)
{
	char subject[3 * PATH_BYTES];

	(void)snprintf(subject, sizeof(subject), "%s: %s", c->name, path);
	return chain_fail_text(c->err, CHAIN_E_ROOT_PROGRAM, subject, detail);
}

static enum chain_status file_check(struct check *c, const char *path, const struct rootfs_node *node);

/* A hard link's bytes are those of the node that it is a name of. */
static const struct rootfs_node *node_find(const struct check *c, const char *path)
{
	const struct rootfs_node *node = rootfs_find(c->rootfs, path);

	return node && node->spec.hard_link ? rootfs_find(c->rootfs, node->spec.hard_link) : node;
}

/* What an interpreter is called in a file. */
static enum chain_status interpreter_check(struct check *c, const char *of, const char *path)
{
	char detail[PATH_BYTES + 64], from[2 * PATH_BYTES];
	const char *folder = c->entry->workdir ? c->entry->workdir : "/";

	(void)snprintf(from, sizeof(from), "%s%s%s", *path == '/' ? "" : folder, *path == '/' ? "" : "/", path);
	const struct rootfs_node *node = node_find(c, from);

	if (!node) {
		(void)snprintf(detail, sizeof(detail), "needs %s, which is not in the root", path);
		return refuse(c, of, detail);
	}
	if (++c->depth > ROOTFS_INTERPRETERS_MAX)
		return refuse(c, of, "too many interpreters behind each other");
	return file_check(c, from, node);
}

/* --- ELF --- */

static const struct {
	unsigned machine;
	const char *name;
} machines[] = {
	{ EM_AARCH64, "aarch64" }, { EM_ARM, "arm" },
	{ EM_RISCV, "riscv" },     { EM_PPC64, "ppc64" },
	{ EM_S390, "s390" },       { EM_MIPS, "mips" },
	{ EM_386, "i386" },        { EM_X86_64, "x86-64" },
	{ EM_PPC, "powerpc" },     { EM_LOONGARCH, "loongarch" },
};

static enum chain_status machine_refuse(const struct check *c, const char *path, unsigned machine)
{
	char detail[128];
	const char *name = "another processor";

	for (size_t i = 0; i < sizeof(machines) / sizeof(machines[0]); i++)
		if (machines[i].machine == machine)
			name = machines[i].name;
	(void)snprintf(detail, sizeof(detail), "is made for %s (ELF machine %u), not for x86-64", name, machine);
	return refuse(c, path, detail);
}

/* The program's interpreter, which loads its libraries; `out` is empty where it has none. */
static enum chain_status interp_read(struct check *c, const char *path, const struct rootfs_node *node,
				     const Elf64_Ehdr *header, char out[PATH_BYTES])
{
	enum { SEGMENTS_MAX = 64 };
	const uint64_t size = node->spec.size_bytes;
	Elf64_Phdr segments[SEGMENTS_MAX];
	const size_t bytes = header->e_phnum * sizeof(segments[0]);

	*out = '\0';
	if (header->e_phnum > SEGMENTS_MAX || header->e_phentsize != sizeof(segments[0]))
		return header->e_phnum == 0 ? CHAIN_OK : refuse(c, path, "has program headers that can't be read");
	if (header->e_phoff > size || bytes > size - header->e_phoff)
		return refuse(c, path, "has program headers outside of it");
	enum chain_status status = bytes ? rootfs_read(node, header->e_phoff, segments, bytes, c->err) : CHAIN_OK;

	for (size_t i = 0; !status && i < header->e_phnum; i++) {
		const Elf64_Phdr *s = &segments[i];

		if (s->p_type != PT_INTERP)
			continue;
		if (s->p_filesz < 2 || s->p_filesz > PATH_BYTES || s->p_offset > size ||
		    s->p_filesz > size - s->p_offset)
			return refuse(c, path, "has an interpreter's name outside of it");
		status = rootfs_read(node, s->p_offset, out, (size_t)s->p_filesz, c->err);
		if (!status && out[s->p_filesz - 1] != '\0')
			return refuse(c, path, "has an interpreter's name without an end");
		break;
	}
	return status;
}

/* Linux runs programs for i386 as well; what those need is not looked for. */
static enum chain_status elf_check(struct check *c, const char *path, const struct rootfs_node *node,
				   const uint8_t *head, size_t count)
{
	Elf64_Ehdr header;
	char interpreter[PATH_BYTES];

	if (count < sizeof(header))
		return refuse(c, path, "is an ELF file that is cut short");
	memcpy(&header, head, sizeof(header));
	if (header.e_ident[EI_DATA] != ELFDATA2LSB)
		return machine_refuse(c, path, (unsigned)head[18] << 8 | head[19]);
	if (header.e_machine != EM_X86_64 && header.e_machine != EM_386)
		return machine_refuse(c, path, header.e_machine);
	if (header.e_type != ET_EXEC && header.e_type != ET_DYN)
		return refuse(c, path, "is an ELF file, but no program");
	if (header.e_machine == EM_386 || header.e_ident[EI_CLASS] != ELFCLASS64)
		return CHAIN_OK;
	const enum chain_status status = interp_read(c, path, node, &header, interpreter);

	return !status && *interpreter ? interpreter_check(c, path, interpreter) : status;
}

/* --- names --- */

static enum chain_status path_search(struct check *c, const char *word, char out[PATH_BYTES]);

/* "env" looks for its argument as a shell does. */
static enum chain_status env_check(struct check *c, const char *of, const char *interpreter, const char *argument)
{
	const char *slash = strrchr(interpreter, '/');
	char path[PATH_BYTES], word[HEAD_BYTES];

	if (strcmp(slash ? slash + 1 : interpreter, "env") != 0)
		return CHAIN_OK;
	if (strncmp(argument, "-S", 2) == 0)
		argument += 2 + strspn(argument + 2, " \t");
	(void)snprintf(word, sizeof(word), "%.*s", (int)strcspn(argument, " \t"), argument);
	if (!*word || *word == '-' || strpbrk(word, "=/"))
		return CHAIN_OK;
	const enum chain_status status = path_search(c, word, path);

	return status ? status : interpreter_check(c, of, path);
}

static enum chain_status script_check(struct check *c, const char *path, const uint8_t *head, size_t count)
{
	char line[HEAD_BYTES + 1];
	size_t bytes = 2;

	while (bytes < count && head[bytes] != '\n')
		bytes++;
	memcpy(line, head + 2, bytes - 2);
	line[bytes - 2] = '\0';
	char *interpreter = line + strspn(line, " \t"), *end = interpreter + strcspn(interpreter, " \t");
	char *argument = end + strspn(end, " \t");

	*end = '\0';
	if (!*interpreter)
		return refuse(c, path, "is a script that names no interpreter");
	if (end > line && end[-1] == '\r')
		return refuse(c, path, "is a script whose lines end as on Windows, so its interpreter is not found");
	const enum chain_status status = interpreter_check(c, path, interpreter);

	return !status && argument > end ? env_check(c, path, interpreter, argument) : status;
}

static enum chain_status file_check(struct check *c, const char *path, const struct rootfs_node *node)
{
	uint8_t head[HEAD_BYTES];
	const size_t count = node->spec.size_bytes < HEAD_BYTES ? (size_t)node->spec.size_bytes : HEAD_BYTES;
	char detail[64];

	if (node->spec.type != FS_REGULAR)
		return refuse(c, path,
			      node->spec.type == FS_DIRECTORY ? "is a folder, not a program" :
								"is no file that could be executed");
	if (!(node->spec.mode & 0111)) {
		(void)snprintf(detail, sizeof(detail), "is not executable (mode %04o)", node->spec.mode);
		return refuse(c, path, detail);
	}
	const enum chain_status status = count > 0 ? rootfs_read(node, 0, head, count, c->err) : CHAIN_OK;

	if (status)
		return status;
	if (count >= SELFMAG && memcmp(head, ELFMAG, SELFMAG) == 0)
		return elf_check(c, path, node, head, count);
	if (count >= 2 && memcmp(head, "#!", 2) == 0)
		return script_check(c, path, head, count);
	return refuse(c, path, "is neither an ELF program nor a script that begins with '#!'");
}

/* The PATH that the program gets. */
static const char *path_of(const struct rootfs_entry *entry)
{
	const char *found = usual_path;

	for (size_t i = 0; entry->env && entry->env[i]; i++)
		if (strncmp(entry->env[i], "PATH=", 5) == 0)
			found = entry->env[i] + 5;
	return found;
}

/* The first file of this name that may be executed; else the first there is, for its error. */
static enum chain_status path_search(struct check *c, const char *word, char out[PATH_BYTES])
{
	char detail[PATH_BYTES + 64], at[PATH_BYTES];

	*out = '\0';
	for (const char *list = path_of(c->entry); *list; list += *list == ':') {
		const size_t bytes = strcspn(list, ":");

		(void)snprintf(at, sizeof(at), "%.*s/%s", (int)bytes, bytes ? list : ".", word);
		list += bytes;
		const struct rootfs_node *node = *at == '/' ? node_find(c, at) : NULL;

		if (!node || node->spec.type != FS_REGULAR)
			continue;
		const bool runs = (node->spec.mode & 0111) != 0;

		if (runs || !*out)
			memcpy(out, at, sizeof(at));
		if (runs)
			return CHAIN_OK;
	}
	(void)snprintf(detail, sizeof(detail), "is in no folder of the PATH %s", path_of(c->entry));
	return *out ? CHAIN_OK : refuse(c, word, detail);
}

enum chain_status rootfs_program_check(const struct rootfs *rootfs, const struct rootfs_entry *entry, const char *name,
				       struct chain_error *err)
{
	struct check c = { .rootfs = rootfs, .entry = entry, .name = name, .err = err };
	const char *word = entry->argv[0], *folder = entry->workdir ? entry->workdir : "/";
	char path[2 * PATH_BYTES];
	enum chain_status status = CHAIN_OK;

	if (strlen(word) >= PATH_BYTES || strlen(folder) >= PATH_BYTES)
		return refuse(&c, word, "is a path longer than Linux takes");
	if (!*word)
		return refuse(&c, "''", "is no program's name");
	if (!strchr(word, '/'))
		status = path_search(&c, word, path);
	else
		(void)snprintf(path, sizeof(path), "%s%s%s", *word == '/' ? "" : folder, *word == '/' ? "" : "/", word);
	if (status)
		return status;
	const struct rootfs_node *node = node_find(&c, path);

	return node ? file_check(&c, path, node) : refuse(&c, path, "is not in the root");
}
