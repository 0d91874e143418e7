/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: all that is checked before anything starts, and the header that says where the results come from. */

#include "sweep.h"
#include "dealt.h"
#include "machine.h"

#include "chain/cmd/run/qemu.h"
#include "chain/cmd/run/run_memory.h"
#include "chain/cmd/run/run_session.h"
#include "chain/config.h"
#include "chain/json_memory.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#define INPUTS_FACT "state.inputs"

/* --- the image --- */

static enum chain_status find_fanout(struct sweep *sweep, struct chain_error *err)
{
	const uint8_t *text;
	uint64_t count;
	struct chain_config config;
	const char *subject = sweep->options.operands.v[0];
	enum chain_status status = chain_image_file(&sweep->input.image, CHAIN_FS_PIPELINE, &text, &count, NULL, err);
	if (!status)
		status = chain_config_parse((const char *)text, count, CHAIN_FS_PIPELINE, true, &config, err);
	if (status)
		return status;
	for (size_t i = 0; !sweep->fanout && i < config.step_count; i++) {
		const struct chain_config_fanout *fanout = &config.steps[i].fanout;
		if (fanout->kind == CHAIN_FANOUT_LIST && fanout->from && strcmp(fanout->from, INPUTS_FACT) == 0)
			sweep->fanout = strdup(config.steps[i].name);
	}
	chain_config_free(&config);
	return sweep->fanout ? CHAIN_OK : chain_fail_text(err, CHAIN_E_SWEEP_NO_FANOUT, subject, "{{" INPUTS_FACT "}}");
}

static enum chain_status open_image(struct sweep *sweep, struct chain_error *err)
{
	const char *subject = sweep->options.operands.v[0];
	enum chain_status status = run_input_open(subject, NULL, &sweep->input, err);
	if (status)
		return status;
	cmd_file_note_input(subject);
	if (sweep->input.kind != CHAIN_KERNEL_IMAGE)
		return chain_fail_text(err, CHAIN_E_CMD_NOT_IMAGE, subject, chain_kernel_kind_name(sweep->input.kind));
	strcpy(sweep->image_digest, "sha256:");
	chain_sha256_to_hex(sweep->input.image.header.id, sweep->image_digest + 7);
	return sweep->options.per_instance ? find_fanout(sweep, err) : CHAIN_OK;
}

/* --- the inputs --- */

static enum chain_status open_inputs(struct sweep *sweep, struct chain_error *err)
{
	const struct sweep_options *o = &sweep->options;
	if (o->dealt)
		return dealt_open(&sweep->dealt, o->dealt, err);
	enum chain_status status = inputs_open(&sweep->inputs, o->inputs, o->count, o->repeat, o->seed, err);
	return !status && o->per_instance ? inputs_check_blocks(&sweep->inputs, o->per_instance, err) : status;
}

static uint64_t instances(const struct sweep *sweep)
{
	return sweep->dealt ? dealt_index_end(sweep->dealt) : inputs_instances(&sweep->inputs);
}

enum chain_status sweep_next_job(struct sweep *sweep, struct job *job, bool *out_more, struct chain_error *err)
{
	const uint64_t most = sweep->options.per_instance ? sweep->options.per_instance : 1;
	struct job_input input;
	enum chain_status status = CHAIN_OK;
	bool more = true;
	if (sweep->dealt)
		return dealt_next(sweep->dealt, &sweep->results, job, out_more, err);
	job_begin(job, sweep->options.per_instance != 0);
	while (!status && more && job->count < most) {
		status = inputs_next(&sweep->inputs, &input, &more, err);
		if (!status && more && results_lacks(&sweep->results, input.index))
			status = job_add(job, &input, err);
	}
	*out_more = job->count > 0;
	return status || !job->count ? status : job_end(job, err);
}

/* --- the header --- */

static void processor_model(char *out, size_t size)
{
	char line[512];
	FILE *from = fopen("/proc/cpuinfo", "re");
	snprintf(out, size, "unknown");
	while (from && fgets(line, sizeof(line), from)) {
		const char *value = strncmp(line, "model name", 10) == 0 ? strchr(line, ':') : NULL;
		if (!value)
			continue;
		value += strspn(value, ": ");
		snprintf(out, size, "%.*s", (int)strcspn(value, "\n"), value);
		break;
	}
	if (from)
		fclose(from);
}

static json_t *list_of(char **words, size_t count)
{
	json_t *list = json_array();
	for (size_t i = 0; i < count; i++)
		json_array_append_new(list, cmd_json_string(words[i], strlen(words[i])));
	return list;
}

static json_t *inputs_digest(const struct inputs *inputs)
{
	char hex[CHAIN_SHA256_HEX + 8] = "sha256:";
	if (!inputs->path)
		return json_null();
	chain_sha256_to_hex(inputs->digest, hex + 7);
	return json_string(hex);
}

