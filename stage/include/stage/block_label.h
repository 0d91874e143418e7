/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: the label of a file system, as far as it stands in one place: ext2, ext3 and ext4, EROFS, FAT, ISO 9660.
 * Must not know: anything else of a file system, or what it lies on. */
#ifndef STAGE_BLOCK_LABEL_H
#define STAGE_BLOCK_LABEL_H

#include "stage/byte_device.h"

enum { STAGE_LABEL_BYTES = 32 + 1 };

/* UTF-8 without control characters. "": there is none of these file systems, or more than one, which has no such label,
 * or it can't be read. */
void stage_label_read(const struct stage_byte_device *device, char out[STAGE_LABEL_BYTES]);

#endif
