/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "plan_internal.h"

#include "chain/initrd.h"

#include <stdlib.h>
#include <string.h>

static enum chain_status no_memory(const struct plan_build *build, uint64_t bytes)
{
	return chain_fail_no_memory(build->err, build->request->subject, bytes);
}

static enum chain_status check_request(const struct plan_build *build)
{
	const struct chain_plan_request *request = build->request;
	if (!request->args || !request->loader_name)
		return CHAIN_FAIL(build->err, PLAN_BAD_REQUEST, .subject = request->subject,
				  .detail = "no command line or loader name", .value = 0);
	if (request->module_count > CHAIN_PLAN_MODULES_MAX - 1)
		return CHAIN_FAIL(build->err, LIMIT, .subject = request->subject, .detail = "modules",
				  .value = request->module_count, .limit = CHAIN_PLAN_MODULES_MAX - 1);
	if (request->fs.base > request->fs.end)
		return CHAIN_FAIL(build->err, PLAN_BAD_REQUEST, .subject = request->subject,
				  .detail = "filesystem ends before it starts", .value = request->fs.base);
	bool handoff = request->handoff.bytes_count && request->handoff_at != CHAIN_HANDOFF_NONE;
	if (handoff && !request->handoff_string)
		return CHAIN_FAIL(build->err, PLAN_BAD_REQUEST, .subject = request->subject,
				  .detail = "no string for the handoff", .value = 0);
	return CHAIN_OK;
}

/* A kernel that asks for a mode of the screen is told what there is, as other loaders do: it knows what it can make of
 * that. */
static enum chain_status check_video(const struct plan_build *build)
{
	const struct chain_video_request *video = &build->kernel.video;
	const struct chain_framebuffer *screen = &build->request->bootinfo->framebuffer;
	bool fits = screen->phys && (screen->type == CHAIN_FRAMEBUFFER_TEXT) == video->text;
	if (!video->asked || fits || !build->request->video_required)
		return CHAIN_OK;
	return CHAIN_FAIL(build->err, PLAN_NO_VIDEO, .subject = build->request->subject,
			  .detail = !screen->phys ? "no screen that is known" :
				    video->text   ? "a framebuffer" :
						    "a text screen",
			  .width = video->width, .height = video->height, .depth = video->depth);
}

/* Has a map say `type` of a range wherever it says that memory is available, or kept; each time two entries more at
 * most. */
static void cut_map(struct chain_plan *plan, struct chain_range range, uint32_t type)
{
	for (size_t i = 0; i < plan->mem_count; i++) {
		struct chain_mem_entry *entry = &plan->mem[i], whole = *entry;
		const struct chain_range within = { whole.range.base > range.base ? whole.range.base : range.base,
						    whole.range.end < range.end ? whole.range.end : range.end };
		const struct chain_range parts[3] = { { whole.range.base, within.base },
						      within,
						      { within.end, whole.range.end } };
		size_t count = 0;
		if (whole.type > CHAIN_MEM_RESERVED || !chain_range_overlaps(whole.range, range))
			continue;
		memmove(entry + 3, entry + 1, (plan->mem_count - i - 1) * sizeof(*entry));
		for (size_t k = 0; k < 3; k++)
			if (parts[k].base < parts[k].end)
				entry[count++] = (struct chain_mem_entry){ parts[k], k == 1 ? type : whole.type };
		memmove(entry + count, entry + 3, (plan->mem_count - i - 1) * sizeof(*entry));
		plan->mem_count += count - 1;
		i += count - 1;
	}
}

/* The map the kernel is given: the machine's, with a kept filesystem reserved and a root as persistent memory. */
static enum chain_status make_map(struct plan_build *build)
{
	const struct chain_plan_request *request = build->request;
	const struct chain_bootinfo *info = request->bootinfo;
	struct chain_plan *plan = build->plan;
	/* a range splits two entries at most, spans others whole, and the last is taken apart with room to spare */
	size_t capacity = info->mem_count + 6;
	plan->mem = malloc(capacity * sizeof(*plan->mem));
	if (!plan->mem)
		return no_memory(build, capacity * sizeof(*plan->mem));
	for (; plan->mem_count < info->mem_count; plan->mem_count++)
		plan->mem[plan->mem_count] = info->mem[plan->mem_count];
	if (request->fs_keep)
		cut_map(plan, request->fs, CHAIN_MEM_RESERVED);
	cut_map(plan, build->root, CHAIN_MEM_PMEM_LEGACY);
	return CHAIN_OK;
}

