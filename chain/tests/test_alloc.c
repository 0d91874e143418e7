/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Every allocation of the library fails in turn: the status is CHAIN_E_NO_MEMORY, or all is well; nothing leaks
 * (with sanitizers), nothing is half made. fs/ has its own, fs/tests/test_memory.c. */
#include "alloc_fail.h"
#include "bake_fixture.h"

#include "chain/bootinfo_json.h"
#include "chain/fanout.h"
#include "chain/guest.h"
#include "chain/handoff.h"
#include "chain/json.h"
#include "chain/multiboot.h"
#include "chain/boot_read.h"
#include "chain/plan_json.h"
#include "chain/step.h"
#include "chain/template.h"
#include "json_cases.h"

/* What all of them work on: an image with a Multiboot kernel, its pipeline, a machine, a handoff that was received.
 * Made once. */
static const char pipeline[] =
	"{\"kchain\":1,\"name\":\"a\",\"state\":{\"n\":\"{{platform.cpus}}\",\"l\":[1,\"x {{self.step}}\"]},"
	"\"net\":{\"lan\":{\"dhcp\":true,\"hostname\":\"h\"}},\"block\":{\"data\":{\"match\":{\"serial\":\"S\"},"
	"\"need\":\"optional\"}},\"steps\":["
	"{\"name\":\"each\",\"call\":\"fs:/k\",\"isolation\":\"svm\",\"args\":\"{{self.index}} "
	"{{self.input}}\",\"fanout\":{\"each\":\"fs:/m*\"}},"
	"{\"name\":\"go\",\"when\":{\"state.n\":2,\"results.each.status\":\"ok\"},\"boot\":\"fs:/"
	"k\",\"args\":\"a={{net.lan.address}} {{state.n}}\",\"fs\":\"keep\","
	"\"modules\":[{\"from\":\"fs:/m1\",\"string\":\"m {{results.each.status|none}}\"},{\"from\":\"fs:/m2\"}]},"
	"{\"name\":\"fixed\",\"call\":\"fs:/k\",\"memory\":\"1M\",\"args\":\"{{self.mailbox.phys|0}}\"},"
	"{\"name\":\"listed\",\"call\":\"fs:/k\",\"isolation\":\"svm\",\"fanout\":{\"list\":\"{{state.l}}\"}}]}";

static struct {
	uint8_t stage[STAGE_FILE_BYTES], boot_id[CHAIN_BOOT_ID_BYTES];
	struct sink file;
	struct chain_image image;
	struct chain_config config;
	struct chain_bootinfo info;
	struct chain_sources sources;
	struct chain_link link;
	json_t *parent, *net, *block, *results;
	const char *text; /* of a case in data/ */
	size_t bytes;
} all;

static char kernel_bytes[256], module_one[] = "module one\n", module_two[] = "module two, which is longer\n";

static enum chain_status bake(struct sink *sink, struct chain_bake_result *result, struct chain_error *err)
{
	struct fs_spec specs[] = { file_spec("/k", kernel_bytes), file_spec("/m1", module_one),
				   file_spec("/m2", module_two), link_spec("/latest", "m1") };
	specs[0].size_bytes = sizeof(kernel_bytes);
	struct chain_bake_request request = request_make(all.stage, specs, sizeof(specs) / sizeof(specs[0]), sink);
	return chain_bake(&request, result, err);
}

static json_t *json_of(const char *text)
{
	json_t *value = json_loads(text, JSON_DECODE_ANY, NULL);
	assert_non_null(value);
	return value;
}

static void add_devices(void)
{
	size_t bytes;
	char *received = valid_case("handoff-full", &bytes);
	all.net = json_of("{\"lan\":{\"status\":\"configured\",\"addresses\":[\"10.0.2.15/"
			  "24\"],\"lease\":{\"lifetime_s\":1,\"obtained_us\":1}}}");
	all.block = json_of("{\"data\":{\"status\":\"absent\",\"reason\":\"none\"}}");
	all.results = json_of("{\"each\":{\"status\":\"ok\",\"exit\":0,\"result\":[1,2]}}");
	assert_int_equal(chain_handoff_parse(received, bytes, &all.parent, NULL), CHAIN_OK);
	free(received);
}

