/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: the machine's other processors: found by ACPI, started, parked halted until they are given work, and taken back
 * from work that does not end. Must not know: what the work is.
 *
 * All of it is called on the boot processor, but for what says otherwise. Work runs on another one, under the stage's
 * own tables with a window slot of that processor's own; it must not use the C library's heap or files, the console or
 * claims. */
#ifndef STAGE_PROCESSORS_H
#define STAGE_PROCESSORS_H

#include "chain/error.h"
#include "stage/cpu.h"

struct stage_processors {
	uint32_t started; /* can be used, from 0, which is the boot processor, on */
	uint32_t failed;  /* did not answer */
	uint32_t left;    /* are listed, and were not asked yet: starting one takes as long as many a kernel */
};
/* Lists the processors when first asked, and starts others until `most` can be used, or no more are left. A machine
 * that says nothing of its processors has one. Those that were lost lose their numbers. Fails only for lack of memory.
 */
enum chain_status stage_processors_start(uint32_t most, struct stage_processors *out,
					 struct chain_error *err) CHAIN_MUST_CHECK;
/* The same while others are at work: all keep their numbers, what is new comes behind. */
enum chain_status stage_processors_more(uint32_t most, struct stage_processors *out,
					struct chain_error *err) CHAIN_MUST_CHECK;

/* Any of the two, whichever fits, without an interrupt on the boot processor: the machine's interrupt controllers and
 * timers stay as the firmware left them for a kernel that is booted. */
enum chain_status stage_processors_borrow(uint32_t most, struct stage_processors *out,
					  struct chain_error *err) CHAIN_MUST_CHECK;

/* Work may use what the boot processor's tables show at `virt` and around it. */
void stage_processors_share(const void *virt);

/* Before another kernel is booted: the others wait for a startup message, as after a reset. */
void stage_processors_stop(void);

/* Its block, in its entry area (stage/entry_area.h); 0 is the boot processor's own. */
struct stage_cpu *stage_processor_block(uint32_t index);

/* `index` is 1 or more. The function returns to the parking loop. */
typedef void stage_processor_work(void *arg);
void stage_processor_give(uint32_t index, stage_processor_work *work, void *arg);
/* The same, but the boot processor is not called at the end: it asks whether that processor is parked. */
void stage_processor_lend(uint32_t index, stage_processor_work *work, void *arg);
/* True once the work it was given has returned; false for one that was lost. */
bool stage_processor_is_parked(uint32_t index);
/* Wakes it if it is halted in stage_processor_wait. On any processor. */
void stage_processor_wake(uint32_t index);
/* Takes it away from whatever it does, by INIT, and parks it anew. False: it did not come back. */
bool stage_processor_take_back(uint32_t index);

/* While work may change what interrupts the machine's devices make: the boot processor is woken by a timer of its own.
 */
void stage_processors_watch(bool on);

/* Called by work that leaves the stage for good: until INIT nothing interrupts this processor. */
void stage_processor_mask(void);

/* Called by work, on the other processor: halts until woken, or not at all when a wake-up came since the last wait. */
void stage_processor_wait(void);
/* Called by work: calls look(arg) when woken, and about once a millisecond by a timer of this processor's own, until
 * that returns false. */
void stage_processor_look(bool (*look)(void *arg), void *arg);
/* Called by work: ends the boot processor's stage_idle. */
void stage_processor_call_boot(void);
/* Called by work: a tick (stage/ticker.h) for the boot processor, which may have interrupts off. */
void stage_processor_interrupt_boot(void);

#endif
