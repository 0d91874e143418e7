/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Random machines, as in test_plan_random.c, with kernels for the other doors (plan_doors.h); damaged plans are
 * noticed. KCHAIN_SEED varies them. */
#include "plan_doors.h"
#include "random.h"

#include <setjmp.h>
#include <stdio.h>
#include <cmocka.h>

enum { ROUNDS = 100000, DAMAGED_ROUNDS = 40000 };

static struct bench *begin(void)
{
	struct bench *b = calloc(1, sizeof(*b));
	assert_non_null(b);
	assert_true(world_begin(&b->world));
	return b;
}

static void make(struct bench *b)
{
	uint8_t dice[DICE_BYTES];
	for (size_t i = 0; i < DICE_BYTES; i += 8) {
		uint64_t value = random_next();
		memcpy(dice + i, &value, 8);
	}
	assert_true(doors_make(b, dice, sizeof(dice)));
}

static void plans_are_right(void **state)
{
	struct bench *b = begin();
	unsigned planned = 0, filled = 0;
	(void)state;
	for (unsigned round = 0; round < ROUNDS; round++) {
		struct chain_plan plan;
		make(b);
		enum chain_status status = chain_plan_build(&b->world.request, &plan, NULL);
		if (status) {
			if (!doors_refused(b, status))
				fail_msg("world %u, %s: %s", round, b->made.door, b->oracle.why);
			continue;
		}
		planned++;
		filled += plan.fill_count != 0;
		if (!doors_judge(b, &plan))
			fail_msg("world %u, %s: %s", round, b->made.door, b->oracle.why);
		chain_plan_free(&plan);
	}
	print_message(
		"%u planned (%u kernels moved, %u above 4 GiB, %u with fills), %u refused (%u for lack of room)\n",
		planned, b->moved, b->above, filled, b->refused, b->full);
	assert_true(planned > ROUNDS / 4 && b->moved > 2000 && b->above > 500 && filled > 2000);
	world_end(&b->world);
	free(b);
}

/* --- would it notice? --- */

static bool damage_entry(struct chain_plan *plan)
{
	plan->entry.address++;
	return true;
}

static bool damage_register(struct chain_plan *plan)
{
	plan->entry.registers[plan->entry.mode == CHAIN_ENTRY_LONG64 ? CHAIN_RSI : CHAIN_RBX] += 8;
	return true;
}

static bool drop_a_copy(struct chain_plan *plan)
{
	for (size_t i = 0; i < plan->move_count; i++)
		if (plan->moves[i].kind == CHAIN_MOVE_COPY && plan->moves[i].owner != CHAIN_OWNER_TRAMPOLINE) {
			memmove(&plan->moves[i], &plan->moves[i + 1],
				(--plan->move_count - i) * sizeof(plan->moves[0]));
			return true;
		}
	return false;
}

static bool read_elsewhere(struct chain_plan *plan)
{
	struct chain_move *move = plan->move_count ? &plan->moves[random_next() % plan->move_count] : NULL;
	if (!move || move->kind != CHAIN_MOVE_COPY || move->owner == CHAIN_OWNER_TRAMPOLINE)
		return false;
	move->bytes++;
	move->source_phys += move->source_phys != CHAIN_PHYS_UNKNOWN;
	return true;
}

static bool disclaim(struct chain_plan *plan)
{
	size_t at = (size_t)random_next() % plan->claims.count;
	enum chain_owner owner = plan->claims.v[at].owner;
	if (owner != CHAIN_OWNER_KERNEL && owner != CHAIN_OWNER_BOOT_INFO)
		return false;
	memmove(&plan->claims.v[at], &plan->claims.v[at + 1], (--plan->claims.count - at) * sizeof(plan->claims.v[0]));
	return true;
}

static bool drop_a_fill(struct chain_plan *plan)
{
	return plan->fill_count && plan->fill_count--;
}

static bool fill_elsewhere(struct chain_plan *plan)
{
	if (!plan->fill_count)
		return false;
	plan->fills[0].dest.base++;
	plan->fills[0].dest.end++;
	return true;
}

static bool fill_another(struct chain_plan *plan)
{
	if (plan->fill_count < 2)
		return false;
	plan->fills[0].tag = plan->fills[1].tag;
	return true;
}

static void damage_is_noticed(void **state)
{
	static const struct {
		const char *name;
		bool (*damage)(struct chain_plan *plan);
	} damages[] = {
		{ "entry point", damage_entry },      { "register", damage_register },  { "a copy less", drop_a_copy },
		{ "read elsewhere", read_elsewhere }, { "a claim less", disclaim },     { "a fill less", drop_a_fill },
		{ "fill elsewhere", fill_elsewhere }, { "fill another", fill_another },
	};
	enum { DAMAGES = sizeof(damages) / sizeof(damages[0]) };
	struct bench *b = begin();
	unsigned done[DAMAGES] = { 0 };
	(void)state;
	for (unsigned round = 0; round < DAMAGED_ROUNDS; round++) {
		struct chain_plan plan;
		make(b);
		if (chain_plan_build(&b->world.request, &plan, NULL))
			continue;
		size_t kind = (size_t)random_next() % DAMAGES;
		if (damages[kind].damage(&plan)) {
			done[kind]++;
			if (doors_judge(b, &plan))
				fail_msg("world %u, %s: not noticed: %s", round, b->made.door, damages[kind].name);
		}
		chain_plan_free(&plan);
	}
	for (size_t i = 0; i < DAMAGES; i++) {
		print_message("  %5u noticed: %s\n", done[i], damages[i].name);
		assert_true(done[i] > 20);
	}
	world_end(&b->world);
	free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(plans_are_right), cmocka_unit_test(damage_is_noticed) };
	const char *seed_text = getenv("KCHAIN_SEED");
	if (seed_text && strtoull(seed_text, NULL, 0))
		seed = strtoull(seed_text, NULL, 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
