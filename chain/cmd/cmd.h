/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: what the subcommands of `kchain` share: the table's row, exit codes, options, errors as people and programs
 * read them, and files. Data goes to stdout, everything else to stderr.
 * Must not know: what any one subcommand does. */
#ifndef KCHAIN_CMD_H
#define KCHAIN_CMD_H

#include "chain/error.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <time.h>

enum cmd_exit {
	CMD_OK = 0,
	CMD_CHILD_FAILED = 1, /* a called or booted kernel said so */
	CMD_USAGE = 2,        /* the command line is wrong */
	CMD_REFUSED = 3,      /* an input was refused, nothing was started or left behind */
	CMD_STAGE_FAILED = 4, /* the stage could not do what the pipeline asks */
	CMD_UNMET = 5,        /* it ran, but what was expected did not happen */
	CMD_TIMEOUT = 124,
	CMD_INTERRUPTED = 130,
};

/* One row of main's table. `run` gets its own name as argv[0] and returns an exit code. */
struct cmd {
	const char *name;
	const char *summary; /* one line, no full stop */
	int (*run)(int argc, char **argv);
};

extern const char cmd_version[]; /* "1.0" */

int cmd_init(int argc, char **argv);
int cmd_bake(int argc, char **argv);
int cmd_kernel(int argc, char **argv);
int cmd_inspect(int argc, char **argv);
int cmd_diff(int argc, char **argv);
int cmd_verify(int argc, char **argv);
int cmd_ls(int argc, char **argv);
int cmd_cat(int argc, char **argv);
int cmd_plan(int argc, char **argv);
int cmd_run(int argc, char **argv);
int cmd_watch(int argc, char **argv);
int cmd_report(int argc, char **argv);
int cmd_sweep(int argc, char **argv);

/* bake.c, for `run` and `plan`: bakes the pipeline or folder `input` with the defaults of `kchain bake` (`format` null:
 * that, too) to a file in
 * $TMPDIR (or /tmp) that has no name: it goes with its last descriptor, which is the caller's. So is the pipeline with
 * what is wrong with it, in any case. */
struct cmd_document;
enum chain_status cmd_bake_unnamed(const char *input, const char *format, int *out_fd,
				   struct cmd_document *out_document, struct chain_error *err) CHAIN_MUST_CHECK;

/* The stage that `bake` starts from, linked into the command (stage_blob.S). */
extern const unsigned char cmd_stage_elf[], cmd_stage_elf_end[];

/* --- options (cmd_opt.c) -------------------------------------------------------------------------------------- */

enum cmd_opt_kind {
	CMD_OPT_FLAG,     /* bool: becomes true */
	CMD_OPT_TEXT,     /* const char *: borrowed from argv; given twice is an error */
	CMD_OPT_OPTIONAL, /* const char *: "" where it stands alone, else what follows its "=" */
	CMD_OPT_LIST,     /* struct cmd_list: may be given many times */
	CMD_OPT_SIZE,  /* uint64_t bytes: "4096", "64K", "128M", "1G" (powers of 1024; "KiB" and "KB" mean the same) */
	CMD_OPT_TIME,  /* uint64_t microseconds: "250ms", "5s", "2m", "1h"; a bare number is seconds */
	CMD_OPT_COUNT, /* uint64_t, decimal */
};

struct cmd_list {
	const char **v; /* points into argv; owned by the list: cmd_args_free */
	size_t count;
};

struct cmd_opt {
	const char *name; /* without the dashes */
	char letter;      /* 0: none */
	enum cmd_opt_kind kind;
	const char *arg;  /* placeholder in the help: "FILE"; null for a flag */
	const char *help; /* one paragraph, wrapped when it is printed */
	void *out;        /* of the kind's type; holds the default */
};

struct cmd_spec {
	const char *command;  /* "run" */
	const char *operands; /* "IMAGE|PIPELINE|FOLDER"; "" for none */
	const char *about; /* paragraphs, wrapped when they are printed; a line that begins with a blank is one of its
			      own */
	const struct cmd_opt *opts;
	size_t opt_count;
	size_t least, most; /* how many operands */
	const char *rest;   /* what may follow `--`, for the synopsis; null: nothing may */
	const char *epilog; /* examples and notes behind the options, as `about`; null: none */
};

