/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: `kchain run`: options, the machine they ask for, and following it until its end. */

#include "chain/handoff.h"
#include "chain/json.h"
#include "qemu.h"
#include "run_input.h"
#include "run_session.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MODULES_MAX = 32, SLACK_BYTES = 64 << 20, ERRORS_BYTES = 2048, QUIT_MS = 3000,
       SETTLE_US = 50000 }; /* so that the line that was waited for is shown whole */
#define MEMORY_DEFAULT (128ull << 20)

struct run {
	/* options */
	const char *machine, *accel, *cpu, *handoff, *args, *screenshot;
	uint64_t memory_bytes, cpus, hold_us;
	bool net, no_net, display, icount;
	struct cmd_list ports, disks, modules;
	struct run_session_options session_options;
	/* the run */
	struct cmd_args operands;
	struct run_input input;
	struct run_session session;
	struct qemu qemu;
	char program[QEMU_PATH_BYTES];
	struct qemu_module module_list[MODULES_MAX];
	char *module_paths[MODULES_MAX]; /* owned */
	size_t module_count;
	char monitor[65536]; size_t monitor_used; /* the monitor's unfinished line */
	bool ready, shut_down, ended, shot_done, shot_failed;
	int shot_fd, handoff_fd;
	char handoff_path[64];
	char errors[ERRORS_BYTES]; size_t errors_used; /* QEMU's own words, the first of them */
};

/* --- options --- */

static int parse_options(struct run *run, int argc, char **argv)
{
	struct run_session_options *more = &run->session_options;
	const struct cmd_opt options[] = {
		{ "memory", 'm', CMD_OPT_SIZE, "SIZE", "RAM (default: 128M, or what the image needs and 64M)", &run->memory_bytes },
		{ "cpus", 'c', CMD_OPT_COUNT, "N", "processors (default: 1)", &run->cpus },
		{ "machine", 'M', CMD_OPT_TEXT, "TYPE", "pc (default), q35 or microvm", &run->machine },
		{ "accel", 0, CMD_OPT_TEXT, "HOW", "auto (default), tcg or kvm. auto: the one that proves faster in a\n"
		  "short measurement, remembered in $XDG_CACHE_HOME/kchain/accel", &run->accel },
		{ "cpu", 0, CMD_OPT_TEXT, "MODEL", "QEMU's processor model (default: max)", &run->cpu },
		{ "net", 'n', CMD_OPT_FLAG, NULL, "attach a user network (default: when the pipeline names one)", &run->net },
		{ "no-net", 0, CMD_OPT_FLAG, NULL, "attach none", &run->no_net },
		{ "port", 'p', CMD_OPT_LIST, "HOST:GUEST", "forward a TCP port of 127.0.0.1; implies --net", &run->ports },
		{ "disk", 'd', CMD_OPT_LIST, "FILE[,ro][,serial=S]", "attach a raw disk by virtio-blk", &run->disks },
		{ "handoff", 0, CMD_OPT_TEXT, "FILE", "give the first link a handoff, as if a link had come before it;\n{\"state\": {…}} is enough, the rest is filled in", &run->handoff },
		{ "module", 0, CMD_OPT_LIST, "FILE[=NAME]", "give the first link a module", &run->modules },
		{ "args", 'a', CMD_OPT_TEXT, "TEXT", "the first link's command line", &run->args },
		{ "result", 'r', CMD_OPT_TEXT, "FILE", "write the final handoff as JSON", &more->result },
		{ "bootinfo", 0, CMD_OPT_TEXT, "FILE", "write what the machine told the first link, for `kchain plan`", &more->bootinfo },
		{ "console", 0, CMD_OPT_TEXT, "FILE", "copy the console as it is", &more->console },
		{ "until", 'u', CMD_OPT_TEXT, "WHEN", "ready (default): the last step's expectation is met; ended: the\n"
		  "machine has ended (default with --display); or an extended\nregular expression that a line of the console matches",
		  &more->until },
		{ "timeout", 't', CMD_OPT_TIME, "TIME", "give up after this long (default: 60s; 0: never, default with\n--display)", &more->timeout_us },
		{ "hold", 0, CMD_OPT_TIME, "TIME", "keep the machine this long once it is ready", &run->hold_us },
		{ "screenshot", 's', CMD_OPT_TEXT, "FILE", "write the screen's last picture (PNG, or PPM where FILE ends so)", &run->screenshot },
		{ "display", 0, CMD_OPT_FLAG, NULL, "show the screen in a window", &run->display },
		{ "icount", 0, CMD_OPT_FLAG, NULL, "time counts instructions: reproducible, and slower", &run->icount },
		{ "verbose", 'v', CMD_OPT_FLAG, NULL, "show every record, and long lines whole", &more->verbose },
		{ "json", 0, CMD_OPT_FLAG, NULL, "print what happened as one JSON document on stdout", &more->json },
	};
	const struct cmd_spec spec = {
		.command = "run", .operands = "IMAGE|PIPELINE|FOLDER", .opts = options, .opt_count = sizeof(options) / sizeof(options[0]),
		.least = 1, .most = 1, .rest = "QEMU-ARGUMENT…",
		.about = "Starts an image in QEMU, or a pipeline or a folder, which are baked first, or any Multiboot kernel.\n"
			 "Checks an image wholly before it is started. Shows each link as it happens, with its time.\n"
			 "Ctrl-C ends it; QEMU never outlives this command.",
		.epilog = "The console goes to stdout, all else to stderr. File names in QEMU arguments must be absolute: QEMU runs in\n"
			  "a folder of its own.\n\n"
			  "exit codes: 0 as expected, 1 a child failed, 2 usage, 3 input refused, 4 the stage failed,\n"
			  "            5 an expectation unmet, 124 timeout, 130 interrupted",
	};
	more->timeout_us = UINT64_MAX;
	int code = cmd_parse(&spec, argc, argv, &run->operands);
	run->operands.spec = NULL; /* ours ends here; the lists are freed by hand */
	if (more->timeout_us == UINT64_MAX)
		more->timeout_us = run->display ? 0 : 60000000;
	return code;
}

