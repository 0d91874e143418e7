/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: the config of an image (OCI image configuration, and docker's, which has the same members), and docker's
 * manifest.json. */

#include "container.h"
#include "document.h"
#include "image_json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- how the program is started --- */

/* An array of texts, or null; `out` ends with null. */
static enum chain_status texts_read(struct document *doc, const json_t *object, const char *key, struct rootfs *out,
				    const char **into, size_t *count)
{
	json_t *list, *value;
	size_t i;
	enum chain_status status = document_member_optional(doc, object, key, JSON_ARRAY, "an array of strings", &list);
	const size_t mark = chain_json_push_key(&doc->path, key);

	if (status || !list) {
		chain_json_pop(&doc->path, mark);
		return status;
	}
	json_array_foreach (list, i, value) {
		const char *text = json_string_value(value);

		if (!text) {
			(void)chain_json_push_index(&doc->path, i);
			return document_wrong(doc, value, "a string");
		}
		if (into)
			into[*count] = rootfs_text(out, text, strlen(text), doc->err);
		if (into && !into[*count])
			return CHAIN_E_NO_MEMORY;
		++*count;
	}
	chain_json_pop(&doc->path, mark);
	return CHAIN_OK;
}

/* Of one list, or of two behind each other. Null where there is nothing in them. */
static enum chain_status argv_read(struct document *doc, const json_t *config, const char *first, const char *second,
				   struct rootfs *out, const char ***out_list)
{
	size_t count = 0, done = 0;
	enum chain_status status = texts_read(doc, config, first, out, NULL, &count);

	if (!status && second)
		status = texts_read(doc, config, second, out, NULL, &count);
	if (status || count == 0)
		return status;
	const char **list = rootfs_memory(out, (count + 1) * sizeof(*list), doc->err);

	if (!list)
		return CHAIN_E_NO_MEMORY;
	status = texts_read(doc, config, first, out, list, &done);
	if (!status && second)
		status = texts_read(doc, config, second, out, list, &done);
	*out_list = list;
	return status;
}

static enum chain_status text_read(struct document *doc, const json_t *config, const char *key, struct rootfs *out,
				   const char **into)
{
	json_t *value;
	const enum chain_status status = document_member_optional(doc, config, key, JSON_STRING, "a string", &value);

	if (status || !value || json_string_length(value) == 0)
		return status; /* images leave what they don't say empty */
	*into = rootfs_text(out, json_string_value(value), json_string_length(value), doc->err);
	return *into ? CHAIN_OK : CHAIN_E_NO_MEMORY;
}

static enum chain_status env_check(struct document *doc, const struct rootfs_entry *entry)
{
	for (size_t i = 0; entry->env && entry->env[i]; i++)
		if (entry->env[i][0] == '=' || !strchr(entry->env[i], '='))
			return document_refuse(doc, CHAIN_E_JSON_TYPE, "Env: an element is not NAME=VALUE");
	return CHAIN_OK;
}

static int by_port(const void *a, const void *b)
{
	const struct rootfs_port *x = a, *y = b;

	return x->number != y->number ? (x->number < y->number ? -1 : 1) : (int)x->udp - (int)y->udp;
}

static enum chain_status ports_read(struct document *doc, const json_t *config, struct rootfs *out)
{
	const char *key;
	json_t *ports, *value;
	const enum chain_status status =
		document_member_optional(doc, config, "ExposedPorts", JSON_OBJECT, "an object", &ports);

	if (status || !ports || json_object_size(ports) == 0)
		return status;
	out->entry.ports = rootfs_memory(out, json_object_size(ports) * sizeof(*out->entry.ports), doc->err);
	if (!out->entry.ports)
		return CHAIN_E_NO_MEMORY;
	(void)chain_json_push_key(&doc->path, "ExposedPorts");
	json_object_foreach (ports, key, value) {
		(void)value; /* always an empty object */
		if (!rootfs_port_parse(key, &out->entry.ports[out->entry.port_count])) {
			(void)chain_json_push_key(&doc->path, key);
			return document_refuse(doc, CHAIN_E_JSON_TYPE, "not a port (80/tcp, 53/udp)");
		}
		out->entry.port_count++;
	}
	qsort(out->entry.ports, out->entry.port_count, sizeof(*out->entry.ports), by_port);
	return CHAIN_OK;
}

static enum chain_status entry_read(struct document *doc, const json_t *config, struct rootfs *out)
{
	struct rootfs_entry *entry = &out->entry;
	const size_t mark = chain_json_push_key(&doc->path, "config");
	enum chain_status status = argv_read(doc, config, "Entrypoint", "Cmd", out, &entry->argv);

	if (!status)
		status = argv_read(doc, config, "Env", NULL, out, &entry->env);
	if (!status)
		status = env_check(doc, entry);
	if (!status)
		status = text_read(doc, config, "WorkingDir", out, &entry->workdir);
	if (!status)
		status = text_read(doc, config, "User", out, &entry->user);
	if (!status)
		status = text_read(doc, config, "StopSignal", out, &entry->stop_signal);
	if (!status)
		status = ports_read(doc, config, out);
	if (!status)
		chain_json_pop(&doc->path, mark);
	return status;
}

/* --- layers and platform --- */

static enum chain_status platform_check(struct document *doc, const struct image_platform *platform)
{
	char detail[2 * CHAIN_SUBJECT_BYTES];
	const char *os, *architecture;
	enum chain_status status = document_member_text(doc, doc->root, "os", &os);

	if (!status)
		status = document_member_text(doc, doc->root, "architecture", &architecture);
	if (status || (strcmp(os, platform->os) == 0 && strcmp(architecture, platform->architecture) == 0))
		return status;
	(void)snprintf(detail, sizeof(detail), "%s/%s; there is %s/%s", platform->os, platform->architecture, os,
		       architecture);
	return document_refuse(doc, CHAIN_E_ROOT_PLATFORM, detail);
}

static enum chain_status diff_ids_read(struct document *doc, size_t layer_count, uint8_t (**out)[CHAIN_SHA256_BYTES])
{
	static const char algorithm[] = "sha256:";
	json_t *rootfs, *list, *value;
	size_t i;
	enum chain_status status = document_member(doc, doc->root, "rootfs", &rootfs);

	if (!status)
		status = document_member_list(doc, rootfs, "diff_ids", &list);
	if (status)
		return status;
	if (json_array_size(list) != layer_count)
		return CHAIN_FAIL(doc->err, ROOT_LAYERS, .subject = doc->subject, .layers = layer_count,
				  .ids = json_array_size(list));
	*out = calloc(layer_count + 1, sizeof(**out));
	if (!*out)
		return chain_fail_no_memory(doc->err, doc->subject, (layer_count + 1) * sizeof(**out));
	json_array_foreach (list, i, value) {
		const char *text = json_string_value(value);
		const size_t head = strlen(algorithm);

		if (text && strncmp(text, algorithm, head) == 0 &&
		    chain_sha256_from_hex(text + head, strlen(text + head), (*out)[i]))
			continue;
		(void)chain_json_push_key(&doc->path, "rootfs");
		(void)chain_json_push_key(&doc->path, "diff_ids");
		(void)chain_json_push_index(&doc->path, i);
		return document_refuse(doc, CHAIN_E_NOT_SUPPORTED, "a digest that is not of the form sha256:HEX");
	}
	return CHAIN_OK;
}

static enum chain_status config_read(struct document *doc, const struct image_platform *platform, size_t layer_count,
				     uint8_t (**out_diff_ids)[CHAIN_SHA256_BYTES], struct rootfs *out)
{
	json_t *config;
	enum chain_status status = platform_check(doc, platform);

	if (!status)
		status = diff_ids_read(doc, layer_count, out_diff_ids);
	if (!status)
		status = document_member_optional(doc, doc->root, "config", JSON_OBJECT, "an object", &config);
	return !status && config ? entry_read(doc, config, out) : status;
}

enum chain_status image_config_read(const char *text, size_t bytes, const char *subject,
				    const struct image_platform *platform, size_t layer_count,
				    uint8_t (**out_diff_ids)[CHAIN_SHA256_BYTES], struct rootfs *out,
				    struct chain_error *err)
{
	struct document doc;
	enum chain_status status = document_open(&doc, text, bytes, CONTAINER_TEXT_BYTES, false, subject, err);

	*out_diff_ids = NULL;
	if (status)
		return status;
	status = config_read(&doc, platform, layer_count, out_diff_ids, out);
	json_decref(doc.root);
	if (status) {
		free(*out_diff_ids);
		*out_diff_ids = NULL;
	}
	return status;
}

/* --- docker's manifest.json --- */

void image_docker_free(struct image_docker *docker)
{
	for (size_t i = 0; docker->layers && i < docker->layer_count; i++)
		free(docker->layers[i]);
	free(docker->layers);
	free(docker->config);
	*docker = (struct image_docker){ 0 };
}

/* Whether an image of the list is the one that is meant; notes its tags. */
static enum chain_status docker_is(struct document *doc, const json_t *image, const char *tag, struct words *words,
				   bool *out)
{
	json_t *tags, *value;
	size_t i;
	const enum chain_status status =
		document_member_optional(doc, image, "RepoTags", JSON_ARRAY, "an array of strings", &tags);

	*out = !tag;
	if (status || !tags)
		return status;
	json_array_foreach (tags, i, value) {
		const char *name = json_string_value(value);

		if (!name)
			return document_wrong(doc, value, "a string in RepoTags");
		document_words_add(words, name);
		*out = *out || image_tag_is(name, tag);
	}
	return CHAIN_OK;
}

static enum chain_status docker_find(struct document *doc, const char *tag, const json_t **out)
{
	char detail[3 * CHAIN_SUBJECT_BYTES];
	struct words words = { .used = 0 };
	const json_t *image;
	size_t i, found = 0;

	json_array_foreach (doc->root, i, image) {
		const size_t mark = chain_json_push_index(&doc->path, i);
		bool is;

		if (!json_is_object(image))
			return document_wrong(doc, image, "an object");
		const enum chain_status status = docker_is(doc, image, tag, &words, &is);

		if (status)
			return status;
		if (is && found++ == 0)
			*out = image;
		chain_json_pop(&doc->path, mark);
	}
	if (found == 1)
		return CHAIN_OK;
	const char *said = tag ? tag : "";

	(void)snprintf(detail, sizeof(detail), "%s%s%s; %s%s",
		       found > 0 ? "which image is meant is not said" : "no image '", found > 0 ? "" : said,
		       found > 0 ? "" : "' is in it", words.used > 0 ? "there is " : "none has a tag", words.text);
	return document_refuse(doc, CHAIN_E_ROOT_TAG, detail);
}

static enum chain_status docker_read(struct document *doc, const json_t *image, struct image_docker *out)
{
	const char *config;
	json_t *list, *value;
	size_t i;
	enum chain_status status = document_member_text(doc, image, "Config", &config);

	if (!status)
		status = document_member_list(doc, image, "Layers", &list);
	if (status)
		return status;
	if (json_array_size(list) > CONTAINER_LAYERS_MAX)
		return CHAIN_FAIL(doc->err, LIMIT, .subject = doc->subject, .detail = "layers",
				  .value = json_array_size(list), .limit = CONTAINER_LAYERS_MAX);
	out->config = strdup(config);
	out->layers = calloc(json_array_size(list) + 1, sizeof(*out->layers));
	if (!out->config || !out->layers)
		return chain_fail_no_memory(doc->err, doc->subject, strlen(config) + 1);
	json_array_foreach (list, i, value) {
		if (!json_is_string(value))
			return document_wrong(doc, value, "a string in Layers");
		out->layers[i] = strdup(json_string_value(value));
		if (!out->layers[i])
			return chain_fail_no_memory(doc->err, doc->subject, json_string_length(value) + 1);
		out->layer_count++;
	}
	return CHAIN_OK;
}

enum chain_status image_docker_select(const char *text, size_t bytes, const char *subject, const char *tag,
				      struct image_docker *out, struct chain_error *err)
{
	const json_t *image = NULL;
	struct document doc;
	enum chain_status status = document_open(&doc, text, bytes, CONTAINER_TEXT_BYTES, true, subject, err);

	*out = (struct image_docker){ 0 };
	if (status)
		return status;
	status = docker_find(&doc, tag, &image);
	if (!status)
		status = docker_read(&doc, image, out);
	json_decref(doc.root);
	if (status)
		image_docker_free(out);
	return status;
}
