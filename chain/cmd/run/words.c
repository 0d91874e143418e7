/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "words.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void words_add(struct words *words, const char *format, ...)
{
	char *word = NULL;
	va_list args;
	va_start(args, format);
	int bytes = vasprintf(&word, format, args);
	va_end(args);
	size_t room = (words->count + 2) * sizeof(char *);
	char **grown = bytes < 0 ? NULL : realloc(words->v, room);
	if (!grown) {
		if (bytes >= 0)
			free(word);
		words->lacking = room;
		return;
	}
	words->v = grown;
	words->v[words->count++] = word;
	words->v[words->count] = NULL;
}

void words_free(struct words *words)
{
	for (size_t i = 0; i < words->count; i++)
		free(words->v[i]);
	free(words->v);
	*words = (struct words){ 0 };
}
