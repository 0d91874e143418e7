/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* The first-stage kernel: the spine of docs/IMAGE.md's picture. Each line of main() is a step that can fail, with one
 * error to report. */

#include "chain/bootinfo_json.h"
#include "stage/boot.h"
#include "chain/json_memory.h"
#include "chain/json_write.h"
#include "stage/clock.h"
#include "stage/console.h"
#include "stage/cpu.h"
#include "stage/devices.h"
#include "stage/pages.h"
#include "stage/parallel.h"
#include "stage/platform.h"
#include "stage/report.h"
#include "stage/run.h"
#include "stage/runtime.h"
#include "stage/self.h"
#include "stage/transport.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* A loader that ran out of memory may have left the image's end nowhere: look before it is read. */
static enum chain_status check_memory(const struct chain_bootinfo *info, struct chain_range image,
				      struct chain_error *err)
{
	uint64_t top = 0;
	for (size_t i = 0; i < info->mem_count; i++) {
		if (info->mem[i].type != CHAIN_MEM_AVAILABLE)
			continue;
		if (chain_range_contains(info->mem[i].range, image))
			return CHAIN_OK;
		if (info->mem[i].range.base <= image.base)
			top = info->mem[i].range.end;
	}
	return CHAIN_FAIL(err, STAGE_MEMORY, .subject = "image", .base = image.base, .end = image.end,
			  .memory_end = top);
}

static enum chain_status open_image(struct stage_run *run, struct chain_error *err)
{
	const struct chain_image_header *header = &stage_image_header;
	if (!header->fs_bytes)
		return chain_fail_subject(err, CHAIN_E_STAGE_UNBAKED, "stage");
	struct chain_range loaded = { stage_boot.image_phys,
				      stage_boot.image_phys + header->fs_offset + header->fs_bytes };
	enum chain_status status = check_memory(run->sources.bootinfo, loaded, err);
	if (!status)
		status = chain_image_open_loaded(&run->image, stage_phys_to_virt(stage_boot.image_phys), header, err);
	if (status)
		return status;
	uint64_t fs_phys = stage_boot.image_phys + header->fs_offset;
	run->fs = (struct chain_range){ fs_phys, fs_phys + header->fs_memory_bytes };
	run->sources.fs_phys = fs_phys;
	run->sources.self = &run->self;
	run->image.checked = &run->checked;
	status = stage_self(&run->self, &run->image, err);
	if (!status && header->flags & CHAIN_IMAGE_FLAG_VERIFY_ALL)
		status = chain_image_verify(&run->image, NULL, NULL, err);
	run->checked.all = !status && header->flags & CHAIN_IMAGE_FLAG_VERIFY_ALL;
	return status;
}

static enum chain_status read_config(struct stage_run *run, struct chain_error *err)
{
	const uint8_t *text;
	uint64_t bytes;
	enum chain_status status = chain_image_file(&run->image, CHAIN_FS_PIPELINE, &text, &bytes, NULL, err);
	if (!status)
		status = chain_config_parse((const char *)text, bytes, CHAIN_FS_PIPELINE, true, &run->config, err);
	if (status)
		return status;
	stage_console_clear();
	for (size_t i = 0; i < run->config.console_count; i++)
		stage_console_add(run->config.console[i]);
	return CHAIN_OK;
}

/* One clock for the whole chain, and no calibration where an earlier link has done it. */
static void continue_clock(const json_t *handoff)
{
	const json_t *clock = json_object_get(handoff, "clock");
	const char *origin = json_string_value(json_object_get(clock, "origin_ticks"));
	json_int_t hz = json_integer_value(json_object_get(clock, "tsc_hz"));
	if (origin && !stage_clock_continue(strtoull(origin, NULL, 16), hz > 0 ? (uint64_t)hz : 0))
		stage_say("clock", "the handoff's clock is ahead of this machine's: time starts anew");
}

static bool is_few(const json_t *records)
{
	return json_is_string(records) && strcmp(json_string_value(records), "few") == 0;
}