static int check_options(struct run *run)
{
	static const char *const MACHINES[] = { "pc", "q35", "microvm", NULL }, *const ACCELS[] = { "auto", "tcg", "kvm", NULL };
	bool machine = false, accel = false;
	for (size_t i = 0; MACHINES[i]; i++)
		machine = machine || strcmp(run->machine, MACHINES[i]) == 0;
	for (size_t i = 0; ACCELS[i]; i++)
		accel = accel || strcmp(run->accel, ACCELS[i]) == 0;
	if (!machine)
		return cmd_usage("run", "--machine: '%s' is not pc, q35 or microvm", run->machine);
	if (!accel)
		return cmd_usage("run", "--accel: '%s' is not auto, tcg or kvm", run->accel);
	if (run->icount && strcmp(run->accel, "kvm") == 0)
		return cmd_usage("run", "--icount needs --accel tcg");
	if (run->no_net && (run->net || run->ports.count))
		return cmd_usage("run", "--no-net contradicts --net and --port");
	if (run->cpus < 1 || run->cpus > 255)
		return cmd_usage("run", "--cpus: %llu is not from 1 to 255", (unsigned long long)run->cpus);
	if (run->memory_bytes && (run->memory_bytes < 1 << 20 || run->memory_bytes % 4096))
		return cmd_usage("run", "--memory: %llu bytes: at least 1M, in whole pages of 4K; a size has a unit, as in 16M",
				 (unsigned long long)run->memory_bytes);
	if (run->screenshot && strcmp(run->machine, "microvm") == 0)
		return cmd_usage("run", "--screenshot: a microvm has no screen");
	return -1;
}

/* --- inputs --- */

static enum chain_status add_module(struct run *run, const char *path, const char *string, struct chain_error *err)
{
	if (run->module_count == MODULES_MAX)
		return chain_fail(err, CHAIN_E_LIMIT, "modules", NULL, run->modules.count + 1, MODULES_MAX, 0, 0);
	if (access(path, R_OK) < 0)
		return chain_fail(err, CHAIN_E_IO, path, strerror(errno), 0, 0, 0, 0);
	run->module_list[run->module_count++] = (struct qemu_module){ .path = path, .string = string };
	return CHAIN_OK;
}

