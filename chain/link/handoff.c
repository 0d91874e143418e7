/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "chain/bootinfo_json.h"
#include "chain/handoff.h"

#include "chain/digest.h"
#include "chain/json.h"
#include "chain/json_memory.h"
#include "chain/json_write.h"
#include "chain/template.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* For keys of our own, which need no looking at. */
#define PUT(object, key, value) json_object_setn_new_nocheck(object, key, sizeof(key) - 1, value)

static const struct {
	const char *name;
	json_type type;
	bool required;
} members[] = {
	{ "boot_id", JSON_STRING, true },        { "self", JSON_OBJECT, true },     { "links", JSON_ARRAY, true },
	{ "links_dropped", JSON_OBJECT, false }, { "net", JSON_OBJECT, false },     { "block", JSON_OBJECT, false },
	{ "platform", JSON_OBJECT, false },      { "fs", JSON_OBJECT, false },      { "root", JSON_OBJECT, false },
	{ "state", JSON_OBJECT, false },         { "results", JSON_OBJECT, false }, { "clock", JSON_OBJECT, true },
};

static enum chain_status check_links(const json_t *doc, struct chain_error *err)
{
	const json_t *links = json_object_get(doc, "links");
	size_t i;
	json_t *link;
	if (json_array_size(links) > CHAIN_HANDOFF_LINKS_MAX)
		return CHAIN_FAIL(err, LIMIT, .subject = "handoff", .detail = "links", .value = json_array_size(links),
				  .limit = CHAIN_HANDOFF_LINKS_MAX);
	json_array_foreach (links, i, link)
		if (!json_is_integer(json_object_get(link, "n")) || !json_is_string(json_object_get(link, "name")))
			return chain_fail_text(err, CHAIN_E_HANDOFF_MEMBER, "links", "an entry without number or name");
	return CHAIN_OK;
}

/* A count and a digest that could not be gone on from would begin the history anew, unnoticed. */
static enum chain_status check_dropped(const json_t *doc, struct chain_error *err)
{
	const json_t *dropped = json_object_get(doc, "links_dropped");
	const char *digest = json_string_value(json_object_get(dropped, "sha256"));
	uint8_t sha256[CHAIN_SHA256_BYTES];
	if (!dropped)
		return CHAIN_OK;
	if (json_integer_value(json_object_get(dropped, "count")) < 1)
		return chain_fail_text(err, CHAIN_E_HANDOFF_MEMBER, "links_dropped", "no count of at least 1");
	if (!digest || !chain_sha256_from_hex(digest, strlen(digest), sha256))
		return chain_fail_text(err, CHAIN_E_HANDOFF_MEMBER, "links_dropped", "no SHA-256 digest");
	return CHAIN_OK;
}

enum chain_status chain_handoff_parse(const char *text, uint64_t bytes, json_t **out, struct chain_error *err)
{
	json_t *doc;
	enum chain_status status = chain_json_load(text, bytes, CHAIN_HANDOFF_MAX_BYTES, "handoff", &doc, err);
	if (status)
		return status;
	const json_t *version = json_object_get(doc, "kchain_handoff");
	if (!json_is_integer(version) || json_integer_value(version) != 1)
		status = CHAIN_FAIL(err, HANDOFF_VERSION, .subject = "handoff",
				    .version = json_is_integer(version) ? (uint64_t)json_integer_value(version) : 0,
				    .understood = 1);
	for (size_t i = 0; !status && i < sizeof(members) / sizeof(members[0]); i++) {
		const json_t *value = json_object_get(doc, members[i].name);
		if (!value && members[i].required)
			status = chain_fail_text(err, CHAIN_E_HANDOFF_MEMBER, members[i].name, "missing");
		else if (value && json_typeof(value) != members[i].type)
			status = chain_fail_text(err, CHAIN_E_HANDOFF_MEMBER, members[i].name, "of the wrong type");
	}
	if (!status)
		status = check_links(doc, err);
	if (!status)
		status = check_dropped(doc, err);
	if (status)
		json_decref(doc);
	else
		*out = doc;
	return status;
}

