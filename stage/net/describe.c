/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "interface.h"

#include "chain/ipv4.h"
#include "chain/json_write.h"
#include "lwip/dhcp.h"

#include <stdio.h>

static json_t *address_string(const ip4_addr_t *address)
{
	char text[CHAIN_IPV4_TEXT_BYTES];

	return json_string(chain_ipv4_text(lwip_ntohl(ip4_addr_get_u32(address)), text));
}

static json_t *network_string(const struct netif *netif)
{
	char text[CHAIN_IPV4_TEXT_BYTES], whole[CHAIN_IPV4_TEXT_BYTES + 4];
	int bits = 0;

	for (u32_t mask = lwip_ntohl(ip4_addr_get_u32(netif_ip4_netmask(netif))); mask & 0x80000000; mask <<= 1)
		bits++;
	snprintf(whole, sizeof whole, "%s/%d",
		 chain_ipv4_text(lwip_ntohl(ip4_addr_get_u32(netif_ip4_addr(netif))), text), bits);
	return json_string(whole);
}

static json_t *lease(const struct interface *i)
{
	const struct dhcp *dhcp = netif_dhcp_data(&i->netif);
	json_t *o = chain_json_object(CHAIN_INT("lifetime_s", (json_int_t)dhcp->offered_t0_lease),
				      CHAIN_INT("obtained_us", (json_int_t)i->obtained_us));

	if (o && json_object_set_new(o, "server", address_string(ip_2_ip4(&dhcp->server_ip_addr)))) {
		json_decref(o);
		return NULL;
	}
	return o;
}

static int add_addresses(const struct interface *i, json_t *o)
{
	json_t *addresses = json_array(), *gateways = json_array(), *dns = json_array();
	int bad = json_array_append_new(addresses, network_string(&i->netif));

	if (!ip4_addr_isany(netif_ip4_gw(&i->netif)))
		bad |= json_array_append_new(gateways, address_string(netif_ip4_gw(&i->netif)));
	for (unsigned n = 0; n < i->dns_count; n++)
		bad |= json_array_append_new(dns, address_string(&i->dns[n]));
	bad |= json_object_set_new(o, "addresses", addresses);
	bad |= json_object_set_new(o, "gateways", gateways);
	bad |= json_object_set_new(o, "dns", dns);
	if (i->hostname[0] || i->asked[0])
		bad |= json_object_set_new(o, "hostname", json_string(i->hostname[0] ? i->hostname : i->asked));
	if (interface_has_lease(i))
		bad |= json_object_set_new(o, "lease", lease(i));
	return bad;
}

/* Why there is no address. */
static void explain(const struct interface *i, char *text, size_t bytes)
{
	unsigned long long ms = i->request->timeout_us / 1000;
	char which[CHAIN_IPV4_TEXT_BYTES];

	if (i->dev->fault.status)
		chain_error_format(&i->dev->fault, text, bytes);
	else if (!i->dev->ops->link_up(i->dev))
		snprintf(text, bytes, "the link is down");
	else if (!i->answers)
		snprintf(text, bytes, "no DHCP answer within %llu ms", ms);
	else
		snprintf(text, bytes, "%u DHCP answer%s within %llu ms, none usable: %s%s", i->answers,
			 i->answers == 1 ? "" : "s", ms, *i->wrong == ' ' ? chain_ipv4_text(i->which, which) : "",
			 i->wrong);
}

json_t *interface_describe(const struct interface *i)
{
	const uint8_t *m = i->dev->mac;
	char mac[18], reason[2 * CHAIN_SUBJECT_BYTES];
	json_t *o;
	int bad;

	snprintf(mac, sizeof mac, "%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3], m[4], m[5]);
	o = chain_json_object(CHAIN_TEXT("status", i->configured ? "configured" : "present"),
			      CHAIN_TEXT("driver", i->dev->driver), CHAIN_TEXT(i->dev->bus->name, i->dev->place),
			      CHAIN_TEXT("mac", mac), CHAIN_INT("mtu", (json_int_t)i->dev->mtu));
	if (!o)
		return NULL;
	if (i->configured) {
		bad = add_addresses(i, o);
	} else {
		explain(i, reason, sizeof reason);
		bad = json_object_set_new(o, "reason", json_string(reason));
	}
	if (!bad)
		return o;
	json_decref(o);
	return NULL;
}
