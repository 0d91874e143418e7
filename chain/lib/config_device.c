/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "config_internal.h"

#include <stdlib.h>
#include <string.h>

#define ROWS(table) (table), sizeof(table) / sizeof((table)[0])

enum { DEFAULT_DHCP_TIMEOUT_US = 10000000 };

static enum chain_status file_from(const json_t *v, void *f, struct chain_json_path *p, struct chain_error *e)
{
	return chain_json_copy(v, &((struct chain_config_file *)f)->from, p, e);
}
static enum chain_status file_mode(const json_t *v, void *f, struct chain_json_path *p, struct chain_error *e)
{
	struct chain_config_file *file = f;
	const char *text = NULL;
	enum chain_status status = chain_json_string(v, &text, p, e);
	if (status)
		return status;
	size_t bytes = strspn(text, "01234567");
	if (!bytes || bytes > 5 || text[bytes] || (file->mode = (uint32_t)strtoul(text, NULL, 8)) > 07777)
		return chain_fail(e, CHAIN_E_CONFIG_MODE, p->at, text, 0, 0, 0, 0);
	return CHAIN_OK;
}
static enum chain_status file_align(const json_t *v, void *f, struct chain_json_path *p, struct chain_error *e)
{
	struct chain_config_file *file = f;
	enum chain_status status = chain_json_size(v, &file->align_bytes, p, e);
	uint64_t a = file->align_bytes;
	if (!status && (a < 4096 || a > (1u << 30) || a & (a - 1)))
		return chain_fail(e, CHAIN_E_CONFIG_ALIGN, p->at, NULL, a, 4096, 1u << 30, 0);
	return status;
}
static enum chain_status file_reserve(const json_t *v, void *f, struct chain_json_path *p, struct chain_error *e)
{
	return chain_json_size(v, &((struct chain_config_file *)f)->reserve_bytes, p, e);
}
static const struct chain_json_key file_keys[] = {
	{ "from", file_from, false },
	{ "mode", file_mode, false },
	{ "align", file_align, false },
	{ "reserve", file_reserve, false },
};

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

enum chain_status chain_config_read_files(const json_t *value, void *into, struct chain_json_path *path, struct chain_error *err)
{
	struct chain_config *config = into;
	const char *key;
	json_t *entry;
	if (!json_is_object(value))
		return chain_json_wrong(value, "an object of image paths", path, err);
	enum chain_status status = chain_config_array(json_object_size(value), sizeof(struct chain_config_file), &config->files, path, err);
	if (status)
		return status;
	json_object_foreach((json_t *)(uintptr_t)value, key, entry) {
		struct chain_config_file *file = &config->files[config->file_count++];
		size_t mark = chain_json_push_key(path, key);
		file->mode = CHAIN_CONFIG_MODE_AS_IS;
		file->path = strdup(key);
		if (!file->path)
			status = chain_fail(err, CHAIN_E_NO_MEMORY, path->at, NULL, strlen(key), 0, 0, 0);
		else if (!image_path_ok(key))
			status = chain_fail(err, CHAIN_E_CONFIG_IMAGE_PATH, path->at, key, 0, 0, 0, 0);
		else if (json_is_string(entry))
			status = file_from(entry, file, path, err);
		else
			status = chain_json_walk(entry, ROWS(file_keys), file, path, err);
		if (status)
			return status;
		chain_json_pop(path, mark);
	}
	return status;
}

static enum chain_status net_mac(const json_t *v, void *n, struct chain_json_path *p, struct chain_error *e)
{
	return chain_json_copy(v, &((struct chain_config_net *)n)->mac, p, e);
}
static enum chain_status net_pci(const json_t *v, void *n, struct chain_json_path *p, struct chain_error *e)
{
	return chain_json_copy(v, &((struct chain_config_net *)n)->pci, p, e);
}
static const struct chain_json_key net_match_keys[] = { { "mac", net_mac, false }, { "pci", net_pci, false } };

static enum chain_status net_match(const json_t *v, void *n, struct chain_json_path *p, struct chain_error *e)
{
	return chain_json_walk(v, ROWS(net_match_keys), n, p, e);
}
static enum chain_status net_timeout(const json_t *v, void *n, struct chain_json_path *p, struct chain_error *e)
{
	return chain_json_time(v, &((struct chain_config_net *)n)->timeout_us, p, e);
}
static const struct chain_json_key dhcp_keys[] = { { "timeout", net_timeout, false } };

