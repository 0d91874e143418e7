/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* What each kernel of a fan-out gets: which kernels there are, slices that lose nothing, texts that differ in `self`
 * only. */
#include "bake_fixture.h"

#include "chain/fanout.h"
#include "chain/handoff.h"
#include "chain/json.h"
#include "random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static const char lines[] = "one\ntwo three\n\nfour five six\nseven";

struct case_image {
	struct chain_image image;
	uint8_t *bytes;
	struct chain_config config;
};

static void open_case(struct case_image *c, const char *fanout, const char *args)
{
	static const struct {
		const char *path, *text;
	} files[] = {
		{ "/corpus/b.txt", "bb" },
		{ "/corpus/a.txt", "a" },
		{ "/corpus/.hidden.txt", "h" },
		{ "/corpus/c.dat", "ccc" },
		{ "/corpus/sub/d.txt", "d" },
		{ "/lines", lines },
		{ "/empty", "" },
		{ "/k", "k" },
	};
	char text[2048];
	uint8_t stage[STAGE_FILE_BYTES];
	struct chain_error err = { 0 };
	struct fs_spec specs[sizeof(files) / sizeof(files[0])];
	struct sink sink = { 0 };
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		specs[i] = file_spec(files[i].path, (char *)(uintptr_t)files[i].text);
	stage_make(stage);
	struct chain_bake_request request = request_make(stage, specs, sizeof(files) / sizeof(files[0]), &sink);
	struct chain_bake_result result;
	assert_int_equal(chain_bake(&request, &result, &err), CHAIN_OK);
	c->bytes = sink.bytes;
	assert_int_equal(chain_image_open(&c->image, c->bytes, sink.count, &err), CHAIN_OK);
	snprintf(text, sizeof(text),
		 "{\"kchain\":1,\"name\":\"p\",\"files\":{\"/k\":\"k\"},\"steps\":[{\"name\":\"s\",\"call\":\"fs:/"
		 "k\",\"args\":\"%s\","
		 "\"fanout\":%s}]}",
		 args, fanout);
	enum chain_status status = chain_config_parse(text, strlen(text), "case", false, &c->config, &err);
	if (status)
		fail_msg("%s at %s", chain_status_slug(status), err.subject);
}

static void close_case(struct case_image *c)
{
	chain_config_free(&c->config);
	free(c->bytes);
}

static void expect_inputs(const char *fanout, size_t count, const char *const *wanted)
{
	struct case_image c;
	struct chain_fanout_set set;
	struct chain_error err = { 0 };
	open_case(&c, fanout, "");
	enum chain_status status = chain_fanout_expand(&c.config.steps[0], &c.image, NULL, &set, &err);
	if (status)
		fail_msg("%s: %s at %s", fanout, chain_status_slug(status), err.subject);
	assert_int_equal(set.count, count);
	for (size_t i = 0; i < count && wanted; i++)
		assert_string_equal(set.inputs[i], wanted[i]);
	assert_true(wanted || !set.inputs);
	chain_fanout_set_free(&set);
	close_case(&c);
}

static void expect_refused(const char *fanout, enum chain_status wanted)
{
	struct case_image c;
	struct chain_fanout_set set;
	struct chain_error err = { 0 };
	open_case(&c, fanout, "");
	assert_string_equal(chain_status_slug(chain_fanout_expand(&c.config.steps[0], &c.image, NULL, &set, &err)),
			    chain_status_slug(wanted));
	assert_null(set.inputs);
	close_case(&c);
}