/* People write what they want to vary, `state` mostly; what every handoff has is put in where it is missing. */
static enum chain_status complete(json_t *doc, const char *path, struct chain_error *err)
{
	uint8_t seed[CHAIN_BOOT_ID_BYTES];
	char id[2 * CHAIN_BOOT_ID_BYTES + 1];
	if (getrandom(seed, sizeof(seed), 0) != (ssize_t)sizeof(seed))
		return chain_fail(err, CHAIN_E_IO, path, strerror(errno), 0, 0, 0, 0);
	for (size_t i = 0; i < sizeof(seed); i++)
		snprintf(id + 2 * i, 3, "%02x", seed[i]);
	json_t *usual = json_pack("{s:i, s:s, s:{s:s, s:s}, s:{}, s:[]}", "kchain_handoff", 1, "boot_id", id, "self", "step", "host", "kind",
				  "boot", "clock", "links");
	int bad = usual ? json_object_update_missing(doc, usual) : -1;
	json_decref(usual);
	return bad ? chain_fail(err, CHAIN_E_NO_MEMORY, path, NULL, 0, 0, 0, 0) : CHAIN_OK;
}

/* The completed handoff lies in a file without a name, which QEMU opens by our process's number. */
static enum chain_status write_handoff(struct run *run, const json_t *doc, struct chain_error *err)
{
	json_t *checked = NULL;
	char *text = json_dumps(doc, JSON_COMPACT);
	size_t count = text ? strlen(text) : 0;
	enum chain_status status = text ? chain_handoff_parse(text, count, &checked, err) :
					  chain_fail(err, CHAIN_E_NO_MEMORY, run->handoff, NULL, 0, 0, 0, 0);
	json_decref(checked);
	if (!status) {
		run->handoff_fd = memfd_create("kchain-handoff", MFD_CLOEXEC);
		if (run->handoff_fd < 0 || write(run->handoff_fd, text, count) != (ssize_t)count)
			status = chain_fail(err, CHAIN_E_IO, run->handoff, strerror(errno), 0, 0, 0, 0);
		snprintf(run->handoff_path, sizeof(run->handoff_path), "/proc/%ld/fd/%d", (long)getpid(), run->handoff_fd);
	}
	free(text);
	return status;
}

static enum chain_status make_handoff(struct run *run, struct chain_error *err)
{
	struct cmd_file file;
	json_t *doc;
	enum chain_status status = cmd_file_load(run->handoff, CHAIN_HANDOFF_MAX_BYTES, &file, err);
	if (status)
		return status;
	status = chain_json_load((const char *)file.bytes, file.bytes_count, CHAIN_HANDOFF_MAX_BYTES, run->handoff, &doc, err);
	cmd_file_free(&file);
	if (status)
		return status;
	status = complete(doc, run->handoff, err);
	if (!status)
		status = write_handoff(run, doc, err);
	json_decref(doc);
	return status;
}

static enum chain_status collect_modules(struct run *run, struct chain_error *err)
{
	for (size_t i = 0; i < run->modules.count; i++) {
		const char *text = run->modules.v[i], *equals = strchr(text, '='), *slash = strrchr(text, '/');
		size_t path_bytes = equals ? (size_t)(equals - text) : strlen(text);
		if (i >= MODULES_MAX)
			return chain_fail(err, CHAIN_E_LIMIT, "modules", NULL, run->modules.count, MODULES_MAX, 0, 0);
		char *path = run->module_paths[i] = strndup(text, path_bytes);
		if (!path)
			return chain_fail(err, CHAIN_E_NO_MEMORY, text, NULL, path_bytes, 0, 0, 0);
		enum chain_status status = add_module(run, path, equals ? equals + 1 : slash ? slash + 1 : text, err);
		if (status)
			return status;
	}
	if (!run->handoff)
		return CHAIN_OK;
	enum chain_status status = make_handoff(run, err);
	return status ? status : add_module(run, run->handoff_path, CHAIN_HANDOFF_STRING, err);
}

/* The user's own network devices take the place of ours. */
static bool extra_has_net(const struct run *run)
{
	for (size_t i = 0; i < run->operands.rest_count; i++)
		if (strcmp(run->operands.rest[i], "-netdev") == 0 || strcmp(run->operands.rest[i], "-nic") == 0)
			return true;
	return false;
}

