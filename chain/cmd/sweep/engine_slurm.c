/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: instances on a cluster: jobs are dealt into chunks, a chunk is a task of a job array, a task is this command
 * with the local engine on a node. Tasks write results of their own into a folder that all share, which are merged as
 * they appear. A task that ends without having done all is submitted again: preempted, out of time, its node gone. */

#include "slurm.h"
#include "dealt.h"
#include "slurm_command.h"

#include "chain/cmd/run/run_session.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	ASK_US = 2000000,        /* how often the scheduler is asked */
	PATIENCE_US = 120000000, /* how long it may not answer */
	CHUNK_US = 60000000,     /* a task is to last about so long */
	FIRST_JOBS = 4,          /* of a chunk, while it is not known how long one lasts */
	FIRST_CHUNKS = 32,       /* and so many of these at most */
	KNOWN_FROM = 8,          /* machines, from which on it is */
	ATTEMPTS_MOST = 3,       /* in a row that bring nothing */
	UNLISTED_MOST = 2,       /* the scheduler forgets a task, and its last lines may come late */
};

/* --- opening --- */

static enum chain_status copy_image(const struct slurm *slurm, struct chain_error *err)
{
	char path[PATH_MAX + 16];
	const struct cmd_file *file = &slurm->setting->input->file;
	snprintf(path, sizeof(path), "%s/image.elf", slurm->dir);
	return cmd_file_write(path, file->bytes, file->bytes_count, err);
}

/* What a sweep left that was killed: its tasks are taken back, and its files are of no use any more. */
static void remove_left(const struct slurm *slurm)
{
	struct words words = { 0 };
	char *text = NULL;
	slurm_cancel(slurm->name);
	words_add(&words, "rm");
	words_add(&words, "-rf");
	words_add(&words, "--");
	words_add(&words, "%s", slurm->dir);
	(void)slurm_command(&words, &text);
	free(text);
	words_free(&words);
}

/* OUTPUT.d, with all names resolved: nodes have another working directory. The name under which its tasks are known
 * follows from it. */
static enum chain_status choose_folder(struct slurm *slurm, struct chain_error *err)
{
	const char *output = slurm->setting->output, *slash = strrchr(output, '/');
	char parent[PATH_MAX], real[PATH_MAX];
	uint8_t digest[CHAIN_SHA256_BYTES];
	snprintf(parent, sizeof(parent), "%.*s", slash ? (int)(slash - output) + 1 : 1, slash ? output : ".");
	if (!realpath(parent, real) || strlen(real) + strlen(output) + 8 > sizeof(slurm->dir))
		return chain_fail_text(err, CHAIN_E_IO, parent, strerror(errno));
	snprintf(slurm->dir, sizeof(slurm->dir), "%.3000s/%.1000s.d", real, slash ? slash + 1 : output);
	chain_sha256_of(slurm->dir, strlen(slurm->dir), digest);
	strcpy(slurm->name, "kchain-sweep-");
	chain_hex_of(digest, 8, slurm->name + strlen(slurm->name));
	return CHAIN_OK;
}

static enum chain_status make_folder(struct slurm *slurm, struct chain_error *err)
{
	if (access(slurm->dir, F_OK) == 0)
		remove_left(slurm);
	if (mkdir(slurm->dir, 0777) < 0)
		return chain_fail_text(err, CHAIN_E_IO, slurm->dir, strerror(errno));
	enum chain_status status = copy_image(slurm, err);
	return status ? status : slurm_write_task(slurm, err);
}

static enum chain_status slurm_open(const struct engine_setting *setting, void **out, struct chain_error *err)
{
	static const char *const COMMANDS[] = { "sbatch", "squeue", "scancel", "sinfo" };
	for (size_t i = 0; i < sizeof(COMMANDS) / sizeof(COMMANDS[0]); i++)
		if (!slurm_has_command(COMMANDS[i]))
			return chain_fail_text(err, CHAIN_E_SWEEP_ENGINE, COMMANDS[i],
					       "not found on PATH: Slurm's commands are needed here");
	struct slurm *slurm = calloc(1, sizeof(*slurm));
	if (!slurm)
		return chain_fail_no_memory(err, "slurm", sizeof(*slurm));
	slurm->setting = setting;
	ssize_t count = readlink("/proc/self/exe", slurm->kchain, sizeof(slurm->kchain) - 1);
	slurm->kchain[count > 0 ? count : 0] = '\0';
	slurm->cpus = slurm_cpus();
	slurm->jobs_left = setting->total / (setting->per_instance ? setting->per_instance : 1);
	enum chain_status status = choose_folder(slurm, err);
	if (!status)
		status = make_folder(slurm, err);
	if (status)
		free(slurm);
	else
		*out = slurm;
	return status;
}

