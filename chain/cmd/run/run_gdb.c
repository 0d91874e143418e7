/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: `kchain run --gdb`: the port that QEMU's gdb server listens at, and how gdb is started with the right symbols.
 *
 * The stage and every native kernel run at the addresses they were linked for, wherever they lie in memory, so gdb
 * takes their files as they are. All native kernels have the same range: gdb gets one of them at a time. */

#include "run.h"

#include "chain/config.h"
#include "chain/source.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
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
	struct sockaddr_in at = { .sin_family = AF_INET,
				  .sin_port = htons(run->gdb_port),
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t bytes = sizeof(at);
	int yes = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	/* A port whose last connection was closed a moment ago is free. */
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes)) < 0 ||
	    bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0 || listen(fd, 1) < 0 ||
	    getsockname(fd, (struct sockaddr *)&at, &bytes) < 0) {
		int number = errno;
		if (fd >= 0)
			close(fd);
		return CHAIN_FAIL(err, CMD_GDB_PORT, .subject = NULL, .detail = strerror(number),
				  .port = run->gdb_port);
	}
	run->gdb_fd = fd;
	run->gdb_port = ntohs(at.sin_port);
	return CHAIN_OK;
}

/* --- which file has a kernel's symbols --- */

/* The kernel in NAME.elf, or NAME, has its symbols in NAME.debug beside it, or wherever else those of kernels that
 * fault are looked for, or in that file itself. Real path in *out; false: there are none. */
