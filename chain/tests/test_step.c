/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Whether a step is taken: what its "when" says against the handoff it would give. A step that is taken goes on to open
 * its kernel, which is not in the image of this test. */
#include "bake_fixture.h"

#include "chain/step.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#define PIPELINE                                                                                                       \
	"{\"kchain\":1,\"name\":\"w\",\"net\":{\"lan\":{\"dhcp\":true,\"need\":\"optional\"}},\"state\":{\"own\":[1,{" \
	"\"a\":null}],\"n\":\"{{results.s.exit|-1}}\"},"                                                               \
	"\"steps\":[{\"name\":\"s\",\"call\":\"fs:/missing\",\"when\":%s}]}"

static const struct {
	const char *when;
	const char *fact, *found;
} rows[] = {
	/* no fact: taken */
	{ "{\"self.step\":\"s\"}", NULL, NULL },
	{ "{\"self.step\":\"t\"}", "self.step", "\"s\"" },
	{ "{\"results.s.exit\":3}", NULL, NULL },
	{ "{\"results.s.exit\":3.0}", "results.s.exit", "3" },
	{ "{\"results.s.exit\":\"3\"}", "results.s.exit", "3" },
	{ "{\"results.s.exit\":null}", "results.s.exit", "3" },
	{ "{\"results.t.exit\":null}", NULL, NULL },
	{ "{\"results.t.exit\":0}", "results.t.exit", "null" },
	{ "{\"results.s.result\":{\"b\":[true],\"a\":1}}", NULL, NULL }, /* members in any order */
	{ "{\"results.s.result\":{\"a\":1}}", "results.s.result", "{\"a\":1,\"b\":[true]}" },
	{ "{\"results.s.result.a\":1,\"results.s.result.b\":[false]}", "results.s.result.b", "[true]" },
	{ "{\"results.s.result.b.x\":null}", NULL, NULL },
	{ "{\"state.own\":[1,{\"a\":null}]}", NULL, NULL },
	{ "{\"state.n\":3}", NULL, NULL },
	{ "{\"state.theirs\":\"kept\"}", NULL, NULL },
	{ "{\"net.lan.address\":\"10.0.2.15\",\"net.lan.prefix\":24,\"net.lan.gateway\":\"10.0.2.2\",\"net.lan.dns\":"
	  "null}",
	  NULL, NULL },
	{ "{\"net.lan.status\":\"absent\"}", "net.lan.status", "\"configured\"" },
	{ "{\"platform.cpus\":1,\"platform.acpi_rsdp\":null}", NULL, NULL },
};

struct fixture {
	struct sink sink;
	struct chain_image image;
	struct chain_bootinfo info;
	struct chain_sources sources;
	json_t *parent, *net;
	struct chain_link link;
};

static void fixture_init(struct fixture *f)
{
	*f = (struct fixture){ 0 };
	assert_int_equal(image_make(&f->sink, &f->image), CHAIN_OK);
	assert_int_equal(chain_bootinfo_qemu("pc", 64 << 20, 1, &f->info, NULL), CHAIN_OK);
	f->sources = (struct chain_sources){ .image = &f->image, .bootinfo = &f->info };
	f->parent = json_pack("{s:[], s:{s:s}, s:{s:{s:i, s:{s:i, s:[b]}}}}", "links", "state", "theirs", "kept",
			      "results", "s", "exit", 3, "result", "a", 1, "b", 1);
	f->net = json_pack("{s:{s:s, s:[s], s:[s], s:[]}}", "lan", "status", "configured", "addresses", "10.0.2.15/24",
			   "gateways", "10.0.2.2", "dns");
	f->link =
		(struct chain_link){ .sources = &f->sources, .parent = f->parent, .net = f->net, .door = "multiboot1" };
}

static void fixture_free(struct fixture *f)
{
	json_decref(f->parent);
	json_decref(f->net);
	chain_bootinfo_free(&f->info);
	free(f->sink.bytes);
}

static void check(struct fixture *f, const char *when, const char *fact, const char *found)
{
	char text[1024];
	struct chain_config config;
	struct chain_prepared prepared;
	struct chain_error err = { 0 };
	assert_true((size_t)snprintf(text, sizeof(text), PIPELINE, when) < sizeof(text));
	if (chain_config_parse(text, strlen(text), "pipeline", true, &config, &err))
		fail_msg("%s: %s %s", when, err.subject, err.detail);
	f->link.config = &config;
	enum chain_status status = chain_step_prepare(&f->link, &config.steps[0], &prepared, &err);
	if (!fact) {
		if (status != CHAIN_E_MANIFEST_NO_ENTRY)
			fail_msg("%s: not taken", when);
	} else {
		assert_int_equal(status, CHAIN_OK);
		assert_string_equal(json_string_value(json_object_get(prepared.unmet, "fact")), fact);
		char *is = json_dumps(json_object_get(prepared.unmet, "found"),
				      JSON_COMPACT | JSON_ENCODE_ANY | JSON_SORT_KEYS);
		assert_string_equal(is, found);
		free(is);
		chain_prepared_free(&prepared);
	}
	chain_config_free(&config);
}

static void test_when(void **state)
{
	struct fixture f;
	(void)state;
	fixture_init(&f);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		f.link.regardless = false;
		check(&f, rows[i].when, rows[i].fact, rows[i].found);
		f.link.regardless = true; /* a plan shows every step */
		check(&f, rows[i].when, NULL, NULL);
	}
	fixture_free(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_when) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
