/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: what takes the space in an image, to the byte: parts, segments, files, and the zeros between them. */

#include "inspect.h"
#include "chain/cmd/linux_payload.h"

#include "chain/bake.h"
#include "chain/json_memory.h"
#include "chain/source.h"
#include "chain/step.h"
#include "abi/native.h"

#include <stdlib.h>
#include <string.h>

enum { LARGEST = 10 };

/* A file of the manifest and where its bytes lie in the filesystem. */
struct stored {
	struct chain_manifest_entry entry;
	uint64_t offset, size;
};

struct look {
	const struct image_file *file;
	const struct chain_image *image;
	json_t *doc;
	struct stored *files;
	uint64_t file_count;
	struct chain_error problem; /* the first thing that an image in order would not have */
	bool lacking;               /* memory: the document is not whole */
};

static void lack(struct look *look, uint64_t bytes)
{
	look->lacking = true;
	chain_json_memory_fail(bytes);
}

/* Takes `value`; null for lack of memory. */
static void set(struct look *look, json_t *object, const char *key, json_t *value)
{
	look->lacking |= json_object_set_new(object, key, value) != 0;
}

static void set_number(struct look *look, json_t *object, const char *key, uint64_t value)
{
	set(look, object, key, json_integer((json_int_t)value));
}

static void append(struct look *look, json_t *list, json_t *value)
{
	look->lacking |= json_array_append_new(list, value) != 0;
}

json_t *inspect_hex(uint64_t value)
{
	char text[24];

	(void)snprintf(text, sizeof(text), "0x%llx", (unsigned long long)value);
	return json_string(text);
}

static const char *segment_name(const struct chain_segment *s)
{
	if (s->flags & KCHAIN_SEGMENT_BOOT_ONLY)
		return "zeroed, only when it is booted";
	if (s->flags & CHAIN_ELF_PF_X)
		return s->flags & CHAIN_ELF_PF_W ? "text and data" : "text";
	if (!(s->flags & CHAIN_ELF_PF_W))
		return "read-only data";
	return s->file_bytes > 0 ? "data" : "zeroed";
}

json_t *inspect_segments(const struct chain_segment *segments, size_t count)
{
	json_t *rows = json_array();
	int bad = 0;

	for (size_t i = 0; i < count; i++) {
		const struct chain_segment *s = &segments[i];

		bad |= json_array_append_new(rows, json_pack("{s:s, s:o, s:I, s:I}", "name", segment_name(s), "phys",
							     inspect_hex(s->phys.base), "file_bytes",
							     (json_int_t)s->file_bytes, "memory_bytes",
							     (json_int_t)chain_range_bytes(s->phys)));
	}
	if (!bad)
		return rows;
	json_decref(rows);
	return NULL;
}

/* Those of the ELF headers that belong to the stage: manifest and filesystem lie behind it. */
static json_t *stage_segments(struct look *look)
{
	const struct chain_image_header *h = &look->image->header;
	struct chain_segment segments[CHAIN_SEGMENTS_MAX];
	struct chain_elf elf;
	size_t count = 0, kept = 0;
	enum chain_status status =
		chain_elf_open(&elf, look->file->file.bytes, look->file->file.bytes_count, "elf", &look->problem);

	if (!status)
		status = chain_elf_segments(&elf, segments, CHAIN_SEGMENTS_MAX, &count, &look->problem);
	if (status)
		return json_array();
	while (kept < count && segments[kept].phys.end <= h->base + h->manifest_offset)
		kept++;
	return inspect_segments(segments, kept);
}

static json_t *part(struct look *look, const char *name, uint64_t offset, uint64_t bytes, uint64_t phys,
		    uint64_t memory)
{
	json_t *row =
		json_pack("{s:s, s:I, s:I}", "name", name, "offset", (json_int_t)offset, "bytes", (json_int_t)bytes);

	if (memory) {
		set(look, row, "phys", inspect_hex(phys));
		set_number(look, row, "memory_bytes", memory);
	}
	return row;
}

static uint64_t stage_bytes(const struct chain_image *image)
{
	struct chain_manifest_entry entry;
	uint64_t cursor = 0;

	while (chain_manifest_next(image, &cursor, &entry) && entry.kind == CHAIN_MANIFEST_PART)
		if (entry.path_bytes == 5 && memcmp(entry.path, "stage", 5) == 0)
			return entry.bytes;
	return 0;
}

