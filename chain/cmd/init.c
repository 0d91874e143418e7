/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: `kchain init`: the first files of somebody's own pipeline, and how they find the command and the SDK. */

#include "cmd.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* init_templates.S */
extern const char init_makefile[], init_call_pipeline[], init_call_hello[], init_chain_pipeline[], init_chain_count[],
	init_chain_last[], init_fanout_pipeline[], init_fanout_part[], init_fanout_total[], init_site_pipeline[],
	init_site_server[], init_site_index[], init_site_post[], init_site_style[];

enum { FILES_MAX = 5, PATH_BYTES = 4096 };

struct template_file {
	const char *name, *text;
};

struct template
{
	const char *name;
	bool built;                            /* has a Makefile; else it is run as it is */
	struct template_file files[FILES_MAX]; /* the first ones; a null name ends them */
};

static const struct template TEMPLATES[] = {
	{ "call",
	  true,
	  { { "pipeline.json", init_call_pipeline }, { "hello.c", init_call_hello }, { "Makefile", init_makefile } } },
	{ "chain",
	  true,
	  { { "pipeline.json", init_chain_pipeline },
	    { "count.c", init_chain_count },
	    { "last.c", init_chain_last },
	    { "Makefile", init_makefile } } },
	{ "fanout",
	  true,
	  { { "pipeline.json", init_fanout_pipeline },
	    { "part.c", init_fanout_part },
	    { "total.c", init_fanout_total },
	    { "Makefile", init_makefile } } },
	{ "site",
	  false,
	  { { "pipeline.json", init_site_pipeline },
	    { "nginx/site.conf", init_site_server },
	    { "site/index.html", init_site_index },
	    { "site/first-post.html", init_site_post },
	    { "site/style.css", init_site_style } } },
};
enum { TEMPLATE_COUNT = sizeof(TEMPLATES) / sizeof(TEMPLATES[0]) };

static const struct template *template_find(const char *name)
{
	for (size_t i = 0; i < TEMPLATE_COUNT; i++)
		if (strcmp(TEMPLATES[i].name, name) == 0)
			return &TEMPLATES[i];
	return NULL;
}

static size_t template_files(const struct template *template)
{
	size_t count = 0;
	while (count < FILES_MAX && template->files[count].name)
		count++;
	return count;
}

static enum chain_status io(const char *path, int number, struct chain_error *err)
{
	return chain_fail_text(err, CHAIN_E_IO, path, strerror(number));
}

/* --- where the command and the SDK are, in make's and the shell's words --- */

/* Quoted for the shell in a variable of make. False: a line of a makefile can't hold it. */
static bool word_put(FILE *to, const char *path)
{
	fputc('\'', to);
	for (; *path && *path != '\n'; path++) {
		const char *special = *path == '$' ? "$$" : *path == '#' ? "\\#" : *path == '\'' ? "'\\''" : NULL;
		if (special)
			fputs(special, to);
		else
			fputc(*path, to);
	}
	fputc('\'', to);
	return *path == '\0';
}

/* The folder of this very program; empty where it is not known. */
static void own_folder(char out[PATH_BYTES])
{
	ssize_t bytes = readlink("/proc/self/exe", out, PATH_BYTES - 1);
	out[bytes > 0 ? bytes : 0] = '\0';
	char *slash = strrchr(out, '/');
	*(slash ? slash : out) = '\0';
}

/* The place of a pkg-config file of ours that pkg-config does not look at by itself: of a build tree, or of an
 * installation somewhere else. False: there is none, or it needs no telling. */
