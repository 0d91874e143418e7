/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: `kchain run`: its options, and the order of a run. */

#include "run.h"

#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

static const char run_about[] =
	"Starts an image in QEMU, or a pipeline or a folder, which are baked first, or any Multiboot "
	"kernel.\n"
	"Checks an image wholly before it is started. Shows each link as it happens, with its time.\n"
	"Ctrl-C ends it; QEMU never outlives this command.";
static const char run_epilog[] = "The console goes to stdout, all else to stderr. File names in QEMU arguments must be "
				 "absolute: QEMU runs in\n"
				 "a folder of its own.\n\n"
				 "exit codes: 0 as expected, 1 a child failed, 2 usage, 3 input refused,\n"
				 "            4 the stage failed, 5 an expectation unmet, 124 timeout,\n"
				 "            130 interrupted";

static int parse_options(struct run *run, int argc, char **argv)
{
	struct run_session_options *more = &run->session_options;
	const struct cmd_opt options[] = {
		{ "memory", 'm', CMD_OPT_SIZE, "SIZE",
		  "RAM (default: 128M, or what the image and the memory of its kernels need, and 64M)",
		  &run->memory_bytes },
		{ "cpus", 'c', CMD_OPT_COUNT, "N", "processors (default: 1)", &run->cpus },
		{ "machine", 'M', CMD_OPT_TEXT, "TYPE", "pc (default), q35 or microvm", &run->machine },
		{ "accel", 0, CMD_OPT_TEXT, "HOW",
		  "auto (default), tcg or kvm. auto: the one that proves faster in a\n"
		  "short measurement, remembered in $XDG_CACHE_HOME/kchain/accel",
		  &run->accel },
		{ "cpu-model", 0, CMD_OPT_TEXT, "MODEL", "QEMU's processor model (default: max)", &run->cpu },
		{ "net", 'n', CMD_OPT_FLAG, NULL, "attach a user network (default: when the pipeline names one)",
		  &run->net },
		{ "no-net", 0, CMD_OPT_FLAG, NULL, "attach none", &run->no_net },
		{ "port", 'p', CMD_OPT_LIST, "HOST:GUEST", "forward a TCP port of 127.0.0.1; implies --net",
		  &run->ports },
		{ "disk", 'd', CMD_OPT_LIST, "FILE[,rw][,serial=S]",
		  "attach a disk, read-only; rw: written to; snapshot: what is written is lost. Raw, or what its "
		  "contents are: qcow2, …; format=F says it. By virtio, or as bus=nvme",
		  &run->disks },
		{ "handoff", 0, CMD_OPT_TEXT, "FILE",
		  "give the first link a handoff, as if a link had come before it;\n{\"state\": {…}} is enough, the "
		  "rest is filled in",
		  &run->handoff },
		{ "module", 0, CMD_OPT_LIST, "FILE[=NAME]", "give the first link a module", &run->modules },
		{ "args", 'a', CMD_OPT_TEXT, "TEXT", "the first link's command line", &run->args },
		{ "result", 'r', CMD_OPT_TEXT, "FILE", "write the final handoff as JSON", &more->result },
		{ "bootinfo", 0, CMD_OPT_TEXT, "FILE", "write what the machine told the first link, for `kchain plan`",
		  &more->bootinfo },
		{ "console", 0, CMD_OPT_TEXT, "FILE", "copy the console as it is", &more->console },
		{ "until", 'u', CMD_OPT_TEXT, "WHEN",
		  "ready (default): the last step's expectation is met; ended: the\n"
		  "machine has ended (default with --display); or an extended\nregular expression that a line of the "
		  "console matches",
		  &more->until },
		{ "timeout", 't', CMD_OPT_TIME, "TIME",
		  "give up after this long (default: 60s; 0: never, default with\n--display, --gdb and roots)",
		  &more->timeout_us },
		{ "hold", 0, CMD_OPT_TIME, "TIME", "keep the machine this long once it is ready", &run->hold_us },
		{ "screenshot", 's', CMD_OPT_TEXT, "FILE",
		  "write the screen's last picture (PNG, or PPM where FILE ends so)", &run->screenshot },
		{ "display", 0, CMD_OPT_FLAG, NULL, "show the screen in a window", &run->display },
		{ "gdb", 0, CMD_OPT_OPTIONAL, "PORT",
		  "halt until gdb comes to PORT (default: 1234; 0: a\n"
		  "free one), and say how gdb is started",
		  &run->gdb },
		{ "symbols", 0, CMD_OPT_LIST, "FOLDER",
		  "look there for the symbols of kernels that fault, by their build-ids, before the folders of the "
		  "image and of the pipeline's files",
		  &run->symbols },
		{ "shell", 0, CMD_OPT_FLAG, NULL,
		  "a shell on this terminal in the place of the root's program; Ctrl-] ends it", &run->shell },
		{ "icount", 0, CMD_OPT_FLAG, NULL, "time counts instructions: reproducible, and slower", &run->icount },
		{ "verbose", 'v', CMD_OPT_FLAG, NULL, "show every record, and long lines whole", &more->verbose },
		{ "json", 0, CMD_OPT_FLAG, NULL, "print what happened as one JSON document on stdout", &more->json },
	};
	const struct cmd_spec spec = {
		.command = "run",
		.operands = "IMAGE|PIPELINE|FOLDER",
		.opts = options,
		.opt_count = sizeof(options) / sizeof(options[0]),
		.least = 1,
		.most = 1,
		.rest = "QEMU-ARGUMENT…",
		.about = run_about,
		.epilog = run_epilog,
	};
	more->timeout_us = UINT64_MAX;
	int code = cmd_parse(&spec, argc, argv, &run->operands);
	run->operands.spec = NULL; /* ours ends here; the lists are freed by hand */
	return code;
}