static void look_at_parts(struct look *look)
{
	const struct chain_image_header *h = &look->image->header;
	const uint64_t fs = h->base + h->fs_offset, meta = look->image->fs_meta_bytes, end = h->file_fs + h->fs_bytes;
	json_t *rows = json_array(),
	       *stage = part(look, "stage", h->file_base, stage_bytes(look->image), h->base, h->stage_bytes);

	set(look, stage, "segments", stage_segments(look));
	append(look, rows, part(look, "elf", 0, h->file_base, 0, 0));
	append(look, rows, stage);
	append(look, rows,
	       part(look, "manifest", h->file_manifest, h->manifest_bytes, h->base + h->manifest_offset,
		    h->manifest_bytes));
	append(look, rows, part(look, "fs-meta", h->file_fs, meta, fs, meta));
	append(look, rows,
	       part(look, "files", h->file_fs + meta, h->fs_bytes - meta, fs + meta, h->fs_memory_bytes - meta));
	append(look, rows, part(look, "sections", end, look->image->bytes_count - end, 0, 0));
	set(look, look->doc, "parts", rows);
}

static void stored_note(struct look *look, const struct chain_manifest_entry *entry)
{
	struct stored *file = &look->files[look->file_count++];
	char path[CHAIN_IMAGE_PATH_BYTES];
	struct fs_node node;

	*file = (struct stored){ .entry = *entry };
	if (entry->path_bytes >= sizeof(path))
		return;
	memcpy(path, entry->path, entry->path_bytes);
	path[entry->path_bytes] = '\0';
	if (!fs_lookup(&look->image->fs, path, false, &node, &look->problem))
		*file = (struct stored){ *entry, node.data_offset, node.size_bytes };
}

static int by_place(const void *a, const void *b)
{
	const struct stored *x = a, *y = b;

	return x->offset != y->offset ? (x->offset < y->offset ? -1 : 1) : (x->size > y->size) - (x->size < y->size);
}

static int by_size(const void *a, const void *b)
{
	const struct stored *x = a, *y = b;

	return x->entry.bytes != y->entry.bytes ? (x->entry.bytes < y->entry.bytes ? 1 : -1) :
						  (x->entry.path > y->entry.path) - (x->entry.path < y->entry.path);
}

/* How much of the filesystem behind its metadata belongs to some file: what several have in common counts once. */
static uint64_t stored_bytes(struct look *look)
{
	uint64_t at = look->image->fs_meta_bytes, sum = 0;

	qsort(look->files, look->file_count, sizeof(*look->files), by_place);
	for (uint64_t i = 0; i < look->file_count; i++) {
		const uint64_t from = look->files[i].offset > at ? look->files[i].offset : at,
			       end = look->files[i].offset + look->files[i].size;

		if (look->files[i].size == 0 || end <= from)
			continue;
		sum += end - from;
		at = end;
	}
	return sum;
}

static json_t *largest(struct look *look)
{
	json_t *rows = json_array();

	qsort(look->files, look->file_count, sizeof(*look->files), by_size);
	for (uint64_t i = 0; i < look->file_count && i < LARGEST; i++) {
		const struct chain_manifest_entry *entry = &look->files[i].entry;
		json_t *row = json_object();

		look->lacking |= !cmd_json_set_text(row, "path", entry->path, entry->path_bytes);
		set_number(look, row, "bytes", entry->bytes);
		append(look, rows, row);
	}
	return rows;
}

static void look_at_files(struct look *look)
{
	const struct chain_image *image = look->image;
	const struct chain_image_header *h = &image->header;
	struct chain_manifest_entry entry;
	uint64_t links = 0, content = 0, in_metadata = 0;

	look->files = calloc(image->entry_count + 1, sizeof(*look->files));
	if (!look->files) {
		lack(look, (image->entry_count + 1) * sizeof(*look->files));
		return;
	}
	for (uint64_t cursor = 0; chain_manifest_next(image, &cursor, &entry);) {
		links += entry.kind == CHAIN_MANIFEST_LINK;
		if (entry.kind != CHAIN_MANIFEST_FILE)
			continue;
		content += entry.bytes;
		stored_note(look, &entry);
		if (look->files[look->file_count - 1].offset < image->fs_meta_bytes)
			in_metadata += look->files[look->file_count - 1].size;
	}
	const uint64_t stored = stored_bytes(look), sections = image->bytes_count - h->file_fs - h->fs_bytes,
		       used = h->file_base + stage_bytes(image) + h->manifest_bytes + image->fs_meta_bytes + stored +
			      sections;

	set_number(look, look->doc, "files", look->file_count);
	set_number(look, look->doc, "links", links);
	set_number(look, look->doc, "content_bytes", content);
	set_number(look, look->doc, "stored_bytes", stored);
	set_number(look, look->doc, "shared_bytes",
		   content > stored + in_metadata ? content - stored - in_metadata : 0);
	set_number(look, look->doc, "padding_bytes", image->bytes_count > used ? image->bytes_count - used : 0);
	set(look, look->doc, "largest", largest(look));
	free(look->files);
}

