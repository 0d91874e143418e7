/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "dhcp.h"

#include <string.h>

/* RFC 2131 section 2: the fixed part, then the cookie, then options (RFC 2132). */
enum {
	OP = 0,
	HARDWARE = 1,
	HARDWARE_BYTES = 2,
	XID = 4,
	CLIENT_ADDRESS = 12,
	YOUR_ADDRESS = 16,
	CLIENT_HARDWARE = 28,
	COOKIE = 236,
	OPTIONS = 240
};
enum { REQUEST = 1, REPLY = 2, ETHERNET = 1 };
enum { PAD = 0, LEASE_TIME = 51, MESSAGE_TYPE = 53, SERVER = 54, RENEWAL_TIME = 58, REBINDING_TIME = 59, END = 255 };
enum { DHCPREQUEST = 3, DHCPACK = 5, DHCPNAK = 6 };
static const uint32_t cookie = 0x63825363, for_ever = 0xffffffff;
enum { LEAST_WAIT_S = 60 }; /* between two questions */

static void put32(uint8_t *at, uint32_t value)
{
	for (int i = 0; i < 4; i++)
		at[i] = (uint8_t)(value >> (24 - 8 * i));
}

static uint32_t get32(const uint8_t *at)
{
	return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

/* `renew_s` and `rebind_s` 0: the usual parts of the lease. */
static void set_times(struct init_renewal *renewal, uint64_t begin_s, uint64_t lifetime_s, uint64_t renew_s,
		      uint64_t rebind_s)
{
	if (rebind_s == 0 || rebind_s > lifetime_s)
		rebind_s = lifetime_s - lifetime_s / 8;
	if (renew_s == 0 || renew_s > rebind_s)
		renew_s = lifetime_s / 2 < rebind_s ? lifetime_s / 2 : rebind_s;
	bool ever = lifetime_s >= for_ever;
	renewal->renew_s = ever ? UINT64_MAX : begin_s + renew_s;
	renewal->rebind_s = ever ? UINT64_MAX : begin_s + rebind_s;
	renewal->end_s = ever ? UINT64_MAX : begin_s + lifetime_s;
	renewal->next_s = renewal->renew_s;
}

void init_renewal_begin(struct init_renewal *renewal, const struct init_interface *interface, uint64_t now_s,
			uint64_t age_s, uint32_t xid)
{
	const struct init_lease *lease = &interface->lease;
	*renewal = (struct init_renewal){ .address = lease->address, .server = lease->server, .xid = xid };
	memcpy(renewal->mac, interface->mac, INIT_MAC_BYTES);
	set_times(renewal, 0, lease->lifetime_s, 0, 0);
	/* The same in time that is left, since the clock may have begun after the lease did. */
	uint64_t *const times[] = { &renewal->renew_s, &renewal->rebind_s, &renewal->end_s };
	for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++)
		if (*times[i] != UINT64_MAX)
			*times[i] = now_s + (*times[i] > age_s ? *times[i] - age_s : 0);
	renewal->next_s = renewal->renew_s;
}

enum init_dhcp_action init_renewal_next(struct init_renewal *renewal, uint64_t now_s)
{
	if (renewal->ended || now_s < renewal->next_s)
		return INIT_DHCP_WAIT;
	if (now_s >= renewal->end_s) {
		renewal->ended = true;
		renewal->next_s = UINT64_MAX;
		return INIT_DHCP_LOST;
	}
	/* Half of what is left until T2, or until the end; a minute at least (RFC 2131 section 4.4.5). */
	bool rebinding = now_s >= renewal->rebind_s || !renewal->server;
	uint64_t until = now_s >= renewal->rebind_s ? renewal->end_s : renewal->rebind_s, left = (until - now_s) / 2;
	renewal->next_s = now_s + (left < LEAST_WAIT_S ? LEAST_WAIT_S : left);
	if (renewal->next_s > until)
		renewal->next_s = until;
	return rebinding ? INIT_DHCP_ASK_ALL : INIT_DHCP_ASK_SERVER;
}

void init_renewal_message(const struct init_renewal *renewal, uint8_t out[INIT_DHCP_MESSAGE_BYTES])
{
	const uint8_t options[] = { MESSAGE_TYPE, 1, DHCPREQUEST, END };
	memset(out, 0, INIT_DHCP_MESSAGE_BYTES);
	out[OP] = REQUEST;
	out[HARDWARE] = ETHERNET;
	out[HARDWARE_BYTES] = INIT_MAC_BYTES;
	put32(out + XID, renewal->xid);
	put32(out + CLIENT_ADDRESS, renewal->address);
	memcpy(out + CLIENT_HARDWARE, renewal->mac, INIT_MAC_BYTES);
	put32(out + COOKIE, cookie);
	memcpy(out + OPTIONS, options, sizeof(options));
}

struct options {
	uint8_t type;
	uint32_t server, lease_s, renew_s, rebind_s; /* 0: not there */
};

static void read_option(uint8_t code, const uint8_t *value, size_t bytes, struct options *out)
{
	uint32_t word = bytes == 4 ? get32(value) : 0;
	if (code == MESSAGE_TYPE && bytes == 1)
		out->type = value[0];
	else if (code == SERVER)
		out->server = word;
	else if (code == LEASE_TIME)
		out->lease_s = word;
	else if (code == RENEWAL_TIME)
		out->renew_s = word;
	else if (code == REBINDING_TIME)
		out->rebind_s = word;
}

/* False: they do not end where they should. */
static bool read_options(const uint8_t *at, size_t bytes, struct options *out)
{
	for (size_t i = 0; i < bytes;) {
		if (at[i] == END)
			return true;
		if (at[i] == PAD) {
			i++;
			continue;
		}
		if (bytes - i < 2 || at[i + 1] > bytes - i - 2)
			return false;
		read_option(at[i], at + i + 2, at[i + 1], out);
		i += 2u + at[i + 1];
	}
	return false;
}

bool init_renewal_answer(struct init_renewal *renewal, const uint8_t *message, size_t bytes, uint64_t now_s,
			 bool *out_kept)
{
	struct options options = { 0 };
	if (renewal->ended || bytes < OPTIONS || message[OP] != REPLY || get32(message + XID) != renewal->xid ||
	    memcmp(message + CLIENT_HARDWARE, renewal->mac, INIT_MAC_BYTES) != 0 || get32(message + COOKIE) != cookie ||
	    !read_options(message + OPTIONS, bytes - OPTIONS, &options))
		return false;
	if (options.type == DHCPNAK) {
		*out_kept = false;
		renewal->ended = true;
		renewal->next_s = UINT64_MAX;
		return true;
	}
	if (options.type != DHCPACK || !options.lease_s || get32(message + YOUR_ADDRESS) != renewal->address)
		return false;
	*out_kept = true;
	if (options.server)
		renewal->server = options.server;
	renewal->xid++; /* a late answer to this question is not one to the next */
	set_times(renewal, now_s, options.lease_s, options.renew_s, options.rebind_s);
	return true;
}
