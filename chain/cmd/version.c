/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "cmd.h"

const char cmd_version[] = KCHAIN_VERSION;