static json_t *digest_string(const uint8_t *sha256)
{
	char text[7 + CHAIN_SHA256_HEX + 1] = "sha256:";
	if (!sha256)
		return json_null();
	chain_sha256_to_hex(sha256, text + 7);
	return json_string_nocheck(text);
}

/* Ticks of the TSC are relative to the first link's entry. An origin ahead of us is another machine's, or the counter
 * was reset: then time starts anew here. */
static uint64_t origin_ticks(const struct chain_handoff_input *in)
{
	const char *text = json_string_value(json_object_get(json_object_get(in->parent, "clock"), "origin_ticks"));
	uint64_t origin = text ? strtoull(text, NULL, 16) : in->entered_ticks;
	return origin <= in->entered_ticks ? origin : in->entered_ticks;
}

/* A link that did not need to calibrate the clock passes on what an earlier one found. */
static json_t *tsc_hz(const struct chain_handoff_input *in)
{
	json_t *before = json_object_get(json_object_get(in->parent, "clock"), "tsc_hz");
	if (in->tsc_hz)
		return json_integer((json_int_t)in->tsc_hz);
	return json_is_integer(before) ? json_incref(before) : json_null();
}

static json_t *this_link(const struct chain_handoff_input *in, uint64_t n)
{
	uint64_t origin = origin_ticks(in), entered = in->entered_ticks - origin, left = in->left_ticks - origin;
	json_t *link = chain_json_object(CHAIN_INT("n", (json_int_t)n), CHAIN_TEXT("name", in->config->name),
					 CHAIN_STEAL("image", digest_string(in->image_sha256)),
					 CHAIN_TEXT("door", in->door), CHAIN_INT("entered_ticks", (json_int_t)entered));
	uint64_t mhz = in->tsc_hz / 1000000;
	int bad = link ? 0 : -1;
	if (mhz)
		bad |= PUT(link, "entered_us", json_integer((json_int_t)(entered / mhz)));
	if (in->left_ticks)
		bad |= PUT(link, "left_ticks", json_integer((json_int_t)left));
	if (in->left_ticks && mhz)
		bad |= PUT(link, "left_us", json_integer((json_int_t)(left / mhz)));
	if (!bad)
		return link;
	json_decref(link);
	return NULL;
}

/* One dropped link more: the digest of the chain so far and the link's own text. */
static int fold(json_t *doc, const json_t *link)
{
	const json_t *dropped = json_object_get(doc, "links_dropped");
	const char *before = json_string_value(json_object_get(dropped, "sha256"));
	char *text = chain_json_text(link, CHAIN_JSON_SORTED, NULL);
	struct chain_sha256 ctx;
	uint8_t digest[CHAIN_SHA256_BYTES];
	char hex[CHAIN_SHA256_HEX + 1];
	if (!text)
		return -1;
	chain_sha256_init(&ctx);
	if (before)
		chain_sha256_update(&ctx, before, strlen(before));
	chain_sha256_update(&ctx, text, strlen(text));
	chain_sha256_final(&ctx, digest);
	chain_sha256_to_hex(digest, hex);
	free(text);
	uint64_t count = (uint64_t)json_integer_value(json_object_get(dropped, "count")) +
			 1; /* unsigned: a parent may say anything */
	return json_object_set_new(doc, "links_dropped",
				   chain_json_object(CHAIN_INT("count", (json_int_t)count), CHAIN_TEXT("sha256", hex)));
}

uint64_t chain_handoff_next_link(const json_t *parent)
{
	const json_t *links = json_object_get(parent, "links");
	size_t count = json_array_size(links);
	return count ? (uint64_t)json_integer_value(json_object_get(json_array_get(links, count - 1), "n")) + 1 : 0;
}

