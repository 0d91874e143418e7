/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: the devices that a called kernel has to itself: what it is shown of them (struct kchain_device), and that they
 * do nothing but while it runs. Must not know: pipelines, how the kernel is run. */
#ifndef STAGE_ASSIGNED_H
#define STAGE_ASSIGNED_H

#include "abi/native.h"
#include "stage/driver.h"

/* What a kernel is to have. Borrowed. */
struct stage_assigned_request {
	const char *name;
	bool is_net, required;
	const char *place;  /* on its bus; null: it is absent */
	const char *reason; /* why it is absent; nullable */
};

struct stage_assigned_device {
	struct stage_held_device held;
	bool there; /* it is held */
};

/* Of one kernel. */
struct stage_assigned {
	struct stage_assigned *next; /* of the same step */
	uint64_t kernel;             /* its index */
	uint64_t root_entry;         /* root-level table that shows the kernel its devices, at KCHAIN_DEVICE_VIRT */
	struct kchain_device *list;  /* what the kernel reads of them */
	uint64_t phys, bytes, used;  /* memory of that list and of the tables */
	struct stage_device_env
		env; /* for any processor, and while the ticker has the timer: what it waits for is not slept for */
	bool lost;   /* the processor with the kernel did not come back: nobody gets these devices any more */
	size_t count;
	struct stage_assigned_device devices[];
};

/* Opens the devices, which no driver has any more, and leaves them reset and off the bus. One that can't be had is
 * listed with the reason, unless it is required: CHAIN_E_DEVICE_MISSING. CHAIN_E_NO_MEMORY. On the boot processor. */
enum chain_status stage_assigned_make(const struct stage_device_env *env, const struct stage_assigned_request *requests,
				      size_t count, struct stage_assigned **out,
				      struct chain_error *err) CHAIN_MUST_CHECK;
/* Takes the whole list; null is allowed. */
void stage_assigned_free(struct stage_assigned *assigned);
/* Of a step's list, the kernel's own; null: it has none. */
struct stage_assigned *stage_assigned_of(struct stage_assigned *list, uint64_t kernel);

/* Before and behind each turn of the kernel, on any processor; null is allowed. In between the devices reach memory,
 * and at no other time: what the kernel had told them is forgotten when its turn is over, before its memory is anybody
 * else's. */
void stage_assigned_begin(struct stage_assigned *assigned);
void stage_assigned_end(struct stage_assigned *assigned);
/* The kernel may be running yet: its devices are ended, and never begun again. */
void stage_assigned_lose(struct stage_assigned *assigned);

#endif
