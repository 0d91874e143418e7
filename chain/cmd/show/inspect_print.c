/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: how `kchain inspect` shows its documents to people. Sizes come first, so that they stand in columns whatever
 * the names are. */

#include "inspect.h"

#include <string.h>

static uint64_t number(const json_t *object, const char *key)
{
	return (uint64_t)json_integer_value(json_object_get(object, key));
}

static const char *text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

static const json_t *part_of(const json_t *doc, const char *name)
{
	const json_t *row;
	size_t i;

	json_array_foreach (json_object_get(doc, "parts"), i, row) {
		if (strcmp(text_of(row, "name"), name) == 0)
			return row;
	}
	return NULL;
}

enum { NOT_LOADED = -1 };

static void columns_print(void)
{
	printf("\n  %s%9s        %9s  %10s%s\n", cmd_style(stdout, CMD_DIM), "file", "memory", "address",
	       cmd_style(stdout, CMD_PLAIN));
}

/* One line: bytes in the file, their share of it, bytes of memory, where, and what they are. */
static void row_print(const json_t *doc, uint64_t bytes, int64_t memory, int indent, const char *name, const char *at)
{
	char size[CMD_SIZE_BYTES], room[CMD_SIZE_BYTES] = "-";
	const uint64_t percent = bytes * 100 / (number(doc, "bytes") + !number(doc, "bytes"));

	if (memory >= 0)
		(void)cmd_size_text((uint64_t)memory, room);
	printf("  %9s  ", cmd_size_text(bytes, size));
	if (percent == 0 && bytes > 0)
		fputs(" <1%", stdout);
	else
		printf("%3llu%%", (unsigned long long)percent);
	printf("  %9s  %10s  %*s", room, at, indent, "");
	cmd_text_put(stdout, name);
	putchar('\n');
}

static void stage_print(const json_t *doc)
{
	const json_t *stage = part_of(doc, "stage"), *row;
	size_t i;

	row_print(doc, number(stage, "bytes"), (int64_t)number(stage, "memory_bytes"), 0, "stage",
		  text_of(stage, "phys"));
	json_array_foreach (json_object_get(stage, "segments"), i, row)
		row_print(doc, number(row, "file_bytes"), (int64_t)number(row, "memory_bytes"), 2, text_of(row, "name"),
			  text_of(row, "phys"));
}

static void files_print(const json_t *doc)
{
	const uint64_t stored = number(doc, "stored_bytes"), content = number(doc, "content_bytes"),
		       shared = number(doc, "shared_bytes"), count = number(doc, "files"), links = number(doc, "links");
	const json_t *list = json_object_get(doc, "largest"), *row;
	char label[96], size[CMD_SIZE_BYTES];
	uint64_t shown = 0;
	size_t i;
	int used = snprintf(label, sizeof(label), "%llu file%s", (unsigned long long)count, count == 1 ? "" : "s");

	if (links > 0)
		used += snprintf(label + used, sizeof(label) - (size_t)used, ", %llu link%s", (unsigned long long)links,
				 links == 1 ? "" : "s");
	if (shared > 0)
		(void)snprintf(label + used, sizeof(label) - (size_t)used, "; %s saved by storing alike ones once",
			       cmd_size_text(shared, size));
	row_print(doc, stored, (int64_t)stored, 0, label, text_of(part_of(doc, "files"), "phys"));
	json_array_foreach (list, i, row) {
		/* among many, one that takes next to nothing says nothing */
		if (count > json_array_size(list) && number(row, "bytes") * 100 < number(doc, "bytes"))
			break;
		row_print(doc, number(row, "bytes"), (int64_t)number(row, "bytes"), 2, text_of(row, "path"), "");
		shown += number(row, "bytes");
	}
	if (count > i) {
		(void)snprintf(label, sizeof(label), i > 0 ? "%llu smaller ones" : "%llu, each below 1%%",
			       (unsigned long long)(count - i));
		row_print(doc, content - shown, (int64_t)(content - shown), 2, label, "");
	}
}

/* What is in memory and belongs to nothing above: the gaps up to the next page or 2 MiB. */
static int64_t memory_padding(const json_t *doc)
{
	const uint64_t used = number(part_of(doc, "stage"), "memory_bytes") +
			      number(part_of(doc, "manifest"), "memory_bytes") +
			      number(part_of(doc, "fs-meta"), "memory_bytes") + number(doc, "stored_bytes"),
		       all = number(doc, "memory_bytes");

	return all > used ? (int64_t)(all - used) : 0;
}

static void space_print(const json_t *doc)
{
	const json_t *manifest = part_of(doc, "manifest"), *meta = part_of(doc, "fs-meta");

	columns_print();
	stage_print(doc);
	row_print(doc, number(manifest, "bytes"), (int64_t)number(manifest, "memory_bytes"), 0, "manifest",
		  text_of(manifest, "phys"));
	row_print(doc, number(meta, "bytes"), (int64_t)number(meta, "memory_bytes"), 0, "filesystem metadata",
		  text_of(meta, "phys"));
	files_print(doc);
	row_print(doc, number(part_of(doc, "elf"), "bytes") + number(part_of(doc, "sections"), "bytes"), NOT_LOADED, 0,
		  "ELF headers and sections", "");
	row_print(doc, number(doc, "padding_bytes"), memory_padding(doc), 0, "padding", "");
	row_print(doc, number(doc, "bytes"), (int64_t)number(doc, "memory_bytes"), 0, "in all", "");
}

