/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* libFuzzer target: any text as a received handoff and, behind a zero byte, a second one as what a called kernel left
 * as its result. What is accepted can be handed on: the next link reads what this one made of it, finds what it knows
 * nothing of, and the history stays bounded. */
#include "fuzz.h"

#include "chain/handoff.h"

#define PIPELINE(state)                                                                                                \
	"{\"kchain\":1,\"name\":\"fuzz\",\"state\":" state ",\"net\":{\"lan\":{\"dhcp\":true},"                        \
	"\"fixed\":{\"static\":{\"address\":\"10.0.2.15/24\"},\"match\":{\"mac\":\"52:54:00:12:34:56\"}}},"            \
	"\"steps\":[{\"name\":\"one\",\"call\":\"fs:/one\"},{\"name\":\"two\",\"boot\":\"fs:/two\"}]}"

/* One says what its state is, the other makes it of what it received. */
enum { WORLDS = 2 };
static const char *const pipelines[WORLDS] = {
	PIPELINE("{\"a\":1,\"kept\":null}"),
	PIPELINE("{\"a\":1,\"before\":[\"{{state.before|null}}\",\"{{results.one.result|0}}\"],\"text\":\"{{state.b|"
		 "none}}-{{net.lan.address|x}}\"}"),
};

struct world {
	struct chain_config config;
	struct chain_bootinfo bootinfo;
};

static struct world *the_world(size_t index)
{
	static struct world worlds[WORLDS];
	struct world *world = &worlds[index];
	struct chain_error err = { 0 };
	if (world->config.name)
		return world;
	FUZZ_HOLDS(
		!chain_config_parse(pipelines[index], strlen(pipelines[index]), "fuzz", false, &world->config, &err));
	FUZZ_HOLDS(!chain_bootinfo_qemu("pc", 128 << 20, 2, &world->bootinfo, &err));
	world->bootinfo.framebuffer =
		(struct chain_framebuffer){ 0xfd000000, 4096, 1024, 768, 32, 1, { 16, 8, 8, 8, 0, 8 } };
	return world;
}

/* Members that this link says something of; all others are passed on as they are. */
static bool is_ours(const char *key)
{
	static const char *const ours[] = { "kchain_handoff", "self", "links", "links_dropped", "net",  "block",
					    "platform",       "fs",   "state", "results",       "clock" };
	for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
		if (!strcmp(ours[i], key))
			return true;
	return false;
}

static void check_child(const json_t *parent, const json_t *child, const struct chain_handoff_input *input)
{
	const char *key;
	json_t *value;
	const json_t *links = json_object_get(child, "links"), *before = json_object_get(parent, "links");
	size_t count = json_array_size(links), count_before = json_array_size(before);
	FUZZ_HOLDS(count >= 1 && count <= CHAIN_HANDOFF_LINKS_MAX);
	FUZZ_HOLDS(count == (count_before < CHAIN_HANDOFF_LINKS_MAX ? count_before + 1 : CHAIN_HANDOFF_LINKS_MAX));
	FUZZ_HOLDS(!strcmp(json_string_value(json_object_get(json_array_get(links, count - 1), "name")), "fuzz"));
	FUZZ_HOLDS(!count_before || count == 1 || json_equal(json_array_get(links, 0), json_array_get(before, 0)));
	json_object_foreach ((json_t *)(uintptr_t)parent, key, value)
		FUZZ_HOLDS(is_ours(key) || json_equal(value, json_object_get(child, key)));
	FUZZ_HOLDS(
		!strcmp(json_string_value(json_object_get(json_object_get(child, "self"), "step")), input->step->name));
	FUZZ_HOLDS(json_equal(json_object_get(json_object_get(child, "state"), "a"),
			      json_object_get(input->config->state, "a")));
	json_object_foreach (json_object_get(parent, "state"), key, value)
		FUZZ_HOLDS(json_object_get(input->config->state, key) ||
			   json_equal(value, json_object_get(json_object_get(child, "state"), key)));
}

