/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "instance.h"

#include "chain/cmd/run/run_session.h"

#include <errno.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { OVER_US = 2000000, UNSURE_US = 2000000, LINES_MOST = 12, LINE_BYTES_MOST = 200 };

/* --- what it says --- */

static void on_record(void *ctx, enum record_event event, const json_t *doc)
{
	struct instance_stream *stream = ctx;
	struct instance *i = stream->of;
	/* Whatever writes to the console where there is a debug port is a kernel: the stage's own records take the
	 * port. */
	if (stream->records.channel == RECORDS_CONSOLE && i->streams[RECORDS_PORT].records.good && event != RECORD_ECHO)
		return;
	if (!run_judge_record(&i->judge, event, doc))
		return;
	i->streams[RECORDS_PORT].records.foreign = run_judge_is_foreign(&i->judge);
	if (!i->entered_us)
		i->entered_us = run_clock_us();
	if (event == RECORD_BOOT)
		i->boot_us = run_clock_us();
}

static void on_text(void *ctx, const char *bytes, size_t count)
{
	struct instance_stream *stream = ctx;
	struct instance *i = stream->of;
	run_judge_text(&i->judge, stream->records.channel, bytes, count);
	for (size_t take; count; bytes += take, count -= take) {
		take = count < INSTANCE_TAIL_BYTES ? count : INSTANCE_TAIL_BYTES;
		if (i->tail_used + take > 2 * INSTANCE_TAIL_BYTES) {
			memmove(i->tail, i->tail + i->tail_used - INSTANCE_TAIL_BYTES, INSTANCE_TAIL_BYTES);
			i->tail_used = INSTANCE_TAIL_BYTES;
		}
		memcpy(i->tail + i->tail_used, bytes, take);
		i->tail_used += take;
	}
}

static void note_words(struct instance *i, const char *bytes, size_t count)
{
	const size_t room = sizeof(i->words) - 1 - i->words_used;
	count = count < room ? count : room;
	memcpy(i->words + i->words_used, bytes, count);
	i->words_used += count;
	i->words[i->words_used] = '\0';
}

bool instance_hear(struct instance *i, int *fd)
{
	static char bytes[65536];
	ssize_t got = read(*fd, bytes, sizeof(bytes));
	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return true;
	if (got <= 0) {
		close(*fd);
		*fd = -1;
		return false;
	}
	if (fd == &i->machine.errors)
		note_words(i, bytes, (size_t)got);
	else
		records_feed(&i->streams[fd == &i->machine.records ? RECORDS_PORT : RECORDS_CONSOLE].records, bytes,
			     (size_t)got);
	if (!i->over_us && (run_judge_over(&i->judge) || run_judge_done(&i->judge)))
		i->over_us = run_clock_us();
	return true;
}

/* --- its life --- */

static void release(struct instance *i)
{
	run_judge_free(&i->judge);
	for (int c = 0; c < RECORDS_CHANNEL_COUNT; c++)
		records_free(&i->streams[c].records);
	i->state = INSTANCE_IDLE;
}

enum chain_status instance_start(struct instance *i, struct machine_template *made, struct job *job, uint64_t seed,
				 struct chain_error *err)
{
	char *handoff = NULL;
	size_t bytes = 0;
	i->job = *job;
	*job = (struct job){ 0 };
	i->entered_us = i->over_us = i->boot_us = 0;
	i->tail_used = i->words_used = 0;
	i->words[0] = '\0';
	i->refused = false;
	i->end = RUN_END_MACHINE;
	enum chain_status status = job_handoff(&i->job, seed, &handoff, &bytes, err);
	if (!status)
		status = machine_start(made, handoff, bytes, &i->machine, err);
	free(handoff);
	i->job.tries++;
	if (status)
		return status;
	i->begun_us = run_clock_us();
	i->state = INSTANCE_RUNS;
	run_judge_init(&i->judge, RUN_UNTIL_READY, NULL, false);
	i->judge.brief = true;
	for (int c = 0; c < RECORDS_CHANNEL_COUNT; c++) {
		i->streams[c].of = i;
		records_init(&i->streams[c].records, (enum records_channel)c,
			     (struct records_sink){ .ctx = &i->streams[c], .record = on_record, .text = on_text });
	}
	return CHAIN_OK;
}

static void end(struct instance *i, enum run_end why)
{
	i->state = INSTANCE_KILLED;
	i->end = why;
	machine_kill(&i->machine);
}

uint64_t instance_watch(struct instance *i, uint64_t now)
{
	const uint64_t spent = now - i->begun_us;
	if (i->state != INSTANCE_RUNS)
		return UINT64_MAX;
	if (run_judge_done(&i->judge) || (run_judge_unsure(&i->judge) && i->boot_us && now - i->boot_us > UNSURE_US)) {
		end(i, RUN_END_STOPPED);
		return UINT64_MAX;
	}
	if (i->over_us && now - i->over_us > OVER_US) {
		end(i, RUN_END_MACHINE);
		return UINT64_MAX;
	}
	if (i->limit_us && spent >= i->limit_us) {
		end(i, RUN_END_TIMEOUT);
		return UINT64_MAX;
	}
	const uint64_t left = i->limit_us ? i->limit_us - spent : UINT64_MAX;
	const bool soon = i->over_us || run_judge_unsure(&i->judge);
	return soon && left > OVER_US / 4 ? OVER_US / 4 : left;
}

