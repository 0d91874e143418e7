/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: the sources of a root that are archives: rows of the table. */
#ifndef KCHAIN_ROOTFS_ARCHIVES_H
#define KCHAIN_ROOTFS_ARCHIVES_H

#include "tar_read.h"

extern const struct rootfs_source rootfs_source_oci, rootfs_source_docker, rootfs_source_tar, rootfs_source_debian;

bool archives_is_folder(const char *path);
/* Says which attributes of files no root keeps. */
void archives_attributes_tell(const struct tar_spool *spool);

#endif
