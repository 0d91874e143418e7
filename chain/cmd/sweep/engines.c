/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "engine.h"

#include <string.h>

const struct engine *const engines[] = { &engine_local, &engine_slurm, NULL };

const struct engine *engine_named(const char *name)
{
	for (size_t i = 0; engines[i]; i++)
		if (strcmp(engines[i]->name, name) == 0)
			return engines[i];
	return NULL;
}
