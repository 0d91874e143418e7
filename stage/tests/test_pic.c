/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* The two 8259As, against a model of them (Intel 231468), and where a machine has none. */
#include "stage/pic.h"

#include "fake_machine.h"

#include <cmocka.h>

static struct chip {
	uint8_t base, mask, service, mode;
	unsigned words; /* of the initialisation, that are still to come */
	bool reads_service;
	unsigned ends;
} chips[2];

static struct chip *chip_at(uint16_t port)
{
	return (port & 0xfe) == 0x20 ? &chips[0] : (port & 0xfe) == 0xa0 ? &chips[1] : NULL;
}

static void write_mask_port(struct chip *c, uint8_t value)
{
	switch (c->words) {
	case 3:
		c->base = value;
		break;
	case 2:
		assert_int_equal(value, c == &chips[0] ? 4 : 2);
		break; /* the second one is on line 2 */
	case 1:
		c->mode = value;
		break;
	default:
		c->mask = value;
		return;
	}
	c->words--;
}

static void out(uint16_t port, uint32_t value, unsigned width)
{
	struct chip *c = chip_at(port);
	assert_non_null(c);
	assert_int_equal(width, 1);
	if (port & 1) {
		write_mask_port(c, (uint8_t)value);
	} else if (value & 0x10) {
		*c = (struct chip){ .words = 3, .ends = c->ends };
	} else if (value & 8) {
		c->reads_service = (value & 3) == 3;
	} else {
		assert_int_equal(value, 0x20);
		c->ends++;
		c->service &= (uint8_t)(c->service - 1); /* the highest priority is the lowest line */
	}
}

static uint32_t in(uint16_t port, unsigned width)
{
	struct chip *c = chip_at(port);
	(void)width;
	assert_non_null(c);
	return port & 1 ? c->mask : c->reads_service ? c->service : 0;
}

static int with(void **state)
{
	(void)state;
	memset(chips, 0, sizeof(chips));
	chips[0].base = 8; /* as a BIOS leaves them */
	chips[1].base = 0x70;
	fake_machine.in = in;
	fake_machine.out = out;
	stage_pic_reset();
	return 0;
}

static void all_are_masked_and_away_from_the_exceptions(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++) {
		assert_int_equal(chips[i].base, STAGE_PIC_VECTOR + 8 * i);
		assert_int_equal(chips[i].mask, 0xff);
		assert_int_equal(chips[i].mode, 1);
		assert_int_equal(chips[i].words, 0);
	}
	stage_pic_unmask(STAGE_PIC_TIMER);
	assert_int_equal(chips[0].mask, 0xfe);
	stage_pic_prepare(); /* once is enough: the timer stays */
	assert_int_equal(chips[0].mask, 0xfe);
	stage_pic_reset();
	assert_int_equal(chips[0].mask, 0xff);
}

static void what_is_in_service_came_and_ends(void **state)
{
	(void)state;
	for (unsigned vector = 0; vector < 256; vector++)
		assert_int_equal(stage_pic_has((uint8_t)vector),
				 vector == STAGE_PIC_VECTOR + 7 || vector == STAGE_PIC_VECTOR + 15);
	for (unsigned line = 0; line < STAGE_PIC_LINES; line++) {
		with(NULL);
		chips[0].service = (uint8_t)(line < 8 ? 1u << line : 4);
		chips[1].service = (uint8_t)(line < 8 ? 0 : 1u << (line - 8));
		assert_true(stage_pic_has((uint8_t)(STAGE_PIC_VECTOR + line)));
		stage_pic_end((uint8_t)(STAGE_PIC_VECTOR + line));
		assert_int_equal(chips[0].service | chips[1].service, 0);
	}
}

static void what_is_sent_in_vain_ends_as_it_must(void **state)
{
	unsigned first = chips[0].ends, second = chips[1].ends;
	(void)state;
	stage_pic_end(STAGE_PIC_VECTOR + 7); /* nothing is in service there */
	assert_int_equal(chips[0].ends, first);
	stage_pic_end(STAGE_PIC_VECTOR + 15); /* the first one has passed it on */
	assert_int_equal(chips[0].ends, first + 1);
	assert_int_equal(chips[1].ends, second);
}

static void a_machine_without_has_none_in_service(void **state)
{
	(void)state;
	fake_machine.in = NULL;
	fake_machine.out = NULL;
	stage_pic_reset();
	for (unsigned vector = 0; vector < 256; vector++)
		assert_false(stage_pic_has((uint8_t)vector));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(all_are_masked_and_away_from_the_exceptions, with),
		cmocka_unit_test_setup(what_is_in_service_came_and_ends, with),
		cmocka_unit_test_setup(what_is_sent_in_vain_ends_as_it_must, with),
		cmocka_unit_test_setup(a_machine_without_has_none_in_service, with),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
