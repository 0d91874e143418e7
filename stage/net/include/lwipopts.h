/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: which parts of lwIP there are. TCP is one line away (LWIP_TCP, and its three files in stage/net/lwip.mk). */
#ifndef STAGE_LWIPOPTS_H
#define STAGE_LWIPOPTS_H

#define NO_SYS               1
#define SYS_LIGHTWEIGHT_PROT 0
#define LWIP_SOCKET          0
#define LWIP_NETCONN         0

/* All memory from malloc: a pipeline without a network pays for none. */
#define MEM_LIBC_MALLOC 1
#define MEMP_MEM_MALLOC 1
#define MEM_ALIGNMENT   8

#define LWIP_IPV4 1
#define LWIP_IPV6 0
#define LWIP_ARP  1
/* A frame with a priority and no VLAN (IEEE 802.1Q, section 6.9: VLAN 0) is one like others. */
#define ETHARP_SUPPORT_VLAN 1
#define ETHARP_VLAN_CHECK   0
#define LWIP_ICMP           0 /* nobody listens but while a lease is asked for */
#define LWIP_UDP            1
#define LWIP_TCP            0
#define LWIP_RAW            0
#define LWIP_IGMP           0
#define LWIP_AUTOIP         0
#define IP_REASSEMBLY       0
#define IP_FRAG             0
#define LWIP_STATS          0

#define LWIP_DHCP 1
/* RFC 2131 says SHOULD to the probe of a given address; it costs a second of every boot, and a server probes as well.
 */
#define DHCP_DOES_ARP_CHECK       0
#define LWIP_DHCP_MAX_DNS_SERVERS 4
#define DNS_MAX_SERVERS           4
#define LWIP_NETIF_HOSTNAME       1
#define DHCP_OPTIONS_LEN          128 /* a name of 63 bytes and what is requested beside lwIP's own fit */
#define LWIP_NETIF_LINK_CALLBACK  0
/* Nobody asks a name server. DHCP asks for their addresses all the same: dhcp.c alone is compiled with it, to report to
 * stage_lwip_dns_server (stage/net/lwip.mk). */
#ifndef LWIP_DNS
#define LWIP_DNS 0
#endif

#define LWIP_CHECKSUM_ON_COPY 0
#define LWIP_HOOK_FILENAME    "stage_lwip_hooks.h"

#endif
