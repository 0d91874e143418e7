/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: what "root" of a pipeline may say, and what the steps that boot it become. */

#include "bake_root.h"
#include "chain/config.h"
#include "chain/json.h"
#include "chain/json_memory.h"
#include "chain/json_walk.h"
#include "chain/json_write.h"
#include "chain/cmd/cmd.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What every kernel is told before what the pipeline says: nobody looks at a screen, tests of the cipher code take
 * longer than all the rest, pages are not cleared twice, and the timer is not counted against the clock, which fails
 * where the host is busy. */
#define ARGS "console=ttyS0 quiet panic=-1 cryptomgr.notests init_on_alloc=0 no_timer_check"

#define AT(member) offsetof(struct bake_root_spec, member)

static const char *const write_names[] = { "overlay", "tmp", "none" }, *const end_names[] = { "poweroff", "reboot" };
static const struct chain_json_words write_words = CHAIN_JSON_TABLE(write_names),
				     end_words = CHAIN_JSON_TABLE(end_names);

static enum chain_status read_words(const json_t *value, void *into, const void *of, struct chain_json_path *path,
				    struct chain_error *err)
{
	size_t i;
	json_t *word;

	if (!json_is_array(value) && !json_is_string(value))
		return chain_json_wrong(value, "a text, or an array of texts", path, err);
	json_array_foreach (value, i, word)
		if (!json_is_string(word))
			return chain_json_wrong(word, "a text", path, err);
	return chain_json_read_any(value, into, of, path, err);
}

static enum chain_status read_texts(const json_t *value, void *into, const void *of, struct chain_json_path *path,
				    struct chain_error *err)
{
	const char *key;
	json_t *text;

	if (!json_is_object(value))
		return chain_json_wrong(value, "an object of texts", path, err);
	json_object_foreach ((json_t *)(uintptr_t)value, key, text)
		if (!json_is_string(text))
			return chain_json_wrong(text, "a text", path, err);
	return chain_json_read_any(value, into, of, path, err);
}

static enum chain_status read_ports(const json_t *value, void *into, const void *of, struct chain_json_path *path,
				    struct chain_error *err)
{
	struct rootfs_port port;
	size_t i;
	json_t *word;

	if (!json_is_array(value))
		return chain_json_wrong(value, "an array of ports", path, err);
	json_array_foreach (value, i, word)
		if (!json_is_string(word) || !rootfs_port_parse(json_string_value(word), &port))
			return chain_json_wrong(word, "a port: \"80\", \"80/tcp\" or \"53/udp\"", path, err);
	return chain_json_read_any(value, into, of, path, err);
}

static const struct chain_json_key keys[] = {
	{ "from", chain_json_read_text, NULL, AT(from), true },
	{ "type", chain_json_read_text, NULL, AT(type), false },
	{ "platform", chain_json_read_text, NULL, AT(platform), false },
	{ "owner", chain_json_read_text, NULL, AT(owner), false },
	{ "fs", chain_json_read_text, NULL, AT(fs), false },
	{ "kernel", chain_json_read_text, NULL, AT(kernel), false },
	{ "modules", chain_json_read_text, NULL, AT(modules), false },
	{ "load", read_words, NULL, AT(more), false },
	{ "write", chain_json_read_word, &write_words, AT(write), false },
	{ "end", chain_json_read_word, &end_words, AT(end), false },
	{ "entrypoint", read_words, NULL, AT(entrypoint), false },
	{ "add", read_texts, NULL, AT(add), false },
	{ "ports", read_ports, NULL, AT(ports), false },
	{ "env", read_texts, NULL, AT(env), false },
	{ "workdir", chain_json_read_text, NULL, AT(workdir), false },
	{ "user", chain_json_read_text, NULL, AT(user), false },
	{ "stop_signal", chain_json_read_text, NULL, AT(stop_signal), false },
	{ "hostname", chain_json_read_text, NULL, AT(hostname), false },
	{ "args", chain_json_read_text, NULL, AT(args), false },
	{ "unverified", chain_json_read_bool, NULL, AT(unverified), false },
	{ "next", chain_json_read_bool, NULL, AT(next), false },
};

/* --- where it comes from --- */

/* Relative paths are the pipeline's folder's. Takes and gives a text of its own. */
static char *host_path(const char *folder, char *path)
{
	char *joined = NULL;

	if (!path || *path == '/' || strcmp(folder, ".") == 0)
		return path;
	if (asprintf(&joined, "%s/%s", folder, path) < 0)
		joined = NULL;
	free(path);
	return joined;
}

static bool owner_parse(const char *text, struct rootfs_request *out)
{
	char *copy = strdup(text), *colon = copy ? strchr(copy, ':') : NULL;
	uint64_t uid = 0, gid = 0;
	bool good = false;

	if (colon) {
		*colon = '\0';
		good = cmd_count_parse(copy, &uid) && cmd_count_parse(colon + 1, &gid) && uid < UINT32_MAX &&
		       gid < UINT32_MAX;
	}
	free(copy);
	out->owner_said = true;
	out->owner_uid = (uint32_t)uid;
	out->owner_gid = (uint32_t)gid;
	return good;
}

