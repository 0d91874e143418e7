/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* A whole fan-out whose processors are threads of this process: the queue, the workers' rings, turns that are taken
 * back. Also built with the compiler's thread sanitizer: what it says of the order of memory accesses holds for the
 * stage. INIT is a flag that a thread sees where it is in a kernel or halted, and ends at; a thread that ends anywhere
 * else than the protocol says (stage/dispatch/worker.h) leaves a turn untold. */

#include "stage/assigned.h"
#include "stage/clock.h"
#include "stage/dispatch/team.h"
#include "stage/dispatch/worker.h"
#include "stage/link/tickets.h"
#include "stage/malloc.h"
#include "stage/pages.h"
#include "stage/processors.h"
#include "stage/runtime.h"
#include "stage/ticker.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

enum { PROCESSORS_MAX = 8, KERNELS = 3000, PIECES = 3, US = 1000, TIMEOUT_US = 50000, RESULT_BYTES = 1500 };
enum { POOL_BYTES = 8192, VALUE_BYTES = 300 /* and more: a pool holds some */ };

/* What kernel `index` does in its turn `attempt`. */
enum deed { RETURNS, TALKS, LEAVES_RESULT, HANGS };
static enum deed deed_of(uint32_t index, uint32_t attempt)
{
	if (!attempt && index % 500 == 77)
		return HANGS;
	return index % 3 == 1 ? TALKS : index % 5 == 2 ? LEAVES_RESULT : RETURNS;
}

/* --- the machine --- */

struct processor {
	struct stage_cpu cpu;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	stage_processor_work *work;
	void *arg;
	bool woken, exists, dead;
	atomic_bool init;
};
static struct processor machine[PROCESSORS_MAX];
static bool wants_verdicts;
static uint32_t processors, started; /* there are; have been started */
static uint32_t deaf;                /* the processor that INIT does not reach; 0: none */
static _Thread_local struct processor *here;

struct stage_cpu *stage_cpu(void)
{
	return &here->cpu;
}
uint64_t stage_rdtsc(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}
uint64_t stage_ticks_of_us(uint64_t us)
{
	return us * US;
}
uint64_t stage_deadline_after_us(uint64_t us)
{
	return stage_rdtsc() + us * US;
}
bool stage_deadline_passed(uint64_t deadline)
{
	return stage_rdtsc() >= deadline;
}

static void wake(struct processor *p)
{
	pthread_mutex_lock(&p->lock);
	p->woken = true;
	pthread_cond_broadcast(&p->changed);
	pthread_mutex_unlock(&p->lock);
}

static void stop_here_if_init(void)
{
	if (atomic_load(&here->init))
		pthread_exit(NULL);
}

static void halt(uint64_t us)
{
	struct timespec until;
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_nsec += (long)us * US;
	until.tv_sec += until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	pthread_mutex_lock(&here->lock);
	while (!here->woken && !pthread_cond_timedwait(&here->changed, &here->lock, &until))
		;
	here->woken = false;
	pthread_mutex_unlock(&here->lock);
}

void stage_processor_wait(void)
{
	halt(1000000);
	stop_here_if_init();
}
void stage_wait_for_interrupt(void)
{
	halt(1000);
}
void stage_processor_wake(uint32_t index)
{
	wake(&machine[index]);
}
void stage_processor_call_boot(void)
{
	wake(&machine[0]);
}
void stage_processor_interrupt_boot(void) {}
void stage_processor_look(bool (*look)(void *arg), void *arg)
{
	while (look(arg)) /* its timer is quick */
		sched_yield();
}
void stage_pause(void)
{
	sched_yield();
}

static void *live(void *arg)
{
	here = arg;
	for (;;) {
		pthread_mutex_lock(&here->lock);
		stage_processor_work *work = here->work;
		void *work_arg = here->arg;
		pthread_mutex_unlock(&here->lock);
		if (!work) {
			stage_processor_wait();
			continue;
		}
		work(work_arg);
		pthread_mutex_lock(&here->lock);
		here->work = NULL;
		pthread_mutex_unlock(&here->lock);
		stage_processor_call_boot();
	}
	return NULL;
}

