/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: what is different for a kernel that was booted, which has the machine, and one that was called, which has a
 * window of its caller's (abi/native.h): one table of operations each, of which the entry code chooses one
 * (stage/boot/entry.S). Must not know: who uses them. */
#ifndef STAGE_FACE_H
#define STAGE_FACE_H

#include "chain/range.h"
#include "fs/fs.h"

struct stage_face {
	bool owns_machine;    /* ports, device registers, timers and the processor's block are its own */
	uint64_t direct_virt; /* a "physical" address of pages.h is seen at so much more */
	uint64_t (*phys_of)(const void *virt);
	/* stage_pages_take and stage_pages_free, with whole pages; booted, they lie below `end`. False: they were not
	 * taken. */
	enum chain_status (*take_pages)(uint64_t bytes, uint64_t align, uint64_t end, enum chain_owner owner,
					const char *subject, uint64_t *out_phys, struct chain_error *err);
	bool (*free_pages)(uint64_t phys, uint64_t bytes);
	/* Pages for the heap: *bytes, or the least where there are not so many; says how many in *bytes. Null: none are
	 * left. A called kernel is given all that it has at once. */
	void *(*more_heap)(uint64_t least_bytes, uint64_t *bytes);
	/* The filesystem's bytes, of which there may be 0; and what makes of them what can be read. */
	const void *(*fs)(uint64_t *out_bytes);
	enum chain_status (*mount)(struct fs *out, const void *bytes, uint64_t count, struct chain_error *err);
	const char *(*args)(void);                            /* the command line; never null */
	bool (*set_result)(const char *json, uint64_t bytes); /* runtime.h */
	void (*exit)(int status);                             /* runtime.h; does not return */
	void (*write)(const char *bytes, uint64_t count);     /* to its consoles; count > 0 */
	uint64_t (*now_us)(void);                             /* clock.h */
	void (*idle)(void);                                   /* clock.h */
};

extern const struct stage_face stage_booted_face, stage_called_face;

#endif
