/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* The pipeline: what is taken, what is refused and where, and that the baked form means the same. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "chain/config.h"
#include "chain/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEAD "{\"kchain\":1,\"name\":\"t\","
#define STEP "\"steps\":[{\"name\":\"a\",\"boot\":\"fs:/k\"}]}"

static const char valid[] =
	"{\"$schema\":\"x\",\"x-note\":1,\"kchain\":1,\"name\":\"all\",\"console\":[\"com1,9600\",\"vga\"],\"verify\":\"all\","
	"\"files\":{\"/k\":\"k.elf\",\"/d\":{\"from\":\"d\",\"mode\":\"0600\",\"align\":\"2M\",\"reserve\":\"64K\"}},"
	"\"state\":{\"v\":{\"w\":3}},"
	"\"net\":{\"lan\":{\"match\":{\"mac\":\"52:54:00:12:34:56\"},\"dhcp\":{\"timeout\":\"5s\"},\"need\":\"optional\"},"
	"\"wan\":{\"static\":{\"address\":\"10.0.2.15/24\",\"gateway\":\"10.0.2.2\",\"dns\":[\"10.0.2.3\"]}}},"
	"\"block\":{\"data\":{\"match\":{\"serial\":\"S\",\"index\":2},\"need\":\"optional\"}},"
	"\"steps\":[{\"name\":\"m\",\"call\":\"fs:/k\",\"args\":\"a={{net.lan.address|none}} {{net.wan.address}} {{state.v.w}}\","
	"\"memory\":\"2M\",\"timeout\":\"250ms\",\"retries\":3,\"expect\":{\"result\":{\"x\":1}},\"on_error\":\"continue\"},"
	"{\"name\":\"n\",\"boot\":\"module:next\",\"unverified\":true,\"modules\":[{\"from\":\"fs:/d/x\",\"string\":\"x y\"}],"
	"\"handoff\":{\"at\":\"first\",\"string\":\"kchain-handoff v\"},\"fs\":\"keep\",\"expect\":{\"console\":\"ok\"},"
	"\"on_error\":{\"boot\":\"fs:/k\"}}]}";

