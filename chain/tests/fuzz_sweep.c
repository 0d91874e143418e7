/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* libFuzzer target: the files of a sweep as a stranger hands them in: results (what is accepted is printed, listed and
 * drawn, and each line is read again as it was written), inputs, and jobs that were dealt out. */
#include "fuzz.h"

#include "chain/cmd/show/report_sweep.h"
#include "chain/cmd/sweep/dealt.h"
#include "chain/cmd/sweep/inputs.h"

#include <sys/mman.h>
#include <unistd.h>

static int file_of(const uint8_t *data, size_t size)
{
	int fd = memfd_create("fuzz", MFD_CLOEXEC);
	FUZZ_HOLDS(fd >= 0 && write(fd, data, size) == (ssize_t)size);
	return fd;
}

static void on_line(void *ctx, const struct outcome *outcome)
{
	struct outcome again;
	const char *why;
	char *text = outcome_text(outcome);
	FUZZ_HOLDS(text && !strchr(text, '\n'));
	FUZZ_HOLDS(outcome_parse(text, strlen(text), &again, &why) == CHAIN_OK);
	FUZZ_HOLDS(again.index == outcome->index && again.status == outcome->status && again.at_us == outcome->at_us &&
		   (!outcome->result || json_equal(again.result, outcome->result)));
	outcome_free(&again);
	free(text);
	sweep_picture_add(ctx, outcome);
}

static void read_results(int fd)
{
	static struct table table, second;
	struct chain_error err = { 0 };
	char *text = NULL;
	size_t bytes = 0;
	if (fuzz_text_status(table_read(&table, fd, "results", NULL, NULL, &err), &err))
		return;
	struct sweep_picture *picture = sweep_picture_begin(&table);
	FUZZ_HOLDS(picture);
	FUZZ_HOLDS(table_read(&second, fd, "results", on_line, picture, &err) == CHAIN_OK);
	char *svg = sweep_picture_end(picture, &bytes);
	FUZZ_HOLDS(svg && !strstr(svg, "nan") && !strstr(svg, "inf\""));
	FILE *to = open_memstream(&text, &bytes);
	table_print(&table, to);
	fclose(to);
	json_t *doc = table_json(&table);
	FUZZ_HOLDS(json_is_object(doc) && table.lines <= table.total + table.lines);
	json_decref(doc);
	free(text);
	free(svg);
	table_free(&table);
	table_free(&second);
}

static void read_inputs(int fd)
{
	struct inputs inputs;
	struct job_input input;
	struct chain_error err = { 0 };
	char path[40];
	bool more = true;
	uint64_t count = 0;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (fuzz_text_status(inputs_open(&inputs, path, 0, 2, 7, &err), &err))
		return;
	while (more) {
		FUZZ_HOLDS(inputs_next(&inputs, &input, &more, &err) == CHAIN_OK);
		FUZZ_HOLDS(!more || input.index == count++);
	}
	FUZZ_HOLDS(count == inputs_instances(&inputs));
	inputs_close(&inputs);
}

static void read_dealt(int fd)
{
	struct dealt *dealt;
	struct job job = { 0 };
	struct chain_error err = { 0 };
	char path[40];
	bool more = true;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (fuzz_text_status(dealt_open(&dealt, path, &err), &err))
		return;
	struct results results = { .total = dealt_index_end(dealt), .done = calloc(1, dealt_index_end(dealt) / 8 + 1) };
	enum chain_status status = CHAIN_OK;
	while (!status && more) {
		status = dealt_next(dealt, &results, &job, &more, &err);
		if (!status && more)
			FUZZ_HOLDS(job.count && job.used < SIZE_MAX / 2 && job.indices[0] < results.total);
	}
	job_free(&job);
	free(results.done);
	dealt_close(dealt);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const READERS[])(int) = { read_results, read_inputs, read_dealt };
	if (!size)
		return 0;
	int fd = file_of(data + 1, size - 1);
	READERS[data[0] % 3](fd);
	close(fd);
	return 0;
}
