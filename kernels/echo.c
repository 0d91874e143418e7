/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Says what it received, as one JSON document: on the console, as an "echo" record, and as its result. An echo that was
 * called sees its window only; one that was booted also tells the modules and the memory map. */

#include <kchain.h>

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

static json_t *memory(void)
{
	struct kchain_memory entry;
	json_t *list = json_array();
	for (unsigned i = 0; kchain_memory(i, &entry); i++)
		json_array_append_new(list, json_pack("{s:o, s:o, s:i}", "base", hex(entry.phys), "end", hex(entry.end),
						      "type", (int)entry.type));
	return list;
}

static json_t *modules(void)
{
	struct kchain_module module;
	json_t *list = json_array();
	for (unsigned i = 0; kchain_module(i, &module); i++) {
		struct kchain_sha256 hash;
		char digest[KCHAIN_SHA256_HEX + 1];
		kchain_sha256_begin(&hash);
		kchain_sha256_add(&hash, module.bytes, module.count);
		kchain_sha256_end(&hash, digest);
		json_array_append_new(list,
				      json_pack("{s:s, s:o, s:I, s:s}", "string", module.string, "base",
						hex(module.phys), "bytes", (json_int_t)module.count, "sha256", digest));
	}
	return list;
}

static json_t *document(int argc, char **argv)
{
	struct kchain_boot boot;
	bool booted = kchain_boot(&boot);
	json_t *words = json_array();
	for (int i = 0; i < argc; i++)
		json_array_append_new(words, json_string(argv[i]));
	json_t *doc =
		json_pack("{s:b, s:s, s:s, s:o, s:o}", "called", kchain_is_called(), "door",
			  booted ? boot.door : "native", "args", kchain_args(), "argv", words, "handoff", handoff());
	if (doc && booted) {
		json_object_set_new(doc, "loader", json_string(boot.loader));
		json_object_set_new(doc, "modules", modules());
		json_object_set_new(doc, "memory", memory());
		json_object_set_new(doc, "acpi_rsdp", hex(boot.acpi_rsdp));
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
