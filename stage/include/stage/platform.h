/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: what this link's door lost of the firmware's tables: from the parent's handoff, or by a search.
 * Must not know: doors, or how tables are read. */
#ifndef STAGE_PLATFORM_H
#define STAGE_PLATFORM_H

#include "chain/bootinfo.h"

#include <jansson.h>

/* Fills in acpi_rsdp, smbios and cpus of `info` where the boot found none, and says in one line where that is not as it
 * should be. `parent` (nullable): the handoff received; what it says is used only where a table of the right sum lies.
 */
void stage_platform_complete(struct chain_bootinfo *info, const json_t *parent);

#endif
