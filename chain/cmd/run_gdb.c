/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: `kchain run --gdb`: the port that QEMU's stub listens at, and how gdb is started with the right symbols.
 *
 * The stage and every native kernel run at the addresses they were linked for, wherever they lie in memory, so gdb takes their files
 * as they are. All native kernels have the same range: gdb gets one of them at a time. */

#include "run.h"

#include "chain/config.h"
#include "chain/source.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <gelf.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PORT_DEFAULT = 1234, PATH_BYTES = 4096 };

/* --- the port --- */

bool run_gdb_port(struct run *run)
{
	uint64_t port = PORT_DEFAULT;
	bool good = !*run->gdb || (cmd_count_parse(run->gdb, &port) && port <= UINT16_MAX);
	run->gdb_port = (uint16_t)port;
	return good;
}

enum chain_status run_gdb_listen(struct run *run, struct chain_error *err)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(run->gdb_port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t bytes = sizeof(at);
	int yes = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	/* A port whose last connection was closed a moment ago is free. */
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes)) < 0 || bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0 ||
	    listen(fd, 1) < 0 || getsockname(fd, (struct sockaddr *)&at, &bytes) < 0) {
		int number = errno;
		if (fd >= 0)
			close(fd);
		return chain_fail(err, CHAIN_E_CMD_GDB_PORT, NULL, strerror(number), run->gdb_port, 0, 0, 0);
	}
	run->gdb_fd = fd;
	run->gdb_port = ntohs(at.sin_port);
	return CHAIN_OK;
}

/* --- which file has a kernel's symbols --- */

static bool has_symbols(Elf *elf)
{
	GElf_Shdr section;
	for (Elf_Scn *at = NULL; (at = elf_nextscn(elf, at)) != NULL;)
		if (gelf_getshdr(at, &section) && section.sh_type == SHT_SYMTAB)
			return true;
	return false;
}

/* The bytes of segment `i` that a file holds, behind the headers where it begins with them: these are the file's own. */
static const char *segment_bytes(Elf *elf, size_t i, GElf_Phdr *out, size_t *out_bytes)
{
	GElf_Ehdr header;
	size_t size;
	const char *file = elf_rawfile(elf, &size);
	if (!file || !gelf_getehdr(elf, &header) || !gelf_getphdr(elf, (int)i, out) || out->p_offset > size || out->p_filesz > size - out->p_offset)
		return NULL;
	uint64_t headers = header.e_phoff + (uint64_t)header.e_phnum * header.e_phentsize;
	uint64_t skip = out->p_offset == 0 && headers < out->p_filesz ? headers : 0;
	*out_bytes = out->p_filesz - skip;
	return file + out->p_offset + skip;
}

/* Whether both files load the same: one is the other without its symbols. */
static bool same_kernel(Elf *a, Elf *b)
{
	size_t count_a, count_b;
	if (elf_getphdrnum(a, &count_a) || elf_getphdrnum(b, &count_b) || count_a != count_b || gelf_getclass(a) != gelf_getclass(b))
		return false;
	for (size_t i = 0; i < count_a; i++) {
		GElf_Phdr x, y;
		size_t bytes_x, bytes_y;
		const char *in_x = segment_bytes(a, i, &x, &bytes_x), *in_y = segment_bytes(b, i, &y, &bytes_y);
		if (!in_x || !in_y || x.p_vaddr != y.p_vaddr || x.p_type != y.p_type || bytes_x != bytes_y ||
		    (x.p_type == PT_LOAD && memcmp(in_x, in_y, bytes_x) != 0))
			return false;
	}
	return true;
}

/* Whether the file has symbols, and those of this kernel. */
static bool symbols_fit(const char *path, Elf *kernel)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	Elf *elf = fd < 0 ? NULL : elf_begin(fd, ELF_C_READ_MMAP, NULL);
	bool fit = elf && elf_kind(elf) == ELF_K_ELF && has_symbols(elf) && same_kernel(elf, kernel);
	elf_end(elf);
	if (fd >= 0)
		close(fd);
	return fit;
}

