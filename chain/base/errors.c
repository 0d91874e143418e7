/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "chain/errors.h"

void chain_errors_take(struct chain_errors *errors, struct chain_error *err)
{
	if (!err->status)
		return;
	bool full = errors->count == CHAIN_ERRORS_MAX;
	errors->more += full;
	if (full && err->status == CHAIN_E_NO_MEMORY)
		errors->v[errors->count - 1] = *err;
	else if (!full)
		errors->v[errors->count++] = *err;
	chain_error_clear(err);
}
