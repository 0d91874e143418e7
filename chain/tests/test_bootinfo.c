/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Boot information: malformed documents, there and back, overlapping maps against a byte map. */
#include "json_cases.h"

#include "chain/bootinfo_json.h"

static enum chain_status parse(const char *text, size_t bytes, struct chain_error *err)
{
	struct chain_bootinfo info;
	json_t *doc = json_loadb(text, bytes, 0, NULL);
	if (!doc)
		return chain_fail_subject(err, CHAIN_E_JSON_SYNTAX, "bootinfo");
	enum chain_status status = chain_bootinfo_from_json(doc, &info, err);
	if (!status)
		chain_bootinfo_free(&info);
	json_decref(doc);
	return status;
}

static void test_invalid(void **state)
{
	(void)state;
	each_case("invalid", "bootinfo-", check_invalid, parse);
}
static void test_valid(void **state)
{
	(void)state;
	each_case("valid", "bootinfo-", check_valid, parse);
}
static void test_truncated(void **state)
{
	(void)state;
	each_case("valid", "bootinfo-", check_truncated, parse);
}
static void test_mutated(void **state)
{
	(void)state;
	each_case("valid", "bootinfo-", check_mutated, parse);
}

static void test_there_and_back(void **state)
{
	struct chain_bootinfo info;
	struct chain_error err = { 0 };
	size_t bytes;
	char *text = valid_case("bootinfo-full", &bytes);
	json_t *doc = json_loadb(text, bytes, 0, NULL), *again = NULL;
	(void)state;
	assert_ok(chain_bootinfo_from_json(doc, &info, &err), &err);
	assert_int_equal(info.image.end, 0x500000);
	assert_int_equal(info.framebuffer.bpp, 32);
	json_t *memory = chain_bootinfo_memory_json(info.mem, info.mem_count), *shared;
	assert_non_null(memory);
	assert_ok(chain_bootinfo_to_json(&info, json_object_get(doc, "devices"), NULL, &again, &err), &err);
	assert_ok(chain_bootinfo_to_json(&info, json_object_get(doc, "devices"), memory, &shared, &err), &err);
	assert_true(json_equal(again, shared) && json_object_get(shared, "memory") == memory);
	json_decref(shared);
	json_decref(memory);
	assert_true(json_equal(doc, again));
	chain_bootinfo_free(&info);
	json_decref(doc);
	json_decref(again);
	free(text);
}

/* Firmware may use any 32-bit number as a type, and so may the other numbers be. */
static void test_large_numbers(void **state)
{
	struct chain_bootinfo info, again;
	struct chain_error err = { 0 };
	json_t *doc = NULL;
	(void)state;
	chain_bootinfo_init(&info);
	assert_ok(chain_bootinfo_add_mem(&info, 0x1000, 0x1000, UINT32_MAX, &err), &err);
	info.cpus = UINT32_MAX;
	info.framebuffer =
		(struct chain_framebuffer){ 1, UINT32_MAX, UINT32_MAX, UINT32_MAX, UINT8_MAX, UINT8_MAX, { 0 } };
	assert_ok(chain_bootinfo_to_json(&info, NULL, NULL, &doc, &err), &err);
	assert_ok(chain_bootinfo_from_json(doc, &again, &err), &err);
	assert_int_equal(again.mem[0].type, UINT32_MAX);
	assert_int_equal(again.cpus, UINT32_MAX);
	assert_memory_equal(&again.framebuffer, &info.framebuffer, sizeof(info.framebuffer));
	chain_bootinfo_free(&info);
	chain_bootinfo_free(&again);
	json_decref(doc);
}

static struct chain_framebuffer read_case(const char *name)
{
	struct chain_bootinfo info;
	struct chain_error err = { 0 };
	size_t bytes;
	char *text = valid_case(name, &bytes);
	json_t *doc = json_loadb(text, bytes, 0, NULL);
	assert_ok(chain_bootinfo_from_json(doc, &info, &err), &err);
	struct chain_framebuffer fb = info.framebuffer;
	chain_bootinfo_free(&info);
	json_decref(doc);
	free(text);
	return fb;
}

/* Colours are those that were recorded; where none were, those of the depth, and none where there are none. */
static void test_colors(void **state)
{
	static const uint8_t none[6] = { 0 }, swapped[6] = { 0, 8, 8, 8, 16, 8 }, high[6] = { 11, 5, 5, 6, 0, 5 };
	static const struct {
		const char *name;
		const uint8_t *colors;
	} cases[] = {
		{ "bootinfo-full", swapped },
		{ "bootinfo-framebuffer-before-colors", high },
		{ "bootinfo-framebuffer-text", none },
		{ "bootinfo-framebuffer-indexed", none },
	};
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct chain_framebuffer fb = read_case(cases[i].name);
		assert_memory_equal(fb.colors, cases[i].colors, 6);
		json_t *doc = chain_bootinfo_framebuffer_json(&fb);
		assert_int_equal(json_array_size(json_object_get(doc, "colors")),
				 fb.type == CHAIN_FRAMEBUFFER_RGB ? 6 : 0);
		json_decref(doc);
	}
}