static int check_options(struct run *run)
{
	static const char *const MACHINES[] = { "pc", "q35", "microvm", NULL }, *const ACCELS[] = { "auto", "tcg",
												    "kvm", NULL };
	bool machine = false, accel = false;
	for (size_t i = 0; MACHINES[i]; i++)
		machine = machine || strcmp(run->machine, MACHINES[i]) == 0;
	for (size_t i = 0; ACCELS[i]; i++)
		accel = accel || strcmp(run->accel, ACCELS[i]) == 0;
	if (!machine)
		return cmd_usage("run", "--machine: '%s' is not pc, q35 or microvm", run->machine);
	if (!accel)
		return cmd_usage("run", "--accel: '%s' is not auto, tcg or kvm", run->accel);
	if (run->gdb && !run_gdb_port(run))
		return cmd_usage("run", "--gdb: '%s' is no port from 0 to 65535", run->gdb);
	if (run->icount && strcmp(run->accel, "kvm") == 0)
		return cmd_usage("run", "--icount needs --accel tcg");
	if (run->no_net && (run->net || run->ports.count))
		return cmd_usage("run", "--no-net contradicts --net and --port");
	if (run->cpus < 1 || run->cpus > 255)
		return cmd_usage("run", "--cpus: %llu is not from 1 to 255", (unsigned long long)run->cpus);
	if (run->memory_bytes && (run->memory_bytes < 1 << 20 || run->memory_bytes % 4096))
		return cmd_usage(
			"run", "--memory: %llu bytes: at least 1M, in whole pages of 4K; a size has a unit, as in 16M",
			(unsigned long long)run->memory_bytes);
	if (run->shell && run->session_options.json)
		return cmd_usage("run", "--shell: its console is no JSON document");
	if (run->screenshot && strcmp(run->machine, "microvm") == 0)
		return cmd_usage("run", "--screenshot: a microvm has no screen");
	return -1;
}

static const char *own_words(struct run *run)
{
	char *text = run->errors;
	const char *colon = strstr(text, ": ");
	size_t end = strcspn(text, "\n");
	text[end] = '\0';
	return colon && colon < text + end ? colon + 2 : end ? text : "it ended at once and said nothing";
}

static json_t *about(const struct run *run)
{
	char id[CHAIN_SHA256_HEX + 8] = "sha256:";
	bool image = run->input.kind == CHAIN_KERNEL_IMAGE;
	if (image)
		chain_sha256_to_hex(run->input.image.header.id, id + 7);
	return json_pack("{s:s, s:s?, s:s, s:s, s:s, s:I, s:I, s:o}", "input", run->operands.v[0], "image",
			 image ? id : NULL, "kernel", chain_kernel_kind_name(run->input.kind), "machine", run->machine,
			 "accel", run->accel, "memory", (json_int_t)run->memory_bytes, "cpus", (json_int_t)run->cpus,
			 "ports", run_ports_json(run));
}

