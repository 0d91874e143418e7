/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "chain/step.h"

#include "chain/fact.h"
#include "chain/fanout.h"
#include "chain/guest.h"
#include "chain/json_memory.h"
#include "chain/json_write.h"
#include "chain/template.h"

#include <stdlib.h>
#include <string.h>

enum chain_call_way chain_step_way(const struct chain_step *step, enum chain_kernel_kind kind)
{
	return step->isolation ? CHAIN_CALL_SVM : kind >= CHAIN_KERNEL_FOREIGN ? CHAIN_CALL_FIXED : CHAIN_CALL_NATIVE;
}

uint64_t chain_step_memory(const struct chain_step *step, enum chain_kernel_kind kind)
{
	bool fixed = chain_step_way(step, kind) == CHAIN_CALL_FIXED;
	return fixed && !step->memory_said ? CHAIN_FIXED_MEMORY_DEFAULT : step->memory_bytes;
}

enum chain_status chain_step_check_kind(const struct chain_step *step, enum chain_kernel_kind kind,
					struct chain_error *err)
{
	uint64_t at_once = step->fanout.concurrency;
	bool handoff =
		step->handoff_at != CHAIN_CONFIG_HANDOFF_LAST || strcmp(step->handoff_string, CHAIN_HANDOFF_STRING);
	if (step->kind == CHAIN_STEP_BOOT)
		return CHAIN_OK;
	const struct chain_door *door = kind != CHAIN_KERNEL_NATIVE ? chain_kernel_door(kind, NULL, 0) : NULL;
	if (door && !door->texts)
		return chain_fail_text(err, CHAIN_E_GUEST_DOOR, step->source, door->title);
	if (step->isolation)
		return CHAIN_OK;
	if (step->device_count && kind != CHAIN_KERNEL_NATIVE)
		return chain_fail_text(err, CHAIN_E_CONFIG_DEVICE_NATIVE, step->source, chain_kernel_kind_name(kind));
	if (kind >= CHAIN_KERNEL_FOREIGN && step->fanout.cpus > 1)
		return CHAIN_FAIL(err, FANOUT_CPUS_ONE, .subject = step->source,
				  .detail = "a kernel that is not native", .cpus = step->fanout.cpus);
	if (kind >= CHAIN_KERNEL_FOREIGN && step->expect == CHAIN_EXPECT_CONSOLE)
		return chain_fail_subject(err, CHAIN_E_FIXED_TEXT, step->source);
	if (kind >= CHAIN_KERNEL_FOREIGN)
		return at_once < 2 ? CHAIN_OK :
				     CHAIN_FAIL(err, FIXED_CONCURRENCY, .subject = step->source, .count = at_once);
	if (kind != CHAIN_KERNEL_NATIVE)
		return chain_fail_text(err, CHAIN_E_CALL_NOT_NATIVE, step->source, chain_kernel_kind_name(kind));
	const char *key = handoff              ? "handoff" :
			  step->module_count   ? "modules" :
			  step->argv0          ? "argv0" :
			  step->video_required ? "video" :
						 NULL;
	if (key)
		return chain_fail_text(err, CHAIN_E_CALL_MODULES, step->source, key);
	return CHAIN_OK;
}

static struct chain_source_pin pin_of(const struct chain_config_pin *pin)
{
	struct chain_source_pin out = { .unverified = pin->unverified };
	for (size_t kind = 0; kind < CHAIN_DIGEST_KINDS; kind++)
		out.pin.digests[kind] = pin->pinned[kind] ? pin->digests[kind] : NULL;
	return out;
}

static bool is_opened(const struct chain_opened *last, const struct chain_step *step)
{
	return last && last->source && last->door == step->door && !strcmp(last->source, step->source) &&
	       !chain_config_is_pinned(&step->pin);
}

static void keep_opened(struct chain_opened *last, const struct chain_step *step, const struct chain_prepared *prepared)
{
	if (last && chain_source_path(step->source) && !chain_config_is_pinned(&step->pin) && !step->pin.unverified)
		*last = (struct chain_opened){ step->source, step->door, prepared->kernel, prepared->kind };
}

static enum chain_status find_kernel(const struct chain_link *link, const struct chain_step *step,
				     struct chain_prepared *out, struct chain_error *err)
{
	struct chain_source_pin pin = pin_of(&step->pin);
	enum chain_status status = chain_source_open(link->sources, step->source, &pin, &out->kernel, err);
	if (status)
		return status;
	if (out->kernel.self) {
		out->kind = CHAIN_KERNEL_IMAGE;
		return CHAIN_OK;
	}
	status = chain_source_load(link->sources, step->source, &pin, &out->kernel,
				   err); /* its headers are read before it has a place */
	if (status)
		return status;
	status = chain_kernel_probe_by(step->door, out->kernel.blob.bytes, out->kernel.blob.bytes_count, step->source,
				       &out->kind, err);
	if (!status)
		keep_opened(link->opened, step, out);
	return status;
}