static const struct {
	const char *text;
	enum chain_status status;
	const char *subject;
} invalid[] = {
	{ "", CHAIN_E_JSON_SYNTAX, "p.json" },
	{ "[]", CHAIN_E_JSON_NOT_OBJECT, "p.json" },
	{ "{\"kchain\":1,\"kchain\":1}", CHAIN_E_JSON_SYNTAX, "p.json" },
	{ HEAD "\"step\":[]," STEP, CHAIN_E_JSON_UNKNOWN_KEY_NEAR, "step" },
	{ HEAD "\"quux\":[]," STEP, CHAIN_E_JSON_UNKNOWN_KEY, "quux" },
	{ "{\"kchain\":2,\"name\":\"t\"," STEP, CHAIN_E_CONFIG_VERSION, "kchain" },
	{ "{\"kchain\":\"1\",\"name\":\"t\"," STEP, CHAIN_E_JSON_TYPE, "kchain" },
	{ "{\"kchain\":1," STEP, CHAIN_E_JSON_MISSING_KEY, "name" },
	{ "{\"kchain\":1,\"name\":\"a b\"," STEP, CHAIN_E_CONFIG_NAME, "name" },
	{ HEAD "\"verify\":\"some\"," STEP, CHAIN_E_JSON_WORD, "verify" },
	{ HEAD "\"console\":[\"com9\"]," STEP, CHAIN_E_CONFIG_CONSOLE, "console" },
	{ HEAD "\"console\":[\"com1,7\"]," STEP, CHAIN_E_CONFIG_CONSOLE, "console" },
	{ HEAD "\"console\":\"vga\"," STEP, CHAIN_E_JSON_TYPE, "console" },
	{ HEAD "\"files\":{\"k\":\"k\"}," STEP, CHAIN_E_CONFIG_IMAGE_PATH, "files.k" },
	{ HEAD "\"files\":{\"/a/../k\":\"k\"}," STEP, CHAIN_E_CONFIG_IMAGE_PATH, "files./a/../k" },
	{ HEAD "\"files\":{\"/a//k\":\"k\"}," STEP, CHAIN_E_CONFIG_IMAGE_PATH, "files./a//k" },
	{ HEAD "\"files\":{\"/kchain/x\":\"k\"}," STEP, CHAIN_E_CONFIG_IMAGE_PATH, "files./kchain/x" },
	{ HEAD "\"files\":{\"/k\":{}}," STEP, CHAIN_E_CONFIG_NO_FROM, "/k" },
	{ HEAD "\"files\":{\"/k\":{\"from\":\"k\",\"mode\":\"9\"}}," STEP, CHAIN_E_CONFIG_MODE, "files./k.mode" },
	{ HEAD "\"files\":{\"/k\":{\"from\":\"k\",\"align\":\"3K\"}}," STEP, CHAIN_E_CONFIG_ALIGN, "files./k.align" },
	{ HEAD "\"files\":{\"/k\":{\"from\":\"k\",\"reserve\":\"3Q\"}}," STEP, CHAIN_E_JSON_SIZE, "files./k.reserve" },
	{ HEAD "\"files\":{\"/k\":{\"from\":\"k\",\"reserve\":\"99999999999G\"}}," STEP, CHAIN_E_JSON_SIZE, "files./k.reserve" },
	{ HEAD "\"net\":{\"lan\":{}}," STEP, CHAIN_E_CONFIG_NET_HOW, "net.lan" },
	{ HEAD "\"net\":{\"lan\":{\"dhcp\":true,\"static\":{\"address\":\"1.2.3.4/8\"}}}," STEP, CHAIN_E_CONFIG_NET_HOW, "net.lan" },
	{ HEAD "\"net\":{\"lan\":{\"static\":{\"address\":\"1.2.3.4\"}}}," STEP, CHAIN_E_CONFIG_ADDRESS, "net.lan.static.address" },
	{ HEAD "\"net\":{\"lan\":{\"static\":{\"address\":\"1.2.3.256/8\"}}}," STEP, CHAIN_E_CONFIG_ADDRESS, "net.lan.static.address" },
	{ HEAD "\"net\":{\"lan\":{\"dhcp\":{\"timeout\":\"5\"}}}," STEP, CHAIN_E_JSON_TIME, "net.lan.dhcp.timeout" },
	{ HEAD "\"net\":{\"lan\":{\"dhpc\":true}}," STEP, CHAIN_E_JSON_UNKNOWN_KEY_NEAR, "net.lan.dhpc" },
	{ HEAD "\"block\":{\"d\":{\"need\":\"maybe\"}}," STEP, CHAIN_E_JSON_WORD, "block.d.need" },
	{ HEAD "\"steps\":[]}", CHAIN_E_JSON_TYPE, "steps" },
	{ HEAD "\"steps\":[{\"name\":\"a\"}]}", CHAIN_E_CONFIG_NO_ACTION, "steps[0]" },
	{ HEAD "\"steps\":[{\"name\":\"a\",\"boot\":\"fs:/k\",\"call\":\"fs:/k\"}]}", CHAIN_E_CONFIG_CALL_AND_BOOT, "steps[0].boot" },
	{ HEAD "\"steps\":[{\"name\":\"a\",\"boot\":\"fs:/k\"},{\"name\":\"b\",\"boot\":\"fs:/k\"}]}", CHAIN_E_CONFIG_AFTER_BOOT, "steps[0]" },
	{ HEAD "\"steps\":[{\"name\":\"a\",\"call\":\"fs:/k\"},{\"name\":\"a\",\"boot\":\"fs:/k\"}]}", CHAIN_E_CONFIG_TWICE, "steps[1]" },
	{ HEAD "\"steps\":[{\"name\":\"a\",\"boot\":\"ftp://k\"}]}", CHAIN_E_CONFIG_SCHEME, "steps[0].boot" },
	{ HEAD "\"steps\":[{\"name\":\"a\",\"boot\":\"k\"}]}", CHAIN_E_CONFIG_SCHEME, "steps[0].boot" },
	{ HEAD "\"steps\":[{\"name\":\"a\",\"boot\":\"http://h/k\"}]}", CHAIN_E_NOT_SUPPORTED, "steps[0].boot" },
	{ HEAD "\"steps\":[{\"name\":\"a\",\"boot\":\"fs:k\"}]}", CHAIN_E_CONFIG_FS_PATH, "steps[0].boot" },
	{ HEAD "\"steps\":[{\"name\":\"a\",\"boot\":\"module:k\"}]}", CHAIN_E_CONFIG_UNPINNED, "steps[0]" },
	{ HEAD "\"steps\":[{\"name\":\"a\",\"boot\":\"module:k\",\"sha256\":\"00\"}]}", CHAIN_E_CONFIG_SHA256, "steps[0].sha256" },
	{ HEAD "\"steps\":[{\"name\":\"a\",\"boot\":\"fs:/k\",\"memory\":\"1M\"}]}", CHAIN_E_CONFIG_KIND, "steps[0].memory" },
	{ HEAD "\"steps\":[{\"name\":\"a\",\"call\":\"fs:/k\",\"modules\":[]}]}", CHAIN_E_CONFIG_KIND, "steps[0].modules" },
	{ HEAD "\"steps\":[{\"name\":\"a\",\"boot\":\"fs:/k\",\"on_error\":\"continue\"}]}", CHAIN_E_CONFIG_KIND, "steps[0]" },
	{ HEAD "\"steps\":[{\"name\":\"a\",\"call\":\"fs:/k\",\"memory\":\"1K\"}]}", CHAIN_E_CONFIG_RANGE, "steps[0].memory" },
	{ HEAD "\"steps\":[{\"name\":\"a\",\"call\":\"fs:/k\",\"retries\":101}]}", CHAIN_E_LIMIT, "steps[0].retries" },
	{ HEAD "\"steps\":[{\"name\":\"a\",\"call\":\"fs:/k\",\"retries\":-1}]}", CHAIN_E_JSON_TYPE, "steps[0].retries" },
	{ HEAD "\"steps\":[{\"name\":\"a\",\"boot\":\"fs:/k\",\"on_error\":{\"call\":\"fs:/k\"}}]}", CHAIN_E_CONFIG_FALLBACK, "steps[0].on_error" },
	{ HEAD "\"steps\":[{\"name\":\"a\",\"boot\":\"fs:/k\",\"handoff\":{\"string\":\"x\"}}]}", CHAIN_E_CONFIG_HANDOFF_STRING, "steps[0].handoff.string" },
	{ HEAD "\"steps\":[{\"name\":\"a\",\"boot\":\"fs:/k\",\"args\":\"{{net.lan.address}}\"}]}", CHAIN_E_TEMPLATE_UNKNOWN, "a" },
	{ HEAD "\"steps\":[{\"name\":\"a\",\"boot\":\"fs:/k\",\"args\":\"{{state.x}}\"}]}", CHAIN_E_TEMPLATE_NO_DEFAULT, "a" },
	{ HEAD "\"steps\":[{\"name\":\"a\",\"boot\":\"fs:/k\",\"args\":\"{{state.x\"}]}", CHAIN_E_TEMPLATE_SYNTAX, "a" },
};