/* Where the root lies, which the map is to say. */
static enum chain_status place_root(struct plan_build *build)
{
	return build->request->root.bytes_count ? chain_plan_place_root(build->request, &build->root, build->err) :
						  CHAIN_OK;
}

/* A root in a kept filesystem is claimed with it. */
static enum chain_status claim_kept(struct plan_build *build)
{
	const struct chain_plan_request *request = build->request;
	struct chain_claims *claims = &build->plan->claims;
	enum chain_status status =
		request->fs_keep ? chain_claims_add(claims, request->fs, CHAIN_OWNER_FS, 0, build->err) : CHAIN_OK;
	if (!status && !(request->fs_keep && chain_range_contains(request->fs, build->root)))
		status = chain_claims_add(claims, build->root, CHAIN_OWNER_ROOT, 0, build->err);
	return status;
}

static enum chain_status add_handoff(struct plan_build *build)
{
	const struct chain_plan_request *request = build->request;
	struct chain_plan *plan = build->plan;
	struct chain_blob blob = request->handoff;
	if (build->kernel.door->handoff == CHAIN_HANDOFF_INITRD) {
		uint64_t bytes = chain_initrd_bytes(blob.bytes_count);
		if (blob.bytes_count > UINT32_MAX)
			return CHAIN_FAIL(build->err, LIMIT, .subject = request->subject, .detail = "bytes of handoff",
					  .value = blob.bytes_count, .limit = UINT32_MAX);
		plan->archive = malloc(bytes);
		if (!plan->archive)
			return no_memory(build, bytes);
		chain_initrd_build(blob.bytes, (uint32_t)blob.bytes_count, plan->archive);
		blob = (struct chain_blob){ .bytes = plan->archive, .bytes_count = bytes, .phys = CHAIN_PHYS_UNKNOWN };
	}
	build->items[build->item_count++] = (struct plan_item){
		.blob = blob,
		.string = request->handoff_string,
		.owner = CHAIN_OWNER_HANDOFF,
		.movable = true,
	};
	return CHAIN_OK;
}

/* Where a door takes all modules as one, each begins right behind the one before it. */
static void join_items(struct plan_build *build)
{
	bool joined = build->kernel.door->handoff == CHAIN_HANDOFF_INITRD;
	for (size_t i = 0; i < build->item_count; i++) {
		struct plan_item *item = &build->items[i];
		item->bytes = item->blob.bytes_count;
		item->joined = joined && i;
		if (joined && i + 1 < build->item_count)
			item->bytes += -item->bytes % CHAIN_INITRD_ALIGN;
	}
}

/* Modules and handoff in the order the kernel will see. */
static enum chain_status list_items(struct plan_build *build)
{
	const struct chain_plan_request *request = build->request;
	size_t capacity = request->module_count + 2;
	build->items = calloc(capacity, sizeof(*build->items));
	if (!build->items)
		return no_memory(build, capacity * sizeof(*build->items));
	enum chain_status status = CHAIN_OK;
	if (request->handoff.bytes_count && request->handoff_at == CHAIN_HANDOFF_FIRST)
		status = add_handoff(build);
	for (size_t i = 0; i < request->module_count; i++) {
		const struct chain_plan_module *module = &request->modules[i];
		build->items[build->item_count++] = (struct plan_item){
			.blob = module->blob,
			.string = module->string,
			.owner = CHAIN_OWNER_MODULE,
			.tag = (uint32_t)i,
			.stream = module->stream,
			.pin = module->pin,
			.movable = module->movable,
		};
	}
	if (request->handoff.bytes_count && request->handoff_at == CHAIN_HANDOFF_LAST)
		status = add_handoff(build);
	join_items(build);
	return status;
}

/* Adds a range to a set of which only the union matters; `avoid` has room for one claim per call. */
static void add_to_union(struct chain_claims *avoid, struct chain_range range)
{
	const struct chain_claim *other;
	enum chain_status status = CHAIN_OK;
	while (!status && (other = chain_claims_overlap(avoid, range)) != NULL) {
		struct chain_range joined = other->range;
		range.base = joined.base < range.base ? joined.base : range.base;
		range.end = joined.end > range.end ? joined.end : range.end;
		status = chain_claims_remove(avoid, joined, NULL);
	}
	if (!status)
		status = chain_claims_add(avoid, range, CHAIN_OWNER_STAGE, 0, NULL);
	(void)status; /* nothing overlaps any more, and there is room */
}

