/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: the command line of `kchain bake` and what it prints. */

#include "bake_job.h"
#include "bake_root_options.h"
#include "chain/cmd/cmd.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

enum chain_status cmd_bake_unnamed(const char *input, const char *format, int *out_fd,
				   struct cmd_document *out_document, struct chain_error *err)
{
	const char *folder = getenv("TMPDIR");
	struct bake_cache cache;
	struct bake_job job = { .input = input,
				.format = format,
				.folder = folder && *folder == '/' ? folder : "/tmp",
				.cache = &cache,
				.progress = true };

	bake_cache_open(&cache);
	const enum chain_status status = bake_job_run(&job, err);

	*out_fd = !status ? job.fd : -1;
	*out_document = job.document;
	job.document = (struct cmd_document){ 0 };
	bake_job_free(&job);
	bake_cache_close(&cache);
	return status;
}

json_t *bake_report_json(const struct bake_job *job)
{
	const struct chain_bake_result *r = &job->result;
	char hex[CHAIN_SHA256_HEX + 1], id[CHAIN_SHA256_HEX + 8], address[24];
	json_t *doc = json_object(), *parts = json_array(), *steps = json_array();

	chain_sha256_to_hex(r->id, hex);
	(void)snprintf(id, sizeof(id), "sha256:%s", hex);
	for (int i = 0; i < CHAIN_BAKE_PART_COUNT; i++) {
		const struct chain_bake_part *p = &r->parts[i];
		json_t *part = json_pack("{s:s, s:I, s:I}", "name", chain_bake_part_name((enum chain_bake_part_kind)i),
					 "offset", (json_int_t)p->offset, "bytes", (json_int_t)p->bytes);

		(void)snprintf(address, sizeof(address), "0x%llx", (unsigned long long)p->phys);
		if (p->memory_bytes)
			json_object_update_new(part, json_pack("{s:s, s:I}", "phys", address, "memory_bytes",
							       (json_int_t)p->memory_bytes));
		json_array_append_new(parts, part);
	}
	for (size_t i = 0; i < job->config.step_count; i++) {
		const struct chain_step *s = &job->config.steps[i];

		json_array_append_new(steps,
				      json_pack("{s:s, s:s, s:s, s:s}", "name", s->name, "does",
						s->kind == CHAIN_STEP_BOOT ? "boot" : "call", "source", s->source,
						"kernel", job->steps[i].kind ? job->steps[i].kind : "unknown"));
	}
	if (!cmd_json_set_text(doc, "image", job->output, strlen(job->output))) {
		json_decref(doc);
		doc = NULL; /* what follows does nothing, but release what it is given */
	}
	json_object_set_new(doc, "id", json_string(id));
	json_object_set_new(doc, "format", json_string(job->format ? job->format : chain_bake_format_name(0)));
	json_object_set_new(doc, "name", json_string(r->header.name));
	(void)snprintf(address, sizeof(address), "0x%llx", (unsigned long long)r->header.base);
	json_object_set_new(doc, "base", json_string(address));
	(void)snprintf(address, sizeof(address), "0x%llx", (unsigned long long)r->memory_end);
	json_object_set_new(doc, "memory_end", json_string(address));
	json_object_set_new(doc, "bytes", json_integer((json_int_t)r->file_bytes));
	json_object_set_new(doc, "files", json_integer((json_int_t)r->entry_count));
	json_object_set_new(doc, "content_bytes", json_integer((json_int_t)r->content_bytes));
	json_object_set_new(doc, "shared_bytes", json_integer((json_int_t)r->shared_bytes));
	json_object_set_new(doc, "parts", parts);
	json_object_set_new(doc, "steps", steps);
	if (job->root.open)
		json_object_set_new(doc, "root", bake_root_json(&job->root));
	return doc;
}

