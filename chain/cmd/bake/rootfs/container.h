/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: the files that a container image is made of, by name, whether they lie in a folder or in a tar archive; and
 * reading the archives of layers among them. Must not know: what the files say (image_json.h), which of them belong
 * together. */
#ifndef KCHAIN_ROOTFS_CONTAINER_H
#define KCHAIN_ROOTFS_CONTAINER_H

#include "tar_read.h"

enum {
	CONTAINER_MEMBERS_MAX = 100000, /* in an archive */
	CONTAINER_TEXT_BYTES = 8 << 20, /* of a JSON document: registries take no larger ones */
	CONTAINER_LAYERS_MAX = 512,
};

struct container {
	const char *name;        /* of the file or folder; borrowed */
	int fd;                  /* of the same */
	struct tar_spool *spool; /* borrowed */
	bool folder;
	struct container_member {
		char *name, *target; /* owned; target: it is a link to that name, null: a file */
		uint64_t offset, bytes;
		int fd; /* borrowed */
		size_t number;
	} * members;
	size_t count, room;
	int *fds; /* of opened files of a folder */
	size_t fd_count, fd_room;
};

/* Whether the tar archive or folder `path` holds a file `name`, looking no further than its entries' names are likely.
 * Failures are no. */
bool container_has(const char *path, bool folder, const char *name, const char *work_folder);

/* Zeroed before; to be closed in any case. */
enum chain_status container_open(struct container *container, const char *path, bool folder, struct tar_spool *spool,
				 struct chain_error *err) CHAIN_MUST_CHECK;
void container_close(struct container *container);
/* The whole of a small file: new. `digest` and `bytes`, which it has to have, may be null. */
enum chain_status container_text(struct container *container, const char *name, const uint8_t *digest,
				 const uint64_t *bytes, char **out, size_t *out_bytes,
				 struct chain_error *err) CHAIN_MUST_CHECK;

/* A layer, and what it has to be. */
struct container_layer {
	const char *name;
	int filter;             /* TAR_FILTER_ANY, or libarchive's number of the compression */
	const uint8_t *digest;  /* of the file; null: not known */
	const uint64_t *bytes;  /* null: not known */
	const uint8_t *diff_id; /* of what is packed in it */
};
/* Puts its entries onto `layers`, and checks its digests. */
enum chain_status container_layer_read(struct container *container, const struct container_layer *layer,
				       struct layers *layers, struct chain_error *err) CHAIN_MUST_CHECK;
/* CHAIN_E_ROOT_DIGEST when they differ. */
enum chain_status container_digest_check(const char *subject, const uint8_t found[CHAIN_SHA256_BYTES],
					 const uint8_t wanted[CHAIN_SHA256_BYTES],
					 struct chain_error *err) CHAIN_MUST_CHECK;

#endif
