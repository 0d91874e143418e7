/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: reading a tar archive, compressed or not, once from its beginning (libarchive): its entries, digests of what
 * was read and of what was packed in it, and where the bytes of its files lie: in the archive itself where it is not
 * compressed, else in a spool file, never in memory. Must not know: layers, container images. */
#ifndef KCHAIN_ROOTFS_TAR_READ_H
#define KCHAIN_ROOTFS_TAR_READ_H

#include "chain/digest.h"
#include "layers.h"

/* A part of an open file. Borrowed. */
struct tar_stretch {
	int fd;
	uint64_t offset, bytes;
	const char *name; /* for errors */
};

/* What may come out of archives before they are taken for decompression bombs, all archives of one root together: 16
 * GiB, or eight times as much as went in where that is more. */
#define TAR_UNPACKED_BYTES ((uint64_t)16 << 30)
enum { TAR_UNPACKED_FACTOR = 8 };

/* A file without a name for what can't be used where it is; and what has been unpacked so far. */
struct tar_spool {
	const char *folder;               /* borrowed */
	int fd;                           /* -1: not made yet */
	uint64_t bytes;                   /* that were taken of it */
	uint64_t unpacked, packed, least; /* what came out so far; of how much; what may come out of little */
	uint8_t *piece;                   /* what is not written yet, */
	uint64_t piece_at;                /* and where it goes */
	size_t piece_bytes;
	uint64_t xattrs_left; /* attributes that can't be kept, and the name of the first */
	char xattr_first[256];
};
void tar_spool_init(struct tar_spool *spool, const char *folder);
/* What may come out, as of now. */
uint64_t tar_spool_limit(const struct tar_spool *spool);
/* Room for `bytes`, zeroed. Makes the file when it is the first. */
enum chain_status tar_spool_take(struct tar_spool *spool, uint64_t bytes, uint64_t *out_at,
				 struct chain_error *err) CHAIN_MUST_CHECK;
/* Into room that was taken; blocks of zeros are left out. Read from the file only after tar_spool_flush. */
enum chain_status tar_spool_write(struct tar_spool *spool, uint64_t at, const void *bytes, size_t count,
				  struct chain_error *err) CHAIN_MUST_CHECK;
enum chain_status tar_spool_flush(struct tar_spool *spool, struct chain_error *err) CHAIN_MUST_CHECK;
void tar_spool_close(struct tar_spool *spool);

struct tar_reader;

/* A compression that an archive may have; libarchive's numbers (ARCHIVE_FILTER_GZIP, ...). */
enum { TAR_FILTER_ANY = -1 };

/* New. `filter`: the only compression it may have. `marked`: it has to end as tar archives do, with a block of zeros;
 * without, what is cut at the end of an entry is not noticed here. CHAIN_E_ROOT_ARCHIVE, CHAIN_E_ROOT_CUT, CHAIN_E_IO.
 */
enum chain_status tar_open(struct tar_reader **out, const struct tar_stretch *from, int filter, bool marked,
			   struct tar_spool *spool, struct chain_error *err) CHAIN_MUST_CHECK;
/* The next entry, without its bytes; valid until the next call. *out_more is false at the archive's end. */
enum chain_status tar_next(struct tar_reader *reader, struct layers_entry *out, bool *out_more,
			   struct chain_error *err) CHAIN_MUST_CHECK;
/* Where the bytes of a regular file are, right behind tar_next; entries of no interest are passed over without. */
enum chain_status tar_place(struct tar_reader *reader, struct rootfs_bytes *out,
			    struct chain_error *err) CHAIN_MUST_CHECK;
/* Puts all entries onto `layers`. */
enum chain_status tar_read_layer(struct tar_reader *reader, struct layers *layers,
				 struct chain_error *err) CHAIN_MUST_CHECK;
/* Behind the last entry: SHA-256 of the stretch and of what it unpacks to. */
enum chain_status tar_finish(struct tar_reader *reader, uint8_t out_packed[CHAIN_SHA256_BYTES],
			     uint8_t out_unpacked[CHAIN_SHA256_BYTES], struct chain_error *err) CHAIN_MUST_CHECK;
void tar_close(struct tar_reader *reader);

#endif
