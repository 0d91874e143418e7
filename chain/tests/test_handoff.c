/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* The handoff: what a chain of links hands on, what is refused, what a plan can't know; and facts put into arguments. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "chain/handoff.h"
#include "chain/template.h"

#include <stdlib.h>
#include <string.h>

static const char pipeline[] =
	"{\"kchain\":1,\"name\":\"front\",\"state\":{\"a\":1},\"net\":{\"lan\":{\"dhcp\":true,\"need\":\"optional\"}},"
	"\"steps\":[{\"name\":\"s\",\"boot\":\"fs:/k\"}]}";

struct world {
	struct chain_config config;
	struct chain_bootinfo info;
	struct chain_handoff_input input;
};

static int set_up(void **state)
{
	static const uint8_t digest[32] = { 0xab }, boot_id[CHAIN_BOOT_ID_BYTES] = { 1, 2 };
	struct world *w = calloc(1, sizeof(*w));
	struct chain_error err = { 0 };
	if (!w || chain_config_parse(pipeline, strlen(pipeline), "p", true, &w->config, &err))
		return -1;
	chain_bootinfo_init(&w->info);
	if (chain_bootinfo_add_mem(&w->info, 0x100000, 0x700000, CHAIN_MEM_AVAILABLE, &err))
		return -1;
	w->input = (struct chain_handoff_input){
		.config = &w->config, .step = &w->config.steps[0], .image_sha256 = digest, .kernel_sha256 = digest,
		.door = "multiboot1", .entered_ticks = 1000, .left_ticks = 3000, .boot_id = boot_id, .bootinfo = &w->info,
	};
	*state = w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;
	chain_config_free(&w->config);
	chain_bootinfo_free(&w->info);
	free(w);
	return 0;
}

static json_t *build(const struct chain_handoff_input *input)
{
	struct chain_error err = { 0 };
	json_t *doc = NULL;
	assert_int_equal(chain_handoff_build(input, &doc, &err), CHAIN_OK);
	return doc;
}

/* As the next link would receive it. */
static json_t *received(const json_t *sent)
{
	struct chain_error err = { 0 };
	char *text;
	uint64_t bytes;
	json_t *doc = NULL;
	assert_int_equal(chain_handoff_text(sent, &text, &bytes, &err), CHAIN_OK);
	assert_int_equal(chain_handoff_parse(text, bytes, &doc, &err), CHAIN_OK);
	free(text);
	return doc;
}

static void first_link_begins_the_clock(void **state)
{
	struct world *w = *state;
	json_t *doc = build(&w->input), *link = json_array_get(json_object_get(doc, "links"), 0);
	assert_int_equal(json_integer_value(json_object_get(link, "entered_ticks")), 0);
	assert_int_equal(json_integer_value(json_object_get(link, "left_ticks")), 2000);
	assert_null(json_object_get(link, "left_us"));
	assert_string_equal(json_string_value(json_object_get(json_object_get(doc, "clock"), "origin_ticks")), "0x3e8");
	assert_string_equal(json_string_value(json_object_get(json_object_get(doc, "self"), "step")), "s");
	assert_string_equal(json_string_value(json_object_get(doc, "boot_id")), "01020000000000000000000000000000");
	json_decref(doc);
}

static void second_link_keeps_what_it_was_given(void **state)
{
	struct world *w = *state;
	json_t *first = build(&w->input), *parent = received(first);
	json_object_set_new(parent, "from_the_future", json_string("kept"));
	json_object_set_new(json_object_get(parent, "state"), "b", json_integer(2));
	w->input.parent = parent;
	w->input.entered_ticks = 5000;
	w->input.left_ticks = 7000000;
	w->input.tsc_hz = 1000000000;
	w->input.boot_id = NULL;
	json_t *doc = build(&w->input), *link = json_array_get(json_object_get(doc, "links"), 1);
	assert_string_equal(json_string_value(json_object_get(doc, "from_the_future")), "kept");
	assert_string_equal(json_string_value(json_object_get(doc, "boot_id")), json_string_value(json_object_get(parent, "boot_id")));
	assert_int_equal(json_integer_value(json_object_get(json_object_get(doc, "state"), "a")), 1);
	assert_int_equal(json_integer_value(json_object_get(json_object_get(doc, "state"), "b")), 2);
	assert_int_equal(json_integer_value(json_object_get(link, "n")), 1);
	assert_int_equal(json_integer_value(json_object_get(link, "entered_ticks")), 4000);
	assert_int_equal(json_integer_value(json_object_get(link, "left_us")), 6999);
	json_decref(doc);
	json_decref(parent);
	json_decref(first);
}