/* What the state says when the step is taken: any JSON, by a stranger. */
static void test_from_state(void **state)
{
	static const struct {
		const char *fanout, *state;
		size_t count;
		enum chain_status want;
	} cases[] = {
		{ "{\"count\":\"{{state.n}}\"}", "{\"n\":3}", 3, CHAIN_OK },
		{ "{\"count\":\"{{state.n}}\"}", "{\"n\":65536}", 65536, CHAIN_OK },
		{ "{\"count\":\"{{state.a.b}}\"}", "{\"a\":{\"b\":1}}", 1, CHAIN_OK },
		{ "{\"count\":\"{{state.n}}\"}", "{}", 0, CHAIN_E_FANOUT_ABSENT },
		{ "{\"count\":\"{{state.n}}\"}", "{\"n\":0}", 0, CHAIN_E_FANOUT_COUNT },
		{ "{\"count\":\"{{state.n}}\"}", "{\"n\":-1}", 0, CHAIN_E_FANOUT_STATE },
		{ "{\"count\":\"{{state.n}}\"}", "{\"n\":65537}", 0, CHAIN_E_FANOUT_COUNT },
		{ "{\"count\":\"{{state.n}}\"}", "{\"n\":9223372036854775807}", 0, CHAIN_E_FANOUT_COUNT },
		{ "{\"count\":\"{{state.n}}\"}", "{\"n\":2.5}", 0, CHAIN_E_FANOUT_STATE },
		{ "{\"count\":\"{{state.n}}\"}", "{\"n\":\"3\"}", 0, CHAIN_E_FANOUT_STATE },
		{ "{\"count\":\"{{state.n}}\"}", "{\"n\":[1,2]}", 0, CHAIN_E_FANOUT_STATE },
		{ "{\"count\":\"{{state.n}}\"}", "{\"n\":null}", 0, CHAIN_E_FANOUT_ABSENT },
		{ "{\"list\":\"{{state.l}}\"}", "{\"l\":[1,\"a\",{\"b\":null}]}", 3, CHAIN_OK },
		{ "{\"list\":\"{{state.l}}\"}", "{\"l\":[]}", 0, CHAIN_E_FANOUT_COUNT },
		{ "{\"list\":\"{{state.l}}\"}", "{\"l\":{\"a\":1}}", 0, CHAIN_E_FANOUT_STATE },
		{ "{\"list\":\"{{state.l}}\"}", "{\"l\":\"abc\"}", 0, CHAIN_E_FANOUT_STATE },
		{ "{\"list\":\"{{state.l}}\"}", "{\"l\":7}", 0, CHAIN_E_FANOUT_STATE },
		{ "{\"list\":\"{{state.l}}\"}", "{}", 0, CHAIN_E_FANOUT_ABSENT },
	};
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct case_image c;
		struct chain_fanout_set set;
		struct chain_error err = { 0 };
		json_t *handoff = json_pack("{s:o}", "state", json_loads(cases[i].state, 0, NULL)), *resolved;
		assert_non_null(handoff);
		open_case(&c, cases[i].fanout, "");
		assert_int_equal(chain_fanout_resolve(&c.config.steps[0], handoff, &resolved, &err), CHAIN_OK);
		enum chain_status got = chain_fanout_expand(&c.config.steps[0], &c.image, resolved, &set, &err);
		if (got != cases[i].want || set.count != cases[i].count)
			fail_msg("%s with %s: %s, %zu", cases[i].fanout, cases[i].state, chain_status_slug(got),
				 set.count);
		chain_fanout_set_free(&set);
		assert_int_equal(chain_fanout_expand(&c.config.steps[0], &c.image, NULL, &set, NULL),
				 CHAIN_E_FANOUT_ABSENT);
		close_case(&c);
		json_decref(resolved);
		json_decref(handoff);
	}
}