static void start(struct processor *p)
{
	atomic_store(&p->init, false);
	p->work = NULL;
	p->woken = false;
	assert_int_equal(pthread_create(&p->thread, NULL, live, p), 0);
	p->exists = true;
}

void stage_processor_give(uint32_t index, stage_processor_work *work, void *arg)
{
	struct processor *p = &machine[index];
	pthread_mutex_lock(&p->lock);
	p->work = work;
	p->arg = arg;
	pthread_mutex_unlock(&p->lock);
	wake(p);
}
bool stage_processor_is_parked(uint32_t index)
{
	struct processor *p = &machine[index];
	pthread_mutex_lock(&p->lock);
	bool parked = !p->work;
	pthread_mutex_unlock(&p->lock);
	return parked;
}
bool stage_processor_take_back(uint32_t index)
{
	struct processor *p = &machine[index];
	if (index == deaf) {
		p->dead = true;
		return false;
	}
	atomic_store(&p->init, true);
	wake(p);
	pthread_join(p->thread, NULL);
	start(p);
	return true;
}

static void begin_machine(uint32_t count)
{
	processors = count;
	for (uint32_t i = 0; i < count; i++) {
		machine[i] = (struct processor){ .cpu.index = i };
		pthread_mutex_init(&machine[i].lock, NULL);
		pthread_cond_init(&machine[i].changed, NULL);
	}
	here = &machine[0];
}

/* Who hangs for good is let go, to end as INIT would have it. */
static void end_machine(void)
{
	for (uint32_t i = 1; i < started; i++) {
		atomic_store(&machine[i].init, true);
		wake(&machine[i]);
		pthread_join(machine[i].thread, NULL);
	}
}

enum chain_status stage_processors_more(uint32_t most, struct stage_processors *out, struct chain_error *err)
{
	(void)err;
	for (; started < processors && started < most; started++)
		start(&machine[started]);
	*out = (struct stage_processors){ .started = started, .left = processors - started };
	return CHAIN_OK;
}
enum chain_status stage_processors_start(uint32_t most, struct stage_processors *out, struct chain_error *err)
{
	started = 1;
	return stage_processors_more(most, out, err);
}
uint64_t stage_pages_alloc(uint64_t bytes, uint64_t align, enum chain_owner owner)
{
	(void)align;
	(void)owner;
	return bytes;
}
void stage_pages_free(uint64_t phys, uint64_t bytes)
{
	assert_int_equal(phys, bytes);
}
/* The heap's: only the boot processor may come here. */
void *stage_heap_map(uint64_t bytes)
{
	assert_ptr_equal(here, &machine[0]);
	return aligned_alloc(4096, bytes);
}
bool stage_heap_unmap(void *virt, uint64_t bytes)
{
	assert_ptr_equal(here, &machine[0]);
	(void)bytes;
	free(virt);
	return true;
}
void stage_panic(const char *format, ...)
{
	fail_msg("%s", format);
	abort();
}
void stage_processors_watch(bool on)
{
	(void)on;
}
void stage_idle_anew(void) {}
enum chain_status stage_ticker_open(struct chain_error *err)
{
	(void)err;
	return CHAIN_OK;
}
void stage_ticker_start(void) {}
void stage_ticker_stop(void) {}
enum chain_status stage_call_run_init(struct chain_error *err)
{
	(void)err;
	return CHAIN_OK;
}
void stage_native_env_stopped(uint32_t processor)
{
	(void)processor;
}
void stage_assigned_begin(struct stage_assigned *assigned)
{
	(void)assigned;
}
void stage_assigned_end(struct stage_assigned *assigned)
{
	(void)assigned;
}
void stage_assigned_lose(struct stage_assigned *assigned)
{
	(void)assigned;
}
void stage_call_time_begin(struct stage_call_time *time, uint64_t timeout_us)
{
	*time = (struct stage_call_time){ .timeout_us = timeout_us, .start = stage_rdtsc() };
}
enum team_request team_request(const struct team *team)
{
	(void)team;
	return TEAM_NOTHING;
}
void team_give(struct team *team)
{
	(void)team;
}
bool team_take_back(const struct team *team)
{
	(void)team;
	return true;
}
struct stage_call_result team_result(const struct team *team)
{
	(void)team;
	return (struct stage_call_result){ .outcome = STAGE_CALL_TIMED_OUT };
}

