/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: `kchain inspect`: what an image is made of and what takes the space; of any other file, what kind of kernel it
 * is. */

#include "inspect.h"
#include "chain/cmd/linux_payload.h"

#include "chain/door.h"
#include "abi/native.h"

#include <string.h>

/* Of a kernel: the whole file, or one in an image. */
struct bytes {
	const uint8_t *bytes;
	uint64_t bytes_count;
};

struct request {
	const char *path, *inside; /* a file, or one of the image in it; null: the file itself */
	bool symbols;
};

enum { STACK_DEFAULT = 32 * 1024 }; /* docs/NATIVE.md: of a called kernel whose note says 0 */

/* A native kernel's own segments: its Multiboot header makes one of them all. And what it asks for when it is called.
 */
static void native_json(const struct bytes *file, const char *path, json_t *doc)
{
	struct chain_segment segments[CHAIN_SEGMENTS_MAX];
	struct kchain_native_note note;
	struct chain_elf elf;
	const uint8_t *bytes;
	uint64_t bytes_count;
	size_t count;

	if (chain_elf_open(&elf, file->bytes, file->bytes_count, path, NULL) ||
	    chain_elf_segments(&elf, segments, CHAIN_SEGMENTS_MAX, &count, NULL))
		return;
	(void)json_object_set_new(doc, "segments", inspect_segments(segments, count));
	if (chain_elf_find_note(&elf, KCHAIN_NOTE_NAME, KCHAIN_NOTE_NATIVE, &bytes, &bytes_count, NULL) ||
	    bytes_count < sizeof(note))
		return;
	memcpy(&note, bytes, sizeof(note));
	(void)json_object_set_new(doc, "called",
				  json_pack("{s:I, s:I, s:I}", "abi", (json_int_t)note.abi, "stack_bytes",
					    (json_int_t)(note.stack_bytes ? note.stack_bytes : STACK_DEFAULT),
					    "heap_bytes", (json_int_t)note.heap_bytes));
}

static void places_json(const struct chain_kernel *kernel, json_t *doc)
{
	struct chain_range all = kernel->segments[0].phys;

	for (size_t i = 1; i < kernel->segment_count; i++) {
		const struct chain_range phys = kernel->segments[i].phys;

		all.base = phys.base < all.base ? phys.base : all.base;
		all.end = phys.end > all.end ? phys.end : all.end;
	}
	(void)json_object_set_new(doc, "entry", inspect_hex(kernel->entry));
	(void)json_object_set_new(doc, "base", inspect_hex(all.base));
	(void)json_object_set_new(doc, "memory_end", inspect_hex(all.end));
	(void)json_object_set_new(doc, "memory_bytes", json_integer((json_int_t)chain_range_bytes(all)));
	(void)json_object_set_new(doc, "segments", inspect_segments(kernel->segments, kernel->segment_count));
}

/* Segments, notes and symbols, whatever can be said of them: a file that a loader takes may still be one that tools do
 * not read. */
static void elf_json(const struct bytes *file, const char *path, bool symbols, json_t *doc)
{
	struct chain_error inner = { .status = CHAIN_OK };
	char text[1024];
	json_t *elf;

	if (!inspect_is_elf(file->bytes, file->bytes_count))
		return;
	if (!inspect_elf(file->bytes, file->bytes_count, path, symbols, &elf, &inner)) {
		(void)json_object_set_new(doc, "elf", elf);
		return;
	}
	(void)chain_error_format(&inner, text, sizeof(text));
	(void)json_object_set_new(doc, "elf_problem", json_string(text));
}

/* The protocols that it can be started by. */
static json_t *doors_json(const struct bytes *file)
{
	json_t *doors = json_array();

	for (size_t i = 0; chain_doors[i]; i++)
		if (chain_doors[i]->probe(file->bytes, file->bytes_count))
			(void)json_array_append_new(doors, json_string(chain_doors[i]->name));
	return doors;
}

/* A kernel that is not an image: its kind and where it wants to go. */
static enum chain_status kernel_json(const struct bytes *file, const char *path, bool symbols, json_t **out,
				     struct chain_error *err)
{
	struct chain_kernel kernel;
	struct chain_error inner = { .status = CHAIN_OK };
	enum chain_kernel_kind kind;
	char text[1024];
	const enum chain_status status = chain_kernel_probe(file->bytes, file->bytes_count, path, &kind, err);

	if (status)
		return status;
	const struct chain_door *door = chain_kernel_door(kind, file->bytes, file->bytes_count);

