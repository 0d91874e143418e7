/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "chain/bootinfo_json.h"

#include "chain/json_memory.h"
#include "chain/json_write.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

json_t *chain_bootinfo_memory_json(const struct chain_mem_entry *mem, size_t count)
{
	json_t *map = json_array();
	int bad = map ? 0 : -1;
	for (size_t i = 0; !bad && i < count; i++)
		bad = json_array_append_new(map, chain_json_object(CHAIN_HEX("base", mem[i].range.base),
								   CHAIN_HEX("bytes", chain_range_bytes(mem[i].range)),
								   CHAIN_INT("type", (json_int_t)mem[i].type)));
	if (!bad)
		return map;
	json_decref(map);
	return NULL;
}

json_t *chain_bootinfo_framebuffer_json(const struct chain_framebuffer *fb)
{
	json_t *doc = chain_json_object(
		CHAIN_HEX("phys", fb->phys), CHAIN_INT("pitch_bytes", (json_int_t)fb->pitch_bytes),
		CHAIN_INT("width", (json_int_t)fb->width), CHAIN_INT("height", (json_int_t)fb->height),
		CHAIN_INT("bpp", (json_int_t)fb->bpp), CHAIN_INT("type", (json_int_t)fb->type));
	if (!doc || fb->type != CHAIN_FRAMEBUFFER_RGB)
		return doc;
	json_t *colors = json_array();
	int bad = json_object_set_new(doc, "colors", colors);
	for (size_t i = 0; i < sizeof(fb->colors); i++)
		bad |= json_array_append_new(colors, json_integer(fb->colors[i]));
	if (!bad)
		return doc;
	json_decref(doc);
	return NULL;
}

/* Bytes as hexadecimal digits. */
static json_t *bytes_json(const uint8_t *bytes, size_t count)
{
	static const char digits[] = "0123456789abcdef";
	char text[2 * sizeof(((struct chain_bootinfo *)0)->rsdp) + 1];
	for (size_t i = 0; i < count; i++) {
		text[2 * i] = digits[bytes[i] >> 4];
		text[2 * i + 1] = digits[bytes[i] & 15];
	}
	text[2 * count] = '\0';
	return json_string(text);
}

enum chain_status chain_bootinfo_to_json(const struct chain_bootinfo *info, const json_t *devices, const json_t *memory,
					 json_t **out, struct chain_error *err)
{
	json_t *mem = memory ? json_incref((json_t *)(uintptr_t)memory) :
			       chain_bootinfo_memory_json(info->mem, info->mem_count);
	json_t *modules = json_array();
	int bad = 0;
	for (size_t i = 0; i < info->module_count; i++)
		bad |= json_array_append_new(
			modules, chain_json_object(CHAIN_HEX("base", info->modules[i].range.base),
						   CHAIN_HEX("bytes", chain_range_bytes(info->modules[i].range)),
						   CHAIN_TEXT("string", info->modules[i].string)));
	json_t *doc = chain_json_object(
		CHAIN_INT("kchain_bootinfo", (json_int_t)1), CHAIN_TEXT("door", info->door),
		CHAIN_TEXT("loader", info->loader), CHAIN_TEXT("cmdline", info->cmdline), CHAIN_STEAL("memory", mem),
		CHAIN_STEAL("modules", modules), CHAIN_HEX("image_base", info->image_base),
		CHAIN_HEX("image_start", info->image.base), CHAIN_HEX("image_end", info->image.end),
		CHAIN_HEX("acpi_rsdp", info->acpi_rsdp), CHAIN_HEX("smbios", info->smbios),
		CHAIN_HEX("efi_system_table", info->efi_system_table), CHAIN_INT("cpus", (json_int_t)info->cpus));
	if (doc && info->rsdp_bytes)
		bad |= json_object_set_new(doc, "acpi_rsdp_bytes", bytes_json(info->rsdp, info->rsdp_bytes));
	if (doc && info->smbios_bytes)
		bad |= json_object_set_new(doc, "smbios_bytes", bytes_json(info->smbios_entry, info->smbios_bytes));
	if (doc && info->framebuffer.phys)
		bad |= json_object_set_new(doc, "framebuffer", chain_bootinfo_framebuffer_json(&info->framebuffer));
	if (doc)
		bad |= json_object_set_new(doc, "devices",
					   devices ? json_incref((json_t *)(uintptr_t)devices) : json_array());
	if (!doc || bad) {
		json_decref(doc);
		return chain_json_no_memory(err, "boot information");
	}
	*out = doc;
	return CHAIN_OK;
}

/* --- reading --- */

