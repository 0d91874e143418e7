/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: see image_json.h. Keys that are not known are passed over, as the specification wants it. */

#include "image_json.h"
#include "container.h"
#include "document.h"

#include <archive.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- descriptors --- */

static const struct media {
	const char *name;
	enum image_kind kind;
	int filter;
} medias[] = {
	{ "application/vnd.oci.image.index.v1+json", IMAGE_INDEX, 0 },
	{ "application/vnd.docker.distribution.manifest.list.v2+json", IMAGE_INDEX, 0 },
	{ "application/vnd.oci.image.manifest.v1+json", IMAGE_MANIFEST, 0 },
	{ "application/vnd.docker.distribution.manifest.v2+json", IMAGE_MANIFEST, 0 },
	{ "application/vnd.oci.image.config.v1+json", IMAGE_CONFIG, 0 },
	{ "application/vnd.docker.container.image.v1+json", IMAGE_CONFIG, 0 },
	{ "application/vnd.oci.image.layer.v1.tar", IMAGE_LAYER, ARCHIVE_FILTER_NONE },
	{ "application/vnd.oci.image.layer.v1.tar+gzip", IMAGE_LAYER, ARCHIVE_FILTER_GZIP },
	{ "application/vnd.oci.image.layer.v1.tar+zstd", IMAGE_LAYER, ARCHIVE_FILTER_ZSTD },
	{ "application/vnd.oci.image.layer.nondistributable.v1.tar", IMAGE_LAYER, ARCHIVE_FILTER_NONE },
	{ "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", IMAGE_LAYER, ARCHIVE_FILTER_GZIP },
	{ "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd", IMAGE_LAYER, ARCHIVE_FILTER_ZSTD },
	{ "application/vnd.docker.image.rootfs.diff.tar", IMAGE_LAYER, ARCHIVE_FILTER_NONE },
	{ "application/vnd.docker.image.rootfs.diff.tar.gzip", IMAGE_LAYER, ARCHIVE_FILTER_GZIP },
	{ "application/vnd.docker.image.rootfs.diff.tar.zstd", IMAGE_LAYER, ARCHIVE_FILTER_ZSTD },
	{ "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", IMAGE_LAYER, ARCHIVE_FILTER_GZIP },
};

static const struct media *media_find(const char *name)
{
	for (size_t i = 0; i < sizeof(medias) / sizeof(medias[0]); i++)
		if (strcmp(name, medias[i].name) == 0)
			return &medias[i];
	return NULL;
}

static enum chain_status digest_read(struct document *doc, const char *text, uint8_t out[CHAIN_SHA256_BYTES])
{
	static const char algorithm[] = "sha256:";
	const size_t head = strlen(algorithm);

	if (strncmp(text, algorithm, head) == 0 && chain_sha256_from_hex(text + head, strlen(text + head), out))
		return CHAIN_OK;
	return document_refuse(doc, CHAIN_E_NOT_SUPPORTED, "a digest that is not of the form sha256:HEX");
}

/* `last`: the kinds that it may be are those from `first` to this one. */
static enum chain_status descriptor_read(struct document *doc, const json_t *value, enum image_kind first,
					 enum image_kind last, struct image_descriptor *out)
{
	const char *type, *digest;
	json_t *size;
	enum chain_status status = document_member_text(doc, value, "mediaType", &type);
	const struct media *media = !status ? media_find(type) : NULL;

	if (!status && (!media || media->kind < first || media->kind > last))
		status = document_refuse(doc, CHAIN_E_ROOT_MEDIA, type);
	if (!status)
		status = document_member_text(doc, value, "digest", &digest);
	if (!status)
		status = digest_read(doc, digest, out->digest);
	if (!status)
		status = document_member(doc, value, "size", &size);
	if (status)
		return status;
	if (!json_is_integer(size) || json_integer_value(size) < 0)
		return document_wrong(doc, size, "a size");
	out->bytes = (uint64_t)json_integer_value(size);
	out->kind = media->kind;
	out->filter = media->filter;
	return CHAIN_OK;
}

/* --- the index --- */

bool image_platform_parse(const char *text, struct image_platform *out)
{
	const char *slash = strchr(text, '/');
	const size_t os = slash ? (size_t)(slash - text) : 0, architecture = slash ? strlen(slash + 1) : 0;

	if (os == 0 || os >= sizeof(out->os) || architecture == 0 || architecture >= sizeof(out->architecture) ||
	    strchr(slash + 1, '/'))
		return false;
	(void)snprintf(out->os, sizeof(out->os), "%.*s", (int)os, text);
	(void)snprintf(out->architecture, sizeof(out->architecture), "%s", slash + 1);
	return true;
}

