/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* The local interrupt controller in both its forms, against one that notes what it is told. QEMU's emulation has no
 * x2APIC. */
#include "../cpu/apic.c"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

static uint64_t msrs[0x900];
static struct {
	uint32_t msr;
	uint64_t value;
} written[16];
static size_t written_count;
static uint32_t registers[1024];

static uint64_t fake_rdmsr(uint32_t msr)
{
	assert_true(msr < sizeof(msrs) / sizeof(msrs[0]));
	return msrs[msr];
}

static void fake_wrmsr(uint32_t msr, uint64_t value)
{
	assert_true(written_count < sizeof(written) / sizeof(written[0]));
	written[written_count].msr = msr;
	written[written_count++].value = value;
	msrs[msr] = value;
}

static const struct stage_apic_env env = { registers, fake_rdmsr, fake_wrmsr };

static int reset(void **state)
{
	(void)state;
	memset(msrs, 0, sizeof(msrs));
	memset(registers, 0, sizeof(registers));
	written_count = 0;
	msrs[0x1b] = 0xfee00000 | 1 << 11;
	return 0;
}

static void test_xapic(void **state)
{
	struct stage_apic apic;
	(void)state;
	assert_true(stage_apic_open(&apic, &env, false, true));
	assert_false(apic.x2);
	assert_int_equal(written_count, 0); /* it was on, and stays as it is */
	assert_int_equal(stage_apic_phys(&env), 0xfee00000);
	assert_int_equal(registers[0xf0 / 4], 0x1ff);
	registers[0x20 / 4] = 0xab000000;
	assert_int_equal(stage_apic_id(&apic), 0xab);
	assert_true(stage_apic_send(&apic, 7, STAGE_APIC_STARTUP | 8));
	assert_int_equal(registers[0x310 / 4], 7u << 24);
	assert_int_equal(registers[0x300 / 4], 0x4608);
	registers[0xb0 / 4] = 1;
	stage_apic_end(&apic);
	assert_int_equal(registers[0xb0 / 4], 0);
}

/* An id that does not fit, and a message that is never taken, are refused; nothing hangs. */
static void test_xapic_refuses(void **state)
{
	struct stage_apic apic;
	(void)state;
	assert_true(stage_apic_open(&apic, &env, false, false));
	assert_true(stage_apic_send(&apic, 254, STAGE_APIC_INIT));
	assert_false(stage_apic_send(&apic, 255, STAGE_APIC_INIT));
	assert_false(stage_apic_send(&apic, 256, STAGE_APIC_INIT));
	assert_int_equal(registers[0x310 / 4], 254u << 24);
	assert_false(stage_apic_send(&apic, 1, STAGE_APIC_INIT | 1 << 12)); /* the pending bit stays set here */
}

static void test_turned_on(void **state)
{
	struct stage_apic apic;
	(void)state;
	msrs[0x1b] = 0xfee00000;
	assert_true(stage_apic_open(&apic, &env, false, false));
	assert_int_equal(written_count, 1);
	assert_int_equal(written[0].value, 0xfee00000 | 1 << 11);
}

static void expect_x2(struct stage_apic *apic)
{
	assert_true(apic->x2);
	assert_int_equal(msrs[0x80f], 0x1ff);
	msrs[0x802] = 0x12345;
	assert_int_equal(stage_apic_id(apic), 0x12345);
	assert_true(stage_apic_send(apic, 0x10001, STAGE_APIC_FIXED | 0xf1));
	assert_int_equal(msrs[0x830], 0x000100010000u << 16 | 0x40f1);
	stage_apic_end(apic);
	assert_int_equal(msrs[0x80b], 0);
	for (size_t i = 0; i < sizeof(registers) / sizeof(registers[0]); i++)
		assert_int_equal(registers[i], 0); /* its memory is not there in this mode */
}

static void test_x2_as_left(void **state)
{
	struct stage_apic apic;
	(void)state;
	msrs[0x1b] |= 1 << 10;
	assert_true(stage_apic_open(&apic, &env, false, false));
	assert_int_equal(written[0].msr, 0x80f); /* the mode was not touched */
	expect_x2(&apic);
}

