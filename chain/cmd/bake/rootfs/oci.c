/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: container images as sources of a root: an OCI image layout (image-spec 1.1, "OCI Image Layout"), a folder or a
 * tar archive of one, and the archives of `docker save`. Each document and layer has to have the digest and the size
 * that it is referred to by. */

#include "archives.h"
#include "chain/cmd/cmd.h"
#include "container.h"
#include "image_json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { INDEX_DEPTH_MAX = 4, BLOB_NAME_BYTES = sizeof("blobs/sha256/") + CHAIN_SHA256_HEX };

/* What a source of this kind keeps until it is closed. */
struct image {
	struct tar_spool spool;
	struct container container;
};

static void blob_name(const uint8_t digest[CHAIN_SHA256_BYTES], char out[BLOB_NAME_BYTES])
{
	static const char folder[] = "blobs/sha256/";

	memcpy(out, folder, sizeof(folder));
	chain_sha256_to_hex(digest, out + strlen(folder));
}

/* Errors about a document name the source and the document. */
static void document_name(const struct container *container, const char *name, char out[2 * CHAIN_SUBJECT_BYTES])
{
	(void)snprintf(out, (size_t)2 * CHAIN_SUBJECT_BYTES, "%s: %s", container->name, name);
}

void archives_attributes_tell(const struct tar_spool *spool)
{
	if (spool->xattrs_left > 0)
		cmd_warn("%llu attribute%s of files left out (%s%s)", (unsigned long long)spool->xattrs_left,
			 spool->xattrs_left == 1 ? "" : "s", spool->xattr_first,
			 spool->xattrs_left == 1 ? "" : ", ...");
}

static enum chain_status image_open(const struct rootfs_request *request, struct rootfs *out, struct image **out_image,
				    struct image_platform *platform, struct chain_error *err)
{
	struct image *image = rootfs_memory(out, sizeof(*image), err);
	const bool folder = archives_is_folder(request->path);

	*out_image = image;
	if (!image)
		return CHAIN_E_NO_MEMORY;
	image->container.fd = -1;
	tar_spool_init(&image->spool, request->folder);
	out->private = image;
	if (!image_platform_parse(request->platform, platform))
		return chain_fail_text(err, CHAIN_E_NOT_SUPPORTED, request->platform,
				       "a platform that is not of the form OS/ARCHITECTURE");
	return container_open(&image->container, request->path, folder, &image->spool, err);
}

static void image_close(struct rootfs *rootfs)
{
	struct image *image = rootfs->private;

	if (!image)
		return;
	container_close(&image->container);
	tar_spool_close(&image->spool);
}

/* --- layers --- */

/* Of one image, the lowest first. */
struct stack {
	struct container_layer *layers;
	size_t count;
};

static enum chain_status stack_read(struct image *image, const struct stack *stack, struct rootfs *out,
				    struct chain_error *err)
{
	struct layers *layers;
	enum chain_status status = layers_new(&layers, image->container.name, err);

	for (size_t i = 0; !status && i < stack->count; i++)
		status = container_layer_read(&image->container, &stack->layers[i], layers, err);
	if (!status)
		status = layers_emit(layers, out, err);
	layers_free(layers);
	if (!status)
		archives_attributes_tell(&image->spool);
	return status;
}

/* --- OCI --- */

/* From index.json down to the manifest of the platform. */
static enum chain_status manifest_find(struct image *image, const struct rootfs_request *request,
				       const struct image_platform *platform, struct image_descriptor *out,
				       struct chain_error *err)
{
	char subject[2 * CHAIN_SUBJECT_BYTES], name[BLOB_NAME_BYTES] = "index.json";
	const char *tag = request->tag;
	const uint8_t *digest = NULL;
	const uint64_t *size = NULL;
	struct image_descriptor at = { .kind = IMAGE_INDEX };