/* The first module that is one; the first link of a chain has none. */
static enum chain_status read_handoff(struct stage_run *run, struct chain_error *err)
{
	const struct chain_bootinfo *info = run->sources.bootinfo;
	enum chain_status status = CHAIN_OK;
	for (size_t i = 0; i < info->module_count && !run->parent; i++) {
		const struct chain_boot_module *module = &info->modules[i];
		if (!kchain_module_is_handoff(module->string))
			continue;
		status = chain_handoff_parse(stage_phys_to_virt(module->range.base), chain_range_bytes(module->range),
					     &run->parent, err);
		if (status)
			return status;
		continue_clock(run->parent);
		run->few_records = is_few(json_object_get(run->parent, "records"));
		if (stage_tsc_hz_known()) /* else no link has needed the time yet, so none has asked for a lease */
			status = chain_handoff_expire(run->parent, stage_clock_us(), err);
	}
	return status;
}

static const uint8_t *module_bytes(void *ctx, size_t index)
{
	const struct chain_bootinfo *info = ctx;
	return stage_phys_to_virt(info->modules[index].range.base);
}

/* Distinguishes chains; not a secret. */
static void make_boot_id(uint8_t out[CHAIN_BOOT_ID_BYTES])
{
	struct {
		uint64_t entry, now, phys;
	} seed = { stage_entry_tsc(), stage_rdtsc(), stage_boot.image_phys };
	uint8_t digest[CHAIN_SHA256_BYTES];
	chain_sha256_of(&seed, sizeof(seed), digest);
	memcpy(out, digest, CHAIN_BOOT_ID_BYTES);
}

static void begin(struct stage_run *run)
{
	struct chain_bootinfo *info = stage_bootinfo();
	chain_json_memory_init();
	stage_parallel_init();
	make_boot_id(run->boot_id);
	run->sources = (struct chain_sources){
		.image = &run->image, .bootinfo = info, .module_bytes = module_bytes, .ctx = info
	};
	run->results = json_object();
	run->net = json_object();
	run->block = json_object();
	stage_transport_init(&run->transport, run->block);
	run->sources.transport = &run->transport;
}

static void greet(const struct stage_run *run)
{
	char image[7 + CHAIN_SHA256_HEX + 1] = "sha256:";
	const char *door = run->sources.bootinfo->door;
	uint64_t link = chain_handoff_next_link(run->parent);
	chain_sha256_to_hex(run->image.header.id, image + 7);
	stage_set_name(run->config.name);
	stage_say("link", "%" PRIu64 "  %s  %.16s  by %s", link, run->config.name, image + 7, door);
	stage_record_members(CHAIN_TEXT("event", "entered"), CHAIN_INT("link", (json_int_t)link),
			     CHAIN_TEXT("name", run->config.name), CHAIN_TEXT("image", image), CHAIN_TEXT("door", door),
			     CHAIN_INT("ticks", (json_int_t)stage_entry_tsc()),
			     CHAIN_INT("tsc_hz", (json_int_t)stage_tsc_hz_known()));
}

static enum chain_status describe_platform(struct stage_run *run, struct chain_error *err)
{
	const struct chain_bootinfo *info = run->sources.bootinfo;
	return chain_handoff_share(run->parent, info, info->door, &run->shared, err);
}

static enum chain_status record_bootinfo(const struct stage_run *run, struct chain_error *err)
{
	json_t *doc, *devices;
	if (run->few_records)
		return CHAIN_OK;
	enum chain_status status = stage_devices_list(run->net, run->block, &devices, err);
	if (status)
		return status;
	const json_t *memory = json_object_get(run->shared.platform.value, "memory");
	status = chain_bootinfo_to_json(run->sources.bootinfo, devices, memory, &doc, err);
	if (!status)
		stage_record_members(CHAIN_TEXT("event", "bootinfo"), CHAIN_STEAL("doc", doc));
	json_decref(devices);
	return status;
}

int main(void)
{
	struct stage_run run = { 0 };
	struct chain_error err = { 0 };

	begin(&run);
	enum chain_status status = open_image(&run, &err);
	if (!status)
		status = read_config(&run, &err);
	if (!status)
		status = read_handoff(&run, &err);
	if (!status)
		greet(&run);
	if (!status)
		stage_platform_complete(stage_bootinfo(), run.parent);
	if (!status)
		status = stage_devices_configure(&run.config, run.parent, run.net, run.block, &err);
	if (!status)
		status = describe_platform(&run, &err);
	if (!status)
		status = record_bootinfo(&run, &err);
	if (status) {
		stage_report_error(NULL, &err);
		return stage_run_end(&run, STAGE_END_FAILED);
	}
	return stage_run_steps(&run);
}
