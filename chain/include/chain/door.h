/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: the table of boot protocols by which a kernel can be started, and what each row of it has to say. A protocol is
 * one file in doors/ and one row of doors/table.c. Must not know: where things are placed (plan.h), how memory is
 * reached, consoles, files. */
#ifndef CHAIN_DOOR_H
#define CHAIN_DOOR_H

#include "chain/bootinfo.h"
#include "chain/elf.h"
#include "chain/entry.h"

/* A mode of the screen that a kernel's header asks for. */
struct chain_video_request {
	bool asked, text;
	uint32_t width, height, depth; /* 0: any */
};

/* What a kernel's headers say, read by its door. Plain data; borrows nothing. */
struct chain_kernel {
	const struct chain_door *door;
	struct chain_segment segments[CHAIN_SEGMENTS_MAX]; /* where it was linked or prefers to lie */
	size_t segment_count;
	uint64_t entry; /* physical, inside a segment */
	enum chain_entry_mode mode;
	bool align_modules;  /* modules that are used where they lie must begin on a page */
	uint64_t limit;      /* modules and information end at or below this physical address */
	bool movable;        /* all segments together may lie at another distance from where they are said to */
	uint64_t move_align; /* movable: a power of two that the first segment's address is a multiple of */
	struct chain_range move_within; /* movable: where the whole must lie */
	bool move_high;                 /* movable: as high as possible is preferred */
	struct chain_video_request video;
	bool clears_itself; /* what segments have behind their bytes of the file need not be zero */
};

struct chain_door_module {
	struct chain_range range;
	const char *string;
};

/* What a kernel is told. All borrowed. */
struct chain_door_info {
	const char *subject; /* source of the kernel, for errors */
	const uint8_t *file;
	uint64_t file_bytes;               /* of the kernel; 0 for one that lies in memory in pieces */
	const struct chain_kernel *kernel; /* as it will lie */
	const char *cmdline, *loader_name;
	const struct chain_door_module *modules; /* the handoff among them, where the door hands it over so */
	size_t module_count;
	const struct chain_mem_entry *mem; /* as the kernel is to see it */
	size_t mem_count;
	const struct chain_bootinfo *machine;
};

/* Where texts that differ from one kernel of a fan-out to the next lie, as offsets into the information structure. */
struct chain_door_texts {
	uint64_t cmdline;     /* of its first byte */
	uint64_t handoff_end; /* of the 32-bit number that says where the handoff ends; 0: there is no handoff */
};

/* How a kernel finds the handoff. */
enum chain_handoff_form {
	CHAIN_HANDOFF_MODULE, /* a module whose string begins with its name */
	CHAIN_HANDOFF_INITRD, /* /kchain/handoff.json of the initial file system: modules lie behind each other, as one
			       */
};

struct chain_door {
	const char *name;  /* in records, plans and errors */
	const char *title; /* in sentences */
	enum chain_handoff_form handoff;
	uint64_t limit; /* of kernels whose headers name none, see struct chain_kernel */
	bool lone_file; /* QEMU and its like give a kernel that they start by it one file, and no string with it */
	/* Whether a file is a kernel of this kind, by its first bytes; whether it can be loaded is for read to say,
	 * with a better reason. */
	bool (*probe)(const uint8_t *file, uint64_t file_bytes);
	enum chain_status (*read)(const uint8_t *file, uint64_t file_bytes, const char *subject,
				  struct chain_kernel *out, struct chain_error *err);
	/* The size of the information structure with all it points to, one contiguous block. It depends on lengths and
	 * counts alone, so a place can be found before the modules have one. Refuses what the kernel needs to be told
	 * and the machine lacks. */
	enum chain_status (*info_bytes)(const struct chain_door_info *info, uint64_t *out, struct chain_error *err);
	/* Writes it to `buf`, which has that many bytes, for a block that will lie at physical `phys`, a multiple of
	 * 4096. */
	enum chain_status (*info_build)(const struct chain_door_info *info, uint64_t phys, uint8_t *buf,
					struct chain_error *err);
	/* The processor's state, for an information structure at `info_phys`. */
	struct chain_entry (*entry)(const struct chain_kernel *kernel, uint64_t info_phys);
	/* Finds the texts in an information structure that info_build made for `phys`. Null: its kernels are only
	 * booted, or called one by one. False: they are not where they should be. */
	bool (*texts)(const uint8_t *made, uint64_t made_bytes, uint64_t phys, struct chain_range handoff,
		      struct chain_door_texts *out);
};

/* In probing order; ends with null. */
enum { CHAIN_DOORS_MAX = 15 };
extern const struct chain_door *const chain_doors[];
/* The one by which our own images and native kernels are booted. */
extern const struct chain_door *const chain_door_of_ours;

/* The door of a kernel's file, or null. */
const struct chain_door *chain_door_probe(const uint8_t *file, uint64_t file_bytes);
/* By its name, or null. */
const struct chain_door *chain_door_named(const char *name);

#endif