static void names_print(const char *label, const json_t *names)
{
	size_t i;
	json_t *name;

	if (json_array_size(names) == 0)
		return;
	printf("  %-9s", label);
	json_array_foreach (names, i, name)
		printf(" %s", json_string_value(name));
	putchar('\n');
}

static void problem_print(const char *what, const char *text)
{
	if (*text)
		printf("  %s%s%s%s\n", cmd_style(stdout, CMD_RED), what, text, cmd_style(stdout, CMD_PLAIN));
}

static void steps_print(const json_t *doc)
{
	char size[CMD_SIZE_BYTES];
	const json_t *row;
	size_t i;

	json_array_foreach (json_object_get(doc, "steps"), i, row) {
		printf("  step %zu    %s: %ss ", i + 1, text_of(row, "name"), text_of(row, "does"));
		cmd_text_put(stdout, text_of(row, "source"));
		printf(" (%s", text_of(row, "kernel"));
		if (number(row, "window_bytes") > 0)
			printf(", in a window of %s", cmd_size_text(number(row, "window_bytes"), size));
		puts(")");
		if (json_object_get(row, "root"))
			inspect_root_print(json_object_get(row, "root"));
	}
}

static void head_print(const json_t *doc, const char *what)
{
	char size[CMD_SIZE_BYTES];

	fputs(cmd_style(stdout, CMD_BOLD), stdout);
	cmd_text_put(stdout, text_of(doc, "file"));
	printf("%s  %s, %s\n", cmd_style(stdout, CMD_PLAIN), cmd_size_text(number(doc, "bytes"), size), what);
}

void inspect_print_image(const json_t *doc)
{
	char size[CMD_SIZE_BYTES];

	head_print(doc, "a baked image");
	printf("  name      %s\n  id  %s\n", text_of(doc, "name"), text_of(doc, "id"));
	if (*text_of(doc, "format"))
		printf("  format    %s\n", text_of(doc, "format"));
	printf("  memory    %s, from %s to %s\n", cmd_size_text(number(doc, "memory_bytes"), size),
	       text_of(doc, "base"), text_of(doc, "memory_end"));
	problem_print("problem:  ", text_of(doc, "problem"));
	problem_print("pipeline: ", text_of(doc, "pipeline_error"));
	steps_print(doc);
	names_print("net", json_object_get(doc, "net"));
	names_print("block", json_object_get(doc, "block"));
	space_print(doc);
}

static void notes_print(const json_t *elf)
{
	const json_t *row;
	size_t i;

	json_array_foreach (json_object_get(elf, "notes"), i, row) {
		const bool id = strcmp(text_of(row, "name"), "GNU") == 0 && number(row, "type") == 3;

		printf("  %-9s %s", i == 0 ? "notes" : "", text_of(row, "name"));
		if (id)
			printf(" build-id %s\n", text_of(elf, "build_id"));
		else
			printf(" type %llu, %llu bytes\n", (unsigned long long)number(row, "type"),
			       (unsigned long long)number(row, "bytes"));
	}
}

static void elf_print(const json_t *doc)
{
	const json_t *elf = json_object_get(doc, "elf"), *symbols = json_object_get(elf, "symbols");

	problem_print("ELF: ", text_of(doc, "elf_problem"));
	if (!elf)
		return;
	notes_print(elf);
	if (number(symbols, "count") == 0)
		printf("  symbols   none: they are taken out, or in a file of their own\n");
	else
		printf("  symbols   %llu, %llu of them functions\n", (unsigned long long)number(symbols, "count"),
		       (unsigned long long)number(symbols, "functions"));
}

static void symbols_print(const json_t *doc)
{
	const json_t *symbols = json_object_get(json_object_get(doc, "elf"), "symbols"), *row;
	size_t i;

	json_array_foreach (json_object_get(symbols, "list"), i, row)
		printf("  %18s %8llu  %-8s %-6s %s\n", text_of(row, "address"),
		       (unsigned long long)number(row, "bytes"), text_of(row, "type"), text_of(row, "binding"),
		       text_of(row, "name"));
}

void inspect_print_kernel(const json_t *doc)
{
	char what[64], size[CMD_SIZE_BYTES], heap[CMD_SIZE_BYTES];
	const json_t *called = json_object_get(doc, "called"), *row;
	size_t i;

	(void)snprintf(what, sizeof(what), "a %s kernel, nothing baked in", text_of(doc, "kind"));
	head_print(doc, what);
	if (json_object_get(doc, "problem")) {
		printf("  but %s\n", text_of(doc, "problem"));
		elf_print(doc);
		symbols_print(doc);
		return;
	}
	printf("  entry     %s\n", text_of(doc, "entry"));
	printf("  memory    %s, from %s to %s\n", cmd_size_text(number(doc, "memory_bytes"), size),
	       text_of(doc, "base"), text_of(doc, "memory_end"));
	names_print("doors", json_object_get(doc, "doors"));
	if (called)
		printf("  called    with %s of stack and %s of heap at least\n",
		       cmd_size_text(number(called, "stack_bytes"), size),
		       cmd_size_text(number(called, "heap_bytes"), heap));
	elf_print(doc);
	columns_print();
	json_array_foreach (json_object_get(doc, "segments"), i, row)
		row_print(doc, number(row, "file_bytes"), (int64_t)number(row, "memory_bytes"), 0, text_of(row, "name"),
			  text_of(row, "phys"));
	symbols_print(doc);
}