/* --- kernels --- */

static enum chain_status open_none(const struct stage_callee *callee, void **out, struct chain_error *err)
{
	(void)callee;
	(void)err;
	*out = NULL;
	return CHAIN_OK;
}
static void close_none(void *shared)
{
	(void)shared;
}
static enum chain_status make(struct worker *w, void *shared, struct chain_error *err)
{
	(void)shared;
	(void)err;
	w->window = (struct chain_range){ 4096 * (w->processor + 1), 4096 * (w->processor + 2) };
	w->guest = malloc(RESULT_BYTES);
	return CHAIN_OK;
}
static void free_guest(struct worker *w)
{
	free(w->guest);
}
static void reset(struct worker *w, const struct stage_call_task *task)
{
	assert_int_equal(strtoul(task->handoff, NULL, 10), task->index);
	memset(w->guest, (int)('a' + task->index % 26), RESULT_BYTES);
}

/* On the boot processor the ticker ends it, after a look; on another one INIT. */
static void hang(struct worker *w)
{
	while (here->cpu.index || stage_rdtsc() - w->run.time.start < TIMEOUT_US * US) {
		if (here->cpu.index)
			stop_here_if_init();
		else if (w->run.look)
			w->run.look(&w->run);
	}
	w->run.result.outcome = STAGE_CALL_TIMED_OUT;
}

static void run(struct worker *w)
{
	w->run.result = (struct stage_call_result){ .outcome = STAGE_CALL_EXITED };
	enum deed deed = deed_of(w->turn.index, w->turn.attempt);
	for (unsigned i = 0; deed == TALKS && i < PIECES; i++) {
		char piece[4] = { (char)('0' + i), (char)('a' + w->turn.index % 26) };
		worker_write(w, piece, 2);
	}
	if (deed == LEAVES_RESULT)
		w->run.result.mailbox_claimed = RESULT_BYTES;
	if (deed == HANGS)
		hang(w);
}
static const char *mailbox(const struct worker *w)
{
	return w->run.result.mailbox_claimed ? w->guest : NULL;
}
const struct worker_way worker_native = { .open = open_none,
					  .close = close_none,
					  .make = make,
					  .free = free_guest,
					  .reset = reset,
					  .run = run,
					  .mailbox = mailbox };
const struct worker_way worker_fixed, worker_svm;

/* --- the client --- */

struct client {
	struct tickets first, again;
	_Atomic uint32_t slots[KERNELS];
	uint8_t attempts[KERNELS]; /* begun */
	uint8_t reports[KERNELS], pieces[KERNELS];
	uint32_t ended, timed_out, kernels, by_boot;
	uint8_t *values[KERNELS];
	uint32_t with_value, with_text, pools;
};

