/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "bake_known.h"

#include <stdlib.h>

struct bake_identity bake_identity_of(const struct stat *about)
{
	return (struct bake_identity){ about->st_dev, about->st_ino, (uint64_t)about->st_size, about->st_mtim,
				       about->st_ctim };
}

static bool same_time(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

bool bake_identity_same(const struct bake_identity *a, const struct bake_identity *b)
{
	return a->dev == b->dev && a->ino == b->ino && a->size == b->size && same_time(&a->mtime, &b->mtime) &&
	       same_time(&a->ctime, &b->ctime);
}

static int by_inode(const void *a, const void *b)
{
	const struct bake_identity *x = &((const struct bake_known *)a)->identity,
				   *y = &((const struct bake_known *)b)->identity;

	if (x->dev != y->dev)
		return x->dev < y->dev ? -1 : 1;
	return x->ino != y->ino ? (x->ino < y->ino ? -1 : 1) : 0;
}

static struct bake_known *find(const struct bake_table *table, const struct bake_identity *identity)
{
	const struct bake_known key = { .identity = *identity };

	return table->sorted > 0 ? bsearch(&key, table->v, table->sorted, sizeof(key), by_inode) : NULL;
}

void bake_table_free(struct bake_table *table)
{
	free(table->v);
	*table = (struct bake_table){ .v = NULL };
}

struct bake_known *bake_table_find(const struct bake_table *table, const struct bake_identity *identity)
{
	struct bake_known *known = find(table, identity);

	return known && bake_identity_same(&known->identity, identity) ? known : NULL;
}

void *bake_grow(void *array, size_t *room, size_t count, size_t element_bytes)
{
	const size_t wanted = *room ? *room * 2 : 64;
	void *grown = count < *room ? array : realloc(array, wanted * element_bytes);

	if (grown && count == *room)
		*room = wanted;
	return grown;
}

bool bake_table_add(struct bake_table *table, const struct bake_known *file)
{
	struct bake_known *known = find(table, &file->identity);

	if (!known) {
		struct bake_known *grown = bake_grow(table->v, &table->room, table->count, sizeof(*grown));

		if (!grown)
			return false;
		table->v = grown;
		known = &grown[table->count++];
	}
	*known = *file;
	return true;
}

/* A file with several names in an image was added several times. */
void bake_table_finish(struct bake_table *table)
{
	size_t kept = 0;

	if (table->count > table->sorted)
		qsort(table->v, table->count, sizeof(*table->v), by_inode);
	for (size_t i = 0; i < table->count; i++)
		if (kept == 0 || by_inode(&table->v[kept - 1], &table->v[i]) != 0)
			table->v[kept++] = table->v[i];
	table->count = table->sorted = kept;
}