static int put_links(json_t *doc, const struct chain_handoff_input *in)
{
	const json_t *before = json_object_get(in->parent, "links");
	json_t *links = before ? chain_json_shallow(before) : json_array();
	size_t count = json_array_size(links);
	int bad = PUT(doc, "links", links);
	if (count >= CHAIN_HANDOFF_LINKS_MAX) {
		bad |= fold(doc, json_array_get(links, 1)); /* the first stays: it says where the chain began */
		bad |= json_array_remove(links, 1);
	}
	return bad | json_array_append_new(links, this_link(in, chain_handoff_next_link(in->parent)));
}

static json_t *platform_json(const json_t *parent, const struct chain_bootinfo *info, const char *door)
{
	const json_t *before = json_object_get(parent, "platform");
	json_t *platform = before ? chain_json_shallow(before) : json_object();
	int bad = PUT(platform, "cpus", json_integer(info->cpus));
	bad |= PUT(platform, "door", json_string(door));
	if (info->acpi_rsdp)
		bad |= PUT(platform, "acpi_rsdp", chain_json_hex(info->acpi_rsdp));
	if (info->smbios)
		bad |= PUT(platform, "smbios", chain_json_hex(info->smbios));
	if (info->framebuffer.phys)
		bad |= PUT(platform, "framebuffer", chain_bootinfo_framebuffer_json(&info->framebuffer));
	bad |= PUT(platform, "memory", chain_bootinfo_memory_json(info->mem, info->mem_count));
	if (!bad)
		return platform;
	json_decref(platform);
	return NULL;
}

enum chain_status chain_handoff_share(const json_t *parent, const struct chain_bootinfo *info, const char *door,
				      struct chain_handoff_shared *out, struct chain_error *err)
{
	bool deeper = false;
	struct chain_json_known platform = { .value = platform_json(parent, info, door) };
	if (platform.value) /* one level less: the handoff around it */
		platform.text = chain_json_text_within(platform.value, CHAIN_JSON_DEPTH_MAX - 1, 0, NULL,
						       &platform.bytes, &deeper);
	*out = (struct chain_handoff_shared){ .platform = platform };
	if (platform.text)
		return CHAIN_OK;
	chain_handoff_shared_free(out);
	return deeper ? CHAIN_FAIL(err, JSON_DEPTH, .subject = "handoff", .levels = CHAIN_JSON_DEPTH_MAX) :
			chain_json_no_memory(err, "handoff");
}

void chain_handoff_shared_free(struct chain_handoff_shared *shared)
{
	json_decref(shared->platform.value);
	free(shared->platform.text);
	json_decref(shared->doc);
	chain_json_kept_free(&shared->text);
	*shared = (struct chain_handoff_shared){ 0 };
}

static int put_platform(json_t *doc, const struct chain_handoff_input *in)
{
	if (in->shared && !in->own_machine)
		return json_object_set(doc, "platform", in->shared->platform.value);
	return PUT(doc, "platform", platform_json(in->own_machine ? NULL : in->parent, in->bootinfo, in->door));
}

/* The parent's object of that name, overlaid by `ours`. */
static int put_overlaid(json_t *doc, const struct chain_handoff_input *in, const char *name, const json_t *ours)
{
	const json_t *before = json_object_get(in->parent, name);
	json_t *merged = before ? chain_json_shallow(before) : json_object();
	int bad = ours ? json_object_update(merged, (json_t *)(uintptr_t)ours) : 0;
	return bad | json_object_set_new_nocheck(doc, name, merged);
}

/* Our keys over the received ones: first those that say their values themselves, then those made of facts, all of which
 * see the received values of each other. */