/* A list is taken out of the document, and of nothing that the document shares; all else stays where it is. */
static void test_list_is_left_out(void **state)
{
	static const struct {
		const char *fanout, *state, *left, *resolved;
	} cases[] = {
		{ "{\"list\":\"{{state.l}}\"}", "{\"a\":1,\"l\":[1,2],\"z\":[3]}", "{\"a\":1,\"z\":[3]}", "[1,2]" },
		{ "{\"list\":\"{{state.l}}\"}", "{\"l\":[]}", "{}", "[]" },
		{ "{\"list\":\"{{state.a.b.l}}\"}", "{\"a\":{\"b\":{\"l\":[[1]],\"m\":{}},\"c\":2},\"l\":[5]}",
		  "{\"a\":{\"b\":{\"m\":{}},\"c\":2},\"l\":[5]}", "[[1]]" },
		{ "{\"list\":\"{{state.l}}\"}", "{\"l\":{\"a\":[1]}}", "{\"l\":{\"a\":[1]}}", "{\"a\":[1]}" },
		{ "{\"list\":\"{{state.l}}\"}", "{\"l\":\"text\"}", "{\"l\":\"text\"}", "\"text\"" },
		{ "{\"list\":\"{{state.l}}\"}", "{\"l\":null}", "{\"l\":null}", NULL },
		{ "{\"list\":\"{{state.a.l}}\"}", "{\"a\":[1]}", "{\"a\":[1]}", NULL },
		{ "{\"count\":\"{{state.n}}\"}", "{\"n\":3}", "{\"n\":3}", "3" },
		{ "{\"count\":\"{{state.n}}\"}", "{\"n\":[3]}", "{\"n\":[3]}", "[3]" },
		{ "{\"count\":2}", "{\"n\":[3]}", "{\"n\":[3]}", NULL },
		{ "{\"list\":[1,2]}", "{\"l\":[1,2]}", "{\"l\":[1,2]}", NULL },
	};
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct case_image c;
		struct chain_error err = { 0 };
		json_t *shared = json_loads(cases[i].state, 0, NULL), *resolved;
		json_t *handoff = json_pack("{s:O, s:i}", "state", shared, "other", 1);
		open_case(&c, cases[i].fanout, "");
		assert_int_equal(chain_fanout_resolve(&c.config.steps[0], handoff, &resolved, &err), CHAIN_OK);
		char *left = json_dumps(json_object_get(handoff, "state"), JSON_COMPACT),
		     *same = json_dumps(shared, JSON_COMPACT),
		     *value = resolved ? json_dumps(resolved, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
		assert_string_equal(left, cases[i].left);
		assert_string_equal(same, cases[i].state);
		assert_string_equal(value ? value : "none", cases[i].resolved ? cases[i].resolved : "none");
		assert_int_equal(json_integer_value(json_object_get(handoff, "other")), 1);
		free(left);
		free(same);
		free(value);
		json_decref(resolved);
		json_decref(handoff);
		json_decref(shared);
		close_case(&c);
	}
}

static void test_kinds(void **state)
{
	(void)state;
	expect_inputs("{\"count\":3}", 3, NULL);
	expect_inputs("{\"list\":[1,\"x\",{\"a\":null}]}", 3, (const char *const[]){ "1", "\"x\"", "{\"a\":null}" });
	expect_inputs("{\"each\":\"fs:/corpus/*.txt\"}", 2,
		      (const char *const[]){ "\"fs:/corpus/a.txt\"", "\"fs:/corpus/b.txt\"" });
	expect_inputs("{\"each\":\"fs:/corpus/*\"}", 3,
		      (const char *const[]){ "\"fs:/corpus/a.txt\"", "\"fs:/corpus/b.txt\"", "\"fs:/corpus/c.dat\"" });
	expect_inputs("{\"each\":\"fs:/corpus/.*\"}", 1, (const char *const[]){ "\"fs:/corpus/.hidden.txt\"" });
	expect_inputs("{\"each\":\"fs:/corpus/?.t*t\"}", 2,
		      (const char *const[]){ "\"fs:/corpus/a.txt\"", "\"fs:/corpus/b.txt\"" });
	expect_inputs("{\"each\":\"fs:/lines\"}", 1, (const char *const[]){ "\"fs:/lines\"" });
}

static void test_refused(void **state)
{
	(void)state;
	expect_refused("{\"each\":\"fs:/corpus/*.none\"}", CHAIN_E_FANOUT_EMPTY);
	expect_refused("{\"each\":\"fs:/nowhere/*\"}", CHAIN_E_FS_NOT_FOUND);
	expect_refused("{\"each\":\"fs:/lines/*\"}", CHAIN_E_FS_NOT_DIRECTORY);
	expect_refused("{\"slices\":{\"of\":\"fs:/nowhere\",\"count\":2}}", CHAIN_E_MANIFEST_NO_ENTRY);
}

