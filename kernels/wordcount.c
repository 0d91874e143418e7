/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Counts one baked file, or a slice of it: wordcount FILE [OFFSET BYTES]. Leaves {"lines", "words", "bytes"}, which are
 * wc's in the C locale: a word is begun by a printable character and ended by white space (POSIX wc). */

#include <kchain.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct counts {
	uint64_t lines, words, bytes;
};

static bool is_space(uint8_t c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}
static bool is_printable(uint8_t c)
{
	return c > ' ' && c < 0x7f;
}

static struct counts count(const uint8_t *text, size_t bytes)
{
	struct counts counts = { .bytes = bytes };
	bool in_word = false;
	for (size_t i = 0; i < bytes; i++) {
		counts.lines += text[i] == '\n';
		counts.words += is_printable(text[i]) && !in_word;
		in_word = is_printable(text[i]) || (in_word && !is_space(text[i]));
	}
	return counts;
}

int main(int argc, char **argv)
{
	const void *text;
	size_t bytes;
	if (argc != 2 && argc != 4) {
		printf("usage: wordcount FILE [OFFSET BYTES]\n");
		return 2;
	}
	const char *path = strncmp(argv[1], "fs:", 3) ? argv[1] : argv[1] + 3;
	if (!kchain_file(path, &text, &bytes)) {
		printf("wordcount: no file %s\n", path);
		return 1;
	}
	size_t offset = argc == 4 ? strtoull(argv[2], NULL, 10) : 0,
	       part = argc == 4 ? strtoull(argv[3], NULL, 10) : bytes;
	if (offset > bytes || part > bytes - offset) {
		printf("wordcount: %zu bytes at %zu: %s has %zu\n", part, offset, path, bytes);
		return 1;
	}
	struct counts counts = count((const uint8_t *)text + offset, part);
	char result[128];
	snprintf(result, sizeof(result), "{\"lines\":%" PRIu64 ",\"words\":%" PRIu64 ",\"bytes\":%" PRIu64 "}",
		 counts.lines, counts.words, counts.bytes);
	return kchain_result(result) ? 0 : 1;
}