static void report_print(const struct bake_job *job)
{
	const struct chain_bake_result *r = &job->result;
	char hex[CHAIN_SHA256_HEX + 1], size[CMD_SIZE_BYTES];

	chain_sha256_to_hex(r->id, hex);
	fputs(cmd_style(stdout, CMD_BOLD), stdout);
	cmd_text_put(stdout, job->output);
	printf("%s  %s\n", cmd_style(stdout, CMD_PLAIN), cmd_size_text(r->file_bytes, size));
	printf("  id  sha256:%s\n", hex); /* 77 columns */
	for (int i = 0; i < CHAIN_BAKE_PART_COUNT; i++) {
		const struct chain_bake_part *p = &r->parts[i];

		printf("  %-9s %10s", chain_bake_part_name((enum chain_bake_part_kind)i),
		       cmd_size_text(p->bytes, size));
		if (p->memory_bytes)
			printf("  at 0x%llx", (unsigned long long)p->phys);
		if (i == CHAIN_BAKE_FILES)
			printf("  (%llu files and links)", (unsigned long long)r->entry_count);
		putchar('\n');
	}
	if (r->shared_bytes)
		printf("  shared    %10s  stored once for several names\n", cmd_size_text(r->shared_bytes, size));
	for (size_t i = 0; i < job->config.step_count; i++) {
		const struct chain_step *s = &job->config.steps[i];

		printf("  step %zu    %s: %s %s (%s)\n", i + 1, s->name, s->kind == CHAIN_STEP_BOOT ? "boots" : "calls",
		       s->source, job->steps[i].kind ? job->steps[i].kind : "unknown");
	}
	if (job->root.open)
		bake_root_print(&job->root);
	/* as it was called, so that the line can be pasted where nothing is installed */
	fputs("run it: ", stdout);
	cmd_text_put(stdout, program_invocation_name);
	fputs(" run ", stdout);
	cmd_text_put(stdout, job->output);
	putchar('\n');
}

/* A name that promises what an image is not: whoever starts it would find out late. */
static enum chain_status form_check(const char *output, struct chain_error *err)
{
	static const struct {
		const char *end, *what;
	} OTHERS[] = { { ".iso", "an ISO 9660 image" }, { ".efi", "an EFI program" }, { ".qcow2", "a disk image" },
		       { ".vmdk", "a disk image" },     { ".vdi", "a disk image" },   { ".vhd", "a disk image" },
		       { ".vhdx", "a disk image" } };
	const size_t bytes = output ? strlen(output) : 0;
	char detail[CHAIN_SUBJECT_BYTES];

	for (size_t i = 0; i < sizeof(OTHERS) / sizeof(OTHERS[0]); i++) {
		const size_t end = strlen(OTHERS[i].end);

		if (bytes < end || strcasecmp(output + bytes - end, OTHERS[i].end) != 0)
			continue;
		(void)snprintf(
			detail, sizeof(detail),
			"an image is an ELF file, as GRUB, iPXE, kexec and QEMU start it, and not %s; call it NAME.elf",
			OTHERS[i].what);
		return chain_fail_text(err, CHAIN_E_NOT_SUPPORTED, output, detail);
	}
	return CHAIN_OK;
}

static int bake_one(struct bake_job *job, bool json)
{
	struct chain_error err = { .status = CHAIN_OK };
	int code = CMD_OK;

	if (form_check(job->output, &err))
		code = cmd_refuse(&err, json);
	else if (bake_job_run(job, &err))
		code = cmd_document_refuse(&job->document, &err, json);
	else if (json)
		code = cmd_json_print(bake_report_json(job)) ? CMD_OK : CMD_REFUSED;
	else
		report_print(job);
	bake_job_free(job);
	return code;
}

/* "-o FOLDER" is one that is there, or says so by its last character. */
static bool is_folder(const char *path)
{
	struct stat about;
	const size_t bytes = path ? strlen(path) : 0;

	return bytes > 0 && (path[bytes - 1] == '/' || (stat(path, &about) == 0 && S_ISDIR(about.st_mode)));
}

/* "first, second or last", with a word about the first. */
enum { FORMATS_BYTES = 512 };
static const char *format_names(char out[FORMATS_BYTES], const char *behind_first)
{
	const char *name;
	size_t used = 0;

	for (size_t i = 0; used < FORMATS_BYTES && (name = chain_bake_format_name(i)) != NULL; i++)
		used += (size_t)snprintf(out + used, FORMATS_BYTES - used, "%s%s%s",
					 i == 0                        ? "" :
					 chain_bake_format_name(i + 1) ? ", " :
									 " or ",
					 name, i == 0 ? behind_first : "");
	return out;
}

static const char *format_help(char out[FORMATS_BYTES])
{
	const char *name;
	size_t used = strlen(format_names(out, " (default)"));

	used += (size_t)snprintf(out + used, FORMATS_BYTES - used, ": the form of the file");
	for (size_t i = 0; used < FORMATS_BYTES && (name = chain_bake_format_name(i)) != NULL; i++)
		used += (size_t)snprintf(out + used, FORMATS_BYTES - used, "; %s: %s", name,
					 chain_bake_format_about(i));
	return out;
}

static bool is_format(const char *name)
{
	const char *known;
	size_t i = 0;

	while (name && (known = chain_bake_format_name(i++)) != NULL)
		if (strcmp(known, name) == 0)
			return true;
	return !name;
}

