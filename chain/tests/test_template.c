/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* {{facts}} put into arguments, from a handoff as a kernel gets it. What the check refuses is in
 * data/invalid/config-template-*. */
#include "json_cases.h"

#include "chain/template.h"

static const char document[] =
	"{\"boot_id\":\"00ff\",\"self\":{\"step\":\"two\"},\"platform\":{\"cpus\":4,\"acpi_rsdp\":\"0xf5b00\"},"
	"\"net\":{\"lan\":{\"status\":\"configured\",\"mac\":\"52:54:00:12:34:56\",\"addresses\":[\"10.0.2.15/24\"],"
	"\"gateways\":[\"10.0.2.2\"],\"dns\":[\"10.0.2.3\",\"10.0.2.4\"]},\"off\":{\"status\":\"absent\"},\"odd\":{"
	"\"addresses\":[\"10.9.9.9\"]}},"
	"\"block\":{\"d\":{\"bytes\":1048576,\"serial\":\"D1\"}},"
	"\"state\":{\"a\":{\"b\":\"deep\"},\"n\":-3,\"t\":true,\"f\":false,\"none\":null,\"empty\":\"\",\"bad\":"
	"\"a\\nb\",\"list\":[1],\"del\":\"\\u007f\"},"
	"\"results\":{\"one\":{\"status\":\"ok\",\"exit\":0,\"result\":{\"sum\":42}}}}";

static const struct {
	const char *text, *expect;
	enum chain_status status;
} rows[] = {
	{ "", "", CHAIN_OK },
	{ "plain { text } }}", "plain { text } }}", CHAIN_OK },
	{ "{{boot_id}}{{self.step}}", "00fftwo", CHAIN_OK },
	{ "a={{net.lan.address}} p={{net.lan.prefix}}", "a=10.0.2.15 p=24", CHAIN_OK },
	{ "{{net.lan.gateway}} {{net.lan.dns}} {{net.lan.mac}}", "10.0.2.2 10.0.2.3 52:54:00:12:34:56", CHAIN_OK },
	{ "{{net.off.address|none}} {{net.off.status}}", "none absent", CHAIN_OK },
	{ "{{net.odd.address}}", "10.9.9.9", CHAIN_OK },
	{ "{{net.odd.prefix|-}}", "-", CHAIN_OK },
	{ "{{block.d.bytes}} {{block.d.serial}} {{platform.cpus}}", "1048576 D1 4", CHAIN_OK },
	{ "{{state.a.b}} {{state.n}} {{state.t}} {{state.f}}", "deep -3 true false", CHAIN_OK },
	{ "[{{state.empty}}]", "[]", CHAIN_OK }, /* there, and empty: not the same as absent */
	{ "[{{state.empty|x}}]", "[]", CHAIN_OK },
	{ "{{results.one.result.sum}} {{results.one.exit}}", "42 0", CHAIN_OK },
	{ "{{state.none|x}} {{state.nope|}}.", "x .", CHAIN_OK },
	{ "{{state.x|a|b}}", "a|b", CHAIN_OK },
	{ "{{state.nope}}", NULL, CHAIN_E_TEMPLATE_ABSENT },
	{ "{{net.off.address}}", NULL, CHAIN_E_TEMPLATE_ABSENT },
	{ "{{net.lan}}", NULL, CHAIN_E_TEMPLATE_ABSENT },
	{ "{{state.bad|x}}", NULL, CHAIN_E_TEMPLATE_VALUE },
	{ "{{state.del}}", NULL, CHAIN_E_TEMPLATE_VALUE },
	{ "{{state.list|x}}", NULL, CHAIN_E_TEMPLATE_VALUE },
	{ "{{state.a}}", NULL, CHAIN_E_TEMPLATE_VALUE },
	{ "{{state", NULL, CHAIN_E_TEMPLATE_SYNTAX },
	{ "{{}}", NULL, CHAIN_E_TEMPLATE_SYNTAX },
	{ "{{|x}}", NULL, CHAIN_E_TEMPLATE_SYNTAX },
};

static json_t *handoff(void)
{
	json_t *doc = json_loads(document, 0, NULL);
	assert_non_null(doc);
	return doc;
}

