/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "stage/devices.h"

#include "chain/handoff.h"
#include "chain/json_memory.h"
#include "chain/json_write.h"
#include "stage/block_json.h"
#include "stage/device_env.h"
#include "stage/device_json.h"
#include "stage/device_list.h"
#include "stage/net.h"
#include "stage/report.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static struct stage_device_list devices;

static enum chain_status no_memory(const char *name, struct chain_error *err)
{
	return chain_json_no_memory(err, name);
}

/* Puts `entry` (stolen, null: memory ran out) under its name, tells of it, and refuses a required device that is not
 * configured, and one that is to be absent and is not. */
static enum chain_status resolve(json_t *into, const char *class, const char *name, json_t *entry, enum chain_need need,
				 struct chain_error *err)
{
	char reason[CHAIN_SUBJECT_BYTES];
	if (!entry || json_object_set_new(into, name, entry))
		return no_memory(name, err);
	const char *status = json_string_value(json_object_get(entry, "status"));
	const char *why = json_string_value(json_object_get(entry, "reason"));
	stage_say(class, "%s  %s%s%s", name, status, why ? ": " : "", why ? why : "");
	stage_record_members(CHAIN_TEXT("event", class), CHAIN_TEXT("name", name), CHAIN_BORROW("entry", entry));
	bool absent = need == CHAIN_NEED_ABSENT;
	if (!strcmp(status, absent ? "absent" : "configured") || need == CHAIN_NEED_OPTIONAL)
		return CHAIN_OK;
	if (absent && !why)
		why = json_string_value(json_object_get(entry, "driver"));
	snprintf(reason, sizeof(reason), "%s%s%s%s", absent ? "there is one" : "it is ", absent ? "" : status,
		 why ? ": " : "", why ? why : "");
	return chain_fail_text(err, absent ? CHAIN_E_DEVICE_PRESENT : CHAIN_E_DEVICE_MISSING, name, reason);
}

static int list_class(json_t *list, const char *class, const json_t *entries)
{
	const char *name;
	json_t *entry;
	int bad = 0;
	json_object_foreach ((json_t *)(uintptr_t)entries, name, entry) {
		json_t *listed = chain_json_object(CHAIN_TEXT("class", class), CHAIN_TEXT("name", name));
		bad |= !listed || json_object_update(listed, entry);
		bad |= json_array_append_new(list, listed);
	}
	return bad;
}

enum chain_status stage_devices_list(const json_t *net, const json_t *block, json_t **out, struct chain_error *err)
{
	*out = json_array();
	if (*out && !list_class(*out, "block", block) && !list_class(*out, "net", net))
		return CHAIN_OK;
	json_decref(*out);
	return no_memory("devices", err);
}

/* --- disks --- */

static struct stage_block *find_block(const struct chain_config_block *want)
{
	uint64_t index = 0;
	bool any = !want->serial && !want->pci && !want->has_index;
	for (struct stage_block *dev = devices.block; dev; dev = dev->next, index++) {
		if (want->serial && strcmp(want->serial, dev->serial))
			continue;
		if (want->pci && strcasecmp(want->pci, dev->place))
			continue;
		if ((any && dev->taken) || (want->has_index && want->index != index))
			continue;
		dev->taken = true;
		return dev;
	}
	return NULL;
}

/* Which of several disks one that can't be used would be is not known, unless its place is asked for, or any; it may be
 * the one that is to be absent. */
