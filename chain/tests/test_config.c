/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Pipelines: cases as data, every example in docs/PIPELINE.md and every pipeline in configs/, the baked form, defaults.
 */
#include "json_cases.h"

#include "chain/config.h"
#include "chain/json_walk.h"

static enum chain_status parse(const char *text, size_t bytes, struct chain_error *err)
{
	struct chain_config config;
	enum chain_status status = chain_config_parse(text, bytes, "pipeline", false, &config, err);
	chain_config_free(&config); /* of a failed parse it is allowed too: nothing is left in it */
	return status;
}

static void test_invalid(void **state)
{
	(void)state;
	each_case("invalid", "config-", check_invalid, parse);
}
/* Each case has one fault: behind it nothing else is found, but for the key that a misspelt one was meant to be. */
static enum chain_status parse_all(const char *text, size_t bytes, struct chain_error *err)
{
	static struct chain_errors errors;
	struct chain_config config;
	memset(&errors, 0, sizeof(errors));
	enum chain_status status = chain_config_parse_all(text, bytes, "pipeline", false, &config, &errors);
	chain_config_free(&config);
	assert_true(!status == !errors.count && !errors.more);
	*err = errors.v[0];
	for (size_t i = 1; i < errors.count; i++) {
		char line[700];
		if (errors.v[0].status == CHAIN_E_JSON_UNKNOWN_KEY_NEAR &&
		    errors.v[i].status == CHAIN_E_JSON_MISSING_KEY)
			continue;
		chain_error_format(&errors.v[i], line, sizeof(line));
		print_error("follows: %s\n", line), cases_wrong++;
	}
	return status;
}

static void test_invalid_all(void **state)
{
	(void)state;
	each_case("invalid", "config-", check_invalid, parse_all);
}
static void test_valid(void **state)
{
	(void)state;
	each_case("valid", "config-", check_valid, parse);
}
static void test_truncated(void **state)
{
	(void)state;
	each_case("valid", "config-", check_truncated, parse);
}
static void test_mutated(void **state)
{
	(void)state;
	each_case("valid", "config-", check_mutated, parse);
}

static void parsed(const char *name, struct chain_config *out)
{
	struct chain_error err = { 0 };
	size_t bytes;
	char *text = valid_case(name, &bytes);
	assert_ok(chain_config_parse(text, bytes, "pipeline", false, out, &err), &err);
	free(text);
}

static void test_defaults(void **state)
{
	struct chain_config config;
	(void)state;
	parsed("config-least", &config);
	assert_int_equal(config.console_count, 2);
	assert_string_equal(config.console[0], "com1,115200");
	assert_false(config.verify_all);
	assert_int_equal(json_object_size(config.state), 0);
	assert_string_equal(config.steps[0].args, "");
	assert_string_equal(config.steps[0].handoff_string, "kchain-handoff");
	assert_int_equal(config.steps[0].expect, CHAIN_EXPECT_ENTERED);
	chain_config_free(&config);
	parsed("config-hello", &config);
	assert_int_equal(config.steps[0].expect, CHAIN_EXPECT_SUCCESS); /* a call that fails must not pass unnoticed */
	assert_int_equal(config.steps[0].memory_bytes, 1 << 20);
	assert_int_equal(config.steps[0].timeout_us, 10000000);
	assert_int_equal(config.steps[0].on_error, CHAIN_ON_ERROR_HALT);
	chain_config_free(&config);
}

static void test_all_read(void **state)
{
	struct chain_config config;
	(void)state;
	parsed("config-all", &config);
	assert_true(config.verify_all);
	assert_int_equal(config.files[1].align_bytes, 2 << 20);
	assert_int_equal(config.files[1].mode, 0755);
	assert_int_equal(config.files[0].mode, CHAIN_CONFIG_MODE_AS_IS);
	assert_int_equal(config.net[0].timeout_us, 5000000);
	assert_int_equal(config.net[0].need, CHAIN_NEED_OPTIONAL);
	assert_int_equal(config.block[0].need, CHAIN_NEED_REQUIRED);
	assert_string_equal(config.net[1].dns[1], "8.8.8.8");
	assert_true(config.block[0].has_index);
	assert_int_equal(config.steps[0].retries, 100);
	assert_int_equal(config.steps[0].timeout_us, 250000);
	assert_int_equal(config.steps[0].expect, CHAIN_EXPECT_RESULT);
	assert_int_equal(config.steps[0].pin.digests[CHAIN_DIGEST_SHA256][31], 0xaa);
	assert_true(config.steps[1].pin.unverified);
	assert_int_equal(config.steps[1].expect, CHAIN_EXPECT_ENTERED); /* said, so not replaced by the default */
	assert_string_equal(config.steps[2].modules[1].string, "m");
	assert_string_equal(config.steps[2].fallback->name, "rescue");
	chain_config_free(&config);
}

