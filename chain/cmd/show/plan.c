/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: `kchain plan`: what each step of an image's pipeline would do on a machine, by the code that the stage runs. */

#include "chain/bootinfo_json.h"
#include "chain/json.h"
#include "chain/json_memory.h"
#include "chain/json_write.h"
#include "chain/plan_json.h"
#include "chain/step.h"
#include "chain/template.h"
#include "plan_fanout.h"
#include "chain/cmd/linux_payload.h"
#include "chain/cmd/run/run_input.h"

#include <stdlib.h>
#include <string.h>

#define MEMORY_DEFAULT (128ull << 20)
enum { JSON_FILE_MAX = 16 * 1024 * 1024 };

struct plan_options {
	const char *bootinfo, *devices, *handoff, *results, *machine, *step, *mask;
	uint64_t memory_bytes, cpus;
	bool json, masked, show_handoff;
};

/* Everything a step's preparation borrows. */
struct plan_run {
	struct plan_options options;
	struct run_input input;
	struct chain_config config;
	struct chain_bootinfo bootinfo;
	struct chain_sources sources;
	struct chain_self self;
	struct chain_link link;
	json_t *devices; /* of a recorded machine; null: none */
	json_t *parent, *net, *block;
	json_t *known_results;     /* of calls, by step; null: none */
	json_t *results, *pending; /* what a step may know of the calls before it, and what nobody can */
	uint8_t boot_id[CHAIN_BOOT_ID_BYTES];
};

/* --- inputs --- */

static enum chain_status load_json(const char *path, json_t **out, struct chain_error *err)
{
	struct cmd_file file;
	enum chain_status status = cmd_file_load(path, JSON_FILE_MAX, &file, err);
	if (status)
		return status;
	status = chain_json_load((const char *)file.bytes, file.bytes_count, JSON_FILE_MAX, path, out, err);
	cmd_file_free(&file);
	return status;
}

/* The machine: as recorded from a real boot, or as QEMU has it, with the image where `bake` put it. */
static enum chain_status load_machine(struct plan_run *run, struct chain_error *err)
{
	const struct plan_options *options = &run->options;
	const struct chain_image_header *header = &run->input.image.header;
	if (options->bootinfo) {
		json_t *doc = NULL;
		enum chain_status status = load_json(options->bootinfo, &doc, err);
		if (!status)
			status = chain_bootinfo_from_json(doc, &run->bootinfo, err);
		if (!status)
			run->devices = json_incref(json_object_get(doc, "devices"));
		json_decref(doc);
		return status;
	}
	uint64_t memory = options->memory_bytes ? options->memory_bytes : MEMORY_DEFAULT;
	enum chain_status status =
		chain_bootinfo_qemu(options->machine, memory, (uint32_t)options->cpus, &run->bootinfo, err);
	if (status)
		return status;
	run->bootinfo.image_base = header->base;
	return chain_range_make(header->base, header->fs_offset + header->fs_memory_bytes, "image",
				&run->bootinfo.image, err);
}

static json_t *without_names(const json_t *device)
{
	json_t *entry = chain_json_shallow(device);
	json_object_del(entry, "class");
	json_object_del(entry, "name");
	return entry;
}

/* A recorded machine lists the devices under the pipeline's names; --devices is for those of another machine. */
static enum chain_status load_devices(struct plan_run *run, struct chain_error *err)
{
	json_t *doc = NULL, *device;
	size_t i;
	run->net = json_object();
	run->block = json_object();
	json_array_foreach (run->devices, i, device) {
		const char *class = json_string_value(json_object_get(device, "class"));
		const char *name = json_string_value(json_object_get(device, "name"));
		if (class && name &&
		    json_object_set_new(strcmp(class, "net") == 0 ? run->net : run->block, name, without_names(device)))
			return chain_json_no_memory(err, name);
	}
	if (!run->options.devices)
		return CHAIN_OK;
	enum chain_status status = load_json(run->options.devices, &doc, err);
	json_t *net = json_object_get(doc, "net"), *block = json_object_get(doc, "block");
	if ((json_is_object(net) && json_object_update(run->net, net)) ||
	    (json_is_object(block) && json_object_update(run->block, block)))
		status = chain_json_no_memory(err, run->options.devices);
	json_decref(doc);
	return status;
}

