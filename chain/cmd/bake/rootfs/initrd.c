/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "initrd.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HEADER_BYTES = 110, ALIGN = 4, FOLDER = 0040000, REGULAR = 0100000, CHAR_DEVICE = 0020000 };

/* Null: no memory, now or before. */
static uint8_t *take(struct initrd *initrd, size_t bytes)
{
	if (initrd->short_of_memory)
		return NULL;
	if (initrd->room - initrd->count < bytes) {
		const size_t room = (initrd->count + bytes) * 2;
		uint8_t *grown = realloc(initrd->bytes, room);

		if (!grown) {
			initrd->short_of_memory = true;
			return NULL;
		}
		initrd->bytes = grown;
		initrd->room = room;
	}
	uint8_t *taken = initrd->bytes + initrd->count;

	initrd->count += bytes;
	return taken;
}

/* Each part begins on a multiple of four. */
static void put(struct initrd *initrd, const void *bytes, size_t count)
{
	const size_t padding = -(initrd->count + count) & (ALIGN - 1);
	uint8_t *at = take(initrd, count + padding);

	if (!at)
		return;
	if (count > 0)
		memcpy(at, bytes, count);
	memset(at + count, 0, padding);
}

static void put_entry(struct initrd *initrd, const char *name, unsigned mode, unsigned major, unsigned minor,
		      const void *bytes, size_t count)
{
	const size_t name_bytes = strlen(name) + 1;
	char *head = malloc(HEADER_BYTES + name_bytes);

	if (!head) {
		initrd->short_of_memory = true;
		return;
	}
	/* number, mode, owner, group, names, time, bytes, device, device of the node, bytes of the name, sum */
	(void)snprintf(head, HEADER_BYTES + 1, "070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X",
		       ++initrd->number, mode, 0u, 0u, 1u, 0u, (unsigned)count, 0u, 0u, major, minor,
		       (unsigned)name_bytes, 0u);
	memcpy(head + HEADER_BYTES, name, name_bytes);
	put(initrd, head, HEADER_BYTES + name_bytes);
	put(initrd, bytes, count);
	free(head);
}

void initrd_folder(struct initrd *initrd, const char *name)
{
	put_entry(initrd, name, FOLDER | 0755, 0, 0, NULL, 0);
}

void initrd_file(struct initrd *initrd, const char *name, unsigned mode, const void *bytes, size_t count)
{
	put_entry(initrd, name, REGULAR | mode, 0, 0, bytes, count);
}

void initrd_char_device(struct initrd *initrd, const char *name, unsigned mode, unsigned major, unsigned minor)
{
	put_entry(initrd, name, CHAR_DEVICE | mode, major, minor, NULL, 0);
}

enum chain_status initrd_end(struct initrd *initrd, struct chain_error *err)
{
	initrd->number = (uint32_t)-1; /* the last entry has the number 0 */
	put_entry(initrd, "TRAILER!!!", 0, 0, 0, NULL, 0);
	if (initrd->short_of_memory)
		return chain_fail_no_memory(err, "initial file system", initrd->count + 1);
	if (initrd->count > UINT32_MAX)
		return CHAIN_FAIL(err, LIMIT, .subject = "initial file system", .detail = "bytes",
				  .value = initrd->count, .limit = UINT32_MAX);
	return CHAIN_OK;
}

void initrd_free(struct initrd *initrd)
{
	free(initrd->bytes);
	*initrd = (struct initrd){ .bytes = NULL };
}
