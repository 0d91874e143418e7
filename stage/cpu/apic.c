/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "stage/apic.h"

#include "chain/x86_registers.h"

#include <stddef.h>

enum {
	BASE_X2 = 1 << 10,
	BASE_ENABLED = 1 << 11,
	MSR_X2 = 0x800, /* register at offset N is MSR 0x800 + N / 16 (SDM 11.12.1.2) */
	ID = 0x20,
	EOI = 0xb0,
	SPURIOUS = 0xf0,
	IN_SERVICE = 0x100,
	/* eight registers of 32 vectors */ COMMAND_LOW = 0x300,
	COMMAND_HIGH = 0x310,
	TIMER = 0x320,
	LINE0 = 0x350,
	TIMER_COUNT = 0x380,
	TIMER_DIVIDE = 0x3e0, /* SDM 11.5.1, 11.5.4 */
	MASKED = 1 << 16,
	PERIODIC = 1 << 17,
	DIVIDE_BY_1 = 0xb,
	TICK_COUNT = 1000 * 1000,
	SOFTWARE_ENABLED = 1 << 8,
	PENDING = 1 << 12,
	POLLS_MAX = 1000 * 1000,
};
#define BASE_ADDRESS 0x000ffffffffff000ull

static uint32_t read(const struct stage_apic *apic, uint32_t offset)
{
	if (apic->x2)
		return (uint32_t)apic->env.rdmsr(MSR_X2 + offset / 16);
	return apic->env.registers[offset / 4];
}

static void write(const struct stage_apic *apic, uint32_t offset, uint32_t value)
{
	if (apic->x2)
		apic->env.wrmsr(MSR_X2 + offset / 16, value);
	else
		apic->env.registers[offset / 4] = value;
}

uint64_t stage_apic_phys(const struct stage_apic_env *env)
{
	return env->rdmsr(MSR_APIC_BASE) & BASE_ADDRESS;
}

bool stage_apic_open(struct stage_apic *apic, const struct stage_apic_env *env, bool want_x2, bool has_x2)
{
	uint64_t base = env->rdmsr(MSR_APIC_BASE);
	*apic = (struct stage_apic){ .env = *env };
	if (want_x2 && !has_x2)
		return false;
	if (!(base & BASE_ENABLED)) { /* x2 can't be reached from off in one step (SDM figure 11-27) */
		base = (base & ~(uint64_t)BASE_X2) | BASE_ENABLED;
		env->wrmsr(MSR_APIC_BASE, base);
	}
	if (want_x2 && !(base & BASE_X2)) {
		base |= BASE_X2;
		env->wrmsr(MSR_APIC_BASE, base);
	}
	apic->x2 = base & BASE_X2;
	write(apic, SPURIOUS, SOFTWARE_ENABLED | STAGE_APIC_SPURIOUS);
	return true;
}

bool stage_apic_see(struct stage_apic *apic, const struct stage_apic_env *env)
{
	uint64_t base = env->rdmsr(MSR_APIC_BASE);
	*apic = (struct stage_apic){ .env = *env, .x2 = base & BASE_X2 };
	return base & BASE_ENABLED;
}

bool stage_apic_in_service(const struct stage_apic *apic, uint8_t vector)
{
	return read(apic, IN_SERVICE + vector / 32 * 16u) >> vector % 32 & 1;
}

void stage_apic_close(const struct stage_apic *apic)
{
	write(apic, SPURIOUS, STAGE_APIC_SPURIOUS);
}

void stage_apic_tick(struct stage_apic *apic, uint8_t vector)
{
	if (!vector) {
		write(apic, TIMER, MASKED);
		write(apic, LINE0, apic->line0);
		return;
	}
	apic->line0 = read(apic, LINE0);
	write(apic, LINE0, apic->line0 | MASKED);
	write(apic, TIMER_DIVIDE, DIVIDE_BY_1);
	write(apic, TIMER, PERIODIC | vector);
	write(apic, TIMER_COUNT, TICK_COUNT);
}

uint32_t stage_apic_id(const struct stage_apic *apic)
{
	return apic->x2 ? read(apic, ID) : read(apic, ID) >> 24;
}

void stage_apic_end(const struct stage_apic *apic)
{
	write(apic, EOI, 0);
}

bool stage_apic_send(const struct stage_apic *apic, uint32_t id, uint32_t message)
{
	if (apic->x2) { /* one register of 64 bits, and nothing to wait for (SDM 11.12.9) */
		apic->env.wrmsr(MSR_X2 + COMMAND_LOW / 16, (uint64_t)id << 32 | message);
		return true;
	}
	if (id > STAGE_APIC_XID_MAX)
		return false;
	write(apic, COMMAND_HIGH, id << 24);
	write(apic, COMMAND_LOW, message);
	for (uint32_t polls = 0; polls < POLLS_MAX; polls++)
		if (!(read(apic, COMMAND_LOW) & PENDING))
			return true;
	return false;
}