static enum chain_status settle(struct run *run, struct chain_error *err)
{
	uint64_t need = run->input.memory_bytes;
	if (run->memory_bytes && need > run->memory_bytes)
		return chain_fail(err, CHAIN_E_CMD_MEMORY, run->operands.v[0], NULL, need >> 10, run->memory_bytes >> 10, 0, 0);
	if (!run->memory_bytes)
		run->memory_bytes = need + SLACK_BYTES <= MEMORY_DEFAULT ? MEMORY_DEFAULT :
				    (need + 2ull * SLACK_BYTES - 1) / SLACK_BYTES * SLACK_BYTES;
	if (!run->no_net && (run->ports.count || (run->input.wants_net && !extra_has_net(run))))
		run->net = true;
	if (run->icount)
		run->accel = "tcg";
	else if (strcmp(run->accel, "auto") == 0)
		run->accel = qemu_accel_choose(run->program);
	return CHAIN_OK;
}

static enum chain_status prepare(struct run *run, struct chain_error *err)
{
	enum chain_status status = run_input_open(run->operands.v[0], &run->input, err);
	if (!status)
		status = collect_modules(run, err);
	if (!status)
		status = qemu_find(run->program, err);
	if (!status)
		status = settle(run, err);
	if (!status && run->screenshot && (run->shot_fd = memfd_create("kchain-screen", 0)) < 0)
		status = chain_fail(err, CHAIN_E_IO, run->screenshot, strerror(errno), 0, 0, 0, 0);
	return status;
}

static enum chain_status start(struct run *run, struct chain_error *err)
{
	const struct qemu_config config = {
		.program = run->program, .machine = run->machine, .accel = run->accel, .cpu = run->cpu,
		.memory_bytes = run->memory_bytes, .cpus = run->cpus, .icount = run->icount, .display = run->display, .net = run->net,
		.keep_screen = run->screenshot != NULL, .kernel_fd = run->input.fd, .args = run->args, .ports = run->ports,
		.disks = run->disks, .modules = run->module_list, .module_count = run->module_count, .extra = run->operands.rest,
		.extra_count = run->operands.rest_count,
	};
	return qemu_start(&config, &run->qemu, err);
}

/* --- the monitor --- */

static void on_monitor_line(struct run *run, const char *line, size_t count)
{
	json_t *doc = json_loadb(line, count, 0, NULL);
	const char *event = json_string_value(json_object_get(doc, "event")), *id = json_string_value(json_object_get(doc, "id"));
	if (json_object_get(doc, "QMP"))
		qemu_tell(&run->qemu, "{\"execute\":\"qmp_capabilities\",\"id\":\"ready\"}\n");
	if (id && strcmp(id, "ready") == 0) { /* answered by its main loop: the machine is built, all files are open */
		run->ready = true;
		qemu_forget_files(&run->qemu);
	}
	if (event && strcmp(event, "SHUTDOWN") == 0)
		run->shut_down = true;
	if (id && strcmp(id, "screen") == 0) {
		run->shot_done = true;
		run->shot_failed = json_object_get(doc, "error") != NULL;
	}
	json_decref(doc);
}

static void on_monitor(struct run *run, const char *bytes, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (bytes[i] == '\n') {
			on_monitor_line(run, run->monitor, run->monitor_used);
			run->monitor_used = 0;
		} else if (run->monitor_used < sizeof(run->monitor)) {
			run->monitor[run->monitor_used++] = bytes[i];
		}
	}
}

static void on_errors(struct run *run, const char *bytes, size_t count)
{
	size_t room = sizeof(run->errors) - 1 - run->errors_used;
	if (count > room)
		count = room;
	memcpy(run->errors + run->errors_used, bytes, count);
	run->errors_used += count;
	run->errors[run->errors_used] = '\0';
}

/* --- following it --- */

enum stream { STREAM_RECORDS, STREAM_CONSOLE, STREAM_MONITOR, STREAM_ERRORS, STREAM_COUNT };

