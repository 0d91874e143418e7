/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: digests of files from one run of `kchain bake` to the next, in $XDG_CACHE_HOME/kchain/digests (~/.cache without
 * that): a large file that has not changed is copied and not hashed again. Image and refusals are the same with and
 * without it.
 *
 * A file that was changed has another change time, which nobody sets by hand, unless that happened within the same tick
 * of the clock that its file system uses. So a digest is only kept of a file that had come to rest BAKE_CACHE_REST_S
 * seconds before the bake that hashed it began; what is written after that has a later time. What remains is a file
 * that another program changes through a mapping while it is baked: then the image does not have the digest that it
 * names, and `kchain verify` and the stage refuse it.
 *
 * Whatever is wrong with the cache (damaged, somebody else's, not to be written, no memory) is no error: files are
 * hashed. Two runs at once each replace it as a whole, and what one of them loses is hashed again. */
#ifndef KCHAIN_BAKE_CACHE_H
#define KCHAIN_BAKE_CACHE_H

#include "bake_known.h"

enum {
	BAKE_CACHE_FILE_BYTES = 64 << 10, /* smaller files are hashed while they are read */
	BAKE_CACHE_FILES = 16384,         /* those used last; 1.6 MB */
	BAKE_CACHE_REST_S = 2,
};

struct bake_cache {
	struct bake_table table;
	int64_t began_s; /* by the clock that file systems take their times from */
	bool changed;
	char path[4096]; /* empty: there is none */
};

void bake_cache_open(struct bake_cache *cache);
/* Null when it is not known. */
const struct bake_known *bake_cache_find(struct bake_cache *cache, const struct bake_identity *identity);
/* The file was hashed after bake_cache_open, or found. */
void bake_cache_note(struct bake_cache *cache, const struct bake_identity *identity,
		     const uint8_t digest[CHAIN_LOCATED_BYTES]);
/* After a bake's last note. */
void bake_cache_finish(struct bake_cache *cache);
/* Writes what is new. */
void bake_cache_close(struct bake_cache *cache);

#endif
