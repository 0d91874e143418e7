/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* The first process of a Linux that was booted for a root (docs/ROOTS.md): this file is the picture of it. */

#include "chain/handoff.h"
#include "chain/json_write.h"
#include "run.h"
#include "say.h"
#include "system.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/reboot.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

#define SPEC_FILE    "/kchain/root.json"
#define HANDOFF_FILE "/kchain/handoff.json"
#define NEXT_FILE    "/kchain/kchain-next" /* where the root asks for it */
#define OWN_FOLDER   "/run/kchain"         /* of the root, where programs find what the chain tells them */
enum { RESULT_MAX_BYTES = 1024 * 1024, CMDLINE_MAX_BYTES = 64 * 1024, USERS_MAX_BYTES = 8 << 20 };
enum { STATUS_NOT_STARTED = 127, STATUS_INIT_FAILED = 126 };

struct boot {
	struct init_spec spec;
	int next;           /* NEXT_FILE, open; -1: it is not there */
	char *handoff_text; /* null: there is none */
	uint64_t handoff_bytes;
	json_t *handoff; /* never null once it was read */
	struct init_interfaces interfaces;
	int index[INIT_INTERFACES_MAX];
	uint64_t age_s[INIT_INTERFACES_MAX];
	struct init_user user;
	struct init_app app;
	struct init_outcome outcome;
};

/* --- what is to be done --- */

static enum chain_status read_spec(struct boot *boot, struct chain_error *err)
{
	char *text;
	uint64_t bytes;
	enum chain_status status = init_read(SPEC_FILE, INIT_SPEC_MAX_BYTES, &text, &bytes, err);
	if (status)
		return status;
	status = init_spec_parse(text, bytes, &boot->spec, err);
	free(text);
	return status;
}

static enum chain_status read_handoff(struct boot *boot, struct chain_error *err)
{
	enum chain_status status = CHAIN_OK;
	if (access(HANDOFF_FILE, F_OK)) {
		boot->handoff = json_object();
		return boot->handoff ? CHAIN_OK : chain_fail_no_memory(err, "the handoff", 1);
	}
	status = init_read(HANDOFF_FILE, CHAIN_HANDOFF_MAX_BYTES, &boot->handoff_text, &boot->handoff_bytes, err);
	if (!status)
		status = chain_handoff_parse(boot->handoff_text, boot->handoff_bytes, &boot->handoff, err);
	if (!status)
		status = init_spec_expand(&boot->spec, boot->handoff, err);
	if (json_is_true(json_object_get(boot->handoff, "shell")))
		boot->spec.shell = true;
	return status ? status : init_interfaces_read(boot->handoff, &boot->interfaces, err);
}

/* The image's own words come last: with kchain.shell=0 no handoff gets a shell. */
static enum chain_status read_cmdline(struct boot *boot, struct chain_error *err)
{
	char *cmdline;
	uint64_t bytes;
	enum chain_status status = init_read("/proc/cmdline", CMDLINE_MAX_BYTES, &cmdline, &bytes, err);
	if (status)
		return status;
	status = init_spec_cmdline(cmdline, &boot->spec, err);
	free(cmdline);
	return status;
}

/* --- the network --- */

/* Microseconds on the handoff's clock; false where no link knew its rate. */
static bool handoff_now(const json_t *handoff, uint64_t *out_us)
{
	const json_t *clock = json_object_get(handoff, "clock");
	const char *origin = json_string_value(json_object_get(clock, "origin_ticks"));
	json_int_t hz = json_integer_value(json_object_get(clock, "tsc_hz"));
	uint64_t begun = origin ? strtoull(origin, NULL, 16) : 0, now = __rdtsc();
	if (!origin || hz < 1000 || now < begun)
		return false;
	*out_us = (uint64_t)((unsigned __int128)(now - begun) * 1000000 / (uint64_t)hz);
	return true;
}

static enum chain_status set_up_network(struct boot *boot, struct chain_error *err)
{
	struct timespec up;
	uint64_t now_us;
	const char *hostname = boot->spec.hostname ? boot->spec.hostname : boot->interfaces.hostname;
	clock_gettime(CLOCK_BOOTTIME, &up);
	if (!handoff_now(boot->handoff, &now_us))
		now_us = (uint64_t)up.tv_sec * 1000000;
	for (size_t i = 0; i < boot->interfaces.count; i++) {
		uint64_t obtained = boot->interfaces.of[i].lease.obtained_us;
		boot->age_s[i] = now_us > obtained ? (now_us - obtained) / 1000000 : 0;
	}
	enum chain_status status = init_network_up(&boot->interfaces, boot->index, err);
	return status ? status : init_names_set(&boot->interfaces, *hostname ? hostname : "kchain", err);
}

/* --- the program --- */

static enum chain_status find_user(struct boot *boot, struct chain_error *err)
{
	char *passwd = NULL, *group = NULL;
	uint64_t bytes;
	if (init_read("/etc/passwd", USERS_MAX_BYTES, &passwd, &bytes, NULL))
		passwd = NULL;
	if (init_read("/etc/group", USERS_MAX_BYTES, &group, &bytes, NULL))
		group = NULL;
	enum chain_status status =
		init_user_find(boot->spec.user, passwd ? passwd : "", group ? group : "", &boot->user, err);
	free(passwd);
	free(group);
	return status;
}