/* The oracle is a map with one number for each of 64 bytes. */
static void test_normalise(void **state)
{
	static const uint32_t types[] = { 1, 2, 3, 4, 5, 7, 12 };
	unsigned seed = 99;
	(void)state;
	for (int round = 0; round < 5000; round++) {
		struct chain_bootinfo info;
		struct chain_error err = { 0 };
		uint32_t oracle[64] = { 0 }, seen[64] = { 0 };
		chain_bootinfo_init(&info);
		for (int i = 0; i < round % 12; i++) {
			seed = seed * 1103515245u + 12345u;
			uint32_t base = (seed >> 8) % 64, bytes = (seed >> 16) % (64 - base + 1),
				 type = types[(seed >> 24) % 7];
			assert_ok(chain_bootinfo_add_mem(&info, base, bytes, type, &err), &err);
			for (uint32_t b = base; b < base + bytes; b++)
				if (!oracle[b] || (type != 1 && (oracle[b] == 1 || type > oracle[b])))
					oracle[b] = type;
		}
		assert_ok(chain_bootinfo_normalise(&info, &err), &err);
		for (size_t i = 0; i < info.mem_count; i++) {
			const struct chain_mem_entry *e = &info.mem[i];
			assert_true(e->range.base < e->range.end);
			assert_true(!i || info.mem[i - 1].range.end <= e->range.base);
			assert_true(!i || info.mem[i - 1].range.end < e->range.base || info.mem[i - 1].type != e->type);
			for (uint64_t b = e->range.base; b < e->range.end; b++)
				seen[b] = e->type;
		}
		assert_memory_equal(seen, oracle, sizeof(seen));
		assert_ok(chain_bootinfo_add_mem(&info, 1000, 1, 1, &err), &err); /* it can still grow */
		chain_bootinfo_free(&info);
	}
}

static void test_limits(void **state)
{
	struct chain_bootinfo info;
	struct chain_error err = { 0 };
	(void)state;
	chain_bootinfo_init(&info);
	assert_ok(chain_bootinfo_add_mem(&info, 5, 0, 1, &err), &err);
	assert_int_equal(info.mem_count, 0);
	assert_int_equal(chain_bootinfo_add_mem(&info, UINT64_MAX, 2, 1, &err), CHAIN_E_OVERFLOW);
	chain_error_clear(&err);
	assert_int_equal(chain_bootinfo_add_module(&info, UINT64_MAX, 2, "x", &err), CHAIN_E_OVERFLOW);
	chain_bootinfo_free(&info);
	chain_bootinfo_free(NULL);
	chain_error_clear(&err);
	assert_int_equal(chain_bootinfo_qemu("vax", 64 << 20, 1, &info, &err), CHAIN_E_BOOTINFO_MACHINE);
	chain_error_clear(&err);
	assert_int_equal(chain_bootinfo_qemu("pc", 1 << 20, 1, &info, &err), CHAIN_E_BOOTINFO_MEMORY);
	chain_error_clear(&err);
	assert_int_equal(chain_bootinfo_qemu("pc", (64 << 20) + 1, 1, &info, &err), CHAIN_E_BOOTINFO_MEMORY);
}

/* What is written is in the schema, and what the schema requires is written. */
static void test_schema(void **state)
{
	struct chain_bootinfo info;
	struct chain_error err = { 0 };
	json_error_t why;
	json_t *doc = NULL, *value,
	       *schema = json_load_file("docs/bootinfo-1.schema.json", JSON_REJECT_DUPLICATES, &why);
	const char *key;
	size_t i;
	(void)state;
	if (!schema)
		fail_msg("docs/bootinfo-1.schema.json:%d: %s", why.line, why.text);
	assert_ok(chain_bootinfo_qemu("pc", 64 << 20, 1, &info, &err), &err);
	assert_ok(chain_bootinfo_to_json(&info, NULL, NULL, &doc, &err), &err);
	json_object_foreach (doc, key, value)
		assert_non_null(json_object_get(json_object_get(schema, "properties"), key));
	json_array_foreach (json_object_get(schema, "required"), i, value)
		assert_non_null(json_object_get(doc, json_string_value(value)));
	json_decref(doc);
	json_decref(schema);
	chain_bootinfo_free(&info);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_invalid), cmocka_unit_test(test_valid),          cmocka_unit_test(test_truncated),
		cmocka_unit_test(test_mutated), cmocka_unit_test(test_there_and_back), cmocka_unit_test(test_normalise),
		cmocka_unit_test(test_limits),  cmocka_unit_test(test_large_numbers),  cmocka_unit_test(test_colors),
		cmocka_unit_test(test_schema),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
