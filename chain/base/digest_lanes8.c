/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Compiled for AVX2 (chain/build.mk). */
#define LANES       8
#define ROUNDS_NAME digest_lanes8
#include "digest_rounds.h"
