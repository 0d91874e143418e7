/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: keeping an address that DHCP gave to an earlier link (RFC 2131 section 4.4.5): when what is asked of whom, the
 * messages, and what an answer means. Never asks for a new address. Must not know: sockets, clocks. Addresses are
 * numbers in the processor's order, times seconds on one clock of the caller's. */
#ifndef INIT_DHCP_H
#define INIT_DHCP_H

#include "interfaces.h"

enum { INIT_DHCP_MESSAGE_BYTES = 300 /* what old relays want at least (RFC 1542 section 2.1) */ };

struct init_renewal {
	uint32_t address, server; /* server 0: not known */
	uint8_t mac[INIT_MAC_BYTES];
	uint32_t xid;
	uint64_t renew_s, rebind_s, end_s; /* T1, T2 and the lease's end */
	uint64_t next_s;                   /* when something is to be done */
	bool ended;
};

enum init_dhcp_action {
	INIT_DHCP_WAIT,
	INIT_DHCP_ASK_SERVER, /* a message to the server alone */
	INIT_DHCP_ASK_ALL,    /* the same to the network's every station */
	INIT_DHCP_LOST        /* the lease has ended: the address is not ours any more */
};

/* A lease of `lifetime_s` that was obtained `age_s` ago. `lifetime_s` 0xffffffff is for ever. */
void init_renewal_begin(struct init_renewal *renewal, const struct init_interface *interface, uint64_t now_s,
			uint64_t age_s, uint32_t xid);
/* What is to be done now; `next_s` is when to ask again (UINT64_MAX: never). */
enum init_dhcp_action init_renewal_next(struct init_renewal *renewal, uint64_t now_s);
/* The DHCPREQUEST. */
void init_renewal_message(const struct init_renewal *renewal, uint8_t out[INIT_DHCP_MESSAGE_BYTES]);
/* An answer: true where it is one to our question; *out_kept: the lease goes on from now, else it has ended. */
bool init_renewal_answer(struct init_renewal *renewal, const uint8_t *message, size_t bytes, uint64_t now_s,
			 bool *out_kept);

#endif
