/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Handoffs: what is refused, what is passed on, long chains, masking, and the examples in docs/HANDOFF.md. */
#include "json_cases.h"

#include "chain/handoff.h"
#include "chain/json.h"

static enum chain_status parse(const char *text, size_t bytes, struct chain_error *err)
{
	json_t *doc = NULL;
	enum chain_status status = chain_handoff_parse(text, bytes, &doc, err);
	json_decref(doc);
	return status;
}

static void test_invalid(void **state)
{
	(void)state;
	each_case("invalid", "handoff-", check_invalid, parse);
}
static void test_valid(void **state)
{
	(void)state;
	each_case("valid", "handoff-", check_valid, parse);
}
static void test_truncated(void **state)
{
	(void)state;
	each_case("valid", "handoff-", check_truncated, parse);
}
static void test_mutated(void **state)
{
	(void)state;
	each_case("valid", "handoff-", check_mutated, parse);
}

static const char pipeline[] = "{\"kchain\":1,\"name\":\"me\",\"state\":{\"a\":\"mine\",\"b\":2},"
			       "\"net\":{\"lan\":{\"dhcp\":true,\"match\":{\"mac\":\"52:54:00:12:34:56\"}},\"fix\":{"
			       "\"static\":{\"address\":\"10.0.2.77/24\"}}},"
			       "\"steps\":[{\"name\":\"go\",\"boot\":\"fs:/k\"}]}";

struct fixture {
	struct chain_config config;
	struct chain_bootinfo info;
	struct chain_handoff_input in;
	uint8_t digest[32], boot_id[CHAIN_BOOT_ID_BYTES];
};

static void fixture_init(struct fixture *f)
{
	struct chain_error err = { 0 };
	assert_ok(chain_config_parse(pipeline, strlen(pipeline), "pipeline", true, &f->config, &err), &err);
	assert_ok(chain_bootinfo_qemu("pc", 64 << 20, 1, &f->info, &err), &err);
	memset(f->digest, 0xab, sizeof(f->digest));
	memset(f->boot_id, 0x1f, sizeof(f->boot_id));
	f->in = (struct chain_handoff_input){
		.config = &f->config,
		.step = &f->config.steps[0],
		.image_sha256 = f->digest,
		.door = "multiboot1",
		.entered_ticks = 1000,
		.left_ticks = 5000,
		.boot_id = f->boot_id,
		.bootinfo = &f->info,
		.fs_phys = 0x400000,
		.fs_bytes = 8192,
	};
}

static void fixture_free(struct fixture *f)
{
	chain_config_free(&f->config);
	chain_bootinfo_free(&f->info);
}

static json_t *built(const struct chain_handoff_input *in)
{
	struct chain_error err = { 0 };
	json_t *doc = NULL;
	assert_ok(chain_handoff_build(in, &doc, &err), &err);
	return doc;
}

/* Shares nothing with the inputs, so that masking it is safe. */
static json_t *copy_built(const struct chain_handoff_input *in)
{
	json_t *doc = built(in), *copy = json_deep_copy(doc);
	json_decref(doc);
	return copy;
}

static json_t *at(const json_t *doc, const char *key)
{
	return json_object_get(doc, key);
}

static void test_first_link(void **state)
{
	struct fixture f;
	struct chain_error err = { 0 };
	char *text = NULL;
	uint64_t bytes = 0;
	(void)state;
	fixture_init(&f);
	json_t *doc = built(&f.in), *link = json_array_get(at(doc, "links"), 0);
	assert_true(json_is_null(at(at(doc, "self"), "kernel")));
	struct chain_digest digest = { .kind = CHAIN_DIGEST_SHA256 };
	memcpy(digest.bytes, f.digest, sizeof(digest.bytes));
	assert_ok(chain_handoff_set_kernel(doc, &digest, &err), &err);
	assert_memory_equal(json_string_value(at(at(doc, "self"), "kernel")), "sha256:abab", 11);
	digest.kind = CHAIN_DIGEST_FSVERITY;
	assert_ok(chain_handoff_set_kernel(doc, &digest, &err), &err);
	assert_memory_equal(json_string_value(at(at(doc, "self"), "kernel")), "fsverity:abab", 13);
	assert_string_equal(json_string_value(at(doc, "boot_id")), "1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f");
	assert_int_equal(json_integer_value(at(link, "entered_ticks")), 0);
	assert_int_equal(json_integer_value(at(link, "left_ticks")), 4000);
	assert_null(at(link, "entered_us")); /* the clock was not calibrated */
	assert_string_equal(json_string_value(at(at(doc, "fs"), "phys")), "0x400000");
	assert_string_equal(json_string_value(at(at(doc, "state"), "a")), "mine");
	assert_ok(chain_handoff_text(doc, NULL, &text, &bytes, &err), &err);
	assert_ok(parse(text, bytes, &err), &err);
	free(text);
	json_decref(doc);
	f.in.tsc_hz = 2000000;
	doc = built(&f.in);
	assert_int_equal(json_integer_value(at(json_array_get(at(doc, "links"), 0), "left_us")), 2000);
	json_decref(doc);
	fixture_free(&f);
}