static int bake(struct bake_job *job, const struct cmd_args *args, const char *base, bool json)
{
	if (!is_format(job->format)) {
		char names[FORMATS_BYTES];

		return cmd_usage("bake", "--format: '%s' is not %s", job->format, format_names(names, ""));
	}
	if (base && !cmd_address_parse(base, &job->base))
		return cmd_usage("bake", "--base: '%s' is no address", base);
	if (args->count == 0 && !json_object_get(job->root_said, "from"))
		return cmd_usage("bake", "a PIPELINE, a FOLDER or --rootfs SOURCE is needed");
	if (args->count < 2 && !is_folder(job->output)) {
		job->input = args->count ? args->v[0] : NULL;
		return bake_one(job, json);
	}
	if (!job->output || !*job->output)
		return cmd_usage("bake", "several images need --output FOLDER/");
	if (!is_folder(job->output) && access(job->output, F_OK) == 0)
		return cmd_usage("bake", "several images need --output FOLDER/, and '%s' is none", job->output);
	if (job->root_said)
		return cmd_usage("bake", "what is said of a root is for one image, not for a folder of them");
	if (job->name)
		return cmd_usage("bake", "--name is for one image, not for a folder of them");
	return bake_many(job, args->v, args->count, json);
}

int cmd_bake(int argc, char **argv)
{
	struct bake_job job = { .progress = true };
	struct bake_cache cache;
	struct bake_root_options root = { .rootfs = NULL };
	char formats[FORMATS_BYTES];
	const char *base = NULL;
	bool json = false, no_cache = false;
	const struct cmd_opt own[] = {
		{ "output", 'o', CMD_OPT_TEXT, "FILE|FOLDER/",
		  "write the image to FILE (default: NAME.elf), or each to FOLDER/INPUT.elf", &job.output },
		{ "name", 0, CMD_OPT_TEXT, "NAME", "call the image NAME (default: the pipeline's name)", &job.name },
		{ "format", 0, CMD_OPT_TEXT, "FORM", format_help(formats), &job.format },
		{ "base", 0, CMD_OPT_TEXT, "ADDRESS",
		  "place it there in memory, a multiple of 4096 (default: 0x100000, with a root\n"
		  "0x1000000, or behind the memory of called kernels that want to lie there)",
		  &base },
		{ "memory", 0, CMD_OPT_SIZE, "SIZE", "check that every boot fits a PC with that much memory",
		  &job.memory_bytes },
		{ "stage", 0, CMD_OPT_TEXT, "FILE", "start from this stage instead of the built-in one", &job.stage },
		{ "no-cache", 0, CMD_OPT_FLAG, NULL, "hash every file, and keep no digest for the next time",
		  &no_cache },
		{ "json", 0, CMD_OPT_FLAG, NULL,
		  "print a JSON object instead of text; with a FOLDER, one line per image", &json },
	};
	struct cmd_opt opts[BAKE_ROOT_OPTIONS + sizeof(own) / sizeof(own[0])];
	const struct cmd_spec spec = {
		.command = "bake",
		.operands = "[PIPELINE|FOLDER…]",
		.opts = opts,
		.opt_count = sizeof(opts) / sizeof(opts[0]),
		.least = 0,
		.most = SIZE_MAX,
		.about = "Makes one bootable image of a pipeline and the files it names. A folder is baked by its\n"
			 "pipeline.json; without one, all its files are baked and its only kernel (or the one called\n"
			 "\"kernel\") is booted. The same inputs give the same bytes.\n\n"
			 "Several inputs make an image each, in one folder. What they have in common is read and "
			 "hashed\n"
			 "once, and shared on disk where the file system can do that. One that is refused is named, "
			 "the\n"
			 "others are baked all the same.",
		.epilog = "SOURCE_DATE_EPOCH sets the time of all baked files (default: 0).\n\n"
			  "example: kchain bake variants/*.json -o images/",
	};
	struct cmd_args args;

	memcpy(opts, own, sizeof(own));
	bake_root_options_rows(&root, opts + sizeof(own) / sizeof(own[0]));
	int code = cmd_parse(&spec, argc, argv, &args);

	if (code >= 0)
		return code;
	if (!no_cache) {
		bake_cache_open(&cache);
		job.cache = &cache;
	}
	json_t *said = bake_root_options_json(&root, args.count > 0);

	job.root_said = said;
	code = bake(&job, &args, base, json);
	json_decref(said);
	if (job.cache)
		bake_cache_close(&cache);
	cmd_args_free(&args);
	return code;
}