static void introduce(struct run *run)
{
	char size[CMD_SIZE_BYTES], id[CHAIN_SHA256_HEX + 1] = "";
	if (run->input.kind == CHAIN_KERNEL_IMAGE)
		chain_sha256_to_hex(run->input.image.header.id, id);
	fputs(cmd_style(stderr, CMD_BOLD), stderr);
	cmd_text_put(stderr, run->operands.v[0]);
	fprintf(stderr, "%s  %s%.12s  %s, %s, %llu cpu%s, %s%s\n", cmd_style(stderr, CMD_PLAIN),
		*id ? "sha256:" : chain_kernel_kind_name(run->input.kind), id, run->machine,
		cmd_size_text(run->memory_bytes, size), (unsigned long long)run->cpus, run->cpus == 1 ? "" : "s",
		run->accel, run->net ? ", net" : "");
	run_ports_print(run);
}

static int supervise(struct run *run)
{
	struct chain_error err = { 0 }, shot = { 0 };
	if (run_start(run, &err))
		return cmd_refuse(&err, run->session_options.json);
	enum run_end end = run_follow(run);
	run_shell_end(run); /* what follows is written to a terminal as it was */
	if (end == RUN_END_STOPPED)
		run_hold(run);
	if (run->screenshot && end != RUN_END_INTERRUPTED && run->ready)
		!run_screenshot(run, &shot) ? (void)0 : (void)cmd_error_print(&shot, false, 0);
	int status = qemu_stop(&run->qemu);
	int exit_status = WIFEXITED(status) && run->ended ? WEXITSTATUS(status) : -1;
	if (end == RUN_END_MACHINE && !run->ready) {
		chain_fail_text(&err, CHAIN_E_CMD_QEMU_FAILED, run->program, own_words(run));
		return cmd_refuse(&err, run->session_options.json);
	}
	if (run->errors_used)
		run_view_note(&run->session.view, CMD_YELLOW, "qemu", "%s", own_words(run));
	int port = exit_status > 0 && exit_status % 2 ? exit_status / 2 : -1;
	const struct run_ending ending = { .end = end, .port = port, .reset = run->was_reset };
	int code = run_session_finish(&run->session, ending, about(run));
	return code == CMD_OK && shot.status ? CMD_REFUSED : code;
}

/* Its program is what the run is about (docs/ROOTS.md): a server is not over once it is entered. */
static bool has_root(const struct run_input *input)
{
	const uint8_t *bytes;
	uint64_t count;
	return input->kind == CHAIN_KERNEL_IMAGE &&
	       !chain_image_file(&input->image, "/kchain/root", &bytes, &count, NULL, NULL);
}

static int prepared(struct run *run)
{
	struct chain_error err = { 0 };
	int code = check_options(run);
	if (code >= 0)
		return code;
	if (run_prepare(run, &err))
		return cmd_document_refuse(&run->input.document, &err, run->session_options.json);
	bool foreign = run->input.kind >= CHAIN_KERNEL_FOREIGN, root = has_root(&run->input);
	if (run->shell && !root)
		return cmd_usage("run", "--shell: %s has no root, whose shell it could be", run->operands.v[0]);
	if (run->session_options.timeout_us == UINT64_MAX)
		run->session_options.timeout_us = run->display || run->gdb || root ? 0 : 60000000;
	run->session_options.command = "run";
	run->session_options.local = true;
	run->session_options.screenshot = run->screenshot;
	run->session_options.cut = run->hold_us == 0;
	run->session_options.otherwise = run->display ? RUN_UNTIL_ENDED : RUN_UNTIL_READY;
	run->session_options.places = &run->places;
	fault_places_init(&run->places, &run->symbols, run->operands.v[0], &run->input);
	code = run_session_open(&run->session, &run->session_options, foreign);
	if (code < 0) {
		run->session.judge.root = root;
		introduce(run);
		if (run->gdb)
			run_gdb_introduce(run);
		code = supervise(run);
		run_session_close(&run->session);
	}
	fault_places_free(&run->places);
	return code;
}

int cmd_run(int argc, char **argv)
{
	struct run *run = calloc(1, sizeof(*run));
	if (!run)
		return cmd_usage("run", "out of memory");
	run->machine = "pc";
	run->accel = "auto";
	run->cpu = "max";
	run->cpus = 1;
	run->shot_fd = run->handoff_fd = run->loader_fd = run->input.fd = run->gdb_fd = -1;
	int code = parse_options(run, argc, argv);
	if (code < 0) {
		code = prepared(run);
		run_release(run);
	}
	free(run);
	return code;
}