static int setup(void **state)
{
	const uint32_t header[] = { MULTIBOOT_HEADER_MAGIC,
				    1 << 16,
				    0u - MULTIBOOT_HEADER_MAGIC - (1 << 16),
				    0x100000,
				    0x100000,
				    0,
				    0,
				    0x100020 };
	struct chain_bake_result result;
	struct chain_error err = { 0 };
	(void)state;
	chain_json_memory_init();
	memset(kernel_bytes, 'k', sizeof(kernel_bytes));
	memcpy(kernel_bytes, header, sizeof(header));
	stage_make(all.stage);
	assert_ok(bake(&all.file, &result, &err), &err);
	assert_ok(chain_image_open(&all.image, all.file.bytes, all.file.count, &err), &err);
	assert_ok(chain_config_parse(pipeline, strlen(pipeline), "p", true, &all.config, &err), &err);
	assert_ok(chain_bootinfo_qemu("pc", 64 << 20, 2, &all.info, &err), &err);
	all.info.image = (struct chain_range){ 0x100000, 0x400000 };
	all.info.framebuffer = (struct chain_framebuffer){ 0xfd000000, 4096, 1024, 768, 32, 1, { 16, 8, 8, 8, 0, 8 } };
	assert_ok(chain_bootinfo_add_module(&all.info, 0x500000, 4096, "boot", &err), &err);
	add_devices();
	uint64_t fs = 0x100000 + all.image.header.fs_offset;
	all.sources = (struct chain_sources){ .image = &all.image, .fs_phys = fs, .bootinfo = &all.info };
	all.link = (struct chain_link){ .config = &all.config,
					.sources = &all.sources,
					.fs = { fs, fs + all.image.header.fs_memory_bytes },
					.parent = all.parent,
					.net = all.net,
					.block = all.block,
					.results = all.results,
					.door = "multiboot1",
					.boot_id = all.boot_id,
					.entered_ticks = 1000,
					.left_ticks = 2000,
					.tsc_hz = 1000000000 };
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	json_decref(all.parent);
	json_decref(all.net);
	json_decref(all.block);
	json_decref(all.results);
	chain_bootinfo_free(&all.info);
	chain_config_free(&all.config);
	free(all.file.bytes);
	return 0;
}

/* Steals `value`. */
static uint64_t sum_of_json(json_t *value)
{
	alloc_stop();
	char *text = json_dumps(value, JSON_SORT_KEYS | JSON_ENCODE_ANY);
	assert_non_null(text);
	uint64_t sum = alloc_sum(0, text, strlen(text));
	free(text);
	json_decref(value);
	return sum;
}

static uint64_t sum_of_text(char *text)
{
	alloc_stop();
	uint64_t sum = alloc_sum(0, text, strlen(text));
	free(text);
	return sum;
}

/* --- documents --- */

static enum chain_status act_config(void *ctx, uint64_t *out_sum, struct chain_error *err)
{
	struct chain_config config;
	char *text;
	(void)ctx;
	enum chain_status status = chain_config_parse(all.text, all.bytes, "p", true, &config, err);
	if (status)
		return status;
	status = chain_config_baked_text(&config, &text, err);
	if (!status)
		*out_sum = sum_of_text(text);
	chain_config_free(&config);
	return status;
}

/* One that reads on behind failures stops where memory runs out, and tells that last. */
static enum chain_status act_config_all(void *ctx, uint64_t *out_sum, struct chain_error *err)
{
	static struct chain_errors errors;
	struct chain_config config;
	(void)ctx;
	errors.count = errors.more = 0;
	enum chain_status status = chain_config_parse_all(all.text, all.bytes, "p", true, &config, &errors);
	*out_sum = config.step_count;
	chain_config_free(&config);
	if (errors.count)
		*err = errors.v[errors.count - 1];
	return status;
}