static enum chain_status put_state(json_t *doc, const struct chain_handoff_input *in, struct chain_error *err)
{
	const char *key;
	json_t *value, *filled, *ours = in->config->state, *plain = json_object(), *made = json_object();
	enum chain_status status = CHAIN_OK;
	int bad = plain && made ? 0 : -1;
	json_object_foreach (ours, key, value)
		if (!bad && !chain_template_in(value))
			bad = json_object_set(plain, key, value);
	if (!bad)
		bad = put_overlaid(doc, in, "state", plain);
	json_object_foreach (ours, key, value) {
		if (bad || status || !chain_template_in(value))
			continue;
		status = chain_template_fill(value, doc, key, &filled, err);
		if (!status)
			bad = json_object_set_new(made, key, filled);
	}
	if (!bad && !status)
		bad = json_object_update(json_object_get(doc, "state"), made);
	json_decref(plain);
	json_decref(made);
	return bad && !status ? chain_json_no_memory(err, "handoff") : status;
}

/* Of a fan-out each kernel has its own: chain_fanout_text. */
static int put_devices(json_t *self, const struct chain_step *step)
{
	json_t *names = NULL;
	if (step->fanout.kind == CHAIN_FANOUT_NONE && chain_config_assigned_names(step, 0, &names, NULL))
		return -1;
	return names ? PUT(self, "devices", names) : 0;
}

static int put_self(json_t *doc, const struct chain_handoff_input *in)
{
	json_t *self = chain_json_object(CHAIN_TEXT("step", in->step->name),
					 CHAIN_TEXT("kind", in->step->kind == CHAIN_STEP_CALL ? "call" : "boot"),
					 CHAIN_TEXT("source", in->step->source), CHAIN_STEAL("kernel", json_null()));
	int bad = self ? put_devices(self, in->step) : -1;
	if (in->step->fanout.kind != CHAIN_FANOUT_NONE)
		bad |= PUT(self, "cpus", json_integer((json_int_t)in->step->fanout.cpus));
	return bad | PUT(doc, "self", self);
}

static int put_identity(json_t *doc, const struct chain_handoff_input *in)
{
	char id[2 * CHAIN_BOOT_ID_BYTES + 1] = "";
	if (in->boot_id)
		chain_hex_of(in->boot_id, CHAIN_BOOT_ID_BYTES, id);
	int bad = PUT(doc, "kchain_handoff", json_integer(1));
	if (!json_object_get(doc, "boot_id"))
		bad |= PUT(doc, "boot_id", json_string(id));
	bad |= put_self(doc, in);
	return bad |
	       PUT(doc, "clock",
		   chain_json_object(CHAIN_HEX("origin_ticks", origin_ticks(in)), CHAIN_STEAL("tsc_hz", tsc_hz(in))));
}

static int put_place(json_t *doc, const char *name, const char *type, uint64_t phys, uint64_t bytes)
{
	return json_object_set_new(doc, name,
				   chain_json_object(CHAIN_TEXT("type", type), CHAIN_HEX("phys", phys),
						     CHAIN_INT("bytes", (json_int_t)bytes)));
}

static int put_fs(json_t *doc, const struct chain_handoff_input *in)
{
	json_object_del(doc, "fs"); /* the parent's: its memory may be gone */
	json_object_del(doc, "root");
	return in->fs_bytes ? put_place(doc, "fs", "erofs", in->fs_phys, in->fs_bytes) : 0;
}

static json_t *make_all(const struct chain_handoff_input *in)
{
	json_t *doc = in->parent ? chain_json_shallow(in->parent) : json_object();
	int bad = doc ? put_identity(doc, in) : -1;
	if (!bad)
		bad = put_links(doc, in) | put_overlaid(doc, in, "net", in->net) |
		      put_overlaid(doc, in, "block", in->block) | put_platform(doc, in) | put_fs(doc, in) |
		      put_overlaid(doc, in, "results", in->results);
	if (!bad)
		return doc;
	json_decref(doc);
	return NULL;
}

