/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "interface.h"

#include "chain/ipv4.h"
#include "lwip/dhcp.h"
#include "lwip/etharp.h"
#include "lwip/init.h"
#include "lwip/timeouts.h"
#include "netif/ethernet.h"
#include "netif/ppp/ppp_opts.h" /* a summand of LWIP_NUM_SYS_TIMEOUT_INTERNAL */
#include "stage_lwip_hooks.h"

#include <stdio.h>
#include <string.h>

/* lwIP asks for time and chance by name, without a context. */
static const struct stage_device_env *lwip_env;

u32_t sys_now(void)
{
	return (u32_t)(lwip_env->now_us(lwip_env->ctx) / 1000);
}

uint32_t stage_lwip_random(void)
{
	return lwip_env->random(lwip_env->ctx);
}

static struct {
	struct sys_timeo timer;
	bool used;
} timers[LWIP_NUM_SYS_TIMEOUT_INTERNAL + 1];

void *stage_lwip_timer_take(memp_t pool)
{
	(void)pool;
	for (size_t i = 0; i < sizeof timers / sizeof timers[0]; i++) {
		if (timers[i].used)
			continue;
		timers[i].used = true;
		return &timers[i].timer;
	}
	return NULL;
}

void stage_lwip_timer_free(memp_t pool, void *timer)
{
	(void)pool;
	for (size_t i = 0; i < sizeof timers / sizeof timers[0]; i++)
		timers[i].used = timers[i].used && timer != &timers[i].timer;
}

static err_t output(struct netif *netif, struct pbuf *p)
{
	struct interface *i = netif->state;
	uint8_t frame[STAGE_FRAME_BYTES];

	if (p->tot_len > sizeof frame)
		return ERR_BUF;
	pbuf_copy_partial(p, frame, p->tot_len, 0);
	return i->dev->ops->send(i->dev, frame, p->tot_len, NULL) ? ERR_IF : ERR_OK;
}

static void received(void *ctx, const void *frame, size_t bytes)
{
	struct interface *i = ctx;
	struct pbuf *p = pbuf_alloc(PBUF_RAW, (u16_t)bytes, PBUF_POOL);

	if (!p) /* no memory: as if it had been lost on the way */
		return;
	if (pbuf_take(p, frame, (u16_t)bytes) != ERR_OK || i->netif.input(p, &i->netif) != ERR_OK)
		pbuf_free(p);
}

static err_t init(struct netif *netif)
{
	struct interface *i = netif->state;

	netif->name[0] = 'e';
	netif->name[1] = 'n';
	netif->hwaddr_len = sizeof i->dev->mac;
	memcpy(netif->hwaddr, i->dev->mac, sizeof i->dev->mac);
	netif->mtu = i->dev->mtu;
	netif->flags = NETIF_FLAG_BROADCAST | NETIF_FLAG_ETHARP | NETIF_FLAG_ETHERNET;
	netif->output = etharp_output;
	netif->linkoutput = output;
	return ERR_OK;
}

enum chain_status interface_start(struct interface *i, const struct stage_device_env *env, struct chain_error *err)
{
	const char *hostname = i->request->hostname;

	if (!lwip_env) {
		lwip_env = env;
		lwip_init();
	}
	lwip_env = env;
	if (!netif_add(&i->netif, IP4_ADDR_ANY4, IP4_ADDR_ANY4, IP4_ADDR_ANY4, i, init, ethernet_input))
		return chain_fail_no_memory(err, i->request->name, sizeof *i);
	if (hostname && strlen(hostname) < sizeof i->asked) {
		memcpy(i->asked, hostname, strlen(hostname) + 1);
		netif_set_hostname(&i->netif, i->asked);
	}
	if (!netif_default)
		netif_set_default(&i->netif);
	netif_set_link_up(&i->netif);
	netif_set_up(&i->netif);
	return CHAIN_OK;
}

static err_t discard(struct netif *netif, struct pbuf *p)
{
	(void)netif;
	(void)p;
	return ERR_OK;
}

void interface_stop(struct interface *i)
{
	/* lwIP gives a lease back when it stops. This one is the next link's: nothing leaves the machine any more. */
	i->netif.linkoutput = discard;
	if (netif_dhcp_data(&i->netif)) {
		dhcp_release_and_stop(&i->netif);
		dhcp_cleanup(&i->netif);
	}
	netif_remove(&i->netif);
}

static enum chain_status bad_address(const struct interface *i, const char *text, struct chain_error *err)
{
	return chain_fail_text(err, CHAIN_E_NET_BAD_ADDRESS, i->request->name, text);
}

static void to_lwip(uint32_t address, ip4_addr_t *out)
{
	ip4_addr_set_u32(out, lwip_htonl(address));
}

enum chain_status interface_set_static(struct interface *i, struct chain_error *err)
{
	const struct chain_config_net *r = i->request;
	uint32_t address, mask, gateway = 0, dns;
	ip4_addr_t own, net, out;

	if (!r->address || !chain_ipv4_parse(r->address, true, &address, &mask))
		return bad_address(i, r->address ? r->address : "nothing", err);
	if (r->gateway && !chain_ipv4_parse(r->gateway, false, &gateway, NULL))
		return bad_address(i, r->gateway, err);
	for (size_t n = 0; n < r->dns_count; n++) {
		if (n == INTERFACE_DNS)
			return CHAIN_FAIL(err, LIMIT, .subject = r->name, .detail = "name servers",
					  .value = r->dns_count, .limit = INTERFACE_DNS);
		if (!chain_ipv4_parse(r->dns[n], false, &dns, NULL))
			return bad_address(i, r->dns[n], err);
		to_lwip(dns, &i->dns[i->dns_count++]);
	}
	to_lwip(address, &own);
	to_lwip(mask, &net);
	to_lwip(gateway, &out);
	netif_set_addr(&i->netif, &own, &net, &out);
	i->configured = true;
	return CHAIN_OK;
}

enum chain_status interface_start_dhcp(struct interface *i, struct chain_error *err)
{
	if (dhcp_start(&i->netif) != ERR_OK)
		return chain_fail_no_memory(err, i->request->name, sizeof(struct dhcp));
	return CHAIN_OK;
}

bool interface_has_lease(const struct interface *i)
{
	return dhcp_supplied_address(&i->netif);
}

void interface_poll(struct interface *i)
{
	i->dev->ops->poll(i->dev, received, i);
}

void interface_timers(void)
{
	sys_check_timeouts();
}

/* The one whose card a message came by: lwIP's idea of it is, of a broadcast, any interface that has an address
 * already. */
static struct interface *current(void)
{
	return ip_current_input_netif() ? ip_current_input_netif()->state : NULL;
}

void stage_lwip_dns_server(u8_t index, const ip_addr_t *address)
{
	struct interface *i = current();

	if (!i || index >= INTERFACE_DNS)
		return;
	ip4_addr_copy(i->dns[index], *ip_2_ip4(address));
	i->dns_count = index + 1u;
}

enum { DHCP_OPTION_HOST_NAME = 12 }; /* RFC 2132, section 3.14 */

void stage_lwip_dhcp_option(u8_t option, u8_t bytes, struct pbuf *p, u16_t at)
{
	struct interface *i = current();
	u16_t got;

	if (!i || option != DHCP_OPTION_HOST_NAME || bytes >= sizeof i->hostname)
		return;
	got = pbuf_copy_partial(p, i->hostname, bytes, at);
	i->hostname[got] = '\0';
	/* It goes into arguments and JSON: letters, digits, '-' and '.', else it is nothing. */
	if (strspn(i->hostname, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.") != got)
		i->hostname[0] = '\0';
}
