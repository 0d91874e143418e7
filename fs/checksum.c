/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "internal.h"

/* Half a byte at a time: 64 bytes of table, and a superblock is 3 KiB. */
/* Castagnoli, reflected 0x82f63b78, neither inverted before nor after, as EROFS uses it. */
static uint32_t crc32c(uint32_t crc, const uint8_t *bytes, uint64_t count)
{
	static const uint32_t table[16] = {
		0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1, 0x417b1dbc, 0x5125dad3, 0x61c69362, 0x7198540d,
		0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9, 0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75,
	};

	for (uint64_t i = 0; i < count; i++) {
		crc ^= bytes[i];
		crc = (crc >> 4) ^ table[crc & 15];
		crc = (crc >> 4) ^ table[crc & 15];
	}
	return crc;
}

uint32_t fs_super_checksum(const uint8_t *block, uint64_t count)
{
	static const uint8_t zero[4];
	uint32_t crc = crc32c(UINT32_MAX, block, 4);

	crc = crc32c(crc, zero, sizeof(zero));
	return crc32c(crc, block + 8, count - 8);
}
