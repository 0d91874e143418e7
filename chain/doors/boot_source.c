/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "boot_source.h"

#include "doors.h"

#include <stdlib.h>
#include <string.h>

enum { PAGE_BYTES = 4096 };

enum chain_status boot_source_fetch(const struct boot_source *source, const char *what, uint64_t phys, uint64_t bytes,
				    const void **out)
{
	const void *at = NULL;
	if (bytes && bytes <= CHAIN_4G && phys <= CHAIN_4G - bytes)
		at = source->map(source->ctx, phys, bytes);
	if (!at)
		return CHAIN_FAIL(source->err, MULTIBOOT_INFO_UNREADABLE, .subject = source->subject, .detail = what,
				  .base = phys, .bytes = bytes);
	*out = at;
	return CHAIN_OK;
}

/* Length of a terminated string, looked at page by page, since what lies behind its end may not be memory. */
static enum chain_status string_length(const struct boot_source *source, const char *what, uint64_t phys, size_t *out)
{
	uint64_t length = 0;
	while (length < CHAIN_BOOT_STRING_MAX) {
		uint64_t at = phys + length, chunk = PAGE_BYTES - at % PAGE_BYTES;
		const void *bytes = NULL;
		if (chunk > CHAIN_BOOT_STRING_MAX - length)
			chunk = CHAIN_BOOT_STRING_MAX - length;
		enum chain_status status = boot_source_fetch(source, what, at, chunk, &bytes);
		if (status)
			return status;
		const char *end = memchr(bytes, 0, (size_t)chunk);
		if (end) {
			*out = (size_t)(length + (uint64_t)(end - (const char *)bytes));
			return CHAIN_OK;
		}
		length += chunk;
	}
	return CHAIN_FAIL(source->err, MULTIBOOT_INFO_STRING, .subject = source->subject, .detail = what, .base = phys,
			  .limit = CHAIN_BOOT_STRING_MAX);
}

enum chain_status boot_source_copy_string(const struct boot_source *source, const char *what, uint64_t phys, char **out)
{
	size_t length = 0;
	const void *bytes = "";
	enum chain_status status = CHAIN_OK;
	if (phys) {
		status = string_length(source, what, phys, &length);
		if (!status)
			status = boot_source_fetch(source, what, phys, (uint64_t)length + 1, &bytes);
		if (status)
			return status;
	}
	char *copy = malloc(length + 1);
	if (!copy)
		return chain_fail_no_memory(source->err, what, (uint64_t)length + 1);
	memcpy(copy, bytes, length);
	copy[length] = '\0'; /* whatever happened to the loader's memory in between */
	*out = copy;
	return CHAIN_OK;
}

enum chain_status boot_source_set_string(const struct boot_source *source, const char *what, uint64_t phys,
					 char **owned)
{
	char *copy = NULL;
	enum chain_status status = boot_source_copy_string(source, what, phys, &copy);
	if (status)
		return status;
	free(*owned);
	*owned = copy;
	return CHAIN_OK;
}

enum chain_status boot_source_limit(const struct boot_source *source, const char *what, uint64_t count, uint64_t limit)
{
	return count <= limit ? CHAIN_OK :
				CHAIN_FAIL(source->err, MULTIBOOT_INFO_LIMIT, .subject = source->subject,
					   .detail = what, .value = count, .limit = limit);
}

enum chain_status boot_source_end_map(const struct boot_source *source, struct chain_bootinfo *out, uint32_t flags)
{
	enum chain_status status = chain_bootinfo_normalise(out, source->err);
	if (!status && !out->mem_count) /* entries without a byte, or of no type */
		status = CHAIN_FAIL(source->err, MULTIBOOT_INFO_NO_MEMORY, .subject = source->subject, .flags = flags);
	return status;
}