/* One made with what its link's others left, and its text, is what it would be by itself. */
static void expect_same_shared(struct fixture *f, struct chain_handoff_shared *shared)
{
	struct chain_error err = { 0 };
	const struct chain_digest digest = { .kind = CHAIN_DIGEST_FSVERITY };
	char *texts[2];
	uint64_t bytes[2];
	for (int i = 0; i < 2; i++) {
		f->in.shared = i ? shared : NULL;
		json_t *doc = built(&f->in);
		assert_ok(chain_handoff_set_kernel(doc, &digest, &err), &err);
		assert_true(!i || at(doc, "platform") == shared->platform.value);
		assert_ok(chain_handoff_text(doc, f->in.shared, &texts[i], &bytes[i], &err), &err);
		json_decref(doc);
	}
	assert_string_equal(texts[1], texts[0]);
	assert_int_equal(bytes[1], bytes[0]);
	free(texts[0]);
	free(texts[1]);
}

/* Calls one after another, with results that come and are replaced, a clock that becomes known, a boot between them and
 * somebody who puts another machine into the document. */
static void expect_same_calls(struct fixture *f, const json_t *parent)
{
	struct chain_error err = { 0 };
	struct chain_handoff_shared shared;
	json_t *results = json_object();
	f->in.parent = parent;
	f->in.results = results;
	assert_ok(chain_handoff_share(parent, f->in.bootinfo, f->in.door, &shared, &err), &err);
	for (json_int_t turn = 0; turn < 12; turn++) {
		f->in.left_ticks = turn % 5 == 4 ? 5000 : 0;
		f->in.tsc_hz = turn < 6 ? 0 : 2000000;
		expect_same_shared(f, &shared);
		json_object_set_new(results, turn % 2 ? "odd" : "even", json_pack("{s:I}", "exit", turn));
		json_t *last = shared.doc;
		if (last && turn % 3 == 2)
			json_object_set_new(last, "platform", json_object());
	}
	chain_handoff_shared_free(&shared);
	json_decref(results);
	f->in.shared = NULL;
	f->in.parent = f->in.results = NULL;
}

static json_t *parent_case(void)
{
	struct chain_error err = { 0 };
	json_t *parent = NULL;
	size_t bytes;
	char *text = valid_case("handoff-full", &bytes);
	assert_ok(chain_handoff_parse(text, bytes, &parent, &err), &err);
	free(text);
	return parent;
}

static void test_shared_platform(void **state)
{
	struct fixture f;
	(void)state;
	fixture_init(&f);
	json_t *parent = parent_case();
	expect_same_calls(&f, NULL);
	expect_same_calls(&f, parent);
	json_decref(parent);
	fixture_free(&f);
}

static void test_passed_on(void **state)
{
	struct fixture f;
	(void)state;
	fixture_init(&f);
	json_t *parent = parent_case(), *before = json_deep_copy(parent);
	f.in.parent = parent;
	f.in.fs_bytes = 0;
	json_t *doc = built(&f.in);
	assert_true(json_equal(parent, before)); /* the received one is left as it was */
	assert_non_null(at(at(doc, "future"), "key"));
	assert_non_null(at(at(doc, "net"), "old"));
	assert_null(at(doc, "fs")); /* the parent's lies in memory that may be gone */
	assert_string_equal(json_string_value(at(at(doc, "state"), "a")), "mine");
	assert_int_equal(json_integer_value(at(at(doc, "state"), "keep")), 1);
	assert_non_null(at(at(doc, "results"), "before"));
	assert_string_equal(json_string_value(at(doc, "boot_id")), "00000000000000000000000000000000");
	assert_int_equal(json_array_size(at(doc, "links")), CHAIN_HANDOFF_LINKS_MAX);
	assert_int_equal(json_integer_value(at(json_array_get(at(doc, "links"), 0), "n")), 0);
	assert_int_equal(json_integer_value(at(json_array_get(at(doc, "links"), 63), "n")), 64);
	assert_int_equal(json_integer_value(at(at(doc, "links_dropped"), "count")), 4);
	json_decref(doc);
	json_decref(before);
	json_decref(parent);
	fixture_free(&f);
}

