/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: IPv4 addresses as text, and which of them a host can have in which network: for those that a pipeline says and
 * those that a DHCP server does. Must not know: where they come from. Addresses are numbers in the processor's order.
 */
#ifndef CHAIN_IPV4_H
#define CHAIN_IPV4_H

#include <stdbool.h>
#include <stdint.h>

enum { CHAIN_IPV4_TEXT_BYTES = 16 };

/* "10.0.2.15", or with `prefix` "10.0.2.15/24": four decimal numbers without leading zeros, which some programs take
 * for octal ones. *out_mask is then 255.255.255.0; without `prefix` it is left alone and may be null. */
bool chain_ipv4_parse(const char *text, bool prefix, uint32_t *out_address, uint32_t *out_mask);
const char *chain_ipv4_text(uint32_t address, char out[CHAIN_IPV4_TEXT_BYTES]); /* returns `out` */

/* Whether one host can have it: not 0.0.0.0/8, loopback, multicast or 255.255.255.255 (RFC 1122 section 3.2.1.3). */
bool chain_ipv4_is_host(uint32_t address);

/* Null: a host can have `address` in the network of `mask`, with `gateway` (0: none), which a network of one address,
 * /32, has outside. Else what is wrong, to be put behind the address that *out_which is set to: " is no network mask".
 */
const char *chain_ipv4_problem(uint32_t address, uint32_t mask, uint32_t gateway, uint32_t *out_which);

#endif
