/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "bake_share.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void bake_share_init(struct bake_share *share)
{
	*share = (struct bake_share){ .fd = -1 };
}

void bake_share_free(struct bake_share *share)
{
	if (share->fd >= 0)
		(void)close(share->fd);
	bake_table_free(&share->table);
	free(share->good);
	bake_share_init(share);
}

const struct bake_known *bake_share_find(const struct bake_share *share, const struct bake_identity *identity)
{
	return bake_table_find(&share->table, identity);
}

void bake_share_start(struct bake_share *share, int fd)
{
	struct stat about;

	if (share->fd >= 0)
		(void)close(share->fd);
	share->fd = fd;
	if (fd >= 0 && fstat(fd, &about) == 0)
		share->image = bake_identity_of(&about);
	for (size_t i = 0; i < share->table.count; i++)
		share->table.v[i].offset = 0;
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
	return bake_table_add(&share->table, file);
}

void bake_share_finish(struct bake_share *share)
{
	bake_table_finish(&share->table);
}

bool bake_share_is_good(const struct bake_share *share, const uint8_t digest[CHAIN_SHA256_BYTES],
			enum chain_kernel_kind *out)
{
	for (size_t i = 0; i < share->good_count; i++) {
		if (memcmp(share->good[i].digest, digest, CHAIN_SHA256_BYTES) == 0) {
			*out = share->good[i].kind;
			return true;
		}
	}
	return false;
}

void bake_share_good(struct bake_share *share, const uint8_t digest[CHAIN_SHA256_BYTES], enum chain_kernel_kind kind)
{
	struct bake_good *grown = bake_grow(share->good, &share->good_room, share->good_count, sizeof(*grown));

	if (!grown)
		return;
	share->good = grown;
	memcpy(grown[share->good_count].digest, digest, CHAIN_SHA256_BYTES);
	grown[share->good_count++].kind = kind;
}