static enum chain_status act_handoff_parse(void *ctx, uint64_t *out_sum, struct chain_error *err)
{
	json_t *doc;
	(void)ctx;
	enum chain_status status = chain_handoff_parse(all.text, all.bytes, &doc, err);
	if (!status)
		*out_sum = sum_of_json(doc);
	return status;
}

/* Everything that is done with a handoff of one's own. */
static enum chain_status act_handoff_build(void *ctx, uint64_t *out_sum, struct chain_error *err)
{
	struct chain_handoff_input input = { .parent = all.parent,
					     .config = &all.config,
					     .step = &all.config.steps[1],
					     .image_sha256 = all.image.header.id,
					     .door = "multiboot1",
					     .entered_ticks = 1000,
					     .left_ticks = 2000,
					     .tsc_hz = 1000000000,
					     .boot_id = all.boot_id,
					     .bootinfo = &all.info,
					     .fs_phys = 0x400000,
					     .fs_bytes = 4096,
					     .net = all.net,
					     .block = all.block,
					     .results = all.results };
	json_t *doc;
	struct chain_handoff_shared shared;
	(void)ctx;
	enum chain_status status = chain_handoff_share(all.parent, &all.info, "multiboot1", &shared, err);
	if (status)
		return status;
	input.shared = &shared;
	*out_sum = 0;
	for (unsigned turn = 0; !status && turn < 3; turn++) { /* two calls, which share most of it, and a boot */
		char *text = NULL;
		uint64_t bytes;
		input.left_ticks = turn < 2 ? 0 : 2000;
		status = chain_handoff_build(&input, &doc, err);
		if (status)
			break;
		status = chain_handoff_set_kernel(doc, &(struct chain_digest){ .kind = CHAIN_DIGEST_FSVERITY }, err);
		if (!status)
			status = chain_handoff_text(doc, &shared, &text, &bytes, err);
		if (!status)
			*out_sum += sum_of_text(text);
		json_decref(doc);
	}
	chain_handoff_shared_free(&shared);
	return status;
}

static enum chain_status act_mask_and_expire(void *ctx, uint64_t *out_sum, struct chain_error *err)
{
	long left = alloc_state.left;
	(void)ctx;
	alloc_stop();
	json_t *doc = json_deep_copy(all.parent); /* both work in place */
	json_object_set_new(doc, "net", json_deep_copy(all.net));
	alloc_state.left = left;
	enum chain_status status = chain_handoff_expire(doc, 10000000000, err);
	if (!status)
		status = chain_handoff_mask(doc, &all.config, err);
	if (status)
		json_decref(doc);
	else
		*out_sum = sum_of_json(doc);
	return status;
}

static enum chain_status act_result_entry(void *ctx, uint64_t *out_sum, struct chain_error *err)
{
	(void)ctx;
	json_t *result = json_pack("{s:i, s:[i]}", "n", 1, "l", 2);
	json_t *entry = result ? chain_result_entry("failed", 3, result, "why") : NULL;
	if (!entry)
		return chain_json_no_memory(err, "result");
	*out_sum = sum_of_json(entry);
	return CHAIN_OK;
}

static enum chain_status act_template(void *ctx, uint64_t *out_sum, struct chain_error *err)
{
	char *text = NULL;
	json_t *filled = NULL;
	(void)ctx;
	enum chain_status status = chain_template_expand(
		"a {{platform.cpus}} {{net.lan.address|none}} {{state.gone|x}} b", all.parent, "t", &text, err);
	if (!status)
		status = chain_template_fill(all.config.state, all.parent, "t", &filled, err);
	if (!status)
		*out_sum = sum_of_json(filled) ^ alloc_sum(0, text, strlen(text));
	free(text);
	return status;
}

/* --- the machine --- */