/* "NAME:TAG", where there is no "NAME:TAG" but a NAME. `copy` is taken apart. */
static void tag_split(char *copy, struct rootfs_request *request)
{
	char *colon = strrchr(copy, ':');

	if (!colon || strchr(colon, '/') || rootfs_scheme(copy) || access(copy, F_OK) == 0)
		return;
	*colon = '\0';
	if (access(copy, F_OK) == 0)
		request->tag = colon + 1;
	else
		*colon = ':';
}

/* What else is put into it: each folder as it is there, its owners as the root's are said to be. */
static enum chain_status add_one(struct bake_root *root, const char *at, char *from, const struct rootfs_request *like,
				 struct chain_error *err)
{
	struct rootfs *added = &root->added[root->added_count];

	root->at[1] = at;
	const struct rootfs_request request = { .source = from,
						.path = from,
						.owner_said = like->owner_said || rootfs_scheme(root->spec.from),
						.owner_uid = like->owner_uid,
						.owner_gid = like->owner_gid };
	enum chain_status status =
		*at == '/' ? rootfs_open(&request, "folder", added, err) :
			     CHAIN_FAIL(err, BAKE_PATH, .subject = at, .detail = "it does not begin with /");

	if (status)
		return status;
	root->added_count++;
	rootfs_sort(added);
	return rootfs_put(&root->rootfs, added, at, err);
}

static enum chain_status add_all(struct bake_root *root, const char *folder, const struct rootfs_request *like,
				 struct chain_error *err)
{
	const size_t count = json_object_size(root->spec.add);
	enum chain_status status = CHAIN_OK;
	const char *at;
	json_t *from;

	if (count == 0)
		return CHAIN_OK;
	root->at[0] = "add";
	if (root->rootfs.image >= 0)
		return CHAIN_FAIL(err, NOT_SUPPORTED, .subject = root->spec.from,
				  .detail = "nothing can be added to a file system that is baked as it is");
	root->added = calloc(count, sizeof(*root->added));
	if (!root->added)
		return chain_fail_no_memory(err, root->spec.from, count * sizeof(*root->added));
	json_object_foreach (root->spec.add, at, from) {
		char *path = host_path(folder, strdup(json_string_value(from)));

		if (!status)
			status = path ? add_one(root, at, path, like, err) : chain_fail_no_memory(err, at, 1);
		free(path);
	}
	return status;
}

/* What the request for it says wrong, or what it comes from. */
static const char *source_key(const struct bake_root_spec *spec, const struct chain_error *err)
{
	if (spec->platform && (err->status == CHAIN_E_ROOT_PLATFORM ||
			       (err->status == CHAIN_E_NOT_SUPPORTED && strcmp(err->subject, spec->platform) == 0)))
		return "platform";
	return spec->type && err->status == CHAIN_E_ROOT_TYPE ? "type" : "from";
}

static enum chain_status request_open(struct bake_root *root, char *copy, struct rootfs_request *request,
				      struct chain_error *err)
{
	const struct bake_root_spec *spec = &root->spec;

	root->at[0] = "owner";
	if (spec->owner && !owner_parse(spec->owner, request))
		return CHAIN_FAIL(err, NOT_SUPPORTED, .subject = spec->owner,
				  .detail = "an owner is UID:GID, two numbers");
	tag_split(copy, request);
	const enum chain_status status = rootfs_open(request, spec->type, &root->rootfs, err);

	root->at[0] = status ? source_key(spec, err) : "from";
	root->open = !status;
	return status;
}

static enum chain_status source_open(struct bake_root *root, const char *folder, struct chain_error *err)
{
	struct bake_root_spec *spec = &root->spec;

	if (!rootfs_scheme(spec->from))
		spec->from = host_path(folder, spec->from);
	spec->kernel = host_path(folder, spec->kernel);
	spec->modules = host_path(folder, spec->modules);
	char *copy = spec->from ? strdup(spec->from) : NULL;
	struct rootfs_request request = { .source = spec->from,
					  .path = copy,
					  .platform = spec->platform ? spec->platform : "linux/amd64",
					  .folder = "." };
	enum chain_status status = copy ? CHAIN_OK : chain_fail_no_memory(err, "root", 1);

	if (!status)
		status = request_open(root, copy, &request, err);
	if (!status)
		rootfs_sort(&root->rootfs);
	if (!status)
		status = add_all(root, folder, &request, err);
	if (!status && root->rootfs.image >= 0 && spec->fs)
		root->rootfs.image_type = spec->fs;
	if (!status && root->rootfs.image >= 0 && !root->rootfs.image_type)
		status = chain_fail_subject(err, CHAIN_E_ROOT_FS_TYPE, spec->from);
	free(copy);
	return status;
}

