/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: the JSON documents of container images: OCI image index, manifest and config (image-spec 1.1), and docker's
 * manifest.json and its forms of the same. Must not know: where they lie, how layers are put together. Host only. */
#ifndef KCHAIN_ROOTFS_IMAGE_JSON_H
#define KCHAIN_ROOTFS_IMAGE_JSON_H

#include "chain/digest.h"
#include "rootfs.h"

enum image_kind { IMAGE_INDEX, IMAGE_MANIFEST, IMAGE_CONFIG, IMAGE_LAYER };

struct image_descriptor {
	enum image_kind kind;
	int filter; /* of a layer: libarchive's number of its compression */
	uint8_t digest[CHAIN_SHA256_BYTES];
	uint64_t bytes;
};

/* "linux/amd64". */
struct image_platform {
	char os[32], architecture[32];
};
/* False when it is not of that form. */
bool image_platform_parse(const char *text, struct image_platform *out);
/* Whether a tag means a name: all of "docker.io/library/web:latest", or what is behind its colon. */
bool image_tag_is(const char *name, const char *tag);

/* All of these: `subject` names the document; CHAIN_E_JSON_SYNTAX and its kin, CHAIN_E_JSON_TYPE and _MISSING_KEY with
 * the place, CHAIN_E_ROOT_MEDIA. */

/* The manifest or the index further down that is meant: the one of this tag (null: there is only one), for this
 * platform as far as it says so. CHAIN_E_ROOT_TAG, CHAIN_E_ROOT_PLATFORM. */
enum chain_status image_index_select(const char *text, size_t bytes, const char *subject, const char *tag,
				     const struct image_platform *platform, struct image_descriptor *out,
				     struct chain_error *err) CHAIN_MUST_CHECK;

struct image_manifest {
	struct image_descriptor config, *layers; /* owned */
	size_t layer_count;
};
enum chain_status image_manifest_read(const char *text, size_t bytes, const char *subject, struct image_manifest *out,
				      struct chain_error *err) CHAIN_MUST_CHECK;
void image_manifest_free(struct image_manifest *manifest);

/* Of docker's archives. */
struct image_docker {
	char *config, **layers; /* names of files; owned */
	size_t layer_count;
};
enum chain_status image_docker_select(const char *text, size_t bytes, const char *subject, const char *tag,
				      struct image_docker *out, struct chain_error *err) CHAIN_MUST_CHECK;
void image_docker_free(struct image_docker *docker);

/* The diff ids of its `layer_count` layers (CHAIN_E_ROOT_LAYERS when it has another number of them) and how the program
 * is started, in memory of `out`; the platform is checked. */
enum chain_status image_config_read(const char *text, size_t bytes, const char *subject,
				    const struct image_platform *platform, size_t layer_count,
				    uint8_t (**out_diff_ids)[CHAIN_SHA256_BYTES], struct rootfs *out,
				    struct chain_error *err) CHAIN_MUST_CHECK;

#endif
