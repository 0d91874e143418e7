/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* libFuzzer target: what container images are made of. The first byte says what the others are: an index, a manifest, a
 * config, docker's manifest.json, a tar archive as a layer, or steps that put layers onto each other. What is accepted
 * holds together: digests and sizes are there, and a tree has each path once, folders above it, and hard links to files
 * that are in it. */
#include "fuzz.h"

#include "chain/cmd/bake/rootfs/image_json.h"
#include "chain/cmd/bake/rootfs/tar_read.h"

#include <sys/mman.h>
#include <unistd.h>

/* --- documents --- */

static const struct image_platform platform = { "linux", "amd64" };

static void fuzz_index(const char *text, size_t size)
{
	const char *const tags[] = { NULL, "latest" };

	for (size_t i = 0; i < 2; i++) {
		struct chain_error err = { .status = CHAIN_OK };
		struct image_descriptor found;

		if (fuzz_text_status(image_index_select(text, size, "index.json", tags[i], &platform, &found, &err),
				     &err) == CHAIN_OK)
			FUZZ_HOLDS(found.kind == IMAGE_INDEX || found.kind == IMAGE_MANIFEST);
	}
}

static void fuzz_manifest(const char *text, size_t size)
{
	struct chain_error err = { .status = CHAIN_OK };
	struct image_manifest manifest;

	if (fuzz_text_status(image_manifest_read(text, size, "manifest", &manifest, &err), &err) != CHAIN_OK)
		return;
	FUZZ_HOLDS(manifest.config.kind == IMAGE_CONFIG);
	for (size_t i = 0; i < manifest.layer_count; i++)
		FUZZ_HOLDS(manifest.layers[i].kind == IMAGE_LAYER);
	image_manifest_free(&manifest);
}

static void fuzz_config(const char *text, size_t size)
{
	struct chain_error err = { .status = CHAIN_OK };
	struct rootfs root = { .image = -1 };
	uint8_t(*ids)[CHAIN_SHA256_BYTES];
	const size_t layers = size % 3;

	if (fuzz_text_status(image_config_read(text, size, "config", &platform, layers, &ids, &root, &err), &err) ==
	    CHAIN_OK) {
		FUZZ_HOLDS(ids);
		for (size_t i = 0; root.entry.env && root.entry.env[i]; i++)
			FUZZ_HOLDS(strchr(root.entry.env[i], '='));
		for (size_t i = 0; i < root.entry.port_count; i++)
			FUZZ_HOLDS(root.entry.ports[i].number > 0);
		free(ids);
	}
	rootfs_close(&root);
}

static void fuzz_docker(const char *text, size_t size)
{
	struct chain_error err = { .status = CHAIN_OK };
	struct image_docker docker;

	if (fuzz_text_status(image_docker_select(text, size, "manifest.json", NULL, &docker, &err), &err) != CHAIN_OK)
		return;
	FUZZ_HOLDS(docker.config);
	image_docker_free(&docker);
}

/* --- trees --- */

static const struct rootfs_node *node_at(const struct rootfs *root, const char *path, size_t bytes)
{
	for (size_t i = 0; i < root->node_count; i++)
		if (strlen(root->nodes[i].spec.path) == bytes && memcmp(root->nodes[i].spec.path, path, bytes) == 0)
			return &root->nodes[i];
	return NULL;
}

static void check_node(const struct rootfs *root, size_t index)
{
	const struct fs_spec *s = &root->nodes[index].spec;
	const char *slash = strrchr(s->path, '/');
	const size_t bytes = slash == s->path ? 1 : (size_t)(slash - s->path);
	const struct rootfs_node *above = node_at(root, s->path, bytes);

	FUZZ_HOLDS(s->path[0] == '/' && chain_is_utf8(s->path) && !strstr(s->path, "//") && strlen(s->path) < 4096);
	FUZZ_HOLDS(above && above->spec.type == FS_DIRECTORY && !above->spec.hard_link);
	FUZZ_HOLDS(node_at(root, s->path, strlen(s->path)) == &root->nodes[index]);
	FUZZ_HOLDS((s->mode & ~07777u) == 0 && (s->type == FS_SYMLINK || !s->target));
	if (!s->hard_link)
		return;
	const struct rootfs_node *first = node_at(root, s->hard_link, strlen(s->hard_link));

	FUZZ_HOLDS(first && first < &root->nodes[index] && !first->spec.hard_link && first->spec.type == s->type &&
		   s->type != FS_DIRECTORY);
}

