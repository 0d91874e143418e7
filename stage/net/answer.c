/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* What a DHCP server answers, looked at before lwIP acts on it (RFC 2131; options: RFC 2132): an offer that no host
 * could live with is no offer, so that a better one may follow, and each refusal has its reason. */

#include "interface.h"

#include "chain/ipv4.h"
#include "lwip/dhcp.h"
#include "lwip/prot/dhcp.h"
#include "lwip/udp.h"
#include "stage_lwip_hooks.h"

#include <string.h>

enum { /* RFC 2131, section 2 */
       OP = 0,
       XID = 4,
       ADDRESS = 16,
       CARD = 28,
       SERVER_NAME = 44,
       FILE_NAME = 108,
       COOKIE = 236,
       OPTIONS = 240,
       REPLY = 2,
       OFFER = 2,
       ACK = 5,
       NAK = 6,
};
enum { OPTION_PAD = 0, OPTION_DNS = 6, OPTION_HOST_NAME = 12, OPTION_REQUESTED = 55, OPTION_END = 255 };
enum {
	BACK_OFF_TICKS = 2,
	BACK_OFF_DOUBLINGS = 6
}; /* of half a second: 1 s after the first refusal, at most a minute */

enum value { TYPE, OVERLOAD, SERVER, LEASE, MASK, GATEWAY, T1, T2, VALUES };
/* The first of each counts. A server may list several gateways. */
static const struct {
	uint8_t code, bytes;
} options[VALUES] = { { 53, 1 }, { 52, 1 }, { 54, 4 }, { 51, 4 }, { 1, 4 }, { 3, 4 }, { 58, 4 }, { 59, 4 } };

static uint32_t big_endian(const uint8_t *at, size_t bytes)
{
	uint32_t v = 0;

	while (bytes--)
		v = v << 8 | *at++;
	return v;
}

/* False: one has the wrong length, or goes past the end. */
static bool read_option(const uint8_t *option, size_t bytes, uint32_t values[VALUES], unsigned *seen)
{
	unsigned n = 0;

	if (option[0] == OPTION_DNS)
		return bytes % 4 == 0;
	while (n < VALUES && options[n].code != option[0])
		n++;
	if (n == VALUES)
		return true;
	if (bytes < options[n].bytes || (bytes > options[n].bytes && n != GATEWAY))
		return false;
	if (!(*seen >> n & 1))
		values[n] = big_endian(option + 2, options[n].bytes);
	*seen |= 1u << n;
	return true;
}

static bool read_options(const uint8_t *at, const uint8_t *end, bool may_fill, uint32_t values[VALUES], unsigned *seen)
{
	for (; at < end && *at != OPTION_END; at += *at == OPTION_PAD ? 1 : 2 + at[1]) {
		if (*at != OPTION_PAD &&
		    (end - at < 2 || at[1] > end - at - 2 || !read_option(at, at[1], values, seen)))
			return false;
	}
	return at < end || may_fill;
}

/* lwIP's choice where the server gives no mask. */
static uint32_t class_mask(uint32_t address)
{
	return address >> 31 == 0 ? 0xff000000 : address >> 30 == 2 ? 0xffff0000 : 0xffffff00;
}

/* Options go on in the fields for names where one says so (RFC 2132, section 9.3); these need no end. */
static bool read_message(const uint8_t *m, size_t bytes, uint32_t values[VALUES])
{
	unsigned seen = 0;
	bool good = read_options(m + OPTIONS, m + bytes, false, values, &seen) &&
		    (!(values[OVERLOAD] & 1) || read_options(m + FILE_NAME, m + COOKIE, true, values, &seen)) &&
		    (!(values[OVERLOAD] & 2) || read_options(m + SERVER_NAME, m + FILE_NAME, true, values, &seen));

	if (!(seen >> MASK & 1))
		values[MASK] = class_mask(big_endian(m + ADDRESS, 4));
	return good;
}

/* Null, or what is wrong, as chain_ipv4_problem says it. */
static const char *problem(uint32_t address, const uint32_t values[VALUES], uint32_t *which)
{
	const char *wrong = chain_ipv4_problem(address, values[MASK], values[GATEWAY], which);

	if (wrong)
		return wrong;
	*which = values[SERVER];
	if (!chain_ipv4_is_host(values[SERVER]))
		return " is no server's address";
	*which = address;
	return values[LEASE] ? NULL : " is leased for no time";
}

/* Half a second is lwIP's tick. Randomised, as RFC 2131 section 4.1 says, since other clients may have been refused as
 * well. */
static void back_off(struct interface *i, struct dhcp *dhcp)
{
	unsigned doublings = i->refused < BACK_OFF_DOUBLINGS ? i->refused : BACK_OFF_DOUBLINGS;

	i->refused++;
	dhcp->state = DHCP_STATE_BACKING_OFF;
	dhcp->request_timeout = (u16_t)((BACK_OFF_TICKS << doublings) + (stage_lwip_random() & 1));
}

/* Whether lwIP is to act on the message. */
static bool judge(struct interface *i, struct dhcp *dhcp, const uint8_t *m, size_t bytes)
{
	uint32_t values[VALUES] = { 0 }, address = big_endian(m + ADDRESS, 4);
	bool asked = dhcp->state == DHCP_STATE_REQUESTING;

	if (bytes < OPTIONS || m[OP] != REPLY || big_endian(m + XID, 4) != dhcp->xid ||
	    memcmp(m + CARD, i->netif.hwaddr, sizeof i->dev->mac))
		return false;
	i->answers++;
	i->wrong = "the last one is malformed";
	if (big_endian(m + COOKIE, 4) != DHCP_MAGIC_COOKIE || !read_message(m, bytes, values))
		return false;
	if (values[TYPE] == NAK) {
		i->wrong = " refuses";
		i->which = values[SERVER];
		if (asked)
			back_off(i, dhcp);
		return !asked;
	}
	if (values[TYPE] != OFFER && values[TYPE] != ACK)
		return false;
	i->wrong = problem(address, values, &i->which);
	if (i->wrong) {
		if (asked && values[TYPE] == ACK)
			back_off(i, dhcp);
		return false;
	}
	i->wrong = " was offered, and not confirmed";
	return true;
}

static udp_recv_fn lwip_receives;

static void received(void *arg, struct udp_pcb *pcb, struct pbuf *p, const ip_addr_t *address, u16_t port)
{
	struct interface *i = ip_current_input_netif()->state;
	struct dhcp *dhcp = netif_dhcp_data(&i->netif);
	uint8_t message[STAGE_FRAME_BYTES] = { 0 };
	size_t bytes = pbuf_copy_partial(p, message, sizeof message, 0);

	if (dhcp && judge(i, dhcp, message, bytes))
		lwip_receives(arg, pcb, p, address, port);
	else
		pbuf_free(p);
}

void stage_lwip_dhcp_listen(struct udp_pcb *pcb, udp_recv_fn receive, void *arg)
{
	lwip_receives = receive;
	udp_recv(pcb, received, arg);
}

/* A second list of what is requested would not be read by every server: the name is put at the end of lwIP's own. */
void stage_lwip_dhcp_request(u8_t *options_out, u16_t *bytes)
{
	for (u8_t *at = options_out, *end = options_out + *bytes; at < end; at += 2 + at[1]) {
		u8_t *behind = at + 2 + at[1];
		if (*at != OPTION_REQUESTED)
			continue;
		memmove(behind + 1, behind, (size_t)(end - behind));
		*behind = OPTION_HOST_NAME;
		at[1]++;
		++*bytes;
		return;
	}
}
