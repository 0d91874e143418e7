/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: what a handoff says of the network, as an init needs it: which interface, by its MAC address, has which
 * addresses, and how long. Must not know: how interfaces are configured. Addresses are numbers in the processor's
 * order. */
#ifndef INIT_INTERFACES_H
#define INIT_INTERFACES_H

#include "chain/error.h"

#include <jansson.h>
#include <stdbool.h>

enum { INIT_INTERFACES_MAX = 16, INIT_ADDRESSES_MAX = 8, INIT_MAC_BYTES = 6 };

struct init_lease {
	uint32_t address, server;         /* server 0: none: there is no lease */
	uint64_t lifetime_s, obtained_us; /* on the handoff's clock */
};

struct init_interface {
	char name[64]; /* the pipeline's; ends in "..." where it had to be cut */
	uint8_t mac[INIT_MAC_BYTES];
	uint32_t address[INIT_ADDRESSES_MAX], mask[INIT_ADDRESSES_MAX];
	size_t address_count;
	uint32_t gateway[INIT_ADDRESSES_MAX];
	size_t gateway_count;
	uint32_t dns[INIT_ADDRESSES_MAX];
	size_t dns_count;
	struct init_lease lease;
};

struct init_interfaces {
	struct init_interface of[INIT_INTERFACES_MAX];
	size_t count;
	char hostname[256]; /* the first that an entry has; "": none */
};

/* Takes the entries that are "configured"; others have nothing to configure. CHAIN_E_IO for an address, a
 * MAC address or a lease that is none. CHAIN_E_LIMIT: more than there is room for. */
enum chain_status init_interfaces_read(const json_t *handoff, struct init_interfaces *out,
				       struct chain_error *err) CHAIN_MUST_CHECK;

/* "52:54:00:12:34:56". */
bool init_mac_parse(const char *text, uint8_t out[INIT_MAC_BYTES]);

/* The text of resolv.conf (resolv.conf(5)), of at most three servers, which is what resolvers read; null: no server is
 * known, or no memory. The caller frees. */
char *init_resolv_conf(const struct init_interfaces *interfaces);

/* The text of hosts (hosts(5)): `before`, or where that is empty the usual lines, and one for `hostname` unless it is
 * there already. Null: no memory. The caller frees. */
char *init_hosts(const char *before, const char *hostname);

/* Whether the kernel would take it and others could write it: letters, digits, dashes and dots, up to 64. */
bool init_hostname_ok(const char *text);

#endif
