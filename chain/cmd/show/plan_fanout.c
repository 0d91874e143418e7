/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "plan_fanout.h"

#include "chain/fanout.h"
#include "chain/json_memory.h"

#include <inttypes.h>

enum { HEAP_BYTES = 2 * 1024 * 1024 }; /* about what a stage has taken by then */

static enum chain_status lay_out_one(const struct chain_step *step, const struct chain_prepared *prepared,
				     const struct chain_fixed *fixed, struct chain_error *err)
{
	struct chain_fanout_layout layout;
	if (!fixed)
		return CHAIN_OK;
	enum chain_status status = chain_fanout_lay_out(step, 1, fixed, prepared->machine, HEAP_BYTES, &layout, err);
	if (!status)
		chain_fanout_layout_free(&layout);
	return status;
}

/* Each kernel's arguments where they differ, as a list; else null. */
static enum chain_status all_args(const struct chain_step *step, const struct chain_prepared *prepared,
				  const struct chain_fanout_set *set, const json_t *pending, json_t **out,
				  struct chain_error *err)
{
	struct chain_fanout_texts texts;
	*out = NULL;
	if (!chain_fanout_args_differ(step->args))
		return CHAIN_OK;
	enum chain_status status = chain_fanout_texts_make(step, set, prepared->handoff, prepared->args, &texts, err);
	if (status)
		return status;
	texts.quoted = prepared->kind == CHAIN_KERNEL_NATIVE;
	texts.pending = pending;
	json_t *list = json_array();
	for (size_t i = 0; !status && i < set->count; i++) {
		const char *handoff, *args;
		size_t handoff_bytes;
		status = chain_fanout_text(&texts, i, 0, &handoff, &handoff_bytes, &args, err);
		if (!status && json_array_append_new(list, json_string(args)))
			status = chain_json_no_memory(err, step->name);
	}
	chain_fanout_texts_free(&texts);
	if (status)
		json_decref(list);
	else
		*out = list;
	return status;
}

/* The kernels are listed in state that this host has not: a boot may be told what they are. */
static enum chain_status unknown(const struct chain_step *step, json_t **out, struct chain_error *err)
{
	const char *args = chain_fanout_args_differ(step->args) ? step->args : NULL;
	*out = json_pack("{s:n, s:s, s:s*}", "kernels", "from", step->fanout.from, "args", args);
	return *out ? CHAIN_OK : chain_json_no_memory(err, step->name);
}

enum chain_status plan_fanout(const struct chain_step *step, const struct chain_prepared *prepared,
			      const struct chain_image *image, const json_t *pending, json_t **out,
			      struct chain_error *err)
{
	struct chain_fanout_set set;
	struct chain_fanout_layout layout;
	const struct chain_fixed *fixed = prepared->way == CHAIN_CALL_FIXED ? &prepared->fixed : NULL;
	*out = NULL;
	if (step->fanout.kind == CHAIN_FANOUT_NONE)
		return lay_out_one(step, prepared, fixed, err);
	struct chain_error why = { 0 };
	enum chain_status status = chain_fanout_expand(step, image, prepared->fanout, &set, &why);
	if (status == CHAIN_E_FANOUT_ABSENT)
		return unknown(step, out, err);
	if (status) {
		*err = why;
		return status;
	}
	json_t *args = NULL;
	status = chain_fanout_lay_out(step, set.count, fixed, prepared->machine, HEAP_BYTES, &layout, err);
	if (!status) {
		status = all_args(step, prepared, &set, pending, &args, err);
		if (status)
			chain_fanout_layout_free(&layout);
	}
	if (!status) {
		json_t *inputs = json_array();
		for (size_t i = 0; set.inputs && i < set.count; i++)
			json_array_append_new(inputs, json_loads(set.inputs[i], JSON_DECODE_ANY, NULL));
		*out = json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:o*}", "kernels", (json_int_t)set.count,
				 "required", (json_int_t)chain_fanout_required(&step->fanout, set.count), "processors",
				 (json_int_t)layout.processors, "cpus", (json_int_t)step->fanout.cpus, "at_once",
				 (json_int_t)layout.workers, "window_bytes", (json_int_t)layout.window_bytes, "inputs",
				 inputs, "args", args);
		if (!*out)
			status = chain_json_no_memory(err, step->name);
		chain_fanout_layout_free(&layout);
	}
	chain_fanout_set_free(&set);
	return status;
}

/* The first kernel's and the last one's, or as the pipeline has them. */
static void print_args(const json_t *args)
{
	const size_t count = json_array_size(args);
	if (json_is_string(args))
		printf("  args     %s\n", json_string_value(args));
	if (count)
		printf("  args     %s  to kernel 0\n", json_string_value(json_array_get(args, 0)));
	if (count > 1)
		printf("  args     %s  to kernel %zu\n", json_string_value(json_array_get(args, count - 1)), count - 1);
}

void plan_fanout_print(const json_t *fanout)
{
	json_int_t at_once = json_integer_value(json_object_get(fanout, "at_once"));
	json_int_t cpus = json_integer_value(json_object_get(fanout, "cpus"));
	char size[CMD_SIZE_BYTES], each[64] = "";
	const char *from = json_string_value(json_object_get(fanout, "from"));
	if (!fanout)
		return;
	if (from) {
		printf("  fanout   the kernels that {{%s}} says\n", from);
		print_args(json_object_get(fanout, "args"));
		return;
	}
	if (cpus > 1)
		snprintf(each, sizeof(each), ", each on %" JSON_INTEGER_FORMAT " processors,", cpus);
	printf("  fanout   %" JSON_INTEGER_FORMAT " kernels, %" JSON_INTEGER_FORMAT
	       " at once%s in windows of %s in all; %" JSON_INTEGER_FORMAT " must end well\n",
	       json_integer_value(json_object_get(fanout, "kernels")), at_once, each,
	       cmd_size_text((uint64_t)(at_once * json_integer_value(json_object_get(fanout, "window_bytes"))), size),
	       json_integer_value(json_object_get(fanout, "required")));
	print_args(json_object_get(fanout, "args"));
}

json_t *plan_devices(const struct chain_step *step)
{
	json_t *devices = step->device_count ? json_object() : NULL;
	for (size_t i = 0; i < step->device_count; i++)
		json_object_set_new(devices, step->devices[i].name, json_integer((json_int_t)step->devices[i].kernel));
	return devices;
}

void plan_devices_print(const struct chain_step *step)
{
	for (size_t i = 0; i < step->device_count; i++) {
		const struct chain_config_assigned *assigned = &step->devices[i];
		printf("  device   %s %s", assigned->is_net ? "net" : "block", assigned->name);
		if (step->fanout.kind != CHAIN_FANOUT_NONE)
			printf(", to kernel %" PRIu64, assigned->kernel);
		putchar('\n');
	}
}
