/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "stage/mmio_places.h"

#include <stdlib.h>
#include <string.h>

/* QEMU 7.2, include/hw/i386/microvm.h: 24 of them where there is a second I/O APIC, else 8 at the same place. */
enum { MICROVM_PLACES = 24, MICROVM_BYTES = 512 };
#define MICROVM_PHYS     UINT64_C(0xfeb00000)
#define PLACE_BYTES_MOST (UINT64_C(1) << 20)

static bool read_place(const char *text, struct stage_mmio_place *out)
{
	static const char units[] = "kKmMgG";
	char *end;
	out->bytes = strtoull(text, &end, 0);
	const char *unit = end != text && *end ? strchr(units, *end) : NULL;
	unsigned shift = unit ? 10 + 10 * (unsigned)((unit - units) / 2) : 0;
	if (end == text || end[unit != NULL] != '@' || out->bytes > PLACE_BYTES_MOST >> shift)
		return false;
	out->bytes <<= shift;
	text = end + (unit != NULL) + 1;
	out->phys = strtoull(text, &end, 0);
	return end != text && *end == ':' && out->bytes && out->phys && !(out->phys & 3) &&
	       out->phys < STAGE_MMIO_LIMIT - PLACE_BYTES_MOST;
}

bool stage_mmio_place(const char *cmdline, bool microvm, unsigned index, struct stage_mmio_place *out)
{
	static const char word[] = "virtio_mmio.device=";
	unsigned count = 0;
	for (const char *at = cmdline; at && (at = strstr(at, word)) != NULL; at += sizeof(word) - 1)
		if ((at == cmdline || at[-1] == ' ') && read_place(at + sizeof(word) - 1, out) && count++ == index)
			return true;
	if (count || !microvm || index >= MICROVM_PLACES)
		return false;
	*out = (struct stage_mmio_place){ MICROVM_PHYS + index * MICROVM_BYTES, MICROVM_BYTES };
	return true;
}
