/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "leases.h"

#include "chain/ipv4.h"
#include "say.h"
#include "system.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SERVER_PORT = 67, CLIENT_PORT = 68 };

static int open_socket(int index)
{
	char name[IF_NAMESIZE];
	int one = 1, fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct sockaddr_in here = { .sin_family = AF_INET, .sin_port = htons(CLIENT_PORT) };
	if (fd < 0 || !if_indextoname((unsigned)index, name) ||
	    setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name, (socklen_t)strlen(name) + 1) ||
	    setsockopt(fd, SOL_SOCKET, SO_BROADCAST, &one, sizeof(one)) ||
	    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) ||
	    bind(fd, (struct sockaddr *)&here, sizeof(here))) {
		struct chain_error err = { 0 };
		(void)init_fail(&err, "a socket for DHCP");
		init_say_error(&err);
		if (fd >= 0)
			close(fd);
		return -1;
	}
	return fd;
}

void init_leases_begin(struct init_leases *leases, const struct init_interfaces *interfaces, const int *index,
		       const uint64_t *age_s, uint64_t now_ms)
{
	for (size_t i = 0; i < INIT_INTERFACES_MAX; i++) {
		struct init_lease_kept *kept = &leases->of[i];
		uint32_t xid = 1;
		*kept = (struct init_lease_kept){ .socket = -1 };
		if (i >= interfaces->count || !interfaces->of[i].lease.lifetime_s)
			continue;
		if (getrandom(&xid, sizeof(xid), GRND_NONBLOCK) < 0)
			xid = (uint32_t)now_ms;
		kept->index = index[i];
		kept->interface = &interfaces->of[i];
		kept->socket = open_socket(index[i]);
		init_renewal_begin(&kept->renewal, kept->interface, now_ms / 1000, age_s[i], xid);
	}
}

uint64_t init_leases_next_ms(const struct init_leases *leases)
{
	uint64_t next = UINT64_MAX;
	for (size_t i = 0; i < INIT_INTERFACES_MAX; i++) {
		const struct init_lease_kept *kept = &leases->of[i];
		if (kept->socket >= 0 && kept->renewal.next_s != UINT64_MAX && kept->renewal.next_s * 1000 < next)
			next = kept->renewal.next_s * 1000;
	}
	return next;
}

static void ask(const struct init_lease_kept *kept, bool all)
{
	uint8_t message[INIT_DHCP_MESSAGE_BYTES];
	struct sockaddr_in there = { .sin_family = AF_INET,
				     .sin_port = htons(SERVER_PORT),
				     .sin_addr = { htonl(all ? INADDR_BROADCAST : kept->renewal.server) } };
	init_renewal_message(&kept->renewal, message);
	/* What is lost is asked again. */
	(void)!sendto(kept->socket, message, sizeof(message), 0, (struct sockaddr *)&there, sizeof(there));
}

/* RFC 2131 section 4.4.5: the client stops using the address at once. */
static void lose(struct init_lease_kept *kept)
{
	struct chain_error err = { 0 };
	char address[CHAIN_IPV4_TEXT_BYTES];
	init_say("%s: the lease of %s has ended, and was not renewed: the address is given up", kept->interface->name,
		 chain_ipv4_text(kept->renewal.address, address));
	if (init_network_remove(kept->index, kept->renewal.address, kept->interface->mask[0], &err))
		init_say_error(&err);
	close(kept->socket);
	kept->socket = -1;
}

void init_leases_turn(struct init_leases *leases, uint64_t now_ms)
{
	for (size_t i = 0; i < INIT_INTERFACES_MAX; i++) {
		struct init_lease_kept *kept = &leases->of[i];
		if (kept->socket < 0)
			continue;
		enum init_dhcp_action action = init_renewal_next(&kept->renewal, now_ms / 1000);
		if (action == INIT_DHCP_LOST)
			lose(kept);
		else if (action != INIT_DHCP_WAIT)
			ask(kept, action == INIT_DHCP_ASK_ALL);
	}
}

void init_leases_answer(struct init_leases *leases, size_t which, uint64_t now_ms)
{
	struct init_lease_kept *kept = &leases->of[which];
	uint8_t message[1500];
	bool held;
	ssize_t bytes = recv(kept->socket, message, sizeof(message), 0);
	if (bytes > 0 && init_renewal_answer(&kept->renewal, message, (size_t)bytes, now_ms / 1000, &held) && !held)
		lose(kept);
}
