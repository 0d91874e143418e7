/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: what can be said of a step's root: where it lies in the file, and what its initial file system tells its first
 * process (docs/ROOTS.md): modules and entry. */

#include "inspect.h"

#include "chain/json_write.h"
#include "chain/source.h"
#include "chain/step.h"

#include <stdlib.h>
#include <string.h>

/* Fields of a cpio header (Documentation/driver-api/early-userspace/buffer-format.rst): each of eight digits, behind
 * the magic number. */
enum { HEADER_BYTES = 110, MAGIC_BYTES = 6, FIELD_BYTES = 8, FIELD_FILE_BYTES = 6, FIELD_NAME_BYTES = 11 };

static bool field_read(const uint8_t *header, unsigned field, uint64_t *out)
{
	char text[FIELD_BYTES + 1] = "", *end;

	memcpy(text, header + MAGIC_BYTES + field * FIELD_BYTES, FIELD_BYTES);
	*out = strtoul(text, &end, 16);
	return end == text + FIELD_BYTES;
}

static uint64_t aligned(uint64_t bytes)
{
	return (bytes + 3) & ~(uint64_t)3;
}

/* A file of an archive; false: it is not there, or the archive is none. */
static bool archive_find(const uint8_t *bytes, uint64_t count, const char *name, const uint8_t **out,
			 uint64_t *out_count)
{
	uint64_t at = 0, file_bytes, name_bytes;

	while (count - at >= HEADER_BYTES && memcmp(bytes + at, "070701", MAGIC_BYTES) == 0) {
		const uint8_t *header = bytes + at;

		if (!field_read(header, FIELD_FILE_BYTES, &file_bytes) ||
		    !field_read(header, FIELD_NAME_BYTES, &name_bytes))
			return false;
		const uint64_t data = at + aligned(HEADER_BYTES + name_bytes);

		if (name_bytes == 0 || data > count || file_bytes > count - data)
			return false;
		if (name_bytes == strlen(name) + 1 && memcmp(header + HEADER_BYTES, name, name_bytes) == 0) {
			*out = bytes + data;
			*out_count = file_bytes;
			return true;
		}
		if (aligned(file_bytes) > count - data)
			return false;
		at = data + aligned(file_bytes);
	}
	return false;
}

/* New; null: the step's modules have none. */
static json_t *start_json_find(const struct chain_image *image, const struct chain_step *step)
{
	for (size_t i = 0; i < step->module_count; i++) {
		const char *path = chain_source_path(step->modules[i].from);
		const uint8_t *bytes, *text;
		uint64_t count, text_bytes;

		if (path && !chain_image_file(image, path, &bytes, &count, NULL, NULL) &&
		    archive_find(bytes, count, "kchain/root.json", &text, &text_bytes))
			return json_loadb((const char *)text, text_bytes, 0, NULL);
	}
	return NULL;
}

json_t *inspect_root_json(const struct chain_image *image, const struct chain_step *step)
{
	const char *path = step->root ? chain_source_path(step->root) : NULL;
	struct fs_node node;
	json_t *row, *start;

	if (!path || fs_lookup(&image->fs, path, true, &node, NULL))
		return NULL;
	row = chain_json_object(CHAIN_TEXT("source", step->root), CHAIN_TEXT("type", step->root_type),
				CHAIN_INT("bytes", (json_int_t)node.size_bytes),
				CHAIN_INT("offset", (json_int_t)(image->header.file_fs + node.data_offset)),
				CHAIN_BOOL("unverified", step->root_unverified));
	start = start_json_find(image, step);
	if (row && start)
		json_object_update_missing(row, start);
	json_decref(start);
	return row;
}

/* A list of texts as words on a line; what is no text, which only a damaged image has, is left out. */
static void words_print(const char *head, const json_t *list)
{
	json_t *word;
	size_t i;

	if (json_array_size(list) == 0)
		return;
	printf("            %s:", head);
	json_array_foreach (list, i, word) {
		const char *text = json_string_value(word);

		putchar(' ');
		if (text)
			cmd_text_put(stdout, text);
	}
	putchar('\n');
}

void inspect_root_print(const json_t *root)
{
	const char *type = json_string_value(json_object_get(root, "type"));
	char size[CMD_SIZE_BYTES];

	printf("            root: %s, %s%s\n", type ? type : "a file system",
	       cmd_size_text((uint64_t)json_integer_value(json_object_get(root, "bytes")), size),
	       json_is_true(json_object_get(root, "unverified")) ? ", not verified" : "");
	words_print("entry", json_object_get(json_object_get(root, "entry"), "argv"));
	words_print("modules", json_object_get(root, "modules"));
}