/* The running image, if `image` says so, the boot modules and `also` (nullable) as one set; storage is the caller's to
 * free. False: out of memory. */
static bool make_avoided(struct chain_claims *out, const struct chain_bootinfo *info, bool image,
			 const struct chain_claims *also)
{
	size_t also_count = also ? also->count : 0, capacity = info->module_count + 1 + also_count;
	struct chain_claim *storage = malloc(capacity * sizeof(*storage));
	if (!storage)
		return false;
	chain_claims_init(out, storage, capacity);
	if (image)
		add_to_union(out, info->image);
	for (size_t i = 0; i < info->module_count; i++)
		add_to_union(out, info->modules[i].range);
	for (size_t i = 0; i < also_count; i++)
		add_to_union(out, also->v[i].range);
	return true;
}

/* Claims at the kernel's entry: its segments, the items, the information structure, the kept filesystem; and detours.
 */
static enum chain_status make_claims(struct plan_build *build)
{
	size_t capacity = 2 * (build->kernel.segment_count + build->item_count + 3);
	struct chain_claim *storage = malloc(capacity * sizeof(*storage));
	if (!storage)
		return no_memory(build, capacity * sizeof(*storage));
	chain_claims_init(&build->plan->claims, storage, capacity);
	return CHAIN_OK;
}

/* What the kernel shall be told, with the modules where they are by now; `modules` is the caller's. */
static struct chain_door_info describe(const struct plan_build *build, struct chain_door_module *modules)
{
	const struct chain_plan_request *request = build->request;
	uint64_t somewhere = build->items[build->item_count]
				     .range.base; /* an empty module lies nowhere; any address in memory does */
	for (size_t i = 0; i < build->item_count; i++) {
		const struct plan_item *item = &build->items[i];
		modules[i] = (struct chain_door_module){ item->range, item->string };
		if (!item->bytes && !item->placed)
			modules[i].range = (struct chain_range){ somewhere, somewhere };
	}
	return (struct chain_door_info){
		.subject = request->subject,
		.file = request->kernel.bytes,
		.file_bytes = request->piece_count ? 0 : request->kernel.bytes_count,
		.kernel = &build->kernel,
		.cmdline = request->args,
		.loader_name = request->loader_name,
		.modules = modules,
		.module_count = build->item_count,
		.mem = build->plan->mem,
		.mem_count = build->plan->mem_count,
		.machine = request->bootinfo,
	};
}

/* Finds places for everything, then makes the information structure, which tells of them. */
static enum chain_status place_and_describe(struct plan_build *build)
{
	struct chain_plan *plan = build->plan;
	const struct chain_door *door = build->kernel.door;
	struct plan_item *own = &build->items[build->item_count];
	size_t bytes = build->item_count * sizeof(struct chain_door_module);
	struct chain_door_module *modules = malloc(bytes ? bytes : 1);
	if (!modules)
		return no_memory(build, bytes ? bytes : 1);
	struct chain_door_info info = describe(build, modules);
	enum chain_status status = door->info_bytes(&info, &plan->made_bytes, build->err);
	*own = (struct plan_item){ .blob = { .bytes_count = plan->made_bytes, .phys = CHAIN_PHYS_UNKNOWN },
				   .bytes = plan->made_bytes,
				   .owner = CHAIN_OWNER_BOOT_INFO };
	if (!status)
		status = plan_place_items(build);
	if (!status) {
		plan->info = own->range;
		info = describe(build, modules);
		plan->made = malloc(plan->made_bytes);
		status = plan->made ? door->info_build(&info, plan->info.base, plan->made, build->err) :
				      no_memory(build, plan->made_bytes);
	}
	free(modules);
	return status;
}

/* Adds the copying of a blob's part, unless the bytes lie in place already. */
static void add_copy(struct chain_plan *plan, struct chain_move *moves, size_t *count, const struct chain_blob *blob,
		     uint64_t offset, struct chain_move move)
{
	uint64_t bytes = chain_range_bytes(move.dest), end;
	if (!bytes)
		return;
	move.kind = CHAIN_MOVE_COPY;
	move.bytes = blob->bytes + offset;
	move.source_phys = CHAIN_PHYS_UNKNOWN;
	/* What lies where no executor can see it is read through `bytes`, as a host buffer is. */
	if (blob->phys != CHAIN_PHYS_UNKNOWN && !__builtin_add_overflow(blob->phys, offset + bytes, &end) &&
	    end <= CHAIN_MEMORY_END)
		move.source_phys = blob->phys + offset;
	if (move.source_phys == move.dest.base) {
		plan->bytes_in_place += bytes;
		return;
	}
	plan->bytes_copied += bytes;
	moves[(*count)++] = move;
}

