/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Reads a disk of its own: disk NAME [FIRST COUNT]. Leaves {"name", "sectors", "sector_bytes", "read", "sha256"}, the
 * digest being of those sectors, or of all. Without the disk it leaves {"name", "error"} and ends with 3. */

#include <kchain.h>

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

enum { PIECE_BYTES = 64 * 1024 }; /* the largest sector there is */

static int fail(const char *name)
{
	json_t *left = json_pack("{s:s, s:s}", "name", name, "error", kchain_device_error());
	char *text = json_dumps(left, JSON_COMPACT);
	printf("disk: %s\n", kchain_device_error());
	if (text)
		kchain_result(text);
	return 3;
}

static bool digest(struct kchain_disk *disk, uint64_t first, uint64_t count, char hex[KCHAIN_SHA256_HEX + 1])
{
	static uint8_t piece[PIECE_BYTES];
	uint64_t most = PIECE_BYTES / kchain_disk_sector_bytes(disk);
	struct kchain_sha256 hash;
	kchain_sha256_begin(&hash);
	for (uint64_t now; count; first += now, count -= now) {
		now = count < most ? count : most;
		if (!kchain_disk_read(disk, first, now, piece))
			return false;
		kchain_sha256_add(&hash, piece, now * kchain_disk_sector_bytes(disk));
	}
	kchain_sha256_end(&hash, hex);
	return true;
}

int main(int argc, char **argv)
{
	char hex[KCHAIN_SHA256_HEX + 1], result[512];
	if (argc != 2 && argc != 4) {
		printf("usage: disk NAME [FIRST COUNT]\n");
		return 2;
	}
	struct kchain_disk *disk = kchain_disk_open(argv[1]);
	if (!disk)
		return fail(argv[1]);
	uint64_t first = argc == 4 ? strtoull(argv[2], NULL, 10) : 0;
	uint64_t count = argc == 4 ? strtoull(argv[3], NULL, 10) : kchain_disk_sectors(disk);
	if (!digest(disk, first, count, hex))
		return fail(argv[1]);
	snprintf(result, sizeof(result),
		 "{\"name\": \"%s\", \"sectors\": %" PRIu64 ", \"sector_bytes\": %" PRIu32 ", \"read\": %" PRIu64
		 ", \"sha256\": \"%s\"}",
		 argv[1], kchain_disk_sectors(disk), kchain_disk_sector_bytes(disk), count, hex);
	kchain_disk_close(disk);
	printf("disk %s: %" PRIu64 " sectors, %s\n", argv[1], count, hex);
	return kchain_result(result) ? 0 : 1;
}