static void takes_every_key(void **state)
{
	struct chain_config config;
	struct chain_error err = { 0 };
	(void)state;
	assert_int_equal(chain_config_parse(valid, strlen(valid), "p.json", false, &config, &err), CHAIN_OK);
	assert_string_equal(config.name, "all");
	assert_true(config.verify_all);
	assert_int_equal(config.file_count, 2);
	assert_int_equal(config.net_count, 2);
	assert_true(config.net[0].dhcp && !config.net[0].required && config.net[0].timeout_us == 5000000);
	assert_string_equal(config.net[1].address, "10.0.2.15/24");
	assert_true(config.block[0].has_index && config.block[0].index == 2);
	assert_int_equal(config.step_count, 2);
	assert_int_equal(config.steps[0].timeout_us, 250000);
	assert_int_equal(config.steps[0].memory_bytes, 2 << 20);
	assert_int_equal(config.steps[0].expect, CHAIN_EXPECT_RESULT);
	assert_true(config.steps[1].fs_keep && config.steps[1].unverified);
	assert_int_equal(config.steps[1].on_error, CHAIN_ON_ERROR_BOOT);
	assert_string_equal(config.steps[1].fallback->source, "fs:/k");
	chain_config_free(&config);
}

static void refuses_by_place(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(invalid) / sizeof(invalid[0]); i++) {
		struct chain_config config;
		struct chain_error err = { 0 };
		enum chain_status status = chain_config_parse(invalid[i].text, strlen(invalid[i].text), "p.json", false, &config, &err);
		if (status != invalid[i].status || strcmp(err.subject, invalid[i].subject))
			fail_msg("%s: got %s at \"%s\", expected %s at \"%s\"", invalid[i].text, chain_status_slug(status), err.subject,
				 chain_status_slug(invalid[i].status), invalid[i].subject);
	}
}

