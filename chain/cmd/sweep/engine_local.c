/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: instances on this machine, as many at once as there are slots. */

#include "engine.h"
#include "instance.h"

#include "chain/cmd/run/run_session.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

enum { EVENTS_MOST = 64, SLOT_FDS = 4, OTHER_FDS = 64 };
/* Which of a slot's descriptors an event is of, in the order in which they are heard: records before text, so that a
 * kernel's text is not judged before the record that announces the kernel; the process's end last. */
enum what { WHAT_RECORDS, WHAT_CONSOLE, WHAT_ERRORS, WHAT_PROCESS, WHAT_COUNT };
#define WAKE UINT64_MAX

struct local {
	const struct engine_setting *setting;
	struct machine_template made;
	int epoll;
	struct instance *slots; /* owned: setting->jobs of them */
	uint64_t busy, instances;
	bool any_began; /* some machine came as far as its stage: QEMU and its options are good */
};

static void local_close(void *engine, bool finished)
{
	struct local *local = engine;
	(void)finished;
	for (uint64_t i = 0; local->slots && i < local->setting->jobs; i++)
		instance_drop(&local->slots[i]);
	if (local->epoll >= 0)
		close(local->epoll);
	machine_template_free(&local->made);
	free(local->slots);
	free(local);
}

static enum chain_status watch(struct local *local, int fd, uint64_t key, struct chain_error *err)
{
	struct epoll_event event = { .events = EPOLLIN, .data.u64 = key };
	if (fd < 0 || epoll_ctl(local->epoll, EPOLL_CTL_ADD, fd, &event) == 0)
		return CHAIN_OK;
	return chain_fail_text(err, CHAIN_E_SWEEP_ENGINE, "local", strerror(errno));
}

/* Each slot takes some descriptors. */
static enum chain_status raise_limit(uint64_t jobs, struct chain_error *err)
{
	struct rlimit limit;
	const rlim_t need = jobs * SLOT_FDS + OTHER_FDS;
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < need && limit.rlim_max > limit.rlim_cur) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
	if (limit.rlim_cur >= need)
		return CHAIN_OK;
	return CHAIN_FAIL(err, LIMIT, .subject = "--jobs", .detail = "open files that they take", .value = need,
			  .limit = limit.rlim_cur);
}

static enum chain_status local_open(const struct engine_setting *setting, void **out, struct chain_error *err)
{
	const struct machine_options options = { .program = setting->program,
						 .accel = setting->accel,
						 .memory_bytes = setting->memory_bytes,
						 .cpus = setting->cpus,
						 .net = setting->input->wants_net,
						 .extra = setting->extra,
						 .extra_count = setting->extra_count,
						 .load_each = setting->load_each };
	struct local *local = calloc(1, sizeof(*local));
	if (!local)
		return chain_fail_no_memory(err, "local", sizeof(*local));
	*local = (struct local){ .setting = setting,
				 .made = { .ram_fd = -1, .kernel_fd = -1, .server = { .pid = -1, .fd = -1 } } };
	local->slots = calloc(setting->jobs, sizeof(*local->slots));
	local->epoll = epoll_create1(EPOLL_CLOEXEC);
	enum chain_status status = raise_limit(setting->jobs, err);
	if (!status && !local->slots)
		status = chain_fail_no_memory(err, "--jobs", setting->jobs * sizeof(*local->slots));
	if (!status)
		status = machine_template_make(setting->input, setting->image, &options, &local->made, err);
	if (!status)
		status = watch(local, setting->wake_fd, WAKE, err);
	for (uint64_t i = 0; !status && i < setting->jobs; i++)
		local->slots[i] = (struct instance){ .slot = i,
						     .limit_us = setting->timeout_us,
						     .fanout = setting->fanout,
						     .machine = { .pid = -1, .process = -1 } };
	if (status)
		local_close(local, false);
	else
		*out = local;
	return status;
}

static size_t local_room(const void *engine)
{
	const struct local *local = engine;
	return local->setting->jobs - local->busy;
}

static bool local_idle(const void *engine)
{
	return ((const struct local *)engine)->busy == 0;
}

static void local_count(const void *engine, struct engine_counts *out)
{
	*out = (struct engine_counts){ .running = ((const struct local *)engine)->instances };
}

