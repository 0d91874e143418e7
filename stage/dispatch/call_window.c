/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "stage/bulk.h"
#include "stage/call_window.h"

#include "chain/native_kernel.h"
#include "stage/boot.h"
#include "stage/assigned.h"
#include "stage/clock.h"
#include "stage/entry_area.h"
#include "stage/pages.h"
#include "stage/processors.h"

#include <stdlib.h>
#include <string.h>

enum {
	PAGE = STAGE_PAGE,
	OTHER_PIECES = 3 /* call block, mailbox, heap */,
	PROCESSOR_PIECES = 2 /* entry page, stack */
};

#define STACKS_VIRT (KCHAIN_WINDOW_VIRT + PAGE)
extern const uint8_t stage_trap_entries[];

/* Whole pages; what no 64 bits hold is more than any window has. */
static uint64_t page_up(uint64_t bytes)
{
	uint64_t whole;
	return chain_align_up(bytes, PAGE, &whole) ? whole : UINT64_MAX - PAGE + 1;
}

static uint64_t sum(uint64_t a, uint64_t b)
{
	return a < UINT64_MAX - b ? a + b : UINT64_MAX;
}

static enum chain_status too_small(const struct stage_call_window *w, const struct stage_call_window_request *request,
				   uint64_t more, struct chain_error *err)
{
	return CHAIN_FAIL(err, CALL_WINDOW_TOO_SMALL, .subject = request->callee->subject, .bytes = w->bytes,
			  .least = sum(w->used, more));
}

/* Pages of the window, as they are; 0 when it is used up. Physical page 0 is never part of a window. */
static uint64_t take(struct stage_call_window *w, uint64_t bytes)
{
	bytes = page_up(bytes);
	if (bytes > w->bytes - w->used)
		return 0;
	uint64_t phys = w->phys + w->used;
	w->used += bytes;
	return phys;
}

static uint64_t take_table(void *ctx)
{
	uint64_t phys = take(ctx, PAGE);
	if (phys)
		stage_zero(stage_phys_to_virt(phys), PAGE);
	return phys;
}

/* A part of the file, zero behind. */
static void lay(uint8_t *to, uint64_t bytes, const uint8_t *file, uint64_t file_bytes)
{
	stage_copy(to, file, file_bytes);
	stage_zero(to + file_bytes, bytes - file_bytes);
}

static enum chain_status map(struct stage_call_window *w, const struct stage_call_window_request *request,
			     uint64_t virt, uint64_t phys, uint64_t bytes, unsigned flags, struct chain_error *err)
{
	struct stage_table_pages pages = { .take = take_table, .ctx = w };
	if (request->recycled && flags & STAGE_MAP_WRITE)
		flags |= STAGE_MAP_SMALL; /* so that what was written to is known by the page */
	if (!stage_table_map(w->root_phys, &pages, virt, phys, page_up(bytes), flags))
		return too_small(w, request, PAGE, err);
	return CHAIN_OK;
}

static void note_piece(struct stage_call_window *w, uint64_t virt, uint64_t phys, uint64_t bytes, const uint8_t *file,
		       uint64_t file_bytes)
{
	w->pieces[w->piece_count++] = (struct stage_call_piece){ virt, phys, page_up(bytes), file, file_bytes, NULL };
}

/* A piece of the window, visible at the next virtual address, an unmapped page behind it. */
static enum chain_status add_piece(struct stage_call_window *w, const struct stage_call_window_request *request,
				   uint64_t bytes, unsigned flags, uint64_t *phys, struct chain_range *virt,
				   struct chain_error *err)
{
	*phys = take(w, bytes);
	if (!*phys)
		return too_small(w, request, page_up(bytes), err);
	*virt = (struct chain_range){ w->virt_next, w->virt_next + page_up(bytes) };
	w->virt_next = virt->end + PAGE;
	if (flags & STAGE_MAP_WRITE)
		note_piece(w, virt->base, *phys, bytes, NULL, 0);
	return map(w, request, virt->base, *phys, bytes, flags, err);
}

