/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "kchain_device.h"

#include <kchain.h>

#include "stage/boot.h"
#include "stage/device_json.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char error[320];
static struct kchain_open *opened;

const char *kchain_device_error(void)
{
	return error;
}

bool kchain_device_refuse(const char *name, const char *reason)
{
	snprintf(error, sizeof(error), "%.63s: %s", name, reason);
	return false;
}

bool kchain_device_failed(const struct kchain_open *open, const struct chain_error *err)
{
	static const struct {
		enum chain_status status;
		const char *words;
	} rows[] = {
		{ CHAIN_E_NO_MEMORY, "no memory for its driver" },
		{ CHAIN_E_BLOCK_PAST_END, "sectors past its end" },
		{ CHAIN_E_BLOCK_TIMEOUT, "no answer in time" },
		{ CHAIN_E_NET_FRAME, "the frame is too long" },
		{ CHAIN_E_NET_BUSY, "it takes no more frames" },
		{ CHAIN_E_DEVICE_RESET, "its reset does not finish" },
	};
	const char *words = err->detail[0] ? err->detail : "it does not work as its driver expects";
	char text[200];

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (rows[i].status == err->status)
			words = rows[i].words;
	snprintf(text, sizeof(text), "%.120s (%" PRIu64 ", %" PRIu64 ", %" PRIu64 ")", words, err->number[0],
		 err->number[1], err->number[2]);
	return kchain_device_refuse(open->name, text);
}

static bool find_called(const char *name, bool is_net, struct kchain_open *out)
{
	const struct kchain_call *call = stage_boot.call;
	bool knows = call->bytes >= offsetof(struct kchain_call, heap_phys) + sizeof(call->heap_phys);
	const struct kchain_device *list = (const struct kchain_device *)(knows ? call->devices : 0);

	for (uint32_t i = 0; knows && i < call->device_count; i++) {
		if (strcmp(list[i].name, name) || list[i].is_net != is_net)
			continue;
		if (*list[i].reason)
			return kchain_device_refuse(name, list[i].reason);
		stage_called_env_init(&out->called, stage_native_env(), &list[i], call->heap, call->heap_bytes,
				      call->heap_phys);
		out->env = &out->called.env;
		return stage_device_at(out->env, list[i].bdf, &out->device) ||
		       kchain_device_refuse(name, "it is not there");
	}
	return kchain_device_refuse(name, "it is not assigned to this kernel");
}

/* Booted, a kernel has all that the handoff knows of. */
static bool find_booted(const char *name, bool is_net, struct kchain_open *out)
{
	const char *text = "";
	size_t bytes = 0;

	if (!kchain_handoff(&text, &bytes))
		return kchain_device_refuse(name, "there is no handoff to say where it is");
	json_t *doc = json_loadb(text, bytes, 0, NULL);
	const json_t *entry = json_object_get(json_object_get(doc, is_net ? "net" : "block"), name);
	const char *place = stage_device_place(entry), *reason = json_string_value(json_object_get(entry, "reason"));
	out->env = stage_native_env();
	bool found = place && stage_device_find(out->env, place, &out->device);
	if (!found)
		kchain_device_refuse(name, !doc   ? "the handoff can't be read" :
					   !entry ? "the handoff does not know it" :
					   place  ? "it is not where the handoff says" :
					   reason ? reason :
						    "it is absent");
	json_decref(doc);
	return found;
}

static bool find(const char *name, bool is_net, const struct stage_driver *const *drivers, struct kchain_open *out)
{
	if (!(stage_boot.face->owns_machine ? find_booted(name, is_net, out) : find_called(name, is_net, out)))
		return false;
	out->driver = stage_driver_for(drivers, &out->device);
	if (!out->driver)
		return kchain_device_refuse(name, "no driver knows it");
	for (struct kchain_open *other = opened; other; other = other->next)
		if (!strcmp(other->device.place, out->device.place))
			return kchain_device_refuse(name, "it is open");
	return true;
}

void *kchain_device_open(const char *name, bool is_net, const struct stage_driver *const *drivers, size_t bytes)
{
	struct kchain_open *open = calloc(1, bytes);

	if (!open) {
		kchain_device_refuse(name, "no memory");
		return NULL;
	}
	if (!find(name, is_net, drivers, open)) {
		free(open);
		return NULL;
	}
	snprintf(open->name, sizeof(open->name), "%s", name);
	open->next = opened;
	opened = open;
	return open;
}

void kchain_device_close(struct kchain_open *open)
{
	struct kchain_open **link = &opened;

	while (*link != open)
		link = &(*link)->next;
	*link = open->next;
	free(open);
}
