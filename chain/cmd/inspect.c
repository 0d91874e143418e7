/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: `kchain inspect`: what an image is made of and what takes the space; of any other file, what kind of kernel it
 * is. */

#include "image_file.h"

#include "chain/config.h"
#include "chain/multiboot.h"

#include <stdlib.h>
#include <string.h>

enum { LARGEST = 10 };

static json_t *hex(uint64_t value)
{
	char text[24];

	(void)snprintf(text, sizeof(text), "0x%llx", (unsigned long long)value);
	return json_string(text);
}

static json_t *part(const char *name, uint64_t offset, uint64_t bytes, uint64_t phys, uint64_t memory)
{
	json_t *row =
	    json_pack("{s:s, s:I, s:I}", "name", name, "offset", (json_int_t)offset, "bytes", (json_int_t)bytes);

	if (memory) {
		json_object_set_new(row, "phys", hex(phys));
		json_object_set_new(row, "memory_bytes", json_integer((json_int_t)memory));
	}
	return row;
}

static json_t *parts(const struct chain_image *image)
{
	const struct chain_image_header *h = &image->header;
	const uint64_t fs = h->base + h->fs_offset, meta = image->fs_meta_bytes, end = h->file_fs + h->fs_bytes;
	json_t *rows = json_array();
	struct chain_manifest_entry entry;
	uint64_t cursor = 0, stage_bytes = 0;

	while (chain_manifest_next(image, &cursor, &entry) && entry.kind == CHAIN_MANIFEST_PART)
		if (entry.path_bytes == 5 && memcmp(entry.path, "stage", 5) == 0)
			stage_bytes = entry.bytes;
	json_array_append_new(rows, part("elf", 0, h->file_base, 0, 0));
	json_array_append_new(rows, part("stage", h->file_base, stage_bytes, h->base, h->stage_bytes));
	json_array_append_new(rows, part("manifest", h->file_manifest, h->manifest_bytes, h->base + h->manifest_offset,
					 h->manifest_bytes));
	json_array_append_new(rows, part("fs-meta", h->file_fs, meta, fs, meta));
	json_array_append_new(
	    rows, part("files", h->file_fs + meta, h->fs_bytes - meta, fs + meta, h->fs_memory_bytes - meta));
	json_array_append_new(rows, part("sections", end, image->bytes_count - end, 0, 0));
	return rows;
}

static int by_size(const void *a, const void *b)
{
	const struct chain_manifest_entry *x = a, *y = b;

	return x->bytes != y->bytes ? (x->bytes < y->bytes ? 1 : -1) : (x->path < y->path ? -1 : x->path > y->path);
}

/* The largest files, and how many there are of each kind. */
static bool files(const struct chain_image *image, json_t *doc)
{
	struct chain_manifest_entry *v = calloc(image->entry_count + 1, sizeof(*v)), entry;
	json_t *largest = json_array();
	uint64_t count = 0, links = 0, bytes = 0;

	if (!v) {
		json_decref(largest);
		return false;
	}
	for (uint64_t cursor = 0; chain_manifest_next(image, &cursor, &entry);) {
		links += entry.kind == CHAIN_MANIFEST_LINK;
		if (entry.kind != CHAIN_MANIFEST_FILE)
			continue;
		v[count++] = entry;
		bytes += entry.bytes;
	}
	qsort(v, count, sizeof(*v), by_size);
	for (uint64_t i = 0; i < count && i < LARGEST; i++)
		json_array_append_new(largest, json_pack("{s:o, s:I}", "path", json_stringn(v[i].path, v[i].path_bytes),
							 "bytes", (json_int_t)v[i].bytes));
	free(v);
	json_object_set_new(doc, "files", json_integer((json_int_t)count));
	json_object_set_new(doc, "links", json_integer((json_int_t)links));
	json_object_set_new(doc, "content_bytes", json_integer((json_int_t)bytes));
	json_object_set_new(doc, "largest", largest);
	return true;
}

static const char *kernel_kind(const struct chain_image *image, const char *source)
{
	uint8_t digest[CHAIN_SHA256_BYTES];
	enum chain_kernel_kind kind;
	const uint8_t *bytes;
	uint64_t count;

	if (strncmp(source, "fs:", 3) != 0)
		return "fetched at boot";
	if (chain_image_file(image, source + 3, &bytes, &count, digest, NULL) != CHAIN_OK)
		return "missing or damaged";
	return chain_kernel_probe(bytes, count, source, &kind, NULL) == CHAIN_OK ? chain_kernel_kind_name(kind)
										 : "not a kernel";
}

static json_t *step_json(const struct chain_image *image, const struct chain_step *step)
{
	return json_pack("{s:s, s:s, s:s, s:s}", "name", step->name, "does",
			 step->kind == CHAIN_STEP_BOOT ? "boot" : "call", "source", step->source, "kernel",
			 kernel_kind(image, step->source));
}