/* *out is CHAIN_KERNEL_UNKNOWN where the name says why. */
static const char *kernel_kind(const struct chain_image *image, const struct chain_step *step,
			       enum chain_kernel_kind *out)
{
	const uint8_t *bytes;
	uint64_t count;
	const char *path = chain_source_path(step->source);

	*out = CHAIN_KERNEL_UNKNOWN;
	if (!path)
		return "fetched at boot";
	if (chain_image_file(image, path, &bytes, &count, NULL, NULL))
		return "missing or damaged";
	return !chain_kernel_probe_by(step->door, bytes, count, step->source, out, NULL) ?
		       linux_kind_name(*out, bytes, count) :
		       "not a kernel";
}

static json_t *step_json(struct look *look, const struct chain_step *step)
{
	const bool call = step->kind == CHAIN_STEP_CALL;
	enum chain_kernel_kind kind;
	const char *name = kernel_kind(look->image, step, &kind);
	json_t *row = json_pack("{s:s, s:s, s:s, s:s}", "name", step->name, "does", call ? "call" : "boot", "source",
				step->source, "kernel", name);

	if (call)
		set_number(look, row, "window_bytes", chain_step_memory(step, kind));
	json_t *root = inspect_root_json(look->image, step);

	if (root)
		set(look, row, "root", root);
	return row;
}

/* An image whose pipeline can't be read is still worth a look: the reason stands in its place. */
static void look_at_pipeline(struct look *look)
{
	struct chain_error err = { .status = CHAIN_OK };
	struct chain_config config;
	const uint8_t *bytes;
	char text[1024];
	uint64_t count;
	enum chain_status status = chain_image_file(look->image, CHAIN_FS_PIPELINE, &bytes, &count, NULL, &err);

	if (!status)
		status = chain_config_parse((const char *)bytes, count, CHAIN_FS_PIPELINE, true, &config, &err);
	if (status == CHAIN_E_NO_MEMORY)
		lack(look, err.number[0]);
	if (status) {
		(void)chain_error_format(&err, text, sizeof(text));
		set(look, look->doc, "pipeline_error", json_string(text));
		return;
	}
	json_t *steps = json_array(), *net = json_array(), *block = json_array();

	for (size_t i = 0; i < config.step_count; i++)
		append(look, steps, step_json(look, &config.steps[i]));
	for (size_t i = 0; i < config.net_count; i++)
		append(look, net, json_string(config.net[i].name));
	for (size_t i = 0; i < config.block_count; i++)
		append(look, block, json_string(config.block[i].name));
	set(look, look->doc, "verify", json_string(config.verify_all ? "all" : "used"));
	set(look, look->doc, "steps", steps);
	set(look, look->doc, "net", net);
	set(look, look->doc, "block", block);
	chain_config_free(&config);
}

enum chain_status inspect_image(const struct image_file *file, const char *path, json_t **out, struct chain_error *err)
{
	const struct chain_image_header *h = &file->image.header;
	const uint64_t end = h->fs_offset + h->fs_memory_bytes;
	struct look look = { .file = file, .image = &file->image };
	char id[IMAGE_ID_BYTES], text[1024];

	look.doc = cmd_json_of_file("file", path,
				    json_pack("{s:s, s:s}", "kind", "image", "id", image_id_text(h->id, id)));
	look.lacking |= !cmd_json_set_text(look.doc, "name", h->name, strlen(h->name));
	set_number(&look, look.doc, "bytes", file->file.bytes_count);
	const char *format = chain_bake_format_of(file->file.bytes, file->file.bytes_count);

	set(&look, look.doc, "format", format ? json_string(format) : json_null());
	set(&look, look.doc, "base", inspect_hex(h->base));
	set(&look, look.doc, "memory_end", inspect_hex(h->base + end));
	set_number(&look, look.doc, "memory_bytes", end);
	look_at_parts(&look);
	look_at_files(&look);
	if (look.problem.status) {
		(void)chain_error_format(&look.problem, text, sizeof(text));
		set(&look, look.doc, "problem", json_string(text));
	}
	look_at_pipeline(&look);
	if (look.problem.status == CHAIN_E_NO_MEMORY)
		lack(&look, look.problem.number[0]);
	if (look.lacking) {
		json_decref(look.doc);
		return chain_json_no_memory(err, path);
	}
	*out = look.doc;
	return CHAIN_OK;
}
