/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* "devices" of a call step: which of its kernels gets which device. */

#include "config_internal.h"

#include <stdlib.h>
#include <string.h>

enum chain_status chain_config_read_given(const json_t *value, void *into, struct chain_json_path *path, struct chain_error *err)
{
	struct chain_step *step = into;
	const char *key;
	json_t *kernel;
	if (!json_is_object(value))
		return chain_json_wrong(value, "an object with a kernel's index for each device", path, err);
	enum chain_status status = chain_config_array(json_object_size(value), sizeof(*step->devices), &step->devices, path, err);
	json_object_foreach((json_t *)(uintptr_t)value, key, kernel) {
		struct chain_config_given *given = &step->devices[step->device_count];
		if (status)
			return status;
		size_t mark = chain_json_push_key(path, key);
		given->name = strdup(key);
		step->device_count++;
		status = given->name ? chain_json_number(kernel, CHAIN_FANOUT_MAX - 1, &given->kernel, path, err) :
				       chain_fail(err, CHAIN_E_NO_MEMORY, path->at, NULL, strlen(key) + 1, 0, 0, 0);
		chain_json_pop(path, mark);
	}
	return status;
}

void chain_config_free_given(struct chain_step *step)
{
	for (size_t i = 0; i < step->device_count; i++)
		free(step->devices[i].name);
	free(step->devices);
}

/* Finds the pipeline's own entry. */
static enum chain_status settle(struct chain_config_given *given, const struct chain_config *config, const struct chain_json_path *path,
				struct chain_error *err)
{
	const json_t *net = json_object_get(json_object_get(config->doc, "net"), given->name);
	const json_t *block = json_object_get(json_object_get(config->doc, "block"), given->name);
	const char *need = json_string_value(json_object_get(net ? net : block, "need"));
	given->is_net = net;
	given->required = !need || strcmp(need, "optional");
	if (!net == !block)
		return chain_fail_subject(err, net ? CHAIN_E_CONFIG_DEVICE_TWO : CHAIN_E_CONFIG_DEVICE, path->at);
	return CHAIN_OK;
}

static enum chain_status check_index(const struct chain_step *step, uint64_t count, struct chain_json_path *path, struct chain_error *err)
{
	for (size_t i = 0; i < step->device_count; i++) {
		if (step->devices[i].kernel < count)
			continue;
		chain_json_push_key(path, "devices");
		chain_json_push_key(path, step->devices[i].name);
		return chain_fail(err, CHAIN_E_CONFIG_DEVICE_INDEX, path->at, NULL, step->devices[i].kernel, count, 0, 0);
	}
	return CHAIN_OK;
}

static enum chain_status settle_step(struct chain_step *step, const struct chain_config *config, struct chain_json_path *path,
				     struct chain_error *err)
{
	size_t mark = chain_json_push_key(path, "devices");
	enum chain_status status = CHAIN_OK;
	if (step->device_count && step->isolation)
		return chain_fail(err, CHAIN_E_CONFIG_DEVICE_NATIVE, path->at, "one under isolation svm", 0, 0, 0, 0);
	for (size_t i = 0; !status && i < step->device_count; i++) {
		size_t inner = chain_json_push_key(path, step->devices[i].name);
		status = settle(&step->devices[i], config, path, err);
		chain_json_pop(path, inner);
	}
	chain_json_pop(path, mark);
	uint64_t count = step->fanout.kind == CHAIN_FANOUT_NONE ? 1 : step->fanout.count;
	if (!status && step->fanout.kind != CHAIN_FANOUT_EACH) /* how many files there are is seen when they are listed */
		status = check_index(step, count, path, err);
	return status;
}

enum chain_status chain_config_settle_given(struct chain_config *config, struct chain_error *err)
{
	struct chain_json_path path = { "" };
	enum chain_status status = CHAIN_OK;
	chain_json_push_key(&path, "steps");
	for (size_t i = 0; !status && i < config->step_count; i++) {
		size_t mark = chain_json_push_index(&path, i);
		status = settle_step(&config->steps[i], config, &path, err);
		chain_json_pop(&path, mark);
	}
	return status;
}

enum chain_status chain_config_check_given(const struct chain_step *step, uint64_t count, const char *where, struct chain_error *err)
{
	struct chain_json_path path = { "" };
	chain_json_push_key(&path, where);
	return check_index(step, count, &path, err);
}

enum chain_status chain_config_given_names(const struct chain_step *step, uint64_t index, json_t **out, struct chain_error *err)
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
	return chain_fail(err, CHAIN_E_NO_MEMORY, step->name, NULL, 0, 0, 0, 0);
}