	*out = cmd_json_of_file("file", path,
				json_pack("{s:s, s:I}", "kind", linux_kind_name(kind, file->bytes, file->bytes_count),
					  "bytes", (json_int_t)file->bytes_count));
	(void)json_object_set_new(*out, "doors", doors_json(file));
	elf_json(file, path, symbols, *out);
	if (!door || door->read(file->bytes, file->bytes_count, path, &kernel, &inner) || !kernel.segment_count) {
		(void)chain_error_format(&inner, text, sizeof(text));
		(void)json_object_set_new(*out, "problem", json_string(text));
		return CHAIN_OK;
	}
	places_json(&kernel, *out);
	if (kind == CHAIN_KERNEL_NATIVE)
		native_json(file, path, *out);
	return CHAIN_OK;
}

/* An image in an image is written down nowhere on the host, so it is opened where it lies. */
static enum chain_status child_look(const struct image_file *file, const struct request *request, json_t **out,
				    struct chain_error *err)
{
	struct image_file child;
	struct bytes bytes;
	enum chain_status status =
		chain_image_file(&file->image, request->inside, &bytes.bytes, &bytes.bytes_count, NULL, err);

	if (status)
		return status;
	if (!chain_image_is(bytes.bytes, bytes.bytes_count))
		return kernel_json(&bytes, request->inside, request->symbols, out, err);
	child = (struct image_file){ .file = { .bytes = bytes.bytes, .bytes_count = bytes.bytes_count } };
	status = chain_image_open(&child.image, bytes.bytes, bytes.bytes_count, err);
	return status ? status : inspect_image(&child, request->inside, out, err);
}

static enum chain_status image_look(const struct request *request, json_t **out, struct chain_error *err)
{
	struct image_file file;
	enum chain_status status = image_file_open(request->path, &file, err);

	if (status)
		return status;
	status = request->inside ? child_look(&file, request, out, err) : inspect_image(&file, request->path, out, err);
	const enum chain_status whole = image_file_check(&file, request->path, err);

	image_file_close(&file);
	return whole ? whole : status;
}

static enum chain_status look(const struct request *request, json_t **out, struct chain_error *err)
{
	struct cmd_file plain;
	enum chain_status status = cmd_file_load(request->path, 0, &plain, err);

	if (status)
		return status;
	const struct bytes bytes = { plain.bytes, plain.bytes_count };
	const bool image = request->inside || chain_image_is(plain.bytes, plain.bytes_count);

	if (!image)
		status = kernel_json(&bytes, request->path, request->symbols, out, err);
	const enum chain_status whole = cmd_file_check(&plain, request->path, err);

	cmd_file_free(&plain);
	if (whole || status || !image)
		return whole ? whole : status;
	return image_look(request, out, err);
}

int cmd_inspect(int argc, char **argv)
{
	struct request request = { .symbols = false };
	bool json = false;
	const struct cmd_opt opts[] = {
		{ "symbols", 0, CMD_OPT_FLAG, NULL, "list all symbols of a kernel", &request.symbols },
		{ "json", 0, CMD_OPT_FLAG, NULL, "print one JSON object instead of text", &json }
	};
	const struct cmd_spec spec = {
		.command = "inspect",
		.operands = "IMAGE|KERNEL [PATH]",
		.opts = opts,
		.opt_count = sizeof(opts) / sizeof(opts[0]),
		.least = 1,
		.most = 2,
		.about = "Says what an image is made of, what takes the space and what its pipeline does; of any "
			 "other file, what kind of kernel it is, its segments, notes and symbols, or why it is none. "
			 "With a PATH, the same of a file baked into the image.",
		.epilog = "example: kchain inspect image.elf /kernel --symbols"
	};
	struct chain_error err = { .status = CHAIN_OK };
	struct cmd_args args;
	json_t *doc = NULL;
	int code = cmd_parse(&spec, argc, argv, &args);

	if (code >= 0)
		return code;
	request.path = args.v[0];
	request.inside = args.count > 1 ? args.v[1] : NULL;
	if (look(&request, &doc, &err)) {
		json_decref(doc);
		code = cmd_refuse(&err, json);
	} else if (json) {
		code = cmd_json_print(doc) ? CMD_OK : CMD_REFUSED;
	} else {
		if (strcmp(json_string_value(json_object_get(doc, "kind")), "image") == 0)
			inspect_print_image(doc);
		else
			inspect_print_kernel(doc);
		json_decref(doc);
		code = CMD_OK;
	}
	cmd_args_free(&args);
	return code;
}