/* A file whose bytes are not what the manifest says is no input. */
static void test_damaged(void **state)
{
	struct case_image c;
	struct chain_fanout_set set;
	struct chain_error err = { 0 };
	const uint8_t *bytes;
	uint64_t count;
	(void)state;
	open_case(&c, "{\"each\":\"fs:/corpus/*\"}", "");
	assert_int_equal(chain_image_file(&c.image, "/corpus/b.txt", &bytes, &count, NULL, &err), CHAIN_OK);
	((uint8_t *)(uintptr_t)bytes)[0] ^= 1;
	assert_int_not_equal(chain_fanout_expand(&c.config.steps[0], &c.image, NULL, &set, &err), CHAIN_OK);
	assert_non_null(strstr(err.subject, "b.txt"));
	close_case(&c);
}

/* Slices follow each other without a gap, cover the file, and end behind a line's end unless bytes are wanted. */
static void check_slices(const char *file, size_t size, unsigned count, bool by_line)
{
	char fanout[128];
	struct case_image c;
	struct chain_fanout_set set;
	struct chain_error err = { 0 };
	json_int_t at = 0;
	snprintf(fanout, sizeof(fanout), "{\"slices\":{\"of\":\"fs:%s\",\"count\":%u,\"at\":\"%s\"}}", file, count,
		 by_line ? "line" : "byte");
	open_case(&c, fanout, "");
	assert_int_equal(chain_fanout_expand(&c.config.steps[0], &c.image, NULL, &set, &err), CHAIN_OK);
	assert_int_equal(set.count, count);
	for (size_t i = 0; i < set.count; i++) {
		json_t *slice = json_loads(set.inputs[i], 0, NULL);
		json_int_t bytes = json_integer_value(json_object_get(slice, "bytes"));
		assert_int_equal(json_integer_value(json_object_get(slice, "offset")), at);
		at += bytes;
		if (by_line && bytes && (size_t)at < size)
			assert_int_equal(lines[at - 1], '\n');
		json_decref(slice);
	}
	assert_int_equal(at, size);
	chain_fanout_set_free(&set);
	close_case(&c);
}

static void test_slices(void **state)
{
	(void)state;
	for (unsigned count = 1; count < 50; count++) {
		check_slices("/lines", sizeof(lines) - 1, count, true);
		check_slices("/lines", sizeof(lines) - 1, count, false);
		check_slices("/empty", 0, count, true);
	}
}

static json_t *handoff(void)
{
	return json_pack("{s:i, s:{s:s, s:s}, s:{s:s}}", "kchain_handoff", 1, "self", "step", "s", "kind", "call",
			 "state", "x", "y");
}

/* The text is a document that equals the step's but for `self`, which has the kernel's own members besides the step's.
 */
static void check_text(struct chain_fanout_texts *texts, size_t index, unsigned attempt, const char *input,
		       const char *wanted_args)
{
	const char *text, *args;
	size_t bytes;
	struct chain_error err = { 0 };
	assert_int_equal(chain_fanout_text(texts, index, attempt, &text, &bytes, &args, &err), CHAIN_OK);
	assert_string_equal(args, wanted_args);
	assert_int_equal(strlen(text), bytes);
	assert_true(bytes + 1 + strlen(args) + 1 <= chain_fanout_text_bytes(texts) + 1);
	json_t *doc = json_loadb(text, bytes, JSON_REJECT_DUPLICATES, NULL), *same = handoff();
	assert_non_null(doc);
	json_t *self = json_object_get(same, "self");
	json_object_set_new(self, "index", json_integer((json_int_t)index));
	json_object_set_new(self, "count", json_integer((json_int_t)texts->set->count));
	json_object_set_new(self, "attempt", json_integer(attempt));
	if (input)
		json_object_set_new(self, "input", json_loads(input, JSON_DECODE_ANY, NULL));
	assert_true(json_equal(doc, same));
	json_decref(doc);
	json_decref(same);
}

