/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Work on several processors, which are threads of this process: digests as one processor finds them, however many
 * there are; processors that do not come, that do not come to an end with a piece, and that are lost with it. */

#include "chain/parallel.h"
#include "chain/verity.h"
#include "stage/boot.h"
#include "stage/clock.h"
#include "stage/pages.h"
#include "stage/parallel.h"
#include "stage/processors.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

enum { MOST = 8, MIB = 1 << 20, RUN = 128 * CHAIN_VERITY_BLOCK_BYTES };

/* --- the machine --- */

static struct processor {
	pthread_t thread;
	_Atomic(stage_processor_work *) work;
	void *arg;
	atomic_bool init;
	bool deaf; /* INIT does not reach it */
	unsigned lent;
} machine[MOST];
static struct chain_bootinfo info; /* cpus: as the firmware lists them */
static uint32_t started = 1, come; /* processors; those that answer */
static uint64_t unclaimed, asked_most;
static unsigned taken_back;
static bool time_is_up;                      /* else others may take as long as they like */
static _Thread_local struct processor *here; /* null: the boot processor */

struct chain_bootinfo *stage_bootinfo(void)
{
	return &info;
}
uint64_t stage_pages_unclaimed(void)
{
	return unclaimed;
}
struct stage_cpuid stage_cpuid(uint32_t leaf, uint32_t sub)
{
	(void)sub;
	return (struct stage_cpuid){ .c = leaf == 1 ? 1u << 31 : 0 };
}
void stage_pause(void)
{
	static unsigned calls;

	if (++calls % 256 == 0)
		sched_yield();
}
uint64_t stage_deadline_after_us(uint64_t us)
{
	return us;
}
bool stage_deadline_passed(uint64_t deadline)
{
	(void)deadline;
	sched_yield();
	return time_is_up;
}

static void *live(void *arg)
{
	here = arg;
	while (!atomic_load(&here->init)) {
		stage_processor_work *work = atomic_load(&here->work);

		if (work) {
			work(here->arg);
			atomic_store(&here->work, NULL);
		} else {
			nanosleep(&(const struct timespec){ .tv_nsec = 20000 }, NULL);
		}
	}
	return NULL;
}

static void start(struct processor *p)
{
	atomic_store(&p->init, false);
	atomic_store(&p->work, NULL);
	assert_int_equal(pthread_create(&p->thread, NULL, live, p), 0);
}

static bool has_no_memory;
static unsigned borrowed;

enum chain_status stage_processors_borrow(uint32_t most, struct stage_processors *out, struct chain_error *err)
{
	(void)err;
	asked_most = most;
	borrowed++;
	if (has_no_memory) {
		*out = (struct stage_processors){ .started = 1 };
		return CHAIN_E_NO_MEMORY;
	}
	for (; started < most && started < come; started++)
		start(&machine[started]);
	*out = (struct stage_processors){ .started = started };
	return CHAIN_OK;
}
void stage_processor_lend(uint32_t index, stage_processor_work *work, void *arg)
{
	machine[index].arg = arg;
	machine[index].lent++;
	atomic_store(&machine[index].work, work);
}
bool stage_processor_is_parked(uint32_t index)
{
	return !atomic_load(&machine[index].work);
}
bool stage_processor_take_back(uint32_t index)
{
	struct processor *p = &machine[index];

	taken_back++;
	if (p->deaf)
		return false;
	atomic_store(&p->init, true);
	pthread_join(p->thread, NULL);
	start(p);
	return true;
}

static void begin(uint32_t listed, uint32_t that_come)
{
	info.cpus = listed;
	come = that_come;
	started = 1;
	taken_back = 0;
	time_is_up = false;
	unclaimed = UINT64_MAX;
	for (uint32_t i = 0; i < MOST; i++)
		machine[i] = (struct processor){ .lent = 0 };
	stage_parallel_init();
}

