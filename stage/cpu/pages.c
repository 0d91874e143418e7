/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Physical memory by claims: one list for this whole run. */

#include "stage/pages.h"

#include "stage/boot.h"
#include "stage/cpu.h"
#include "stage/runtime.h"

enum { CLAIMS_MAX = 1024, LOW_END = 0x100000 };

static struct chain_claim claim_storage[CLAIMS_MAX] STAGE_BOOT_ONLY;
static struct chain_claims claims STAGE_BOOT_ONLY;
static const struct chain_bootinfo *memory;
static void (*on_shortage)(void) STAGE_BOOT_ONLY;
static uint64_t seen_end STAGE_BOOT_ONLY; /* where the memory ends that the tables in force show */

struct chain_claims *stage_pages_claims(void)
{
	return &claims;
}

void stage_pages_on_shortage(void (*give_back)(void))
{
	on_shortage = give_back;
}

/* From the machine's own memory. */
STAGE_BOOT_TEXT enum chain_status stage_claims_take(uint64_t bytes, uint64_t align, uint64_t end,
						    enum chain_owner owner, const char *subject, uint64_t *out_phys,
						    struct chain_error *err)
{
	struct chain_find want = { .bytes = bytes,
				   .align = align < STAGE_PAGE ? STAGE_PAGE : align,
				   .within = { LOW_END, end < seen_end ? end : seen_end },
				   .top_down = true };
	if (!memory)
		return chain_fail_no_memory(err, subject, bytes);
	enum chain_status status = chain_claims_find(&claims, NULL, memory->mem, memory->mem_count, &want, subject,
						     out_phys, on_shortage ? NULL : err);
	if (status && on_shortage) {
		on_shortage();
		status =
			chain_claims_find(&claims, NULL, memory->mem, memory->mem_count, &want, subject, out_phys, err);
	}
	return status ? status :
			chain_claims_add(&claims, (struct chain_range){ *out_phys, *out_phys + bytes }, owner, 0, err);
}

enum chain_status stage_pages_take(uint64_t bytes, uint64_t align, enum chain_owner owner, const char *subject,
				   uint64_t *out_phys, struct chain_error *err)
{
	uint64_t whole;
	*out_phys = 0;
	if (!bytes || !chain_align_up(bytes, STAGE_PAGE, &whole))
		return chain_fail_no_memory(err, subject, bytes);
	return stage_boot.face->take_pages(whole, align, UINT64_MAX, owner, subject, out_phys, err);
}

STAGE_BOOT_TEXT bool stage_claims_free(uint64_t phys, uint64_t bytes)
{
	return !chain_claims_remove(&claims, (struct chain_range){ phys, phys + bytes }, NULL);
}

enum chain_status stage_pages_take_below(uint64_t end, uint64_t bytes, enum chain_owner owner, const char *subject,
					 uint64_t *out_phys, struct chain_error *err)
{
	return stage_claims_take(bytes, STAGE_PAGE, end, owner, subject, out_phys, err);
}

uint64_t stage_pages_alloc(uint64_t bytes, uint64_t align, enum chain_owner owner)
{
	struct chain_error err = { 0 };
	uint64_t phys;
	return stage_pages_take(bytes, align, owner, "pages", &phys, &err) ? 0 : phys;
}

void stage_pages_free(uint64_t phys, uint64_t bytes)
{
	uint64_t whole;
	if (!phys || !bytes || !chain_align_up(bytes, STAGE_PAGE, &whole))
		return;
	if (!stage_boot.face->free_pages(phys, whole))
		stage_panic("pages %#llx + %#llx were not allocated", (unsigned long long)phys,
			    (unsigned long long)whole);
}

uint64_t stage_pages_unclaimed(void)
{
	uint64_t bytes = 0;
	for (size_t i = 0; memory && i < memory->mem_count; i++) {
		struct chain_range range = memory->mem[i].range;
		if (memory->mem[i].type != CHAIN_MEM_AVAILABLE)
			continue;
		bytes += chain_range_bytes(range);
		for (size_t c = 0; c < claims.count; c++) {
			uint64_t base = claims.v[c].range.base > range.base ? claims.v[c].range.base : range.base;
			uint64_t end = claims.v[c].range.end < range.end ? claims.v[c].range.end : range.end;
			bytes -= base < end ? end - base : 0;
		}
	}
	return bytes;
}

void *stage_phys_to_virt(uint64_t phys)
{
	return (void *)(stage_boot.face->direct_virt + phys);
}

uint64_t stage_virt_to_phys(const void *virt)
{
	return stage_boot.face->phys_of(virt);
}

static enum chain_status claim(uint64_t base, uint64_t end, enum chain_owner owner, uint32_t tag,
			       struct chain_error *err)
{
	struct chain_range range = { base < LOW_END ? LOW_END : base, end };
	return range.base < range.end ? chain_claims_add(&claims, range, owner, tag, err) : CHAIN_OK;
}

static enum chain_status claim_image(struct chain_error *err)
{
	const struct chain_image_header *h = &stage_image_header;
	uint64_t base = stage_boot.image_phys, stage_end, end;
	if (!chain_align_up(base + h->stage_bytes, STAGE_PAGE, &stage_end))
		return CHAIN_FAIL(err, OVERFLOW, .subject = "image", .base = base, .bytes = h->stage_bytes);
	enum chain_status status = claim(base, stage_end, CHAIN_OWNER_STAGE, 0, err);
	if (!status && h->manifest_bytes && chain_align_up(h->manifest_bytes, STAGE_PAGE, &end))
		status =
			claim(base + h->manifest_offset, base + h->manifest_offset + end, CHAIN_OWNER_MANIFEST, 0, err);
	if (!status && h->fs_bytes)
		status = claim(base + h->fs_offset, base + h->fs_offset + h->fs_memory_bytes, CHAIN_OWNER_FS, 0, err);
	return status;
}

void stage_pages_see(uint64_t end)
{
	seen_end = end;
}

/* BIOS areas are left alone, and a page is kept for starting processors. */
STAGE_BOOT_TEXT enum chain_status stage_pages_init(const struct chain_bootinfo *info, struct chain_error *err)
{
	chain_claims_init(&claims, claim_storage, CLAIMS_MAX);
	const struct {
		uint64_t base, end;
		enum chain_owner owner;
	} low[] = {
		{ 0, STAGE_AP_PAGE, CHAIN_OWNER_FIRMWARE },
		{ STAGE_AP_PAGE, STAGE_AP_PAGE + STAGE_PAGE, CHAIN_OWNER_AP_PAGE },
		{ STAGE_AP_PAGE + STAGE_PAGE, LOW_END, CHAIN_OWNER_FIRMWARE },
	};
	enum chain_status status = CHAIN_OK;
	for (size_t i = 0; !status && i < sizeof(low) / sizeof(low[0]); i++)
		status = chain_claims_add(&claims, (struct chain_range){ low[i].base, low[i].end }, low[i].owner, 0,
					  err);
	if (!status)
		status = claim_image(err);
	for (size_t i = 0; !status && i < info->module_count; i++) {
		struct chain_range range = info->modules[i].range;
		uint64_t end;
		if (!chain_range_bytes(range) || !chain_align_up(range.end, STAGE_PAGE, &end))
			continue;
		status =
			claim(chain_align_down(range.base, STAGE_PAGE), end, CHAIN_OWNER_BOOT_MODULE, (uint32_t)i, err);
	}
	memory = info;
	seen_end = STAGE_ENTRY_MEMORY_END;
	return status;
}