/* What the parent knew of the clock is not lost by a link that did not need to calibrate it. */
static void test_clock(void **state)
{
	struct fixture f;
	(void)state;
	fixture_init(&f);
	json_t *parent = parent_case();
	f.in.parent = parent;
	json_t *doc = built(&f.in);
	assert_int_equal(json_integer_value(at(at(doc, "clock"), "tsc_hz")), 1000000000);
	json_decref(doc);
	f.in.entered_ticks = 1; /* before the origin: another machine's clock, or it was reset */
	f.in.left_ticks = 3;
	doc = built(&f.in);
	json_t *link = json_array_get(at(doc, "links"), 63);
	assert_true(json_integer_value(at(link, "entered_ticks")) >= 0);
	assert_int_equal(json_integer_value(at(link, "left_ticks")), json_integer_value(at(link, "entered_ticks")) + 2);
	json_decref(doc);
	json_decref(parent);
	fixture_free(&f);
}

/* What docs/HANDOFF.md says of `links_dropped`, by other means: the digest over "DIGEST so far" and "LINK". */
static void fold_again(char digest[CHAIN_SHA256_HEX + 1], const json_t *link)
{
	uint8_t sha256[CHAIN_SHA256_BYTES];
	char *text = json_dumps(link, JSON_COMPACT | JSON_SORT_KEYS), *joined = NULL;
	assert_true(asprintf(&joined, "%s%s", digest, text) > 0);
	chain_sha256_of(joined, strlen(joined), sha256);
	chain_sha256_to_hex(sha256, digest);
	free(joined);
	free(text);
}

/* A thousand links: the document stays of one size, and whoever kept each link as it was handed on gets the same
 * digest. */
static void test_long_chain(void **state)
{
	struct fixture f;
	size_t stable = 0;
	char digest[CHAIN_SHA256_HEX + 1] = "";
	json_t *all = json_array();
	(void)state;
	fixture_init(&f);
	json_t *doc = built(&f.in);
	for (int i = 1; i < 1000; i++) {
		struct chain_error err = { 0 };
		char *text = NULL;
		uint64_t bytes = 0;
		json_t *next;
		assert_ok(chain_handoff_text(doc, NULL, &text, &bytes, &err), &err);
		json_decref(doc);
		assert_ok(chain_handoff_parse(text, bytes, &doc, &err), &err);
		free(text);
		f.in.parent = doc;
		f.in.left_ticks++; /* each link is another */
		json_array_append(all, json_array_get(at(doc, "links"), json_array_size(at(doc, "links")) - 1));
		next = built(&f.in);
		json_decref(doc);
		doc = next;
		if (i >= CHAIN_HANDOFF_LINKS_MAX)
			fold_again(digest, json_array_get(all, (size_t)i - CHAIN_HANDOFF_LINKS_MAX + 1));
		const char *sha = json_string_value(at(at(doc, "links_dropped"), "sha256"));
		assert_string_equal(sha ? sha : "", digest);
		if (i == 200)
			stable = bytes;
		assert_true(!stable || bytes < stable + 200);
	}
	assert_int_equal(json_array_size(at(doc, "links")), CHAIN_HANDOFF_LINKS_MAX);
	assert_int_equal(json_integer_value(at(at(doc, "links_dropped"), "count")), 1000 - CHAIN_HANDOFF_LINKS_MAX);
	json_decref(all);
	json_decref(doc);
	fixture_free(&f);
}

static void use_pipeline(struct fixture *f, const char *text)
{
	struct chain_error err = { 0 };
	chain_config_free(&f->config);
	assert_ok(chain_config_parse(text, strlen(text), "pipeline", true, &f->config, &err), &err);
	f->in.step = &f->config.steps[0];
}

/* What a pipeline's state says is made anew for each handoff, of what was received, of its own plain values, and of
 * this link's results. */