static bool take(void *ctx, char *texts, struct stage_call_task *out)
{
	struct client *c = ctx;
	uint32_t index;
	if (!tickets_take(&c->again, &index) && !tickets_take(&c->first, &index))
		return false;
	*out = (struct stage_call_task){ .index = index, .attempt = c->attempts[index], .handoff = texts, .args = "" };
	out->handoff_bytes = (uint64_t)sprintf(texts, "%u", index);
	return true;
}
static bool prepare(void *ctx)
{
	struct client *c = ctx;
	uint32_t filled = atomic_load(&c->first.filled);
	for (unsigned i = 0; i < 7 && filled < c->kernels; i++)
		tickets_give(&c->first, filled++);
	return filled < c->kernels;
}
static uint32_t ready(void *ctx)
{
	const struct client *c = ctx;
	return tickets_left(&c->first) + tickets_left(&c->again);
}
static bool is_over(void *ctx)
{
	const struct client *c = ctx;
	uint32_t first = atomic_load(&c->first.filled);
	return first == c->kernels && first + atomic_load(&c->again.filled) == c->ended;
}
/* Where a kernel's memory is looked at: on its own processor, which also gives parts back that it took. */
static void *value(void *ctx, const struct stage_call_result *result, const char *mailbox, struct stage_pool *pool)
{
	const size_t bytes = VALUE_BYTES + (uint8_t)mailbox[0];
	(void)ctx;
	assert_ptr_not_equal(here, &machine[0]);
	assert_int_equal(result->mailbox_bytes, RESULT_BYTES);
	uint8_t *first = stage_pool_take(pool, bytes), *second = stage_pool_take(pool, bytes);
	if (second)
		memset(second, 0xff, bytes);
	stage_free(second);
	if (!second) {
		stage_free(first);
		return NULL;
	}
	return memcpy(first, mailbox, bytes);
}
static struct stage_pool *pool(void *ctx)
{
	struct client *c = ctx;
	assert_ptr_equal(here, &machine[0]);
	return c->pools++ % 4 == 3 ? NULL : stage_pool_make(POOL_BYTES); /* none at times: as when memory is short */
}

/* Most values are given back later, when their pool may be closed. */
static void keep_value(struct client *c, const struct stage_fanout_turn *turn)
{
	uint8_t *value = turn->value;
	c->with_text += turn->result.mailbox_bytes != 0;
	if (!value)
		return;
	c->with_value++;
	for (size_t i = 0; i < VALUE_BYTES; i++)
		assert_int_equal(value[i], 'a' + turn->index % 26);
	if (turn->index % 3)
		c->values[turn->index] = value;
	else
		stage_free(value);
}

static void done(void *ctx, const struct stage_fanout_turn *turn)
{
	struct client *c = ctx;
	uint32_t index = turn->index;
	enum deed deed = deed_of(index, turn->attempt);
	assert_ptr_equal(here, &machine[0]);
	assert_int_equal(turn->attempt, c->reports[index]);
	bool over = turn->result.outcome == STAGE_CALL_TIMED_OUT; /* on a busy host it may be any kernel's time */
	assert_true(over || deed != HANGS);
	assert_true(over || c->pieces[index] == (deed == TALKS ? PIECES : 0));
	assert_int_equal(turn->result.mailbox_bytes, deed == LEAVES_RESULT && !over && !turn->value ? RESULT_BYTES : 0);
	for (uint64_t i = 0; i < turn->result.mailbox_bytes; i++)
		assert_int_equal(turn->result.mailbox[i], 'a' + index % 26);
	keep_value(c, turn);
	assert_true(turn->end_ticks >= turn->start_ticks);
	assert_int_equal(turn->window_phys, 4096 * (turn->processor + 1));
	c->reports[index]++;
	c->ended++;
	c->by_boot += !turn->processor;
	c->pieces[index] = 0;
	if (!over)
		return;
	c->timed_out++;
	c->attempts[index]++;
	tickets_give(&c->again, index);
}
static bool is_decisive(void *ctx, const struct stage_call_result *result)
{
	(void)ctx;
	return result->mailbox_claimed && wants_verdicts;
}
static void text(void *ctx, uint32_t index, const char *bytes, uint64_t count)
{
	struct client *c = ctx;
	assert_int_equal(count, 2);
	assert_int_equal(bytes[0], '0' + c->pieces[index]++);
	assert_int_equal(bytes[1], 'a' + index % 26);
}
static void progress(void *ctx, uint32_t running)
{
	(void)ctx;
	assert_true(running <= processors);
}

static struct client c;