/* Each names an entry of the pipeline's own, whose kind and need it takes over. */
static void test_devices(void **state)
{
	struct chain_config config;
	struct chain_error err = { 0 };
	json_t *names;
	(void)state;
	parsed("config-devices", &config);
	const struct chain_step *step = &config.steps[0];
	assert_int_equal(step->device_count, 3);
	assert_string_equal(step->devices[0].name, "data");
	assert_int_equal(step->devices[0].kernel, 3);
	assert_true(!step->devices[0].is_net && step->devices[0].required);
	assert_true(step->devices[1].is_net && step->devices[1].required && !step->devices[1].kernel);
	assert_true(!step->devices[2].is_net && !step->devices[2].required);
	assert_ok(chain_config_assigned_names(step, 3, &names, &err), &err);
	assert_int_equal(json_array_size(names), 2);
	assert_string_equal(json_string_value(json_array_get(names, 1)), "spare");
	json_decref(names);
	assert_ok(chain_config_assigned_names(step, 1, &names, &err), &err);
	assert_null(names);
	assert_ok(chain_config_check_assigned(step, 4, "s", &err), &err);
	assert_int_equal(chain_config_check_assigned(step, 3, "s", &err), CHAIN_E_CONFIG_DEVICE_INDEX);
	assert_string_equal(err.subject, "s.devices.data");
	assert_true(err.number[0] == 3 && err.number[1] == 3);
	chain_config_free(&config);
}

/* The baked form parses again, bakes to the same bytes, and says nothing of the host. */
static void test_baked(void **state)
{
	struct chain_config config, again;
	struct chain_error err = { 0 };
	char *text = NULL, *second = NULL;
	(void)state;
	parsed("config-all", &config);
	assert_ok(chain_config_baked_text(&config, &text, &err), &err);
	assert_null(strstr(text, "\"from\":\"dir\""));
	assert_null(strstr(text, "$schema"));
	assert_int_equal(chain_config_parse(text, strlen(text), "baked", false, &again, &err),
			 CHAIN_E_JSON_MISSING_KEY);
	chain_error_clear(&err);
	assert_ok(chain_config_parse(text, strlen(text), "baked", true, &again, &err), &err);
	assert_ok(chain_config_baked_text(&again, &second, &err), &err);
	assert_string_equal(text, second);
	assert_int_equal(again.step_count, config.step_count);
	free(second);
	free(text);
	chain_config_free(&again);
	chain_config_free(&config);
}

static bool only_k(void *ctx, const char *path)
{
	(void)ctx;
	return !strcmp(path, "/k");
}
static bool anything(void *ctx, const char *path)
{
	(void)path;
	return ++*(int *)ctx;
}

static void test_sources(void **state)
{
	struct chain_config config;
	struct chain_errors errors = { 0 };
	int asked = 0;
	(void)state;
	parsed("config-all", &config);
	assert_int_equal(chain_config_check_sources(&config, anything, &asked, &errors), CHAIN_OK);
	assert_int_equal(asked, 4); /* two kernels, a module, the rescue; module: is not asked about */
	assert_int_equal(chain_config_check_sources(&config, only_k, NULL, &errors), CHAIN_E_CONFIG_NO_SOURCE);
	assert_int_equal(errors.count, 1);
	assert_string_equal(errors.v[0].subject, "steps[2].boot");
	assert_string_equal(errors.v[0].detail, "fs:/d/x");
	chain_config_free(&config);
}

