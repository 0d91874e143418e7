/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "chain/ipv4.h"

#include <stdio.h>

/* A number of up to three digits and no more than `most`. */
static bool take_number(const char **at, uint32_t most, uint32_t *out)
{
	const char *first = *at;
	for (*out = 0; **at >= '0' && **at <= '9' && *at - first < 3; ++*at)
		*out = *out * 10 + (uint32_t)(**at - '0');
	return *at > first && (*first != '0' || *at == first + 1) && *out <= most;
}

bool chain_ipv4_parse(const char *text, bool prefix, uint32_t *out_address, uint32_t *out_mask)
{
	uint32_t number;
	*out_address = 0;
	for (int part = 0; part < 4; part++) {
		if ((part && *text++ != '.') || !take_number(&text, 255, &number))
			return false;
		*out_address = *out_address << 8 | number;
	}
	if (prefix) {
		if (*text++ != '/' || !take_number(&text, 32, &number))
			return false;
		*out_mask = number ? 0xffffffffu << (32 - number) : 0;
	}
	return !*text;
}

const char *chain_ipv4_text(uint32_t address, char out[CHAIN_IPV4_TEXT_BYTES])
{
	snprintf(out, CHAIN_IPV4_TEXT_BYTES, "%u.%u.%u.%u", address >> 24, address >> 16 & 255, address >> 8 & 255,
		 address & 255);
	return out;
}

bool chain_ipv4_is_host(uint32_t address)
{
	uint32_t first = address >> 24;
	return first != 0 && first != 127 && (first < 224 || first >= 240) && address != 0xffffffff;
}

/* The number of the network itself, or its broadcast address; one of two addresses or a single one has neither (RFC
 * 3021). */
static bool is_end(uint32_t address, uint32_t mask)
{
	uint32_t host = address & ~mask;
	return ~mask > 1 && (host == 0 || host == ~mask);
}

const char *chain_ipv4_problem(uint32_t address, uint32_t mask, uint32_t gateway, uint32_t *out_which)
{
	uint32_t hosts = ~mask;
	*out_which = address;
	if (!chain_ipv4_is_host(address))
		return " is no host's address";
	if (!mask || hosts & (hosts + 1)) { /* RFC 4632 section 5.1: ones, then zeros */
		*out_which = mask;
		return " is no network mask";
	}
	if (is_end(address, mask))
		return " is its network's own or broadcast address";
	*out_which = gateway;
	if (gateway && (!chain_ipv4_is_host(gateway) || gateway == address || is_end(gateway, mask) ||
			(hosts && (gateway ^ address) & mask)))
		return " is no gateway of that network";
	return 0;
}