static void suggests_the_near_key(void **state)
{
	struct chain_config config;
	struct chain_error err = { 0 };
	char message[512];
	(void)state;
	const char *text = HEAD "\"consle\":[]," STEP;
	assert_int_equal(chain_config_parse(text, strlen(text), "p.json", false, &config, &err), CHAIN_E_JSON_UNKNOWN_KEY_NEAR);
	chain_error_format(&err, message, sizeof(message));
	assert_non_null(strstr(message, "did you mean \"console\""));
}

static void baked_form_means_the_same(void **state)
{
	struct chain_config config, again;
	struct chain_error err = { 0 };
	char *text, *twice;
	(void)state;
	assert_int_equal(chain_config_parse(valid, strlen(valid), "p.json", false, &config, &err), CHAIN_OK);
	assert_int_equal(chain_config_baked_text(&config, &text, &err), CHAIN_OK);
	assert_null(strstr(text, "k.elf"));
	assert_null(strstr(text, "\"from\":\"d\""));
	assert_int_equal(chain_config_parse(text, strlen(text), "baked", true, &again, &err), CHAIN_OK);
	assert_int_equal(again.step_count, 2);
	assert_int_equal(chain_config_baked_text(&again, &twice, &err), CHAIN_OK);
	assert_string_equal(text, twice);
	chain_config_free(&again);
	assert_int_equal(chain_config_parse(text, strlen(text), "baked", false, &again, &err), CHAIN_E_CONFIG_NO_FROM);
	chain_config_free(&config);
	free(text);
	free(twice);
}

static void cut_short_is_refused_everywhere(void **state)
{
	(void)state;
	for (size_t n = 0; n + 1 < sizeof(valid); n++) {
		struct chain_config config;
		struct chain_error err = { 0 };
		assert_int_not_equal(chain_config_parse(valid, n, "p.json", false, &config, &err), CHAIN_OK);
	}
}

/* Any byte changed: taken or refused, never more than that. */
static void changed_bytes_do_no_harm(void **state)
{
	char text[sizeof(valid)];
	uint32_t seed = 1;
	(void)state;
	for (int round = 0; round < 4000; round++) {
		struct chain_config config;
		struct chain_error err = { 0 };
		memcpy(text, valid, sizeof(valid));
		for (int flips = 0; flips < 3; flips++) {
			seed = seed * 1664525 + 1013904223;
			text[(seed >> 8) % (sizeof(valid) - 1)] = (char)(seed >> 24);
		}
		if (!chain_config_parse(text, sizeof(valid) - 1, "p.json", false, &config, &err))
			chain_config_free(&config);
	}
}

static bool only_k(void *ctx, const char *path)
{
	(void)ctx;
	return !strcmp(path, "/k");
}

static void names_the_step_that_lacks_its_source(void **state)
{
	struct chain_config config;
	struct chain_error err = { 0 };
	(void)state;
	assert_int_equal(chain_config_parse(valid, strlen(valid), "p.json", false, &config, &err), CHAIN_OK);
	assert_int_equal(chain_config_check_sources(&config, only_k, NULL, &err), CHAIN_E_CONFIG_NO_SOURCE);
	assert_string_equal(err.subject, "n");
	assert_string_equal(err.detail, "fs:/d/x");
	chain_config_free(&config);
}

static void reads_units(void **state)
{
	uint64_t v = 0;
	(void)state;
	assert_true(chain_parse_size("64K", &v) && v == 65536);
	assert_true(chain_parse_size("1GiB", &v) && v == 1 << 30);
	assert_true(chain_parse_size("18446744073709551615", &v) && v == UINT64_MAX);
	assert_false(chain_parse_size("18446744073709551616", &v));
	assert_false(chain_parse_size("K", &v));
	assert_false(chain_parse_size("-1K", &v));
	assert_true(chain_parse_time("2m", &v) && v == 120000000);
	assert_false(chain_parse_time("2", &v));
	assert_false(chain_parse_time("99999999999999h", &v));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(takes_every_key), cmocka_unit_test(refuses_by_place), cmocka_unit_test(suggests_the_near_key),
		cmocka_unit_test(baked_form_means_the_same), cmocka_unit_test(cut_short_is_refused_everywhere),
		cmocka_unit_test(changed_bytes_do_no_harm), cmocka_unit_test(names_the_step_that_lacks_its_source),
		cmocka_unit_test(reads_units),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