static enum chain_status wrong(const char *key, const char *what, struct chain_error *err)
{
	return chain_fail_text(err, CHAIN_E_BOOTINFO_MEMBER, key, what);
}

static enum chain_status read_hex(const json_t *doc, const char *key, uint64_t *out, struct chain_error *err)
{
	const char *text = json_string_value(json_object_get(doc, key));
	if (!text || strncmp(text, "0x", 2) || !text[2] || strlen(text) > 18 ||
	    text[2 + strspn(text + 2, "0123456789abcdef")])
		return wrong(key, "an address like \"0x100000\" expected", err);
	*out = strtoull(text, NULL, 16);
	return CHAIN_OK;
}

static enum chain_status read_u32(const json_t *doc, const char *key, uint32_t least, uint32_t *out,
				  struct chain_error *err)
{
	const json_t *value = json_object_get(doc, key);
	if (!json_is_integer(value) || json_integer_value(value) < (json_int_t)least ||
	    json_integer_value(value) > UINT32_MAX)
		return wrong(key, "an integer of 32 bits expected", err);
	*out = (uint32_t)json_integer_value(value);
	return CHAIN_OK;
}

static enum chain_status read_text(const json_t *doc, const char *key, char **out, struct chain_error *err)
{
	const char *text = json_string_value(json_object_get(doc, key));
	if (!text)
		return wrong(key, "a string expected", err);
	char *copy = strdup(text);
	if (!copy)
		return chain_fail_no_memory(err, "boot information", strlen(text) + 1);
	free(*out);
	*out = copy;
	return CHAIN_OK;
}

static enum chain_status read_memory(const json_t *list, struct chain_bootinfo *out, struct chain_error *err)
{
	size_t i;
	json_t *entry;
	if (!json_is_array(list))
		return wrong("memory", "an array expected", err);
	enum chain_status status = CHAIN_OK;
	json_array_foreach (list, i, entry) {
		uint64_t base = 0, bytes = 0;
		uint32_t type = 0;
		status = read_hex(entry, "base", &base, err);
		if (!status)
			status = read_hex(entry, "bytes", &bytes, err);
		if (!status)
			status = read_u32(entry, "type", 1, &type, err);
		if (!status)
			status = chain_bootinfo_add_mem(out, base, bytes, type, err);
		if (status)
			return status;
	}
	return chain_bootinfo_normalise(out, err);
}

static enum chain_status read_modules(const json_t *list, struct chain_bootinfo *out, struct chain_error *err)
{
	size_t i;
	json_t *entry;
	if (!json_is_array(list))
		return wrong("modules", "an array expected", err);
	json_array_foreach (list, i, entry) {
		uint64_t base = 0, bytes = 0;
		const char *string = json_string_value(json_object_get(entry, "string"));
		enum chain_status status = read_hex(entry, "base", &base, err);
		if (!status)
			status = read_hex(entry, "bytes", &bytes, err);
		if (!status && !string)
			status = wrong("modules", "an entry without string", err);
		if (!status)
			status = chain_bootinfo_add_module(out, base, bytes, string, err);
		if (status)
			return status;
	}
	return CHAIN_OK;
}

/* Those that VESA modes of its depth have. */
static void assume_colors(struct chain_framebuffer *fb)
{
	static const uint8_t rows[][6] = { { 16, 8, 8, 8, 0, 8 }, { 11, 5, 5, 6, 0, 5 }, { 10, 5, 5, 5, 0, 5 } };
	memcpy(fb->colors, rows[fb->bpp > 16 ? 0 : fb->bpp == 16 ? 1 : 2], sizeof(fb->colors));
}

static enum chain_status read_colors(const json_t *value, struct chain_framebuffer *fb, struct chain_error *err)
{
	bool good = fb->type == CHAIN_FRAMEBUFFER_RGB && json_array_size(value) == sizeof(fb->colors);
	for (size_t i = 0; good && i < sizeof(fb->colors); i++) {
		const json_t *number = json_array_get(value, i);
		good = json_is_integer(number) && json_integer_value(number) >= 0 &&
		       json_integer_value(number) <= UINT8_MAX;
		fb->colors[i] = (uint8_t)json_integer_value(number);
	}
	return good ? CHAIN_OK :
		      wrong("framebuffer", "colors are six numbers of 8 bits, and only type 1 has them", err);
}

