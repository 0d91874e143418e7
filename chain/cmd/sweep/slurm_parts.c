/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "slurm.h"

#include "lines.h"

#include "chain/cmd/run/run_session.h"
#include "chain/json_memory.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct slurm_part *part_of(struct slurm_chunk *chunk, const char *node)
{
	for (struct slurm_part *part = chunk->parts; part; part = part->next)
		if (strcmp(part->node, node) == 0)
			return part;
	struct slurm_part *part = calloc(1, sizeof(*part));
	if (!part)
		return NULL;
	snprintf(part->node, sizeof(part->node), "%s", node);
	part->next = chunk->parts;
	chunk->parts = part;
	return part;
}

static bool is_new(struct slurm_chunk *chunk, uint64_t index)
{
	for (uint64_t i = 0; i < chunk->done; i++)
		if (chunk->seen[i] == index)
			return false;
	return chunk->done < chunk->instances;
}

/* The task's clock is not ours: it began so that its first line ends now. */
static void tell(struct slurm *slurm, struct slurm_chunk *chunk, struct slurm_part *part, struct outcome *outcome)
{
	uint64_t took = 0;
	if (!is_new(chunk, outcome->index))
		return;
	for (int i = 0; i < OUTCOME_PHASE_COUNT; i++)
		took += outcome->phase_us[i];
	const uint64_t now = run_clock_us() - slurm->setting->origin_us, ended = outcome->at_us + took;
	if (!part->base_us)
		part->base_us = now > ended ? now - ended : 1;
	outcome->at_us += part->base_us;
	outcome->slot = (uint64_t)(chunk - slurm->chunks);
	outcome->node = part->node;
	chunk->seen[chunk->done++] = outcome->index;
	slurm->measured += 1;
	slurm->measured_us += took / (outcome->block ? outcome->block : 1);
	slurm->setting->done(slurm->setting->ctx, outcome);
}

static enum chain_status read_line(struct slurm *slurm, struct slurm_chunk *chunk, struct slurm_part *part,
				   const struct lines *lines, const char *text, size_t bytes, struct chain_error *err)
{
	struct outcome outcome;
	const char *why;
	if (part->read_to == 0 && lines->line == 1)
		return CHAIN_OK; /* the header */
	enum chain_status status = outcome_parse(text, bytes, &outcome, &why);
	if (why)
		return CHAIN_FAIL(err, SWEEP_LINE, .subject = lines->path, .line = lines->line, .detail = why);
	if (status)
		return chain_json_no_memory(err, lines->path);
	tell(slurm, chunk, part, &outcome);
	outcome_free(&outcome);
	return CHAIN_OK;
}

static enum chain_status read_part(struct slurm *slurm, struct slurm_chunk *chunk, struct slurm_part *part,
				   const char *path, struct chain_error *err)
{
	struct lines lines;
	const char *text;
	size_t bytes;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return CHAIN_OK; /* the next time, then */
	enum chain_status status = lines_open(&lines, fd, path, err);
	lines.read_to = part->read_to;
	uint64_t end = part->read_to;
	while (!status) {
		status = lines_next(&lines, &text, &bytes, err);
		if (status || !text || !lines.whole)
			break;
		status = read_line(slurm, chunk, part, &lines, text, bytes, err);
		end = lines.line_end;
	}
	part->read_to = end;
	lines_close(&lines);
	close(fd);
	return status;
}

/* "17.n3.results": which chunk, and on which node; false: another file. */
static bool split_name(char *name, unsigned *out_chunk, const char **out_node)
{
	static const char END[] = ".results";
	char *at;
	const unsigned long chunk = strtoul(name, &at, 10);
	const size_t count = strlen(at);
	if (at == name || *at != '.' || count <= sizeof(END) || chunk >= SLURM_CHUNKS_MOST ||
	    strcmp(at + count - (sizeof(END) - 1), END) != 0)
		return false;
	at[count - (sizeof(END) - 1)] = '\0';
	*out_chunk = (unsigned)chunk;
	*out_node = at + 1;
	return true;
}

enum chain_status slurm_merge(struct slurm *slurm, struct chain_error *err)
{
	enum chain_status status = CHAIN_OK;
	char path[PATH_MAX + NAME_MAX + 2], name[NAME_MAX + 1];
	struct dirent *entry;
	DIR *dir = opendir(slurm->dir);
	if (!dir)
		return chain_fail_text(err, CHAIN_E_IO, slurm->dir, strerror(errno));
	while (!status && (entry = readdir(dir)) != NULL) {
		unsigned number;
		const char *node;
		snprintf(name, sizeof(name), "%s", entry->d_name);
		if (!split_name(name, &number, &node) || slurm->chunks[number].state != SLURM_SUBMITTED)
			continue;
		snprintf(path, sizeof(path), "%s/%s", slurm->dir, entry->d_name);
		struct slurm_part *part = part_of(&slurm->chunks[number], node);
		status = part ? read_part(slurm, &slurm->chunks[number], part, path, err) :
				chain_fail_no_memory(err, path, sizeof(*part));
	}
	closedir(dir);
	return status;
}

void slurm_forget(struct slurm *slurm, struct slurm_chunk *chunk)
{
	char path[PATH_MAX + OUTCOME_NODE_BYTES + 64];
	const unsigned number = (unsigned)(chunk - slurm->chunks);
	while (chunk->parts) {
		struct slurm_part *part = chunk->parts;
		chunk->parts = part->next;
		snprintf(path, sizeof(path), "%s/%u.%s.results", slurm->dir, number, part->node);
		unlink(path);
		free(part);
	}
	snprintf(path, sizeof(path), "%s/%u.jobs", slurm->dir, number);
	unlink(path);
	snprintf(path, sizeof(path), "%s/%u.log", slurm->dir, number);
	unlink(path);
	if (chunk->jobs)
		fclose(chunk->jobs);
	free(chunk->seen);
	*chunk = (struct slurm_chunk){ 0 };
}

void slurm_last_words(const struct slurm *slurm, const struct slurm_chunk *chunk, char *out, size_t size)
{
	char path[PATH_MAX + 64], line[400] = "";
	snprintf(path, sizeof(path), "%s/%u.log", slurm->dir, (unsigned)(chunk - slurm->chunks));
	FILE *from = fopen(path, "re");
	if (from && fgets(line, sizeof(line), from))
		line[strcspn(line, "\n")] = '\0';
	if (from)
		fclose(from);
	snprintf(out, size, "%s", line);
}