struct cmd_args {
	const char **v; /* the operands; borrowed from argv */
	size_t count;
	char **rest; /* what follows `--` */
	size_t rest_count;
	const struct cmd_spec *spec;
};

/* Options may stand anywhere before `--`; `--name=value` and `--name value` and `-pVALUE` and `-p VALUE` are the same.
 * Returns -1 to go on, or the exit code to leave with: CMD_OK after --help, CMD_USAGE after an error it printed. */
int cmd_parse(const struct cmd_spec *spec, int argc, char **argv, struct cmd_args *out);
/* Releases the operands' and lists' arrays. */
void cmd_args_free(struct cmd_args *args);

/* Printed as "kchain COMMAND: …" with "try `kchain COMMAND --help`" below; returns CMD_USAGE. */
int cmd_usage(const char *command, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* False when the text is not of the form above or does not fit. */
bool cmd_size_parse(const char *text, uint64_t *out_bytes);
bool cmd_time_parse(const char *text, uint64_t *out_us);
bool cmd_count_parse(const char *text, uint64_t *out);
bool cmd_address_parse(const char *text, uint64_t *out); /* "0x…" or decimal */

/* The time as cmd_time_parse reads it: "3s", "250ms"; `buf` is returned. */
enum { CMD_TIME_BYTES = 24 };
char *cmd_time_text(uint64_t us, char buf[CMD_TIME_BYTES]);

/* --- foreign text (cmd_text.c) ------------------------------------------------------------------------------------ */

/* Names of files, operands and what a guest says may hold anything, and a terminal obeys some of it. What is shown of
 * them has each byte as \xHH that belongs to a control character (of ASCII, or U+0080 to U+009F) or to no character of
 * UTF-8; all other bytes stay, backslashes too. */

/* Bytes of the character at the start of `text`, of which `bytes` are there (at least 1), when it may be shown; 0: it
 * may not. */
size_t cmd_text_printable(const char *text, size_t bytes);
/* Writes what is shown of `bytes` bytes: at most `size` with the terminator, no character and no escape in part.
 * Returns the length of it all, as snprintf does. */
size_t cmd_text_escape(const char *text, size_t bytes, char *out, size_t size);
/* How many bytes of the text fit into `room` columns: up to a blank, or to the end of a word that fits nowhere. */
size_t cmd_text_fitting(const char *text, size_t room);
/* What is shown of a text, to a stream. */
void cmd_text_put(FILE *to, const char *text);

/* --- what people and programs read (cmd.c) ---------------------------------------------------------------------- */

/* stderr gets "kchain: MESSAGE" and, where there is one, "  hint: …". With `json`, stdout gets one object besides:
 * {"error": {"slug", "message", "subject", "detail", "hint"}, "exit": code}. Returns `code`. */
int cmd_error_print(const struct chain_error *err, bool json, int code);
/* An error's line and the hint's, which may be empty. */
void cmd_error_say(const char *hint, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* That object; new. */
json_t *cmd_error_json(const struct chain_error *err, int code);
/* The same for the usual case, CMD_REFUSED. */
int cmd_refuse(const struct chain_error *err, bool json);
/* Puts the file in front of a subject that names a place inside it ("a.json: steps[0].boot"). */
void cmd_error_in_file(struct chain_error *err, const char *path);
/* A line of the command's own on stderr: "kchain: …". */
void cmd_warn(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* A document as text by json_dumps' flags, in which no control character stands as itself, U+007F to U+009F included:
 * malloc'ed; null: no memory. */
char *cmd_json_text(const json_t *doc, size_t flags);
/* Prints a document and a newline to stdout, indented; steals the reference. False without memory for it; whether
 * stdout could be written is asked at the end of all, by main. */
bool cmd_json_print(json_t *doc);
/* The same on one line, at once. */
bool cmd_json_line(json_t *doc);

/* Whether a stream could not be written because nobody reads it any more: then the command ends, and says nothing. */
bool cmd_pipe_is_broken(FILE *stream);

/* Text of strangers in a document: bytes that are no UTF-8 stand as U+FFFD, each; new, null without memory. */
json_t *cmd_json_string(const char *bytes, size_t count);
/* The same as a member, and beside it KEY_hex, all bytes in hexadecimal digits, when that loses some. False without
 * memory. */
bool cmd_json_set_text(json_t *object, const char *key, const char *bytes, size_t count);
/* A document that begins with the name of a file: what is in `rest` (taken, nullable) behind the member `key`. New;
 * null without memory. */
json_t *cmd_json_of_file(const char *key, const char *path, json_t *rest);

/* Escape sequences; "" unless `to` is a terminal, TERM is not "dumb" and NO_COLOR is unset or empty. */
enum cmd_style { CMD_PLAIN, CMD_BOLD, CMD_DIM, CMD_RED, CMD_GREEN, CMD_YELLOW, CMD_CYAN };
const char *cmd_style(FILE *to, enum cmd_style style);

/* A terminal's width; 0: the stream is none, or has none. */
size_t cmd_columns(FILE *to);

/* "4.0 KiB", "132 MiB": at most four digits; `buf` is returned. */
enum { CMD_SIZE_BYTES = 24 };
char *cmd_size_text(uint64_t bytes, char buf[CMD_SIZE_BYTES]);

/* "N MiB DONE" on stderr while something lasts: on a terminal every 100 ms in one line, elsewhere every 5 s; never in
 * the first second. */
struct cmd_progress {
	const char *done; /* "written" */
	uint64_t bytes;   /* so far */
	struct timespec start, shown;
};
void cmd_progress_start(struct cmd_progress *progress, const char *done);
void cmd_progress_add(struct cmd_progress *progress, uint64_t bytes);
/* Takes the line away. */
void cmd_progress_end(const struct cmd_progress *progress);

/* --- files (cmd_file.c) ------------------------------------------------------------------------------------------- */

struct cmd_map;
struct cmd_file {
	const uint8_t *bytes; /* never null after success */
	uint64_t bytes_count;
	struct cmd_map *map; /* null: read into memory of our own */
};

/* The whole of a file: read, or, when there is no limit and it is a large regular one, mapped (cmd_map.h): then what
 * was found in it counts only after cmd_file_check. `limit_bytes` 0: no limit. "-" is stdin. CHAIN_E_IO names the file
 * and why; CHAIN_E_LIMIT; CHAIN_E_FILE_CHANGED when it becomes shorter meanwhile. */
enum chain_status cmd_file_load(const char *path, uint64_t limit_bytes, struct cmd_file *out,
				struct chain_error *err) CHAIN_MUST_CHECK;
/* The same of an open file, which stays the caller's. */
enum chain_status cmd_file_load_fd(int fd, const char *path, uint64_t limit_bytes, struct cmd_file *out,
				   struct chain_error *err) CHAIN_MUST_CHECK;
/* Whether all that was read of it were its bytes: see cmd_map_check. */
enum chain_status cmd_file_check(const struct cmd_file *file, const char *path,
				 struct chain_error *err) CHAIN_MUST_CHECK;
/* Of one that is mapped: gives the memory back that was filled by what was read so far. */
void cmd_file_forget(const struct cmd_file *file);
void cmd_file_free(struct cmd_file *file);

/* Replaces `path` by these bytes in one step (cmd_out.h). On failure nothing is left. A path that is there and is no
 * regular file (/dev/stdout, a pipe) is written directly; "-" is stdout. */
enum chain_status cmd_file_write(const char *path, const void *bytes, size_t count,
				 struct chain_error *err) CHAIN_MUST_CHECK;
/* Whether that can work, as far as can be known beforehand. CHAIN_E_OVER_INPUT: it would take the place of one of the
 * first 64 files that were loaded. */
enum chain_status cmd_file_check_writable(const char *path, struct chain_error *err) CHAIN_MUST_CHECK;
enum chain_status cmd_file_write_json(const char *path, const json_t *doc, struct chain_error *err) CHAIN_MUST_CHECK;

/* A handoff that somebody wrote: people write what they want to vary, `state` mostly; what every handoff has is put in
 * where it is missing, `boot_id` (32 hexadecimal digits) too, and true as the member `flag` (nullable). Checked as a
 * link that receives it does. `path`: null for one that has nothing else in it. A new reference.
 */
enum chain_status cmd_handoff_load(const char *path, const char *boot_id, const char *flag, json_t **out,
				   struct chain_error *err) CHAIN_MUST_CHECK;
/* A file that counts as loaded, though somebody else reads it. */
void cmd_file_note_input(const char *path);

/* $XDG_CACHE_HOME/kchain/NAME, or in ~/.cache; the folders are made. False, and an empty text, where there is no such
 * place. */
bool cmd_cache_path(const char *name, char *out, size_t size);

#endif