/* The kernel in NAME.elf, or NAME, has its symbols in NAME.debug beside it, or in that file itself. Real path in *out; false: there are none. */
static bool symbols_find(const char *path, const void *kernel, uint64_t bytes, char out[PATH_BYTES])
{
	char beside[PATH_BYTES];
	size_t name = strlen(path);
	if (name > 4 && strcmp(path + name - 4, ".elf") == 0)
		name -= 4;
	Elf *elf = elf_memory((char *)(uintptr_t)kernel, bytes); /* which it reads only */
	bool found = false;
	if (elf && elf_kind(elf) == ELF_K_ELF && (size_t)snprintf(beside, sizeof(beside), "%.*s.debug", (int)name, path) < sizeof(beside)) {
		const char *in = symbols_fit(beside, elf) ? beside : symbols_fit(path, elf) ? path : NULL;
		found = in && realpath(in, out);
	}
	elf_end(elf);
	return found;
}

/* Whether the image begins with the stage that is in this command: its code behind the headers that `bake` changes. */
static bool stage_is_ours(const struct run *run)
{
	enum { HEADERS = 8192, PART = 65536, WITHIN = 4 << 20 };
	size_t bytes = run->input.file.bytes_count < WITHIN ? (size_t)run->input.file.bytes_count : WITHIN;
	return run->input.kind == CHAIN_KERNEL_IMAGE && cmd_stage_elf_end - cmd_stage_elf > HEADERS + PART &&
	       memmem(run->input.file.bytes, bytes, cmd_stage_elf + HEADERS, PART);
}

/* In the tree where this command was built, or where it is installed. */
static bool stage_symbols_find(const struct run *run, char out[PATH_BYTES])
{
	static const char *const PLACES[] = { "/stage/stage.debug", "/../stage/stage.debug", "/../lib/kchain/stage.debug" };
	char own[PATH_BYTES / 2], path[PATH_BYTES];
	ssize_t bytes = readlink("/proc/self/exe", own, sizeof(own) - 1);
	own[bytes > 0 ? bytes : 0] = '\0';
	char *slash = strrchr(own, '/');
	if (!slash || !stage_is_ours(run))
		return false;
	*slash = '\0';
	bool found = false;
	Elf *stage = elf_memory((char *)(uintptr_t)cmd_stage_elf, (size_t)(cmd_stage_elf_end - cmd_stage_elf));
	for (size_t i = 0; stage && !found && i < sizeof(PLACES) / sizeof(PLACES[0]); i++) {
		snprintf(path, sizeof(path), "%s%s", own, PLACES[i]);
		found = symbols_fit(path, stage) && realpath(path, out);
	}
	elf_end(stage);
	return found;
}

/* --- what is printed --- */

/* A word of the shell's, with `path` as a word of gdb's in it where gdb takes it apart. */
static void word_print(FILE *to, const char *before, const char *path, bool gdb)
{
	fprintf(to, "'%s", before);
	for (; *path; path++) {
		if (gdb && strchr(" \t\"'\\", *path))
			fputc('\\', to);
		if (*path == '\'')
			fputs("'\\''", to);
		else
			fputc(*path, to);
	}
	fputc('\'', to);
}

/* One way to begin: `kernel` and `stage` are files with symbols, or empty. */
static void line_print(const struct run *run, const char *name, const char *kernel, const char *stage)
{
	FILE *to = stderr;
	fprintf(to, "  %s%-10s%s gdb -iex 'set confirm off' ", cmd_style(to, CMD_BOLD), name, cmd_style(to, CMD_PLAIN));
	if (*kernel || *stage)
		word_print(to, "", *kernel ? kernel : stage, false);
	if (*kernel && *stage) {
		fputs(" -ex ", to);
		word_print(to, "add-symbol-file ", stage, true);
	}
	fprintf(to, " -ex 'target remote 127.0.0.1:%u'\n", (unsigned)run->gdb_port);
}

