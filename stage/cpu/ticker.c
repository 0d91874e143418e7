/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "stage/ticker.h"

#include "pit.h"
#include "stage/cpu.h"
#include "stage/pages.h"

enum {
	/* 82093AA I/O APIC: index and data registers, redirection table from 0x10, two words an entry. */
	IOAPIC_INDEX = 0,
	IOAPIC_DATA = 4,
	IOAPIC_TABLE = 0x10,
	IOAPIC_NMI = 4 << 8,
	IOAPIC_MASKED = 1 << 16,
	PIT_PIN = 2, /* where PCs wire the timer; the MADT's interrupt source override says so */
	LAPIC_ID = 0x20,
};
#define IOAPIC_PHYS 0xfec00000u
#define LAPIC_PHYS  0xfee00000u

static volatile uint32_t *ioapic, *lapic;

static void ioapic_write(uint32_t reg, uint32_t value)
{
	ioapic[IOAPIC_INDEX] = reg;
	ioapic[IOAPIC_DATA] = value;
}

static void route(uint32_t low)
{
	uint32_t id = lapic[LAPIC_ID / 4] >> 24;
	ioapic_write(IOAPIC_TABLE + 2 * PIT_PIN, IOAPIC_MASKED);
	ioapic_write(IOAPIC_TABLE + 2 * PIT_PIN + 1, id << 24);
	ioapic_write(IOAPIC_TABLE + 2 * PIT_PIN, low);
}

enum chain_status stage_ticker_open(struct chain_error *err)
{
	ioapic = stage_mmio_map(IOAPIC_PHYS, STAGE_PAGE);
	lapic = stage_mmio_map(LAPIC_PHYS, STAGE_PAGE);
	if (!ioapic || !lapic)
		return chain_fail_no_memory(err, "timer", STAGE_PAGE);
	return CHAIN_OK;
}

void stage_ticker_start(void)
{
	uint32_t divisor = (uint32_t)((uint64_t)PIT_HZ * STAGE_TICKER_PERIOD_US / 1000000);
	stage_outb(PIT_CONTROL, PIT0_RATE);
	stage_outb(PIT_CHANNEL0, (uint8_t)divisor);
	stage_outb(PIT_CHANNEL0, (uint8_t)(divisor >> 8));
	route(IOAPIC_NMI);
}

void stage_ticker_stop(void)
{
	route(IOAPIC_MASKED);
	stage_outb(PIT_CONTROL, PIT0_ONE_SHOT);
}