/* An image whose pipeline can't be read is still worth a look: the reason stands in its place. */
static void pipeline(const struct chain_image *image, json_t *doc)
{
	struct chain_error err = {.status = CHAIN_OK};
	uint8_t digest[CHAIN_SHA256_BYTES];
	struct chain_config config;
	const uint8_t *bytes;
	char text[1024];
	uint64_t count;
	enum chain_status status = chain_image_file(image, CHAIN_FS_PIPELINE, &bytes, &count, digest, &err);

	if (status == CHAIN_OK)
		status = chain_config_parse((const char *)bytes, count, CHAIN_FS_PIPELINE, true, &config, &err);
	if (status != CHAIN_OK) {
		(void)chain_error_format(&err, text, sizeof(text));
		json_object_set_new(doc, "pipeline_error", json_string(text));
		return;
	}
	json_t *steps = json_array(), *net = json_array(), *block = json_array();

	for (size_t i = 0; i < config.step_count; i++)
		json_array_append_new(steps, step_json(image, &config.steps[i]));
	for (size_t i = 0; i < config.net_count; i++)
		json_array_append_new(net, json_string(config.net[i].name));
	for (size_t i = 0; i < config.block_count; i++)
		json_array_append_new(block, json_string(config.block[i].name));
	json_object_set_new(doc, "verify", json_string(config.verify_all ? "all" : "used"));
	json_object_set_new(doc, "steps", steps);
	json_object_set_new(doc, "net", net);
	json_object_set_new(doc, "block", block);
	chain_config_free(&config);
}

static json_t *image_json(const struct image_file *file, const char *path)
{
	const struct chain_image_header *h = &file->image.header;
	char id[IMAGE_ID_BYTES];
	json_t *doc = json_pack("{s:s, s:s, s:s, s:s, s:I}", "file", path, "kind", "image", "id",
				image_id_text(h->id, id), "name", h->name, "bytes", (json_int_t)file->file.bytes_count);

	json_object_set_new(doc, "base", hex(h->base));
	json_object_set_new(doc, "memory_end", hex(h->base + h->fs_offset + h->fs_memory_bytes));
	json_object_set_new(doc, "parts", parts(&file->image));
	if (!files(&file->image, doc)) {
		json_decref(doc);
		return NULL;
	}
	pipeline(&file->image, doc);
	return doc;
}

static uint64_t number(const json_t *object, const char *key)
{
	return (uint64_t)json_integer_value(json_object_get(object, key));
}

static const char *text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

static void names_print(const char *label, const json_t *names)
{
	size_t i;
	json_t *name;

	if (json_array_size(names) == 0)
		return;
	printf("  %-9s", label);
	json_array_foreach(names, i, name) printf(" %s", json_string_value(name));
	putchar('\n');
}

static void image_print(const json_t *doc)
{
	char size[CMD_SIZE_BYTES], content[CMD_SIZE_BYTES];
	const json_t *row;
	size_t i;

	printf("%s%s%s  %s, a baked image\n", cmd_style(stdout, CMD_BOLD), text_of(doc, "file"),
	       cmd_style(stdout, CMD_PLAIN), cmd_size_text(number(doc, "bytes"), size));
	printf("  name      %s\n  id        %s\n", text_of(doc, "name"), text_of(doc, "id"));
	printf("  memory    %s to %s\n", text_of(doc, "base"), text_of(doc, "memory_end"));
	json_array_foreach(json_object_get(doc, "parts"), i, row)
	    printf("  %-9s %10s%s%s\n", text_of(row, "name"), cmd_size_text(number(row, "bytes"), size),
		   json_object_get(row, "phys") ? "  at " : "", text_of(row, "phys"));
	printf("  %llu files, %llu links, %s of content", (unsigned long long)number(doc, "files"),
	       (unsigned long long)number(doc, "links"), cmd_size_text(number(doc, "content_bytes"), content));
	puts(json_array_size(json_object_get(doc, "largest")) ? "; the largest:" : "");
	json_array_foreach(json_object_get(doc, "largest"), i, row)
	    printf("    %10s  %s\n", cmd_size_text(number(row, "bytes"), size), text_of(row, "path"));
	if (json_object_get(doc, "pipeline_error"))
		printf("  %spipeline: %s%s\n", cmd_style(stdout, CMD_RED), text_of(doc, "pipeline_error"),
		       cmd_style(stdout, CMD_PLAIN));
	json_array_foreach(json_object_get(doc, "steps"), i, row)
	    printf("  step %zu    %s: %ss %s (%s)\n", i + 1, text_of(row, "name"), text_of(row, "does"),
		   text_of(row, "source"), text_of(row, "kernel"));
	names_print("net", json_object_get(doc, "net"));
	names_print("block", json_object_get(doc, "block"));
}