static void run_on(uint32_t count, uint32_t kernels, struct stage_fanout_machine *out)
{
	const struct stage_callee callee = { .subject = "kernel", .text_bytes = 32, .native.cpus = 1 };
	const struct chain_config_fanout config = { .cpus = 1 };
	const struct stage_fanout order = {
		.callee = &callee, .timeout_us = TIMEOUT_US, .config = &config, .kernels = kernels
	};
	const struct stage_fanout_client client = { .take = take,
						    .prepare = prepare,
						    .ready = ready,
						    .is_over = is_over,
						    .is_decisive = is_decisive,
						    .value = value,
						    .pool = pool,
						    .done = done,
						    .text = text,
						    .progress = progress,
						    .ctx = &c };
	struct chain_error err = { 0 };
	memset(&c, 0, sizeof(c));
	c.kernels = kernels;
	c.again.slots = c.slots;
	c.again.room = kernels;
	begin_machine(count);
	assert_int_equal(stage_fanout_run(&order, &client, out, &err), CHAIN_OK);
	end_machine();
	for (uint32_t i = 0; i < kernels; i++) {
		assert_int_equal(c.reports[i], 1 + c.attempts[i]);
		for (size_t k = 0; c.values[i] && k < VALUE_BYTES; k++)
			assert_int_equal(c.values[i][k], 'a' + i % 26);
		stage_free(c.values[i]);
	}
	assert_true(out->workers <= count && out->workers <= kernels && out->workers >= (kernels > 1 && count > 1));
	assert_int_equal(out->processors, count);
}

static void every_turn_is_reported_once(void **state)
{
	struct stage_fanout_machine out;
	(void)state;
	for (uint32_t count = 1; count <= PROCESSORS_MAX; count++) {
		run_on(count, KERNELS, &out);
		assert_true(c.timed_out >= KERNELS / 500);
		assert_true(count == 1 || (c.with_value > 0 && c.with_text > 0));
		assert_int_equal(out.processors_failed, 0);
	}
}

static void few_kernels_end_too(void **state)
{
	struct stage_fanout_machine out;
	(void)state;
	for (uint32_t kernels = 1; kernels < 12; kernels++)
		for (uint32_t round = 0; round < 20; round++)
			run_on(5, kernels, &out);
}

static void who_waits_for_a_verdict_is_woken(void **state)
{
	struct stage_fanout_machine out;
	(void)state;
	wants_verdicts = true;
	run_on(4, KERNELS, &out);
	wants_verdicts = false;
}

/* It may be running yet: its memory stays, and it begins nothing more. Which of both writes to the turn's result last
 * does not matter, but is what the thread sanitizer is for. */
static void a_processor_that_does_not_come_back_is_done_without(void **state)
{
	struct stage_fanout_machine out;
	(void)state;
#if defined(__SANITIZE_THREAD__)
	return;
#endif
	deaf = 2;
	run_on(4, KERNELS, &out);
	assert_true(out.processors_failed <= 1);
	deaf = 0;
}

/* --- the queue alone: more takers than processors, a ring that goes round many times --- */

enum { ROOM = 5, ROUNDS = 40000, TAKERS = 6 };
static struct tickets tickets;
static _Atomic uint32_t slots[ROOM], seen[ROUNDS];
static atomic_bool all_taken;

static void *taker(void *arg)
{
	uint32_t last = 0, number;
	(void)arg;
	for (bool end = false; !end;) {
		end = atomic_load(&all_taken);
		while (tickets_take(&tickets, &number)) {
			assert_true(number >= last); /* in order */
			last = number;
			atomic_fetch_add(&seen[number], 1);
			end = false;
		}
	}
	return NULL;
}

static void tickets_are_taken_once_each(void **state)
{
	pthread_t threads[TAKERS];
	(void)state;
	tickets = (struct tickets){ .slots = slots, .room = ROOM };
	for (unsigned i = 0; i < TAKERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, taker, NULL), 0);
	for (uint32_t i = 0; i < ROUNDS; i++) {
		while (tickets_left(&tickets) == ROOM)
			;
		tickets_give(&tickets, i);
	}
	atomic_store(&all_taken, true);
	for (unsigned i = 0; i < TAKERS; i++)
		pthread_join(threads[i], NULL);
	for (uint32_t i = 0; i < ROUNDS; i++)
		assert_int_equal(seen[i], 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tickets_are_taken_once_each),
		cmocka_unit_test(few_kernels_end_too),
		cmocka_unit_test(every_turn_is_reported_once),
		cmocka_unit_test(who_waits_for_a_verdict_is_woken),
		cmocka_unit_test(a_processor_that_does_not_come_back_is_done_without),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