static enum chain_status make_header(struct sweep *sweep, int argc, char **argv, struct chain_error *err)
{
	const struct sweep_options *o = &sweep->options;
	struct utsname host = { 0 };
	struct timespec now;
	struct tm utc;
	char model[256], started[40];
	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &utc);
	strftime(started, sizeof(started), "%FT%TZ", &utc);
	uname(&host);
	processor_model(model, sizeof(model));
	sweep->header = json_pack(
		"{s:i, s:s, s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:s, s:s, s:s, s:o, s:o, s:s, s:s, s:o, s:s}",
		"kchain_sweep", 1, "image", sweep->image_digest, "inputs",
		sweep->dealt ? json_null() : inputs_digest(&sweep->inputs), "count", (json_int_t)instances(sweep),
		"repeat", (json_int_t)o->repeat, "per_instance", (json_int_t)(o->per_instance ? o->per_instance : 1),
		"seed", (json_int_t)o->seed, "memory", (json_int_t)sweep->setting.memory_bytes, "cpus",
		(json_int_t)o->cpus, "timeout_us", (json_int_t)o->timeout_us, "retries", (json_int_t)o->retries,
		"kchain", cmd_version, "qemu", sweep->version, "accel", sweep->setting.accel, "processor",
		cmd_json_string(model, strlen(model)), "qemu_arguments",
		list_of(o->operands.rest, o->operands.rest_count), "engine", o->engine, "host", host.nodename,
		"command", list_of(argv, (size_t)argc), "started", started);
	return sweep->header ? CHAIN_OK : chain_json_no_memory(err, o->output);
}

/* --- all of it --- */

static enum chain_status find_qemu(struct sweep *sweep, struct chain_error *err)
{
	const struct sweep_options *o = &sweep->options;
	enum chain_status status = qemu_find(sweep->program, err);
	if (!status)
		status = machine_version(sweep->program, sweep->version, err);
	if (!status)
		sweep->setting.accel = strcmp(o->accel, "auto") == 0 ? qemu_accel_choose(sweep->program) : o->accel;
	return status;
}

static void fill_setting(struct sweep *sweep)
{
	const struct sweep_options *o = &sweep->options;
	struct engine_setting *s = &sweep->setting;
	s->input = &sweep->input;
	s->image = o->operands.v[0];
	s->image_digest = sweep->image_digest;
	s->output = o->output;
	s->program = sweep->program;
	s->memory_bytes =
		o->memory_bytes ? o->memory_bytes : run_memory_usual(run_memory_needed(&sweep->input, o->cpus));
	s->cpus = o->cpus;
	s->jobs = o->jobs;
	s->timeout_us = o->timeout_us;
	s->retries = o->retries;
	s->seed = o->seed;
	s->origin_us = run_clock_us();
	s->chunk = o->chunk;
	s->per_instance = o->per_instance;
	s->total = instances(sweep);
	s->fanout = sweep->fanout;
	s->load_each = o->load_each;
	s->extra = o->operands.rest;
	s->extra_count = o->operands.rest_count;
	s->slurm = o->slurm;
}

static enum chain_status open_results(struct sweep *sweep, struct chain_error *err)
{
	const struct sweep_options *o = &sweep->options;
	enum chain_status status =
		o->resume ? results_resume(&sweep->results, o->output, sweep->header, instances(sweep), err) :
			    results_create(&sweep->results, o->output, sweep->header, instances(sweep), err);
	sweep->results_open = !status;
	return status;
}

enum chain_status sweep_prepare(struct sweep *sweep, int argc, char **argv, struct chain_error *err)
{
	const struct sweep_options *o = &sweep->options;
	sweep->engine = engine_named(o->engine);
	if (!o->resume && access(o->output, F_OK) == 0)
		return chain_fail_subject(err, CHAIN_E_SWEEP_EXISTS, o->output);
	enum chain_status status = open_image(sweep, err);
	if (!status)
		status = open_inputs(sweep, err);
	if (!status)
		status = find_qemu(sweep, err);
	if (status)
		return status;
	fill_setting(sweep);
	status = make_header(sweep, argc, argv, err);
	if (!status)
		status = sweep->engine->open(&sweep->setting, &sweep->running, err);
	return status ? status : open_results(sweep, err);
}

void sweep_release(struct sweep *sweep)
{
	if (sweep->running)
		sweep->engine->close(sweep->running, false);
	if (sweep->results_open)
		results_close(&sweep->results);
	inputs_close(&sweep->inputs);
	dealt_close(sweep->dealt);
	run_input_close(&sweep->input);
	json_decref(sweep->header);
	free(sweep->fanout);
	free(sweep->options.slurm.v);
	cmd_args_free(&sweep->options.operands);
}