static void a_long_chain_stays_bounded(void **state)
{
	struct world *w = *state;
	json_t *doc = build(&w->input);
	for (int n = 1; n < 200; n++) {
		json_t *parent = received(doc);
		json_decref(doc);
		w->input.parent = parent;
		doc = build(&w->input);
		json_decref(parent);
	}
	const json_t *links = json_object_get(doc, "links");
	assert_int_equal(json_array_size(links), CHAIN_HANDOFF_LINKS_MAX);
	assert_int_equal(json_integer_value(json_object_get(json_array_get(links, 0), "n")), 0);
	assert_int_equal(json_integer_value(json_object_get(json_array_get(links, CHAIN_HANDOFF_LINKS_MAX - 1), "n")), 199);
	assert_int_equal(json_integer_value(json_object_get(json_object_get(doc, "links_dropped"), "count")), 200 - CHAIN_HANDOFF_LINKS_MAX);
	json_decref(doc);
}

static void malformed_ones_are_refused(void **state)
{
	static const struct { const char *text; enum chain_status status; } cases[] = {
		{ "{", CHAIN_E_JSON_SYNTAX },
		{ "[1]", CHAIN_E_JSON_NOT_OBJECT },
		{ "{\"kchain_handoff\":2}", CHAIN_E_HANDOFF_VERSION },
		{ "{}", CHAIN_E_HANDOFF_VERSION },
		{ "{\"kchain_handoff\":1}", CHAIN_E_HANDOFF_MEMBER },
		{ "{\"kchain_handoff\":1,\"boot_id\":1}", CHAIN_E_HANDOFF_MEMBER },
		{ "{\"kchain_handoff\":1,\"boot_id\":\"\",\"self\":{},\"links\":[{}],\"clock\":{}}", CHAIN_E_HANDOFF_MEMBER },
		{ "{\"kchain_handoff\":1,\"boot_id\":\"\",\"self\":{},\"links\":[],\"clock\":{},\"net\":[]}", CHAIN_E_HANDOFF_MEMBER },
		{ "{\"kchain_handoff\":1,\"boot_id\":\"\xff\"}", CHAIN_E_JSON_SYNTAX },
		{ "{\"kchain_handoff\":1,\"kchain_handoff\":1}", CHAIN_E_JSON_SYNTAX },
	};
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct chain_error err = { 0 };
		json_t *doc;
		assert_int_equal(chain_handoff_parse(cases[i].text, strlen(cases[i].text), &doc, &err), cases[i].status);
	}
}

static void too_large_is_refused(void **state)
{
	struct chain_error err = { 0 };
	size_t bytes = CHAIN_HANDOFF_MAX_BYTES + 1;
	char *text = malloc(bytes);
	json_t *doc;
	(void)state;
	memset(text, ' ', bytes);
	assert_int_equal(chain_handoff_parse(text, bytes, &doc, &err), CHAIN_E_LIMIT);
	free(text);
}

static void cut_short_is_refused_everywhere(void **state)
{
	struct world *w = *state;
	struct chain_error err = { 0 };
	json_t *doc = build(&w->input), *got;
	char *text;
	uint64_t bytes;
	assert_int_equal(chain_handoff_text(doc, &text, &bytes, &err), CHAIN_OK);
	for (uint64_t n = 0; n < bytes; n++) {
		struct chain_error why = { 0 };
		assert_int_not_equal(chain_handoff_parse(text, n, &got, &why), CHAIN_OK);
	}
	free(text);
	json_decref(doc);
}

