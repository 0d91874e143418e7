/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: what can be said of a pipeline's steps when their kernels are at hand: each is a kernel, an image among them is
 * whole, and, where the machine's memory is known, a boot finds room. */

#include "bake_job.h"
#include "chain/bootinfo.h"
#include "chain/door.h"
#include "chain/step.h"
#include "chain/cmd/cmd.h"
#include "chain/cmd/linux_payload.h"

#include <stdlib.h>
#include <string.h>

/* The bytes of a kernel, by their beginning; an image is checked wholly. */
static enum chain_status bytes_check(const uint8_t *bytes, uint64_t count, const struct chain_step *step,
				     enum chain_kernel_kind *out, struct chain_error *err)
{
	struct chain_error inner = { .status = CHAIN_OK };
	char subject[CHAIN_SUBJECT_BYTES];
	struct chain_image child;
	enum chain_status status = chain_kernel_probe_by(step->door, bytes, count, step->source, out, err);

	if (status || *out != CHAIN_KERNEL_IMAGE)
		return status;
	status = chain_image_open(&child, bytes, count, &inner);
	if (!status)
		status = chain_image_verify(&child, NULL, NULL, &inner);
	if (!status)
		return CHAIN_OK;
	(void)snprintf(subject, sizeof(subject), "%.120s: %.120s", step->source, inner.subject);
	return chain_fail_again(err, &inner, subject);
}

/* Whether an earlier image of this run had the very same kernel. The manifest's digests are of what was written. */
static bool seen_before(const struct bake_job *job, const struct chain_image *image, const char *path,
			enum chain_kernel_kind *out)
{
	struct chain_manifest_entry entry;

	return job->share && !chain_manifest_find(image, path, &entry, NULL) && entry.kind == CHAIN_MANIFEST_FILE &&
	       bake_share_is_good(job->share, entry.digest.bytes, out);
}

static enum chain_status kernel_check(const struct bake_job *job, const struct chain_image *image,
				      const struct chain_step *step, enum chain_kernel_kind *out,
				      struct chain_error *err)
{
	const char *path = chain_source_path(step->source);
	const uint8_t *bytes;
	uint64_t count;
	struct chain_digest digest;
	enum chain_status status;

	*out = chain_source_has(step->source, CHAIN_SOURCE_TAKES_NO_PIN) ? CHAIN_KERNEL_IMAGE : CHAIN_KERNEL_UNKNOWN;
	if (!path)
		return CHAIN_OK; /* not at hand */
	if (!step->door && seen_before(job, image, path, out))
		return CHAIN_OK;
	status = chain_image_file(image, path, &bytes, &count, &digest, err);
	if (!status)
		status = bytes_check(bytes, count, step, out, err);
	if (!status && job->share && !step->door)
		bake_share_good(job->share, digest.bytes, *out);
	return status;
}

/* The image will lie where it is linked for: whether a called kernel wants to be there is known now. */
static enum chain_status fixed_check(const struct chain_image *image, const struct chain_step *step,
				     enum chain_kernel_kind kind, struct chain_error *err)
{
	const uint64_t base = image->header.base;
	const struct chain_range lies = { base, base + image->header.fs_offset + image->header.fs_memory_bytes };
	const uint8_t *bytes;
	uint64_t count;
	struct chain_fixed fixed;
	enum chain_status status;

	if (step->kind != CHAIN_STEP_CALL || chain_step_way(step, kind) != CHAIN_CALL_FIXED)
		return CHAIN_OK;
	status = chain_image_file(image, chain_source_path(step->source), &bytes, &count, NULL, err);
	if (!status)
		status = chain_fixed_place(chain_kernel_door(kind, bytes, count), bytes, count,
					   chain_step_memory(step, kind), step->source, &fixed, err);
	return status ? status : chain_fixed_check_image(&fixed, lies, step->source, err);
}

/* A fact that only the boot will know is no reason to refuse. */
static bool needs_the_machine(enum chain_status status)
{
	return status == CHAIN_E_TEMPLATE_ABSENT || status == CHAIN_E_SOURCE_NO_MODULE ||
	       status == CHAIN_E_SOURCE_ELSEWHERE;
}

static enum chain_status plan_check(const struct bake_job *job, const struct chain_image *image,
				    const struct chain_bootinfo *machine, const struct chain_step *step,
				    struct chain_error *err)
{
	static const uint8_t boot_id[16] = { 0 };
	const uint64_t fs = image->header.base + image->header.fs_offset;
	const struct chain_sources sources = { .image = image, .fs_phys = fs, .bootinfo = machine };
	const struct chain_link link = { .config = &job->config,
					 .sources = &sources,
					 .door = chain_door_of_ours->name,
					 .boot_id = boot_id,
					 .regardless = true,
					 .fs = { fs, fs + image->header.fs_memory_bytes } };
	struct chain_error inner = { .status = CHAIN_OK };
	struct chain_prepared prepared;
	const enum chain_status status = chain_step_prepare(&link, step, &prepared, &inner);

	if (!status) {
		chain_prepared_free(&prepared);
		return CHAIN_OK;
	}
	if (needs_the_machine(status))
		return CHAIN_OK;
	return chain_fail_again(err, &inner, NULL);
}

/* The image has to be loaded before any step can be taken. */
static enum chain_status room_check(const struct bake_job *job, const struct chain_bootinfo *machine,
				    struct chain_error *err)
{
	for (size_t i = 0; i < machine->mem_count; i++)
		if (machine->mem[i].type == CHAIN_MEM_AVAILABLE &&
		    chain_range_contains(machine->mem[i].range, machine->image))
			return CHAIN_OK;
	return CHAIN_FAIL(err, BAKE_NO_ROOM, .subject = job->input, .base = machine->image.base,
			  .end = machine->image.end, .memory_bytes = job->memory_bytes);
}