static void with_texts(const char *fanout, const char *args, void (*each)(struct chain_fanout_texts *texts))
{
	struct case_image c;
	struct chain_fanout_set set;
	struct chain_fanout_texts texts;
	struct chain_error err = { 0 };
	json_t *doc = handoff();
	open_case(&c, fanout, args);
	assert_int_equal(chain_fanout_expand(&c.config.steps[0], &c.image, NULL, &set, &err), CHAIN_OK);
	assert_int_equal(chain_fanout_texts_make(&c.config.steps[0], &set, doc, "same for all", &texts, &err),
			 CHAIN_OK);
	each(&texts);
	chain_fanout_texts_free(&texts);
	chain_fanout_set_free(&set);
	json_decref(doc);
	close_case(&c);
}

static void each_count(struct chain_fanout_texts *texts)
{
	check_text(texts, 0, 0, NULL, "same for all");
	check_text(texts, 65535, 100, NULL, "same for all");
	check_text(texts, 7, 1, NULL, "same for all");
}

static void each_list(struct chain_fanout_texts *texts)
{
	check_text(texts, 1, 0, "\"a long text, longer than all the others\"", "1/3/0 none");
	check_text(texts, 0, 2, "{\"a\":\"A\"}", "0/3/2 A");
	check_text(texts, 2, 0, "null", "2/3/0 none");
}

static void test_texts(void **state)
{
	(void)state;
	with_texts("{\"count\":65536}", "as they are", each_count);
	with_texts("{\"list\":[{\"a\":\"A\"},\"a long text, longer than all the others\",null]}",
		   "{{self.index}}/{{self.count}}/{{self.attempt}} {{self.input.a|none}}", each_list);
}

/* Gives the step three disks, to kernels 1, 1 and 2. */
static void add_devices(struct chain_step *step)
{
	static const struct {
		const char *name;
		uint64_t kernel;
	} assigned[] = { { "a", 1 }, { "b.c-d_e", 1 }, { "z", 2 } };
	step->device_count = sizeof(assigned) / sizeof(assigned[0]);
	step->devices = calloc(step->device_count, sizeof(*step->devices));
	for (size_t i = 0; i < step->device_count; i++)
		step->devices[i] = (struct chain_config_assigned){ .name = strdup(assigned[i].name),
								   .kernel = assigned[i].kernel };
}

static void check_devices(struct chain_fanout_texts *texts, size_t index, const char *wanted)
{
	const char *text, *args;
	size_t bytes;
	struct chain_error err = { 0 };
	assert_int_equal(chain_fanout_text(texts, index, 0, &text, &bytes, &args, &err), CHAIN_OK);
	assert_true(bytes + 1 + strlen(args) + 1 <= chain_fanout_text_bytes(texts) + 1);
	json_t *doc = json_loadb(text, bytes, JSON_REJECT_DUPLICATES, NULL);
	json_t *devices = json_object_get(json_object_get(doc, "self"), "devices");
	char *found = devices ? json_dumps(devices, JSON_COMPACT) : NULL;
	assert_non_null(doc);
	assert_string_equal(found ? found : "none", wanted);
	free(found);
	json_decref(doc);
}

static void test_devices(void **state)
{
	struct case_image c;
	struct chain_fanout_set set;
	struct chain_fanout_texts texts;
	struct chain_error err = { 0 };
	json_t *doc = handoff();
	(void)state;
	open_case(&c, "{\"each\":\"fs:/corpus/*\"}", "");
	add_devices(&c.config.steps[0]);
	assert_int_equal(chain_fanout_expand(&c.config.steps[0], &c.image, NULL, &set, &err), CHAIN_OK);
	assert_int_equal(chain_fanout_texts_make(&c.config.steps[0], &set, doc, "", &texts, &err), CHAIN_OK);
	check_devices(&texts, 1, "[\"a\",\"b.c-d_e\"]");
	check_devices(&texts, 0, "none");
	check_devices(&texts, 2, "[\"z\"]");
	chain_fanout_texts_free(&texts);
	chain_fanout_set_free(&set);
	c.config.steps[0].devices[1].kernel = 3; /* of three files */
	assert_int_equal(chain_fanout_expand(&c.config.steps[0], &c.image, NULL, &set, &err),
			 CHAIN_E_CONFIG_DEVICE_INDEX);
	assert_string_equal(err.subject, "s.devices[\"b.c-d_e\"]");
	assert_true(err.number[0] == 3 && err.number[1] == 3);
	json_decref(doc);
	close_case(&c);
}