static void slurm_close(void *engine, bool finished)
{
	struct slurm *slurm = engine;
	if (!finished && slurm->any_submitted)
		slurm_cancel(slurm->name);
	for (unsigned i = 0; i < SLURM_CHUNKS_MOST; i++)
		slurm_forget(slurm, &slurm->chunks[i]);
	remove_left(slurm);
	free(slurm);
}

/* --- dealing --- */

static bool is_known(const struct slurm *slurm)
{
	return slurm->measured >= KNOWN_FROM;
}

/* As many machines as take a minute, and no more than leave something for each processor of the cluster. */
static uint64_t chunk_jobs(const struct slurm *slurm)
{
	const uint64_t each = slurm->setting->per_instance ? slurm->setting->per_instance : 1;
	if (slurm->setting->chunk)
		return slurm->setting->chunk;
	if (!is_known(slurm))
		return FIRST_JOBS;
	const uint64_t mean_us = slurm->measured_us / slurm->measured * each + 1;
	const uint64_t fair = slurm->cpus ? slurm->jobs_left / (2 * slurm->cpus) : UINT64_MAX;
	uint64_t jobs = CHUNK_US / mean_us * slurm->setting->jobs;
	jobs = jobs < fair ? jobs : fair;
	return jobs ? jobs : 1;
}

static size_t slurm_room(const void *engine)
{
	const struct slurm *slurm = engine;
	if (slurm->filling)
		return 1;
	const uint64_t most = slurm->setting->chunk || is_known(slurm) ? SLURM_CHUNKS_MOST : FIRST_CHUNKS;
	return slurm->out < most;
}

static enum chain_status begin_chunk(struct slurm *slurm, struct chain_error *err)
{
	char path[PATH_MAX + 32];
	unsigned number = 0;
	while (slurm->chunks[number].state != SLURM_FREE)
		number++;
	snprintf(path, sizeof(path), "%s/%u.jobs", slurm->dir, number);
	struct slurm_chunk *chunk = &slurm->chunks[number];
	chunk->jobs = fopen(path, "we");
	if (!chunk->jobs)
		return chain_fail_text(err, CHAIN_E_IO, path, strerror(errno));
	chunk->state = SLURM_FILLING;
	dealt_write_head(chunk->jobs, slurm->setting->total);
	slurm->filling = chunk;
	slurm->out++;
	return CHAIN_OK;
}

static enum chain_status end_chunk(struct slurm *slurm, struct chain_error *err)
{
	struct slurm_chunk *chunk = slurm->filling;
	slurm->filling = NULL;
	const bool bad = ferror(chunk->jobs) != 0;
	const int closed = fclose(chunk->jobs);
	chunk->jobs = NULL;
	if (closed || bad)
		return chain_fail_text(err, CHAIN_E_IO, slurm->dir, strerror(errno));
	chunk->seen = calloc(chunk->instances, sizeof(uint64_t));
	chunk->state = SLURM_READY;
	return chunk->seen ? CHAIN_OK : chain_fail_no_memory(err, slurm->dir, chunk->instances * sizeof(uint64_t));
}

static enum chain_status slurm_submit_job(void *engine, struct job *job, struct chain_error *err)
{
	struct slurm *slurm = engine;
	enum chain_status status = slurm->filling ? CHAIN_OK : begin_chunk(slurm, err);
	if (!status) {
		struct slurm_chunk *chunk = slurm->filling;
		dealt_write_job(chunk->jobs, job);
		chunk->instances += job->count;
		slurm->jobs_left -= slurm->jobs_left != 0;
		if (++chunk->job_count >= chunk_jobs(slurm))
			status = end_chunk(slurm, err);
	}
	job_free(job);
	return status;
}