static enum chain_status open_kernel(const struct chain_link *link, const struct chain_step *step,
				     struct chain_prepared *out, struct chain_error *err)
{
	enum chain_status status = CHAIN_OK;
	if (is_opened(link->opened, step)) {
		out->kernel = link->opened->bytes;
		out->kind = link->opened->kind;
	} else {
		status = find_kernel(link, step, out, err);
	}
	return status || out->kernel.self ? status : chain_step_check_kind(step, out->kind, err);
}

/* An absent fact equals null. */
static enum chain_status check_when(const struct chain_step *step, const json_t *handoff, json_t **out_unmet,
				    struct chain_error *err)
{
	const char *fact;
	json_t *wanted;
	json_object_foreach (step->when, fact, wanted) {
		json_t *found;
		enum chain_status status = chain_fact_value(handoff, fact, &found, err);
		if (status)
			return status;
		if (!found)
			found = json_null();
		if (json_equal(found, wanted)) {
			json_decref(found);
			continue;
		}
		*out_unmet = chain_json_object(CHAIN_TEXT("fact", fact), CHAIN_BORROW("wanted", wanted),
					       CHAIN_STEAL("found", found));
		return *out_unmet ? CHAIN_OK : chain_json_no_memory(err, step->name);
	}
	return CHAIN_OK;
}

static enum chain_status make_handoff(const struct chain_link *link, const struct chain_step *step,
				      struct chain_prepared *out, struct chain_error *err)
{
	bool isolated = step->isolation != CHAIN_ISOLATION_NONE;
	bool hand_fs = (step->kind == CHAIN_STEP_CALL && !isolated) || step->fs_keep;
	struct chain_mem_entry mem[CHAIN_GUEST_MEM_ENTRIES];
	const struct chain_bootinfo own = chain_guest_machine(step->memory_bytes, mem);
	struct chain_handoff_input input = {
		.parent = link->parent,
		.config = link->config,
		.step = step,
		.image_sha256 = link->sources->image->header.id,
		.door = link->door,
		.entered_ticks = link->entered_ticks,
		.tsc_hz = link->tsc_hz,
		.left_ticks = step->kind == CHAIN_STEP_BOOT ? link->left_ticks : 0,
		.boot_id = link->boot_id,
		.bootinfo = isolated ? &own : link->sources->bootinfo,
		.own_machine = isolated,
		.fs_phys = hand_fs ? link->fs.base : 0,
		.fs_bytes = hand_fs ? link->sources->image->fs_bytes_count : 0,
		.net = link->net,
		.block = link->block,
		.results = link->results,
		.shared = link->shared,
	};
	return chain_handoff_build(&input, &out->handoff, err);
}

/* Where a kernel with fixed addresses lies, which its handoff says. */
static enum chain_status place_call(const struct chain_link *link, const struct chain_step *step,
				    struct chain_prepared *out, struct chain_error *err)
{
	const struct chain_blob *blob = &out->kernel.blob;
	out->way = chain_step_way(step, out->kind);
	out->memory_bytes = chain_step_memory(step, out->kind);
	out->machine = link->sources->bootinfo;
	if (out->way != CHAIN_CALL_FIXED)
		return CHAIN_OK;
	enum chain_status status =
		chain_fixed_place(chain_kernel_door(out->kind, blob->bytes, blob->bytes_count), blob->bytes,
				  blob->bytes_count, out->memory_bytes, step->source, &out->fixed, err);
	if (!status)
		status = chain_fixed_check(&out->fixed, out->machine, step->source, err);
	return status ? status : chain_fixed_hand_over(&out->fixed, out->machine, out->handoff, err);
}

/* What is still to be read. */
static const struct chain_stream *stream_of(const struct chain_source_bytes *source)
{
	return source->stream.read && !source->loaded ? &source->stream : NULL;
}

/* A called kernel's modules are copied for each kernel, so they must be in memory; a booted one's are read to where
 * they will be used. */
static enum chain_status open_module(const struct chain_link *link, const struct chain_step *step, size_t i,
				     struct chain_prepared *out, struct chain_error *err)
{
	const struct chain_config_module *module = &step->modules[i];
	struct chain_source_pin pin = pin_of(&module->pin);
	struct chain_source_bytes *source = &out->module_sources[i];
	char *string = NULL;
	enum chain_status status = chain_source_open(link->sources, module->from, &pin, source, err);
	if (!status && step->kind == CHAIN_STEP_CALL)
		status = chain_source_load(link->sources, module->from, &pin, source, err);
	if (!status)
		status = chain_template_expand_known(module->string, out->handoff, link->pending, step->name, &string,
						     err);
	if (status)
		return status;
	out->modules[i] = (struct chain_plan_module){
		.blob = source->blob, .stream = stream_of(source), .string = string, .pin = { module->from, pin.pin }
	};
	out->module_count = i + 1;
	return CHAIN_OK;
}

