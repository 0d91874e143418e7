/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* "files", "net" and "block". */

#include "config_internal.h"

#include "chain/ipv4.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DEFAULT_DHCP_TIMEOUT_US = 10000000 };

/* --- "files" --- */

#define FILE_AT(member) offsetof(struct chain_config_file, member)

static enum chain_status read_mode(const json_t *value, void *into, const void *of, struct chain_json_path *path,
				   struct chain_error *err)
{
	const char *text = json_string_value(value);
	(void)of;
	if (!text)
		return chain_json_wrong(value, "a string", path, err);
	size_t digits = strspn(text, "01234567");
	uint32_t mode = (uint32_t)strtoul(text, NULL, 8);
	if (!digits || digits > 5 || text[digits] || mode > 07777)
		return chain_fail_text(err, CHAIN_E_CONFIG_MODE, path->at, text);
	*(uint32_t *)into = mode;
	return CHAIN_OK;
}

static enum chain_status read_align(const json_t *value, void *into, const void *of, struct chain_json_path *path,
				    struct chain_error *err)
{
	uint64_t *align = into;
	enum chain_status status = chain_json_read_size(value, align, of, path, err);
	if (!status && *align & (*align - 1))
		return chain_fail_text(err, CHAIN_E_CONFIG_ALIGN, path->at, json_string_value(value));
	return status;
}

static const struct chain_json_limits align_limits = { "4K", "1G" };
static const struct chain_json_key file_keys[] = {
	{ "from", chain_json_read_text, NULL, FILE_AT(from), false },
	{ "mode", read_mode, NULL, FILE_AT(mode), false },
	{ "align", read_align, &align_limits, FILE_AT(align_bytes), false },
	{ "reserve", chain_json_read_size, NULL, FILE_AT(reserve_bytes), false },
};
static const struct chain_json_keys file = CHAIN_JSON_TABLE(file_keys);

static bool image_path_ok(const char *path)
{
	if (path[0] != '/' || !strncmp(path, "/kchain/", 8) || !strcmp(path, "/kchain"))
		return false;
	for (const char *part = path; *part; part += 1 + strcspn(part + 1, "/")) {
		size_t bytes = strcspn(part + 1, "/");
		bool dots = (bytes == 1 && part[1] == '.') || (bytes == 2 && part[1] == '.' && part[2] == '.');
		if (dots || bytes > 255 || (!bytes && path[1]))
			return false;
	}
	return !chain_text_has_control(path, strlen(path));
}

static enum chain_status read_file(const json_t *value, void *into, const void *of, struct chain_json_path *path,
				   struct chain_error *err)
{
	struct chain_config_file *f = into;
	enum chain_status first = CHAIN_OK, status = CHAIN_OK;
	(void)of;
	f->mode = CHAIN_CONFIG_MODE_AS_IS;
	if (!image_path_ok(f->path))
		status = chain_fail_text(err, CHAIN_E_CONFIG_IMAGE_PATH, path->at, f->path);
	if (!chain_json_goes_on(path, status, &first, err))
		return first;
	status = json_is_string(value) ? chain_json_read_text(value, &f->from, NULL, path, err) :
					 chain_json_read_object(value, f, &file, path, err);
	(void)chain_json_goes_on(path, status, &first, err);
	return first;
}

static_assert(FILE_AT(path) == 0 && offsetof(struct chain_config, file_count) ==
					    offsetof(struct chain_config, files) + sizeof(void *),
	      "files");
enum chain_status chain_config_read_files(const json_t *value, void *into, const void *of, struct chain_json_path *path,
					  struct chain_error *err)
{
	static const struct chain_json_elements files = { "an object of image paths", 0,
							  sizeof(struct chain_config_file), read_file, NULL };
	(void)of;
	return chain_json_read_members(value, &((struct chain_config *)into)->files, &files, path, err);
}

/* --- "net" --- */

#define NET_AT(member) offsetof(struct chain_config_net, member)

static const char *const need_names[] = { "optional", "required", "absent" };
static const struct chain_json_words need = CHAIN_JSON_TABLE(need_names);
static_assert(CHAIN_NEED_OPTIONAL == 0 && CHAIN_NEED_REQUIRED == 1 && CHAIN_NEED_ABSENT == 2, "the words' order");