/* --- the steps --- */

static const char *fs_of(const struct bake_root *root)
{
	return root->open && root->rootfs.image_type ? root->rootfs.image_type : "erofs";
}

static int step_expand(const struct bake_root *root, json_t *step)
{
	const char *boot = json_string_value(json_object_get(step, "boot")),
		   *args = json_string_value(json_object_get(step, "args"));
	json_t *modules, *place;
	char *joined = NULL;
	int bad;

	if (!boot || strcmp(boot, "linux") != 0)
		return 0;
	if (asprintf(&joined, ARGS "%s%s%s%s", root->spec.args ? " " : "", root->spec.args ? root->spec.args : "",
		     args ? " " : "", args ? args : "") < 0)
		return -1;
	place = chain_json_object(CHAIN_TEXT("from", "fs:" BAKE_ROOT_IMAGE), CHAIN_TEXT("type", fs_of(root)));
	modules = json_array();
	bad = json_array_append_new(modules, chain_json_object(CHAIN_TEXT("from", "fs:" BAKE_ROOT_INITRD)));
	if (root->spec.unverified) {
		bad |= json_object_set_new(place, "unverified", json_true());
		bad |= json_object_set_new(step, "unverified", json_true());
		bad |= json_object_set_new(json_array_get(modules, 0), "unverified", json_true());
	}
	bad |= json_object_set_new(step, "boot", json_string("fs:" BAKE_ROOT_KERNEL));
	bad |= json_object_set_new(step, "args", json_string(joined));
	bad |= json_object_set_new(step, "root", place);
	if (!json_object_get(step, "modules"))
		bad |= json_object_set(step, "modules", modules);
	json_decref(modules);
	free(joined);
	return bad;
}

static int steps_expand(const struct bake_root *root, json_t *doc)
{
	json_t *steps = json_object_get(doc, "steps"), *step;
	size_t i;
	int bad = 0;

	if (!steps) {
		steps = json_array();
		bad = json_array_append_new(
			steps, chain_json_object(CHAIN_TEXT("name", "linux"), CHAIN_TEXT("boot", "linux")));
		bad |= json_object_set_new(doc, "steps", steps);
	}
	json_array_foreach (steps, i, step)
		bad |= step_expand(root, step);
	return bad;
}

enum chain_status bake_root_take(struct bake_root *root, const char *text, uint64_t bytes, const json_t *over,
				 const char *folder, char **out_text, struct chain_errors *errors,
				 struct chain_error *err)
{
	struct chain_json_path path = { .errors = errors };
	struct chain_error why = { .status = CHAIN_OK };
	json_t *doc, *asked;

	*out_text = NULL;
	if (chain_json_load(text, bytes, CHAIN_CONFIG_MAX_BYTES, "", &doc, NULL))
		return CHAIN_OK; /* the pipeline's own reader says what is wrong */
	asked = json_object_get(doc, "root");
	if (!asked && over && !json_object_set_new(doc, "root", json_object()))
		asked = json_object_get(doc, "root");
	if (!asked) {
		json_decref(doc);
		return CHAIN_OK;
	}
	root->asked = true;
	if (over && json_is_object(asked))
		json_object_update(asked, (json_t *)(uintptr_t)over);
	const size_t mark = chain_json_push_key(&path, "root");
	enum chain_status status = json_is_object(asked) ? chain_json_walk(asked, keys, sizeof(keys) / sizeof(keys[0]),
									   &root->spec, &path, &why) :
							   chain_json_wrong(asked, "an object", &path, &why);

	if (!status && root->spec.from)
		(void)source_open(root, folder, &root->failed);
	chain_json_pop(&path, mark);
	if (why.status)
		chain_errors_take(errors, &why);
	json_object_del(doc, "root");
	if (steps_expand(root, doc) == 0)
		*out_text = chain_json_text(doc, 0, NULL);
	json_decref(doc);
	return *out_text ? CHAIN_OK : chain_json_no_memory(err, "root");
}

static void spec_free(struct bake_root_spec *spec)
{
	char *const texts[] = { spec->from, spec->type,        spec->platform, spec->owner,
				spec->fs,   spec->kernel,      spec->modules,  spec->workdir,
				spec->user, spec->stop_signal, spec->hostname, spec->args };

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		free(texts[i]);
	json_decref(spec->more);
	json_decref(spec->entrypoint);
	json_decref(spec->env);
	json_decref(spec->ports);
	json_decref(spec->add);
}

void bake_root_free(struct bake_root *root)
{
	spec_free(&root->spec);
	for (size_t i = 0; i < root->added_count; i++)
		rootfs_close(&root->added[i]);
	free(root->added);
	if (root->open)
		rootfs_close(&root->rootfs);
	if (root->asked && root->made > 0)
		(void)close(root->made);
	kernel_modules_free(&root->modules);
	free(root->kernel_name);
	free(root->entry);
	*root = (struct bake_root){ .asked = false };
}