static void test_x2_wanted(void **state)
{
	struct stage_apic apic;
	(void)state;
	assert_true(stage_apic_open(&apic, &env, true, true));
	assert_int_equal(written[0].msr, 0x1b);
	assert_int_equal(written[0].value, 0xfee00000 | 3 << 10);
	expect_x2(&apic);
	assert_false(stage_apic_open(&apic, &env, true, false)); /* the processor has none */
}

/* From off, first on, then x2: both at once is not allowed (SDM figure 11-27). */
static void test_x2_from_off(void **state)
{
	struct stage_apic apic;
	(void)state;
	msrs[0x1b] = 0xfee00000;
	assert_true(stage_apic_open(&apic, &env, true, true));
	assert_int_equal(written[0].value, 0xfee00000 | 1 << 11);
	assert_int_equal(written[1].value, 0xfee00000 | 3 << 10);
}

/* SDM 11.5: the 8259's line is held back while the timer ticks, and as before afterwards; in both modes. */
static void test_ticks_and_closes(void **state)
{
	struct stage_apic apic;
	(void)state;
	assert_true(stage_apic_open(&apic, &env, false, false));
	registers[0x350 / 4] = 0x700;
	registers[0x320 / 4] = 1 << 16;
	stage_apic_tick(&apic, 0xf2);
	assert_int_equal(registers[0x350 / 4], 0x10700);
	assert_int_equal(registers[0x320 / 4], 1 << 17 | 0xf2);
	assert_int_equal(registers[0x3e0 / 4], 0xb);
	assert_true(registers[0x380 / 4] >= 100000);
	stage_apic_tick(&apic, 0);
	assert_int_equal(registers[0x350 / 4], 0x700);
	assert_int_equal(registers[0x320 / 4], 1 << 16);
	stage_apic_close(&apic);
	assert_int_equal(registers[0xf0 / 4], 0xff);
	msrs[0x1b] |= 1 << 10;
	assert_true(stage_apic_open(&apic, &env, false, true));
	msrs[0x835] = 0x10700; /* held back before, too */
	stage_apic_tick(&apic, 0xf2);
	assert_int_equal(msrs[0x832], 1 << 17 | 0xf2);
	stage_apic_tick(&apic, 0);
	assert_int_equal(msrs[0x835], 0x10700);
	assert_int_equal(msrs[0x832], 1 << 16);
}

/* SDM 11.8.4: eight registers of 32 vectors each, 16 bytes apart. Looking changes nothing, and is not possible where it
 * is off. */
static void test_sees_what_is_in_service(void **state)
{
	struct stage_apic apic;
	(void)state;
	for (int x2 = 0; x2 < 2; x2++) {
		msrs[0x1b] = 0xfee00000 | 1 << 11 | (unsigned)x2 << 10;
		for (unsigned vector = 0; vector < 256; vector++) {
			registers[(0x100 + vector / 32 * 16) / 4] = x2 ? 0 : 1u << vector % 32;
			msrs[0x810 + vector / 32] = x2 ? 1u << vector % 32 : 0;
			assert_true(stage_apic_see(&apic, &env));
			for (unsigned other = 0; other < 256; other++)
				assert_int_equal(stage_apic_in_service(&apic, (uint8_t)other), other == vector);
			registers[(0x100 + vector / 32 * 16) / 4] = 0;
			msrs[0x810 + vector / 32] = 0;
		}
	}
	assert_int_equal(written_count, 0);
	msrs[0x1b] = 0xfee00000;
	assert_false(stage_apic_see(&apic, &env));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_xapic, reset),
		cmocka_unit_test_setup(test_xapic_refuses, reset),
		cmocka_unit_test_setup(test_turned_on, reset),
		cmocka_unit_test_setup(test_x2_as_left, reset),
		cmocka_unit_test_setup(test_x2_wanted, reset),
		cmocka_unit_test_setup(test_x2_from_off, reset),
		cmocka_unit_test_setup(test_ticks_and_closes, reset),
		cmocka_unit_test_setup(test_sees_what_is_in_service, reset),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