static void test_rows(void **state)
{
	json_t *doc = handoff();
	size_t wrong = 0;
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct chain_error err = { 0 };
		char *out = NULL;
		enum chain_status status = chain_template_expand(rows[i].text, doc, "s", &out, &err);
		if (status != rows[i].status || (!status && strcmp(out, rows[i].expect))) {
			print_error("%s: %s \"%s\"\n", rows[i].text, chain_status_slug(status), out ? out : "");
			wrong++;
		}
		free(out);
	}
	json_decref(doc);
	assert_int_equal(wrong, 0);
}

static void test_pending(void **state)
{
	static const char text[] =
		"{{net.lan.address}} {{net.lan.gateway|x y}} {{state.gone|}}{{results.a.result.n|none}} {{boot_id}}";
	struct chain_error err = { 0 };
	json_t *doc = handoff(),
	       *pending = json_loads("{\"net\": {\"lan\": true}, \"results\": {\"b\": true}}", 0, NULL);
	char *all = NULL, *known = NULL;
	(void)state;
	assert_ok(chain_template_expand(text, doc, "s", &all, &err), &err);
	assert_ok(chain_template_expand_known(text, doc, pending, "s", &known, &err), &err);
	assert_true(!strncmp(known, "{{net.lan.address}} {{net.lan.gateway|x y}} none ", 49));
	assert_string_equal(strrchr(known, ' '), strrchr(all, ' '));
	free(known);
	json_object_set_new(json_object_get(pending, "results"), "a", json_true());
	json_object_del(pending, "net");
	assert_ok(chain_template_expand_known(text, doc, pending, "s", &known, &err), &err);
	assert_non_null(strstr(known, " {{results.a.result.n|none}} "));
	assert_null(strstr(known, "{{net"));
	free(known);
	free(all);
	json_decref(pending);
	json_decref(doc);
}

static void test_too_long(void **state)
{
	struct chain_error err = { 0 };
	json_t *doc = handoff();
	char *out = NULL, *text = malloc(CHAIN_TEMPLATE_MAX_BYTES + 64);
	(void)state;
	assert_non_null(text);
	memset(text, 'a', CHAIN_TEMPLATE_MAX_BYTES);
	text[CHAIN_TEMPLATE_MAX_BYTES] = '\0';
	assert_ok(chain_template_expand(text, doc, "s", &out, &err), &err);
	assert_int_equal(strlen(out), CHAIN_TEMPLATE_MAX_BYTES);
	free(out);
	strcpy(text + CHAIN_TEMPLATE_MAX_BYTES - 1, "{{boot_id}}");
	assert_int_equal(chain_template_expand(text, doc, "s", &out, &err), CHAIN_E_LIMIT);
	free(text);
	json_decref(doc);
}

static void test_random(void **state)
{
	static const char *const bits[] = { "{{",    "}}", "{",       "|",  ".",       "net", "lan",
					    "state", "a",  "address", "x-", "boot_id", " " };
	json_t *doc = handoff();
	unsigned seed = 7;
	(void)state;
	for (int round = 0; round < 20000; round++) {
		struct chain_error err = { 0 };
		char text[300] = "", *out = NULL;
		for (int i = 0; i < 16; i++) {
			seed = seed * 1103515245u + 12345u;
			strcat(text, bits[(seed >> 16) % (sizeof(bits) / sizeof(bits[0]))]);
		}
		enum chain_status status = chain_template_expand(text, doc, "s", &out, &err);
		assert_int_equal(err.status, status);
		if (!status)
			free(out);
		/* As a value of state: the same, or the fact's own value. */
		struct chain_error other = { 0 };
		json_t *value = json_pack("[{s:s}]", "a", text), *filled = NULL;
		enum chain_status filling = chain_template_fill(value, doc, "s", &filled, &other);
		assert_int_equal(other.status, filling);
		assert_true(filling == status || status == CHAIN_E_TEMPLATE_VALUE);
		json_decref(filled);
		json_decref(value);
	}
	json_decref(doc);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_pending),
		cmocka_unit_test(test_too_long),
		cmocka_unit_test(test_random),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
