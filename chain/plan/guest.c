/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "chain/guest.h"

#include <stdlib.h>
#include <string.h>

enum {
	LOW_END = 0x9fc00,
	HIGH_BASE = 0x100000,
	PAGE = 4096,
	TABLE_BYTES = 2 * 1024 * 1024,
	BIOS_DATA_END = 0x500
}; /* where a PC's memory stops and goes on */

static enum chain_status unfit(const char *subject, const char *what, uint64_t base, uint64_t end,
			       struct chain_range memory, struct chain_error *err)
{
	return CHAIN_FAIL(err, GUEST_PLAN, .subject = subject, .detail = what, .base = base, .end = end,
			  .memory_base = memory.base, .memory_end = memory.end);
}

enum chain_status chain_guest_check(const struct chain_plan *plan, struct chain_range memory, const char *subject,
				    struct chain_error *err)
{
	if (plan->entry.mode != CHAIN_ENTRY_PROTECTED32)
		return unfit(subject, "an entry that is not 32-bit protected mode", plan->entry.address,
			     plan->entry.address, memory, err);
	if (plan->entry.address < memory.base || plan->entry.address >= memory.end ||
	    plan->entry.registers[CHAIN_RBX] != plan->info.base)
		return unfit(subject, "the entry point or its information", plan->entry.address,
			     plan->entry.registers[CHAIN_RBX], memory, err);
	if (plan->info.base > plan->info.end || !chain_range_contains(memory, plan->info) ||
	    plan->made_bytes != chain_range_bytes(plan->info))
		return unfit(subject, "the information structure", plan->info.base, plan->info.end, memory, err);
	bool handoff = plan->handoff.base || plan->handoff.end; /* none lies nowhere */
	if (handoff && (plan->handoff.base > plan->handoff.end || !chain_range_contains(memory, plan->handoff)))
		return unfit(subject, "the handoff", plan->handoff.base, plan->handoff.end, memory, err);
	for (size_t i = 0; i < plan->move_count; i++) {
		const struct chain_move *move = &plan->moves[i];
		if (move->dest.base > move->dest.end || !chain_range_contains(memory, move->dest))
			return unfit(subject, "a move's destination", move->dest.base, move->dest.end, memory, err);
		if (move->kind == CHAIN_MOVE_COPY && (move->source_phys != CHAIN_PHYS_UNKNOWN || !move->bytes))
			return unfit(subject, "a move's source", move->source_phys, move->source_phys, memory, err);
	}
	return CHAIN_OK;
}

static struct chain_range memory_of(const struct chain_guest *guest)
{
	return (struct chain_range){ guest->base, guest->base + guest->memory_bytes };
}

/* The room of the command line and the place that says where the handoff ends, both in the information structure. */
static enum chain_status find_texts(struct chain_guest *guest, const struct chain_guest_request *request,
				    struct chain_error *err)
{
	const struct chain_plan *plan = &guest->plan;
	const struct chain_range made = { plan->info.base, plan->info.base + plan->made_bytes };
	struct chain_door_texts texts;
	guest->handoff = plan->handoff;
	if (!request->door->texts(plan->made, plan->made_bytes, made.base, plan->handoff, &texts))
		return unfit(request->subject, "the module list", made.base, made.end, memory_of(guest), err);
	uint64_t args =
		made.base +
		texts.cmdline; /* the door's number may be anything: the sums are checked by what comes of them */
	guest->args = (struct chain_range){ args, args + request->text_bytes };
	if (args < made.base || args > made.end || request->text_bytes > made.end - args)
		return unfit(request->subject, "the command line", guest->args.base, guest->args.end, memory_of(guest),
			     err);
	if (texts.handoff_end)
		guest->handoff_end_at = made.base + texts.handoff_end;
	return CHAIN_OK;
}

/* A module's bytes lie in the stage's memory, not in the guest's. */
static struct chain_plan_module *borrow_modules(const struct chain_guest_request *request)
{
	struct chain_plan_module *modules = calloc(request->module_count + 1, sizeof(*modules));
	for (size_t i = 0; modules && i < request->module_count; i++) {
		modules[i] = request->modules[i];
		modules[i].blob.phys = CHAIN_PHYS_UNKNOWN;
		modules[i].movable = true;
	}
	return modules;
}

/* The planner's words are about the machine's memory; here it is the step's that is too small. */
static enum chain_status explain(const struct chain_error *why, const struct chain_guest_request *request,
				 struct chain_error *err)
{
	char text[CHAIN_SUBJECT_BYTES];
	if (why->status != CHAIN_E_NO_SPACE && why->status != CHAIN_E_PLAN_OUTSIDE_MEMORY) {
		*err = *why;
		return why->status;
	}
	uint64_t bytes = request->fixed ? chain_range_bytes(request->fixed->window) : request->memory_bytes;
	chain_error_format(why, text, sizeof(text));
	return CHAIN_FAIL(err, GUEST_MEMORY, .subject = request->subject, .detail = text, .bytes = bytes);
}