static enum chain_status act_bootinfo(void *ctx, uint64_t *out_sum, struct chain_error *err)
{
	struct chain_bootinfo again;
	json_t *doc, *back;
	(void)ctx;
	enum chain_status status = chain_bootinfo_to_json(&all.info, NULL, NULL, &doc, err);
	if (status)
		return status;
	status = chain_bootinfo_from_json(doc, &again, err);
	json_decref(doc);
	if (status)
		return status;
	alloc_stop();
	assert_int_equal(chain_bootinfo_to_json(&again, NULL, NULL, &back, NULL), CHAIN_OK);
	*out_sum = sum_of_json(back);
	chain_bootinfo_free(&again);
	return CHAIN_OK;
}

static enum chain_status act_qemu(void *ctx, uint64_t *out_sum, struct chain_error *err)
{
	struct chain_bootinfo info;
	json_t *doc;
	(void)ctx;
	enum chain_status status = chain_bootinfo_qemu("q35", 1 << 30, 2, &info, err);
	if (status)
		return status;
	alloc_stop();
	assert_int_equal(chain_bootinfo_to_json(&info, NULL, NULL, &doc, NULL), CHAIN_OK);
	*out_sum = sum_of_json(doc);
	chain_bootinfo_free(&info);
	return CHAIN_OK;
}

/* An information structure as the planner makes it, at address 0x10000; beside it there is the module only. */
enum { INFO_PHYS = 0x10000, MODULE_PHYS = 0x200000, PAGE = 4096 };
static uint8_t info_block[PAGE], module_block[PAGE];

static const void *map_info(void *ctx, uint64_t phys, uint64_t bytes)
{
	(void)ctx;
	uint64_t base = phys >= MODULE_PHYS ? MODULE_PHYS : INFO_PHYS;
	if (phys < base || bytes > PAGE || phys - base > PAGE - bytes)
		return NULL;
	return (base == INFO_PHYS ? info_block : module_block) + (phys - base);
}

static enum chain_status act_door(void *ctx, uint64_t *out_sum, struct chain_error *err)
{
	struct chain_bootinfo info;
	json_t *doc;
	long left = alloc_state.left;
	(void)ctx;
	alloc_stop();
	chain_bootinfo_init(&info);
	alloc_state.left = left;
	enum chain_status status = chain_multiboot1_info_read(INFO_PHYS, map_info, NULL, &info, err);
	alloc_stop();
	if (!status) {
		assert_int_equal(chain_bootinfo_to_json(&info, NULL, NULL, &doc, NULL), CHAIN_OK);
		*out_sum = sum_of_json(doc);
	}
	chain_bootinfo_free(&info);
	return status;
}

/* --- images --- */

static enum chain_status act_bake(void *ctx, uint64_t *out_sum, struct chain_error *err)
{
	struct sink sink = { 0 };
	struct chain_bake_result result;
	(void)ctx;
	enum chain_status status = bake(&sink, &result, err);
	alloc_stop();
	if (!status)
		*out_sum = alloc_sum(0, sink.bytes, sink.count);
	free(sink.bytes);
	return status;
}

static enum chain_status act_image(void *ctx, uint64_t *out_sum, struct chain_error *err)
{
	struct chain_image image;
	const uint8_t *bytes;
	uint64_t count;
	(void)ctx;
	enum chain_status status = chain_image_open(&image, all.file.bytes, all.file.count, err);
	if (!status)
		status = chain_image_verify(&image, NULL, NULL, err);
	if (!status)
		status = chain_image_file(&image, "/latest", &bytes, &count, NULL, err);
	if (!status)
		*out_sum = alloc_sum(0, bytes, count);
	return status;
}

/* --- steps --- */

static enum chain_status act_step(void *ctx, uint64_t *out_sum, struct chain_error *err)
{
	struct chain_prepared prepared;
	json_t *plan;
	enum chain_status status = chain_step_prepare(&all.link, ctx, &prepared, err);
	if (status)
		return status;
	alloc_stop();
	*out_sum = alloc_sum(0, prepared.args, strlen(prepared.args)) ^
		   alloc_sum(0, prepared.handoff_text, prepared.handoff_bytes);
	if (prepared.plan.move_count) {
		assert_int_equal(chain_plan_to_json(&prepared.plan, &plan, NULL), CHAIN_OK);
		*out_sum ^= sum_of_json(plan);
	}
	chain_prepared_free(&prepared);
	return CHAIN_OK;
}