static void take(struct run *run, enum stream stream, const char *bytes, size_t count)
{
	switch (stream) {
	case STREAM_RECORDS:
		run_session_debug(&run->session, bytes, count);
		break;
	case STREAM_CONSOLE:
		run_session_console(&run->session, bytes, count);
		break;
	case STREAM_MONITOR:
		on_monitor(run, bytes, count);
		break;
	default:
		on_errors(run, bytes, count);
		break;
	}
}

/* Records first: a kernel's text must not be judged before the record that announces the kernel. Returns whether anything came. */
static bool pump(struct run *run, int wait_ms)
{
	int *fds[STREAM_COUNT] = { &run->qemu.records, &run->qemu.console, &run->qemu.monitor, &run->qemu.errors };
	struct pollfd polls[STREAM_COUNT + 1];
	static char bytes[65536];
	bool came = false;
	for (int i = 0; i < STREAM_COUNT; i++)
		polls[i] = (struct pollfd){ .fd = *fds[i], .events = POLLIN };
	polls[STREAM_COUNT] = (struct pollfd){ .fd = run->session.signals, .events = POLLIN };
	if (poll(polls, STREAM_COUNT + 1, wait_ms) <= 0) {
		run_view_flush(&run->session.view);
		return false;
	}
	for (int i = 0; i < STREAM_COUNT; i++) {
		if (*fds[i] < 0 || !(polls[i].revents & (POLLIN | POLLHUP | POLLERR)))
			continue;
		ssize_t got = read(*fds[i], bytes, sizeof(bytes));
		if (got > 0) {
			take(run, (enum stream)i, bytes, (size_t)got);
			came = true;
		} else {
			close(*fds[i]);
			*fds[i] = -1;
		}
	}
	return came;
}

/* Without waiting for it: its status stays to be read by qemu_stop. */
static bool process_ended(const struct run *run)
{
	siginfo_t info = { 0 };
	return waitid(P_PID, (id_t)run->qemu.pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == run->qemu.pid;
}

static enum run_end follow(struct run *run)
{
	enum run_end end;
	for (;;) {
		pump(run, run_session_wait_ms(&run->session));
		if (run_session_interrupted(&run->session))
			return RUN_END_INTERRUPTED;
		if (process_ended(run)) {
			while (pump(run, 0)) /* what it said last */
				;
			run->ended = true;
			return RUN_END_MACHINE;
		}
		if (run->shut_down && run->screenshot)
			return RUN_END_MACHINE;
		if (run_session_stop(&run->session, &end))
			return end;
	}
}

/* Ready and wanted for a while longer; the console goes on. */
static void hold(struct run *run)
{
	uint64_t start = run_clock_us(), hold_us = run->hold_us ? run->hold_us : SETTLE_US;
	while (!run->ended && !run->session.closed && run_clock_us() - start < hold_us) {
		uint64_t left_ms = (hold_us - (run_clock_us() - start)) / 1000 + 1;
		pump(run, left_ms < 100 ? (int)left_ms : 100);
		run->ended = process_ended(run);
		if (run_session_interrupted(&run->session))
			return;
	}
}

/* --- screenshot --- */

static enum chain_status take_screenshot(struct run *run, struct chain_error *err)
{
	char command[256];
	size_t name = strlen(run->screenshot);
	bool ppm = name > 4 && strcmp(run->screenshot + name - 4, ".ppm") == 0;
	uint64_t start = run_clock_us();
	if (run->ended)
		return chain_fail(err, CHAIN_E_CMD_NO_SCREEN, run->screenshot, "the machine left by its exit port", 0, 0, 0, 0);
	/* The descriptor is ours: QEMU opens it by our process's number. */
	snprintf(command, sizeof(command),
		 "{\"execute\":\"screendump\",\"id\":\"screen\",\"arguments\":{\"filename\":\"/proc/%ld/fd/%d\"%s}}\n", (long)getpid(),
		 run->shot_fd, ppm ? "" : ",\"format\":\"png\"");
	qemu_tell(&run->qemu, command);
	while (!run->shot_done && run_clock_us() - start < QUIT_MS * 1000 && run->qemu.monitor >= 0)
		pump(run, 100);
	if (!run->shot_done || run->shot_failed)
		return chain_fail(err, CHAIN_E_CMD_NO_SCREEN, run->screenshot, "QEMU gave no picture", 0, 0, 0, 0);
	char path[64];
	snprintf(path, sizeof(path), "/proc/self/fd/%d", run->shot_fd);
	struct cmd_file file;
	enum chain_status status = cmd_file_load(path, 0, &file, err);
	if (status)
		return status;
	status = cmd_file_write(run->screenshot, file.bytes, file.bytes_count, err);
	cmd_file_free(&file);
	return status;
}

/* --- the end --- */

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
	return json_pack("{s:s, s:s?, s:s, s:s, s:s, s:I, s:I}", "input", run->operands.v[0], "image", image ? id : NULL, "kernel",
			 chain_kernel_kind_name(run->input.kind), "machine", run->machine, "accel", run->accel, "memory",
			 (json_int_t)run->memory_bytes, "cpus", (json_int_t)run->cpus);
}