static uint64_t whole_pages(uint64_t memory_bytes)
{
	return chain_align_down(memory_bytes, PAGE);
}

/* Tables: one for each 2 MiB begun, one for each GiB begun, two above. */
uint64_t chain_guest_window_bytes(uint64_t memory_bytes)
{
	uint64_t memory = whole_pages(memory_bytes),
		 tables = memory / TABLE_BYTES + 1 + memory / (512ull * TABLE_BYTES) + 1 + 2;
	return memory + (tables + CHAIN_GUEST_OWN_PAGES) * PAGE;
}

struct chain_bootinfo chain_guest_machine(uint64_t memory_bytes, struct chain_mem_entry mem[CHAIN_GUEST_MEM_ENTRIES])
{
	static char empty[] = "";
	mem[0] = (struct chain_mem_entry){ { 0, LOW_END }, CHAIN_MEM_AVAILABLE };
	mem[1] = (struct chain_mem_entry){ { HIGH_BASE, whole_pages(memory_bytes) }, CHAIN_MEM_AVAILABLE };
	return (struct chain_bootinfo){ .loader = empty,
					.cmdline = empty,
					.mem = mem,
					.mem_count = CHAIN_GUEST_MEM_ENTRIES,
					.cpus = 1,
					.framebuffer = chain_framebuffer_ega_text() };
}

/* The machine as the kernel is told of it. `isolated`: room for the map of one of its own; else `*out_map` is the
 * caller's to free. */
static enum chain_status show_machine(const struct chain_guest_request *request,
				      struct chain_mem_entry isolated[CHAIN_GUEST_MEM_ENTRIES],
				      struct chain_bootinfo *out, struct chain_mem_entry **out_map,
				      struct chain_error *err)
{
	*out = chain_guest_machine(request->memory_bytes, isolated);
	*out_map = NULL;
	if (!request->fixed)
		return CHAIN_OK;
	enum chain_status status = chain_fixed_map(request->fixed, request->machine, out_map, &out->mem_count, err);
	out->mem = *out_map;
	out->framebuffer = request->machine->framebuffer;
	return status;
}

/* Planned once with texts of the largest size: those of each kernel are put in their place later. */
static enum chain_status make_plan(const struct chain_guest_request *request, struct chain_guest *out,
				   struct chain_error *err)
{
	struct chain_mem_entry mem[CHAIN_GUEST_MEM_ENTRIES], *map;
	struct chain_bootinfo machine;
	enum chain_status status = show_machine(request, mem, &machine, &map, err);
	if (status)
		return status;
	struct chain_plan_module *modules = borrow_modules(request);
	if (!modules) {
		free(map);
		return chain_fail_no_memory(err, request->subject, (request->module_count + 1) * sizeof(*modules));
	}
	const struct chain_plan_request plan = {
		.subject = request->subject,
		.door = request->door,
		.kernel = { request->kernel, request->kernel_bytes, CHAIN_PHYS_UNKNOWN },
		.args = out->filler,
		.loader_name = "kchain",
		.handoff = { (const uint8_t *)out->filler, request->text_bytes, CHAIN_PHYS_UNKNOWN },
		.modules = modules,
		.module_count = request->module_count,
		.handoff_string = request->handoff_string,
		.handoff_at = request->handoff_at,
		.bootinfo = &machine,
		.video_required = request->video_required,
	};
	struct chain_error why = { 0 };
	status = chain_plan_build(&plan, &out->plan, &why);
	free(modules);
	free(map);
	return status ? explain(&why, request, err) : CHAIN_OK;
}

/* Its memory, empty so far. */
static enum chain_status begin(const struct chain_guest_request *request, struct chain_guest *out,
			       struct chain_error *err)
{
	const struct chain_fixed *fixed = request->fixed;
	*out = (struct chain_guest){ .isolated = true, .memory_bytes = whole_pages(request->memory_bytes) };
	if (fixed)
		*out = (struct chain_guest){ .base = fixed->window.base,
					     .memory_bytes = fixed->mailbox.base - fixed->window.base };
	if (!request->door->texts)
		return chain_fail_text(err, CHAIN_E_GUEST_DOOR, request->subject, request->door->title);
	if (!fixed && request->memory_bytes < CHAIN_GUEST_MEMORY_MIN)
		return CHAIN_FAIL(err, GUEST_MEMORY, .subject = request->subject,
				  .detail = "a PC's memory goes on at 1 MiB, where kernels lie",
				  .bytes = request->memory_bytes);
	out->filler = malloc(request->text_bytes);
	if (!out->filler)
		return chain_fail_no_memory(err, request->subject, request->text_bytes);
	memset(out->filler, ' ', request->text_bytes - 1);
	out->filler[request->text_bytes - 1] = '\0';
	return CHAIN_OK;
}

