/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Compiled for SSE2 (chain/build.mk). */
#define LANES       4
#define ROUNDS_NAME digest_lanes4
#include "digest_rounds.h"
