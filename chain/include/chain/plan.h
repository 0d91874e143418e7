/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: turning a kernel's bytes, its modules, the memory map and a handoff into a plan: where every byte goes, in
 * which order it is moved there, and the processor's state at the kernel's entry. Pure: the same inputs give the same
 * plan on the host and in the stage, and no target memory is touched.
 * Must not know: how moves are carried out (stage/commit/commit.c), JSON, files. */
#ifndef CHAIN_PLAN_H
#define CHAIN_PLAN_H

#include "chain/bootinfo.h"
#include "chain/door.h"
#include "chain/elf.h"
#include "chain/entry.h"
#include "chain/range.h"
#include "chain/stream.h"

/* Bytes to be placed: either they lie in target memory already (phys) or a plan makes them (made). */
struct chain_blob {
	const uint8_t
		*bytes; /* readable now, here; borrowed until the plan is freed. Null only when bytes_count is 0 */
	uint64_t bytes_count;
	uint64_t phys; /* where they lie in target memory; CHAIN_PHYS_UNKNOWN: nowhere that may be relied on (host
			  buffers) */
};
#define CHAIN_PHYS_UNKNOWN UINT64_MAX

/* Of a step, the handoff among them. */
enum { CHAIN_PLAN_MODULES_MAX = 4096 };

struct chain_plan_module {
	struct chain_blob blob;
	const char *string; /* borrowed */
	const struct chain_stream
		*stream; /* not null: the bytes are in no memory yet, and the blob has only their number; borrowed */
	struct chain_stream_pin pin; /* of the stream */
	bool movable; /* false: leave it where it lies if the kernel allows (it does unless page alignment is asked) */
};

/* A segment of a kernel that lies in memory in pieces rather than in a file. */
struct chain_plan_piece {
	struct chain_segment segment; /* its file_bytes are the blob's */
	struct chain_blob blob;
	bool keep_rest; /* what the segment has behind the blob stays as it is; else it is zeroed */
};

enum chain_handoff_at { CHAIN_HANDOFF_NONE, CHAIN_HANDOFF_FIRST, CHAIN_HANDOFF_LAST };

/* What the caller wants planned. All borrowed until chain_plan_free. */
struct chain_plan_request {
	const char *subject;           /* source of the kernel, for errors */
	const struct chain_door *door; /* the protocol that the kernel is started by */
	struct chain_blob kernel;
	const struct chain_plan_piece *pieces;
	size_t piece_count; /* instead of `kernel`'s bytes, with where it is entered; 0: none */
	uint64_t pieces_entry;
	const char *args; /* command line as the kernel shall see it (no kernel name is put before it) */
	const char *loader_name;
	const struct chain_plan_module *modules;
	size_t module_count;
	struct chain_blob handoff;  /* bytes_count 0: none */
	const char *handoff_string; /* module string of the handoff: begins with "kchain-handoff" */
	enum chain_handoff_at handoff_at;
	const struct chain_bootinfo *bootinfo;
	struct chain_range fs;             /* where the baked filesystem lies */
	const struct chain_claims *in_use; /* memory that the side which carries the plan out still needs, and fills
					      must not touch; null: unknown */
	struct chain_blob root; /* a file system for the kernel to use where it lies, listed as persistent memory in its
				   map; bytes_count 0: none */
	bool fs_keep;           /* the next kernel may read it: reserved in its map, and nothing may be placed on it */
	bool video_required; /* the screen has to be of the kind that the kernel's header asks for; else it is told what
				there is */
};

/* A stream that is read straight to where it will be used, before anything is moved. */
struct chain_fill {
	const struct chain_stream *stream; /* borrowed */
	struct chain_stream_pin pin;
	uint32_t tag;            /* of the module */
	struct chain_range dest; /* of the stream's bytes; clear of the running image, of boot modules and of the
				    request's `in_use` */
};

enum chain_move_kind { CHAIN_MOVE_COPY, CHAIN_MOVE_ZERO };
struct chain_move {
	enum chain_move_kind kind;
	enum chain_owner owner;
	uint32_t tag;
	const uint8_t *bytes; /* COPY: readable source; borrowed from the request or owned by the plan */
	uint64_t source_phys; /* COPY: where the source lies in target memory, or CHAIN_PHYS_UNKNOWN */
	struct chain_range dest;
};

