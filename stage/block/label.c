/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "stage/block_label.h"

#include <string.h>

enum { AREA_BYTES = 512, MARKS = 2 };

/* A file system is known by two marks in the first bytes of an area. */
static const struct row {
	uint16_t area, label_at;
	uint8_t label_bytes;
	struct {
		uint16_t at;
		uint8_t bytes;
		char is[8];
	} marks[MARKS];
} rows[] = {
	/* FAT12 and FAT16, FAT32: Microsoft's "FAT: General Overview of On-Disk Format", 1.03: the boot sector */
	{ 0, 43, 11, { { 38, 1, { 0x29 } }, { 54, 4, "FAT1" } } },
	{ 0, 71, 11, { { 66, 1, { 0x29 } }, { 82, 5, "FAT32" } } },
	/* ext2 to ext4: Linux, Documentation/filesystems/ext4, "Super Block" */
	{ 1024, 120, 16, { { 56, 2, { 0x53, (char)0xef } } } },
	/* EROFS: its superblock, as fs/erofs_format.h has it */
	{ 1024, 64, 16, { { 0, 4, { (char)0xe2, (char)0xe1, (char)0xf5, (char)0xe0 } } } },
	/* ISO 9660: ECMA-119, 8.4, the primary volume descriptor */
	{ 32768, 40, 32, { { 0, 1, { 1 } }, { 1, 5, "CD001" } } },
};

static bool has_marks(const struct row *row, const uint8_t *area)
{
	for (size_t i = 0; i < MARKS; i++)
		if (memcmp(area + row->marks[i].at, row->marks[i].is, row->marks[i].bytes) != 0)
			return false;
	return true;
}

/* Labels end in zeroes or blanks, or with their field. */
static void copy_label(const struct row *row, const uint8_t *area, char out[STAGE_LABEL_BYTES])
{
	size_t bytes = strnlen((const char *)area + row->label_at, row->label_bytes);
	while (bytes && area[row->label_at + bytes - 1] == ' ')
		bytes--;
	memcpy(out, area + row->label_at, bytes);
	out[bytes] = '\0';
	bool none = !row->area && !strcmp(out, "NO NAME"); /* what FAT has instead of one */
	if (none || !chain_is_utf8(out) || chain_text_has_control(out, bytes))
		out[0] = '\0';
}

void stage_label_read(const struct stage_byte_device *device, char out[STAGE_LABEL_BYTES])
{
	uint8_t area[AREA_BYTES];
	size_t found = 0;
	bool there = false;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct row *row = &rows[i];
		if (!i || row->area != rows[i - 1].area) {
			struct chain_error ignored = { 0 };
			there = !stage_byte_device_read(device, row->area, sizeof(area), area, &ignored);
		}
		if (!there || !has_marks(row, area))
			continue;
		copy_label(row, area, out);
		found++;
	}
	if (found != 1)
		out[0] = '\0';
}