static bool symbols_find(const struct run *run, const char *path, const uint8_t *bytes, uint64_t count,
			 char out[PATH_BYTES])
{
	const struct symbols_places *more = &run->places.places;
	const char *slash = strrchr(path, '/');
	struct symbols_kernel kernel = { .name = slash ? slash + 1 : path, .bytes = bytes, .bytes_count = count };
	struct symbols_answer answer;
	char folder[PATH_BYTES];
	struct symbols_places places = { .folders = { folder }, .count = 1 };
	snprintf(folder, sizeof(folder), "%.*s", slash ? (int)(slash - path) + 1 : 1, slash ? path : ".");
	for (size_t i = 0; i < more->count && places.count < SYMBOLS_FOLDERS_MAX; i++)
		places.folders[places.count++] = more->folders[i];
	if (symbols_look_up(&places, &kernel, NULL, 0, NULL, &answer, NULL) || !answer.found)
		return false;
	return realpath(*answer.path ? answer.path : path, out);
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
	struct symbols_kernel stage = { .name = "stage.elf",
					.bytes = cmd_stage_elf,
					.bytes_count = (uint64_t)(cmd_stage_elf_end - cmd_stage_elf) };
	struct symbols_answer answer;
	return stage_is_ours(run) && !symbols_look_up(&run->places.places, &stage, NULL, 0, NULL, &answer, NULL) &&
	       answer.found && realpath(answer.path, out);
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
static void line_print(const struct run *run, FILE *to, const char *name, const char *kernel, const char *stage)
{
	fprintf(to, "  %s%-10s%s gdb -iex 'set confirm off' ", cmd_style(stderr, CMD_BOLD), name,
		cmd_style(stderr, CMD_PLAIN));
	if (*kernel || *stage)
		word_print(to, "", *kernel ? kernel : stage, false);
	if (*kernel && *stage) {
		fputs(" -ex ", to);
		word_print(to, "add-symbol-file ", stage, true);
	}
	fprintf(to, " -ex 'target remote 127.0.0.1:%u'\n", (unsigned)run->gdb_port);
}

/* Where the host has the file behind "fs:/PATH", or its symbols: as the pipeline says; else by its name, beside the
 * image. */
static bool host_path(const struct chain_config *config, const char *pipeline, const char *source, char out[PATH_BYTES])
{
	const char *slash = strrchr(pipeline, '/'), *name = strrchr(source, '/');
	int folder = slash ? (int)(slash - pipeline) + 1 : 0;
	for (size_t i = 0; i < config->file_count; i++) {
		const struct chain_config_file *file = &config->files[i];
		size_t bytes = strlen(file->path);
		if (!file->from || strncmp(source + 3, file->path, bytes) != 0 ||
		    (source[3 + bytes] != '\0' && source[3 + bytes] != '/'))
			continue;
		return snprintf(out, PATH_BYTES, "%.*s%s%s", file->from[0] == '/' ? 0 : folder, pipeline, file->from,
				source + 3 + bytes) < PATH_BYTES;
	}
	return name && snprintf(out, PATH_BYTES, "%.*s%s", folder, pipeline, name + 1) < PATH_BYTES;
}

/* Whether another step before this one starts the same kernel. */
static bool named_before(const struct chain_config *config, size_t step)
{
	for (size_t i = 0; i < step; i++)
		if (config->steps[i].source && config->steps[step].source &&
		    strcmp(config->steps[i].source, config->steps[step].source) == 0)
			return true;
	return false;
}

/* A line for each kernel that a step starts and that has symbols; how many. */
static size_t steps_print(const struct run *run, FILE *to, const struct chain_config *config, const char *pipeline,
			  const char *stage)
{
	char host[PATH_BYTES], symbols[PATH_BYTES];
	const uint8_t *kernel;
	uint64_t bytes;
	size_t count = 0;
	for (size_t i = 0; i < config->step_count; i++) {
		const struct chain_step *step = &config->steps[i];
		if (!step->source || strncmp(step->source, "fs:", 3) != 0 || named_before(config, i) ||
		    chain_image_file(&run->input.image, step->source + 3, &kernel, &bytes, NULL, NULL) ||
		    !host_path(config, pipeline, step->source, host) ||
		    !symbols_find(run, host, kernel, bytes, symbols))
			continue;
		line_print(run, to, step->name, symbols, stage);
		count++;
	}
	return count;
}

/* By the pipeline that was baked for this run, which says where the files come from; else by the one in the image. */
static size_t kernels_print(const struct run *run, FILE *to, const char *stage)
{
	const char *path = run->operands.v[0];
	char pipeline[PATH_BYTES];
	struct stat about;
	struct cmd_file file = { 0 };
	struct chain_config config;
	const uint8_t *text;
	uint64_t bytes;
	bool folder = stat(path, &about) == 0 && S_ISDIR(about.st_mode);
	snprintf(pipeline, sizeof(pipeline), "%s%s", path, folder ? "/pipeline.json" : "");
	if (run->input.kind != CHAIN_KERNEL_IMAGE)
		return 0;
	bool own = !run->input.baked || cmd_file_load(pipeline, CHAIN_CONFIG_MAX_BYTES, &file, NULL);
	if (!own)
		text = file.bytes, bytes = file.bytes_count;
	else if (chain_image_file(&run->input.image, CHAIN_FS_PIPELINE, &text, &bytes, NULL, NULL))
		return 0;
	size_t count = 0;
	if (!chain_config_parse((const char *)text, bytes, pipeline, own, &config, NULL)) {
		count = steps_print(run, to, &config, pipeline, stage);
		chain_config_free(&config);
	}
	cmd_file_free(&file);
	return count;
}

void run_gdb_introduce(const struct run *run)
{
	char stage[PATH_BYTES] = "", symbols[PATH_BYTES] = "", *lines = NULL;
	size_t bytes = 0;
	FILE *to = open_memstream(&lines, &bytes); /* all lines at once, however long it takes to find the symbols */
	if (!to)
		return;
	fprintf(to, "halted, until gdb comes to port %u of 127.0.0.1 and lets it go on:\n", (unsigned)run->gdb_port);
	if (!stage_symbols_find(run, stage))
		*stage = '\0';
	const bool printed = kernels_print(run, to, stage) > 0;
	if (!printed && run->input.kind != CHAIN_KERNEL_IMAGE &&
	    symbols_find(run, run->operands.v[0], run->input.file.bytes, run->input.file.bytes_count, symbols))
		line_print(run, to, "kernel", symbols, "");
	else if (!printed)
		line_print(run, to, *stage ? "stage" : "machine", "", stage);
	if (fclose(to) == 0)
		fputs(lines, stderr);
	free(lines);
}