static bool sdk_folder(const char *own, char out[PATH_BYTES + 64])
{
	static const char *const PLACES[] = { "/sdk", "/../lib/pkgconfig" };
	if (strcmp(own, "/usr/bin") == 0 || strcmp(own, "/usr/local/bin") == 0)
		return false;
	for (size_t i = 0; i < sizeof(PLACES) / sizeof(PLACES[0]); i++) {
		char file[PATH_BYTES + 128];
		snprintf(out, PATH_BYTES + 64, "%s%s", own, PLACES[i]);
		snprintf(file, sizeof(file), "%s/kchain.pc", out);
		if (*own && access(file, R_OK) == 0)
			return true;
	}
	return false;
}

/* Whether `kchain`, as a shell finds it, is this program. */
static bool on_path(const char *own)
{
	const char *path = getenv("PATH");
	for (const char *at = path ? path : ""; *at;) {
		int folder = (int)strcspn(at, ":");
		char file[PATH_BYTES], real[PATH_BYTES], self[PATH_BYTES + 16];
		snprintf(file, sizeof(file), "%.*s/kchain", folder, at);
		if (folder && access(file, X_OK) == 0) {
			snprintf(self, sizeof(self), "%s/kchain", own);
			return realpath(file, real) && strcmp(real, self) == 0;
		}
		at += folder + (at[folder] == ':');
	}
	return false;
}

static bool marker_put(FILE *to, const char *marker)
{
	char own[PATH_BYTES], file[PATH_BYTES + 16], folder[PATH_BYTES + 64];
	own_folder(own);
	if (strncmp(marker, "@KCHAIN@", 8) == 0) {
		snprintf(file, sizeof(file), "%s/kchain", own);
		if (*own && !on_path(own))
			return word_put(to, file);
		return fputs("kchain", to) >= 0;
	}
	bool good = true;
	if (sdk_folder(own, folder)) {
		fputs("PKG_CONFIG_PATH=", to);
		good = word_put(to, folder);
		fputc(' ', to);
	}
	return fputs("pkg-config", to) >= 0 && good;
}

/* `text` with what stands between two @ on one line filled in; null: no memory, or a path that no makefile can hold.
 * Caller frees. */
static char *text_fill(const char *text)
{
	char *out = NULL;
	size_t bytes = 0;
	FILE *to = open_memstream(&out, &bytes);
	bool good = to != NULL;
	while (good && *text) {
		size_t plain = strcspn(text, "@");
		good = fwrite(text, 1, plain, to) == plain;
		text += plain;
		const char *end = strncmp(text, "@KCHAIN@", 8) == 0      ? text + 8 :
				  strncmp(text, "@PKG_CONFIG@", 12) == 0 ? text + 12 :
									   NULL;
		if (end)
			good = good && marker_put(to, text);
		else if (*text)
			fputc(*text, to);
		text = end ? end : text + (*text != '\0');
	}
	if (to && fclose(to) != 0)
		good = false;
	if (good)
		return out;
	free(out);
	return NULL;
}

/* --- the folder --- */

static enum chain_status folder_check(const char *path, struct chain_error *err)
{
	DIR *entries = opendir(path);
	if (!entries)
		return io(path, errno, err);
	bool empty = true;
	for (const struct dirent *entry; (entry = readdir(entries)) != NULL;)
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			empty = false;
	closedir(entries);
	return empty ? CHAIN_OK : chain_fail_subject(err, CHAIN_E_CMD_NOT_EMPTY, path);
}

static enum chain_status file_write(const char *folder, const struct template_file *file, struct chain_error *err)
{
	char path[PATH_BYTES];
	if ((size_t)snprintf(path, sizeof(path), "%s/%s", folder, file->name) >= sizeof(path))
		return io(folder, ENAMETOOLONG, err);
	const size_t above = strcspn(file->name, "/");
	if (file->name[above] == '/') {
		path[strlen(folder) + 1 + above] = '\0';
		if (mkdir(path, 0777) < 0 && errno != EEXIST)
			return io(path, errno, err);
		path[strlen(folder) + 1 + above] = '/';
	}
	char *text = text_fill(file->text);
	if (!text)
		return chain_fail_no_memory(err, path, strlen(file->text) + 1);
	enum chain_status status = cmd_file_write(path, text, strlen(text), err);
	free(text);
	return status;
}

