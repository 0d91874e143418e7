/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: the pipeline's devices: from what it asks for to entries of the handoff, each configured, present or absent.
 * Must not know: drivers. */
#ifndef STAGE_DEVICES_H
#define STAGE_DEVICES_H

#include "chain/bootinfo.h"
#include "chain/config.h"
#include "stage/assigned.h"

/* Looks for and configures what the pipeline asks for, filling `net` and `block` (objects by its names). A
 * pipeline that asks for none touches none. An interface that the parent's handoff has configured is
 * kept. CHAIN_E_DEVICE_MISSING for a required one that is not there or not configured, with the reason. */
enum chain_status stage_devices_configure(const struct chain_config *config, const json_t *parent, json_t *net,
					  json_t *block, struct chain_error *err) CHAIN_MUST_CHECK;

/* All of them as a bootinfo lists them: a new reference in *out. */
enum chain_status stage_devices_list(const json_t *net, const json_t *block, json_t **out,
				     struct chain_error *err) CHAIN_MUST_CHECK;

/* Takes the devices that the step assigns to kernels away from the stage's own drivers, for good, and gets them ready
 * for those kernels: in *out, for stage_assigned_free; null where the step gives none. `net` and `block` say where they
 * are; what they say stays true. CHAIN_E_DEVICE_MISSING for a required one that can't be had, CHAIN_E_DEVICE_SAME,
 * CHAIN_E_NO_MEMORY. */
enum chain_status stage_devices_give(const struct chain_step *step, const json_t *net, const json_t *block,
				     struct stage_assigned **out, struct chain_error *err) CHAIN_MUST_CHECK;

/* The disk of an entry of the handoff; null where it is not configured, or was assigned. Borrowed until then. */
struct stage_block *stage_devices_disk(const json_t *entry);

/* Resets every device that was touched: nothing moves data after this. */
void stage_devices_quiesce(void);

#endif