/* A disk that is to be absent has no bytes for anybody; one that the pipeline does not ask for has none either. */
static void test_disks_of_sources(void **state)
{
	static const struct {
		const char *need, *source;
		enum chain_status want;
	} cases[] = {
		{ "required", "block:d", CHAIN_OK },
		{ "optional", "block:d/1@0+4", CHAIN_OK },
		{ "absent", "block:d", CHAIN_E_CONFIG_NEED_ABSENT },
		{ "absent", "block:d/1@0+4", CHAIN_E_CONFIG_NEED_ABSENT },
		{ "required", "block:e", CHAIN_E_CONFIG_SOURCE_DISK },
	};
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct chain_config config;
		struct chain_error err = { 0 };
		struct chain_errors errors = { 0 };
		char text[300];
		int asked = 0;
		snprintf(text, sizeof(text),
			 "{\"kchain\":1,\"name\":\"a\",\"block\":{\"d\":{\"need\":\"%s\"}},\"steps\":[{\"name\":\"s\","
			 "\"boot\":\"%s\",\"unverified\":true}]}",
			 cases[i].need, cases[i].source);
		assert_ok(chain_config_parse(text, strlen(text), "text", true, &config, &err), &err);
		assert_int_equal(chain_config_check_sources(&config, anything, &asked, &errors), cases[i].want);
		if (cases[i].want)
			assert_string_equal(errors.v[0].subject, "steps[0].boot");
		chain_config_free(&config);
	}
}

static void test_too_large(void **state)
{
	struct chain_error err = { 0 };
	char *text = calloc(1, CHAIN_CONFIG_MAX_BYTES + 1);
	(void)state;
	assert_non_null(text);
	assert_int_equal(parse(text, CHAIN_CONFIG_MAX_BYTES + 1, &err), CHAIN_E_LIMIT);
	assert_int_equal(err.number[1], CHAIN_CONFIG_MAX_BYTES);
	free(text);
}

static void test_suggestions(void **state)
{
	static const char *const words[] = { "console", "verify", "steps" };
	(void)state;
	assert_string_equal(chain_nearest("step", words, 3), "steps");
	assert_string_equal(chain_nearest("consle", words, 3), "console");
	assert_null(chain_nearest("zebra", words, 3));
}

static void test_units(void **state)
{
	uint64_t n = 0;
	(void)state;
	assert_true(chain_parse_size("64K", &n) && n == 65536);
	assert_true(chain_parse_size("2GiB", &n) && n == (uint64_t)2 << 30);
	assert_true(chain_parse_size("18446744073709551615", &n) && n == UINT64_MAX);
	assert_false(chain_parse_size("18446744073709551616", &n));
	assert_false(chain_parse_size("K", &n) || chain_parse_size("", &n) || chain_parse_size("1 K", &n) ||
		     chain_parse_size("-1", &n));
	assert_true(chain_parse_time("2h", &n) && n == 7200000000u);
	assert_false(chain_parse_time("5", &n) || chain_parse_time("5124095576031h", &n));
}

/* The texts that limits are said by are those of the numbers in config.h. */
static void test_limits(void **state)
{
	static const struct {
		const char *member;
		uint64_t least, most;
	} limits[] = {
		{ "\"memory\":\"%llu\"", CHAIN_CALL_MEMORY_MIN, CHAIN_CALL_MEMORY_MAX },
		{ "\"timeout\":\"%lluus\"", 1, UINT64_MAX },
		{ "\"retries\":%llu", 0, CHAIN_CALL_RETRIES_MAX },
		{ "\"fanout\":{\"count\":%llu}", 1, CHAIN_FANOUT_MAX },
		{ "\"fanout\":{\"count\":1,\"concurrency\":%llu}", 1, CHAIN_FANOUT_MAX },
		{ "\"fanout\":{\"slices\":{\"of\":\"fs:/k\",\"count\":%llu}}", 1, CHAIN_FANOUT_MAX },
		{ "\"fanout\":{\"count\":1,\"cpus\":%llu}", 1, CHAIN_FANOUT_CPUS_MAX },
		{ "\"fanout\":{\"count\":1,\"require\":%llu}", 0, CHAIN_FANOUT_MAX },
	};
	(void)state;
	for (size_t i = 0; i < 4 * sizeof(limits) / sizeof(limits[0]); i++) {
		const uint64_t least = limits[i / 4].least, most = limits[i / 4].most,
			       at[4] = { least, most, least - 1, most + 1 };
		char text[300], member[100];
		struct chain_error err = { 0 };
		if ((i % 4 == 2 && !least) || (i % 4 == 3 && most == UINT64_MAX))
			continue;
		snprintf(member, sizeof(member), limits[i / 4].member, (unsigned long long)at[i % 4]);
		snprintf(text, sizeof(text),
			 "{\"kchain\":1,\"name\":\"a\",\"steps\":[{\"name\":\"s\",\"call\":\"fs:/k\",%s}]}", member);
		if (parse(text, strlen(text), &err) != (i % 4 < 2 ? CHAIN_OK : CHAIN_E_JSON_RANGE))
			fail_msg("%s: %s %s", member, chain_status_slug(err.status), err.detail);
	}
}

