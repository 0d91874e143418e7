/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: how a file of the host is known again, and a table of what was found out about such files. A file counts as the
 * same while device, inode, size and both times are. Must not know: where a table comes from or goes to. */
#ifndef KCHAIN_BAKE_KNOWN_H
#define KCHAIN_BAKE_KNOWN_H

#include "chain/verity.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

struct bake_identity {
	dev_t dev;
	ino_t ino;
	uint64_t size;
	struct timespec mtime, ctime;
};
struct bake_identity bake_identity_of(const struct stat *about);
bool bake_identity_same(const struct bake_identity *a, const struct bake_identity *b);

struct bake_known {
	struct bake_identity identity;
	uint8_t digest[CHAIN_LOCATED_BYTES];
	uint64_t offset; /* in the image baked last; 0: not in it */
	int64_t used_s;  /* when it last served a bake */
};

/* One entry a file. Zeroed, it is empty. */
struct bake_table {
	struct bake_known *v;
	size_t count, sorted, room; /* the first `sorted` are by device and inode, the others new */
};

void bake_table_free(struct bake_table *table);
/* Null when it is not known. New ones are found from bake_table_finish on. Borrowed until the next change. */
struct bake_known *bake_table_find(const struct bake_table *table, const struct bake_identity *identity);
/* In the place of what was known of that inode. False without memory for it. */
bool bake_table_add(struct bake_table *table, const struct bake_known *file);
void bake_table_finish(struct bake_table *table);

/* Room for one more of an array; doubling keeps adding linear. Null: no memory, and `array` stays as it is. */
void *bake_grow(void *array, size_t *room, size_t count, size_t element_bytes);

#endif