/* Shared where it lies when nothing can write to it; else a private copy. */
static enum chain_status add_segment(struct stage_call_window *w, const struct stage_call_window_request *request,
				     const struct chain_segment *s, struct chain_error *err)
{
	uint64_t memory_bytes = chain_range_bytes(s->virt);
	const uint8_t *bytes = request->callee->native.bytes + s->file_offset;
	bool writable = s->flags & CHAIN_ELF_PF_W;
	unsigned flags = (writable ? STAGE_MAP_WRITE : 0u) | (s->flags & CHAIN_ELF_PF_X ? STAGE_MAP_EXECUTE : 0u);
	bool shared = chain_native_is_shared(s) && (uintptr_t)bytes % PAGE == 0;
	uint64_t phys = shared ? stage_virt_to_phys(bytes) : take(w, memory_bytes);
	if (!phys)
		return too_small(w, request, page_up(memory_bytes), err);
	if (!shared)
		lay(stage_phys_to_virt(phys), page_up(memory_bytes), bytes, s->file_bytes);
	if (writable)
		note_piece(w, s->virt.base, phys, memory_bytes, bytes, s->file_bytes);
	return map(w, request, s->virt.base, phys, memory_bytes, flags, err);
}

static enum chain_status add_kernel(struct stage_call_window *w, const struct stage_call_window_request *request,
				    struct kchain_native_note *note, struct chain_error *err)
{
	struct chain_native_kernel kernel;
	enum chain_status status =
		chain_native_read(&kernel, request->callee->native.bytes, request->callee->native.bytes_count,
				  request->callee->subject, err);
	if (status)
		return status;
	*note = kernel.note;
	w->entry = note->entry;
	for (size_t i = 0; !status && i < kernel.segment_count; i++)
		status = add_segment(w, request, &kernel.segments[i], err);
	return status;
}

/* What the stage's own tables have at KCHAIN_ENTRY_VIRT, for the kernel's processors: the block can't be written to,
 * and in place of the page with the entry stacks there is one of the window. */
static enum chain_status add_entry_areas(struct stage_call_window *w, const struct stage_call_window_request *request,
					 uint32_t cpus, struct chain_error *err)
{
	w->entry_phys = take(w, cpus * (uint64_t)PAGE);
	if (!w->entry_phys)
		return too_small(w, request, cpus * (uint64_t)PAGE, err);
	enum chain_status status = CHAIN_OK;
	for (uint32_t i = 0; !status && i < cpus; i++) {
		const struct stage_cpu *cpu = stage_processor_block(request->processor + i);
		uint64_t block = (uint64_t)cpu, stacks = block + STAGE_ENTRY_PAGE,
			 phys = w->entry_phys + i * (uint64_t)PAGE;
		status = map(w, request, block, stage_entry_area_phys(cpu), PAGE, 0, err);
		if (!status)
			status = map(w, request, stacks, phys, PAGE, STAGE_MAP_WRITE, err);
		note_piece(w, stacks, phys, PAGE, NULL, 0);
	}
	return status;
}

/* They follow each other, so that that of each further processor is as far on; see stage_call_window_of. A page that is
 * not mapped lies below each, the first one included. */
static enum chain_status add_stacks(struct stage_call_window *w, const struct stage_call_window_request *request,
				    uint32_t cpus, const struct kchain_native_note *note, struct chain_error *err)
{
	uint64_t phys, stack_bytes = note->stack_bytes ? note->stack_bytes : STAGE_CALL_STACK_BYTES;
	struct chain_range further;
	w->virt_next = STACKS_VIRT;
	enum chain_status status =
		add_piece(w, request, stack_bytes, STAGE_MAP_WRITE, &phys, &w->visible[STAGE_VISIBLE_STACK], err);
	w->stack_top =
		w->visible[STAGE_VISIBLE_STACK].end - 8; /* as if called: a zero return address on a 16-byte boundary */
	for (uint32_t cpu = 1; !status && cpu < cpus; cpu++)
		status = add_piece(w, request, stack_bytes, STAGE_MAP_WRITE, &phys, &further, err);
	return status;
}

struct stage_call_window stage_call_window_of(const struct stage_call_window *w, uint32_t cpu)
{
	struct stage_call_window own = *w;
	uint64_t further = cpu * (w->visible[STAGE_VISIBLE_STACK].end + PAGE - STACKS_VIRT);
	own.entry_phys += cpu * (uint64_t)PAGE;
	own.stack_top += further;
	own.visible[STAGE_VISIBLE_STACK].base += further;
	own.visible[STAGE_VISIBLE_STACK].end += further;
	return own;
}

