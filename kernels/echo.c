/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Says what it received, as one JSON document: on the console, as an "echo" record, and as its result. An echo that was
 * called sees its window only; one that was booted also tells the modules and the memory map. */

#include <kchain.h>

#include "chain/digest.h"
#include "stage/boot.h"
#include "stage/pages.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

static json_t *hex(uint64_t value)
{
	char text[24];
	snprintf(text, sizeof(text), "%#llx", (unsigned long long)value);
	return json_string(text);
}

static json_t *handoff(void)
{
	const char *text;
	size_t bytes;
	if (!kchain_handoff(&text, &bytes))
		return json_null();
	json_error_t error;
	json_t *doc = json_loadb(text, bytes, JSON_REJECT_DUPLICATES, &error);
	return doc ? doc : json_pack("{s:s, s:i}", "malformed", error.text, "line", error.line);
}

static json_t *memory(const struct chain_bootinfo *info)
{
	json_t *list = json_array();
	for (size_t i = 0; i < info->mem_count; i++)
		json_array_append_new(list, json_pack("{s:o, s:o, s:i}", "base", hex(info->mem[i].range.base), "end",
						      hex(info->mem[i].range.end), "type", (int)info->mem[i].type));
	return list;
}

static json_t *modules(const struct chain_bootinfo *info)
{
	json_t *list = json_array();
	for (size_t i = 0; i < info->module_count; i++) {
		const struct chain_boot_module *module = &info->modules[i];
		uint64_t bytes = chain_range_bytes(module->range);
		uint8_t digest[CHAIN_SHA256_BYTES];
		char text[CHAIN_SHA256_HEX + 1];
		chain_sha256_of(stage_phys_to_virt(module->range.base), bytes, digest);
		chain_sha256_to_hex(digest, text);
		json_array_append_new(list, json_pack("{s:s, s:o, s:I, s:s}", "string", module->string, "base",
						      hex(module->range.base), "bytes", (json_int_t)bytes, "sha256", text));
	}
	return list;
}

static json_t *document(int argc, char **argv)
{
	const struct chain_bootinfo *info = stage_bootinfo();
	json_t *words = json_array();
	for (int i = 0; i < argc; i++)
		json_array_append_new(words, json_string(argv[i]));
	json_t *doc = json_pack("{s:b, s:s, s:s, s:o, s:o}", "called", kchain_is_called(), "door",
				kchain_is_called() ? "native" : info->door, "args", kchain_args(), "argv", words, "handoff", handoff());
	if (doc && !kchain_is_called()) {
		json_object_set_new(doc, "loader", json_string(info->loader));
		json_object_set_new(doc, "modules", modules(info));
		json_object_set_new(doc, "memory", memory(info));
		json_object_set_new(doc, "acpi_rsdp", hex(info->acpi_rsdp));
	}
	return doc;
}

static void record(const char *text)
{
	char *line;
	if (asprintf(&line, "{\"event\":\"echo\",\"doc\":%s}", text) < 0)
		return;
	kchain_record(line);
	free(line);
}

int main(int argc, char **argv)
{
	json_t *doc = document(argc, argv);
	char *text = doc ? json_dumps(doc, JSON_COMPACT) : NULL;
	if (!text) {
		puts("echo: out of memory, or an argument is not UTF-8");
		return 1;
	}
	printf("echo received %s\n", text);
	record(text);
	if (!kchain_result(text)) {
		printf("echo: the document is larger than the room for a result, %zu bytes\n", kchain_result_room());
		return 2;
	}
	free(text);
	json_decref(doc);
	return 0;
}