/* As they stand in a handoff: that a run ended with, or alone. */
static enum chain_status load_results(struct plan_run *run, struct chain_error *err)
{
	json_t *doc = NULL;
	enum chain_status status = load_json(run->options.results, &doc, err);
	if (status)
		return status;
	const json_t *inside = json_object_get(doc, "kchain_handoff") ? json_object_get(doc, "results") : doc;
	if (!json_is_object(inside))
		status = chain_fail_text(err, CHAIN_E_JSON_TYPE, run->options.results, "results are an object by step");
	else
		run->known_results = json_incref((json_t *)(uintptr_t)inside);
	json_decref(doc);
	return status;
}

/* Notes that facts which begin so are not known. */
static enum chain_status set_pending(struct plan_run *run, const char *word, const char *name, struct chain_error *err)
{
	if (!json_object_get(run->pending, word) && json_object_set_new(run->pending, word, json_object()))
		return chain_json_no_memory(err, word);
	if (json_object_set_new(json_object_get(run->pending, word), name, json_true()))
		return chain_json_no_memory(err, name);
	return CHAIN_OK;
}

/* Devices are known from a recorded machine, as they are assumed, or from the link before. */
static enum chain_status set_devices_pending(struct plan_run *run, struct chain_error *err)
{
	enum chain_status status = CHAIN_OK;
	bool known = run->options.bootinfo || run->options.devices;
	const json_t *net = json_object_get(run->parent, "net"), *block = json_object_get(run->parent, "block");
	for (size_t i = 0; !status && !known && i < run->config.net_count; i++)
		if (!json_object_get(net, run->config.net[i].name))
			status = set_pending(run, "net", run->config.net[i].name, err);
	for (size_t i = 0; !status && !known && i < run->config.block_count; i++)
		if (!json_object_get(block, run->config.block[i].name))
			status = set_pending(run, "block", run->config.block[i].name, err);
	return status;
}

/* State that is made of what is not known is not known either. */
static enum chain_status set_state_pending(struct plan_run *run, struct chain_error *err)
{
	const char *key;
	json_t *value;
	enum chain_status status = CHAIN_OK;
	json_object_foreach (run->config.state, key, value)
		if (!status && chain_template_pending(value, run->pending))
			status = set_pending(run, "state", key, err);
	return status;
}

/* What the steps behind this one may know of it. */
static enum chain_status set_result(struct plan_run *run, const struct chain_step *step, struct chain_error *err)
{
	json_t *result = json_object_get(run->known_results, step->name);
	if (step->kind != CHAIN_STEP_CALL)
		return CHAIN_OK;
	if (!result) {
		enum chain_status status = set_pending(run, "results", step->name, err);
		return status ? status : set_state_pending(run, err);
	}
	return json_object_set(run->results, step->name, result) ? chain_json_no_memory(err, step->name) : CHAIN_OK;
}

static enum chain_status load_pipeline(struct plan_run *run, const char *path, struct chain_error *err)
{
	const uint8_t *text;
	uint64_t bytes;
	enum chain_status status = run_input_open(path, NULL, &run->input, err);
	if (status)
		return status;
	if (run->input.kind != CHAIN_KERNEL_IMAGE)
		return chain_fail_text(err, CHAIN_E_CMD_NOT_IMAGE, path, chain_kernel_kind_name(run->input.kind));
	status = chain_image_file(&run->input.image, CHAIN_FS_PIPELINE, &text, &bytes, NULL, err);
	return status ? status :
			chain_config_parse((const char *)text, bytes, CHAIN_FS_PIPELINE, true, &run->config, err);
}

static enum chain_status connect(struct plan_run *run, struct chain_error *err)
{
	const struct chain_image_header *header = &run->input.image.header;
	uint64_t fs = run->bootinfo.image_base + header->fs_offset;
	run->sources = (struct chain_sources){
		.image = &run->input.image, .fs_phys = fs, .bootinfo = &run->bootinfo, .self = &run->self
	};
	run->link = (struct chain_link){
		.config = &run->config,
		.sources = &run->sources,
		.fs = { fs, fs + header->fs_memory_bytes },
		.parent = run->parent,
		.net = run->net,
		.block = run->block,
		.door = run->bootinfo.door,
		.boot_id = run->boot_id,
		.results = run->results,
		.regardless = true,
		.pending = run->pending,
	};
	return chain_self_from_file(&run->self, &run->input.image, run->bootinfo.image_base, err);
}

static enum chain_status load_all(struct plan_run *run, const char *path, struct chain_error *err)
{
	enum chain_status status = load_pipeline(run, path, err);
	if (!status)
		status = load_machine(run, err);
	if (!status)
		status = load_devices(run, err);
	if (!status && run->options.handoff)
		status = cmd_handoff_load(run->options.handoff, "00000000000000000000000000000000", NULL, &run->parent,
					  err);
	if (!status && run->options.results)
		status = load_results(run, err);
	run->results = json_object();
	run->pending = json_object();
	if (!status)
		status = set_devices_pending(run, err);
	if (!status)
		status = set_state_pending(run, err);
	return status ? status : connect(run, err);
}