static json_t *missing_block(const struct chain_config_block *want)
{
	char reason[256], which[32] = "", others[48] = "";
	size_t count = 0;
	const struct stage_dead_device *dead = stage_device_list_dead(&devices, STAGE_CLASS_BLOCK, want->pci);
	if (dead && dead->driver && (want->need == CHAIN_NEED_ABSENT || (!want->serial && !want->has_index)))
		return stage_device_dead_json(dead);
	for (const struct stage_block *dev = devices.block; dev; dev = dev->next)
		count++;
	if (want->has_index)
		snprintf(which, sizeof(which), " number %" PRIu64, want->index);
	if (count) /* it may be there under another serial */
		snprintf(others, sizeof(others), ", but %zu other%s", count, count == 1 ? "" : "s");
	snprintf(reason, sizeof(reason), "no disk%s%s%.60s%s%.40s%s", which, want->serial ? " with serial " : "",
		 want->serial ? want->serial : "", want->pci ? " at " : "", want->pci ? want->pci : "", others);
	stage_device_list_explain(&devices, STAGE_CLASS_BLOCK, reason, sizeof(reason));
	return chain_json_object(CHAIN_TEXT("status", "absent"), CHAIN_TEXT("reason", reason));
}

static enum chain_status take_block(const struct chain_config_block *want, json_t *block, struct chain_error *err)
{
	struct stage_block *dev = find_block(want);
	enum chain_status status = dev ? CHAIN_OK : stage_device_list_complete(stage_native_env(), &devices, err);
	json_t *entry = NULL;
	if (!dev && !status)
		dev = find_block(want);
	if (dev)
		status = stage_block_describe(dev, &entry, err);
	else if (!status)
		entry = missing_block(want);
	return status ? status : resolve(block, "block", want->name, entry, want->need, err);
}

/* --- interfaces --- */

static enum chain_status take_nets(const struct chain_config *config, const json_t *parent, json_t *net,
				   struct chain_error *err)
{
	json_t *found = json_object();
	enum chain_status status = found ? stage_net_configure(stage_native_env(), config->net, config->net_count,
							       parent, &devices, found, err) :
					   no_memory("net", err);
	for (size_t i = 0; !status && i < config->net_count; i++) {
		const struct chain_config_net *want = &config->net[i];
		json_t *entry = json_incref(json_object_get(found, want->name));
		status = resolve(net, "net", want->name, entry, want->need, err);
	}
	json_decref(found);
	return status;
}

/* What has to be looked for at all: nothing for a pipeline that asks for no device, no network card where the handoff
 * has every interface. */
static unsigned classes(const struct chain_config *config, const json_t *parent)
{
	unsigned wanted = config->block_count ? STAGE_CLASS_BLOCK : 0u;
	for (size_t i = 0; i < config->net_count; i++)
		if (!chain_handoff_keep_net(parent, &config->net[i]))
			wanted |= STAGE_CLASS_NET;
	return wanted;
}

enum chain_status stage_devices_configure(const struct chain_config *config, const json_t *parent, json_t *net,
					  json_t *block, struct chain_error *err)
{
	unsigned wanted = classes(config, parent);
	enum chain_status status = CHAIN_OK;
	if (wanted)
		status = stage_device_list_open(stage_native_env(), wanted, &devices, err);
	for (const struct stage_dead_device *dead = devices.dead; dead; dead = dead->next)
		if (dead->driver)
			stage_say("device", "%s at %s could not be started: %s", dead->driver, dead->place,
				  chain_status_slug(dead->fault.status));
	/* Those that are to be absent come last: what the others take is not meant. */
	for (int absent = 0; absent < 2; absent++)
		for (size_t i = 0; !status && i < config->block_count; i++)
			if ((config->block[i].need == CHAIN_NEED_ABSENT) == absent)
				status = take_block(&config->block[i], block, err);
	if (!status && config->net_count)
		status = take_nets(config, parent, net, err);
	return status;
}

/* --- devices of called kernels --- */

static void release_net(const char *place)
{
	for (struct stage_netdev **link = &devices.net; *link; link = &(*link)->next) {
		struct stage_netdev *dev = *link;
		if (strcasecmp(dev->place, place))
			continue;
		*link = dev->next;
		stage_net_release(dev);
		dev->ops->close(dev);
		return;
	}
}

