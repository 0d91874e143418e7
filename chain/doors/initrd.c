/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "chain/initrd.h"

#include <stdio.h>
#include <string.h>

/* The "newc" form of cpio (Documentation/driver-api/early-userspace/buffer-format.rst): a header of 110 characters, the
 * name, the file; each padded to a multiple of four. */
enum { HEADER_BYTES = 110, ALIGN = 4, MODE_FOLDER = 040755, MODE_FILE = 0100444 };

static const char folder[] = "kchain", file[] = "kchain/handoff.json", trailer[] = "TRAILER!!!";

static uint64_t aligned(uint64_t bytes)
{
	return (bytes + ALIGN - 1) & ~(uint64_t)(ALIGN - 1);
}
static uint64_t entry_bytes(uint64_t name_bytes)
{
	return aligned(HEADER_BYTES + name_bytes);
}

uint64_t chain_initrd_text_at(void)
{
	return entry_bytes(sizeof(folder)) + entry_bytes(sizeof(file));
}

uint64_t chain_initrd_bytes(uint64_t text_bytes)
{
	return chain_initrd_text_at() + aligned(text_bytes) + entry_bytes(sizeof(trailer));
}

/* Inode, mode, owner and group, links, time, size, device and special device (major and minor each), size of the name,
 * checksum. */
static uint8_t *put_entry(uint8_t *at, unsigned inode, unsigned mode, unsigned links, uint32_t bytes, const char *name)
{
	char header[HEADER_BYTES + 1];
	size_t name_bytes = strlen(name) + 1;
	snprintf(header, sizeof(header), "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x", inode, mode, 0,
		 0, links, 0, (unsigned)bytes, 0, 0, 0, 0, (unsigned)name_bytes, 0);
	memcpy(at, header, HEADER_BYTES);
	memcpy(at + HEADER_BYTES, name, name_bytes);
	return at + entry_bytes(name_bytes);
}

void chain_initrd_build(const uint8_t *text, uint32_t text_bytes, uint8_t *buf)
{
	memset(buf, 0, chain_initrd_bytes(text_bytes));
	buf = put_entry(buf, 1, MODE_FOLDER, 2, 0, folder);
	buf = put_entry(buf, 2, MODE_FILE, 1, text_bytes, file);
	if (text_bytes)
		memcpy(buf, text, text_bytes);
	put_entry(buf + aligned(text_bytes), 0, 0, 1, 0, trailer);
}