static void release(struct plan_run *run)
{
	json_decref(run->devices);
	json_decref(run->parent);
	json_decref(run->net);
	json_decref(run->block);
	json_decref(run->known_results);
	json_decref(run->results);
	json_decref(run->pending);
	chain_bootinfo_free(&run->bootinfo);
	chain_config_free(&run->config);
	run_input_close(&run->input);
}

/* --- output --- */

static json_t *modules_json(const struct chain_prepared *prepared)
{
	json_t *list = json_array();
	for (size_t i = 0; i < prepared->module_count; i++)
		json_array_append_new(list, json_pack("{s:s, s:I}", "string", prepared->modules[i].string, "bytes",
						      (json_int_t)prepared->modules[i].blob.bytes_count));
	return list;
}

/* Where things will lie: a boot's plan, or that of a call which is not native, whose texts may be longer where they
 * differ from kernel to kernel; null for a native one. `guest` holds what is made for it, and is the caller's to free.
 */
static enum chain_status find_plan(const struct chain_step *step, const struct chain_prepared *prepared,
				   struct chain_guest *guest, const struct chain_plan **out, struct chain_error *err)
{
	*guest = (struct chain_guest){ 0 };
	bool guest_is = step->kind == CHAIN_STEP_CALL && prepared->way != CHAIN_CALL_NATIVE;
	*out = step->kind == CHAIN_STEP_BOOT ? &prepared->plan : guest_is ? &guest->plan : NULL;
	if (!guest_is)
		return CHAIN_OK;
	struct chain_guest_request request = chain_step_guest(step, prepared, chain_prepared_text_bytes(prepared));
	return chain_guest_make(&request, guest, err);
}

static const char *kind_name(const struct chain_prepared *prepared)
{
	return linux_kind_name(prepared->kind, prepared->kernel.blob.bytes, prepared->kernel.blob.bytes_count);
}

static enum chain_status step_json(const struct chain_step *step, const struct chain_prepared *prepared,
				   const json_t *fanout, json_t *into, struct chain_error *err)
{
	json_t *plan = NULL;
	char digest[CHAIN_DIGEST_TEXT_BYTES];
	chain_digest_text(&prepared->kernel.digest, digest);
	struct chain_guest guest;
	const struct chain_plan *found;
	enum chain_status status = find_plan(step, prepared, &guest, &found, err);
	if (!status && found)
		status = chain_plan_to_json(found, &plan, err);
	chain_guest_free(&guest);
	if (status)
		return status;
	json_t *doc = json_pack(
		"{s:s, s:s, s:s, s:s, s:s, s:I, s:s, s:o?, s:o, s:O, s:o?, s:O?, s:O?, s:o?}", "name", step->name,
		"kind", step->kind == CHAIN_STEP_CALL ? "call" : "boot", "source", step->source, "kernel",
		kind_name(prepared), "digest", digest, "bytes", (json_int_t)prepared->kernel.blob.bytes_count, "args",
		prepared->args, "expect", chain_step_expect_json(step), "modules", modules_json(prepared), "handoff",
		prepared->handoff, "plan", plan, "when", step->when, "fanout", fanout, "devices", plan_devices(step));
	if (!doc || json_array_append_new(into, doc))
		return chain_json_no_memory(err, step->name);
	return CHAIN_OK;
}

static void print_indented(const char *text)
{
	while (*text) {
		size_t line = strcspn(text, "\n");
		printf("  %.*s\n", (int)line, text);
		text += line + (text[line] == '\n');
	}
}

