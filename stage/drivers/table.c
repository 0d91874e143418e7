/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* The drivers. To add one is to add a file that defines its row, and to list the row here. */
#include "stage/driver.h"

#include <stddef.h>

extern const struct stage_driver stage_virtio_net;
const struct stage_driver *const stage_net_drivers[] = {
	&stage_virtio_net,
	NULL,
};

extern const struct stage_driver stage_virtio_blk, stage_nvme;
const struct stage_driver *const stage_block_drivers[] = {
	&stage_virtio_blk,
	&stage_nvme,
	NULL,
};
