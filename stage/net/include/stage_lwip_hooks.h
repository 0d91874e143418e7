/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: what lwIP tells us beyond its own interface. */
#ifndef STAGE_LWIP_HOOKS_H
#define STAGE_LWIP_HOOKS_H

#include "lwip/ip_addr.h"
#include "lwip/memp.h"
#include "lwip/pbuf.h"

struct netif;
struct udp_pcb;

/* What a DHCP message is to ask for besides lwIP's own: `options` has `*bytes` of them, and room for more. */
void stage_lwip_dhcp_request(u8_t *options, u16_t *bytes);
#define LWIP_HOOK_DHCP_APPEND_OPTIONS(netif, dhcp, state, msg, msg_type, options_len_ptr)                              \
	stage_lwip_dhcp_request((msg)->options, options_len_ptr)

/* An option of a DHCP answer that lwIP does not read itself. */
void stage_lwip_dhcp_option(u8_t option, u8_t bytes, struct pbuf *p, u16_t at);
#define LWIP_HOOK_DHCP_PARSE_OPTION(netif, dhcp, state, msg, msg_type, option, len, pbuf, offset)                      \
	do {                                                                                                           \
		LWIP_UNUSED_ARG(msg);                                                                                  \
		stage_lwip_dhcp_option(option, len, pbuf, offset);                                                     \
	} while (0)

/* Memory of a timer: there are as many as lwIP has, whatever else runs out. `pool` is the one it asks; null: more than
 * it has. */
void *stage_lwip_timer_take(memp_t pool);
void stage_lwip_timer_free(memp_t pool, void *timer);

/* Name server `index` of the interface whose frame is being looked at. */
void stage_lwip_dns_server(u8_t index, const ip_addr_t *address);

#endif
