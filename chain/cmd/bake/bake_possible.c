/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: what can be said of a step without knowing the machine: it is planned for one that has everything. What can't
 * be started there can't be started anywhere. */

#include "bake_job.h"
#include "chain/args.h"
#include "chain/native_kernel.h"
#include "chain/source.h"
#include "chain/step.h"
#include "chain/template.h"

#include <stdlib.h>
#include <string.h>

/* --- the arguments, with facts in them that nobody knows yet --- */

/* What stands outside of a template is there in any case; a fact's value stands for itself, so only its default can
 * change what is quoted. */
struct args_seen {
	struct chain_args_state state;
	size_t bytes, words;
	bool in_word, unclosed;
};

static void piece_see(struct args_seen *seen, const char *text, size_t count)
{
	seen->bytes += count;
	for (size_t i = 0; i < count; i++) {
		const bool blank = (text[i] == ' ' || text[i] == '\t') && !seen->state.quoted;

		chain_args_scan(&seen->state, text + i, 1);
		seen->words += !blank && !seen->in_word;
		seen->in_word = !blank;
	}
}

static struct args_seen args_see(const char *args)
{
	struct args_seen seen = { .bytes = 0 };
	const char *open;

	for (; (open = strstr(args, "{{"));
	     args = strstr(open, "}}") + 2) { /* each is closed: chain_config_check_templates */
		const char *close = strstr(open, "}}"), *bar = memchr(open, '|', (size_t)(close - open));
		struct chain_args_state fallback = { .quoted = false };

		piece_see(&seen, args, (size_t)(open - args));
		if (bar)
			chain_args_scan(&fallback, bar + 1, (size_t)(close - bar - 1));
		seen.unclosed = seen.unclosed || seen.state.backslash || fallback.quoted || fallback.backslash;
		seen.words += !seen.in_word;
		seen.in_word = true;
	}
	piece_see(&seen, args, strlen(args));
	seen.unclosed = seen.unclosed || seen.state.quoted;
	return seen;
}

static enum chain_status args_check(const struct chain_step *step, enum chain_kernel_kind kind, struct chain_error *err)
{
	const struct args_seen seen = args_see(step->args);

	if (seen.bytes > CHAIN_TEMPLATE_MAX_BYTES)
		return CHAIN_FAIL(err, CONFIG_ARGS_LONG, .subject = step->source, .bytes = seen.bytes,
				  .limit = CHAIN_TEMPLATE_MAX_BYTES);
	if (kind != CHAIN_KERNEL_NATIVE)
		return CHAIN_OK;
	if (seen.unclosed)
		return chain_fail_subject(err, CHAIN_E_CONFIG_QUOTES, step->source);
	if (seen.words > CHAIN_ARGS_MAX)
		return CHAIN_FAIL(err, CONFIG_WORDS, .subject = step->source, .count = seen.words,
				  .limit = CHAIN_ARGS_MAX);
	return CHAIN_OK;
}

/* --- the kernel --- */

/* A PC's memory in one piece but for the firmware's part, and no end of it. */
static struct chain_mem_entry everything[] = {
	{ { 0, 0xa0000 }, CHAIN_MEM_AVAILABLE },
	{ { 1 << 20, 1ULL << 52 }, CHAIN_MEM_AVAILABLE },
};

static char nothing[] = "";

/* What the checks of a step borrow. */
struct world {
	struct chain_bootinfo machine;
	struct chain_range fs;
	struct chain_blob kernel;
	struct chain_plan_module *modules; /* owned */
	char *args;                        /* owned: what there is of them in any case */
};

static bool in_image(const struct chain_image *image, const char *source, struct chain_blob *out)
{
	const char *path = chain_source_path(source);
	struct fs_node node;

	*out = (struct chain_blob){ .phys = CHAIN_PHYS_UNKNOWN };
	return path && !fs_lookup(&image->fs, path, true, &node, NULL) && node.type == FS_REGULAR &&
	       !fs_file_bytes(&image->fs, &node, &out->bytes, &out->bytes_count, NULL);
}

/* Without the templates; null: no memory. */
static char *args_literal(const char *args)
{
	char *made = calloc(1, strlen(args) + 1);
	const char *open;
	size_t used = 0;

	for (; made && (open = strstr(args, "{{")); args = strstr(open, "}}") + 2) {
		memcpy(made + used, args, (size_t)(open - args));
		used += (size_t)(open - args);
	}
	return made ? strcat(made, args) : NULL;
}

/* A module that is not at hand is taken for an empty one. */
static enum chain_status world_make(const struct bake_job *job, const struct chain_image *image,
				    const struct chain_step *step, struct world *out, struct chain_error *err)
{
	const uint64_t base = job->result.header.base, fs = base + image->header.fs_offset;

	*out = (struct world){
		.machine = { .loader = nothing,
			     .cmdline = nothing,
			     .mem = everything,
			     .mem_count = sizeof(everything) / sizeof(everything[0]),
			     .cpus = 1,
			     .image = { base, job->result.memory_end },
			     .image_base = base,
			     .framebuffer = chain_framebuffer_ega_text(),
			     .rsdp_bytes = sizeof(out->machine.rsdp),
			     .smbios_bytes = sizeof(out->machine.smbios_entry),
			     .efi_system_table = 1 },
		.fs = { fs, fs + image->header.fs_memory_bytes },
		.modules = calloc(step->module_count + 1, sizeof(*out->modules)),
		.args = args_literal(step->args),
	};
	if (!out->modules || !out->args)
		return chain_fail_no_memory(err, step->source, (step->module_count + 1) * sizeof(*out->modules));
	for (size_t i = 0; i < step->module_count; i++) {
		(void)in_image(image, step->modules[i].from, &out->modules[i].blob);
		out->modules[i].string = step->modules[i].string;
		out->modules[i].movable = true;
	}
	return CHAIN_OK;
}