/* The last call's with what is this one's. */
static json_t *make_again(const struct chain_handoff_input *in)
{
	json_t *doc = json_incref(in->shared->doc);
	if (!(put_self(doc, in) | put_platform(doc, in) | put_overlaid(doc, in, "results", in->results)))
		return doc;
	json_decref(doc);
	return NULL;
}

enum chain_status chain_handoff_build(const struct chain_handoff_input *in, json_t **out, struct chain_error *err)
{
	/* A fan-out takes its list out of its document (chain/fanout.h): that is no other step's. */
	const bool is_shared = !in->own_machine && !in->left_ticks && !in->step->fanout.from;
	struct chain_handoff_shared *shared = is_shared ? in->shared : NULL;
	bool again = shared && shared->doc && shared->tsc_hz == in->tsc_hz;
	json_t *doc = again ? make_again(in) : make_all(in);
	enum chain_status status = doc ? CHAIN_OK : chain_json_no_memory(err, "handoff");
	if (!status && !(again && !chain_template_in(in->config->state)))
		status = put_state(doc, in, err);
	if (shared && (status || !again)) {
		json_decref(shared->doc);
		chain_json_kept_free(&shared->text);
		shared->doc = status ? NULL : json_incref(doc);
		shared->tsc_hz = in->tsc_hz;
	}
	if (status)
		json_decref(doc);
	else
		*out = doc;
	return status;
}

enum chain_status chain_handoff_set_kernel(json_t *handoff, const struct chain_digest *digest, struct chain_error *err)
{
	char text[CHAIN_DIGEST_TEXT_BYTES];
	if (!PUT(json_object_get(handoff, "self"), "kernel", json_string_nocheck(chain_digest_text(digest, text))))
		return CHAIN_OK;
	return chain_json_no_memory(err, "handoff");
}

enum chain_status chain_handoff_set_root(json_t *handoff, const char *type, uint64_t phys, uint64_t bytes,
					 struct chain_error *err)
{
	return put_place(handoff, "root", type, phys, bytes) ? chain_json_no_memory(err, "handoff") : CHAIN_OK;
}

enum chain_status chain_handoff_text(const json_t *handoff, struct chain_handoff_shared *shared, char **out,
				     uint64_t *out_bytes, struct chain_error *err)
{
	uint64_t bytes = 0;
	bool deeper;
	const struct chain_json_known *known = shared ? &shared->platform : NULL;
	char *text =
		shared && shared->doc == handoff ?
			chain_json_text_like(handoff, CHAIN_JSON_DEPTH_MAX, known, &shared->text, &bytes, &deeper) :
			chain_json_text_within(handoff, CHAIN_JSON_DEPTH_MAX, 0, known, &bytes, &deeper);
	if (deeper)
		return CHAIN_FAIL(err, JSON_DEPTH, .subject = "handoff", .levels = CHAIN_JSON_DEPTH_MAX);
	if (!text)
		return chain_json_no_memory(err, "handoff");
	if (bytes > CHAIN_HANDOFF_MAX_BYTES) {
		free(text);
		return CHAIN_FAIL(err, LIMIT, .subject = "handoff", .detail = "bytes", .value = bytes,
				  .limit = CHAIN_HANDOFF_MAX_BYTES);
	}
	*out = text;
	*out_bytes = bytes;
	return CHAIN_OK;
}

static int hide(json_t *object, const char *key)
{
	return json_object_get(object, key) ? json_object_set_new(object, key, json_string("volatile")) : 0;
}