static enum chain_status start(struct local *local, struct instance *slot, struct job *job, struct chain_error *err)
{
	enum chain_status status = instance_start(slot, &local->made, job, local->setting->seed, err);
	const int fds[WHAT_COUNT] = { slot->machine.records, slot->machine.console, slot->machine.errors,
				      slot->machine.process };
	for (uint64_t what = 0; !status && what < WHAT_COUNT; what++)
		status = watch(local, fds[what], slot->slot * WHAT_COUNT + what, err);
	if (status) {
		instance_drop(slot);
		job_free(&slot->job);
		return status;
	}
	local->busy++;
	local->instances += slot->job.count;
	return CHAIN_OK;
}

static enum chain_status local_submit(void *engine, struct job *job, struct chain_error *err)
{
	struct local *local = engine;
	struct instance *slot = local->slots;
	while (slot->state != INSTANCE_IDLE)
		slot++;
	return start(local, slot, job, err);
}

static enum chain_status local_flush(void *engine, struct chain_error *err)
{
	(void)engine;
	(void)err;
	return CHAIN_OK;
}

/* When no machine at all has come to its stage, QEMU itself is what does not work: the others would fare no better. */
static enum chain_status check_any_began(const struct local *local, const struct outcome *first,
					 struct chain_error *err)
{
	return local->any_began ? CHAIN_OK :
				  chain_fail_text(err, CHAIN_E_SWEEP_ENGINE, local->setting->program, first->reason);
}

struct ending {
	const struct local *local;
	const struct instance *slot;
	struct chain_error *err;
	enum chain_status status;
};

static void on_outcome(void *ctx, const struct outcome *outcome)
{
	struct ending *ending = ctx;
	if (ending->slot->refused && !ending->status)
		ending->status = check_any_began(ending->local, outcome, ending->err);
	if (!ending->status)
		ending->local->setting->done(ending->local->setting->ctx, outcome);
}

static enum chain_status finish(struct local *local, struct instance *slot, struct chain_error *err)
{
	struct ending ending = { .local = local, .slot = slot, .err = err };
	local->busy--;
	local->instances -= slot->job.count;
	local->any_began = local->any_began || slot->entered_us || slot->state == INSTANCE_KILLED;
	struct job job;
	if (instance_finish(slot, local->setting->origin_us, local->setting->retries, on_outcome, &ending)) {
		job_free(&slot->job);
		return ending.status;
	}
	job = slot->job;
	slot->job = (struct job){ 0 };
	return start(local, slot, &job, err);
}

static enum chain_status hear(struct local *local, uint64_t key, struct chain_error *err)
{
	struct instance *slot = &local->slots[key / WHAT_COUNT];
	int *const fds[WHAT_COUNT] = { &slot->machine.records, &slot->machine.console, &slot->machine.errors, NULL };
	int *fd = fds[key % WHAT_COUNT];
	if (slot->state == INSTANCE_IDLE)
		return CHAIN_OK;
	if (!fd) /* an event may be of a machine that had the slot before */
		return machine_has_ended(&slot->machine) ? finish(local, slot, err) : CHAIN_OK;
	if (*fd >= 0)
		instance_hear(slot, fd);
	return CHAIN_OK;
}

/* Ends those whose time is up; how long the rest has. */
static int watch_all(struct local *local, int wait_ms)
{
	const uint64_t now = run_clock_us();
	for (uint64_t i = 0; i < local->setting->jobs; i++) {
		const uint64_t left = instance_watch(&local->slots[i], now);
		if (left / 1000 < (uint64_t)wait_ms)
			wait_ms = (int)(left / 1000) + 1;
	}
	return wait_ms;
}

static int by_key(const void *a, const void *b)
{
	const struct epoll_event *x = a, *y = b;
	return (x->data.u64 > y->data.u64) - (x->data.u64 < y->data.u64);
}

static enum chain_status local_wait(void *engine, int wait_ms, struct chain_error *err)
{
	struct local *local = engine;
	struct epoll_event events[EVENTS_MOST];
	enum chain_status status = CHAIN_OK;
	int count = epoll_wait(local->epoll, events, EVENTS_MOST, watch_all(local, wait_ms));
	if (count < 0)
		return errno == EINTR ? CHAIN_OK : chain_fail_text(err, CHAIN_E_SWEEP_ENGINE, "local", strerror(errno));
	qsort(events, (size_t)count, sizeof(events[0]), by_key);
	for (int i = 0; !status && i < count; i++)
		if (events[i].data.u64 != WAKE)
			status = hear(local, events[i].data.u64, err);
	return status;
}

const struct engine engine_local = { .name = "local",
				     .open = local_open,
				     .room = local_room,
				     .submit = local_submit,
				     .flush = local_flush,
				     .wait = local_wait,
				     .idle = local_idle,
				     .count = local_count,
				     .close = local_close };