/* All that is left of the window, less what its own tables may take. */
static enum chain_status add_heap(struct stage_call_window *w, const struct stage_call_window_request *request,
				  const struct kchain_native_note *note, struct chain_error *err)
{
	uint64_t tables = (w->bytes / (512 * PAGE) + 4) * PAGE, least = sum(page_up(note->heap_bytes), tables + PAGE);
	if (w->bytes - w->used < least)
		return too_small(w, request, least, err);
	uint64_t bytes = w->bytes - w->used - tables, phys = w->phys + w->used + tables;
	w->visible[STAGE_VISIBLE_HEAP] = (struct chain_range){ w->virt_next, w->virt_next + bytes };
	w->heap_phys = phys;
	note_piece(w, w->virt_next, phys, bytes, NULL, 0);
	return map(w, request, w->virt_next, phys, bytes, STAGE_MAP_WRITE, err);
}

static uint64_t take_fs_table(void *ctx)
{
	struct stage_call_fs_table *table = ctx;
	if (table->used == table->bytes)
		return 0;
	uint64_t phys = table->phys + table->used;
	table->used += PAGE;
	memset(stage_phys_to_virt(phys), 0, PAGE);
	return phys;
}

bool stage_call_fs_table_make(struct chain_range fs, struct stage_call_fs_table *out)
{
	enum {
		LARGE = 2 * 1024 * 1024,
		OTHERS = 5
	}; /* a root for the making, two levels, and small pages at both ends */
	struct stage_table_pages pages = { .take = take_fs_table, .ctx = out };
	uint64_t fs_bytes = page_up(chain_range_bytes(fs));
	*out = (struct stage_call_fs_table){ .bytes = ((fs_bytes / LARGE / 512) + OTHERS) * PAGE };
	if (!fs_bytes)
		return true;
	out->phys = stage_pages_alloc(out->bytes, PAGE, CHAIN_OWNER_HEAP);
	if (!out->phys)
		return false;
	uint64_t root = take_fs_table(out);
	if (stage_table_map(root, &pages, KCHAIN_FS_VIRT, fs.base, fs_bytes, 0))
		out->root_entry = ((uint64_t *)stage_phys_to_virt(root))[(KCHAIN_FS_VIRT >> 39) & 511];
	return out->root_entry;
}

void stage_call_fs_table_free(struct stage_call_fs_table *table)
{
	if (table->phys)
		stage_pages_free(table->phys, table->bytes);
	*table = (struct stage_call_fs_table){ 0 };
}

static enum chain_status add_texts(struct stage_call_window *w, const struct stage_call_window_request *request,
				   struct chain_error *err)
{
	struct chain_range virt;
	enum chain_status status = add_piece(w, request, request->callee->text_bytes, 0, &w->text_phys, &virt, err);
	w->text_virt = virt.base;
	w->text_room = chain_range_bytes(virt);
	if (status)
		return status;
	return add_piece(w, request, STAGE_CALL_MAILBOX_BYTES, STAGE_MAP_WRITE, &w->mailbox_phys,
			 &w->visible[STAGE_VISIBLE_MAILBOX], err);
}

/* What is the same for each task. */
static void make_block(struct stage_call_window *w, const struct stage_call_window_request *request)
{
	const struct chain_range *fs = &request->callee->native.fs;
	w->block = (struct kchain_call){
		.abi = KCHAIN_NATIVE_ABI,
		.bytes = sizeof(w->block),
		.window_phys = w->phys,
		.window_bytes = w->bytes,
		.heap_is_zero = request->recycled,
		.team = w->team_virt,
		.cpus = request->callee->native.cpus,
		.handoff = w->text_virt,
		.mailbox = w->visible[STAGE_VISIBLE_MAILBOX].base,
		.mailbox_bytes = STAGE_CALL_MAILBOX_BYTES,
		.heap_phys = w->heap_phys,
		.heap = w->visible[STAGE_VISIBLE_HEAP].base,
		.heap_bytes = chain_range_bytes(w->visible[STAGE_VISIBLE_HEAP]),
	};
	if (chain_range_bytes(*fs)) {
		w->block.fs = KCHAIN_FS_VIRT;
		w->block.fs_bytes = chain_range_bytes(*fs);
		w->block.fs_phys = fs->base;
	}
}