static enum chain_status net_dhcp(const json_t *v, void *n, struct chain_json_path *p, struct chain_error *e)
{
	struct chain_config_net *net = n;
	net->dhcp = true;
	net->timeout_us = DEFAULT_DHCP_TIMEOUT_US;
	return json_is_true(v) ? CHAIN_OK : chain_json_walk(v, ROWS(dhcp_keys), n, p, e);
}

/* "a.b.c.d", and "/nn" behind it where `prefix` says so. */
static bool ipv4_ok(const char *text, bool prefix)
{
	for (int part = 0; part < 4; part++) {
		size_t digits = strspn(text, "0123456789");
		if (!digits || digits > 3 || strtoul(text, NULL, 10) > 255)
			return false;
		text += digits;
		if (part < 3 && *text++ != '.')
			return false;
	}
	if (!prefix)
		return !*text;
	size_t digits = *text == '/' ? strspn(text + 1, "0123456789") : 0;
	return digits && digits <= 2 && !text[1 + digits] && strtoul(text + 1, NULL, 10) <= 32;
}
static enum chain_status read_ipv4(const json_t *v, char **out, bool prefix, struct chain_json_path *p, struct chain_error *e)
{
	enum chain_status status = chain_json_copy(v, out, p, e);
	if (!status && !ipv4_ok(*out, prefix))
		return chain_fail(e, CHAIN_E_CONFIG_ADDRESS, p->at, *out, 0, 0, 0, 0);
	return status;
}
static enum chain_status static_address(const json_t *v, void *n, struct chain_json_path *p, struct chain_error *e)
{
	return read_ipv4(v, &((struct chain_config_net *)n)->address, true, p, e);
}
static enum chain_status static_gateway(const json_t *v, void *n, struct chain_json_path *p, struct chain_error *e)
{
	return read_ipv4(v, &((struct chain_config_net *)n)->gateway, false, p, e);
}
static enum chain_status static_dns(const json_t *v, void *n, struct chain_json_path *p, struct chain_error *e)
{
	struct chain_config_net *net = n;
	enum chain_status status = chain_config_strings(v, &net->dns, &net->dns_count, p, e);
	for (size_t i = 0; !status && i < net->dns_count; i++)
		if (!ipv4_ok(net->dns[i], false))
			status = chain_fail(e, CHAIN_E_CONFIG_ADDRESS, p->at, net->dns[i], 0, 0, 0, 0);
	return status;
}
static const struct chain_json_key static_keys[] = {
	{ "address", static_address, true }, { "gateway", static_gateway, false }, { "dns", static_dns, false },
};
static enum chain_status net_static(const json_t *v, void *n, struct chain_json_path *p, struct chain_error *e)
{
	return chain_json_walk(v, ROWS(static_keys), n, p, e);
}
static enum chain_status net_hostname(const json_t *v, void *n, struct chain_json_path *p, struct chain_error *e)
{
	struct chain_config_net *net = n;
	enum chain_status status = chain_json_copy(v, &net->hostname, p, e);
	if (!status && !chain_config_name_ok(net->hostname))
		return chain_fail(e, CHAIN_E_CONFIG_NAME, p->at, net->hostname, CHAIN_CONFIG_NAME_MAX, 0, 0, 0);
	return status;
}
static enum chain_status read_need(const json_t *v, bool *required, struct chain_json_path *p, struct chain_error *e)
{
	static const char *const words[] = { "required", "optional" };
	size_t word = 0;
	enum chain_status status = chain_json_word(v, words, 2, &word, p, e);
	*required = word == 0;
	return status;
}
static enum chain_status net_need(const json_t *v, void *n, struct chain_json_path *p, struct chain_error *e)
{
	return read_need(v, &((struct chain_config_net *)n)->required, p, e);
}
static enum chain_status net_fresh(const json_t *v, void *n, struct chain_json_path *p, struct chain_error *e)
{
	return chain_json_bool(v, &((struct chain_config_net *)n)->fresh, p, e);
}
static const struct chain_json_key net_keys[] = {
	{ "match", net_match, false }, { "dhcp", net_dhcp, false }, { "static", net_static, false },
	{ "hostname", net_hostname, false }, { "need", net_need, false }, { "fresh", net_fresh, false },
};