static void check_tree(const struct layers *layers)
{
	enum { CHECKED_MAX = 500 };
	struct chain_error err = { .status = CHAIN_OK };
	struct rootfs root = { .image = -1 };

	if (fuzz_text_status(layers_emit(layers, &root, &err), &err) == CHAIN_OK)
		for (size_t i = 0; root.node_count <= CHECKED_MAX && i < root.node_count; i++)
			check_node(&root, i);
	rootfs_close(&root);
}

/* A byte for each letter and slash: paths that meet each other. */
static const char *path_take(const uint8_t **at, const uint8_t *end, char out[64])
{
	static const char *const parts[] = { "a", "b",  "/",     ".wh.a",          ".wh..wh..opq", "..", ".", "a/b",
					     "c", "/a", "a/b/c", "b/.wh..wh..opq", "\xff",         "é",  "",  ".wh." };
	size_t used = 0;

	out[0] = '\0';
	while (*at < end && **at < 0xf0 && used < 40)
		used += (size_t)snprintf(out + used, 64 - used, "%s", parts[*(*at)++ & 15]);
	*at += *at < end;
	return out;
}

static void fuzz_steps(const uint8_t *data, size_t size)
{
	static const enum fs_type types[] = { FS_REGULAR, FS_DIRECTORY, FS_DIRECTORY,    FS_SYMLINK,
					      FS_SYMLINK, FS_FIFO,      FS_BLOCK_DEVICE, FS_REGULAR };
	const uint8_t *at = data, *const end = data + size;
	const struct fs_xattr xattr = { "user.a", "1", 1 };
	struct layers *layers;

	FUZZ_HOLDS(layers_new(&layers, "steps", NULL) == CHAIN_OK);
	layers_begin(layers, true);
	while (at < end) {
		struct chain_error err = { .status = CHAIN_OK };
		const uint8_t what = *at++;
		char path[64], target[64];
		struct layers_entry entry = {
			.type = types[what & 7], .mode = what, .xattrs = &xattr, .xattr_count = what >> 7
		};

		if ((what & 0x38) == 0)
			layers_begin(layers, !(what & 0x40));
		entry.path = path_take(&at, end, path);
		if (entry.type == FS_SYMLINK)
			entry.target = path_take(&at, end, target);
		if ((what & 7) == 7)
			entry.hard_link = path_take(&at, end, target);
		(void)fuzz_text_status(layers_put(layers, &entry, &err), &err);
	}
	check_tree(layers);
	layers_free(layers);
}

static void fuzz_tar(const uint8_t *data, size_t size)
{
	struct chain_error err = { .status = CHAIN_OK };
	struct tar_stretch from = { .fd = memfd_create("tar", MFD_CLOEXEC), .bytes = size, .name = "t.tar" };
	uint8_t packed[CHAIN_SHA256_BYTES], unpacked[CHAIN_SHA256_BYTES];
	struct tar_spool spool;
	struct tar_reader *reader;
	struct layers *layers;

	FUZZ_HOLDS(from.fd >= 0 && write(from.fd, data, size) == (ssize_t)size);
	FUZZ_HOLDS(layers_new(&layers, "t.tar", NULL) == CHAIN_OK);
	layers_begin(layers, true);
	tar_spool_init(&spool, "/tmp");
	spool.least = 1 << 20;
	enum chain_status status = tar_open(&reader, &from, TAR_FILTER_ANY, true, &spool, &err);

	if (status == CHAIN_OK) {
		status = tar_read_layer(reader, layers, &err);
		if (status == CHAIN_OK)
			status = tar_finish(reader, packed, unpacked, &err);
		tar_close(reader);
	}
	(void)fuzz_text_status(status, &err);
	FUZZ_HOLDS(status != CHAIN_OK || spool.bytes <= tar_spool_limit(&spool));
	check_tree(layers);
	layers_free(layers);
	tar_spool_close(&spool);
	(void)close(from.fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const documents[])(const char *, size_t) = { fuzz_index, fuzz_manifest, fuzz_config,
								   fuzz_docker };
	enum { DOCUMENTS = sizeof(documents) / sizeof(documents[0]) };

	if (size == 0)
		return 0;
	const uint8_t what = data[0] & 7;

	if (what < DOCUMENTS)
		documents[what]((const char *)data + 1, size - 1);
	else if (what == DOCUMENTS)
		fuzz_tar(data + 1, size - 1);
	else
		fuzz_steps(data + 1, size - 1);
	return 0;
}