/* A kernel that is not an image: its kind and where it wants to go. */
static enum chain_status kernel_json(const struct cmd_file *file, const char *path, json_t **out,
				     struct chain_error *err)
{
	struct chain_multiboot_kernel kernel;
	struct chain_error inner = {.status = CHAIN_OK};
	enum chain_kernel_kind kind;
	char text[1024];
	const enum chain_status status = chain_kernel_probe(file->bytes, file->bytes_count, path, &kind, err);

	if (status != CHAIN_OK)
		return status;
	*out = json_pack("{s:s, s:s, s:I}", "file", path, "kind", chain_kernel_kind_name(kind), "bytes",
			 (json_int_t)file->bytes_count);
	if (chain_multiboot_kernel_read(&kernel, file->bytes, file->bytes_count, path, &inner) != CHAIN_OK) {
		(void)chain_error_format(&inner, text, sizeof(text));
		json_object_set_new(*out, "problem", json_string(text));
		return CHAIN_OK;
	}
	json_t *segments = json_array();

	for (size_t i = 0; i < kernel.segment_count; i++) {
		const struct chain_segment *s = &kernel.segments[i];

		json_array_append_new(segments, json_pack("{s:o, s:I, s:I}", "phys", hex(s->phys.base), "file_bytes",
							  (json_int_t)s->file_bytes, "memory_bytes",
							  (json_int_t)chain_range_bytes(s->phys)));
	}
	json_object_set_new(*out, "entry", hex(kernel.entry));
	json_object_set_new(*out, "segments", segments);
	return CHAIN_OK;
}

static void kernel_print(const json_t *doc)
{
	char size[CMD_SIZE_BYTES], memory[CMD_SIZE_BYTES];
	const json_t *row;
	size_t i;

	printf("%s%s%s  %s, a %s kernel, nothing baked in\n", cmd_style(stdout, CMD_BOLD), text_of(doc, "file"),
	       cmd_style(stdout, CMD_PLAIN), cmd_size_text(number(doc, "bytes"), size), text_of(doc, "kind"));
	if (json_object_get(doc, "problem")) {
		printf("  but %s\n", text_of(doc, "problem"));
		return;
	}
	printf("  entry     %s\n", text_of(doc, "entry"));
	json_array_foreach(json_object_get(doc, "segments"), i, row)
	    printf("  segment   %s: %s of the file, %s of memory\n", text_of(row, "phys"),
		   cmd_size_text(number(row, "file_bytes"), size), cmd_size_text(number(row, "memory_bytes"), memory));
}

static enum chain_status look(const char *path, json_t **out, struct chain_error *err)
{
	struct image_file file;
	struct cmd_file plain;
	enum chain_status status = cmd_file_load(path, 0, &plain, err);

	if (status != CHAIN_OK)
		return status;
	if (!chain_image_is(plain.bytes, plain.bytes_count)) {
		status = kernel_json(&plain, path, out, err);
		cmd_file_free(&plain);
		return status;
	}
	cmd_file_free(&plain);
	status = image_file_open(path, &file, err);
	if (status != CHAIN_OK)
		return status;
	*out = image_json(&file, path);
	image_file_close(&file);
	return *out ? CHAIN_OK : chain_fail(err, CHAIN_E_NO_MEMORY, path, NULL, 0, 0, 0, 0);
}

int cmd_inspect(int argc, char **argv)
{
	bool json = false;
	const struct cmd_opt opts[] = {{"json", 0, CMD_OPT_FLAG, NULL, "print one JSON object instead of text", &json}};
	const struct cmd_spec spec = {
	    .command = "inspect",
	    .operands = "IMAGE|KERNEL",
	    .opts = opts,
	    .opt_count = 1,
	    .least = 1,
	    .most = 1,
	    .about = "Says what an image is made of, what takes the space and what its pipeline does; of any\n"
		     "other file, what kind of kernel it is, or why it is none."};
	struct chain_error err = {.status = CHAIN_OK};
	struct cmd_args args;
	json_t *doc = NULL;
	int code = cmd_parse(&spec, argc, argv, &args);

	if (code >= 0)
		return code;
	if (look(args.v[0], &doc, &err) != CHAIN_OK) {
		code = cmd_refuse(&err, json);
	} else if (json) {
		code = cmd_json_print(doc) ? CMD_OK : CMD_REFUSED;
	} else {
		strcmp(text_of(doc, "kind"), "image") == 0 ? image_print(doc) : kernel_print(doc);
		json_decref(doc);
		code = CMD_OK;
	}
	cmd_args_free(&args);
	return code;
}