/* A copy in the root, since the initial file system is gone. */
static enum chain_status put_next(int from, struct chain_error *err)
{
	static const char path[] = OWN_FOLDER "/kchain-next";
	int to = from < 0 ? -1 : open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0555);
	ssize_t moved = to < 0 ? -1 : 1;
	while (moved > 0)
		moved = sendfile(to, from, NULL, 1 << 20);
	enum chain_status status = from >= 0 && moved < 0 ? init_fail(err, path) : CHAIN_OK;
	close(to);
	close(from);
	return status;
}

/* What the chain tells the program, and where the program leaves its result. */
static enum chain_status own_folder(struct boot *boot, struct chain_error *err)
{
	if (mkdir(OWN_FOLDER, 0755) || chown(OWN_FOLDER, boot->user.uid, boot->user.gid))
		return init_fail(err, OWN_FOLDER);
	enum chain_status status = put_next(boot->next, err);
	if (status || !boot->handoff_text)
		return status;
	return init_write_file(OWN_FOLDER "/handoff.json", boot->handoff_text, boot->handoff_bytes, 0444, err);
}

static enum chain_status start(struct boot *boot, struct chain_error *err)
{
	init_run_prepare();
	enum chain_status status = boot->spec.shell ? init_shell_start(&boot->spec, &boot->app, err) :
						      init_app_start(&boot->spec, &boot->user, &boot->app, err);
	if (status)
		return status;
	json_t *argv = json_array();
	for (size_t i = 0; i < boot->spec.argc; i++)
		json_array_append_new(argv, json_string(boot->spec.argv[i]));
	init_record(chain_json_object(CHAIN_TEXT("event", "application"), CHAIN_STEAL("argv", argv),
				      CHAIN_INT("pid", boot->app.pid), CHAIN_INT("uid", boot->user.uid),
				      CHAIN_INT("gid", boot->user.gid), CHAIN_BOOL("shell", boot->spec.shell)));
	return CHAIN_OK;
}

/* --- its end --- */

static json_t *read_result(void)
{
	struct chain_error err = { 0 };
	char *text;
	uint64_t bytes;
	json_t *result = NULL;
	if (access(OWN_FOLDER "/result.json", F_OK))
		return NULL;
	enum chain_status status = init_read(OWN_FOLDER "/result.json", RESULT_MAX_BYTES, &text, &bytes, &err);
	if (!status) {
		status = chain_json_any(text, bytes, CHAIN_RESULT_DEPTH_MAX, OWN_FOLDER "/result.json", &result, &err);
		free(text);
	}
	if (status)
		init_say_error(&err);
	return result;
}

static void tell_end(const struct boot *boot)
{
	const struct init_outcome *outcome = &boot->outcome;
	json_t *record = chain_json_object(CHAIN_TEXT("event", "exit"), CHAIN_INT("status", outcome->status)),
	       *result = read_result();
	if (outcome->reason[0])
		init_say("%s: %s", boot->spec.shell ? "the shell" : boot->spec.argv[0], outcome->reason);
	init_record(chain_json_object(CHAIN_TEXT("event", "output"),
				      CHAIN_STEAL("stdout", init_tail_lines(&outcome->out)),
				      CHAIN_STEAL("stderr", init_tail_lines(&outcome->err))));
	if (result)
		json_object_set_new(record, "result", result);
	if (outcome->reason[0])
		json_object_set_new(record, "reason", json_string(outcome->reason));
	init_record(record);
}

static void end(enum init_end how, int status)
{
	sync();
	init_exit_port(status);
	reboot(how == INIT_END_REBOOT ? RB_AUTOBOOT : RB_POWER_OFF);
	for (;;)
		pause();
}

/* The spine: nothing is started until everything that it needs is there. */
static enum chain_status boot_root(struct boot *boot, struct chain_error *err)
{
	enum chain_status status = read_spec(boot, err);
	if (!status)
		status = read_handoff(boot, err);
	if (!status)
		status = read_cmdline(boot, err);
	if (!status)
		status = init_modules_load(&boot->spec, err);
	boot->next = open(NEXT_FILE, O_RDONLY | O_CLOEXEC);
	if (!status)
		status = init_root_enter(&boot->spec, err);
	if (!status)
		status = find_user(boot, err);
	if (!status)
		status = own_folder(boot, err);
	if (!status)
		status = set_up_network(boot, err);
	return status ? status : start(boot, err);
}

int main(void)
{
	static struct boot boot;
	struct chain_error err = { 0 };
	umask(022);
	enum chain_status status = init_mounts_early(&err);
	init_say_begin();
	reboot(RB_DISABLE_CAD); /* Ctrl-Alt-Del is a signal to init then */
	if (!status)
		status = boot_root(&boot, &err);
	if (status) {
		init_say_error(&err);
		boot.outcome.status = status == CHAIN_E_INIT_START ? STATUS_NOT_STARTED : STATUS_INIT_FAILED;
		chain_error_format(&err, boot.outcome.reason, sizeof(boot.outcome.reason));
		init_record(chain_json_object(CHAIN_TEXT("event", "exit"), CHAIN_INT("status", boot.outcome.status),
					      CHAIN_TEXT("reason", boot.outcome.reason)));
		end((enum init_end)boot.spec.end, boot.outcome.status);
	}
	const struct init_world world = { &boot.spec, &boot.interfaces, boot.index, boot.age_s };
	init_run(&world, &boot.app, &boot.outcome);
	tell_end(&boot);
	end((enum init_end)boot.spec.end, boot.outcome.status);
	return 0;
}