/* A plan as text, as JSON, and what carries it out. */
static enum chain_status act_plan_forms(void *ctx, uint64_t *out_sum, struct chain_error *err)
{
	const struct chain_prepared *prepared = ctx;
	json_t *doc = NULL, *expect = NULL;
	char *text = NULL;
	uint64_t phys = 0;
	enum chain_status status = chain_plan_to_json(&prepared->plan, &doc, err);
	if (!status)
		status = chain_plan_format(&prepared->plan, &text, err);
	if (!status)
		status = chain_plan_find_trampoline(&prepared->plan, &all.info, NULL, 0x3000, &phys, err);
	if (!status && !(expect = chain_step_expect_json(&all.config.steps[0])))
		status = chain_json_no_memory(err, "expectation");
	if (!status)
		*out_sum = sum_of_json(json_incref(doc)) ^ alloc_sum(phys, text, strlen(text)) ^
			   sum_of_json(json_incref(expect));
	json_decref(expect);
	json_decref(doc);
	free(text);
	return status;
}

static enum chain_status kernel_texts(struct chain_fanout_texts *texts, uint64_t *sum, struct chain_error *err)
{
	const char *handoff, *args;
	size_t bytes;
	enum chain_status status = CHAIN_OK;
	for (size_t i = 0; !status && i < texts->set->count; i++) {
		status = chain_fanout_text(texts, i, 0, &handoff, &bytes, &args, err);
		if (!status)
			*sum = alloc_sum(alloc_sum(*sum, handoff, bytes), args, strlen(args));
	}
	return status;
}

static enum chain_status act_fanout(void *ctx, uint64_t *out_sum, struct chain_error *err)
{
	const struct chain_step *step = &all.config.steps[0];
	struct chain_fanout_set set;
	struct chain_fanout_texts texts;
	(void)ctx;
	enum chain_status status = chain_fanout_expand(step, &all.image, NULL, &set, err);
	if (status)
		return status;
	status = chain_fanout_texts_make(step, &set, all.parent, "", &texts, err);
	if (!status) {
		status = kernel_texts(&texts, out_sum, err);
		chain_fanout_texts_free(&texts);
	}
	chain_fanout_set_free(&set);
	return status;
}

/* `ctx`: a step that was prepared, whose kernel has fixed addresses; null: an isolated kernel. */
static enum chain_status act_guest(void *ctx, uint64_t *out_sum, struct chain_error *err)
{
	const struct chain_prepared *prepared = ctx;
	static uint8_t part[4096];
	struct chain_guest guest;
	struct chain_guest_request request = { .subject = "k",
					       .door = chain_door_of_ours,
					       .kernel = (const uint8_t *)kernel_bytes,
					       .kernel_bytes = sizeof(kernel_bytes),
					       .handoff_string = "kchain-handoff",
					       .memory_bytes = 4 << 20,
					       .text_bytes = 500 };
	if (prepared)
		request = chain_step_guest(&all.config.steps[2], prepared, 500);
	enum chain_status status = chain_guest_make(&request, &guest, err);
	if (status)
		return status;
	for (uint64_t at = 0; at < guest.memory_bytes; at += sizeof(part)) {
		chain_guest_part(&guest, guest.base + at, sizeof(part), part);
		*out_sum = alloc_sum(*out_sum, part, sizeof(part));
	}
	chain_guest_free(&guest);
	return CHAIN_OK;
}

static enum chain_status act_assigned(void *ctx, uint64_t *out_sum, struct chain_error *err)
{
	static char data[] = "data", lan[] = "lan";
	struct chain_config_assigned assigned[] = { { .name = data }, { .name = lan } };
	const struct chain_step step = { .name = data, .devices = assigned, .device_count = 2 };
	json_t *names = NULL;
	(void)ctx;
	enum chain_status status = chain_config_assigned_names(&step, 0, &names, err);
	if (!status)
		*out_sum = sum_of_json(names);
	return status;
}

