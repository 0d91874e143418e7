/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "machine.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PATH_BYTES = 512, NUMBER_BYTES = 64 };

bool next_text_read(const char *path, char *out, size_t size)
{
	size_t used = 0;
	ssize_t got = 0;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	while (used < size && (got = read(fd, out + used, size - used)) > 0)
		used += (size_t)got;
	close(fd);
	if (got < 0 || used == size)
		return false;
	if (used && out[used - 1] == '\n')
		used--;
	out[used] = '\0';
	return true;
}

/* --- memory: Documentation/ABI/testing/sysfs-firmware-memmap --- */

static uint32_t type_of(const char *words)
{
	static const struct {
		const char *words;
		uint32_t type;
	} types[] = {
		{ "System RAM", CHAIN_MEM_AVAILABLE },          { "ACPI Tables", CHAIN_MEM_ACPI },
		{ "ACPI Non-volatile Storage", CHAIN_MEM_NVS }, { "Unusable memory", CHAIN_MEM_BAD },
		{ "Persistent Memory", CHAIN_MEM_PMEM },        { "Persistent Memory (legacy)", CHAIN_MEM_PMEM_LEGACY },
	};
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (!strcmp(words, types[i].words))
			return types[i].type;
	return CHAIN_MEM_RESERVED;
}

static enum chain_status unreadable(struct chain_error *err, const char *path, int number)
{
	return CHAIN_FAIL(err, IO, .subject = path, .detail = strerror(number ? number : EINVAL));
}

static enum chain_status read_number(const char *folder, const char *name, uint64_t *out, struct chain_error *err)
{
	char path[PATH_BYTES + 16], text[NUMBER_BYTES], *end;
	snprintf(path, sizeof(path), "%s/%s", folder, name);
	errno = 0;
	if (!next_text_read(path, text, sizeof(text)))
		return unreadable(err, path, errno);
	*out = strtoull(text, &end, 0);
	return *text && !*end ? CHAIN_OK : unreadable(err, path, 0);
}

/* The `end` of an entry is its last byte. */
static enum chain_status read_entry(const char *folder, struct chain_bootinfo *out, struct chain_error *err)
{
	char path[PATH_BYTES + 16], type[NUMBER_BYTES];
	uint64_t first, last;
	enum chain_status status = read_number(folder, "start", &first, err);
	if (!status)
		status = read_number(folder, "end", &last, err);
	if (status)
		return status;
	snprintf(path, sizeof(path), "%s/type", folder);
	errno = 0;
	if (!next_text_read(path, type, sizeof(type)))
		return unreadable(err, path, errno);
	if (last < first || last == UINT64_MAX)
		return unreadable(err, folder, 0);
	return chain_bootinfo_add_mem(out, first, last - first + 1, type_of(type), err);
}

static enum chain_status read_memory(const char *root, struct chain_bootinfo *out, struct chain_error *err)
{
	enum { ENTRIES_MAX = 4096 };
	char folder[PATH_BYTES];
	for (unsigned i = 0; i < ENTRIES_MAX; i++) {
		snprintf(folder, sizeof(folder), "%s/sys/firmware/memmap/%u", root, i);
		if (access(folder, F_OK))
			return i ? chain_bootinfo_normalise(out, err) : unreadable(err, folder, errno);
		enum chain_status status = read_entry(folder, out, err);
		if (status)
			return status;
	}
	return CHAIN_FAIL(err, LIMIT, .subject = "/sys/firmware/memmap", .detail = "entries", .value = ENTRIES_MAX + 1,
			  .limit = ENTRIES_MAX);
}

/* --- processors and tables --- */

/* A list such as "0-3,8". */
static uint32_t count_of(const char *list)
{
	uint32_t count = 0;
	while (*list) {
		char *end;
		unsigned long first = strtoul(list, &end, 10), last = first;
		if (*end == '-')
			last = strtoul(end + 1, &end, 10);
		count += last >= first ? (uint32_t)(last - first + 1) : 0;
		list = *end == ',' ? end + 1 : end + strlen(end);
	}
	return count;
}

/* UEFI's tables are known by "NAME=0x…" lines; ACPI 2.0's and SMBIOS 3's come first. */
static uint64_t table_of(const char *systab, const char *name)
{
	size_t bytes = strlen(name);
	for (const char *line = systab; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (!strncmp(line, name, bytes) && line[bytes] == '=')
			return strtoull(line + bytes + 1, NULL, 16);
	}
	return 0;
}

static void read_tables(const char *root, struct chain_bootinfo *out)
{
	char path[PATH_BYTES], systab[4096];
	snprintf(path, sizeof(path), "%s/sys/firmware/efi/systab", root);
	if (!next_text_read(path, systab, sizeof(systab)))
		return;
	out->acpi_rsdp = table_of(systab, "ACPI20");
	if (!out->acpi_rsdp)
		out->acpi_rsdp = table_of(systab, "ACPI");
	out->smbios = table_of(systab, "SMBIOS3");
	if (!out->smbios)
		out->smbios = table_of(systab, "SMBIOS");
}

enum chain_status next_machine_read(const char *root, struct chain_bootinfo *out, struct chain_error *err)
{
	char path[PATH_BYTES], list[4096];
	enum chain_status status = chain_bootinfo_make(out, err);
	if (!status)
		status = read_memory(root, out, err);
	if (status)
		return status;
	snprintf(out->door, sizeof(out->door), "linux");
	snprintf(path, sizeof(path), "%s/sys/devices/system/cpu/present", root);
	out->cpus = next_text_read(path, list, sizeof(list)) ? count_of(list) : 0;
	out->cpus = out->cpus ? out->cpus : 1;
	read_tables(root, out);
	return CHAIN_OK;
}

enum chain_status next_machine_free_root(struct chain_bootinfo *info, const json_t *parent, struct chain_error *err)
{
	const json_t *root = json_object_get(parent, "root");
	const char *text = json_string_value(json_object_get(root, "phys"));
	uint64_t phys = text ? strtoull(text, NULL, 16) : 0;
	for (size_t i = 0; phys && i < info->mem_count; i++) {
		struct chain_mem_entry *entry = &info->mem[i];
		if (entry->type == CHAIN_MEM_PMEM_LEGACY && entry->range.base == phys)
			entry->type = CHAIN_MEM_AVAILABLE;
	}
	return chain_bootinfo_normalise(info, err);
}
