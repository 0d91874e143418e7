/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "report_sweep.h"

#include "chain/cmd/cmd.h"
#include "chain/cmd/cmd_out.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* --- CSV (RFC 4180) --- */

static void put_field(FILE *to, const char *text)
{
	fputc('"', to);
	for (; *text; text++) {
		if (*text == '"')
			fputc('"', to);
		fputc(*text, to);
	}
	fputc('"', to);
}

/* Numbers and truth values as they are, texts without their quotes, all else as JSON. */
static void put_value(FILE *to, const json_t *value)
{
	char *text = NULL;
	if (!value || json_is_null(value))
		return;
	if (json_is_string(value)) {
		put_field(to, json_string_value(value));
		return;
	}
	text = cmd_json_text(value, JSON_ENCODE_ANY | JSON_COMPACT);
	if (text && (json_is_number(value) || json_is_boolean(value)))
		fputs(text, to);
	else if (text)
		put_field(to, text);
	free(text);
}

static void csv_line(void *ctx, const struct outcome *outcome)
{
	FILE *to = ctx;
	fprintf(to, "%llu,%s,%llu,%llu,%llu", (unsigned long long)outcome->index, outcome_status_name(outcome->status),
		(unsigned long long)outcome->tries, (unsigned long long)outcome->slot,
		(unsigned long long)outcome->at_us);
	for (int i = 0; i < OUTCOME_PHASE_COUNT; i++)
		fprintf(to, ",%llu", (unsigned long long)outcome->phase_us[i]);
	fputc(',', to);
	put_field(to, outcome->node ? outcome->node : "");
	fputc(',', to);
	put_value(to, outcome->result);
	fputc(',', to);
	put_field(to, outcome->reason ? outcome->reason : "");
	fputs("\r\n", to);
}

/* --- files --- */

struct source {
	int fd;
	const char *path;
};

static enum chain_status read_again(const struct source *from, table_sink *sink, void *ctx, struct chain_error *err)
{
	struct table *table = malloc(sizeof(*table));
	if (!table)
		return chain_fail_no_memory(err, from->path, sizeof(*table));
	enum chain_status status = table_read(table, from->fd, from->path, sink, ctx, err);
	if (!status)
		table_free(table);
	free(table);
	return status;
}

static enum chain_status write_csv(const struct source *from, const char *path, struct chain_error *err)
{
	struct cmd_out out;
	enum chain_status status = cmd_file_check_writable(path, err);
	if (!status)
		status = cmd_out_open(&out, path, err);
	if (status)
		return status;
	FILE *to = fdopen(dup(out.fd), "w");
	if (!to) {
		cmd_out_drop(&out);
		return chain_fail_text(err, CHAIN_E_IO, path, strerror(errno));
	}
	fputs("index,status,tries,slot,at_us,start_us,run_us,stop_us,node,result,reason\r\n", to);
	status = read_again(from, csv_line, to, err);
	const bool bad = ferror(to) != 0;
	if (fclose(to) != 0 || bad)
		status = status ? status : chain_fail_text(err, CHAIN_E_IO, path, strerror(errno));
	if (!status)
		return cmd_out_commit(&out, NULL, err);
	cmd_out_drop(&out);
	return status;
}

static void draw(void *ctx, const struct outcome *outcome)
{
	sweep_picture_add(ctx, outcome);
}

static enum chain_status write_picture(const struct source *from, const struct table *table, const char *path,
				       struct chain_error *err)
{
	size_t bytes = 0;
	enum chain_status status = cmd_file_check_writable(path, err);
	if (status)
		return status;
	struct sweep_picture *picture = sweep_picture_begin(table);
	if (!picture)
		return chain_fail_no_memory(err, path, 1);
	status = read_again(from, draw, picture, err);
	char *svg = sweep_picture_end(picture, &bytes);
	if (!status)
		status = svg ? cmd_file_write(path, svg, bytes, err) : chain_fail_no_memory(err, path, bytes + 1);
	free(svg);
	return status;
}

static int tell(const struct source *from, const char *svg, const char *csv, bool json)
{
	struct chain_error err = { 0 };
	struct table *table = malloc(sizeof(*table));
	enum chain_status status = table ? table_read(table, from->fd, from->path, NULL, NULL, &err) :
					   chain_fail_no_memory(&err, from->path, sizeof(*table));
	if (status) {
		free(table);
		return cmd_refuse(&err, json);
	}
	if (svg)
		status = write_picture(from, table, svg, &err);
	if (!status && csv)
		status = write_csv(from, csv, &err);
	if (!status && json)
		cmd_json_print(table_json(table));
	else if (!status)
		table_print(table, stdout);
	table_free(table);
	free(table);
	return status ? cmd_refuse(&err, json) : CMD_OK;
}

int report_sweep(const char *path, const char *svg, const char *csv, bool json)
{
	const struct source from = { .fd = open(path, O_RDONLY | O_CLOEXEC), .path = path };
	if (from.fd < 0)
		return -1;
	int code = -1;
	if (table_is(from.fd)) {
		cmd_file_note_input(path); /* what is written does not take its place */
		code = tell(&from, svg, csv, json);
	}
	close(from.fd);
	return code;
}
