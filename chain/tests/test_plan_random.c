/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Random kernels, modules and memory maps: what the planner makes of them, before an oracle that carries the plan
 * out (plan_oracle.h); and whether that oracle would notice. KCHAIN_SEED varies them. fuzz_plan.c gives the same worlds
 * to libFuzzer. */
#include "plan_child.h"
#include "random.h"

#include <setjmp.h>
#include <stdio.h>
#include <cmocka.h>

enum { ROUNDS = 100000, DAMAGED_ROUNDS = 40000, DICE_BYTES = 1024 };

static void fill(uint8_t dice[DICE_BYTES])
{
	for (size_t i = 0; i < DICE_BYTES; i += 8) {
		uint64_t value = random_next();
		memcpy(dice + i, &value, 8);
	}
}

struct bench {
	struct world world;
	struct oracle oracle;
	uint8_t dice[DICE_BYTES];
};

static struct bench *begin(void)
{
	struct bench *b = calloc(1, sizeof(*b));
	assert_non_null(b);
	assert_true(world_begin(&b->world));
	return b;
}

static void end(struct bench *b)
{
	world_end(&b->world);
	free(b);
}

static void print_tally(const struct oracle *o)
{
	print_message("%u planned (%u detours, %u modules left in place, %u trampolines placed, %u without room), %u "
		      "refused, %u too full "
		      "(%u for a detour)\n",
		      o->planned, o->detours, o->stayed, o->trampolines, o->no_trampoline, o->refused, o->full,
		      o->tight);
	for (size_t i = 1; i < CHAIN_STATUS_COUNT; i++)
		if (o->by_status[i])
			print_message("  %6u %s\n", o->by_status[i], chain_status_slug((enum chain_status)i));
}

static void plans_and_refusals_are_right(void **state)
{
	struct bench *b = begin();
	(void)state;
	for (unsigned round = 0; round < ROUNDS; round++) {
		struct chain_plan plan;
		struct chain_error err = { 0 };
		fill(b->dice);
		assert_true(world_make(&b->world, b->dice, DICE_BYTES));
		enum chain_status status = chain_plan_build(&b->world.request, &plan, &err);
		bool good = oracle_judge(&b->oracle, &b->world, status, &err, &plan);
		if (!status)
			chain_plan_free(&plan);
		if (!good)
			fail_msg("world %u: %s", round, b->oracle.why);
	}
	print_tally(&b->oracle);
	end(b);
}

/* --- would it notice? A good plan is damaged in one way each. --- */

static struct chain_move *some_move(struct chain_plan *plan, enum chain_move_kind kind)
{
	size_t start = plan->move_count ? (size_t)random_next() % plan->move_count : 0;
	for (size_t i = 0; i < plan->move_count; i++) {
		struct chain_move *move = &plan->moves[(start + i) % plan->move_count];
		if (move->kind == kind && move->owner != CHAIN_OWNER_TRAMPOLINE)
			return move;
	}
	return NULL;
}

static bool damage_entry(struct chain_plan *plan)
{
	plan->entry.address += 1 + random_next() % 4096;
	return true;
}

static bool damage_registers(struct chain_plan *plan)
{
	plan->entry.registers[random_next() % 2 ? CHAIN_RAX : CHAIN_RBX] ^= 1u << random_next() % 32;
	return true;
}

/* Counted as if it were in place, so that only the bytes tell. */
static bool drop_a_copy(struct chain_plan *plan)
{
	struct chain_move *move = some_move(plan, CHAIN_MOVE_COPY);
	if (!move)
		return false;
	plan->bytes_copied -= chain_range_bytes(move->dest);
	plan->bytes_in_place += chain_range_bytes(move->dest);
	memmove(move, move + 1, (size_t)(plan->moves + plan->move_count - (move + 1)) * sizeof(*move));
	plan->move_count--;
	return true;
}

static bool read_elsewhere(struct chain_plan *plan)
{
	struct chain_move *move = some_move(plan, CHAIN_MOVE_COPY);
	if (!move)
		return false;
	if (move->source_phys == CHAIN_PHYS_UNKNOWN)
		move->bytes++;
	else
		move->source_phys += move->source_phys ? -1ull : 1;
	return true;
}

static bool write_elsewhere(struct chain_plan *plan)
{
	struct chain_move *move = some_move(plan, random_next() % 2 ? CHAIN_MOVE_COPY : CHAIN_MOVE_ZERO);
	uint64_t by = random_next() % 2 ? 1 : 4096;
	if (!move)
		return false;
	move->dest.base += by;
	move->dest.end += by;
	return true;
}

