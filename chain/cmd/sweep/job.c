/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "job.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* SplitMix64 (Steele, Lea and Flood, 2014): each number of the sequence is had without those before it. */
static uint64_t mix(uint64_t seed, uint64_t n)
{
	uint64_t z = seed + (n + 1) * 0x9e3779b97f4a7c15;
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

uint64_t job_seed(uint64_t seed, uint64_t n)
{
	return mix(seed, n) >> 11;
}

void job_begin(struct job *job, bool block)
{
	job->count = job->used = 0;
	job->block = block;
	job->tries = 0;
}

void job_free(struct job *job)
{
	free(job->indices);
	free(job->state);
	*job = (struct job){ 0 };
}

static enum chain_status reserve(struct job *job, size_t more, struct chain_error *err)
{
	if (job->state_room - job->used >= more)
		return CHAIN_OK;
	size_t room = 2 * (job->used + more);
	char *grown = realloc(job->state, room);
	if (!grown)
		return chain_fail_no_memory(err, "an instance's state", room);
	job->state = grown;
	job->state_room = room;
	return CHAIN_OK;
}

static void put(struct job *job, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void put(struct job *job, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	job->used += (size_t)vsnprintf(job->state + job->used, job->state_room - job->used, format, args);
	va_end(args);
}

static enum chain_status note_index(struct job *job, uint64_t index, struct chain_error *err)
{
	if (job->count == job->room) {
		size_t room = job->room ? 2 * job->room : 1;
		uint64_t *grown = realloc(job->indices, room * sizeof(*grown));
		if (!grown)
			return chain_fail_no_memory(err, "an instance's state", room * sizeof(*grown));
		job->indices = grown;
		job->room = room;
	}
	job->indices[job->count++] = index;
	return CHAIN_OK;
}

enum chain_status job_add(struct job *job, const struct job_input *input, struct chain_error *err)
{
	enum chain_status status = reserve(job, input->bytes + JOB_INPUT_MORE + 16, err);
	if (!status)
		status = note_index(job, input->index, err);
	if (status)
		return status;
	if (job->block)
		put(job, "%s{", job->count == 1 ? "\"inputs\":[" : ",");
	put(job, "\"index\":%llu,\"repeat\":%llu,\"seed\":%llu", (unsigned long long)input->index,
	    (unsigned long long)input->repeat, (unsigned long long)input->seed);
	if (input->text) {
		put(job, ",\"input\":");
		memcpy(job->state + job->used, input->text, input->bytes);
		job->used += input->bytes;
	}
	if (job->block)
		put(job, "}");
	return CHAIN_OK;
}

enum chain_status job_end(struct job *job, struct chain_error *err)
{
	enum chain_status status = reserve(job, 2, err);
	if (!status)
		put(job, "%s", job->block ? "]" : "");
	return status;
}

enum chain_status job_handoff(const struct job *job, uint64_t seed, char **out, size_t *out_bytes,
			      struct chain_error *err)
{
	const uint64_t first = job->indices[0];
	int count = asprintf(out,
			     "{\"kchain_handoff\":1,\"boot_id\":\"%016llx%016llx\",\"self\":{},\"links\":[],"
			     "\"clock\":{},\"records\":\"few\",\"state\":{%.*s}}",
			     (unsigned long long)mix(~seed, first),
			     (unsigned long long)mix(seed ^ 0x6b636861696e, first), (int)job->used, job->state);
	if (count < 0) {
		*out = NULL;
		return chain_fail_no_memory(err, "an instance's handoff", job->used + JOB_HANDOFF_MORE);
	}
	*out_bytes = (size_t)count;
	return CHAIN_OK;
}