/* --- one after the other, each with its place in the pipeline --- */

struct checks {
	struct bake_job *job;
	const struct chain_image *image;
	const struct chain_bootinfo *machine; /* null: not known */
};

/* All problems are reported where there is a pipeline to report them of. An image that lies where a called kernel
 * wants to be may lie elsewhere: that is for who asked for it to see. */
static enum chain_status step_note(const struct checks *checks, const char *path, struct chain_error *why,
				   struct chain_error *err)
{
	struct bake_job *job = checks->job;
	const enum chain_status status = why->status;

	if (status && job->document.name && status != CHAIN_E_NO_MEMORY &&
	    (status != CHAIN_E_FIXED_ON_IMAGE || job->base)) {
		cmd_document_note(&job->document, path, why);
		return CHAIN_OK;
	}
	if (status)
		*err = *why;
	return status;
}

static enum chain_status step_check(const struct checks *checks, const struct chain_step *step,
				    enum chain_kernel_kind *out_kind, struct chain_error *err)
{
	enum chain_status status = kernel_check(checks->job, checks->image, step, out_kind, err);

	if (!status && *out_kind != CHAIN_KERNEL_UNKNOWN)
		status = chain_step_check_kind(step, *out_kind, err);
	if (!status)
		status = fixed_check(checks->image, step, *out_kind, err);
	if (!status)
		status = bake_possible_check(checks->job, checks->image, step, *out_kind, err);
	if (!status && checks->machine)
		status = plan_check(checks->job, checks->image, checks->machine, step, err);
	return status;
}

/* Which member of a step is to be changed. */
static const char *member_of(const struct chain_error *why, const struct chain_step *step)
{
	switch (why->status) {
	case CHAIN_E_CONFIG_ARGS_LONG:
	case CHAIN_E_CONFIG_QUOTES:
	case CHAIN_E_CONFIG_WORDS:
		return "args";
	case CHAIN_E_CONFIG_MODULES:
		return "modules";
	case CHAIN_E_KERNEL_DOOR:
		return "door";
	case CHAIN_E_FIXED_TEXT:
		return "expect.console";
	case CHAIN_E_CALL_WINDOW_TOO_SMALL:
	case CHAIN_E_GUEST_MEMORY:
		return step->memory_said ? "memory" : "call";
	default:
		return step->kind == CHAIN_STEP_CALL ? "call" : "boot";
	}
}

/* In words for people, by the file's first bytes. */
static const char *kernel_name(const struct chain_image *image, const struct chain_step *step,
			       enum chain_kernel_kind kind)
{
	uint8_t head[4096];
	struct fs_node node;
	const char *path = chain_source_path(step->source);
	uint64_t bytes = 0;

	if (kind == CHAIN_KERNEL_UNKNOWN)
		return "fetched at boot";
	if (path && !fs_lookup(&image->fs, path, true, &node, NULL))
		bytes = node.size_bytes < sizeof(head) ? node.size_bytes : sizeof(head);
	if (bytes > 0 && fs_read(&image->fs, &node, 0, head, bytes, NULL))
		bytes = 0;
	return linux_kind_name(kind, bytes ? head : NULL, bytes);
}

static enum chain_status step_and_rescue_check(const struct checks *checks, size_t i, struct chain_error *err)
{
	const struct chain_step *step = &checks->job->config.steps[i];
	enum chain_kernel_kind kind = CHAIN_KERNEL_UNKNOWN, spare;
	struct chain_error why = { .status = CHAIN_OK };
	char path[64];
	enum chain_status status = step_check(checks, step, &kind, &why);

	if (!status)
		checks->job->steps[i].kind = strdup(kernel_name(checks->image, step, kind));
	(void)snprintf(path, sizeof(path), "steps[%zu].%s", i, member_of(&why, step));
	status = step_note(checks, path, &why, err);
	if (status || !step->fallback)
		return status;
	(void)step_check(checks, step->fallback, &spare, &why);
	(void)snprintf(path, sizeof(path), "steps[%zu].on_error.%s", i, member_of(&why, step->fallback));
	return step_note(checks, path, &why, err);
}

static enum chain_status machine_make(const struct bake_job *job, struct chain_bootinfo *out, struct chain_error *err)
{
	const enum chain_status status = chain_bootinfo_qemu("pc", job->memory_bytes, 1, out, err);

	if (status)
		return status;
	out->image = (struct chain_range){ job->result.header.base, job->result.memory_end };
	out->image_base = job->result.header.base;
	return room_check(job, out, err);
}

enum chain_status bake_steps_check(struct bake_job *job, const struct chain_image *image, struct chain_error *err)
{
	struct chain_bootinfo machine = { .mem = NULL };
	const struct checks checks = { job, image, job->memory_bytes ? &machine : NULL };
	enum chain_status status = job->memory_bytes ? machine_make(job, &machine, err) : CHAIN_OK;

	job->steps = calloc(job->config.step_count + 1, sizeof(*job->steps));
	if (!status && !job->steps)
		status = chain_fail_no_memory(err, job->input, job->config.step_count * sizeof(*job->steps));
	for (size_t i = 0; !status && i < job->config.step_count; i++)
		status = step_and_rescue_check(&checks, i, err);
	chain_bootinfo_free(&machine);
	return status ? status : cmd_document_status(&job->document, err);
}
