/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "slurm.h"
#include "slurm_command.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

uint64_t slurm_cpus(void)
{
	struct words words = { 0 };
	char *text = NULL;
	unsigned long long free_now, idle, other, all = 0;
	words_add(&words, "sinfo");
	words_add(&words, "--noheader");
	words_add(&words, "--format=%%C");
	if (!slurm_command(&words, &text) || sscanf(text, "%llu/%llu/%llu/%llu", &free_now, &idle, &other, &all) != 4)
		all = 0;
	free(text);
	words_free(&words);
	return all;
}

/* --- the task --- */

/* Within single quotes, for a shell. */
static void put_quoted(FILE *to, const char *text)
{
	fputc('\'', to);
	for (; *text; text++)
		fputs(*text == '\'' ? "'\\''" : (char[]){ *text, '\0' }, to);
	fputc('\'', to);
}

/* Results are of a task on a node: the same chunk on another node has another file, since its header would differ. */
static void put_task(const struct slurm *slurm, FILE *to)
{
	const struct engine_setting *s = slurm->setting;
	fputs("#!/bin/sh\n# A task of a sweep: runs DIR/N.jobs, one machine after another.\nkchain=", to);
	put_quoted(to, slurm->kchain);
	fputs("\n[ -x \"$kchain\" ] || kchain=kchain\ncd ", to);
	put_quoted(to, slurm->dir);
	fputs(" || exit 3\nn=$SLURM_ARRAY_TASK_ID\nprintf '%s: ' \"$SLURMD_NODENAME\" >$n.log || exit 3\nexec "
	      "\"$kchain\" sweep image.elf --dealt $n.jobs "
	      "-o $n.$SLURMD_NODENAME.results --resume",
	      to);
	fprintf(to, " --jobs %llu --memory %llu --cpus %llu --timeout %lluus --retries %llu --seed %llu --accel %s",
		(unsigned long long)s->jobs, (unsigned long long)s->memory_bytes, (unsigned long long)s->cpus,
		(unsigned long long)s->timeout_us, (unsigned long long)s->retries, (unsigned long long)s->seed,
		s->accel);
	if (s->per_instance)
		fprintf(to, " --per-instance %llu", (unsigned long long)s->per_instance);
	if (s->load_each)
		fputs(" --load-each", to);
	if (s->extra_count)
		fputs(" --", to);
	for (size_t i = 0; i < s->extra_count; i++) {
		fputc(' ', to);
		put_quoted(to, s->extra[i]);
	}
	fputs(" >/dev/null 2>>$n.log\n", to);
}

enum chain_status slurm_write_task(const struct slurm *slurm, struct chain_error *err)
{
	char path[PATH_MAX + 16];
	snprintf(path, sizeof(path), "%s/task.sh", slurm->dir);
	FILE *to = fopen(path, "we");
	if (!to)
		return chain_fail_text(err, CHAIN_E_IO, path, strerror(errno));
	put_task(slurm, to);
	const bool bad = ferror(to) != 0;
	if (fclose(to) != 0 || bad || chmod(path, 0755) < 0)
		return chain_fail_text(err, CHAIN_E_IO, path, strerror(errno));
	return CHAIN_OK;
}

/* --- the queue --- */

static void keep_words(struct slurm *slurm, const char *text)
{
	text = text ? text : "it could not be run";
	snprintf(slurm->words, sizeof(slurm->words), "%.*s", (int)strcspn(text, "\n"), text);
}

/* "3,5-9,12"; null: nothing is ready, or no memory. */
static char *list_ready(const struct slurm *slurm)
{
	char *text = NULL;
	size_t bytes;
	bool any = false;
	FILE *to = open_memstream(&text, &bytes);
	for (unsigned i = 0; to && i < SLURM_CHUNKS_MOST; i++)
		if (slurm->chunks[i].state == SLURM_READY) {
			fprintf(to, "%s%u", any ? "," : "", i);
			any = true;
		}
	if (to)
		fclose(to);
	if (any)
		return text;
	free(text);
	return NULL;
}

bool slurm_submit(struct slurm *slurm)
{
	const struct engine_setting *s = slurm->setting;
	struct words words = { 0 };
	char *text = NULL, *list = list_ready(slurm);
	if (!list)
		return true;
	words_add(&words, "sbatch");
	words_add(&words, "--parsable");
	words_add(&words, "--requeue");
	words_add(&words, "--job-name=%s", slurm->name);
	words_add(&words, "--array=%s", list);
	words_add(&words, "--ntasks=1");
	words_add(&words, "--cpus-per-task=%llu", (unsigned long long)(s->cpus * s->jobs));
	words_add(&words, "--output=/dev/null");
	words_add(&words, "--chdir=/");
	for (size_t i = 0; i < s->slurm.count; i++)
		words_add(&words, "%s", s->slurm.v[i]);
	words_add(&words, "%s/task.sh", slurm->dir);
	const bool good = slurm_command(&words, &text);
	for (unsigned i = 0; good && i < SLURM_CHUNKS_MOST; i++)
		if (slurm->chunks[i].state == SLURM_READY) {
			slurm->chunks[i].state = SLURM_SUBMITTED;
			slurm->chunks[i].unlisted = 0;
			slurm->chunks[i].done_at_submit = slurm->chunks[i].done;
		}
	if (!good)
		keep_words(slurm, text);
	slurm->any_submitted = slurm->any_submitted || good;
	free(text);
	free(list);
	words_free(&words);
	return good;
}

/* Lines "TASK STATE". */
static void note_states(struct slurm *slurm, char *text)
{
	char *rest = NULL;
	for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		unsigned task;
		char state[32];
		if (sscanf(line, "%u %31s", &task, state) != 2 || task >= SLURM_CHUNKS_MOST)
			continue;
		slurm->chunks[task].listed = true;
		slurm->chunks[task].running = strcmp(state, "RUNNING") == 0;
	}
}

bool slurm_ask(struct slurm *slurm)
{
	struct words words = { 0 };
	char *text = NULL;
	words_add(&words, "squeue");
	words_add(&words, "--noheader");
	words_add(&words, "--array");
	words_add(&words, "--name=%s", slurm->name);
	words_add(&words, "--format=%%K %%T");
	const bool good = slurm_command(&words, &text);
	if (!good)
		keep_words(slurm, text);
	for (unsigned i = 0; good && i < SLURM_CHUNKS_MOST; i++)
		slurm->chunks[i].listed = slurm->chunks[i].running = false;
	if (good)
		note_states(slurm, text);
	free(text);
	words_free(&words);
	return good;
}

void slurm_cancel(const char *name)
{
	struct words words = { 0 };
	char *text = NULL;
	words_add(&words, "scancel");
	words_add(&words, "--name=%s", name);
	(void)slurm_command(&words, &text);
	free(text);
	words_free(&words);
}