/* Where the host has the file behind "fs:/PATH", or its symbols: as the pipeline says; else by its name, beside the image. */
static bool host_path(const struct chain_config *config, const char *pipeline, const char *source, char out[PATH_BYTES])
{
	const char *slash = strrchr(pipeline, '/'), *name = strrchr(source, '/');
	int folder = slash ? (int)(slash - pipeline) + 1 : 0;
	for (size_t i = 0; i < config->file_count; i++) {
		const struct chain_config_file *file = &config->files[i];
		size_t bytes = strlen(file->path);
		if (!file->from || strncmp(source + 3, file->path, bytes) != 0 || (source[3 + bytes] != '\0' && source[3 + bytes] != '/'))
			continue;
		return snprintf(out, PATH_BYTES, "%.*s%s%s", file->from[0] == '/' ? 0 : folder, pipeline, file->from, source + 3 + bytes) < PATH_BYTES;
	}
	return name && snprintf(out, PATH_BYTES, "%.*s%s", folder, pipeline, name + 1) < PATH_BYTES;
}

/* Whether another step before this one starts the same kernel. */
static bool told_before(const struct chain_config *config, size_t step)
{
	for (size_t i = 0; i < step; i++)
		if (config->steps[i].source && config->steps[step].source && strcmp(config->steps[i].source, config->steps[step].source) == 0)
			return true;
	return false;
}

/* A line for each kernel that a step starts and that has symbols; how many. */
static size_t steps_print(const struct run *run, const struct chain_config *config, const char *pipeline, const char *stage)
{
	char host[PATH_BYTES], symbols[PATH_BYTES];
	const uint8_t *kernel;
	uint8_t digest[CHAIN_SHA256_BYTES];
	uint64_t bytes;
	size_t count = 0;
	for (size_t i = 0; i < config->step_count; i++) {
		const struct chain_step *step = &config->steps[i];
		if (!step->source || strncmp(step->source, "fs:", 3) != 0 || told_before(config, i) ||
		    chain_image_file(&run->input.image, step->source + 3, &kernel, &bytes, digest, NULL) ||
		    !host_path(config, pipeline, step->source, host) || !symbols_find(host, kernel, bytes, symbols))
			continue;
		line_print(run, step->name, symbols, stage);
		count++;
	}
	return count;
}

/* By the pipeline that was baked for this run, which says where the files come from; else by the one in the image. */
static size_t kernels_print(const struct run *run, const char *stage)
{
	const char *path = run->operands.v[0];
	char pipeline[PATH_BYTES];
	struct stat about;
	struct cmd_file file = { 0 };
	struct chain_config config;
	const uint8_t *text;
	uint8_t digest[CHAIN_SHA256_BYTES];
	uint64_t bytes;
	bool folder = stat(path, &about) == 0 && S_ISDIR(about.st_mode);
	snprintf(pipeline, sizeof(pipeline), "%s%s", path, folder ? "/pipeline.json" : "");
	if (run->input.kind != CHAIN_KERNEL_IMAGE)
		return 0;
	bool own = !run->input.baked || cmd_file_load(pipeline, CHAIN_CONFIG_MAX_BYTES, &file, NULL) != CHAIN_OK;
	if (!own)
		text = file.bytes, bytes = file.bytes_count;
	else if (chain_image_file(&run->input.image, CHAIN_FS_PIPELINE, &text, &bytes, digest, NULL))
		return 0;
	size_t count = 0;
	if (chain_config_parse((const char *)text, bytes, pipeline, own, &config, NULL) == CHAIN_OK) {
		count = steps_print(run, &config, pipeline, stage);
		chain_config_free(&config);
	}
	cmd_file_free(&file);
	return count;
}

void run_gdb_introduce(const struct run *run)
{
	char stage[PATH_BYTES] = "", symbols[PATH_BYTES] = "";
	fprintf(stderr, "halted, until gdb comes to port %u of 127.0.0.1 and lets it go on:\n", (unsigned)run->gdb_port);
	if (elf_version(EV_CURRENT) == EV_NONE)
		return;
	if (!stage_symbols_find(run, stage))
		*stage = '\0';
	if (kernels_print(run, stage))
		return;
	if (run->input.kind != CHAIN_KERNEL_IMAGE &&
	    symbols_find(run->operands.v[0], run->input.file.bytes, run->input.file.bytes_count, symbols))
		line_print(run, "kernel", symbols, "");
	else
		line_print(run, *stage ? "stage" : "machine", "", stage);
}