static void test_args_differ(void **state)
{
	(void)state;
	assert_true(chain_fanout_args_differ("a {{self.index}}"));
	assert_true(chain_fanout_args_differ("{{self.step}} {{self.input.a|b}}"));
	assert_true(chain_fanout_args_differ("{{self.count}}{{self.attempt}}"));
	assert_false(chain_fanout_args_differ("{{self.step}} self.index {{state.x|y}}"));
}

static void test_required(void **state)
{
	(void)state;
	static const struct {
		unsigned percent;
		uint64_t count;
		size_t of, wanted;
	} cases[] = {
		{ 100, 0, 7, 7 }, { 95, 0, 10, 10 }, { 95, 0, 20, 19 }, { 95, 0, 1000, 950 },     { 1, 0, 3, 1 },
		{ 0, 5, 10, 5 },  { 0, 50, 10, 10 }, { 0, 0, 10, 0 },   { 100, 0, 65536, 65536 },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct chain_config_fanout fanout = { .require_percent = cases[i].percent,
						      .require_count = cases[i].count };
		assert_int_equal(chain_fanout_required(&fanout, cases[i].of), cases[i].wanted);
	}
}

/* A machine with `mib` of memory above the first MiB and `cpus` processors; the image has its first 4 MiB. */
static enum chain_status lay_out(const char *fanout, size_t count, uint64_t mib, uint32_t cpus, uint32_t *workers,
				 struct chain_error *err)
{
	struct case_image c;
	struct chain_fanout_layout layout;
	struct chain_mem_entry memory[] = { { { 0x100000, (mib + 1) << 20 }, CHAIN_MEM_AVAILABLE },
					    { { (mib + 1) << 20, (mib + 2) << 20 }, CHAIN_MEM_RESERVED } };
	struct chain_boot_module module = { .range = { 5 << 20, 6 << 20 } };
	struct chain_bootinfo machine = { .mem = memory,
					  .mem_count = 2,
					  .image = { 1 << 20, 5 << 20 },
					  .cpus = cpus,
					  .modules = &module,
					  .module_count = 1 };
	open_case(&c, fanout, "");
	c.config.steps[0].memory_bytes = 4 << 20;
	enum chain_status status =
		chain_fanout_lay_out(&c.config.steps[0], count, NULL, &machine, 1 << 20, &layout, err);
	*workers = layout.workers;
	for (uint32_t i = 0; i < layout.workers; i++) {
		assert_int_equal(chain_range_bytes(layout.windows[i]), 4 << 20);
		assert_true(layout.windows[i].base >= 6 << 20 && layout.windows[i].end <= (mib + 1) << 20);
		for (uint32_t j = 0; j < i; j++)
			assert_false(chain_range_overlaps(layout.windows[i], layout.windows[j]));
	}
	chain_fanout_layout_free(&layout);
	close_case(&c);
	return status;
}

