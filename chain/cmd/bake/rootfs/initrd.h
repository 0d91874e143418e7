/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: an initial RAM file system as Linux takes it, a cpio archive of the "newc" form
 * (Documentation/driver-api/early-userspace/buffer-format.rst): everything root's, all times 0, so that the same
 * contents give the same bytes. Must not know: what is put into it. No I/O. */
#ifndef KCHAIN_ROOTFS_INITRD_H
#define KCHAIN_ROOTFS_INITRD_H

#include "chain/error.h"

struct initrd {
	uint8_t *bytes; /* owned */
	size_t count, room;
	uint32_t number; /* of the last entry */
	bool short_of_memory;
};

/* Names are without a leading slash; folders come before what is in them. */
void initrd_folder(struct initrd *initrd, const char *name);
void initrd_file(struct initrd *initrd, const char *name, unsigned mode, const void *bytes, size_t count);
void initrd_char_device(struct initrd *initrd, const char *name, unsigned mode, unsigned major, unsigned minor);
/* Ends it. CHAIN_E_NO_MEMORY if any of this found none; CHAIN_E_LIMIT above 4 GiB. */
enum chain_status initrd_end(struct initrd *initrd, struct chain_error *err) CHAIN_MUST_CHECK;
void initrd_free(struct initrd *initrd);

#endif