static void introduce(struct run *run)
{
	char size[CMD_SIZE_BYTES], id[CHAIN_SHA256_HEX + 1] = "";
	if (run->input.kind == CHAIN_KERNEL_IMAGE)
		chain_sha256_to_hex(run->input.image.header.id, id);
	fprintf(stderr, "%s%s%s  %s%.12s  %s, %s, %llu cpu%s, %s%s\n", cmd_style(stderr, CMD_BOLD), run->operands.v[0],
		cmd_style(stderr, CMD_PLAIN), *id ? "sha256:" : chain_kernel_kind_name(run->input.kind), id, run->machine,
		cmd_size_text(run->memory_bytes, size), (unsigned long long)run->cpus, run->cpus == 1 ? "" : "s", run->accel,
		run->net ? ", net" : "");
}

static int supervise(struct run *run)
{
	struct chain_error err = { 0 }, shot = { 0 };
	if (start(run, &err))
		return cmd_refuse(&err, run->session_options.json);
	enum run_end end = follow(run);
	if (end == RUN_END_STOPPED)
		hold(run);
	if (run->screenshot && end != RUN_END_INTERRUPTED && run->ready)
		take_screenshot(run, &shot) == CHAIN_OK ? (void)0 : (void)cmd_error_print(&shot, false, 0);
	int status = qemu_stop(&run->qemu);
	int exit_status = WIFEXITED(status) && run->ended ? WEXITSTATUS(status) : -1;
	if (end == RUN_END_MACHINE && !run->ready) {
		chain_fail(&err, CHAIN_E_CMD_QEMU_FAILED, run->program, own_words(run), 0, 0, 0, 0);
		return cmd_refuse(&err, run->session_options.json);
	}
	if (run->errors_used)
		run_view_note(&run->session.view, CMD_YELLOW, "qemu", "%s", own_words(run));
	int port = exit_status > 0 && exit_status % 2 ? exit_status / 2 : -1;
	int code = run_session_finish(&run->session, end, port, about(run));
	return code == CMD_OK && shot.status ? CMD_STAGE_FAILED : code;
}

static void release(struct run *run)
{
	for (size_t i = 0; i < MODULES_MAX; i++)
		free(run->module_paths[i]);
	if (run->shot_fd >= 0)
		close(run->shot_fd);
	if (run->handoff_fd >= 0)
		close(run->handoff_fd);
	run_input_close(&run->input);
	free(run->ports.v);
	free(run->disks.v);
	free(run->modules.v);
	cmd_args_free(&run->operands);
}

static int prepared(struct run *run)
{
	struct chain_error err = { 0 };
	int code = check_options(run);
	if (code >= 0)
		return code;
	if (prepare(run, &err))
		return cmd_refuse(&err, run->session_options.json);
	bool foreign = run->input.kind == CHAIN_KERNEL_MULTIBOOT1;
	run->session_options.command = "run";
	run->session_options.local = true;
	run->session_options.cut = run->hold_us == 0;
	run->session_options.otherwise = run->display ? RUN_UNTIL_ENDED : RUN_UNTIL_READY;
	code = run_session_open(&run->session, &run->session_options, foreign);
	if (code >= 0)
		return code;
	introduce(run);
	code = supervise(run);
	run_session_close(&run->session);
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
	run->shot_fd = run->handoff_fd = run->input.fd = -1;
	int code = parse_options(run, argc, argv);
	if (code < 0) {
		code = prepared(run);
		release(run);
	}
	free(run);
	return code;
}
