/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* "devices" of a call step: which of its kernels gets which device. */

#include "config_internal.h"

#include "chain/json_memory.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define AT(member) offsetof(struct chain_config_assigned, member)
static const struct chain_json_limits kernel_limits = { NULL, "65535" };

static enum chain_status read_kernel(const json_t *value, void *into, const void *of, struct chain_json_path *path,
				     struct chain_error *err)
{
	return chain_json_read_number(value, &((struct chain_config_assigned *)into)->kernel, of, path, err);
}

static_assert(AT(name) == 0 && offsetof(struct chain_step, device_count) ==
				       offsetof(struct chain_step, devices) + sizeof(void *),
	      "devices");
enum chain_status chain_config_read_devices(const json_t *value, void *into, const void *of,
					    struct chain_json_path *path, struct chain_error *err)
{
	static const struct chain_json_elements devices = {
		"an object with a kernel's index for each device",
		0,
		sizeof(struct chain_config_assigned),
		read_kernel,
		&kernel_limits,
	};
	(void)of;
	return chain_json_read_members(value, &((struct chain_step *)into)->devices, &devices, path, err);
}

void chain_config_free_devices(struct chain_step *step)
{
	for (size_t i = 0; i < step->device_count; i++)
		free(step->devices[i].name);
	free(step->devices);
}

/* Finds the pipeline's own entry. */
static enum chain_status resolve(struct chain_config_assigned *assigned, const struct chain_config *config,
				 const struct chain_json_path *path, struct chain_error *err)
{
	const json_t *net = json_object_get(json_object_get(config->doc, "net"), assigned->name);
	const json_t *block = json_object_get(json_object_get(config->doc, "block"), assigned->name);
	const char *need = json_string_value(json_object_get(net ? net : block, "need"));
	assigned->is_net = net;
	assigned->required = !need || strcmp(need, "optional");
	if (!net == !block)
		return chain_fail_subject(err, net ? CHAIN_E_CONFIG_DEVICE_TWO : CHAIN_E_CONFIG_DEVICE, path->at);
	if (need && !strcmp(need, "absent"))
		return chain_fail_text(err, CHAIN_E_CONFIG_NEED_ABSENT, path->at, "a kernel is to have it");
	return CHAIN_OK;
}

static enum chain_status check_index(const struct chain_config_assigned *assigned, uint64_t count,
				     const struct chain_json_path *path, struct chain_error *err)
{
	if (assigned->kernel < count)
		return CHAIN_OK;
	return CHAIN_FAIL(err, CONFIG_DEVICE_INDEX, .subject = path->at, .index = assigned->kernel, .count = count);
}

enum chain_status chain_config_check_assigned(const struct chain_step *step, uint64_t count, const char *where,
					      struct chain_error *err)
{
	struct chain_json_path path = { .errors = NULL };
	enum chain_status status = CHAIN_OK;
	chain_json_push_key(&path, where);
	chain_json_push_key(&path, "devices");
	for (size_t i = 0; !status && i < step->device_count; i++) {
		size_t mark = chain_json_push_key(&path, step->devices[i].name);
		status = check_index(&step->devices[i], count, &path, err);
		chain_json_pop(&path, mark);
	}
	return status;
}

/* How many files a pattern has is seen when they are listed. */
static enum chain_status resolve_one(struct chain_step *step, size_t i, const struct chain_config *config,
				     const struct chain_json_path *path, struct chain_error *err)
{
	enum chain_status status = resolve(&step->devices[i], config, path, err);
	if (status || step->fanout.kind == CHAIN_FANOUT_EACH || step->fanout.from)
		return status;
	return check_index(&step->devices[i], step->fanout.kind == CHAIN_FANOUT_NONE ? 1 : step->fanout.count, path,
			   err);
}

static enum chain_status resolve_in_step(struct chain_config *config, struct chain_step *step, const void *ctx,
					 struct chain_json_path *path, struct chain_error *err)
{
	enum chain_status first = CHAIN_OK;
	size_t top = chain_json_push_key(path, "devices");
	bool more = true;
	(void)ctx;
	if (step->device_count && step->isolation)
		more = chain_json_goes_on(
			path, chain_fail_text(err, CHAIN_E_CONFIG_DEVICE_NATIVE, path->at, "one under isolation svm"),
			&first, err);
	for (size_t i = 0; more && i < step->device_count; i++) {
		size_t mark = chain_json_push_key(path, step->devices[i].name);
		enum chain_status status = resolve_one(step, i, config, path, err);
		chain_json_pop(path, mark);
		more = chain_json_goes_on(path, status, &first, err);
	}
	chain_json_pop(path, top);
	return first;
}

enum chain_status chain_config_resolve_devices(struct chain_config *config, struct chain_json_path *path,
					       struct chain_error *err)
{
	return chain_config_each_step(config, resolve_in_step, NULL, path, err);
}

enum chain_status chain_config_assigned_names(const struct chain_step *step, uint64_t index, json_t **out,
					      struct chain_error *err)
{
	int bad = 0;
	*out = NULL;
	for (size_t i = 0; !bad && i < step->device_count; i++) {
		if (step->devices[i].kernel != index)
			continue;
		if (!*out)
			*out = json_array();
		bad = json_array_append_new(*out, json_string(step->devices[i].name));
	}
	if (!bad)
		return CHAIN_OK;
	json_decref(*out);
	*out = NULL;
	return chain_json_no_memory(err, step->name);
}