static void files_remove(const char *folder, const struct template *template)
{
	for (size_t i = 0; i < template_files(template); i++) {
		char path[PATH_BYTES];
		snprintf(path, sizeof(path), "%s/%s", folder, template->files[i].name);
		unlink(path);
		snprintf(path, sizeof(path), "%s/%.*s", folder, (int)strcspn(template->files[i].name, "/"),
			 template->files[i].name);
		rmdir(path); /* the last file of a folder takes it along; no other name is an empty folder's */
	}
}

/* All files or none: signals wait meanwhile, and on failure what was made is taken away. */
static enum chain_status folder_fill(const char *folder, const struct template *template, struct chain_error *err)
{
	sigset_t all, before;
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, &before);
	bool made = mkdir(folder, 0777) == 0;
	int number = errno;
	enum chain_status status = made             ? CHAIN_OK :
				   number == EEXIST ? folder_check(folder, err) :
						      io(folder, number, err);
	bool ours = !status;
	for (size_t i = 0; !status && i < template_files(template); i++)
		status = file_write(folder, &template->files[i], err);
	if (status && ours)
		files_remove(folder, template);
	if (status && made)
		rmdir(folder);
	sigprocmask(SIG_SETMASK, &before, NULL);
	return status;
}

static int report(const char *folder, const struct template *template, bool json)
{
	json_t *files = json ? json_array() : NULL;
	for (size_t i = 0; i < template_files(template); i++) {
		if (json)
			json_array_append_new(files, json_string(template->files[i].name));
		else
			printf("%s/%s\n", folder, template->files[i].name);
	}
	if (json)
		return cmd_json_print(json_pack("{s:s, s:s, s:o}", "folder", folder, "template", template->name,
						"files", files)) ?
			       CMD_OK :
			       CMD_REFUSED;
	bool plain = strspn(folder, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./+,:@%") ==
		     strlen(folder);
	const char *quote = plain ? "" : "'";
	if (template->built)
		printf("run it: make -C %s%s%s run\n", quote, folder, quote);
	else
		printf("run it: kchain run %s%s%s -p 8080:80\n", quote, folder, quote);
	return CMD_OK;
}

int cmd_init(int argc, char **argv)
{
	const char *name = "call";
	bool json = false;
	const struct cmd_opt options[] = {
		{ "template", 't', CMD_OPT_TEXT, "NAME", "call (default), chain, fanout or site", &name },
		{ "json", 0, CMD_OPT_FLAG, NULL, "print folder, template and files as JSON", &json },
	};
	const struct cmd_spec spec = {
		.command = "init",
		.operands = "DIR",
		.opts = options,
		.opt_count = sizeof(options) / sizeof(options[0]),
		.least = 1,
		.most = 1,
		.about = "Writes a pipeline, its kernels in C and a Makefile that builds, bakes and\n"
			 "starts them, into a new or empty folder; site needs neither.\n\n"
			 "  call    a kernel is called and leaves a result\n"
			 "  chain   what a called kernel found out is told to one that is booted\n"
			 "  fanout  32 kernels side by side, and one that adds up what they found\n"
			 "  site    a web site: nginx out of Debian's packages, fetched when it is first run",
		.epilog = "example: kchain init mine && make -C mine run",
	};
	struct cmd_args args;
	struct chain_error err = { 0 };
	int code = cmd_parse(&spec, argc, argv, &args);
	if (code >= 0)
		return code;
	const struct template *template = template_find(name);
	if (!template)
		code = cmd_usage("init", "--template: '%s' is not call, chain, fanout or site", name);
	else if (folder_fill(args.v[0], template, &err))
		code = cmd_refuse(&err, json);
	else
		code = report(args.v[0], template, json);
	cmd_args_free(&args);
	return code;
}