static bool zero_too_little(struct chain_plan *plan)
{
	struct chain_move *move = some_move(plan, CHAIN_MOVE_ZERO);
	if (!move || chain_range_bytes(move->dest) < 2)
		return false;
	if (random_next() % 2)
		move->dest.base++;
	else
		move->dest.end--;
	plan->bytes_zeroed--;
	return true;
}

/* Every bit counts, but those of the fixed part, which has fields that no flag calls valid, and of where a module's
 * string lies: there may be two of it. */
static bool damage_information(struct chain_plan *plan)
{
	uint64_t fixed = sizeof(struct multiboot_info) + 4, at = fixed + random_next() % (plan->made_bytes - fixed);
	struct multiboot_info info;
	memcpy(&info, plan->made, sizeof(info));
	uint64_t modules_end = fixed + info.mods_count * sizeof(struct multiboot_mod_list);
	if (at < modules_end)
		at -= (at - fixed) % sizeof(struct multiboot_mod_list) & offsetof(struct multiboot_mod_list, cmdline);
	plan->made[at] ^= (uint8_t)(1u << random_next() % 8);
	return true;
}

static bool disclaim(struct chain_plan *plan)
{
	struct chain_claims *claims = &plan->claims;
	size_t at = (size_t)random_next() % claims->count;
	if (claims->v[at].owner == CHAIN_OWNER_TRAMPOLINE)
		return false; /* what was only used on the way there may be free again */
	memmove(&claims->v[at], &claims->v[at + 1], (claims->count - at - 1) * sizeof(claims->v[0]));
	claims->count--;
	return true;
}

static bool misplace_the_handoff(struct chain_plan *plan)
{
	plan->handoff.end += 1;
	return plan->handoff.base + 1 != plan->handoff.end;
}

/* Moves in another order go wrong where one reads what another writes; elsewhere the plan is as good. */
static bool swap_moves(struct chain_plan *plan)
{
	if (plan->move_count < 2)
		return false;
	struct chain_move *a = &plan->moves[random_next() % plan->move_count],
			  *b = &plan->moves[random_next() % plan->move_count], kept = *a;
	*a = *b;
	*b = kept;
	return true;
}

static const struct {
	const char *name;
	bool (*damage)(struct chain_plan *plan);
	bool always; /* the oracle must notice each one */
} damages[] = {
	{ "entry point", damage_entry, true },
	{ "registers", damage_registers, true },
	{ "a copy less", drop_a_copy, true },
	{ "read elsewhere", read_elsewhere, true },
	{ "write elsewhere", write_elsewhere, true },
	{ "zero too little", zero_too_little, true },
	{ "information structure", damage_information, true },
	{ "a claim less", disclaim, true },
	{ "handoff elsewhere", misplace_the_handoff, true },
	{ "two moves swapped", swap_moves, false },
};
enum { DAMAGES = sizeof(damages) / sizeof(damages[0]) };

/* Whether the damage was done; `noticed` counts. */
static bool damage_one(struct bench *b, size_t kind, struct chain_plan *plan, unsigned *noticed)
{
	struct chain_error err = { 0 };
	if (!damages[kind].damage(plan))
		return false;
	bool good = oracle_judge(&b->oracle, &b->world, CHAIN_OK, &err, plan);
	if (good && damages[kind].always)
		fail_msg("not noticed: %s", damages[kind].name);
	*noticed += !good;
	return true;
}

static void damage_is_noticed(void **state)
{
	struct bench *b = begin();
	unsigned done[DAMAGES] = { 0 }, noticed[DAMAGES] = { 0 };
	(void)state;
	for (unsigned round = 0; round < DAMAGED_ROUNDS; round++) {
		struct chain_plan plan;
		size_t kind = (size_t)random_next() % DAMAGES;
		fill(b->dice);
		assert_true(world_make(&b->world, b->dice, DICE_BYTES));
		if (chain_plan_build(&b->world.request, &plan, NULL))
			continue;
		done[kind] += damage_one(b, kind, &plan, &noticed[kind]);
		chain_plan_free(&plan);
	}
	for (size_t i = 0; i < DAMAGES; i++) {
		print_message("  %5u of %5u noticed: %s\n", noticed[i], done[i], damages[i].name);
		assert_true(noticed[i] > 20);
	}
	end(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plans_and_refusals_are_right),
		cmocka_unit_test(damage_is_noticed),
	};
	const char *seed_text = getenv("KCHAIN_SEED");
	if (seed_text && strtoull(seed_text, NULL, 0))
		seed = strtoull(seed_text, NULL, 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
