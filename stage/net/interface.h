/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: one interface: lwIP's netif on top of a netdev. */
#ifndef STAGE_NET_INTERFACE_H
#define STAGE_NET_INTERFACE_H

#include "stage/net.h"

#include "lwip/netif.h"

enum { INTERFACE_DNS = 4, INTERFACE_HOSTNAME_BYTES = CHAIN_CONFIG_NAME_MAX + 1 };

struct interface {
	struct netif netif;
	struct interface *next;
	struct stage_netdev *dev;
	const struct chain_config_net *request;
	bool configured;
	uint64_t started_us, obtained_us;
	ip4_addr_t dns[INTERFACE_DNS];
	unsigned dns_count;
	unsigned answers, refused; /* of DHCP servers, to us; of them refusals of what was asked for */
	const char *wrong; /* with the last of them, for as long as there is no lease; with a blank first: with that
			      address */
	uint32_t which;
	char hostname[INTERFACE_HOSTNAME_BYTES]; /* the server's name for us, or "" */
	char asked[INTERFACE_HOSTNAME_BYTES];    /* ours, as sent */
};

/* Registers it with lwIP (which is started with the first) and turns it on. */
enum chain_status interface_start(struct interface *i, const struct stage_device_env *env, struct chain_error *err);
void interface_stop(struct interface *i);

/* "10.0.2.15/24", "10.0.2.2" ... as the pipeline has them. */
enum chain_status interface_set_static(struct interface *i, struct chain_error *err);
enum chain_status interface_start_dhcp(struct interface *i, struct chain_error *err);
/* True once DHCP has given an address. */
bool interface_has_lease(const struct interface *i);

/* Frames and timers. */
void interface_poll(struct interface *i);
void interface_timers(void);

/* The entry of a handoff; new reference, null: no memory. */
json_t *interface_describe(const struct interface *i);

#endif
