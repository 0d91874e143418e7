/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "archives.h"

#include <stddef.h>

extern const struct rootfs_source rootfs_source_folder, rootfs_source_image;

/* A layout of a container image is a folder or a tar archive as well, so it is sought before them. A file that is none
 * of the others may still be a file system that this table does not know: by its name alone. */
const struct rootfs_source *const rootfs_sources[] = { &rootfs_source_debian,
						       &rootfs_source_oci,
						       &rootfs_source_docker,
						       &rootfs_source_folder,
						       &rootfs_source_image,
						       &rootfs_source_tar,
						       NULL };