static void release_block(const char *place)
{
	for (struct stage_block **link = &devices.block; *link; link = &(*link)->next) {
		struct stage_block *dev = *link;
		if (strcasecmp(dev->place, place))
			continue;
		*link = dev->next;
		dev->ops->close(dev);
		return;
	}
}

static const char *place_of(const struct chain_config_assigned *assigned, const json_t *net, const json_t *block)
{
	return stage_device_place(json_object_get(assigned->is_net ? net : block, assigned->name));
}

/* Two names of the pipeline may match one disk: then it would have two owners. */
static enum chain_status check_places(const struct chain_step *step, const json_t *net, const json_t *block,
				      struct chain_error *err)
{
	for (size_t i = 1; i < step->device_count; i++) {
		const char *place = place_of(&step->devices[i], net, block);
		for (size_t j = 0; place && j < i; j++) {
			const char *other = place_of(&step->devices[j], net, block);
			if (other && !strcasecmp(place, other))
				return chain_fail_text(err, CHAIN_E_DEVICE_SAME, step->devices[i].name,
						       step->devices[j].name);
		}
	}
	return CHAIN_OK;
}

static struct stage_assigned_request request_of(const struct chain_config_assigned *assigned, const json_t *net,
						const json_t *block)
{
	const json_t *entry = json_object_get(assigned->is_net ? net : block, assigned->name);
	struct stage_assigned_request request = {
		.name = assigned->name,
		.is_net = assigned->is_net,
		.required = assigned->required,
		.place = place_of(assigned, net, block),
		.reason = json_string_value(json_object_get(entry, "reason")),
	};
	if (request.place && assigned->is_net)
		release_net(request.place);
	else if (request.place)
		release_block(request.place);
	return request;
}

/* The devices of one kernel, first named by entry `first` of the step. */
static enum chain_status give_kernel(const struct chain_step *step, size_t first, const json_t *net,
				     const json_t *block, struct stage_assigned **list, struct chain_error *err)
{
	struct stage_assigned_request *requests = calloc(step->device_count, sizeof(*requests));
	struct stage_assigned *assigned;
	uint64_t kernel = step->devices[first].kernel;
	size_t count = 0;
	if (!requests)
		return chain_fail_no_memory(err, step->name, step->device_count * sizeof(*requests));
	for (size_t i = first; i < step->device_count; i++) {
		if (step->devices[i].kernel != kernel)
			continue;
		requests[count++] = request_of(&step->devices[i], net, block);
		stage_say("give", "%s  to kernel %" PRIu64 " of %s", step->devices[i].name, kernel, step->name);
	}
	enum chain_status status = stage_assigned_make(stage_native_env(), requests, count, &assigned, err);
	free(requests);
	if (status)
		return status;
	assigned->kernel = kernel;
	assigned->next = *list;
	*list = assigned;
	return CHAIN_OK;
}

enum chain_status stage_devices_give(const struct chain_step *step, const json_t *net, const json_t *block,
				     struct stage_assigned **out, struct chain_error *err)
{
	enum chain_status status = check_places(step, net, block, err);
	*out = NULL;
	for (size_t i = 0; !status && i < step->device_count; i++)
		if (!stage_assigned_of(*out, step->devices[i].kernel))
			status = give_kernel(step, i, net, block, out, err);
	if (!status)
		return CHAIN_OK;
	stage_assigned_free(*out);
	*out = NULL;
	return status;
}

struct stage_block *stage_devices_disk(const json_t *entry)
{
	const char *place = stage_device_place(entry), *status = json_string_value(json_object_get(entry, "status"));
	struct stage_block *dev = place && status && !strcmp(status, "configured") ? devices.block : NULL;
	while (dev && strcasecmp(dev->place, place) != 0)
		dev = dev->next;
	return dev;
}

void stage_devices_quiesce(void)
{
	stage_net_stop();
	stage_device_list_close(&devices);
}
