/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Which kernels a fan-out has. */

#include "chain/fanout.h"

#include "chain/fact.h"
#include "chain/json_memory.h"
#include "chain/json_write.h"

#include "chain/source.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SCHEME_BYTES_MAX = 16 };

static enum chain_status no_memory(const char *subject, uint64_t bytes, struct chain_error *err)
{
	return chain_fail_no_memory(err, subject, bytes);
}

/* Steals `value`, which is null when memory ran out. */
static enum chain_status add_input(struct chain_fanout_set *set, json_t *value, const char *subject,
				   struct chain_error *err)
{
	char *text = value ? chain_json_text(value, 0, NULL) : NULL;
	json_decref(value);
	if (!text)
		return chain_json_no_memory(err, subject);
	set->inputs[set->count++] = text;
	return CHAIN_OK;
}

static enum chain_status make_room(struct chain_fanout_set *set, size_t count, const char *subject,
				   struct chain_error *err)
{
	set->inputs = calloc(count, sizeof(*set->inputs));
	return set->inputs ? CHAIN_OK : no_memory(subject, count * sizeof(*set->inputs), err);
}

static enum chain_status expand_list(const struct chain_step *step, const json_t *list, struct chain_fanout_set *out,
				     struct chain_error *err)
{
	enum chain_status status = CHAIN_OK;
	for (size_t i = 0; !status && i < json_array_size(list); i++)
		status = add_input(out, json_incref(json_array_get(list, i)), step->name, err);
	return status;
}

/* Removes what a path of keys leads to; what `object` shares with others is copied on the way there. */
static int remove_at(json_t *object, const char *path)
{
	char key[CHAIN_FACT_MAX + 1];
	for (const char *dot; (dot = strchr(path, '.')); path = dot + 1) {
		snprintf(key, sizeof(key), "%.*s", (int)(dot - path), path);
		json_t *copy = chain_json_shallow(json_object_get(object, key));
		if (json_object_set_new(object, key, copy))
			return -1;
		object = copy;
	}
	return json_object_del(object, path);
}

enum chain_status chain_fanout_resolve(const struct chain_step *step, json_t *handoff, json_t **out,
				       struct chain_error *err)
{
	const char *from = step->fanout.from;
	*out = NULL;
	enum chain_status status = from ? chain_fact_value(handoff, from, out, err) : CHAIN_OK;
	if (status || step->fanout.kind != CHAIN_FANOUT_LIST || !json_is_array(*out) || !remove_at(handoff, from))
		return status;
	json_decref(*out);
	*out = NULL;
	return chain_json_no_memory(err, step->name);
}

/* How many kernels a value of the state asks for. It is a stranger's: any JSON. */
static enum chain_status count_from(const struct chain_step *step, const json_t *value, json_int_t *out,
				    struct chain_error *err)
{
	const bool list = step->fanout.kind == CHAIN_FANOUT_LIST;
	char text[CHAIN_SUBJECT_BYTES];
	if (!value)
		return chain_fail_text(err, CHAIN_E_FANOUT_ABSENT, step->name, step->fanout.from);
	if (list ? !json_is_array(value) : !json_is_integer(value)) {
		snprintf(text, sizeof(text), "%.200s is no %s", step->fanout.from, list ? "list" : "whole number");
		return chain_fail_text(err, CHAIN_E_FANOUT_STATE, step->name, text);
	}
	*out = list ? (json_int_t)json_array_size(value) : json_integer_value(value);
	if (*out < 0) {
		snprintf(text, sizeof(text), "%.200s is negative", step->fanout.from);
		return chain_fail_text(err, CHAIN_E_FANOUT_STATE, step->name, text);
	}
	if (*out < 1 || *out > CHAIN_FANOUT_MAX)
		return CHAIN_FAIL(err, FANOUT_COUNT, .subject = step->name, .detail = step->fanout.from,
				  .count = (uint64_t)*out, .limit = CHAIN_FANOUT_MAX);
	return CHAIN_OK;
}

