/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: the sockets by which leases are renewed, and what happens when one ends. Must not know: the messages. */
#ifndef INIT_LEASES_H
#define INIT_LEASES_H

#include "dhcp.h"

struct init_lease_kept {
	int socket; /* -1: there is no lease, or it needs no care any more */
	int index;
	const struct init_interface *interface;
	struct init_renewal renewal;
};
struct init_leases {
	struct init_lease_kept of[INIT_INTERFACES_MAX];
};

/* `index` and `age_s`: of each interface. All are borrowed as long as `leases` is used. */
void init_leases_begin(struct init_leases *leases, const struct init_interfaces *interfaces, const int *index,
		       const uint64_t *age_s, uint64_t now_ms);
/* When init_leases_turn has something to do; UINT64_MAX: never. */
uint64_t init_leases_next_ms(const struct init_leases *leases);
void init_leases_turn(struct init_leases *leases, uint64_t now_ms);
/* Something came for that one. */
void init_leases_answer(struct init_leases *leases, size_t which, uint64_t now_ms);

#endif