static void mask_hides_what_no_plan_knows(void **state)
{
	struct world *w = *state;
	struct chain_error err = { 0 };
	json_t *net = json_pack("{s:{s:s,s:[s],s:{s:i}}}", "lan", "status", "configured", "addresses", "10.0.2.15/24", "lease", "lifetime_s", 9);
	json_t *results = json_pack("{s:{s:s}}", "r", "status", "ok");
	w->input.net = net;
	w->input.results = results;
	json_t *doc = build(&w->input);
	assert_int_equal(chain_handoff_mask(doc, &err), CHAIN_OK);
	const json_t *lan = json_object_get(json_object_get(doc, "net"), "lan");
	assert_string_equal(json_string_value(json_object_get(lan, "addresses")), "volatile");
	assert_string_equal(json_string_value(json_object_get(lan, "lease")), "volatile");
	assert_string_equal(json_string_value(json_object_get(lan, "status")), "configured");
	assert_string_equal(json_string_value(json_object_get(doc, "clock")), "volatile");
	assert_string_equal(json_string_value(json_object_get(json_object_get(doc, "results"), "r")), "volatile");
	assert_null(json_object_get(json_array_get(json_object_get(doc, "links"), 0), "left_ticks"));
	json_decref(doc);
	json_decref(net);
	json_decref(results);
}

static void a_lease_is_kept_while_it_fits(void **state)
{
	struct world *w = *state;
	struct chain_config_net net = { .name = (char *)"lan" };
	json_t *parent = json_pack("{s:{s:{s:s,s:s}}}", "net", "lan", "status", "configured", "mac", "52:54:00:12:34:56");
	(void)w;
	assert_non_null(chain_handoff_keep_net(parent, &net));
	net.mac = (char *)"52:54:00:12:34:57";
	assert_null(chain_handoff_keep_net(parent, &net));
	net.mac = (char *)"52:54:00:12:34:56";
	assert_non_null(chain_handoff_keep_net(parent, &net));
	net.fresh = true;
	assert_null(chain_handoff_keep_net(parent, &net));
	json_decref(parent);
}

static void facts_are_put_into_arguments(void **state)
{
	static const struct { const char *text, *expanded; enum chain_status status; } cases[] = {
		{ "", "", CHAIN_OK },
		{ "plain {x} }}", "plain {x} }}", CHAIN_OK },
		{ "a={{net.lan.address}}/{{net.lan.prefix}} g={{net.lan.gateway|none}}", "a=10.0.2.15/24 g=none", CHAIN_OK },
		{ "{{state.v.w}}{{state.no|}}", "3", CHAIN_OK },
		{ "{{state.no}}", NULL, CHAIN_E_TEMPLATE_ABSENT },
		{ "{{state.bad}}", NULL, CHAIN_E_TEMPLATE_VALUE },
		{ "{{state.v}}", NULL, CHAIN_E_TEMPLATE_VALUE },
		{ "{{", NULL, CHAIN_E_TEMPLATE_SYNTAX },
		{ "{{}}", NULL, CHAIN_E_TEMPLATE_SYNTAX },
	};
	json_t *doc = json_pack("{s:{s:{s:[s]}}, s:{s:{s:i}, s:s}}", "net", "lan", "addresses", "10.0.2.15/24", "state", "v", "w", 3, "bad", "a\nb");
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct chain_error err = { 0 };
		char *out = NULL;
		assert_int_equal(chain_template_expand(cases[i].text, doc, "w", &out, &err), cases[i].status);
		if (out)
			assert_string_equal(out, cases[i].expanded);
		free(out);
	}
	json_decref(doc);
}

static void results_are_compared_by_subset(void **state)
{
	json_t *got = json_pack("{s:i,s:{s:s,s:b}}", "n", 1, "o", "k", "v", "x", 1), *want = json_pack("{s:{s:s}}", "o", "k", "v");
	(void)state;
	assert_true(chain_result_contains(got, want));
	assert_false(chain_result_contains(want, got));
	json_decref(got);
	json_decref(want);
}

int main(void)
{
#define WITH_WORLD(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		WITH_WORLD(first_link_begins_the_clock), WITH_WORLD(second_link_keeps_what_it_was_given),
		WITH_WORLD(a_long_chain_stays_bounded), cmocka_unit_test(malformed_ones_are_refused),
		cmocka_unit_test(too_large_is_refused), WITH_WORLD(cut_short_is_refused_everywhere),
		WITH_WORLD(mask_hides_what_no_plan_knows), WITH_WORLD(a_lease_is_kept_while_it_fits),
		cmocka_unit_test(facts_are_put_into_arguments), cmocka_unit_test(results_are_compared_by_subset),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
