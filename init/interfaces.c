/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "interfaces.h"

#include "chain/ipv4.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static enum chain_status wrong(const char *name, const char *member, const char *value, struct chain_error *err)
{
	char where[CHAIN_SUBJECT_BYTES];
	snprintf(where, sizeof(where), "net.%.60s.%s", name, member);
	return chain_fail_text(err, CHAIN_E_IO, where, value ? value : "not of its form");
}

static int hex_digit(char c)
{
	const char *digits = "0123456789abcdef", *found = c ? strchr(digits, c | 0x20) : NULL;
	return found ? (int)(found - digits) : -1;
}

bool init_mac_parse(const char *text, uint8_t out[INIT_MAC_BYTES])
{
	for (int i = 0; i < INIT_MAC_BYTES; i++, text += 3) {
		int high = hex_digit(text[0]), low = high < 0 ? -1 : hex_digit(text[1]);
		if (low < 0 || text[2] != (i < INIT_MAC_BYTES - 1 ? ':' : '\0'))
			return false;
		out[i] = (uint8_t)(high << 4 | low);
	}
	return true;
}

/* `mask`, nullable: with a prefix behind each. */
static enum chain_status addresses(const json_t *entry, const char *name, const char *member, uint32_t *address,
				   uint32_t *mask, size_t *out_count, struct chain_error *err)
{
	const json_t *list = json_object_get(entry, member);
	size_t count = json_array_size(list);
	uint32_t no_mask;
	if (list && !json_is_array(list))
		return wrong(name, member, NULL, err);
	if (count > INIT_ADDRESSES_MAX)
		return CHAIN_FAIL(err, LIMIT, .subject = name, .detail = member, .value = count,
				  .limit = INIT_ADDRESSES_MAX);
	for (size_t i = 0; i < count; i++) {
		const char *text = json_string_value(json_array_get(list, i));
		if (!text || !chain_ipv4_parse(text, mask, &address[i], mask ? &mask[i] : &no_mask))
			return wrong(name, member, text, err);
	}
	*out_count = count;
	return CHAIN_OK;
}

static enum chain_status read_lease(const json_t *entry, struct init_interface *out, struct chain_error *err)
{
	const json_t *lease = json_object_get(entry, "lease"), *server = json_object_get(lease, "server");
	json_int_t lifetime = json_integer_value(json_object_get(lease, "lifetime_s")),
		   obtained = json_integer_value(json_object_get(lease, "obtained_us"));
	if (!lease)
		return CHAIN_OK;
	uint32_t no_mask;
	if (lifetime <= 0 || obtained < 0 || !out->address_count)
		return wrong(out->name, "lease", NULL, err);
	if (server && (!json_is_string(server) ||
		       !chain_ipv4_parse(json_string_value(server), false, &out->lease.server, &no_mask)))
		return wrong(out->name, "lease.server", NULL, err);
	out->lease.address = out->address[0];
	out->lease.lifetime_s = (uint64_t)lifetime;
	out->lease.obtained_us = (uint64_t)obtained;
	return CHAIN_OK;
}

static enum chain_status read_entry(const char *name, const json_t *entry, struct init_interface *out,
				    struct chain_error *err)
{
	const char *mac = json_string_value(json_object_get(entry, "mac"));
	*out = (struct init_interface){ 0 };
	snprintf(out->name, sizeof(out->name), strlen(name) < sizeof(out->name) ? "%s" : "%.60s...", name);
	if (!mac || !init_mac_parse(mac, out->mac))
		return wrong(out->name, "mac", mac, err);
	enum chain_status status =
		addresses(entry, out->name, "addresses", out->address, out->mask, &out->address_count, err);
	if (!status)
		status = addresses(entry, out->name, "gateways", out->gateway, NULL, &out->gateway_count, err);
	if (!status)
		status = addresses(entry, out->name, "dns", out->dns, NULL, &out->dns_count, err);
	return status ? status : read_lease(entry, out, err);
}

enum chain_status init_interfaces_read(const json_t *handoff, struct init_interfaces *out, struct chain_error *err)
{
	const char *name;
	json_t *entry;
	out->count = 0;
	out->hostname[0] = '\0';
	json_object_foreach (json_object_get(handoff, "net"), name, entry) {
		const char *text = json_string_value(json_object_get(entry, "status")),
			   *hostname = json_string_value(json_object_get(entry, "hostname"));
		if (!text || strcmp(text, "configured") != 0)
			continue;
		if (out->count == INIT_INTERFACES_MAX)
			return CHAIN_FAIL(err, LIMIT, .subject = "the handoff's net", .detail = "interfaces",
					  .value = INIT_INTERFACES_MAX + 1, .limit = INIT_INTERFACES_MAX);
		enum chain_status status = read_entry(name, entry, &out->of[out->count], err);
		if (status)
			return status;
		out->count++;
		if (hostname && !out->hostname[0] && init_hostname_ok(hostname))
			snprintf(out->hostname, sizeof(out->hostname), "%s", hostname);
	}
	return CHAIN_OK;
}

/* --- the files made of it --- */

char *init_resolv_conf(const struct init_interfaces *interfaces)
{
	enum { SERVERS_MAX = 3, LINE_BYTES = 32 };
	char text[SERVERS_MAX * LINE_BYTES + 1] = "", address[CHAIN_IPV4_TEXT_BYTES];
	size_t used = 0, servers = 0;
	for (size_t i = 0; i < interfaces->count; i++)
		for (size_t k = 0; k < interfaces->of[i].dns_count && servers < SERVERS_MAX; k++, servers++)
			used += (size_t)snprintf(text + used, sizeof(text) - used, "nameserver %s\n",
						 chain_ipv4_text(interfaces->of[i].dns[k], address));
	return servers ? strdup(text) : NULL;
}

static bool has_name(const char *hosts, const char *name)
{
	for (const char *at = hosts; *at; at += strspn(at, " \t\n")) {
		size_t bytes = strcspn(at, " \t\n");
		if (bytes == strlen(name) && !memcmp(at, name, bytes))
			return true;
		at += bytes;
	}
	return false;
}

char *init_hosts(const char *before, const char *hostname)
{
	if (!*before)
		before = "127.0.0.1\tlocalhost\n::1\tlocalhost\n";
	size_t bytes = strlen(before) + strlen(hostname) + 16;
	char *text = malloc(bytes);
	if (!text)
		return NULL;
	const char *end = before[strlen(before) - 1] == '\n' ? "" : "\n";
	if (*hostname && !has_name(before, hostname))
		snprintf(text, bytes, "%s%s127.0.1.1\t%s\n", before, end, hostname);
	else
		snprintf(text, bytes, "%s", before);
	return text;
}

bool init_hostname_ok(const char *text)
{
	size_t bytes = strlen(text);
	return bytes > 0 && bytes <= 64 && text[0] != '-' && text[0] != '.' &&
	       !text[strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.")];
}
