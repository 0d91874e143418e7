/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: the table of subcommands and which of them is meant. */

#include "cmd.h"
#include "chain/json_memory.h"
#include "chain/json_walk.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

static const struct cmd COMMANDS[] = {
	{ "init", "begin a pipeline of your own, with a kernel and a Makefile", cmd_init },
	{ "bake", "make bootable images of pipelines or folders", cmd_bake },
	{ "run", "start an image, a pipeline or a folder in QEMU and follow it", cmd_run },
	{ "plan", "print what each step of a boot would do, without booting", cmd_plan },
	{ "kernel", "fetch a Linux kernel for roots", cmd_kernel },
	{ "inspect", "say what an image is made of and what takes the space", cmd_inspect },
	{ "diff", "say which files differ between two images", cmd_diff },
	{ "verify", "check every byte of an image against its manifest", cmd_verify },
	{ "ls", "list the files baked into an image", cmd_ls },
	{ "cat", "print a file baked into an image, or its manifest", cmd_cat },
	{ "watch", "follow a boot on a serial port or a pipe", cmd_watch },
	{ "sweep", "run an image once for each input, in thousands of machines", cmd_sweep },
	{ "report", "say and draw what a run did over time", cmd_report },
};
enum { COMMAND_COUNT = sizeof(COMMANDS) / sizeof(COMMANDS[0]) };

static void help_print(FILE *to)
{
	fputs("kchain makes self-contained kernels, and makes them start each other.\n\n"
	      "usage: kchain COMMAND [OPTION]… [OPERAND]…\n\n",
	      to);
	for (size_t i = 0; i < COMMAND_COUNT; i++)
		fprintf(to, "  %s%-8s%s %s\n", cmd_style(to, CMD_BOLD), COMMANDS[i].name, cmd_style(to, CMD_PLAIN),
			COMMANDS[i].summary);
	fputs("\n`kchain COMMAND --help` says more. Every command takes --json.\n\n"
	      "exit codes: 0 as expected, 1 a child failed, 2 usage, 3 input refused,\n"
	      "            4 the stage failed, 5 an expectation unmet, 124 timeout,\n"
	      "            130 interrupted\n",
	      to);
}

static const struct cmd *find(const char *name)
{
	for (size_t i = 0; i < COMMAND_COUNT; i++)
		if (strcmp(COMMANDS[i].name, name) == 0)
			return &COMMANDS[i];
	return NULL;
}

static int unknown(const char *word)
{
	const char *names[COMMAND_COUNT];
	for (size_t i = 0; i < COMMAND_COUNT; i++)
		names[i] = COMMANDS[i].name;
	const char *near = chain_nearest(word, names, COMMAND_COUNT);
	const char *what = word[0] == '-' ? "option" : "command";
	if (near)
		return cmd_usage(NULL, "unknown %s '%s' (did you mean '%s'?)", what, word, near);
	return cmd_usage(NULL, "unknown %s '%s'", what, word);
}

/* Output that nobody could read is a failure like any other: a full disk behind `> file` must not look like success. A
 * pipe whose reader has gone ends the command as it ends others: by the signal, without a word, once all is cleaned up.
 */
static int finish(int code)
{
	errno = 0;
	bool bad = fflush(stdout) != 0 ||
		   ferror(stdout); /* what could not be written before is tried again, and fails again */
	int number = errno;
	if (cmd_pipe_is_broken(stdout) || cmd_pipe_is_broken(stderr)) {
		signal(SIGPIPE, SIG_DFL);
		raise(SIGPIPE);
	}
	if (bad && code == CMD_OK) {
		cmd_warn("standard output: %s", number ? strerror(number) : "it could not be written");
		return CMD_REFUSED;
	}
	return code;
}

int main(int argc, char **argv)
{
	signal(SIGPIPE, SIG_IGN);
	chain_json_memory_init();
	if (argc < 2) {
		help_print(stderr);
		return CMD_USAGE;
	}
	const char *word = argv[1];
	if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 || (strcmp(word, "help") == 0 && argc == 2)) {
		help_print(stdout);
		return finish(CMD_OK);
	}
	if (strcmp(word, "--version") == 0) {
		printf("kchain %s\n", cmd_version);
		return finish(CMD_OK);
	}
	if (strcmp(word, "help") == 0) {
		const struct cmd *about = find(argv[2]);
		char help[] = "--help";
		char *args[] = { argv[2], help, NULL };
		return about ? finish(about->run(2, args)) : unknown(argv[2]);
	}
	const struct cmd *cmd = find(word);
	return cmd ? finish(cmd->run(argc - 1, argv + 1)) : unknown(word);
}