static void test_state(void **state)
{
	static const char with_facts[] = "{\"kchain\":1,\"name\":\"s\",\"state\":{\"n\":\"{{results.c.result.n|0}}\","
					 "\"all\":\"{{results.c.result|}}\",\"before\":\"{{state.n|null}}\","
					 "\"text\":\"n={{results.c.result.n|-}}\",\"deep\":[{\"plain\":\"{{state.plain}"
					 "}\"},\"{{state.nope|\\\"0\\\"}}\",\"{{state.nope|00}}\"],\"plain\":true},"
					 "\"steps\":[{\"name\":\"c\",\"call\":\"fs:/k\"}]}";
	struct fixture f;
	struct chain_error err = { 0 };
	(void)state;
	fixture_init(&f);
	use_pipeline(&f, with_facts);
	json_t *doc = built(&f.in);
	json_t *wanted = json_pack("{s:i, s:s, s:n, s:s, s:[{s:b}, s, s], s:b}", "n", 0, "all", "", "before", "text",
				   "n=-", "deep", "plain", 1, "0", "00", "plain", 1);
	assert_true(json_equal(at(doc, "state"), wanted));
	json_decref(wanted);
	json_t *parent = json_deep_copy(doc), *results = json_pack("{s:{s:{s:i}}}", "c", "result", "n", 8);
	json_object_set_new(at(parent, "state"), "n", json_integer(7));
	json_object_set_new(at(parent, "state"), "plain", json_string("theirs"));
	json_object_set_new(at(parent, "state"), "theirs", json_integer(1));
	json_decref(doc);
	f.in.parent = parent;
	f.in.results = results;
	doc = built(&f.in);
	wanted = json_pack("{s:i, s:{s:i}, s:i, s:s, s:[{s:b}, s, s], s:b, s:i}", "n", 8, "all", "n", 8, "before", 7,
			   "text", "n=8", "deep", "plain", 1, "0", "00", "plain", 1, "theirs", 1);
	assert_true(json_equal(at(doc, "state"), wanted));
	json_decref(wanted);
	wanted = json_deep_copy(doc);
	json_decref(doc);
	assert_ok(chain_handoff_mask(wanted, &f.config, &err), &err);
	assert_string_equal(json_string_value(at(at(wanted, "state"), "all")), "volatile");
	assert_int_equal(json_integer_value(at(at(wanted, "state"), "theirs")), 1);
	json_decref(wanted);
	json_decref(results);
	json_decref(parent);
	fixture_free(&f);
}

/* State that can't be made is a failure with the key's name, and leaves nothing behind. */
static void test_state_refused(void **state)
{
	struct fixture f;
	struct chain_error err = { 0 };
	json_t *doc = NULL, *results = json_pack("{s:{s:[]}}", "c", "result");
	(void)state;
	fixture_init(&f);
	use_pipeline(&f, "{\"kchain\":1,\"name\":\"s\",\"state\":{\"t\":[\"a "
			 "{{results.c.result|}}\"]},\"steps\":[{\"name\":\"c\",\"call\":\"fs:/k\"}]}");
	f.in.results = results;
	assert_int_equal(chain_handoff_build(&f.in, &doc, &err), CHAIN_E_TEMPLATE_VALUE);
	assert_string_equal(err.subject, "t");
	json_decref(results);
	fixture_free(&f);
}

/* Two boots of one image differ in nothing that is left after masking. */
static void test_mask(void **state)
{
	struct fixture f;
	struct chain_error err = { 0 };
	(void)state;
	fixture_init(&f);
	json_t *lan = json_pack("{s:{s:s, s:[s], s:{s:i}}}", "lan", "status", "configured", "addresses", "10.0.2.15/24",
				"lease", "lifetime_s", 1);
	f.in.net = lan;
	json_t *first = copy_built(&f.in);
	json_t *other = json_pack("{s:{s:s, s:[s], s:{s:i}}}", "lan", "status", "configured", "addresses",
				  "10.0.2.99/24", "lease", "lifetime_s", 9);
	f.in.net = other;
	f.in.entered_ticks = 77777;
	f.in.left_ticks = 99999;
	f.in.tsc_hz = 3000000;
	memset(f.boot_id, 0x22, sizeof(f.boot_id));
	json_t *second = copy_built(&f.in);
	assert_false(json_equal(first, second));
	assert_ok(chain_handoff_mask(first, NULL, &err), &err);
	assert_ok(chain_handoff_mask(second, NULL, &err), &err);
	assert_true(json_equal(first, second));
	assert_string_equal(json_string_value(at(first, "boot_id")), "volatile");
	json_decref(first);
	json_decref(second);
	json_decref(lan);
	json_decref(other);
	fixture_free(&f);
}

