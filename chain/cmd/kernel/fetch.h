/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: what of Debian's packages is in the user's cache: kernels, and roots made of packages; it fetches them by apt
 * (fetch.sh). Must not know: what they are used for. */
#ifndef KCHAIN_FETCH_H
#define KCHAIN_FETCH_H

#include "chain/cmd/cmd.h"

enum { FETCH_PATH_BYTES = 4096 };

#define FETCH_KERNEL "linux-image-cloud-amd64" /* the package, unless another one is named */

/* Fetches a kernel by the name of its package, anew where it is there. The script's exit status: 0, CMD_REFUSED with
 * the reason on standard error, or CMD_INTERRUPTED. */
int fetch_kernel(const char *folder, const char *package);

/* `packages`: names with commas between them. The folder that they and all that they depend on unpack to, fetched where
 * it is not there. CHAIN_E_ROOT_PACKAGES, CHAIN_E_ROOT_FETCH. */
enum chain_status fetch_root(const char *packages, char out[FETCH_PATH_BYTES],
			     struct chain_error *err) CHAIN_MUST_CHECK;

#endif