struct chain_plan {
	struct chain_entry
		entry; /* as the kernel's door wants it; one of its registers has the information structure's address */
	struct chain_move *moves; /* owned; in an order in which nothing is overwritten before it is read */
	size_t move_count;
	struct chain_fill *fills; /* owned; done before the first move */
	size_t fill_count;
	uint64_t bytes_copied, bytes_zeroed, bytes_in_place;
	struct chain_claims claims;  /* target memory at the kernel's entry, by owner; owned */
	struct chain_mem_entry *mem; /* the memory map the kernel is given; owned */
	size_t mem_count;
	struct chain_range info;    /* the information structure with all it points to */
	struct chain_range handoff; /* where the handoff lies; empty: none */
	uint8_t *made;              /* owned storage of what the plan made (information structure, strings) */
	uint64_t made_bytes;
	uint8_t *archive; /* owned: the handoff as a part of an initial file system; null: it is handed over as it is */
};

/* Builds and checks. What is refused: segments that wrap, overlap each other or lie outside available memory
 * (CHAIN_E_PLAN_OUTSIDE_MEMORY with address and owner), requests the machine can't meet (Multiboot 1 section 3.1.1:
 * a screen of another kind, where that is required; unknown required flags by number), an entry point outside the
 * loaded segments, too little memory (CHAIN_E_NO_SPACE: between which addresses).
 *
 * Placement: kernel segments go where the kernel says. Everything else (modules that must move, information
 * structure, handoff) goes to the lowest fitting page-aligned places above the kernel's end and above 1 MiB, below the
 * limit of the kernel's door, clear of the running image and of boot modules where that is possible. Modules already
 * below that limit at a page boundary, in available memory and clear of the kernel stay where they are. The lowest 1
 * MiB is never used except for kernel segments that ask for it. */
enum chain_status chain_plan_build(const struct chain_plan_request *request, struct chain_plan *out,
				   struct chain_error *err) CHAIN_MUST_CHECK;
/* Where the request's root will lie: where it is, if that is a multiple of CHAIN_ROOT_ALIGN in available memory which
 * the kernel's own addresses leave free, else at the highest such place; with its length rounded up to as much, since
 * Linux maps nothing else (drivers/nvdimm/pfn_devs.c). chain_plan_build puts it there. CHAIN_E_NO_SPACE, and what the
 * kernel's door says of its headers. */
#define CHAIN_ROOT_ALIGN ((uint64_t)2 << 20)
enum chain_status chain_plan_place_root(const struct chain_plan_request *request, struct chain_range *out,
					struct chain_error *err) CHAIN_MUST_CHECK;

/* Checks a finished plan by simulating it, independently of build: every destination claimed and in available
 * memory, no move reads what an earlier one wrote. Run by build; public for tests and fuzzing. */
enum chain_status chain_plan_check(const struct chain_plan *plan, const struct chain_bootinfo *bootinfo,
				   struct chain_error *err) CHAIN_MUST_CHECK;
void chain_plan_free(struct chain_plan *plan);

/* The contract with whoever carries a plan out: the moves are done in order, each COPY as memmove does (source and
 * destination may overlap); a COPY whose source_phys is CHAIN_PHYS_UNKNOWN reads `bytes`, which the executor keeps out
 * of the moves' way itself.
 *
 * A page-aligned place of `bytes` (> 0), above 1 MiB, for the executor's code and data, where the mode of the kernel's
 * entry reaches (chain_entry_memory_end): outside every
 * destination, every source with a known place, everything the plan claims, the boot modules, and `also_claims`, which
 * has what of the running image is in use; without them (null) outside of the whole image. CHAIN_E_NO_SPACE. */
enum chain_status chain_plan_find_trampoline(const struct chain_plan *plan, const struct chain_bootinfo *bootinfo,
					     const struct chain_claims *also_claims, uint64_t bytes, uint64_t *out_phys,
					     struct chain_error *err) CHAIN_MUST_CHECK;

#endif