static void test_layout(void **state)
{
	struct chain_error err = { 0 };
	uint32_t workers;
	(void)state;
	static const struct {
		const char *fanout;
		size_t count;
		uint64_t mib;
		uint32_t cpus, wanted;
	} fits[] = {
		{ "{\"count\":9}", 9, 64, 1, 1 },
		{ "{\"count\":9}", 9, 64, 8, 8 },
		{ "{\"count\":3}", 3, 64, 8, 3 },
		{ "{\"count\":9,\"cpus\":1}", 9, 64, 1, 1 },
		{ "{\"count\":9,\"cpus\":2}", 9, 64, 5, 2 },
		{ "{\"count\":9,\"cpus\":4}", 9, 64, 5, 1 },
		{ "{\"count\":9,\"cpus\":2}", 9, 64, 6, 2 },
		{ "{\"count\":9,\"cpus\":2,\"concurrency\":1}", 9, 64, 9, 1 },
		{ "{\"count\":1,\"cpus\":1023}", 1, 64, 1024, 1 },
		{ "{\"count\":99,\"cpus\":2}", 99, 64, 99, 14 },
		{ "{\"count\":9,\"concurrency\":2}", 9, 64, 8, 2 },
		{ "{\"count\":9}", 9, 10, 8, 1 },
		{ "{\"count\":99}", 99, 64, 99, 14 },
	};
	for (size_t i = 0; i < sizeof(fits) / sizeof(fits[0]); i++) {
		assert_int_equal(lay_out(fits[i].fanout, fits[i].count, fits[i].mib, fits[i].cpus, &workers, &err),
				 CHAIN_OK);
		assert_int_equal(workers, fits[i].wanted);
	}
	assert_int_equal(lay_out("{\"count\":9,\"concurrency\":3}", 9, 16, 8, &workers, &err), CHAIN_E_NO_SPACE);
	char text[256];
	chain_error_format(&err, text, sizeof(text)); /* 16 MiB less image and module, heap, two windows leave 2 */
	assert_string_equal(text,
			    "s, window 3 of 3: no room for 4194304 bytes between 0x100000 and 0x200000000000: the "
			    "largest free place there has 2097152");
	err = (struct chain_error){ 0 };
	assert_int_equal(lay_out("{\"count\":1}", 1, 6, 1, &workers, &err), CHAIN_E_NO_SPACE);
}

#define GIB ((uint64_t)1 << 30)

static enum chain_status lay_out_on(struct chain_bootinfo *machine, uint64_t bytes, uint32_t count,
				    struct chain_fanout_layout *layout, struct chain_error *err)
{
	static char name[] = "s";
	const struct chain_step step = { .name = name,
					 .source = name,
					 .memory_bytes = bytes,
					 .fanout = { .kind = CHAIN_FANOUT_COUNT, .cpus = 1, .concurrency = count } };
	machine->cpus = count + 1;
	return chain_fanout_lay_out(&step, count, NULL, machine, 2 << 20, layout, err);
}

/* 16 GiB, as QEMU's pc has them: 3 GiB below the border and 13 above. */
static void windows_lie_above_4_gib(void **state)
{
	struct chain_mem_entry memory[] = { { { 1 << 20, 3 * GIB }, CHAIN_MEM_AVAILABLE },
					    { { 4 * GIB, 17 * GIB }, CHAIN_MEM_AVAILABLE } };
	struct chain_bootinfo machine = { .mem = memory, .mem_count = 2, .image = { 1 << 20, 5 << 20 } };
	struct chain_fanout_layout layout;
	struct chain_error err = { 0 };
	char text[256];
	(void)state;
	assert_int_equal(lay_out_on(&machine, GIB, 6, &layout, &err), CHAIN_OK);
	for (uint32_t i = 0; i < 6; i++) /* behind the heap, which has the highest 2 MiB */
		assert_int_equal(layout.windows[i].base, (16 - i) * GIB - (2 << 20));
	chain_fanout_layout_free(&layout);
	assert_int_equal(lay_out_on(&machine, GIB, 14, &layout, &err), CHAIN_OK); /* 12 above and 2 below */
	assert_int_equal(layout.windows[12].base, 2 * GIB);
	chain_fanout_layout_free(&layout);
	assert_int_equal(lay_out_on(&machine, GIB, 15, &layout, &err), CHAIN_E_NO_SPACE);
	chain_error_format(&err, text, sizeof(text));
	assert_string_equal(text, "s, window 15 of 15: no room for 1073741824 bytes between 0x100000 and "
				  "0x200000000000: the largest free place there has 1071644672");
}

/* The map is in order. */
static void assert_available(const struct chain_bootinfo *machine, struct chain_range range)
{
	for (size_t i = 0; i < machine->mem_count; i++)
		if (machine->mem[i].type == CHAIN_MEM_AVAILABLE && machine->mem[i].range.base <= range.base &&
		    machine->mem[i].range.end > range.base)
			range.base = machine->mem[i].range.end < range.end ? machine->mem[i].range.end : range.end;
	assert_int_equal(range.base, range.end);
}

