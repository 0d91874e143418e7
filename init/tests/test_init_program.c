/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* The last lines of a program, and why one can't be executed. */

#include "init/app.h"
#include "init/tail.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char *lines_of(const struct init_tail *tail)
{
	json_t *lines = init_tail_lines(tail);
	char *text = json_dumps(lines, JSON_COMPACT);
	json_decref(lines);
	return text;
}

static void lines_are_whole_and_text(void **state)
{
	static const struct {
		const char *text;
		size_t bytes;
		const char *lines;
	} cases[] = {
#define TEXT(text) text, sizeof(text) - 1
		{ TEXT(""), "[]" },
		{ TEXT("one"), "[\"one\"]" },
		{ TEXT("one\n"), "[\"one\"]" },
		{ TEXT("\n"), "[\"\"]" },
		{ TEXT("one\r\ntwo\r\n\n"), "[\"one\",\"two\",\"\"]" },
		{ TEXT("tab\there"), "[\"tab\\there\"]" },
		{ TEXT("a\0b\033[1m\xff"), "[\"a\xef\xbf\xbd"
					   "b\xef\xbf\xbd[1m\xef\xbf\xbd\"]" },
		{ TEXT("gr\xc3\xbc\xc3\x9f"), "[\"gr\xc3\xbc\xc3\x9f\"]" },
		{ TEXT("cut\xc3"), "[\"cut\xef\xbf\xbd\"]" },
		{ TEXT("a\xc2\x85"
		       "b"),
		  "[\"a\xef\xbf\xbd\xef\xbf\xbd"
		  "b\"]" },
#undef TEXT
	};
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct init_tail tail = { .total = 0 };
		init_tail_add(&tail, cases[i].text, cases[i].bytes);
		char *text = lines_of(&tail);
		assert_string_equal(text, cases[i].lines);
		free(text);
	}
}

/* Whatever pieces it comes in, what is kept are the last lines. */
static void the_last_lines_are_kept(void **state)
{
	(void)state;
	for (size_t piece = 1; piece < 9000; piece = piece * 5 + 1) {
		struct init_tail tail = { .total = 0 };
		char all[20000];
		size_t bytes = 0;
		for (int i = 0; i < 1500; i++)
			bytes += (size_t)sprintf(all + bytes, "line %d\n", i);
		for (size_t at = 0; at < bytes; at += piece)
			init_tail_add(&tail, all + at, piece < bytes - at ? piece : bytes - at);
		json_t *lines = init_tail_lines(&tail);
		assert_int_equal(json_array_size(lines), INIT_TAIL_LINES);
		for (size_t i = 0; i < INIT_TAIL_LINES; i++) {
			char wanted[32];
			sprintf(wanted, "line %zu", 1500 - INIT_TAIL_LINES + i);
			assert_string_equal(json_string_value(json_array_get(lines, i)), wanted);
		}
		json_decref(lines);
	}
}

static void a_line_longer_than_what_is_kept_is_reported_as_cut(void **state)
{
	(void)state;
	struct init_tail tail = { .total = 0 };
	for (int i = 0; i < INIT_TAIL_BYTES; i++)
		init_tail_add(&tail, "x", 1);
	json_t *lines = init_tail_lines(&tail);
	assert_int_equal(json_string_length(json_array_get(lines, 0)), INIT_TAIL_BYTES);
	json_decref(lines);
	init_tail_add(&tail, "y", 1);
	lines = init_tail_lines(&tail);
	assert_int_equal(json_array_size(lines), 1);
	assert_int_equal(json_string_length(json_array_get(lines, 0)), INIT_TAIL_BYTES + 3);
	assert_int_equal(strncmp(json_string_value(json_array_get(lines, 0)), "...xx", 5), 0);
	json_decref(lines);
}

/* --- why --- */

static char folder[] = "/tmp/kchain-init-XXXXXX";

static void check(const char *bytes, size_t count, int mode, int error, const char *wanted)
{
	char path[64], why[256];
	snprintf(path, sizeof(path), "%s/program", folder);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0700);
	assert_int_equal(write(fd, bytes, count), count);
	fchmod(fd, (mode_t)mode);
	close(fd);
	init_exec_why(path, error, why, sizeof(why));
	assert_string_equal(why, wanted);
	unlink(path);
}

static void what_is_wrong_stands_in_the_program(void **state)
{
	char why[256];
	uint8_t elf[256] = "\177ELF\2\1\1";
	(void)state;
	check("x", 1, 0644, EACCES, "not executable (mode 0644)");
	check("x", 1, 0755, ENOEXEC, "neither a program nor a script that begins with #!");
	check("#!/no/such -x\n", 14, 0755, ENOENT, "a script, whose interpreter, /no/such, is not in the root");
	check("#! /no/such", 11, 0755, ENOENT, "a script, whose interpreter, /no/such, is not in the root");
	check("#!/bin/sh\r\n", 11, 0755, ENOENT,
	      "a script whose first line ends in CR LF, so its interpreter is not found");
	elf[18] = 183;
	check((char *)elf, sizeof(elf), 0755, ENOEXEC, "a program for another architecture (ELF machine 183)");
	elf[18] = 62;
	elf[32] = 64;
	elf[54] = 56;
	elf[56] = 2;
	elf[64 + 56] = 3;
	elf[64 + 56 + 8] = 200;
	elf[64 + 56 + 32] = 10;
	memcpy(elf + 200, "/lib/ld.so", 11);
	check((char *)elf, sizeof(elf), 0755, ENOENT, "its dynamic linker, /lib/ld.so, is not in the root");
	for (size_t cut = 20; cut < 210; cut++) /* the sanitizers look on */
		check((char *)elf, cut, 0755, ENOENT, "No such file or directory");
	check((char *)elf, sizeof(elf), 0755, EPERM, "Operation not permitted");
	init_exec_why(folder, EACCES, why, sizeof(why));
	assert_string_equal(why, "a folder");
	init_exec_why("/no/such", ENOENT, why, sizeof(why));
	assert_string_equal(why, "not in the root");
}

static int make_folder(void **state)
{
	(void)state;
	return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
	(void)state;
	return rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_are_whole_and_text),
		cmocka_unit_test(the_last_lines_are_kept),
		cmocka_unit_test(a_line_longer_than_what_is_kept_is_reported_as_cut),
		cmocka_unit_test(what_is_wrong_stands_in_the_program),
	};
	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