static void test_expire(void **state)
{
	static const struct {
		json_int_t obtained_us, lifetime_s;
		uint64_t now_us;
		const char *status;
	} cases[] = {
		{ 1000000, 60, 61000000, "configured" },
		{ 1000000, 60, 62000000, "present" },
		{ 1000000, UINT32_MAX, UINT64_MAX, "configured" },
		{ 1000000, 0, UINT64_MAX, "configured" },
		{ -1, 60, UINT64_MAX, "configured" },
		{ INT64_MAX, 60, UINT64_MAX, "present" },
	};
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct chain_error err = { 0 };
		json_t *doc = json_pack("{s:{s:{s:s,s:{s:I,s:I}}}}", "net", "lan", "status", "configured", "lease",
					"obtained_us", cases[i].obtained_us, "lifetime_s", cases[i].lifetime_s);
		struct chain_config_net lan = { .name = (char *)(uintptr_t) "lan", .dhcp = true };
		assert_int_equal(chain_handoff_expire(doc, cases[i].now_us, &err), CHAIN_OK);
		assert_string_equal(json_string_value(json_object_get(
					    json_object_get(json_object_get(doc, "net"), "lan"), "status")),
				    cases[i].status);
		assert_true((chain_handoff_keep_net(doc, &lan) != NULL) == !strcmp(cases[i].status, "configured"));
		json_decref(doc);
	}
}

static void test_keep_net(void **state)
{
	struct fixture f;
	(void)state;
	fixture_init(&f);
	struct chain_config_net *lan = &f.config.net[0], *fix = &f.config.net[1];
	json_t *parent = json_pack("{s:{s:{s:s, s:s, s:[s], s:{s:i}}, s:{s:s, s:[s]}}}", "net", "lan", "status",
				   "configured", "mac", "52:54:00:12:34:56", "addresses", "10.0.2.15/24", "lease",
				   "lifetime_s", 86400, "fix", "status", "configured", "addresses", "10.0.2.15/24");
	assert_non_null(chain_handoff_keep_net(parent, lan));
	assert_null(chain_handoff_keep_net(NULL, lan));
	assert_null(chain_handoff_keep_net(parent, fix)); /* another address than this pipeline asks for */
	json_object_set_new(at(at(parent, "net"), "fix"), "addresses", json_pack("[s]", "10.0.2.77/24"));
	assert_non_null(chain_handoff_keep_net(parent, fix));
	lan->fresh = true;
	assert_null(chain_handoff_keep_net(parent, lan));
	lan->fresh = false;
	json_object_set_new(at(at(parent, "net"), "lan"), "mac", json_string("52:54:00:00:00:01"));
	assert_null(chain_handoff_keep_net(parent, lan));
	json_decref(parent);
	fixture_free(&f);
}

static void test_results(void **state)
{
	(void)state;
	json_t *entry = chain_result_entry("failed", 3, json_pack("{s:i, s:[i]}", "a", 1, "b", 2), "why"),
	       *result = at(entry, "result");
	json_t *part = json_pack("{s:i}", "a", 1), *other = json_pack("{s:i}", "a", 2),
	       *list = json_pack("{s:[i,i]}", "b", 2, 3);
	assert_string_equal(json_string_value(at(entry, "reason")), "why");
	assert_true(chain_result_contains(result, part));
	assert_false(chain_result_contains(result, other));
	assert_false(chain_result_contains(result, list));
	assert_false(chain_result_contains(NULL, part));
	json_decref(part);
	json_decref(other);
	json_decref(list);
	json_decref(entry);
}