static void end(void)
{
	for (uint32_t i = 1; i < started; i++) {
		atomic_store(&machine[i].init, true);
		pthread_join(machine[i].thread, NULL);
	}
	chain_parallel_set(NULL);
}

/* --- digests --- */

static uint8_t *random_bytes(size_t count)
{
	uint64_t seed = 0x9e3779b97f4a7c15;
	uint8_t *bytes = malloc(count + 8);

	assert_non_null(bytes);
	for (size_t at = 0; at < count; at += 8) {
		seed ^= seed << 13;
		seed ^= seed >> 7;
		seed ^= seed << 17;
		memcpy(bytes + at, &seed, 8);
	}
	return bytes;
}

/* Pieces of `piece` bytes; the digest and the locator. */
static void digest_of(const uint8_t *bytes, size_t count, size_t piece, uint8_t out[CHAIN_LOCATED_BYTES])
{
	struct chain_verity v;

	chain_verity_init(&v);
	for (size_t at = 0; at < count; at += piece)
		chain_verity_update(&v, bytes + at, count - at < piece ? count - at : piece);
	chain_verity_final_located(&v, out);
}

static void digests_are_those_of_one(void **state)
{
	static const size_t sizes[] = { MIB - 1, MIB, MIB + 1, 3 * RUN + 4097, 64 * RUN, 65 * RUN - 1, 66 * RUN + 5 };
	static const uint32_t processors[] = { 1, 2, 3, MOST };
	uint8_t *bytes = random_bytes(sizes[sizeof(sizes) / sizeof(sizes[0]) - 1]), wanted[CHAIN_LOCATED_BYTES],
		found[CHAIN_LOCATED_BYTES];

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		chain_parallel_set(NULL);
		digest_of(bytes, sizes[i], sizes[i], wanted);
		for (size_t n = 0; n < sizeof(processors) / sizeof(processors[0]); n++) {
			begin(processors[n], processors[n]);
			digest_of(bytes, sizes[i], sizes[i], found);
			assert_memory_equal(found, wanted, sizeof(found));
			digest_of(bytes, sizes[i], 4 * MIB, found);
			assert_memory_equal(found, wanted, sizeof(found));
			digest_of(bytes, sizes[i], 3 * MIB + 4096, found); /* behind the first not at a run's end */
			assert_memory_equal(found, wanted, sizeof(found));
			assert_int_equal(taken_back, 0);
			/* all that there are, once there is so much to do */
			assert_int_equal(started, sizes[i] < 32 * MIB ? started : processors[n]);
			for (uint32_t p = 1; p < processors[n] && sizes[i] >= 32 * MIB; p++)
				assert_true(machine[p].lent > 0);
			end();
		}
	}
	free(bytes);
}

/* A changed byte anywhere is found, and its block. */
static void damage_is_found(void **state)
{
	const size_t count = 5 * RUN + 100, blocks = count / CHAIN_VERITY_BLOCK_BYTES + 1;
	uint8_t *bytes = random_bytes(count), whole[CHAIN_LOCATED_BYTES], found[CHAIN_LOCATED_BYTES];

	(void)state;
	begin(3, 3);
	digest_of(bytes, count, count, whole);
	for (size_t block = 0; block < blocks; block += 97) {
		const size_t at = block * CHAIN_VERITY_BLOCK_BYTES + block % 100;

		bytes[at] ^= 1;
		digest_of(bytes, count, count, found);
		assert_memory_not_equal(found, whole, CHAIN_SHA256_BYTES);
		assert_int_equal(chain_locator_find(whole + CHAIN_SHA256_BYTES, found + CHAIN_SHA256_BYTES, blocks),
				 block + 1);
		bytes[at] ^= 1;
	}
	end();
	free(bytes);
}

/* --- who is asked to come --- */