/* `of`: not null where a prefix belongs to it. */
static enum chain_status read_ipv4(const json_t *value, void *into, const void *of, struct chain_json_path *path,
				   struct chain_error *err)
{
	uint32_t address, mask;
	enum chain_status status = chain_json_read_text(value, into, NULL, path, err);
	if (!status && !chain_ipv4_parse(*(char **)into, of, &address, &mask))
		return chain_fail_text(err, CHAIN_E_CONFIG_ADDRESS, path->at, *(char **)into);
	return status;
}

static const struct chain_json_elements dns = { "an array of strings", 0, sizeof(char *), read_ipv4, NULL };
static_assert(NET_AT(dns_count) == NET_AT(dns) + sizeof(void *), "dns");

static const struct chain_json_key static_keys[] = {
	{ "address", read_ipv4, "/prefix", NET_AT(address), true },
	{ "gateway", read_ipv4, NULL, NET_AT(gateway), false },
	{ "dns", chain_json_read_list, &dns, NET_AT(dns), false },
};
static const struct chain_json_keys fixed = CHAIN_JSON_TABLE(static_keys);

/* Each of them may be an address, and all together nothing that a host can have. */
static enum chain_status read_static(const json_t *value, void *into, const void *of, struct chain_json_path *path,
				     struct chain_error *err)
{
	const struct chain_config_net *net = into;
	uint32_t address, mask, gateway = 0, which;
	char text[CHAIN_IPV4_TEXT_BYTES], detail[CHAIN_SUBJECT_BYTES];
	enum chain_status status = chain_json_read_object(value, into, of, path, err);
	if (status || !net->address || !chain_ipv4_parse(net->address, true, &address, &mask) ||
	    (net->gateway && !chain_ipv4_parse(net->gateway, false, &gateway, NULL)))
		return status;
	const char *wrong = chain_ipv4_problem(address, mask, gateway, &which);
	if (!wrong)
		return CHAIN_OK;
	snprintf(detail, sizeof(detail), "%s%s", chain_ipv4_text(which, text), wrong);
	return chain_fail_text(err, CHAIN_E_CONFIG_HOST, path->at, detail);
}

static const struct chain_json_key net_match_keys[] = {
	{ "mac", chain_json_read_text, NULL, NET_AT(mac), false },
	{ "pci", chain_json_read_text, NULL, NET_AT(pci), false },
};
static const struct chain_json_keys net_match = CHAIN_JSON_TABLE(net_match_keys);

static const struct chain_json_key dhcp_keys[] = { { "timeout", chain_json_read_time, NULL, NET_AT(timeout_us),
						     false } };
static const struct chain_json_keys dhcp = CHAIN_JSON_TABLE(dhcp_keys);

static enum chain_status read_dhcp(const json_t *value, void *into, const void *of, struct chain_json_path *path,
				   struct chain_error *err)
{
	struct chain_config_net *net = into;
	net->dhcp = true;
	net->timeout_us = DEFAULT_DHCP_TIMEOUT_US;
	if (json_is_object(value))
		return chain_json_read_object(value, into, of, path, err);
	return json_is_true(value) ? CHAIN_OK : chain_json_wrong(value, "true or {\"timeout\": …}", path, err);
}

static const struct chain_json_key net_keys[] = {
	{ "match", chain_json_read_object, &net_match, 0, false },
	{ "dhcp", read_dhcp, &dhcp, 0, false },
	{ "static", read_static, &fixed, 0, false },
	{ "hostname", chain_config_read_name, NULL, NET_AT(hostname), false },
	{ "need", chain_json_read_word, &need, NET_AT(need), false },
	{ "fresh", chain_json_read_bool, NULL, NET_AT(fresh), false },
};
static const struct chain_json_keys net_table = CHAIN_JSON_TABLE(net_keys);

/* An interface or a disk: its name is in its first member, as chain_json_read_members put it there. */
static enum chain_status read_device(const json_t *value, void *into, const struct chain_json_keys *keys,
				     struct chain_json_path *path, struct chain_error *err)
{
	enum chain_status first = CHAIN_OK;
	if (chain_json_goes_on(path, chain_config_check_name(*(char **)into, path, err), &first, err))
		(void)chain_json_goes_on(path, chain_json_read_object(value, into, keys, path, err), &first, err);
	return first;
}