/* A kernel's result as deep as is allowed can be read by the next link; what is deeper is not sent on its way. */
static void test_deep_results(void **state)
{
	(void)state;
	char nested[2 * CHAIN_JSON_DEPTH_MAX + 1];
	struct fixture f;
	fixture_init(&f);
	for (size_t depth = CHAIN_RESULT_DEPTH_MAX; depth <= CHAIN_RESULT_DEPTH_MAX + 2; depth++) {
		struct chain_error err = { 0 };
		json_t *doc, *received = NULL, *results = json_object();
		char *text = NULL;
		uint64_t bytes = 0;
		memset(nested, '[', depth);
		memset(nested + depth, ']', depth);
		json_t *result;
		enum chain_status read =
			chain_json_any(nested, 2 * depth, CHAIN_RESULT_DEPTH_MAX, "result", &result, NULL);
		assert_int_equal(read, depth <= CHAIN_RESULT_DEPTH_MAX ? CHAIN_OK : CHAIN_E_JSON_DEPTH);
		assert_int_equal(result != NULL, depth <= CHAIN_RESULT_DEPTH_MAX);
		if (!result)
			assert_ok(chain_json_any(nested, 2 * depth, CHAIN_JSON_DEPTH_MAX, "result", &result, &err),
				  &err);
		json_object_set_new(results, "step", chain_result_entry("ok", 0, result, NULL));
		f.in.results = results;
		doc = built(&f.in);
		enum chain_status status = chain_handoff_text(doc, NULL, &text, &bytes, &err);
		assert_int_equal(status, depth <= CHAIN_RESULT_DEPTH_MAX + 1 ? CHAIN_OK : CHAIN_E_JSON_DEPTH);
		if (!status) {
			assert_ok(chain_handoff_parse(text, bytes, &received, &err), &err);
			assert_true(json_equal(doc, received));
		}
		json_decref(received);
		json_decref(doc);
		json_decref(results);
		free(text);
	}
	fixture_free(&f);
}

static void test_documented(void **state)
{
	size_t bytes, count = 0;
	char *text = case_file("docs/HANDOFF.md", &bytes);
	(void)state;
	for (char *mark = text; (mark = strstr(mark, "<!-- test: handoff -->\n```json\n")); count++) {
		struct chain_error err = { 0 };
		char *start = strchr(strchr(mark, '\n') + 1, '\n') + 1, *end = strstr(start, "\n```");
		assert_non_null(end);
		assert_ok(parse(start, (size_t)(end - start), &err), &err);
		mark = end;
	}
	assert_true(count >= 2);
	free(text);
}

/* What a build writes is in the schema, by name, and what the schema calls volatile is what masking hides. */
static void test_schema(void **state)
{
	struct fixture f;
	json_error_t why;
	const char *key;
	json_t *value, *schema = json_load_file("docs/handoff-1.schema.json", JSON_REJECT_DUPLICATES, &why);
	struct chain_error err = { 0 };
	(void)state;
	if (!schema)
		fail_msg("docs/handoff-1.schema.json:%d: %s", why.line, why.text);
	fixture_init(&f);
	json_t *parent = parent_case(), *properties = at(schema, "properties");
	json_object_del(parent, "future");
	f.in.parent = parent;
	json_t *doc = copy_built(&f.in);
	json_object_foreach (doc, key, value)
		if (!at(properties, key))
			fail_msg("\"%s\" is not in the schema", key);
	json_object_foreach (json_array_get(at(doc, "links"), 63), key, value)
		if (!at(at(at(at(schema, "$defs"), "link"), "properties"), key))
			fail_msg("\"links[].%s\" is not in the schema", key);
	assert_ok(chain_handoff_mask(doc, &f.config, &err), &err);
	json_object_foreach (doc, key, value) {
		bool hidden = json_is_string(value) && !strcmp(json_string_value(value), "volatile");
		if (hidden != json_is_true(at(at(properties, key), "x-volatile")))
			fail_msg("\"%s\": the schema and the mask differ", key);
	}
	json_decref(doc);
	json_decref(parent);
	json_decref(schema);
	fixture_free(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_invalid),       cmocka_unit_test(test_valid),
		cmocka_unit_test(test_truncated),     cmocka_unit_test(test_mutated),
		cmocka_unit_test(test_first_link),    cmocka_unit_test(test_shared_platform),
		cmocka_unit_test(test_passed_on),     cmocka_unit_test(test_clock),
		cmocka_unit_test(test_long_chain),    cmocka_unit_test(test_state),
		cmocka_unit_test(test_state_refused), cmocka_unit_test(test_mask),
		cmocka_unit_test(test_keep_net),      cmocka_unit_test(test_expire),
		cmocka_unit_test(test_results),       cmocka_unit_test(test_deep_results),
		cmocka_unit_test(test_documented),    cmocka_unit_test(test_schema),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