/* --- the sweeps --- */

static void sweep(const char *name, alloc_act *act, void *ctx, long least)
{
	long at = 0, count = alloc_sweep(act, ctx, &at);
	if (count < least)
		fail_msg("%s: when allocation %ld fails: %s (%ld in all)", name, at, alloc_state.why, count);
	print_message("  %6ld allocations: %s\n", count, name);
}

static void sweep_cases(const char *kind, alloc_act *act)
{
	struct dirent **names;
	int count = scandir("chain/tests/data/valid", &names, NULL, alphasort), swept = 0;
	for (int i = 0; i < count; i++) {
		if (!strncmp(names[i]->d_name, kind, strlen(kind))) {
			char *text = valid_case(names[i]->d_name, &all.bytes);
			all.text = text;
			sweep(names[i]->d_name, act, NULL, 1);
			free(text);
			swept++;
		}
		free(names[i]);
	}
	free(names);
	assert_true(swept > 0);
}

static void documents(void **state)
{
	(void)state;
	sweep_cases("config-", act_config);
	sweep_cases("config-", act_config_all);
	sweep_cases("handoff-", act_handoff_parse);
	sweep("handoff, built", act_handoff_build, NULL, 50);
	sweep("handoff, masked and expired", act_mask_and_expire, NULL, 10);
	sweep("result of a call", act_result_entry, NULL, 5);
	sweep("templates", act_template, NULL, 5);
}

static void machines(void **state)
{
	(void)state;
	struct chain_door_module module = { { MODULE_PHYS, MODULE_PHYS + PAGE }, "module" };
	struct chain_multiboot_info info = { .subject = "k",
					     .cmdline = "line",
					     .loader_name = "loader",
					     .modules = &module,
					     .module_count = 1,
					     .mem = all.info.mem,
					     .mem_count = all.info.mem_count };
	assert_int_equal(chain_multiboot_info_build(&info, INFO_PHYS, info_block, NULL), CHAIN_OK);
	sweep("boot information as JSON", act_bootinfo, NULL, 50);
	sweep("QEMU's machine", act_qemu, NULL, 5);
	sweep("boot information of Multiboot", act_door, NULL, 5);
}

static void images(void **state)
{
	(void)state;
	sweep("bake", act_bake, NULL, 10);
	sweep("image opened, verified, read", act_image, NULL, 0);
}

static void steps(void **state)
{
	struct chain_prepared prepared;
	(void)state;
	sweep("a step that calls", act_step, &all.config.steps[0], 50);
	sweep("a step that boots", act_step, &all.config.steps[1], 50);
	assert_int_equal(chain_step_prepare(&all.link, &all.config.steps[1], &prepared, NULL), CHAIN_OK);
	assert_true(prepared.plan.move_count > 0);
	sweep("forms of a plan", act_plan_forms, &prepared, 20);
	chain_prepared_free(&prepared);
	sweep("fan-out", act_fanout, NULL, 10);
	sweep("a step that calls kernels by a list of the state", act_step, &all.config.steps[3], 50);
	sweep("names of devices", act_assigned, NULL, 3);
	sweep("isolated kernel", act_guest, NULL, 5);
	all.info.image = (struct chain_range){ 0x800000, 0xb00000 }; /* out of its way */
	sweep("a step that calls at fixed addresses", act_step, &all.config.steps[2], 50);
	assert_int_equal(chain_step_prepare(&all.link, &all.config.steps[2], &prepared, NULL), CHAIN_OK);
	assert_int_equal(prepared.way, CHAIN_CALL_FIXED);
	sweep("kernel at fixed addresses", act_guest, &prepared, 5);
	chain_prepared_free(&prepared);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(documents),
		cmocka_unit_test(machines),
		cmocka_unit_test(images),
		cmocka_unit_test(steps),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