/* `made`: state is made of facts, which may be unfit for it, or nest deeper from link to link. */
static void hand_on(const json_t *parent, const struct chain_handoff_input *input, bool made)
{
	struct chain_error err = { 0 };
	const struct chain_digest kernel = { .kind = CHAIN_DIGEST_FSVERITY };
	json_t *child = NULL, *received = NULL;
	char *text = NULL;
	uint64_t bytes = 0;
	enum chain_status status = fuzz_text_status(chain_handoff_build(input, &child, &err), &err);
	FUZZ_HOLDS(!status || (made && (status == CHAIN_E_LIMIT || status == CHAIN_E_TEMPLATE_VALUE)));
	if (status)
		return;
	check_child(parent, child, input);
	FUZZ_HOLDS(!fuzz_text_status(chain_handoff_set_kernel(child, &kernel, &err), &err));
	status = fuzz_text_status(chain_handoff_text(child, NULL, &text, &bytes, &err), &err);
	FUZZ_HOLDS(!status || status == CHAIN_E_LIMIT || (made && status == CHAIN_E_JSON_DEPTH));
	if (!status) {
		FUZZ_HOLDS(!fuzz_text_status(chain_handoff_parse(text, bytes, &received, &err), &err));
		FUZZ_HOLDS(json_equal(received, child));
		FUZZ_HOLDS(chain_handoff_next_link(received) == chain_handoff_next_link(parent) + 1);
		FUZZ_HOLDS(!fuzz_text_status(chain_handoff_mask(received, input->config, &err), &err));
		json_decref(received);
		free(text);
	}
	json_decref(child);
}

static void check_expire(json_t *doc)
{
	static const uint64_t times[] = { 0, 1000000, 86400000000, (uint64_t)1 << 62, UINT64_MAX };
	struct chain_error err = { 0 };
	const char *key;
	json_t *entry;
	for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
		json_t *copy = json_deep_copy(doc);
		FUZZ_HOLDS(!fuzz_text_status(chain_handoff_expire(copy, times[i], &err), &err));
		json_object_foreach (json_object_get(copy, "net"), key, entry) {
			const json_t *was = json_object_get(json_object_get(doc, "net"), key);
			FUZZ_HOLDS(json_equal(entry, was) ||
				   !strcmp(json_string_value(json_object_get(entry, "status")), "present"));
		}
		json_decref(copy);
	}
}

static void check_parent(const json_t *parent, json_t *result, size_t index)
{
	struct world *world = the_world(index);
	const uint8_t digest[CHAIN_SHA256_BYTES] = { 1, 2, 3 };
	json_t *results = json_object();
	struct chain_handoff_input input = {
		.parent = parent,
		.config = &world->config,
		.image_sha256 = digest,
		.door = "multiboot1",
		.entered_ticks = 5000000,
		.left_ticks = 9000000,
		.tsc_hz = 1000000000,
		.boot_id = digest,
		.bootinfo = &world->bootinfo,
		.fs_phys = 0x400000,
		.fs_bytes = 4096,
		.results = results,
	};
	FUZZ_HOLDS(!json_object_set_new(results, "one", chain_result_entry("ok", 0, json_incref(result), NULL)));
	(void)chain_result_contains(result, parent);
	FUZZ_HOLDS(!result || chain_result_contains(result, result));
	for (size_t i = 0; i < world->config.step_count; i++) {
		input.step = &world->config.steps[i];
		hand_on(parent, &input, index == 1);
		input.tsc_hz = input.left_ticks = input.fs_bytes = 0;
	}
	for (size_t i = 0; i < world->config.net_count; i++) {
		const json_t *kept = chain_handoff_keep_net(parent, &world->config.net[i]);
		FUZZ_HOLDS(!kept || !strcmp(json_string_value(json_object_get(kept, "status")), "configured"));
	}
	json_decref(results);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *zero = memchr(data, 0, size);
	size_t bytes = zero ? (size_t)(zero - data) : size;
	struct chain_error err = { 0 };
	char *text = NULL;
	uint64_t text_bytes = 0;
	json_t *doc = NULL, *again = NULL, *result = NULL;

	if (fuzz_text_status(chain_handoff_parse((const char *)data, bytes, &doc, &err), &err))
		return 0;
	if (zero)
		(void)!chain_json_any((const char *)zero + 1, size - bytes - 1, CHAIN_RESULT_DEPTH_MAX, "result",
				      &result, NULL);
	if (!fuzz_text_status(chain_handoff_text(doc, NULL, &text, &text_bytes, &err), &err)) {
		FUZZ_HOLDS(!fuzz_text_status(chain_handoff_parse(text, text_bytes, &again, &err), &err) &&
			   json_equal(doc, again));
		json_decref(again);
		free(text);
	}
	check_expire(doc);
	for (size_t i = 0; i < WORLDS; i++)
		check_parent(doc, result, i);
	json_decref(result);
	json_decref(doc);
	return 0;
}