/* Adds the clearing of move.dest, which may be empty. */
static size_t add_zeros(struct chain_plan *plan, struct chain_move move, struct chain_move *moves, size_t count)
{
	move.kind = CHAIN_MOVE_ZERO;
	plan->bytes_zeroed += chain_range_bytes(move.dest);
	moves[count] = move;
	return count + (chain_range_bytes(move.dest) != 0);
}

static size_t add_segment(const struct plan_build *build, uint32_t index, struct chain_move *moves, size_t count)
{
	const struct chain_segment *segment = &build->kernel.segments[index];
	const struct chain_plan_piece *piece = build->request->piece_count ? &build->request->pieces[index] : NULL;
	const struct chain_blob *blob = piece ? &piece->blob : &build->request->kernel;
	struct chain_move move = { .owner = CHAIN_OWNER_KERNEL, .tag = index };
	uint64_t filled = segment->phys.base + segment->file_bytes; /* inside the segment */
	move.dest = (struct chain_range){ segment->phys.base, filled };
	add_copy(build->plan, moves, &count, blob, segment->file_offset, move);
	bool as_it_is = build->kernel.clears_itself || (piece && piece->keep_rest);
	move.dest = (struct chain_range){ filled, as_it_is ? filled : segment->phys.end };
	return add_zeros(build->plan, move, moves, count);
}

/* The text inside of what it is handed over in. */
static struct chain_range handoff_in(const struct plan_build *build, struct chain_range lies)
{
	if (!build->plan->archive)
		return lies;
	uint64_t base = lies.base + chain_initrd_text_at();
	return (struct chain_range){ base, base + build->request->handoff.bytes_count };
}

static enum chain_status make_moves(struct plan_build *build)
{
	struct chain_plan *plan = build->plan;
	size_t count = 0, capacity = 2 * (build->kernel.segment_count + build->item_count) + 2;
	struct chain_move *moves = calloc(capacity, sizeof(*moves));
	struct chain_blob made = { .bytes = plan->made, .bytes_count = plan->made_bytes, .phys = CHAIN_PHYS_UNKNOWN };
	plan->fills = calloc(build->item_count + 1, sizeof(*plan->fills));
	if (!moves || !plan->fills) {
		free(moves);
		return no_memory(build, capacity * sizeof(*moves));
	}
	for (uint32_t i = 0; i < build->kernel.segment_count; i++)
		count = add_segment(build, i, moves, count);
	const struct chain_blob *root = &build->request->root;
	add_copy(plan, moves, &count, root, 0,
		 (struct chain_move){ .owner = CHAIN_OWNER_ROOT,
				      .dest = { build->root.base, build->root.base + root->bytes_count } });
	for (size_t i = 0; i < build->item_count; i++) {
		const struct plan_item *item = &build->items[i];
		struct chain_move move = { .owner = item->owner, .tag = item->tag };
		move.dest = (struct chain_range){ item->range.base, item->range.base + item->blob.bytes_count };
		if (item->stream)
			plan->fills[plan->fill_count++] =
				(struct chain_fill){ item->stream, item->pin, item->tag, move.dest };
		else
			add_copy(plan, moves, &count, &item->blob, 0, move);
		if (item->owner == CHAIN_OWNER_HANDOFF)
			plan->handoff = handoff_in(build, move.dest);
		move.dest = (struct chain_range){ move.dest.end, item->range.end };
		count = add_zeros(plan, move, moves, count);
	}
	add_copy(plan, moves, &count, &made, 0,
		 (struct chain_move){ .owner = CHAIN_OWNER_BOOT_INFO, .dest = plan->info });
	enum chain_status status = plan_order(plan, moves, count, build->request->subject, build->err);
	free(moves);
	return status;
}

/* As doors check what they read. That pieces don't overlap is seen when they are claimed. */
static enum chain_status check_piece(const struct plan_build *build, uint32_t index, bool *entered)
{
	const struct chain_plan_request *request = build->request;
	const struct chain_plan_piece *piece = &request->pieces[index];
	struct chain_range range = piece->segment.phys;
	if (range.base > range.end || piece->blob.bytes_count != piece->segment.file_bytes ||
	    piece->blob.bytes_count > chain_range_bytes(range))
		return CHAIN_FAIL(build->err, PLAN_BAD_REQUEST, .subject = request->subject,
				  .detail = "a piece of more bytes than it has room for", .value = index);
	if (range.end > chain_entry_memory_end(build->kernel.mode))
		return CHAIN_FAIL(build->err, KERNEL_ABOVE_4G, .subject = request->subject, .segment = index,
				  .base = range.base, .end = range.end);
	*entered |= request->pieces_entry >= range.base && request->pieces_entry < range.end;
	return CHAIN_OK;
}