/* What an index says of one of its manifests. */
struct listed {
	const json_t *value;
	const char *tag;                         /* null: none */
	const char *os, *architecture, *variant; /* null: not said */
};

static enum chain_status listed_read(struct document *doc, const json_t *value, struct listed *out)
{
	json_t *notes, *tag = NULL, *platform, *os = NULL, *architecture = NULL, *variant = NULL;

	*out = (struct listed){ .value = value };
	if (!json_is_object(value))
		return document_wrong(doc, value, "an object");
	enum chain_status status =
		document_member_optional(doc, value, "annotations", JSON_OBJECT, "an object", &notes);

	if (!status && notes)
		status = document_member_optional(doc, notes, "org.opencontainers.image.ref.name", JSON_STRING,
						  "a string", &tag);
	if (!status)
		status = document_member_optional(doc, value, "platform", JSON_OBJECT, "an object", &platform);
	if (!status && platform)
		status = document_member_optional(doc, platform, "os", JSON_STRING, "a string", &os);
	if (!status && platform)
		status =
			document_member_optional(doc, platform, "architecture", JSON_STRING, "a string", &architecture);
	if (!status && platform)
		status = document_member_optional(doc, platform, "variant", JSON_STRING, "a string", &variant);
	out->tag = json_string_value(tag);
	out->os = json_string_value(os);
	out->architecture = json_string_value(architecture);
	out->variant = json_string_value(variant);
	return status;
}

bool image_tag_is(const char *name, const char *tag)
{
	const char *colon = strrchr(name, ':');

	return strcmp(name, tag) == 0 || (colon && !strchr(colon, '/') && strcmp(colon + 1, tag) == 0);
}

/* 0: another one; else the higher, the better. Any processor of an architecture runs what asks for no variant. */
static unsigned platform_rank(const struct listed *listed, const struct image_platform *platform)
{
	if (!listed->os && !listed->architecture)
		return 1; /* the config says it */
	if (!listed->os || !listed->architecture || strcmp(listed->os, platform->os) != 0 ||
	    strcmp(listed->architecture, platform->architecture) != 0)
		return 0;
	return !listed->variant || strcmp(listed->variant, "v1") == 0 ? 3 : 2;
}

struct selection {
	const char *tag;
	const struct image_platform *platform;
	struct listed best;
	unsigned rank;
	bool many;                    /* different tags are there, and none was asked for */
	struct words tags, platforms; /* that were found; platforms: of the tag */
	bool tagged;                  /* the tag was found */
};

static void consider(struct selection *s, const struct listed *listed)
{
	char platform[CHAIN_SUBJECT_BYTES];
	const unsigned rank = platform_rank(listed, s->platform);

	if (listed->tag)
		document_words_add(&s->tags, listed->tag);
	if (s->tag && !(listed->tag && image_tag_is(listed->tag, s->tag)))
		return;
	s->tagged = true;
	if (listed->os || listed->architecture) {
		(void)snprintf(platform, sizeof(platform), "%s/%s", listed->os ? listed->os : "?",
			       listed->architecture ? listed->architecture : "?");
		document_words_add(&s->platforms, platform);
	}
	if (rank == 0)
		return;
	if (!s->tag && s->best.value && (listed->tag != s->best.tag) &&
	    (!listed->tag || !s->best.tag || strcmp(listed->tag, s->best.tag) != 0))
		s->many = true;
	if (rank > s->rank) {
		s->best = *listed;
		s->rank = rank;
	} else if (rank == s->rank && !s->tag && !listed->tag && rank == 1) {
		s->many = true; /* two that say nothing of themselves */
	}
}

static enum chain_status selection_judge(struct document *doc, const struct selection *s)
{
	char detail[3 * CHAIN_SUBJECT_BYTES];
	const bool tags = s->tags.used > 0;