void instance_drop(struct instance *i)
{
	if (i->state == INSTANCE_IDLE)
		return;
	machine_kill(&i->machine);
	machine_reap(&i->machine);
	release(i);
	job_free(&i->job);
}

/* --- its verdict --- */

static void drain(struct instance *i)
{
	int *const fds[] = { &i->machine.records, &i->machine.console, &i->machine.errors };
	for (size_t n = 0; n < sizeof(fds) / sizeof(fds[0]); n++) {
		errno = 0;
		while (*fds[n] >= 0 && instance_hear(i, fds[n]) && errno != EAGAIN)
			;
	}
	for (int c = 0; c < RECORDS_CHANNEL_COUNT; c++)
		records_end(&i->streams[c].records);
}

/* The last lines of its text, as far as they have been kept. */
static json_t *last_lines(struct instance *i)
{
	json_t *lines = json_array();
	size_t end = i->tail_used;
	while (end && json_array_size(lines) < LINES_MOST) {
		const char *newline = memrchr(i->tail, '\n', end);
		size_t at = newline ? (size_t)(newline - i->tail) + 1 : 0, count = end - at;
		while (count && i->tail[at + count - 1] == '\r')
			count--;
		if (count)
			json_array_insert_new(
				lines, 0,
				cmd_json_string(i->tail + at, count < LINE_BYTES_MOST ? count : LINE_BYTES_MOST));
		end = newline ? at - 1 : 0;
	}
	return lines;
}

/* QEMU's own words, the first line of them, without its name. */
static const char *own_words(struct instance *i)
{
	char *text = i->words;
	text[strcspn(text, "\n")] = '\0';
	const char *colon = strstr(text, ": ");
	return colon ? colon + 2 : *text ? text : "it ended at once and said nothing";
}

/* Whether it was QEMU that came to its end, and not the machine: the clause. */
static bool is_lost(struct instance *i, int status, char *out, size_t size)
{
	if (i->state == INSTANCE_KILLED || i->over_us)
		return false;
	if (WIFSIGNALED(status)) {
		snprintf(out, size, "QEMU was ended by signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
		return true;
	}
	if (i->judge.link_count ||
	    (WIFEXITED(status) && WEXITSTATUS(status) > 1 && WEXITSTATUS(status) % 2 && WEXITSTATUS(status) != 127))
		return false;
	i->refused = true;
	snprintf(out, size, "QEMU did not start the machine: %.400s", own_words(i));
	return true;
}

static const json_t *result_of(const struct run_judge *judge)
{
	if (judge->exit_result && judge->booted)
		return judge->exit_result;
	const json_t *results = json_object_get(judge->handoff, "results");
	return json_object_get(json_object_get(results, judge->answered), "result");
}

static void time_phases(const struct instance *i, uint64_t origin_us, uint64_t now, struct outcome *out)
{
	const uint64_t entered = i->entered_us ? i->entered_us : now, over = i->over_us ? i->over_us : now;
	out->at_us = i->begun_us - origin_us;
	out->phase_us[OUTCOME_START] = entered - i->begun_us;
	out->phase_us[OUTCOME_RUN] = over > entered ? over - entered : 0;
	out->phase_us[OUTCOME_STOP] = now - (over > entered ? over : entered);
}

static void judge(struct instance *i, int status, char *reason, size_t size, struct outcome *out)
{
	const int exit_status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
	const struct run_ending ending = { .end = i->end,
					   .port = exit_status > 0 && exit_status % 2 ? exit_status / 2 : -1,
					   .reset = exit_status == 0,
					   .limit_us = i->limit_us };
	const int code = run_judge_verdict(&i->judge, &ending);
	snprintf(reason, size, "%s", i->judge.reason);
	out->status = code == CMD_OK ? OUTCOME_OK : code == CMD_TIMEOUT ? OUTCOME_TIMEOUT : OUTCOME_FAILED;
	if (is_lost(i, status, reason, size))
		out->status = OUTCOME_LOST;
	if (i->judge.lacking && out->status == OUTCOME_OK) {
		out->status = OUTCOME_LOST;
		snprintf(reason, size, "no memory for its records");
	}
}

bool instance_finish(struct instance *i, uint64_t origin_us, uint64_t retries, instance_sink *sink, void *ctx)
{
	char reason[RUN_REASON_BYTES];
	struct outcome whole = { .slot = i->slot, .tries = i->job.tries, .block = i->job.count };
	drain(i);
	const int status = machine_reap(&i->machine);
	time_phases(i, origin_us, run_clock_us(), &whole);
	judge(i, status, reason, sizeof(reason), &whole);
	const json_t *results = json_object_get(i->judge.handoff, "results"),
		     *entry = i->job.block && i->fanout ? json_object_get(results, i->fanout) : NULL;
	/* The kernels of a block have retries of their own. */
	const bool failed = whole.status != OUTCOME_OK && !(whole.status == OUTCOME_FAILED && entry);
	const bool again = failed && i->job.tries <= retries;
	if (!again) {
		json_t *lines = whole.status == OUTCOME_OK ? NULL : last_lines(i);
		whole.reason = whole.status == OUTCOME_OK ? NULL : reason;
		whole.console = json_array_size(lines) ? lines : NULL;
		whole.index = i->job.indices[0];
		whole.result = i->job.block ? NULL : result_of(&i->judge);
		if (i->job.block)
			instance_block_outcomes(&i->job, entry, &whole, sink, ctx);
		else
			sink(ctx, &whole);
		json_decref(lines);
	}
	release(i);
	return !again;
}
