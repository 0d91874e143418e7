/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "interface.h"

#include "chain/handoff.h"
#include "chain/json_memory.h"
#include "chain/json_write.h"
#include "stage/device_json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static struct interface *interfaces; /* of this kernel; see net.h */

static bool matches(const struct chain_config_net *r, const struct stage_netdev *dev)
{
	const uint8_t *m = dev->mac;
	char mac[18];

	snprintf(mac, sizeof mac, "%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3], m[4], m[5]);
	return (!r->mac || !strcasecmp(r->mac, mac)) && (!r->pci || !strcasecmp(r->pci, dev->place));
}

static bool is_taken(const struct stage_netdev *dev)
{
	for (const struct interface *i = interfaces; i; i = i->next) {
		if (i->dev == dev)
			return true;
	}
	return false;
}

static struct stage_netdev *find_device(const struct chain_config_net *r, const struct stage_device_list *devices)
{
	for (struct stage_netdev *dev = devices->net; dev; dev = dev->next) {
		if (!is_taken(dev) && matches(r, dev))
			return dev;
	}
	return NULL;
}

/* A card that can't be used has no MAC address that anybody knows; it may be the one that is to be absent. */
static json_t *describe_missing(const struct chain_config_net *r, const struct stage_device_list *devices)
{
	char reason[2 * CHAIN_SUBJECT_BYTES] = "no network interface left that a driver knows";
	const struct stage_dead_device *dead = r->mac && r->need != CHAIN_NEED_ABSENT ?
						       NULL :
						       stage_device_list_dead(devices, STAGE_CLASS_NET, r->pci);

	if (dead)
		return stage_device_dead_json(dead);
	if (r->mac || r->pci)
		snprintf(reason, sizeof reason, "no network interface%s%.40s%s%.40s",
			 r->mac ? " with MAC address " : "", r->mac ? r->mac : "", r->pci ? " at " : "",
			 r->pci ? r->pci : "");
	stage_device_list_explain(devices, STAGE_CLASS_NET, reason, sizeof reason);
	return chain_json_object(CHAIN_TEXT("status", "absent"), CHAIN_TEXT("reason", reason));
}

/* Starts what the pipeline asks for; the answer of a server is waited for later, for all at once. */
static enum chain_status take(const struct stage_device_env *env, const struct chain_config_net *r,
			      struct stage_device_list *devices, json_t *found, struct chain_error *err)
{
	struct stage_netdev *dev = find_device(r, devices);
	struct interface *i;
	enum chain_status s = dev ? CHAIN_OK : stage_device_list_complete(env, devices, err);

	if (s)
		return s;
	if (!dev)
		dev = find_device(r, devices);
	if (!dev)
		return json_object_set_new(found, r->name, describe_missing(r, devices)) ?
			       chain_json_no_memory(err, r->name) :
			       CHAIN_OK;
	i = calloc(1, sizeof *i);
	if (!i)
		return chain_fail_no_memory(err, r->name, sizeof *i);
	i->dev = dev;
	i->request = r;
	s = interface_start(i, env, err);
	if (s) {
		free(i);
		return s;
	}
	i->next = interfaces;
	interfaces = i;
	i->started_us = env->now_us(env->ctx);
	return r->dhcp ? interface_start_dhcp(i, err) : interface_set_static(i, err);
}

/* One that is to be absent is only looked for: among all, or, where nothing is said of it, among those left over. */
static enum chain_status look_for(const struct stage_device_env *env, const struct chain_config_net *r,
				  struct stage_device_list *devices, json_t *found, struct chain_error *err)
{
	enum chain_status s = stage_device_list_complete(env, devices, err);
	struct stage_netdev *dev = devices->net;

	if (s)
		return s;
	while (dev && (!matches(r, dev) || (!r->mac && !r->pci && is_taken(dev))))
		dev = dev->next;
	json_t *entry = dev ? chain_json_object(CHAIN_TEXT("status", "present"), CHAIN_TEXT("driver", dev->driver),
						CHAIN_TEXT(dev->bus->name, dev->place)) :
			      describe_missing(r, devices);
	return json_object_set_new(found, r->name, entry) ? chain_json_no_memory(err, r->name) : CHAIN_OK;
}

static enum chain_status keep(const struct chain_config_net *r, const json_t *kept, json_t *out,
			      struct chain_error *err)
{
	return json_object_set_new(out, r->name, chain_json_deep(kept)) ? chain_json_no_memory(err, r->name) : CHAIN_OK;
}

/* True while an interface may still get an answer. */
static bool is_waiting(struct interface *i, uint64_t now_us)
{
	if (i->configured || i->dev->fault.status)
		return false;
	if (interface_has_lease(i)) {
		i->configured = true;
		i->obtained_us = now_us;
		return false;
	}
	return now_us - i->started_us < i->request->timeout_us;
}

static void wait_for_all(const struct stage_device_env *env)
{
	for (;;) {
		bool waiting = false;
		stage_net_poll();
		for (struct interface *i = interfaces; i; i = i->next)
			waiting |= is_waiting(i, env->now_us(env->ctx));
		if (!waiting)
			return;
		env->idle(env->ctx);
	}
}

void stage_net_poll(void)
{
	for (struct interface *i = interfaces; i; i = i->next)
		interface_poll(i);
	if (interfaces)
		interface_timers();
}

static void drop(struct interface **link)
{
	struct interface *i = *link;

	*link = i->next;
	interface_stop(i);
	free(i);
}

void stage_net_release(const struct stage_netdev *dev)
{
	struct interface **link = &interfaces;

	while (*link && (*link)->dev != dev)
		link = &(*link)->next;
	if (*link)
		drop(link);
}

void stage_net_stop(void)
{
	while (interfaces)
		drop(&interfaces);
}

enum chain_status stage_net_configure(const struct stage_device_env *env, const struct chain_config_net *requests,
				      size_t count, const json_t *parent, struct stage_device_list *devices,
				      json_t *out, struct chain_error *err)
{
	const json_t *kept;

	/* Those that say what they want choose first; the others take what is left, in bus order. */
	for (int particular = 1; particular >= 0; particular--) {
		for (size_t n = 0; n < count; n++) {
			const struct chain_config_net *r = &requests[n];
			enum chain_status s;
			if ((r->mac || r->pci) != particular || r->need == CHAIN_NEED_ABSENT)
				continue;
			kept = chain_handoff_keep_net(parent, r);
			s = kept ? keep(r, kept, out, err) : take(env, r, devices, out, err);
			if (s)
				return s;
		}
	}
	for (size_t n = 0; n < count; n++) {
		enum chain_status s = requests[n].need == CHAIN_NEED_ABSENT ?
					      look_for(env, &requests[n], devices, out, err) :
					      CHAIN_OK;
		if (s)
			return s;
	}
	wait_for_all(env);
	for (struct interface *i = interfaces; i; i = i->next) {
		if (json_object_set_new(out, i->request->name, interface_describe(i)))
			return chain_json_no_memory(err, i->request->name);
	}
	return CHAIN_OK;
}
