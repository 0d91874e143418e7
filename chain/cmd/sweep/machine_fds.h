/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: QEMU's descriptors, by the numbers that its command line has. */
#ifndef KCHAIN_SWEEP_MACHINE_FDS_H
#define KCHAIN_SWEEP_MACHINE_FDS_H

enum {
	MACHINE_FD_CONSOLE = 3,
	MACHINE_FD_RECORDS,
	MACHINE_FD_HANDOFF,
	MACHINE_FD_RAM,
	MACHINE_FD_KERNEL,
	MACHINE_FD_END
};

#endif