/* A number of kernels, or a list with a value for each, that the state says. */
static enum chain_status expand_from(const struct chain_step *step, const json_t *value, struct chain_fanout_set *out,
				     struct chain_error *err)
{
	json_int_t count = 0;
	enum chain_status status = count_from(step, value, &count, err);
	if (!status && step->fanout.kind == CHAIN_FANOUT_LIST) {
		status = make_room(out, (size_t)count, step->name, err);
		if (!status)
			status = expand_list(step, value, out, err);
	} else if (!status) {
		out->count = (size_t)count;
	}
	return status;
}

/* '*' any characters, '?' one byte; a leading dot is matched by a dot only, as in a shell. */
static bool matches(const char *pattern, const char *name, size_t name_bytes)
{
	const char *star = NULL, *end = name + name_bytes, *resume = name;
	if (name_bytes && *name == '.' && *pattern != '.')
		return false;
	while (name < end) {
		if (*pattern == '*') {
			star = ++pattern;
			resume = name;
		} else if (*pattern && (*pattern == '?' || *pattern == *name)) {
			pattern++;
			name++;
		} else if (star) {
			pattern = star;
			name = ++resume;
		} else {
			return false;
		}
	}
	while (*pattern == '*')
		pattern++;
	return !*pattern;
}

struct listing {
	const struct chain_step *step;
	const struct chain_image *image;
	struct chain_fanout_set *out;
	const char *pattern; /* the last component */
	size_t folder_bytes; /* of the path, up to and with the last slash */
	size_t room;
};

static enum chain_status add_file(struct listing *l, const char *name, size_t name_bytes, struct chain_error *err)
{
	char path[CHAIN_IMAGE_PATH_BYTES + SCHEME_BYTES_MAX];
	const uint8_t *bytes;
	uint64_t count;
	if (l->folder_bytes + name_bytes >= sizeof(path))
		return CHAIN_FAIL(err, LIMIT, .subject = l->step->name, .detail = "bytes of path",
				  .value = l->folder_bytes + name_bytes, .limit = sizeof(path) - 1);
	memcpy(path, l->step->fanout.path, l->folder_bytes);
	memcpy(path + l->folder_bytes, name, name_bytes);
	path[l->folder_bytes + name_bytes] = '\0';
	enum chain_status status = chain_image_file(l->image, chain_source_path(path), &bytes, &count, NULL, err);
	if (status)
		return status;
	json_t *value = json_string(path);
	if (!value && chain_is_utf8(path))
		return no_memory(l->step->name, sizeof(path), err);
	if (!value)
		return CHAIN_FAIL(err, FANOUT_NAME, .subject = l->step->name, .index = l->out->count);
	return add_input(l->out, value, l->step->name, err);
}

static enum chain_status visit(void *ctx, const struct fs_dirent *entry, struct chain_error *err)
{
	struct listing *l = ctx;
	if ((entry->type != FS_REGULAR && entry->type != FS_SYMLINK) ||
	    !matches(l->pattern, entry->name, entry->name_bytes))
		return CHAIN_OK;
	if (l->out->count == CHAIN_FANOUT_MAX)
		return CHAIN_FAIL(err, LIMIT, .subject = l->step->name, .detail = "files",
				  .value = CHAIN_FANOUT_MAX + 1, .limit = CHAIN_FANOUT_MAX);
	if (l->out->count == l->room) {
		size_t room = 2 * l->room + 16;
		char **grown = realloc(l->out->inputs, room * sizeof(*grown));
		if (!grown)
			return no_memory(l->step->name, room * sizeof(*grown), err);
		l->out->inputs = grown;
		l->room = room;
	}
	return add_file(l, entry->name, entry->name_bytes, err);
}