/* Three pairs of neighbours: at 1 MiB, about 4 GiB, and about the end of what a stage can see. */
static void random_memory(struct chain_mem_entry memory[6], uint64_t most)
{
	const uint64_t borders[] = { 1 << 20, 4 * GIB, CHAIN_MEMORY_END };
	for (size_t i = 0; i < 6; i++) {
		uint64_t at = i % 2 ? memory[i - 1].range.end : borders[i / 2] - (i ? 4096 * rnd(2 * most) : 0);
		memory[i] = (struct chain_mem_entry){ { at, at + 4096 * (1 + rnd(2 * most)) },
						      rnd(5) ? CHAIN_MEM_AVAILABLE : CHAIN_MEM_RESERVED };
	}
}

static void random_layouts_are_sound(void **state)
{
	enum { ROUNDS = 3000, WINDOWS = 8, PAGES = 1024 };
	unsigned above = 0, across = 0, full = 0;
	(void)state;
	for (unsigned round = 0; round < ROUNDS; round++) {
		struct chain_mem_entry memory[6];
		struct chain_bootinfo machine = { .mem = memory, .mem_count = 6 };
		struct chain_fanout_layout layout;
		struct chain_error err = { 0 };
		const uint64_t bytes = 4096 * (1 + rnd(PAGES));
		random_memory(memory, PAGES);
		if (lay_out_on(&machine, bytes, WINDOWS, &layout, &err)) {
			assert_true(err.status == CHAIN_E_NO_SPACE && err.number[3] < err.number[0]);
			full++;
			continue;
		}
		for (uint32_t i = 0; i < WINDOWS; i++) {
			const struct chain_range w = layout.windows[i];
			assert_available(&machine, w);
			assert_true(w.base >= 1 << 20 && w.end <= CHAIN_MEMORY_END && chain_range_bytes(w) == bytes);
			for (uint32_t j = 0; j < i; j++)
				assert_false(chain_range_overlaps(w, layout.windows[j]));
			above += w.base >= 4 * GIB;
			across += w.base < 4 * GIB && w.end > 4 * GIB;
		}
		chain_fanout_layout_free(&layout);
	}
	print_message("%u windows above 4 GiB, %u across; %u machines too small\n", above, across, full);
	assert_true(above > ROUNDS && across > 20 && full > 20);
}

/* Processors wanted, there, and missing. */
static void test_too_few_processors(void **state)
{
	static const struct {
		const char *fanout;
		uint32_t processors;
		uint64_t numbers[4];
	} cases[] = {
		{ "{\"count\":9,\"cpus\":2}", 1, { 2, 3, 1, 2 } },
		{ "{\"count\":9,\"cpus\":2}", 2, { 2, 3, 2, 1 } },
		{ "{\"count\":1,\"cpus\":5}", 5, { 5, 6, 5, 1 } },
		{ "{\"count\":1,\"cpus\":1023}", 255, { 1023, 1024, 255, 769 } },
	};
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct chain_error err = { 0 };
		uint32_t workers;
		assert_int_equal(lay_out(cases[i].fanout, 9, 64, cases[i].processors, &workers, &err),
				 CHAIN_E_FANOUT_CPUS);
		assert_int_equal(workers, 0);
		assert_string_equal(err.subject, "s");
		assert_memory_equal(err.number, cases[i].numbers, sizeof(cases[i].numbers));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_from_state),
		cmocka_unit_test(test_list_is_left_out),
		cmocka_unit_test(test_kinds),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_damaged),
		cmocka_unit_test(test_slices),
		cmocka_unit_test(test_texts),
		cmocka_unit_test(test_devices),
		cmocka_unit_test(test_args_differ),
		cmocka_unit_test(test_required),
		cmocka_unit_test(test_layout),
		cmocka_unit_test(windows_lie_above_4_gib),
		cmocka_unit_test(random_layouts_are_sound),
		cmocka_unit_test(test_too_few_processors),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