enum chain_status chain_guest_make(const struct chain_guest_request *request, struct chain_guest *out,
				   struct chain_error *err)
{
	enum chain_status status = begin(request, out, err);
	if (status)
		return status;
	status = make_plan(request, out, err);
	if (!status)
		status = chain_guest_check(&out->plan, memory_of(out), request->subject, err);
	if (!status)
		status = find_texts(out, request, err);
	if (status)
		chain_guest_free(out);
	return status;
}

void chain_guest_free(struct chain_guest *guest)
{
	chain_plan_free(&guest->plan);
	free(guest->filler);
	*guest = (struct chain_guest){ 0 };
}

/* What a PC's BIOS leaves in memory. An interrupt of each number, which asks for a service of it in real mode, comes to
 * one instruction that ends the guest, by a segment of its own. Kernels without ACPI look at the data area for where
 * COM1 is, the segment of what lies at the end of low memory (nothing here), how many KiB there are below it, and where
 * the screen's controller is. */
static uint8_t bios_byte(uint64_t at)
{
	static const struct {
		uint16_t at, value;
	} words[] = {
		{ 0x400, 0x3f8 },
		{ 0x40e, LOW_END / 16 },
		{ 0x413, LOW_END / 1024 },
		{ 0x463, 0x3d4 },
	};
	static const uint8_t call[] = { 0x0f, 0x01, 0xd9 }; /* VMMCALL */
	uint64_t number = at / 4;
	if (number < 256)
		return (uint8_t)((at & 2 ? CHAIN_GUEST_BIOS / 16 - number : number * 16) >> at % 2 * 8);
	if (at - CHAIN_GUEST_BIOS < sizeof(call))
		return call[at - CHAIN_GUEST_BIOS];
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (at - words[i].at < 2)
			return (uint8_t)(words[i].value >> (at - words[i].at) * 8);
	return 0;
}

static void put_bios_data(uint64_t base, uint64_t bytes, uint8_t *into)
{
	static const struct chain_range filled[] = { { 0, BIOS_DATA_END }, { CHAIN_GUEST_BIOS, CHAIN_GUEST_BIOS + 3 } };
	for (size_t i = 0; i < sizeof(filled) / sizeof(filled[0]); i++)
		for (uint64_t at = filled[i].base > base ? filled[i].base : base;
		     at < filled[i].end && at - base < bytes; at++)
			into[at - base] = bios_byte(at);
}

void chain_guest_part(const struct chain_guest *guest, uint64_t base, uint64_t bytes, uint8_t *into)
{
	memset(into, 0, bytes);
	if (guest->isolated)
		put_bios_data(base, bytes, into);
	for (size_t i = 0; i < guest->plan.move_count; i++) {
		const struct chain_move *move = &guest->plan.moves[i];
		uint64_t from = move->dest.base > base ? move->dest.base : base;
		uint64_t end = move->dest.end < base + bytes ? move->dest.end : base + bytes;
		if (from >= end)
			continue;
		if (move->kind == CHAIN_MOVE_COPY)
			memcpy(into + (from - base), move->bytes + (from - move->dest.base), end - from);
		else
			memset(into + (from - base), 0, end - from);
	}
}

/* `at`: the room's first byte. */
static void put(uint8_t *at, struct chain_range room, const char *text, uint64_t bytes)
{
	memcpy(at, text, bytes);
	memset(at + bytes, 0, chain_range_bytes(room) - bytes);
}

bool chain_guest_texts(const struct chain_guest *guest, uint8_t *memory, const char *handoff, uint64_t handoff_bytes,
		       const char *args)
{
	uint64_t args_bytes = strlen(args);
	uint32_t end = (uint32_t)(guest->handoff.base + handoff_bytes);
	if (args_bytes >= chain_range_bytes(guest->args))
		return false;
	put(memory + (guest->args.base - guest->base), guest->args, args, args_bytes);
	if (!guest->handoff_end_at)
		return true;
	if (handoff_bytes > chain_range_bytes(guest->handoff))
		return false;
	put(memory + (guest->handoff.base - guest->base), guest->handoff, handoff, handoff_bytes);
	memcpy(memory + (guest->handoff_end_at - guest->base), &end, sizeof(end));
	return true;
}
