/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "bake_share.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct bake_identity bake_identity_of(const struct stat *about)
{
	return (struct bake_identity){about->st_dev, about->st_ino, (uint64_t)about->st_size, about->st_mtim,
				      about->st_ctim};
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

void bake_share_init(struct bake_share *share)
{
	*share = (struct bake_share){.fd = -1};
}

void bake_share_free(struct bake_share *share)
{
	if (share->fd >= 0)
		(void)close(share->fd);
	free(share->known);
	free(share->good);
	bake_share_init(share);
}

static int by_inode(const void *a, const void *b)
{
	const struct bake_identity *x = &((const struct bake_known *)a)->identity,
				   *y = &((const struct bake_known *)b)->identity;

	if (x->dev != y->dev)
		return x->dev < y->dev ? -1 : 1;
	return x->ino != y->ino ? (x->ino < y->ino ? -1 : 1) : 0;
}

static struct bake_known *find(const struct bake_share *share, const struct bake_identity *identity)
{
	const struct bake_known key = {.identity = *identity};

	return share->sorted > 0 ? bsearch(&key, share->known, share->sorted, sizeof(key), by_inode) : NULL;
}

const struct bake_known *bake_share_find(const struct bake_share *share, const struct bake_identity *identity)
{
	const struct bake_known *known = find(share, identity);

	return known && bake_identity_same(&known->identity, identity) ? known : NULL;
}

/* Room for one more; doubling keeps adding linear. Null: no memory, and `array` stays as it is. */
static void *grow(void *array, size_t *room, size_t count, size_t element_bytes)
{
	const size_t wanted = *room ? *room * 2 : 64;
	void *grown = count < *room ? array : realloc(array, wanted * element_bytes);

	if (grown && count == *room)
		*room = wanted;
	return grown;
}

void bake_share_start(struct bake_share *share, int fd)
{
	struct stat about;

	if (share->fd >= 0)
		(void)close(share->fd);
	share->fd = fd;
	if (fd >= 0 && fstat(fd, &about) == 0)
		share->image = bake_identity_of(&about);
	for (size_t i = 0; i < share->count; i++)
		share->known[i].offset = 0;
}

void bake_share_recheck(struct bake_share *share)
{
	struct stat about;

	if (share->fd < 0)
		return;
	if (fstat(share->fd, &about) == 0) {
		const struct bake_identity now = bake_identity_of(&about);

		if (bake_identity_same(&now, &share->image))
			return;
	}
	bake_share_start(share, -1);
}

bool bake_share_add(struct bake_share *share, const struct bake_known *file)
{
	struct bake_known *known = find(share, &file->identity);

	if (!known) {
		struct bake_known *grown = grow(share->known, &share->room, share->count, sizeof(*grown));

		if (!grown)
			return false;
		share->known = grown;
		known = &grown[share->count++];
	}
	*known = *file;
	return true;
}

/* A file with several names in the image was added several times. */
void bake_share_finish(struct bake_share *share)
{
	size_t kept = 0;

	if (share->count > share->sorted)
		qsort(share->known, share->count, sizeof(*share->known), by_inode);
	for (size_t i = 0; i < share->count; i++)
		if (kept == 0 || by_inode(&share->known[kept - 1], &share->known[i]) != 0)
			share->known[kept++] = share->known[i];
	share->count = share->sorted = kept;
}

bool bake_share_is_good(const struct bake_share *share, const uint8_t sha256[CHAIN_SHA256_BYTES],
			enum chain_kernel_kind *out)
{
	for (size_t i = 0; i < share->good_count; i++) {
		if (memcmp(share->good[i].sha256, sha256, CHAIN_SHA256_BYTES) == 0) {
			*out = share->good[i].kind;
			return true;
		}
	}
	return false;
}

void bake_share_good(struct bake_share *share, const uint8_t sha256[CHAIN_SHA256_BYTES], enum chain_kernel_kind kind)
{
	struct bake_good *grown = grow(share->good, &share->good_room, share->good_count, sizeof(*grown));

	if (!grown)
		return;
	share->good = grown;
	memcpy(grown[share->good_count].sha256, sha256, CHAIN_SHA256_BYTES);
	grown[share->good_count++].kind = kind;
}