static enum chain_status check_how(const json_t *value, enum chain_need asked, const struct chain_json_path *path,
				   struct chain_error *err)
{
	static const char *const keys[] = { "dhcp", "static", "hostname", "fresh" };
	bool has_dhcp = json_object_get(value, "dhcp"), has_static = json_object_get(value, "static");
	for (size_t i = 0; asked == CHAIN_NEED_ABSENT && i < sizeof(keys) / sizeof(keys[0]); i++)
		if (json_object_get(value, keys[i]))
			return chain_fail_text(err, CHAIN_E_CONFIG_NEED_ABSENT, path->at, "it is to be configured");
	return asked == CHAIN_NEED_ABSENT || has_dhcp != has_static ?
		       CHAIN_OK :
		       chain_fail_subject(err, CHAIN_E_CONFIG_NET_HOW, path->at);
}

static enum chain_status read_net(const json_t *value, void *into, const void *of, struct chain_json_path *path,
				  struct chain_error *err)
{
	struct chain_config_net *net = into;
	enum chain_status first = CHAIN_OK;
	net->need = CHAIN_NEED_REQUIRED;
	bool more = chain_json_goes_on(path, read_device(value, net, of, path, err), &first, err);
	if (more && json_is_object(value))
		(void)chain_json_goes_on(path, check_how(value, net->need, path, err), &first, err);
	return first;
}

static_assert(NET_AT(name) == 0 &&
		      offsetof(struct chain_config, net_count) == offsetof(struct chain_config, net) + sizeof(void *),
	      "net");
enum chain_status chain_config_read_net(const json_t *value, void *into, const void *of, struct chain_json_path *path,
					struct chain_error *err)
{
	static const struct chain_json_elements nets = { "an object of interfaces", 0, sizeof(struct chain_config_net),
							 read_net, &net_table };
	(void)of;
	return chain_json_read_members(value, &((struct chain_config *)into)->net, &nets, path, err);
}

/* --- "block" --- */

#define BLOCK_AT(member) offsetof(struct chain_config_block, member)

static enum chain_status read_index(const json_t *value, void *into, const void *of, struct chain_json_path *path,
				    struct chain_error *err)
{
	struct chain_config_block *block = into;
	block->has_index = true;
	return chain_json_read_number(value, &block->index, of, path, err);
}

static const struct chain_json_limits index_limits = { NULL, "65535" };
static const struct chain_json_key block_match_keys[] = {
	{ "serial", chain_json_read_text, NULL, BLOCK_AT(serial), false },
	{ "pci", chain_json_read_text, NULL, BLOCK_AT(pci), false },
	{ "index", read_index, &index_limits, 0, false },
};
static const struct chain_json_keys block_match = CHAIN_JSON_TABLE(block_match_keys);

static const struct chain_json_key block_keys[] = {
	{ "match", chain_json_read_object, &block_match, 0, false },
	{ "need", chain_json_read_word, &need, BLOCK_AT(need), false },
};
static const struct chain_json_keys block_table = CHAIN_JSON_TABLE(block_keys);

static enum chain_status read_block(const json_t *value, void *into, const void *of, struct chain_json_path *path,
				    struct chain_error *err)
{
	((struct chain_config_block *)into)->need = CHAIN_NEED_REQUIRED;
	return read_device(value, into, of, path, err);
}

static_assert(BLOCK_AT(name) == 0 && offsetof(struct chain_config, block_count) ==
					     offsetof(struct chain_config, block) + sizeof(void *),
	      "block");
enum chain_status chain_config_read_block(const json_t *value, void *into, const void *of, struct chain_json_path *path,
					  struct chain_error *err)
{
	static const struct chain_json_elements blocks = { "an object of block devices", 0,
							   sizeof(struct chain_config_block), read_block,
							   &block_table };
	(void)of;
	return chain_json_read_members(value, &((struct chain_config *)into)->block, &blocks, path, err);
}
