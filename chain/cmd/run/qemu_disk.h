/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: what `--disk FILE[,OPTION]…` means to QEMU: the file's format, by its contents, and how it is attached.
 * Must not know: how QEMU is started. */
#ifndef KCHAIN_QEMU_DISK_H
#define KCHAIN_QEMU_DISK_H

#include "chain/cmd/cmd.h"

struct qemu_disk {
	char *drive, *device; /* owned: the value of -drive, and of -device what stands behind the model */
	bool nvme;            /* else by virtio */
};

/* FILE[,rw|,ro|,snapshot][,format=F][,serial=S][,bus=nvme|virtio]: the options are taken off the end, so that a file's
 * name may hold commas. A disk is read-only unless the text says otherwise, so that several machines can have it. A
 * format that names further files on the host is only taken where the text says that format: such a file may be a
 * guest's work. `index` distinguishes disks. CHAIN_E_IO, CHAIN_E_CMD_DISK_FORMAT, _FILES, _BUS, CHAIN_E_NO_MEMORY. */
enum chain_status qemu_disk_parse(const char *text, size_t index, struct qemu_disk *out,
				  struct chain_error *err) CHAIN_MUST_CHECK;
void qemu_disk_free(struct qemu_disk *disk);

/* QEMU's lists of key=value take a comma within a value doubled. Caller frees; null: no memory. */
char *qemu_double_commas(const char *text);

#endif