void stage_call_window_fill(const struct stage_call_window *w, const struct stage_call_task *task)
{
	struct kchain_call *block = stage_phys_to_virt(w->call_phys);
	char *text = stage_phys_to_virt(w->text_phys);
	uint64_t *device_root = (uint64_t *)stage_phys_to_virt(w->root_phys) + (KCHAIN_DEVICE_VIRT >> 39 & 511);
	stage_copy(text, task->handoff, task->handoff_bytes);
	strcpy(text + task->handoff_bytes, task->args);
	*block = w->block;
	block->processor = stage_cpu()->index;
	block->index = task->index;
	block->tsc_hz = stage_tsc_hz_known();
	block->handoff_bytes = task->handoff_bytes;
	block->args = w->text_virt + task->handoff_bytes;
	*device_root = 0;
	if (task->devices) {
		*device_root = task->devices->root_entry;
		block->devices = KCHAIN_DEVICE_VIRT;
		block->device_count = (uint32_t)task->devices->count;
	}
}

/* No piece that is made as new for each call: it is the stage's. */
static enum chain_status add_team(struct stage_call_window *w, const struct stage_call_window_request *request,
				  struct chain_error *err)
{
	struct chain_range virt = { 0, 0 };
	enum chain_status status = add_piece(w, request, sizeof(struct kchain_team), 0, &w->team_phys, &virt, err);
	w->team_virt = virt.base;
	if (!status)
		stage_zero(stage_phys_to_virt(w->team_phys), sizeof(struct kchain_team));
	return status;
}

static enum chain_status add_block(struct stage_call_window *w, const struct stage_call_window_request *request,
				   const struct kchain_native_note *note, struct chain_error *err)
{
	struct chain_range virt = { 0, 0 };
	const struct stage_callee_native *kernel = &request->callee->native;
	uint64_t fs_bytes = chain_range_bytes(kernel->fs);
	enum chain_status status =
		add_piece(w, request, sizeof(struct kchain_call), STAGE_MAP_WRITE, &w->call_phys, &virt, err);
	w->call_virt = virt.base;
	if (!status)
		status = add_texts(w, request, err);
	if (!status && kernel->cpus > 1)
		status = add_team(w, request, err);
	if (!status && fs_bytes && request->fs_root_entry)
		((uint64_t *)stage_phys_to_virt(w->root_phys))[(KCHAIN_FS_VIRT >> 39) & 511] = request->fs_root_entry;
	else if (!status && fs_bytes)
		status = map(w, request, KCHAIN_FS_VIRT, kernel->fs.base, fs_bytes, 0, err);
	if (!status)
		status = add_heap(w, request, note, err);
	if (!status)
		make_block(w, request);
	return status;
}

/* What a trap needs before it has changed to the stage's page tables, read-only: the page with the entry code, and the
 * interrupt table. All windows share one directory with them. */
static uint64_t take_shared(void *ctx)
{
	static uint64_t pages[2][PAGE / sizeof(uint64_t)] STAGE_BOOT_ONLY
		__attribute__((aligned(4096))); /* directory and table, zeroed */
	static size_t used;
	(void)ctx;
	return used < sizeof(pages) / sizeof(pages[0]) ? stage_virt_to_phys(pages[used++]) : 0;
}

static bool share_page(struct stage_call_window *w, const void *virt, unsigned flags)
{
	const struct stage_table_pages pages = { .take = take_shared };
	uint64_t page = (uint64_t)virt & ~(uint64_t)(PAGE - 1);
	return stage_table_map(w->root_phys, &pages, page, stage_virt_to_phys((const void *)page), PAGE, flags);
}