	doc->path.at[0] = '\0';
	if (s->tag && !s->tagged) {
		(void)snprintf(detail, sizeof(detail), "no image '%s' is in it; %s%s", s->tag,
			       tags ? "there is " : "none has a tag", s->tags.text);
		return document_refuse(doc, CHAIN_E_ROOT_TAG, detail);
	}
	if (s->many) {
		(void)snprintf(detail, sizeof(detail), "which image is meant is not said; %s%s",
			       tags ? "there is " : "none has a tag", s->tags.text);
		return document_refuse(doc, CHAIN_E_ROOT_TAG, detail);
	}
	if (s->best.value)
		return CHAIN_OK;
	(void)snprintf(detail, sizeof(detail), "%s/%s; %s%s", s->platform->os, s->platform->architecture,
		       s->platforms.used > 0 ? "there is " : "it is empty", s->platforms.text);
	return document_refuse(doc, CHAIN_E_ROOT_PLATFORM, detail);
}

static enum chain_status index_select(struct document *doc, struct selection *s, struct image_descriptor *out)
{
	json_t *list, *value;
	size_t i;
	enum chain_status status = document_member_list(doc, doc->root, "manifests", &list);

	if (status)
		return status;
	const size_t mark = chain_json_push_key(&doc->path, "manifests");

	json_array_foreach (list, i, value) {
		const size_t inner = chain_json_push_index(&doc->path, i);
		struct listed listed;

		status = listed_read(doc, value, &listed);
		if (status)
			return status;
		consider(s, &listed);
		chain_json_pop(&doc->path, inner);
	}
	chain_json_pop(&doc->path, mark);
	status = selection_judge(doc, s);
	return status ? status : descriptor_read(doc, s->best.value, IMAGE_INDEX, IMAGE_MANIFEST, out);
}

enum chain_status image_index_select(const char *text, size_t bytes, const char *subject, const char *tag,
				     const struct image_platform *platform, struct image_descriptor *out,
				     struct chain_error *err)
{
	struct selection s = { .tag = tag, .platform = platform };
	struct document doc;
	enum chain_status status = document_open(&doc, text, bytes, CONTAINER_TEXT_BYTES, false, subject, err);

	*out = (struct image_descriptor){ 0 };
	if (status)
		return status;
	status = index_select(&doc, &s, out);
	json_decref(doc.root);
	return status;
}

/* --- the manifest --- */

void image_manifest_free(struct image_manifest *manifest)
{
	free(manifest->layers);
	*manifest = (struct image_manifest){ 0 };
}

static enum chain_status count_check(struct document *doc, size_t count)
{
	return count <= CONTAINER_LAYERS_MAX ? CHAIN_OK :
					       CHAIN_FAIL(doc->err, LIMIT, .subject = doc->subject, .detail = "layers",
							  .value = count, .limit = CONTAINER_LAYERS_MAX);
}

static enum chain_status manifest_read(struct document *doc, struct image_manifest *out)
{
	json_t *config, *list, *value;
	size_t i, mark;
	enum chain_status status = document_member(doc, doc->root, "config", &config);

	if (!status) {
		mark = chain_json_push_key(&doc->path, "config");
		status = descriptor_read(doc, config, IMAGE_CONFIG, IMAGE_CONFIG, &out->config);
		chain_json_pop(&doc->path, mark);
	}
	if (!status)
		status = document_member_list(doc, doc->root, "layers", &list);
	if (!status)
		status = count_check(doc, json_array_size(list));
	if (status)
		return status;
	out->layers = calloc(json_array_size(list) + 1, sizeof(*out->layers));
	if (!out->layers)
		return chain_fail_no_memory(doc->err, doc->subject, (json_array_size(list) + 1) * sizeof(*out->layers));
	(void)chain_json_push_key(&doc->path, "layers");
	json_array_foreach (list, i, value) {
		mark = chain_json_push_index(&doc->path, i);
		status = descriptor_read(doc, value, IMAGE_LAYER, IMAGE_LAYER, &out->layers[i]);
		if (status)
			return status;
		chain_json_pop(&doc->path, mark);
	}
	out->layer_count = json_array_size(list);
	return CHAIN_OK;
}

enum chain_status image_manifest_read(const char *text, size_t bytes, const char *subject, struct image_manifest *out,
				      struct chain_error *err)
{
	struct document doc;
	enum chain_status status = document_open(&doc, text, bytes, CONTAINER_TEXT_BYTES, false, subject, err);

	*out = (struct image_manifest){ 0 };
	if (status)
		return status;
	status = manifest_read(&doc, out);
	json_decref(doc.root);
	if (status)
		image_manifest_free(out);
	return status;
}