static enum chain_status slurm_flush(void *engine, struct chain_error *err)
{
	struct slurm *slurm = engine;
	slurm->flushing = true;
	return slurm->filling ? end_chunk(slurm, err) : CHAIN_OK;
}

/* --- waiting --- */

static enum chain_status no_answer(struct slurm *slurm, uint64_t now, struct chain_error *err)
{
	if (!slurm->failed_at)
		slurm->failed_at = now;
	if (slurm->any_submitted && now - slurm->failed_at < PATIENCE_US)
		return CHAIN_OK;
	return chain_fail_text(err, CHAIN_E_SWEEP_ENGINE, "slurm", slurm->words);
}

/* It ended, and not all of it is done. */
static enum chain_status take_again(struct slurm *slurm, struct slurm_chunk *chunk, struct chain_error *err)
{
	char words[400], why[640];
	chunk->attempts = chunk->done > chunk->done_at_submit ? 1 : chunk->attempts + 1;
	chunk->state = SLURM_READY;
	if (chunk->attempts < ATTEMPTS_MOST)
		return CHAIN_OK;
	slurm_last_words(slurm, chunk, words, sizeof(words));
	const size_t count = strlen(words);
	snprintf(why, sizeof(why), "a task ended %d times without a result: %s%s", ATTEMPTS_MOST,
		 *words ? words : "it left no word; a node may not be able to write here",
		 count > 1 && strcmp(words + count - 2, ": ") == 0 ? "it was ended without a word" : "");
	return chain_fail_text(err, CHAIN_E_SWEEP_NODE, slurm->dir, why);
}

static enum chain_status look_at_chunks(struct slurm *slurm, bool asked, struct chain_error *err)
{
	enum chain_status status = CHAIN_OK;
	for (unsigned i = 0; !status && i < SLURM_CHUNKS_MOST; i++) {
		struct slurm_chunk *chunk = &slurm->chunks[i];
		if (chunk->state != SLURM_SUBMITTED)
			continue;
		if (asked)
			chunk->unlisted = chunk->listed ? 0 : chunk->unlisted + 1;
		if (chunk->done == chunk->instances && (!chunk->listed || chunk->unlisted)) {
			slurm_forget(slurm, chunk);
			slurm->out--;
		} else if (chunk->done < chunk->instances && chunk->unlisted > UNLISTED_MOST) {
			status = take_again(slurm, chunk, err);
		}
	}
	return status;
}

static enum chain_status slurm_wait(void *engine, int wait_ms, struct chain_error *err)
{
	struct slurm *slurm = engine;
	struct pollfd wake = { .fd = slurm->setting->wake_fd, .events = POLLIN };
	enum chain_status status = CHAIN_OK;
	poll(&wake, 1, wait_ms);
	const uint64_t now = run_clock_us();
	if (now - slurm->asked_at < ASK_US)
		return CHAIN_OK;
	const bool good = slurm_submit(slurm) && slurm_ask(slurm);
	slurm->asked_at = run_clock_us();
	if (good)
		slurm->failed_at = 0;
	else
		status = no_answer(slurm, now, err);
	if (!status)
		status = slurm_merge(slurm, err);
	return status ? status : look_at_chunks(slurm, good, err);
}

static bool slurm_idle(const void *engine)
{
	return ((const struct slurm *)engine)->out == 0;
}

static void slurm_count(const void *engine, struct engine_counts *out)
{
	const struct slurm *slurm = engine;
	const struct engine_setting *s = slurm->setting;
	const uint64_t at_once = s->jobs * (s->per_instance ? s->per_instance : 1);
	*out = (struct engine_counts){ 0 };
	for (unsigned i = 0; i < SLURM_CHUNKS_MOST; i++) {
		const struct slurm_chunk *chunk = &slurm->chunks[i];
		if (chunk->state == SLURM_FREE)
			continue;
		const uint64_t left = chunk->instances - chunk->done, run = left < at_once ? left : at_once;
		out->running += chunk->running ? run : 0;
		out->queued += chunk->running ? left - run : left;
	}
}

const struct engine engine_slurm = { .name = "slurm",
				     .open = slurm_open,
				     .room = slurm_room,
				     .submit = slurm_submit_job,
				     .flush = slurm_flush,
				     .wait = slurm_wait,
				     .idle = slurm_idle,
				     .count = slurm_count,
				     .close = slurm_close };
