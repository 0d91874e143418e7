/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: how the stage reaches bytes that are not in memory, for chain/source.h, and reading them to where a plan wants
 * them. Must not know: pipelines, kernels. */
#ifndef STAGE_TRANSPORT_H
#define STAGE_TRANSPORT_H

#include "chain/plan.h"
#include "chain/source.h"

#include <jansson.h>

/* `block`: the disks' entries by the pipeline's names, which the inventory fills in later; borrowed for good. */
void stage_transport_init(struct chain_transport *out, const json_t *block);

/* Claims the places that the plan wants streams read to, reads them and checks each digest. After a failure nothing is
 * claimed. CHAIN_E_SOURCE_DIGEST, CHAIN_E_CLAIM_OVERLAP, those of the devices. */
enum chain_status stage_transport_fill(const struct chain_plan *plan, struct chain_error *err) CHAIN_MUST_CHECK;

/* Gives the places up again, for a plan that is not carried out after all. */
void stage_transport_release(const struct chain_plan *plan);

#endif
