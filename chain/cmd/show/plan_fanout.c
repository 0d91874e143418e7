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

enum chain_status plan_fanout(const struct chain_step *step, const struct chain_prepared *prepared,
			      const struct chain_image *image, json_t **out, struct chain_error *err)
{
	struct chain_fanout_set set;
	struct chain_fanout_layout layout;
	const struct chain_fixed *fixed = prepared->way == CHAIN_CALL_FIXED ? &prepared->fixed : NULL;
	*out = NULL;
	if (step->fanout.kind == CHAIN_FANOUT_NONE)
		return lay_out_one(step, prepared, fixed, err);
	struct chain_error why = { 0 };
	enum chain_status status = chain_fanout_expand(step, image, prepared->handoff, &set, &why);
	if (status == CHAIN_E_FANOUT_ABSENT) { /* a boot may be told what this host is not */
		*out = json_pack("{s:n, s:s}", "kernels", "from", step->fanout.from);
		return *out ? CHAIN_OK : chain_json_no_memory(err, step->name);
	}
	if (status) {
		*err = why;
		return status;
	}
	status = chain_fanout_lay_out(step, set.count, fixed, prepared->machine, HEAP_BYTES, &layout, err);
	if (!status) {
		json_t *inputs = json_array();
		for (size_t i = 0; set.inputs && i < set.count; i++)
			json_array_append_new(inputs, json_loads(set.inputs[i], JSON_DECODE_ANY, NULL));
		*out = json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:o}", "kernels", (json_int_t)set.count, "required",
				 (json_int_t)chain_fanout_required(&step->fanout, set.count), "processors",
				 (json_int_t)layout.processors, "cpus", (json_int_t)step->fanout.cpus, "at_once",
				 (json_int_t)layout.workers, "window_bytes", (json_int_t)layout.window_bytes, "inputs",
				 inputs);
		if (!*out)
			status = chain_json_no_memory(err, step->name);
		chain_fanout_layout_free(&layout);
	}
	chain_fanout_set_free(&set);
	return status;
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
		return;
	}
	if (cpus > 1)
		snprintf(each, sizeof(each), ", each on %" JSON_INTEGER_FORMAT " processors,", cpus);
	printf("  fanout   %" JSON_INTEGER_FORMAT " kernels, %" JSON_INTEGER_FORMAT
	       " at once%s in windows of %s in all; %" JSON_INTEGER_FORMAT " must end well\n",
	       json_integer_value(json_object_get(fanout, "kernels")), at_once, each,
	       cmd_size_text((uint64_t)(at_once * json_integer_value(json_object_get(fanout, "window_bytes"))), size),
	       json_integer_value(json_object_get(fanout, "required")));
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
		const struct chain_config_assigned *given = &step->devices[i];
		printf("  device   %s %s", given->is_net ? "net" : "block", given->name);
		if (step->fanout.kind != CHAIN_FANOUT_NONE)
			printf(", to kernel %" PRIu64, given->kernel);
		putchar('\n');
	}
}