static void processors_are_started_for_what_is_worth_it(void **state)
{
	(void)state;
	begin(1, 1);
	asked_most = 0;
	assert_false(chain_parallel_gather(1 << 30)); /* the only one is not even looked for company */
	assert_int_equal(asked_most, 0);
	end();
	begin(MOST, MOST);
	unclaimed = 3 * 8 * 64 * 1024 + 1;
	assert_true(chain_parallel_gather(1 << 30)); /* memory for three more */
	assert_int_equal(asked_most, 4);
	unclaimed = UINT64_MAX;
	assert_true(chain_parallel_gather(1));
	assert_int_equal(asked_most, MOST);
	end();
	begin(2, 1); /* does not come */
	assert_false(chain_parallel_gather(1 << 30));
	end();
	assert_false(chain_parallel_gather(1 << 30)); /* nobody has said that there are any */
}

/* --- pieces that do not end --- */

struct count {
	_Atomic unsigned times[CHAIN_PARALLEL_PIECES];
	atomic_bool has_hung;
	bool hangs;
};

/* The first piece that another processor takes never ends there; this one waits until it is taken. */
static void counted(void *ctx, size_t index)
{
	struct count *c = ctx;

	if (!here) {
		while (c->hangs && !atomic_load(&c->has_hung))
			sched_yield();
	} else if (c->hangs && !atomic_exchange(&c->has_hung, true)) {
		while (!atomic_load(&here->init))
			sched_yield();
		pthread_exit(NULL);
	}
	atomic_fetch_add(&c->times[index], 1);
}

static void each_piece_is_done_once(void **state)
{
	(void)state;
	for (uint32_t n = 2; n <= MOST; n++) {
		begin(n, n);
		for (size_t count = 0; count <= CHAIN_PARALLEL_PIECES; count += 1 + count / 3) {
			struct count c = { .hangs = false };

			assert_true(chain_parallel_gather(1 << 30));
			assert_true(chain_parallel_run(counted, &c, count));
			for (size_t i = 0; i < CHAIN_PARALLEL_PIECES; i++)
				assert_int_equal(c.times[i], i < count);
		}
		assert_int_equal(taken_back, 0);
		end();
	}
}

static void a_late_processor_is_taken_back(void **state)
{
	(void)state;
	begin(3, 3);
	time_is_up = true;
	for (unsigned round = 0; round < 3; round++) {
		struct count c = { .hangs = true };

		assert_true(chain_parallel_gather(1 << 30));
		assert_true(chain_parallel_run(counted, &c, 40));
		for (size_t i = 0; i < 40; i++)
			assert_int_equal(c.times[i], 1);
		assert_true(taken_back > round);
	}
	end();
}

/* Each time would take memory anew. */
static void what_can_not_be_had_is_asked_for_once(void **state)
{
	(void)state;
	begin(2, 2);
	has_no_memory = true;
	borrowed = 0;
	assert_false(chain_parallel_gather(1 << 30));
	assert_false(chain_parallel_gather(1 << 30));
	assert_int_equal(borrowed, 1);
	has_no_memory = false;
	stage_parallel_init();
	assert_true(chain_parallel_gather(1 << 30));
	end();
}

/* The last test: no other processor is asked from then on. */
static void a_lost_processor_is_done_without(void **state)
{
	struct count c = { .hangs = true };

	(void)state;
	begin(2, 2);
	assert_true(chain_parallel_gather(1 << 30));
	time_is_up = machine[1].deaf = true;
	assert_false(chain_parallel_run(counted, &c, 12));
	for (size_t i = 0; i < 12; i++)
		assert_int_equal(c.times[i], 1);
	assert_int_equal(taken_back, 1);
	assert_false(chain_parallel_gather(1 << 30));
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(digests_are_those_of_one),
		cmocka_unit_test(damage_is_found),
		cmocka_unit_test(processors_are_started_for_what_is_worth_it),
		cmocka_unit_test(each_piece_is_done_once),
		cmocka_unit_test(a_late_processor_is_taken_back),
		cmocka_unit_test(what_can_not_be_had_is_asked_for_once),
		cmocka_unit_test(a_lost_processor_is_done_without),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
