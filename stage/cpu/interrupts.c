/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "stage/interrupts.h"

#include "stage/apic.h"
#include "stage/cpu.h"
#include "stage/pages.h"
#include "stage/pic.h"

#include <stdatomic.h>

static struct stage_apic_env env = { NULL, stage_rdmsr, stage_wrmsr };
static atomic_uint_fast64_t dismissed;

enum chain_status stage_interrupts_open(struct chain_error *err)
{
	if (env.registers)
		return CHAIN_OK;
	env.registers = stage_mmio_map(stage_apic_phys(&env), STAGE_PAGE);
	if (!env.registers)
		return chain_fail_no_memory(err, "interrupts", STAGE_PAGE);
	stage_pic_prepare();
	return CHAIN_OK;
}

bool stage_interrupt_came(uint8_t vector)
{
	struct stage_apic apic;
	return vector == STAGE_APIC_SPURIOUS || stage_pic_has(vector) ||
	       (stage_apic_see(&apic, &env) && stage_apic_in_service(&apic, vector));
}

void stage_interrupt_dismiss(uint8_t vector)
{
	struct stage_apic apic;
	if (stage_pic_has(vector))
		stage_pic_end(vector);
	else if (vector != STAGE_APIC_SPURIOUS && stage_apic_see(&apic, &env))
		stage_apic_end(&apic);
	atomic_fetch_add(&dismissed, 1);
}

uint64_t stage_interrupts_dismissed(void)
{
	return atomic_load(&dismissed);
}