static enum chain_status open_modules(const struct chain_link *link, const struct chain_step *step,
				      struct chain_prepared *out, struct chain_error *err)
{
	size_t room = step->module_count ? step->module_count : 1;
	enum chain_status status = CHAIN_OK;
	out->modules = calloc(room, sizeof(*out->modules));
	out->module_sources = calloc(room, sizeof(*out->module_sources));
	if (!out->modules || !out->module_sources)
		return chain_fail_no_memory(err, step->name, room * sizeof(*out->module_sources));
	out->module_source_count = step->module_count;
	for (size_t i = 0; !status && i < step->module_count; i++)
		status = open_module(link, step, i, out, err);
	return status;
}

/* Where no place is free for what is read from streams until the stage is gone: it is read now, to be moved later. */
static enum chain_status load_modules(const struct chain_link *link, const struct chain_step *step,
				      struct chain_prepared *out, struct chain_error *err)
{
	enum chain_status status = CHAIN_OK;
	for (size_t i = 0; !status && i < step->module_count; i++) {
		struct chain_source_pin pin = pin_of(&step->modules[i].pin);
		status = chain_source_load(link->sources, step->modules[i].from, &pin, &out->module_sources[i], err);
		out->modules[i].blob = out->module_sources[i].blob;
		out->modules[i].stream = stream_of(&out->module_sources[i]);
	}
	return status;
}

static enum chain_handoff_at handoff_at(const struct chain_step *step)
{
	return step->handoff_at == CHAIN_CONFIG_HANDOFF_NONE  ? CHAIN_HANDOFF_NONE :
	       step->handoff_at == CHAIN_CONFIG_HANDOFF_FIRST ? CHAIN_HANDOFF_FIRST :
								CHAIN_HANDOFF_LAST;
}

uint64_t chain_prepared_text_bytes(const struct chain_prepared *prepared)
{
	return prepared->handoff_bytes + strlen(prepared->args) + 1;
}

struct chain_guest_request chain_step_guest(const struct chain_step *step, const struct chain_prepared *prepared,
					    uint64_t text_bytes)
{
	return (struct chain_guest_request){
		.subject = step->source,
		.door = chain_kernel_door(prepared->kind, prepared->kernel.blob.bytes,
					  prepared->kernel.blob.bytes_count),
		.kernel = prepared->kernel.blob.bytes,
		.kernel_bytes = prepared->kernel.blob.bytes_count,
		.modules = prepared->modules,
		.module_count = prepared->module_count,
		.handoff_at = handoff_at(step),
		.handoff_string = step->handoff_string,
		.memory_bytes = prepared->memory_bytes,
		.fixed = prepared->way == CHAIN_CALL_FIXED ? &prepared->fixed : NULL,
		.machine = prepared->machine,
		.text_bytes = text_bytes,
		.video_required = step->video_required,
	};
}

static bool has_streams(const struct chain_prepared *prepared)
{
	for (size_t i = 0; i < prepared->module_count; i++)
		if (prepared->modules[i].stream)
			return true;
	return false;
}

/* What a boot asks to be planned. Borrows all that `out` has so far. */
static struct chain_plan_request plan_request(const struct chain_link *link, const struct chain_step *step,
					      const struct chain_prepared *out)
{
	bool handoff = step->handoff_at != CHAIN_CONFIG_HANDOFF_NONE;
	struct chain_plan_request request = {
		.subject = step->source,
		.door = chain_kernel_door(out->kind, out->kernel.blob.bytes, out->kernel.blob.bytes_count),
		.kernel = out->kernel.blob,
		.args = out->args,
		.loader_name = "kchain",
		.modules = out->modules,
		.module_count = out->module_count,
		.handoff = { .bytes = (const uint8_t *)out->handoff_text,
			     .bytes_count = handoff ? out->handoff_bytes : 0,
			     .phys = CHAIN_PHYS_UNKNOWN },
		.handoff_string = step->handoff_string,
		.handoff_at = handoff_at(step),
		.bootinfo = link->sources->bootinfo,
		.fs = link->fs,
		.root = out->root.blob,
		.fs_keep = step->fs_keep,
		.in_use = link->in_use,
		.video_required = step->video_required,
	};
	if (out->kernel.self) {
		request.pieces = out->kernel.self->pieces;
		request.piece_count = out->kernel.self->piece_count;
		request.pieces_entry = out->kernel.self->entry;
	}
	return request;
}

