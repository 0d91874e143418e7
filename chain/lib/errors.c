/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "chain/errors.h"

void chain_errors_take(struct chain_errors *errors, struct chain_error *err)
{
	if (err->status == CHAIN_OK)
		return;
	if (errors->count == CHAIN_ERRORS_MAX)
		errors->more++;
	else
		errors->v[errors->count++] = *err;
	chain_error_clear(err);
}