	for (unsigned depth = 0; at.kind == IMAGE_INDEX; depth++) {
		char *text;
		size_t bytes;

		document_name(&image->container, name, subject);
		if (depth == INDEX_DEPTH_MAX)
			return CHAIN_FAIL(err, LIMIT, .subject = subject, .detail = "indexes in each other",
					  .value = depth + 1, .limit = INDEX_DEPTH_MAX);
		enum chain_status status = container_text(&image->container, name, digest, size, &text, &bytes, err);

		if (!status)
			status = image_index_select(text, bytes, subject, tag, platform, out, err);
		free(text);
		if (status)
			return status;
		at = *out;
		digest = at.digest;
		size = &at.bytes;
		tag = NULL; /* is that of the outermost */
		blob_name(at.digest, name);
	}
	return CHAIN_OK;
}

static enum chain_status origin_set(struct rootfs *out, const uint8_t digest[CHAIN_SHA256_BYTES],
				    struct chain_error *err)
{
	char text[sizeof("sha256:") + CHAIN_SHA256_HEX] = "sha256:";

	chain_sha256_to_hex(digest, text + strlen(text));
	out->origin = rootfs_text(out, text, strlen(text), err);
	return out->origin ? CHAIN_OK : CHAIN_E_NO_MEMORY;
}

static enum chain_status config_get(struct image *image, const char *name, const struct image_descriptor *descriptor,
				    const struct image_platform *platform, size_t layer_count,
				    uint8_t (**out_diff_ids)[CHAIN_SHA256_BYTES], struct rootfs *out,
				    struct chain_error *err)
{
	char subject[2 * CHAIN_SUBJECT_BYTES], *text;
	size_t bytes;
	enum chain_status status = container_text(&image->container, name, descriptor ? descriptor->digest : NULL,
						  descriptor ? &descriptor->bytes : NULL, &text, &bytes, err);

	*out_diff_ids = NULL;
	document_name(&image->container, name, subject);
	if (!status)
		status = image_config_read(text, bytes, subject, platform, layer_count, out_diff_ids, out, err);
	free(text);
	return status;
}

static enum chain_status oci_layers(struct image *image, const struct image_manifest *manifest,
				    const uint8_t (*diff_ids)[CHAIN_SHA256_BYTES], struct rootfs *out,
				    struct chain_error *err)
{
	const size_t count = manifest->layer_count;
	struct container_layer *layers = calloc(count + 1, sizeof(*layers));
	char(*names)[BLOB_NAME_BYTES] = calloc(count + 1, sizeof(*names));
	enum chain_status status = layers && names ?
					   CHAIN_OK :
					   chain_fail_no_memory(err, image->container.name,
								(count + 1) * (sizeof(*layers) + sizeof(*names)));

	for (size_t i = 0; !status && i < count; i++) {
		blob_name(manifest->layers[i].digest, names[i]);
		layers[i] = (struct container_layer){ .name = names[i],
						      .filter = manifest->layers[i].filter,
						      .digest = manifest->layers[i].digest,
						      .bytes = &manifest->layers[i].bytes,
						      .diff_id = diff_ids[i] };
	}
	if (!status)
		status = stack_read(image, &(struct stack){ layers, count }, out, err);
	free(names);
	free(layers);
	return status;
}

static enum chain_status oci_open(const struct rootfs_request *request, struct rootfs *out, struct chain_error *err)
{
	char name[BLOB_NAME_BYTES], subject[2 * CHAIN_SUBJECT_BYTES], *text = NULL;
	uint8_t(*diff_ids)[CHAIN_SHA256_BYTES] = NULL;
	struct image_manifest manifest = { .layers = NULL };
	struct image_descriptor found;
	struct image_platform platform;
	struct image *image;
	size_t bytes;
	enum chain_status status = image_open(request, out, &image, &platform, err);

	if (!status)
		status = manifest_find(image, request, &platform, &found, err);
	if (status)
		return status;
	blob_name(found.digest, name);
	document_name(&image->container, name, subject);
	status = container_text(&image->container, name, found.digest, &found.bytes, &text, &bytes, err);
	if (!status)
		status = image_manifest_read(text, bytes, subject, &manifest, err);
	free(text);
	if (!status) {
		blob_name(manifest.config.digest, name);
		status =
			config_get(image, name, &manifest.config, &platform, manifest.layer_count, &diff_ids, out, err);
	}
	if (!status)
		status = oci_layers(image, &manifest, (const uint8_t(*)[CHAIN_SHA256_BYTES])diff_ids, out, err);
	if (!status)
		status = origin_set(out, found.digest, err);
	free(diff_ids);
	image_manifest_free(&manifest);
	return status;
}

