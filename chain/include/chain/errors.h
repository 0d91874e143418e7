/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: a bounded list of failures, for whoever tells all that is wrong with a document at once.
 * Must not know: documents, who prints. */
#ifndef CHAIN_ERRORS_H
#define CHAIN_ERRORS_H

#include "chain/error.h"

enum { CHAIN_ERRORS_MAX = 50 };

struct chain_errors {
	struct chain_error v[CHAIN_ERRORS_MAX];
	size_t count;
	size_t more; /* that found no room */
};

/* Takes over what `err` holds, if it holds a failure, and clears it. Lack of memory always finds room: it takes the
 * last one's place. */
void chain_errors_take(struct chain_errors *errors, struct chain_error *err);

#endif
