/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "dealt.h"

#include "inputs.h"
#include "lines.h"

#include "chain/json.h"
#include "chain/json_memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct dealt {
	const char *path; /* borrowed */
	int fd;
	struct lines lines;
	uint64_t total;
};

void dealt_write_head(FILE *to, uint64_t total)
{
	fprintf(to, "{\"kchain_dealt\":1,\"count\":%llu}\n", (unsigned long long)total);
}

void dealt_write_job(FILE *to, const struct job *job)
{
	fprintf(to, "{\"block\":%s,\"indices\":[", job->block ? "true" : "false");
	for (size_t i = 0; i < job->count; i++)
		fprintf(to, "%s%llu", i ? "," : "", (unsigned long long)job->indices[i]);
	fputs("],\"state\":{", to);
	fwrite(job->state, 1, job->used, to);
	fputs("}}\n", to);
}

static enum chain_status bad(const struct dealt *dealt, const char *why, struct chain_error *err)
{
	return CHAIN_FAIL(err, SWEEP_INPUT, .subject = dealt->path, .line = dealt->lines.line, .detail = why);
}

/* New; null in *out at the end. */
static enum chain_status next_object(struct dealt *dealt, json_t **out, struct chain_error *err)
{
	const char *text;
	size_t bytes;
	*out = NULL;
	enum chain_status status = lines_next(&dealt->lines, &text, &bytes, err);
	if (status || !text)
		return status;
	status = chain_json_any(text, bytes, CHAIN_JSON_DEPTH_MAX, dealt->path, out, NULL);
	if (status == CHAIN_E_NO_MEMORY)
		return chain_json_no_memory(err, dealt->path);
	if (!status && json_is_object(*out))
		return CHAIN_OK;
	json_decref(*out);
	*out = NULL;
	return bad(dealt, "no object that was dealt out", err);
}

static enum chain_status read_head(struct dealt *dealt, struct chain_error *err)
{
	json_t *head;
	enum chain_status status = next_object(dealt, &head, err);
	if (status)
		return status;
	const json_int_t total = json_integer_value(json_object_get(head, "count"));
	if (json_integer_value(json_object_get(head, "kchain_dealt")) != 1 || total < 1 || total > INPUTS_INSTANCES_MAX)
		status = bad(dealt, "no \"kchain_dealt\" of version 1 with its \"count\"", err);
	dealt->total = (uint64_t)total;
	json_decref(head);
	return status;
}

enum chain_status dealt_open(struct dealt **out, const char *path, struct chain_error *err)
{
	struct dealt *dealt = calloc(1, sizeof(*dealt));
	if (!dealt)
		return chain_fail_no_memory(err, path, sizeof(*dealt));
	*dealt = (struct dealt){ .path = path, .fd = open(path, O_RDONLY | O_CLOEXEC) };
	enum chain_status status = dealt->fd < 0 ? chain_fail_text(err, CHAIN_E_IO, path, strerror(errno)) :
						   lines_open(&dealt->lines, dealt->fd, path, err);
	if (!status)
		status = read_head(dealt, err);
	if (status)
		dealt_close(dealt);
	else
		*out = dealt;
	return status;
}

void dealt_close(struct dealt *dealt)
{
	if (!dealt)
		return;
	lines_close(&dealt->lines);
	if (dealt->fd >= 0)
		close(dealt->fd);
	free(dealt);
}

uint64_t dealt_index_end(const struct dealt *dealt)
{
	return dealt->total;
}

static enum chain_status take_indices(const struct dealt *dealt, const json_t *list, struct job *job,
				      struct chain_error *err)
{
	const size_t count = json_array_size(list);
	uint64_t *grown = count && count <= JOB_COUNT_MAX ? realloc(job->indices, count * sizeof(*grown)) : NULL;
	if (!grown)
		return count && count <= JOB_COUNT_MAX ?
			       chain_fail_no_memory(err, dealt->path, count * sizeof(*grown)) :
			       bad(dealt, "no \"indices\"", err);
	job->indices = grown;
	job->room = job->count = count;
	for (size_t i = 0; i < count; i++) {
		const json_t *index = json_array_get(list, i);
		grown[i] = (uint64_t)json_integer_value(index);
		if (!json_is_integer(index) || grown[i] >= dealt->total)
			return bad(dealt, "an index that is not in the sweep", err);
	}
	return CHAIN_OK;
}

/* The members as a job keeps them: without the braces. */
static enum chain_status take_state(const struct dealt *dealt, const json_t *state, struct job *job,
				    struct chain_error *err)
{
	char *text = json_is_object(state) ? json_dumps(state, JSON_COMPACT) : NULL;
	if (!text)
		return json_is_object(state) ? chain_json_no_memory(err, dealt->path) : bad(dealt, "no \"state\"", err);
	free(job->state);
	job->used = strlen(text) - 2;
	job->state_room = job->used + 3;
	memmove(text, text + 1, job->used);
	job->state = text;
	return CHAIN_OK;
}

static enum chain_status take(const struct dealt *dealt, const json_t *doc, struct job *job, struct chain_error *err)
{
	const json_t *state = json_object_get(doc, "state");
	job_begin(job, json_is_true(json_object_get(doc, "block")));
	enum chain_status status = take_indices(dealt, json_object_get(doc, "indices"), job, err);
	if (!status && (job->block ? json_array_size(json_object_get(state, "inputs")) : 1) != job->count)
		status = bad(dealt, "other \"inputs\" than \"indices\"", err);
	return status ? status : take_state(dealt, state, job, err);
}

static bool is_missing(const struct results *results, const struct job *job)
{
	for (size_t i = 0; i < job->count; i++)
		if (results_lacks(results, job->indices[i]))
			return true;
	return false;
}

enum chain_status dealt_next(struct dealt *dealt, const struct results *results, struct job *job, bool *out_more,
			     struct chain_error *err)
{
	json_t *doc = NULL;
	enum chain_status status;
	do {
		status = next_object(dealt, &doc, err);
		*out_more = doc != NULL;
		if (!status && doc)
			status = take(dealt, doc, job, err);
		json_decref(doc);
	} while (!status && *out_more && !is_missing(results, job));
	return status;
}