/* The root's place is decided before the plan is made: the handoff says it. */
static enum chain_status open_root(const struct chain_link *link, const struct chain_step *step,
				   struct chain_prepared *out, struct chain_error *err)
{
	struct chain_range place;
	if (!step->root)
		return CHAIN_OK;
	const struct chain_source_pin pin = { .unverified = step->root_unverified };
	enum chain_status status = chain_source_open(link->sources, step->root, &pin, &out->root, err);
	if (status)
		return status;
	const struct chain_plan_request request = plan_request(link, step, out);
	status = chain_plan_place_root(&request, &place, err);
	return status ? status :
			chain_handoff_set_root(out->handoff, step->root_type, place.base, out->root.blob.bytes_count,
					       err);
}

static enum chain_status finish_handoff(const struct chain_link *link, struct chain_prepared *out,
					struct chain_error *err)
{
	enum chain_status status = chain_handoff_set_kernel(out->handoff, &out->kernel.digest, err);
	return status ? status :
			chain_handoff_text(out->handoff, link->shared, &out->handoff_text, &out->handoff_bytes, err);
}

static enum chain_status make_plan(const struct chain_link *link, const struct chain_step *step,
				   struct chain_prepared *out, struct chain_error *err)
{
	const struct chain_plan_request request = plan_request(link, step, out);
	struct chain_error why = { 0 };
	enum chain_status status = chain_plan_build(&request, &out->plan, &why);
	if (status == CHAIN_E_NO_SPACE && has_streams(out)) {
		status = load_modules(link, step, out, err);
		return status ? status : chain_plan_build(&request, &out->plan, err);
	}
	if (status && err && !err->status)
		*err = why;
	return status;
}

/* Where each kernel of a fan-out has arguments of its own, there are none in common. */
static enum chain_status expand_args(const struct chain_link *link, const struct chain_step *step,
				     struct chain_prepared *out, struct chain_error *err)
{
	bool differ = step->fanout.kind != CHAIN_FANOUT_NONE && chain_fanout_args_differ(step->args);
	return chain_template_expand_args(differ ? "" : step->args, out->handoff, link->pending,
					  out->kind == CHAIN_KERNEL_NATIVE, step->name, &out->args, err);
}

enum chain_status chain_step_prepare(const struct chain_link *link, const struct chain_step *step,
				     struct chain_prepared *out, struct chain_error *err)
{
	*out = (struct chain_prepared){ .sources = link->sources };
	enum chain_status status = make_handoff(link, step, out, err);
	if (!status && !link->regardless)
		status = check_when(step, out->handoff, &out->unmet, err);
	if (!status && out->unmet)
		return CHAIN_OK;
	if (!status)
		status = chain_fanout_resolve(step, out->handoff, &out->fanout, err);
	if (!status)
		status = open_kernel(link, step, out, err);
	if (!status && step->kind == CHAIN_STEP_CALL)
		status = place_call(link, step, out, err);
	if (!status)
		status = open_root(link, step, out, err);
	if (!status)
		status = finish_handoff(link, out, err);
	if (!status)
		status = expand_args(link, step, out, err);
	if (!status)
		status = open_modules(link, step, out, err);
	if (!status && step->kind == CHAIN_STEP_BOOT)
		status = make_plan(link, step, out, err);
	if (status)
		chain_prepared_free(out);
	return status;
}

void chain_prepared_free(struct chain_prepared *prepared)
{
	for (size_t i = 0; i < prepared->module_count; i++)
		free((char *)(uintptr_t)prepared->modules[i].string);
	for (size_t i = 0; i < prepared->module_source_count; i++)
		chain_source_close(prepared->sources, &prepared->module_sources[i]);
	if (prepared->sources)
		chain_source_close(prepared->sources, &prepared->kernel);
	free(prepared->module_sources);
	free(prepared->modules);
	free(prepared->args);
	free(prepared->handoff_text);
	json_decref(prepared->handoff);
	json_decref(prepared->fanout);
	json_decref(prepared->unmet);
	chain_plan_free(&prepared->plan);
	*prepared = (struct chain_prepared){ 0 };
}

json_t *chain_step_expect_json(const struct chain_step *step)
{
	switch (step->expect) {
	case CHAIN_EXPECT_ENTERED:
		return json_string("entered");
	case CHAIN_EXPECT_SUCCESS:
		return json_string("success");
	case CHAIN_EXPECT_CONSOLE:
		return chain_json_object(CHAIN_TEXT("console", step->expect_console));
	case CHAIN_EXPECT_RESULT:
		return chain_json_object(CHAIN_BORROW("result", step->expect_result));
	}
	return NULL;
}