static enum chain_status read_pieces(struct plan_build *build)
{
	const struct chain_plan_request *request = build->request;
	bool entered = false;
	if (request->piece_count > CHAIN_SEGMENTS_MAX)
		return CHAIN_FAIL(build->err, LIMIT, .subject = request->subject, .detail = "pieces",
				  .value = request->piece_count, .limit = CHAIN_SEGMENTS_MAX);
	for (uint32_t i = 0; i < request->piece_count; i++) {
		enum chain_status status = check_piece(build, i, &entered);
		if (status)
			return status;
		build->kernel.segments[i] = request->pieces[i].segment;
	}
	if (!entered)
		return CHAIN_FAIL(build->err, ELF_BAD_ENTRY, .subject = request->subject,
				  .entry = request->pieces_entry);
	build->kernel.segment_count = request->piece_count;
	build->kernel.entry = request->pieces_entry;
	build->kernel.door = request->door;
	build->kernel.limit = request->door->limit;
	build->kernel.align_modules = true; /* as our own header says */
	return CHAIN_OK;
}

static enum chain_status read_kernel(struct plan_build *build)
{
	const struct chain_plan_request *request = build->request;
	if (request->piece_count)
		return read_pieces(build);
	return request->door->read(request->kernel.bytes, request->kernel.bytes_count, request->subject, &build->kernel,
				   build->err);
}

static enum chain_status build_steps(struct plan_build *build)
{
	const struct chain_plan_request *request = build->request;
	enum chain_status status = check_request(build);
	if (!status)
		status = read_kernel(build);
	if (!status)
		status = check_video(build);
	if (!status)
		status = place_root(build);
	if (!status)
		status = make_map(build);
	if (!status)
		status = list_items(build);
	if (!status && (!make_avoided(&build->avoid, request->bootinfo, true, NULL) ||
			!make_avoided(&build->busy, request->bootinfo, true, request->in_use)))
		status = no_memory(build, (request->bootinfo->module_count + 1) * sizeof(struct chain_claim));
	if (!status)
		status = make_claims(build);
	if (!status)
		status = plan_place_kernel(build);
	if (!status)
		status = claim_kept(build);
	if (!status)
		status = place_and_describe(build);
	if (!status)
		status = make_moves(build);
	return status;
}

enum chain_status chain_plan_build(const struct chain_plan_request *request, struct chain_plan *out,
				   struct chain_error *err)
{
	struct plan_build build = { .request = request, .plan = out, .err = err };
	*out = (struct chain_plan){ 0 };
	enum chain_status status = build_steps(&build);
	if (!status) {
		out->entry = build.kernel.door->entry(&build.kernel, out->info.base);
		status = chain_plan_check(out, request->bootinfo, err);
	}
	free(build.items);
	free(build.avoid.v);
	free(build.busy.v);
	if (status)
		chain_plan_free(out);
	return status;
}

enum chain_status chain_plan_find_trampoline(const struct chain_plan *plan, const struct chain_bootinfo *bootinfo,
					     const struct chain_claims *also_claims, uint64_t bytes, uint64_t *out_phys,
					     struct chain_error *err)
{
	static const char subject[] = "commit trampoline";
	uint64_t reach = chain_entry_memory_end(plan->entry.mode);
	uint64_t end = reach < CHAIN_MEMORY_END ? reach : CHAIN_MEMORY_END;
	struct chain_claims avoid;
	/* who has claims of its own knows which of the image's pages are in use: there are many between its parts */
	if (!make_avoided(&avoid, bootinfo, !also_claims, also_claims))
		return chain_fail_no_memory(err, subject, sizeof(struct chain_claim));
	enum chain_status status =
		plan_find_clear(plan, &avoid, plan->moves, plan->move_count, bytes, end, subject, out_phys, err);
	free(avoid.v);
	return status;
}

void chain_plan_free(struct chain_plan *plan)
{
	if (!plan)
		return;
	free(plan->moves);
	free(plan->fills);
	free(plan->claims.v);
	free(plan->mem);
	free(plan->made);
	free(plan->archive);
	*plan = (struct chain_plan){ 0 };
}