static enum chain_status step_print(const struct plan_run *run, const struct chain_step *step,
				    const struct chain_prepared *prepared, const json_t *fanout,
				    struct chain_error *err)
{
	char size[CMD_SIZE_BYTES];
	bool call = step->kind == CHAIN_STEP_CALL;
	printf("%s%s%s  %s %s  %s, %s\n", cmd_style(stdout, CMD_BOLD), step->name, cmd_style(stdout, CMD_PLAIN),
	       call ? "call" : "boot", step->source, kind_name(prepared),
	       cmd_size_text(prepared->kernel.blob.bytes_count, size));
	char *when = json_dumps(step->when, JSON_COMPACT | JSON_ENSURE_ASCII); /* null without one */
	if (when)
		printf("  when     %s\n", when);
	free(when);
	if (*prepared->args)
		printf("  args     %s\n", prepared->args);
	for (size_t i = 0; i < prepared->module_count; i++)
		printf("  module   %s  %s\n", prepared->modules[i].string,
		       cmd_size_text(prepared->modules[i].blob.bytes_count, size));
	if (call)
		printf("  %s   %s, at most %.3f s, %llu %s\n", step->isolation ? "guest " : "window",
		       cmd_size_text(prepared->memory_bytes, size), (double)step->timeout_us / 1e6,
		       (unsigned long long)step->retries, step->retries == 1 ? "retry" : "retries");
	if (call && prepared->way == CHAIN_CALL_FIXED)
		printf("  fixed    0x%llx to 0x%llx, on a processor of its own; mailbox at 0x%llx\n",
		       (unsigned long long)prepared->fixed.window.base, (unsigned long long)prepared->fixed.window.end,
		       (unsigned long long)prepared->fixed.mailbox.base);
	plan_fanout_print(fanout);
	plan_devices_print(step);
	struct chain_guest guest;
	const struct chain_plan *plan;
	char *table = NULL;
	enum chain_status status = find_plan(step, prepared, &guest, &plan, err);
	if (!status && plan)
		status = chain_plan_format(plan, &table, err);
	chain_guest_free(&guest);
	if (status)
		return status;
	if (table)
		print_indented(table);
	free(table);
	if (run->options.show_handoff) {
		char *text = json_dumps(prepared->handoff, JSON_INDENT(2));
		puts("  handoff");
		print_indented(text ? text : "");
		free(text);
	}
	putchar('\n');
	return CHAIN_OK;
}

/* In a copy: the handoff shares parts with those of the steps to come. */
static enum chain_status mask_own(const struct plan_run *run, struct chain_prepared *prepared, struct chain_error *err)
{
	json_t *own = chain_json_deep(prepared->handoff);
	if (!own)
		return chain_json_no_memory(err, "handoff");
	json_decref(prepared->handoff);
	prepared->handoff = own;
	return chain_handoff_mask(own, &run->config, err);
}

static enum chain_status one_step(struct plan_run *run, const struct chain_step *step, json_t *into,
				  struct chain_error *err)
{
	struct chain_prepared prepared;
	enum chain_status status = chain_step_prepare(&run->link, step, &prepared, err);
	if (status)
		return status;
	if (run->options.masked)
		status = mask_own(run, &prepared, err);
	json_t *fanout = NULL;
	if (!status)
		status = plan_fanout(step, &prepared, run->sources.image, run->pending, &fanout, err);
	if (!status)
		status = run->options.json ? step_json(step, &prepared, fanout, into, err) :
					     step_print(run, step, &prepared, fanout, err);
	json_decref(fanout);
	chain_prepared_free(&prepared);
	return status;
}

static int plan_steps(struct plan_run *run)
{
	struct chain_error err = { 0 };
	json_t *steps = json_array();
	bool found = !run->options.step;
	enum chain_status status = CHAIN_OK;
	for (size_t i = 0; !status && i < run->config.step_count; i++) {
		const struct chain_step *step = &run->config.steps[i];
		if (!run->options.step || !strcmp(step->name, run->options.step)) {
			found = true;
			status = one_step(run, step, steps, &err);
		}
		if (!status)
			status = set_result(run, step, &err);
	}
	if (!status && !found)
		status = chain_fail_text(&err, CHAIN_E_CMD_NO_STEP, run->options.step, run->config.name);
	if (status) {
		json_decref(steps);
		return cmd_refuse(&err, run->options.json);
	}
	char id[CHAIN_SHA256_HEX + 8] = "sha256:";
	chain_sha256_to_hex(run->input.image.header.id, id + 7);
	if (run->options.json)
		return cmd_json_print(
			       json_pack("{s:s, s:s, s:o}", "name", run->config.name, "image", id, "steps", steps)) ?
			       CMD_OK :
			       CMD_REFUSED;
	json_decref(steps);
	return CMD_OK;
}

/* --- --mask --- */

/* As some link received it, whole: nothing is put in. */
static enum chain_status load_handoff(const char *path, json_t **out, struct chain_error *err)
{
	struct cmd_file file;
	enum chain_status status = cmd_file_load(path, CHAIN_HANDOFF_MAX_BYTES, &file, err);
	if (status)
		return status;
	status = chain_handoff_parse((const char *)file.bytes, file.bytes_count, out, err);
	cmd_file_free(&file);
	return status;
}