enum chain_status chain_handoff_mask(json_t *handoff, const struct chain_config *config, struct chain_error *err)
{
	static const char *const link_keys[] = { "entered_ticks", "left_ticks", "entered_us", "left_us" };
	static const char *const lease_keys[] = { "addresses", "gateways", "dns", "hostname", "lease" };
	size_t i;
	const char *key;
	json_t *value;
	int bad = hide(handoff, "boot_id") | hide(handoff, "clock") | hide(handoff, "links_dropped");
	json_array_foreach (json_object_get(handoff, "links"), i, value)
		for (size_t k = 0; k < sizeof(link_keys) / sizeof(link_keys[0]); k++)
			json_object_del(value, link_keys[k]); /* which of them are there depends on the clock */
	json_object_foreach (json_object_get(handoff, "net"), key, value) {
		bool leased = json_object_get(value, "lease");
		for (size_t k = 0; leased && k < sizeof(lease_keys) / sizeof(lease_keys[0]); k++)
			bad |= hide(value, lease_keys[k]);
	}
	json_object_foreach (config ? config->state : NULL, key, value)
		if (chain_template_in(value))
			bad |= hide(json_object_get(handoff, "state"), key);
	json_object_foreach (json_object_get(handoff, "results"), key, value)
		bad |= json_object_set_new(json_object_get(handoff, "results"), key, json_string("volatile"));
	return bad ? chain_json_no_memory(err, "handoff") : CHAIN_OK;
}

static bool same_text(const json_t *entry, const char *key, const char *wanted)
{
	const char *text = json_string_value(json_object_get(entry, key));
	return !wanted || (text && !strcasecmp(text, wanted));
}

static bool lease_ended(const json_t *lease, uint64_t now_us)
{
	json_int_t obtained = json_integer_value(json_object_get(lease, "obtained_us")),
		   seconds = json_integer_value(json_object_get(lease, "lifetime_s"));
	const json_int_t forever = UINT32_MAX; /* RFC 2131 section 3.3 */
	if (obtained < 0 || seconds <= 0 || seconds >= forever)
		return false;
	return now_us / 1000000 > (uint64_t)obtained / 1000000 + (uint64_t)seconds;
}

enum chain_status chain_handoff_expire(json_t *handoff, uint64_t now_us, struct chain_error *err)
{
	const char *key;
	json_t *entry;
	int bad = 0;
	json_object_foreach (json_object_get(handoff, "net"), key, entry) {
		if (!lease_ended(json_object_get(entry, "lease"), now_us))
			continue;
		bad |= json_object_set_new(entry, "status", json_string("present"));
		bad |= json_object_set_new(entry, "reason", json_string("its lease has ended"));
	}
	return bad ? chain_json_no_memory(err, "handoff") : CHAIN_OK;
}

const json_t *chain_handoff_keep_net(const json_t *parent, const struct chain_config_net *config)
{
	const json_t *entry = json_object_get(json_object_get(parent, "net"), config->name);
	const char *status = json_string_value(json_object_get(entry, "status"));
	if (config->fresh || config->need == CHAIN_NEED_ABSENT || !status || strcmp(status, "configured"))
		return NULL;
	const char *address = json_string_value(json_array_get(json_object_get(entry, "addresses"), 0));
	if (!config->dhcp && (!address || strcmp(address, config->address)))
		return NULL; /* configured, but not as this pipeline asks */
	return same_text(entry, "mac", config->mac) && same_text(entry, "pci", config->pci) ? entry : NULL;
}

json_t *chain_result_entry(const char *status, int exit_status, json_t *result, const char *reason)
{
	json_t *entry = chain_json_object(CHAIN_TEXT("status", status), CHAIN_INT("exit", (json_int_t)exit_status));
	int bad = entry ? 0 : -1;
	if (result)
		bad |= json_object_set(entry, "result", result);
	if (reason)
		bad |= json_object_set_new(entry, "reason", json_string(reason));
	json_decref(result);
	if (!bad)
		return entry;
	json_decref(entry);
	return NULL;
}

bool chain_result_contains(const json_t *result, const json_t *wanted)
{
	const char *key;
	json_t *value;
	if (!json_is_object(wanted) || !json_is_object(result))
		return json_equal(result, wanted);
	json_object_foreach ((json_t *)(uintptr_t)wanted, key, value)
		if (!chain_result_contains(json_object_get(result, key), value))
			return false;
	return true;
}