static bool oci_probe(const struct rootfs_request *request, const struct rootfs_head *head)
{
	return container_has(request->path, head->folder, "oci-layout", request->folder);
}

const struct rootfs_source rootfs_source_oci = {
	.name = "oci",
	.about = "an OCI image layout, a folder or a tar archive of one: PATH:TAG",
	.probe = oci_probe,
	.open = oci_open,
	.close = image_close,
};

/* --- docker --- */

/* A config is called by its digest: HEX.json, or blobs/sha256/HEX. */
static enum chain_status docker_config_check(struct image *image, const char *name, struct rootfs *out,
					     struct chain_error *err)
{
	const char *slash = strrchr(name, '/'), *base = slash ? slash + 1 : name;
	char subject[2 * CHAIN_SUBJECT_BYTES], *text;
	uint8_t digest[CHAIN_SHA256_BYTES], found[CHAIN_SHA256_BYTES];
	size_t bytes;
	enum chain_status status = container_text(&image->container, name, NULL, NULL, &text, &bytes, err);

	if (status)
		return status;
	chain_sha256_of(text, bytes, found);
	free(text);
	document_name(&image->container, name, subject);
	if (chain_sha256_from_hex(base, strcspn(base, "."), digest))
		status = container_digest_check(subject, found, digest, err);
	return status ? status : origin_set(out, found, err);
}

static enum chain_status docker_layers(struct image *image, const struct image_docker *docker,
				       const uint8_t (*diff_ids)[CHAIN_SHA256_BYTES], struct rootfs *out,
				       struct chain_error *err)
{
	const size_t count = docker->layer_count;
	struct container_layer *layers = calloc(count + 1, sizeof(*layers));

	if (!layers)
		return chain_fail_no_memory(err, image->container.name, (count + 1) * sizeof(*layers));
	for (size_t i = 0; i < count; i++)
		layers[i] = (struct container_layer){ .name = docker->layers[i],
						      .filter = TAR_FILTER_ANY,
						      .diff_id = diff_ids[i] };
	const enum chain_status status = stack_read(image, &(struct stack){ layers, count }, out, err);

	free(layers);
	return status;
}

static enum chain_status docker_open(const struct rootfs_request *request, struct rootfs *out, struct chain_error *err)
{
	static const char manifest[] = "manifest.json";
	char subject[2 * CHAIN_SUBJECT_BYTES], *text = NULL;
	uint8_t(*diff_ids)[CHAIN_SHA256_BYTES] = NULL;
	struct image_docker docker = { .config = NULL };
	struct image_platform platform;
	struct image *image;
	size_t bytes;
	enum chain_status status = image_open(request, out, &image, &platform, err);

	if (status)
		return status;
	document_name(&image->container, manifest, subject);
	status = container_text(&image->container, manifest, NULL, NULL, &text, &bytes, err);
	if (!status)
		status = image_docker_select(text, bytes, subject, request->tag, &docker, err);
	free(text);
	if (!status)
		status = docker_config_check(image, docker.config, out, err);
	if (!status)
		status = config_get(image, docker.config, NULL, &platform, docker.layer_count, &diff_ids, out, err);
	if (!status)
		status = docker_layers(image, &docker, (const uint8_t(*)[CHAIN_SHA256_BYTES])diff_ids, out, err);
	free(diff_ids);
	image_docker_free(&docker);
	return status;
}

static bool docker_probe(const struct rootfs_request *request, const struct rootfs_head *head)
{
	return !head->folder && container_has(request->path, false, "manifest.json", request->folder);
}

const struct rootfs_source rootfs_source_docker = {
	.name = "docker",
	.about = "what `docker save` writes: FILE:TAG",
	.probe = docker_probe,
	.open = docker_open,
	.close = image_close,
};