static enum chain_status read_one_net(const char *name, const json_t *entry, struct chain_config_net *net,
				      struct chain_json_path *path, struct chain_error *err)
{
	net->required = true;
	net->name = strdup(name);
	if (!net->name)
		return chain_fail(err, CHAIN_E_NO_MEMORY, path->at, NULL, strlen(name), 0, 0, 0);
	if (!chain_config_name_ok(name))
		return chain_fail(err, CHAIN_E_CONFIG_NAME, path->at, name, CHAIN_CONFIG_NAME_MAX, 0, 0, 0);
	enum chain_status status = chain_json_walk(entry, ROWS(net_keys), net, path, err);
	if (!status && net->dhcp == (net->address != NULL))
		return chain_fail_subject(err, CHAIN_E_CONFIG_NET_HOW, path->at);
	return status;
}

enum chain_status chain_config_read_net(const json_t *value, void *into, struct chain_json_path *path, struct chain_error *err)
{
	struct chain_config *config = into;
	const char *key;
	json_t *entry;
	if (!json_is_object(value))
		return chain_json_wrong(value, "an object of interfaces", path, err);
	enum chain_status status = chain_config_array(json_object_size(value), sizeof(struct chain_config_net), &config->net, path, err);
	if (status)
		return status;
	json_object_foreach((json_t *)(uintptr_t)value, key, entry) {
		size_t mark = chain_json_push_key(path, key);
		status = read_one_net(key, entry, &config->net[config->net_count++], path, err);
		if (status)
			return status;
		chain_json_pop(path, mark);
	}
	return status;
}

static enum chain_status block_serial(const json_t *v, void *b, struct chain_json_path *p, struct chain_error *e)
{
	return chain_json_copy(v, &((struct chain_config_block *)b)->serial, p, e);
}
static enum chain_status block_pci(const json_t *v, void *b, struct chain_json_path *p, struct chain_error *e)
{
	return chain_json_copy(v, &((struct chain_config_block *)b)->pci, p, e);
}
static enum chain_status block_index(const json_t *v, void *b, struct chain_json_path *p, struct chain_error *e)
{
	struct chain_config_block *block = b;
	block->has_index = true;
	return chain_json_number(v, UINT16_MAX, &block->index, p, e);
}
static const struct chain_json_key block_match_keys[] = {
	{ "serial", block_serial, false }, { "pci", block_pci, false }, { "index", block_index, false },
};
static enum chain_status block_match(const json_t *v, void *b, struct chain_json_path *p, struct chain_error *e)
{
	return chain_json_walk(v, ROWS(block_match_keys), b, p, e);
}
static enum chain_status block_need(const json_t *v, void *b, struct chain_json_path *p, struct chain_error *e)
{
	return read_need(v, &((struct chain_config_block *)b)->required, p, e);
}
static const struct chain_json_key block_keys[] = { { "match", block_match, false }, { "need", block_need, false } };

enum chain_status chain_config_read_block(const json_t *value, void *into, struct chain_json_path *path, struct chain_error *err)
{
	struct chain_config *config = into;
	const char *key;
	json_t *entry;
	if (!json_is_object(value))
		return chain_json_wrong(value, "an object of block devices", path, err);
	enum chain_status status = chain_config_array(json_object_size(value), sizeof(struct chain_config_block), &config->block, path, err);
	if (status)
		return status;
	json_object_foreach((json_t *)(uintptr_t)value, key, entry) {
		struct chain_config_block *block = &config->block[config->block_count++];
		size_t mark = chain_json_push_key(path, key);
		block->required = true;
		block->name = strdup(key);
		if (!block->name)
			return chain_fail(err, CHAIN_E_NO_MEMORY, path->at, NULL, strlen(key), 0, 0, 0);
		if (!chain_config_name_ok(key))
			return chain_fail(err, CHAIN_E_CONFIG_NAME, path->at, key, CHAIN_CONFIG_NAME_MAX, 0, 0, 0);
		status = chain_json_walk(entry, ROWS(block_keys), block, path, err);
		if (status)
			return status;
		chain_json_pop(path, mark);
	}
	return status;
}