static enum chain_status expand_each(const struct chain_step *step, const struct chain_image *image,
				     struct chain_fanout_set *out, struct chain_error *err)
{
	const char *slash = strrchr(step->fanout.path, '/');
	struct listing l = { .step = step,
			     .image = image,
			     .out = out,
			     .pattern = slash + 1,
			     .folder_bytes = (size_t)(slash + 1 - step->fanout.path) };
	struct fs_node folder;
	char path[CHAIN_IMAGE_PATH_BYTES];
	const char *in_image = chain_source_path(step->fanout.path); /* the pipeline was refused if it is none */
	size_t folder_bytes = (size_t)(slash + 1 - in_image);
	if (folder_bytes >= sizeof(path))
		return CHAIN_FAIL(err, LIMIT, .subject = step->name, .detail = "bytes of path", .value = l.folder_bytes,
				  .limit = sizeof(path));
	memcpy(path, in_image, folder_bytes);
	path[folder_bytes] = '\0';
	enum chain_status status = fs_lookup(&image->fs, path, true, &folder, err);
	if (!status)
		status = fs_read_dir(&image->fs, &folder, visit, &l, err);
	if (!status && !out->count)
		return chain_fail_text(err, CHAIN_E_FANOUT_EMPTY, step->name, step->fanout.path);
	return status;
}

static enum chain_status expand_slices(const struct chain_step *step, const struct chain_image *image,
				       struct chain_fanout_set *out, struct chain_error *err)
{
	const struct chain_config_fanout *fanout = &step->fanout;
	const uint8_t *bytes;
	uint64_t size, begin = 0;
	enum chain_status status = chain_image_file(image, chain_source_path(fanout->path), &bytes, &size, NULL, err);
	for (uint64_t i = 1; !status && i <= fanout->count; i++) {
		uint64_t end = size / fanout->count * i + size % fanout->count * i / fanout->count;
		if (end < begin)
			end = begin;
		if (!fanout->at_byte && end < size && end > begin && bytes[end - 1] != '\n') {
			const uint8_t *line = memchr(bytes + end, '\n', size - end);
			end = line ? (uint64_t)(line + 1 - bytes) : size;
		}
		status = add_input(out,
				   chain_json_object(CHAIN_TEXT("file", fanout->path),
						     CHAIN_INT("offset", (json_int_t)begin),
						     CHAIN_INT("bytes", (json_int_t)(end - begin))),
				   step->name, err);
		begin = end;
	}
	return status;
}

enum chain_status chain_fanout_expand(const struct chain_step *step, const struct chain_image *image,
				      const json_t *resolved, struct chain_fanout_set *out, struct chain_error *err)
{
	const struct chain_config_fanout *fanout = &step->fanout;
	*out = (struct chain_fanout_set){ 0 };
	bool listed = !fanout->from && (fanout->kind == CHAIN_FANOUT_LIST || fanout->kind == CHAIN_FANOUT_SLICES);
	enum chain_status status = listed ? make_room(out, fanout->count, step->name, err) : CHAIN_OK;
	if (!status && fanout->from)
		status = expand_from(step, resolved, out, err);
	else if (!status && fanout->kind == CHAIN_FANOUT_EACH)
		status = expand_each(step, image, out, err);
	else if (!status && fanout->kind == CHAIN_FANOUT_SLICES)
		status = expand_slices(step, image, out, err);
	else if (!status && fanout->kind == CHAIN_FANOUT_LIST)
		status = expand_list(step, fanout->list, out, err);
	else if (!status)
		out->count = fanout->count;
	if (!status)
		status = chain_config_check_assigned(step, out->count, step->name, err);
	if (status)
		chain_fanout_set_free(out);
	return status;
}

void chain_fanout_set_free(struct chain_fanout_set *set)
{
	for (size_t i = 0; set->inputs && i < set->count; i++)
		free(set->inputs[i]);
	free(set->inputs);
	*set = (struct chain_fanout_set){ 0 };
}

size_t chain_fanout_required(const struct chain_config_fanout *fanout, size_t count)
{
	if (fanout->require_percent)
		return (count * fanout->require_percent + 99) / 100;
	return fanout->require_count < count ? fanout->require_count : count;
}