static enum chain_status share_stage(struct stage_call_window *w, const struct stage_call_window_request *request,
				     struct chain_error *err)
{
	static uint64_t shared;
	size_t top = (KCHAIN_STAGE_VIRT >> 39) & 511, directory = (KCHAIN_STAGE_VIRT >> 30) & 511;
	uint64_t address = ~(uint64_t)(PAGE - 1) & 0x000fffffffffffff;
	const uint64_t *root = stage_phys_to_virt(w->root_phys);
	if (!(root[top] & 1)) /* the kernel's segments made it; a kernel without any was refused */
		return CHAIN_FAIL(err, CALL_SEGMENT, .subject = request->callee->subject, .base = 0, .bytes = 0,
				  .range_base = KCHAIN_NATIVE_VIRT);
	uint64_t *entry = (uint64_t *)stage_phys_to_virt(root[top] & address) + directory;
	if (shared)
		*entry = shared;
	else if (!share_page(w, stage_trap_entries, STAGE_MAP_EXECUTE) || !share_page(w, stage_idt(), 0))
		stage_panic("the entry code and the interrupt table do not lie within the same 2 MiB");
	shared = *entry;
	return CHAIN_OK;
}

enum chain_status stage_call_window_make(const struct stage_call_window_request *request, struct stage_call_window *out,
					 struct chain_error *err)
{
	const uint32_t cpus = request->callee->native.cpus;
	struct stage_call_window *w = out;
	struct kchain_native_note note;
	*w = (struct stage_call_window){ .bytes = page_up(request->callee->native.window_bytes) };
	size_t most = CHAIN_SEGMENTS_MAX + PROCESSOR_PIECES * (size_t)cpus + OTHER_PIECES;
	w->pieces = malloc(most * sizeof(*w->pieces));
	if (!w->pieces)
		return chain_fail_no_memory(err, request->callee->subject, most * sizeof(*w->pieces));
	enum chain_status status =
		stage_pages_take(w->bytes, PAGE, CHAIN_OWNER_WINDOW, request->callee->subject, &w->phys, err);
	if (status) {
		free(w->pieces);
		return status;
	}
	w->root_phys = take_table(w);
	if (!w->root_phys)
		status = too_small(w, request, PAGE, err);
	if (!status)
		status = add_kernel(w, request, &note, err);
	if (!status)
		status = share_stage(w, request, err);
	if (!status)
		status = add_entry_areas(w, request, cpus, err);
	if (!status)
		status = add_stacks(w, request, cpus, &note, err);
	if (!status)
		status = add_block(w, request, &note, err);
	for (size_t i = 0; !status && request->recycled && i < w->piece_count; i++)
		w->pieces[i].entries = stage_table_pages_at(w->root_phys, w->pieces[i].virt, w->pieces[i].bytes);
	if (status)
		stage_call_window_free(w);
	return status;
}

/* The page as it was before the kernel ran: a piece of the file, zero behind. */
static void clean(void *ctx, uint64_t virt, uint64_t phys, uint64_t bytes)
{
	const struct stage_call_piece *piece = ctx;
	uint64_t offset = virt - piece->virt, from_file = 0;
	if (offset < piece->file_bytes)
		from_file = piece->file_bytes - offset < bytes ? piece->file_bytes - offset : bytes;
	lay(stage_phys_to_virt(phys), bytes, from_file ? piece->file + offset : piece->file, from_file);
}

void stage_call_window_reset(struct stage_call_window *w, const struct stage_call_task *task)
{
	for (size_t i = 0; i < w->piece_count; i++) {
		struct stage_call_piece *piece = &w->pieces[i];
		if (w->wipe)
			clean(piece, piece->virt, piece->phys, piece->bytes);
		else if (piece->entries)
			stage_table_each_dirty_of(piece->entries, piece->virt, piece->bytes, clean, piece);
		else
			stage_table_each_dirty(w->root_phys, piece->virt, piece->bytes, clean, piece);
	}
	w->wipe = false;
	stage_call_window_fill(w, task);
}

void stage_call_window_renew(const struct stage_call_window *w)
{
	for (size_t i = 0; i < w->piece_count; i++) {
		const struct stage_call_piece *piece = &w->pieces[i];
		if (piece->file)
			lay(stage_phys_to_virt(piece->phys), piece->bytes, piece->file, piece->file_bytes);
	}
}

void stage_call_window_free(struct stage_call_window *window)
{
	stage_pages_free(window->phys, window->bytes);
	window->phys = 0;
	free(window->pieces);
}