static enum chain_status read_framebuffer(const json_t *value, struct chain_framebuffer *out, struct chain_error *err)
{
	uint32_t bpp = 0, type = 0;
	if (!value)
		return CHAIN_OK;
	enum chain_status status = read_hex(value, "phys", &out->phys, err);
	if (!status)
		status = read_u32(value, "pitch_bytes", 0, &out->pitch_bytes, err);
	if (!status)
		status = read_u32(value, "width", 0, &out->width, err);
	if (!status)
		status = read_u32(value, "height", 0, &out->height, err);
	if (!status)
		status = read_u32(value, "bpp", 0, &bpp, err);
	if (!status)
		status = read_u32(value, "type", 0, &type, err);
	if (!status && (bpp > UINT8_MAX || type > UINT8_MAX))
		status = wrong("framebuffer", "bpp and type have 8 bits", err);
	out->bpp = (uint8_t)bpp;
	out->type = (uint8_t)type;
	const json_t *colors = json_object_get(value, "colors");
	if (!status && colors)
		return read_colors(colors, out, err);
	if (!status && out->type == CHAIN_FRAMEBUFFER_RGB) /* recorded before they were */
		assume_colors(out);
	return status;
}

static int digit_of(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* What bytes_json made; absent: none. */
static enum chain_status read_bytes(const json_t *doc, const char *key, uint8_t *out, size_t room, uint32_t *out_count,
				    struct chain_error *err)
{
	const json_t *value = json_object_get(doc, key);
	const char *text = json_string_value(value);
	size_t digits = text ? strlen(text) : 0;
	if (!value)
		return CHAIN_OK;
	if (!text || digits % 2 || digits / 2 > room)
		return wrong(key, "an even number of hexadecimal digits expected, and not too many", err);
	for (size_t i = 0; i < digits; i += 2) {
		int high = digit_of(text[i]), low = digit_of(text[i + 1]);
		if (high < 0 || low < 0)
			return wrong(key, "hexadecimal digits in lower case expected", err);
		out[i / 2] = (uint8_t)(high << 4 | low);
	}
	*out_count = (uint32_t)(digits / 2);
	return CHAIN_OK;
}

static enum chain_status read_addresses(const json_t *doc, struct chain_bootinfo *out, struct chain_error *err)
{
	const struct {
		const char *key;
		uint64_t *out;
	} rows[] = {
		{ "image_base", &out->image_base }, { "image_start", &out->image.base },
		{ "image_end", &out->image.end },   { "acpi_rsdp", &out->acpi_rsdp },
		{ "smbios", &out->smbios },         { "efi_system_table", &out->efi_system_table },
	};
	enum chain_status status = CHAIN_OK;
	for (size_t i = 0; !status && i < sizeof(rows) / sizeof(rows[0]); i++)
		status = read_hex(doc, rows[i].key, rows[i].out, err);
	if (!status)
		status = read_bytes(doc, "acpi_rsdp_bytes", out->rsdp, sizeof(out->rsdp), &out->rsdp_bytes, err);
	if (!status)
		status = read_bytes(doc, "smbios_bytes", out->smbios_entry, sizeof(out->smbios_entry),
				    &out->smbios_bytes, err);
	if (!status && out->image.base > out->image.end)
		status = wrong("image_start", "it lies behind image_end", err);
	return status;
}

enum chain_status chain_bootinfo_from_json(const json_t *doc, struct chain_bootinfo *out, struct chain_error *err)
{
	uint32_t version = 0;
	char *door = NULL;
	enum chain_status status = chain_bootinfo_make(out, err);
	if (!status)
		status = read_u32(doc, "kchain_bootinfo", 0, &version, err);
	if (!status && version != 1)
		status = wrong("kchain_bootinfo", "this kchain reads version 1", err);
	if (!status)
		status = read_text(doc, "door", &door, err);
	if (!status && strlen(door) >= sizeof(out->door))
		status = wrong("door", "a name of at most 23 bytes expected", err);
	if (!status)
		memcpy(out->door, door, strlen(door) + 1);
	free(door);
	if (!status)
		status = read_text(doc, "loader", &out->loader, err);
	if (!status)
		status = read_text(doc, "cmdline", &out->cmdline, err);
	if (!status)
		status = read_memory(json_object_get(doc, "memory"), out, err);
	if (!status)
		status = read_modules(json_object_get(doc, "modules"), out, err);
	if (!status)
		status = read_addresses(doc, out, err);
	if (!status)
		status = read_framebuffer(json_object_get(doc, "framebuffer"), &out->framebuffer, err);
	if (!status)
		status = read_u32(doc, "cpus", 1, &out->cpus, err);
	const json_t *devices = json_object_get(doc, "devices");
	if (!status && devices && !json_is_array(devices))
		status = wrong("devices", "an array expected", err);
	if (status)
		chain_bootinfo_free(out);
	return status;
}