/* The least there is of one. */
static const struct chain_blob handoff = { .bytes = (const uint8_t *)"{}",
					   .bytes_count = 2,
					   .phys = CHAIN_PHYS_UNKNOWN };

static enum chain_handoff_at handoff_at(const struct chain_step *step)
{
	return step->handoff_at == CHAIN_CONFIG_HANDOFF_NONE ? CHAIN_HANDOFF_NONE : CHAIN_HANDOFF_LAST;
}

static enum chain_status boot_check(const struct chain_step *step, enum chain_kernel_kind kind, struct world *world,
				    struct chain_error *err)
{
	struct chain_framebuffer *screen = &world->machine.framebuffer;
	const struct chain_plan_request request = {
		.subject = step->source,
		.door = chain_kernel_door(kind, world->kernel.bytes, world->kernel.bytes_count),
		.kernel = world->kernel,
		.args = world->args,
		.loader_name = "kchain",
		.modules = world->modules,
		.module_count = step->module_count,
		.handoff = handoff,
		.handoff_string = step->handoff_string,
		.handoff_at = handoff_at(step),
		.bootinfo = &world->machine,
		.fs = world->fs,
		.fs_keep = step->fs_keep,
		.video_required = step->video_required,
	};
	struct chain_plan plan;
	enum chain_status status = chain_plan_build(&request, &plan, err);

	if (status == CHAIN_E_PLAN_NO_VIDEO) { /* it asks for the other kind, which some machine has */
		chain_error_clear(err);
		*screen = (struct chain_framebuffer){ .phys = 0xe0000000,
						      .pitch_bytes = 4096,
						      .width = 1024,
						      .height = 768,
						      .bpp = 32,
						      .type = CHAIN_FRAMEBUFFER_RGB };
		status = chain_plan_build(&request, &plan, err);
	}
	if (!status)
		chain_plan_free(&plan);
	return status;
}

static enum chain_status guest_check(const struct chain_step *step, enum chain_kernel_kind kind,
				     const struct world *world, struct chain_error *err)
{
	struct chain_guest_request request = {
		.subject = step->source,
		.door = chain_kernel_door(kind, world->kernel.bytes, world->kernel.bytes_count),
		.kernel = world->kernel.bytes,
		.kernel_bytes = world->kernel.bytes_count,
		.modules = world->modules,
		.module_count = step->module_count,
		.handoff_at = handoff_at(step),
		.handoff_string = step->handoff_string,
		.memory_bytes = chain_step_memory(step, kind),
		.machine = &world->machine,
		.video_required = step->video_required,
		.text_bytes = handoff.bytes_count,
	};
	struct chain_fixed fixed;
	struct chain_guest guest;
	enum chain_status status = CHAIN_OK;

	if (chain_step_way(step, kind) == CHAIN_CALL_FIXED) {
		status = chain_fixed_place(request.door, request.kernel, request.kernel_bytes, request.memory_bytes,
					   step->source, &fixed, err);
		if (!status)
			status = chain_fixed_check(&fixed, &world->machine, step->source, err);
		request.fixed = &fixed;
	}
	if (!status)
		status = chain_guest_make(&request, &guest, err);
	if (!status)
		chain_guest_free(&guest);
	return status;
}

static enum chain_status native_check(const struct chain_step *step, const struct world *world, struct chain_error *err)
{
	struct chain_native_kernel kernel;
	const enum chain_status status =
		chain_native_read(&kernel, world->kernel.bytes, world->kernel.bytes_count, step->source, err);
	const uint64_t least = !status ? chain_native_least_bytes(&kernel, step->fanout.cpus) : 0;

	if (least > step->memory_bytes)
		return CHAIN_FAIL(err, CALL_WINDOW_TOO_SMALL, .subject = step->source, .bytes = step->memory_bytes,
				  .least = least);
	return status;
}

static enum chain_status way_check(const struct chain_step *step, enum chain_kernel_kind kind, struct world *world,
				   struct chain_error *err)
{
	if (step->kind == CHAIN_STEP_BOOT)
		return boot_check(step, kind, world, err);
	return chain_step_way(step, kind) == CHAIN_CALL_NATIVE ? native_check(step, world, err) :
								 guest_check(step, kind, world, err);
}

enum chain_status bake_possible_check(const struct bake_job *job, const struct chain_image *image,
				      const struct chain_step *step, enum chain_kernel_kind kind,
				      struct chain_error *err)
{
	struct world world;
	enum chain_status status = args_check(step, kind, err);

	if (!status && step->module_count > CHAIN_PLAN_MODULES_MAX - 1)
		status = CHAIN_FAIL(err, CONFIG_MODULES, .subject = step->source, .count = step->module_count,
				    .limit = CHAIN_PLAN_MODULES_MAX - 1);
	if (status)
		return status;
	status = world_make(job, image, step, &world, err);
	if (!status && kind != CHAIN_KERNEL_UNKNOWN && in_image(image, step->source, &world.kernel))
		status = way_check(step, kind, &world, err);
	free(world.modules);
	free(world.args);
	return status;
}