/* Every pipeline that is shown in docs/ or lies in configs/ is one that the parser takes. */
static void test_documented(void **state)
{
	size_t bytes, count = 0;
	char *text = case_file("docs/PIPELINE.md", &bytes);
	(void)state;
	for (char *at = text; (at = strstr(at, "<!-- test: pipeline -->\n```json\n")); count++) {
		struct chain_error err = { 0 };
		char *start = strchr(strchr(at, '\n') + 1, '\n') + 1, *end = strstr(start, "\n```");
		assert_non_null(end);
		assert_ok(parse(start, (size_t)(end - start), &err), &err);
		at = end;
	}
	assert_true(count >= 3);
	free(text);
}

static void test_configs(void **state)
{
	size_t bytes, count = 0;
	struct dirent *entry;
	DIR *dir = opendir("configs");
	(void)state;
	assert_non_null(dir);
	while ((entry = readdir(dir))) {
		char path[300];
		struct chain_error err = { 0 };
		if (!strstr(entry->d_name, ".json"))
			continue;
		snprintf(path, sizeof(path), "configs/%s", entry->d_name);
		char *text = case_file(path, &bytes);
		if (!strstr(text, "\"boot\": \"linux\"") && parse(text, bytes, &err))
			fail_msg("%s: %s: %s %s", path, chain_status_slug(err.status), err.subject, err.detail);
		free(text);
		count++;
	}
	closedir(dir);
	assert_true(count > 0);
}

/* Every key that docs/pipeline-1.schema.json gives an object is one the parser knows there, and nothing else: an object
 * with that key alone is never refused as an unknown key, and each name in the cases is in the schema. */
static void check_schema_object(const char *schema_path, const char *format)
{
	json_error_t why;
	const char *key;
	json_t *value, *schema = json_load_file("docs/pipeline-1.schema.json", JSON_REJECT_DUPLICATES, &why);
	if (!schema)
		fail_msg("docs/pipeline-1.schema.json:%d: %s", why.line, why.text);
	json_t *object = *schema_path ? json_object_get(json_object_get(schema, "$defs"), schema_path) : schema;
	assert_true(json_object_size(json_object_get(object, "properties")) > 0);
	assert_true(json_is_false(json_object_get(object, "additionalProperties")));
	json_object_foreach (json_object_get(object, "properties"), key, value) {
		char text[300];
		struct chain_error err = { 0 };
		if (!*schema_path && !strcmp(key, "root")) /* `bake` makes files and keys of a step of it */
			continue;
		snprintf(text, sizeof(text), format, key);
		enum chain_status status = parse(text, strlen(text), &err);
		if (status == CHAIN_E_JSON_UNKNOWN_KEY || status == CHAIN_E_JSON_UNKNOWN_KEY_NEAR)
			fail_msg("the schema has %s.%s, the parser does not", schema_path, key);
	}
	json_decref(schema);
}

static void test_schema(void **state)
{
	(void)state;
	check_schema_object("", "{\"%s\":0}");
	check_schema_object("step", "{\"kchain\":1,\"name\":\"a\",\"steps\":[{\"%s\":0}]}");
	check_schema_object("module", "{\"kchain\":1,\"name\":\"a\",\"steps\":[{\"name\":\"s\",\"boot\":\"fs:/"
				      "k\",\"modules\":[{\"%s\":0}]}]}");
	check_schema_object("net", "{\"kchain\":1,\"name\":\"a\",\"net\":{\"x\":{\"%s\":0}}}");
	check_schema_object("block", "{\"kchain\":1,\"name\":\"a\",\"block\":{\"x\":{\"%s\":0}}}");
	check_schema_object("file", "{\"kchain\":1,\"name\":\"a\",\"files\":{\"/x\":{\"%s\":0}}}");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_invalid),
		cmocka_unit_test(test_invalid_all),
		cmocka_unit_test(test_valid),
		cmocka_unit_test(test_truncated),
		cmocka_unit_test(test_mutated),
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_all_read),
		cmocka_unit_test(test_devices),
		cmocka_unit_test(test_baked),
		cmocka_unit_test(test_sources),
		cmocka_unit_test(test_disks_of_sources),
		cmocka_unit_test(test_too_large),
		cmocka_unit_test(test_suggestions),
		cmocka_unit_test(test_units),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_documented),
		cmocka_unit_test(test_configs),
		cmocka_unit_test(test_schema),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