/* `image` (nullable) is whose pipeline made the handoff: it knows which parts of the state are made of facts. */
static int mask(const struct plan_options *options, const char *image)
{
	struct chain_error err = { 0 };
	struct plan_run run = { .input.fd = -1 };
	json_t *handoff = NULL;
	enum chain_status status = load_handoff(options->mask, &handoff, &err);
	if (!status && image)
		status = load_pipeline(&run, image, &err);
	if (!status)
		status = chain_handoff_mask(handoff, image ? &run.config : NULL, &err);
	int code = CMD_OK;
	if (status) {
		code = cmd_document_refuse(&run.input.document, &err, options->json);
		json_decref(handoff);
	} else if (!cmd_json_print(handoff)) {
		code = CMD_REFUSED;
	}
	release(&run);
	return code;
}

static int plan_image(const struct plan_options *options, const char *path)
{
	struct plan_run *run = calloc(1, sizeof(*run));
	struct chain_error err = { 0 };
	if (!run)
		return cmd_usage("plan", "out of memory");
	run->options = *options;
	run->input.fd = -1;
	int code = load_all(run, path, &err) ? cmd_document_refuse(&run->input.document, &err, options->json) :
					       plan_steps(run);
	release(run);
	free(run);
	return code;
}

static int check(const struct plan_options *options, const struct cmd_args *args)
{
	if (!options->mask && args->count == 0)
		return cmd_usage("plan", "IMAGE|PIPELINE|FOLDER is missing");
	if (options->bootinfo && options->memory_bytes)
		return cmd_usage("plan", "--memory contradicts --bootinfo");
	if (options->cpus < 1 || options->cpus > 255)
		return cmd_usage("plan", "--cpus: %llu is not from 1 to 255", (unsigned long long)options->cpus);
	return -1;
}

int cmd_plan(int argc, char **argv)
{
	struct plan_options o = { .machine = "pc", .cpus = 1 };
	const struct cmd_opt options[] = {
		{ "bootinfo", 0, CMD_OPT_TEXT, "FILE", "the machine, as `kchain run --bootinfo FILE` recorded it",
		  &o.bootinfo },
		{ "machine", 'M', CMD_OPT_TEXT, "TYPE", "else QEMU's pc (default), q35 or microvm", &o.machine },
		{ "memory", 'm', CMD_OPT_SIZE, "SIZE", "its RAM (default: 128M)", &o.memory_bytes },
		{ "cpus", 'c', CMD_OPT_COUNT, "N", "its processors (default: 1)", &o.cpus },
		{ "devices", 0, CMD_OPT_TEXT, "FILE",
		  "JSON object with the handoff's `net` and `block` entries to assume", &o.devices },
		{ "handoff-in", 0, CMD_OPT_TEXT, "FILE", "plan as a later link that received this handoff",
		  &o.handoff },
		{ "results", 0, CMD_OPT_TEXT, "FILE",
		  "what the calls left, to assume: JSON object by step, or a handoff that a run ended with",
		  &o.results },
		{ "step", 's', CMD_OPT_TEXT, "NAME", "only this step", &o.step },
		{ "handoff", 0, CMD_OPT_FLAG, NULL, "print the handoff that each kernel would get", &o.show_handoff },
		{ "masked", 0, CMD_OPT_FLAG, NULL, "put \"volatile\" for what no plan can know", &o.masked },
		{ "mask", 0, CMD_OPT_TEXT, "FILE",
		  "only print the handoff in FILE, masked, to compare it with a planned one;\nwith the image whose "
		  "step made it, its state as well",
		  &o.mask },
		{ "json", 0, CMD_OPT_FLAG, NULL, "print one JSON document", &o.json },
	};
	const struct cmd_spec spec = {
		.command = "plan",
		.operands = "IMAGE|PIPELINE|FOLDER",
		.opts = options,
		.opt_count = sizeof(options) / sizeof(options[0]),
		.least = 0,
		.most = 1,
		.about = "Prints what each step of a boot would do: the kernel and its digest, arguments with the "
			 "facts filled in\n"
			 "(those stay in braces that nothing given tells: devices, results of calls before the step),\n"
			 "where every byte goes and in which order, the processor's state at entry, and the handoff. "
			 "By the code\n"
			 "that the stage runs; nothing is booted.",
		.epilog = "example: kchain run image.elf --bootinfo machine.json\n"
			  "         kchain plan image.elf --bootinfo machine.json --handoff",
	};
	struct cmd_args args;
	int code = cmd_parse(&spec, argc, argv, &args);
	if (code >= 0)
		return code;
	code = check(&o, &args);
	if (code < 0)
		code = o.mask ? mask(&o, args.count ? args.v[0] : NULL) : plan_image(&o, args.v[0]);
	cmd_args_free(&args);
	return code;
}
