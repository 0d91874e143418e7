/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* The command as a person meets it: each bad input gives one clear line, the right exit code, and leaves no file
 * behind. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { ARGS = 10, TEXT_BYTES = 65536 };

static char command[PATH_MAX], folder[] = "/tmp/kchain-cli.XXXXXX";

struct done {
	int code;
	char out[TEXT_BYTES], err[TEXT_BYTES];
};

static void read_back(const char *name, char out[TEXT_BYTES])
{
	FILE *file = fopen(name, "re");
	assert_non_null(file);
	out[fread(out, 1, TEXT_BYTES - 1, file)] = '\0';
	fclose(file);
}

static pid_t start(const char *const *args)
{
	const char *argv[ARGS + 2] = { command };
	for (size_t i = 0; i < ARGS && args[i]; i++)
		argv[i + 1] = args[i];
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		int out = open("../out", O_WRONLY | O_CREAT | O_TRUNC, 0600),
		    err = open("../err", O_WRONLY | O_CREAT | O_TRUNC, 0600);
		dup2(open("/dev/null", O_RDONLY), 0);
		dup2(out, 1);
		dup2(err, 2);
		execv(command, (char **)(uintptr_t)argv);
		_exit(99);
	}
	return pid;
}

static struct done *finish(pid_t pid)
{
	static struct done done;
	int status;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	done.code = WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
	read_back("../out", done.out);
	read_back("../err", done.err);
	return &done;
}

static struct done *run(const char *const *args)
{
	return finish(start(args));
}

static void put(const char *name, const void *bytes, size_t count)
{
	FILE *file = fopen(name, "we");
	assert_non_null(file);
	assert_int_equal(fwrite(bytes, 1, count, file), count);
	assert_int_equal(fclose(file), 0);
}

static unsigned files(const char *path)
{
	unsigned count = 0;
	DIR *entries = opendir(path);
	assert_non_null(entries);
	for (struct dirent *entry; (entry = readdir(entries)) != NULL;)
		count += entry->d_name[0] != '.';
	closedir(entries);
	return count;
}

static unsigned lines(const char *text)
{
	unsigned count = 0;
	for (; *text; text++)
		count += *text == '\n';
	return count;
}

/* One line, and a hint or the way to the help below it. */
static void assert_clear(const struct done *done, int code, const char *what, const char *label)
{
	if (done->code != code || strncmp(done->err, "kchain", 6) != 0 || lines(done->err) > 2 ||
	    !strstr(done->err, what))
		fail_msg("%s: exit code %d, wanted %d and \"%s\":\n%s", label, done->code, code, what, done->err);
	if (strstr(done->err, "{s}") || strstr(done->err, "(null)"))
		fail_msg("%s: unfinished message: %s", label, done->err);
}

/* All that is wrong with a pipeline: lines of that form, each with its place, and how many there are. */
static void assert_all_clear(const struct done *done, const char *what, const char *label)
{
	if (done->code != 3 || !strstr(done->err, what) || strstr(done->err, "{s}") || strstr(done->err, "(null)"))
		fail_msg("%s: exit code %d, wanted 3 and \"%s\":\n%s", label, done->code, what, done->err);
	for (const char *line = done->err; *line; line += strcspn(line, "\n") + 1)
		if (strncmp(line, "kchain: p.json:", 15) != 0 && strncmp(line, "  hint: ", 8) != 0)
			fail_msg("%s: a line of another form:\n%s", label, line);
}

/* Multiboot 1 (section 3.1) at 1 MiB by the address fields; halts for ever: only a person or the clock ends it. */
static const unsigned char KERNEL[] = { 0x02, 0xb0, 0xad, 0x1b, 0,    0, 1,    0, 0xfe, 0x4f, 0x51, 0xe4,
					0,    0,    0x10, 0,    0,    0, 0x10, 0, 0,    0,    0,    0,
					0,    0,    0,    0,    0x20, 0, 0x10, 0, 0xf4, 0xeb, 0xfd, 0 };

/* --- command lines --- */

static void usage(void **state)
{
	(void)state;
	static const struct {
		const char *args[ARGS];
		const char *what;
	} CASES[] = {
		{ { "rnu" }, "did you mean 'run'" },
		{ { "--helb" }, "unknown option" },
		{ { "run" }, "is missing" },
		{ { "run", "a", "b" }, "one operand too many" },
		{ { "run", "--gdb", "1234", "a" }, "'1234' is taken as an operand: write --gdb=1234" },
		{ { "run", "a", "--gdb", "1234" }, "'1234' is taken as an operand: write --gdb=1234" },
		{ { "run", "--memroy", "1M", "a" }, "did you mean '--memory'" },
		{ { "run", "--memory", "1X", "a" }, "not a size" },
		{ { "run", "--memory" }, "wants SIZE" },
		{ { "run", "--memory=1M", "--memory=2M", "a" }, "given twice" },
		{ { "run", "--memory=5000", "a" }, "whole pages" },
		{ { "run", "--json=yes", "a" }, "takes no value" },
		{ { "run", "-Z", "a" }, "unknown option '-Z'" },
		{ { "run", "--machine", "vax", "a" }, "not pc, q35 or microvm" },
		{ { "run", "--accel", "warp", "a" }, "not auto, tcg or kvm" },
		{ { "run", "--cpus", "0", "a" }, "not from 1 to 255" },
		{ { "run", "--timeout", "soon", "a" }, "not a time" },
		{ { "run", "--net", "--no-net", "a" }, "contradicts" },
		{ { "run", "-m", "16", "a" }, "has a unit" },
		{ { "run", "--icount", "--accel", "kvm", "a" }, "needs --accel tcg" },
		{ { "watch" }, "is missing" },
		{ { "watch", "-", "--baud", "12345" }, "usual rates" },
		{ { "watch", "-", "--until", "(" }, "expression" },
		{ { "watch", "-", "--", "x" }, "nothing may follow" },
		{ { "plan" }, "is missing" },
	};
	for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++)
		assert_clear(run(CASES[i].args), 2, CASES[i].what, CASES[i].what);
	assert_int_equal(files("."), 0);
}

/* The line at `text` fits a terminal of 80 columns. */
static void assert_narrow(const char *text, const char *label)
{
	size_t columns = 0;
	for (const char *at = text; *at && *at != '\n'; at++)
		columns += ((unsigned char)*at & 0xc0) != 0x80;
	if (columns > 80)
		fail_msg("%s --help: a line of %zu columns: %.120s", label, columns, text);
}

static void help(void **state)
{
	(void)state;
	static const char *const COMMANDS[] = { "bake", "run", "plan",  "inspect", "verify",
						"ls",   "cat", "watch", "report",  "init" };
	const struct done *all = run((const char *[ARGS]){ "--help" });
	assert_int_equal(all->code, 0);
	char summary[TEXT_BYTES];
	memcpy(summary, all->out, sizeof(summary));
	for (size_t i = 0; i < sizeof(COMMANDS) / sizeof(COMMANDS[0]); i++) {
		const struct done *done = run((const char *[ARGS]){ COMMANDS[i], "--help" });
		assert_int_equal(done->code, 0);
		assert_non_null(strstr(summary, COMMANDS[i]));
		assert_non_null(strstr(done->out, "usage: kchain "));
		assert_non_null(strstr(done->out, "--json"));
		assert_string_equal(done->err, "");
		for (const char *line = done->out; *line; line += strcspn(line, "\n") + 1)
			assert_narrow(line, COMMANDS[i]);
	}
	for (const char *line = summary; *line; line += strcspn(line, "\n") + 1)
		assert_narrow(line, "");
	assert_int_equal(run((const char *[ARGS]){ "--version" })->code, 0);
	assert_int_equal(run((const char *[ARGS]){ NULL })->code, 2);
}

/* --- inputs --- */

#define STEP           "{\"name\":\"a\",\"boot\":\"fs:/k\"}"
#define PIPELINE(more) "{\"kchain\":1,\"name\":\"p\",\"files\":{\"/k\":\"kernel\"}," more "}"

static void bad_pipelines(void **state)
{
	(void)state;
	static const struct {
		const char *text, *what;
	} CASES[] = {
		{ "not json", "p.json" },
		{ "{", "p.json" },
		{ "", "p.json" },
		{ "{\"kchain\":1,\"kchain\":1}", "duplicate" },
		{ PIPELINE("\"stepz\":[]"), "steps" },
		{ PIPELINE("\"steps\":{}"), "steps" },
		{ PIPELINE("\"steps\":[" STEP "],\"name2\":1"), "name2" },
		{ PIPELINE("\"steps\":[{\"name\":\"a\",\"boot\":7}]"), "boot" },
		{ PIPELINE("\"steps\":[{\"name\":\"a\",\"boot\":\"ftp://x/k\"}]"), "ftp" },
		{ PIPELINE("\"steps\":[{\"name\":\"a\",\"boot\":\"fs:/missing\"}]"), "/missing" },
		{ PIPELINE("\"steps\":[" STEP ",{\"name\":\"b\",\"boot\":\"fs:/k\"}]"), "boot" },
		{ "{\"kchain\":1,\"name\":\"p\",\"files\":{\"/k\":\"gone\"},\"steps\":[" STEP "]}", "gone" },
		{ "{\"kchain\":9,\"name\":\"p\",\"files\":{},\"steps\":[]}", "kchain" },
	};
	put("kernel",
	    "\x7f"
	    "ELF",
	    4);
	for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
		put("p.json", CASES[i].text, strlen(CASES[i].text));
		assert_all_clear(run((const char *[ARGS]){ "bake", "p.json", "-o", "image.elf" }), CASES[i].what,
				 CASES[i].text);
		assert_all_clear(run((const char *[ARGS]){ "run", "p.json" }), CASES[i].what, CASES[i].text);
		assert_int_equal(files("."), 2);
	}
	unlink("p.json");
	unlink("kernel");
}

static void bad_kernels(void **state)
{
	(void)state;
	static const char SCRIPT[] = "#!/bin/sh\necho no kernel\n";
	static const char PE[] = "MZ\x90\0\x03\0\0\0\x04\0\0\0";
	unsigned char arm[64] = { 0x7f, 'E', 'L', 'F', 2, 1, 1, [16] = 2, [18] = 0xb7, [20] = 1, [52] = 64 };
	const struct {
		const void *bytes;
		size_t count;
		const char *what;
	} cases[] = {
		{ "", 0, "kernel" },
		{ "\x7f"
		  "ELF",
		  4, "kernel" },
		{ SCRIPT, sizeof(SCRIPT) - 1, "script" },
		{ PE, sizeof(PE), "PE" },
		{ arm, sizeof(arm), "kernel" },
	};
	static const char GOOD[] = PIPELINE("\"steps\":[" STEP "]");
	put("p.json", GOOD, sizeof(GOOD) - 1);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		put("kernel", cases[i].bytes, cases[i].count);
		assert_clear(run((const char *[ARGS]){ "run", "kernel" }), 3, cases[i].what, "run a bad kernel");
		assert_clear(run((const char *[ARGS]){ "run", "p.json" }), 3, "", "run a pipeline with a bad kernel");
		assert_clear(run((const char *[ARGS]){ "bake", "p.json", "-o", "image.elf" }), 3, "",
			     "bake a bad kernel");
		assert_int_equal(files("."), 2);
	}
	unlink("p.json");
	unlink("kernel");
}

static void bad_companions(void **state)
{
	(void)state;
	char kernel[] = "kernel", text[] = "{\"kchain_handoff\":2}";
	put(kernel, KERNEL, sizeof(KERNEL));
	put("handoff.json", text, sizeof(text) - 1);
	const struct {
		const char *args[ARGS];
		const char *what;
	} cases[] = {
		{ { "run", "gone" }, "gone" },
		{ { "run", kernel, "--handoff", "gone" }, "gone" },
		{ { "run", kernel, "--handoff", "handoff.json" }, "version" },
		{ { "run", kernel, "--handoff", kernel }, "kernel" },
		{ { "run", kernel, "--module", "gone" }, "gone" },
		{ { "run", kernel, "--module", "handoff.json=a/b", "--accel", "tcg" }, "a/b" },
		{ { "run", kernel, "--disk", "gone", "--accel", "tcg" }, "gone" },
		{ { "run", kernel, "-p", "80", "--accel", "tcg" }, "HOST:GUEST" },
		{ { "run", kernel, "-p", "0:80", "--accel", "tcg" }, "HOST:GUEST" },
		{ { "plan", kernel }, "no pipeline" },
		{ { "plan", "--mask", kernel }, "handoff" },
		{ { "watch", "gone" }, "gone" },
		{ { "watch", "-", "--console", "no/such/folder/file" }, "no/such" },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct done *done = run(cases[i].args);
		const char *last = strstr(done->err, "kchain:"); /* `run` may have said what it starts */
		if (done->code != 3 || !last || !strstr(last, cases[i].what))
			fail_msg("%s %s: exit code %d:\n%s", cases[i].args[1], cases[i].what, done->code, done->err);
		assert_int_equal(files("."), 2);
	}
	unlink(kernel);
	unlink("handoff.json");
}

static void missing_qemu_is_named_with_its_package(void **state)
{
	(void)state;
	put("kernel", KERNEL, sizeof(KERNEL));
	setenv("KCHAIN_QEMU", "/no/such/qemu", 1);
	assert_clear(run((const char *[ARGS]){ "run", "kernel" }), 3, "qemu-system-x86", "no QEMU");
	unsetenv("KCHAIN_QEMU");
	unlink("kernel");
}

static void errors_are_json_too(void **state)
{
	(void)state;
	const struct done *done = run((const char *[ARGS]){ "run", "gone", "--json" });
	json_t *doc = json_loads(done->out, 0, NULL);
	assert_int_equal(done->code, 3);
	assert_int_equal(json_integer_value(json_object_get(doc, "exit")), 3);
	assert_string_equal(json_string_value(json_object_get(json_object_get(doc, "error"), "slug")), "io");
	assert_string_equal(json_string_value(json_object_get(json_object_get(doc, "error"), "subject")), "gone");
	json_decref(doc);
}

/* --- plans --- */

static void expect_plan(const char *const args[ARGS], const char *what)
{
	const struct done *done = run(args);
	if (done->code != 0 || !strstr(done->out, what))
		fail_msg("exit code %d, \"%s\" wanted:\n%s%s", done->code, what, done->out, done->err);
}

/* What is not known before a boot stands in the plan as it does in the pipeline, unless it is given. */
static void plans_leave_open_what_they_can_not_know(void **state)
{
	(void)state;
	static const char TEXT[] =
		PIPELINE("\"net\":{\"lan\":{\"dhcp\":true}},\"state\":{\"n\":[\"{{results.c.result.n|0}}\"],\"m\":\"{{"
			 "results.c.exit|5}}\"},\"steps\":["
			 "{\"name\":\"c\",\"call\":\"fs:/k\",\"isolation\":\"svm\",\"args\":\"{{results.c.exit|none}} "
			 "m={{state.m}}\"},"
			 "{\"name\":\"b\",\"boot\":\"fs:/k\",\"args\":\"m={{state.m}} n={{results.c.result.n|none}} "
			 "a={{net.lan.address}}\"}]");
	static const char RESULTS[] = "{\"c\":{\"status\":\"ok\",\"exit\":0,\"result\":{\"n\":7}}}";
	static const char ENDED[] =
		"{\"kchain_handoff\":1,\"results\":{\"c\":{\"status\":\"ok\",\"exit\":0,\"result\":{\"n\":8}}}}";
	static const char DEVICES[] =
		"{\"net\":{\"lan\":{\"status\":\"configured\",\"addresses\":[\"10.0.2.15/24\"]}}}";
	put("kernel", KERNEL, sizeof(KERNEL));
	put("p.json", TEXT, sizeof(TEXT) - 1);
	put("r.json", RESULTS, sizeof(RESULTS) - 1);
	put("e.json", ENDED, sizeof(ENDED) - 1);
	put("d.json", DEVICES, sizeof(DEVICES) - 1);
	put("list", "[]", 2);
	expect_plan((const char *[ARGS]){ "plan", "p.json" },
		    "m={{state.m}} n={{results.c.result.n|none}} a={{net.lan.address}}\n");
	expect_plan((const char *[ARGS]){ "plan", "p.json", "--results", "r.json" }, "m=0 n=7 a={{net.lan.address}}\n");
	expect_plan((const char *[ARGS]){ "plan", "p.json", "--results", "r.json" },
		    "args     none m=5\n"); /* its own is not there yet */
	expect_plan((const char *[ARGS]){ "plan", "p.json", "--results", "e.json", "--devices", "d.json" },
		    "n=8 a=10.0.2.15\n");
	expect_plan((const char *[ARGS]){ "plan", "p.json", "--step", "b", "--devices", "d.json", "--json" },
		    "n={{results.c.result.n|none}} a=10.0.2.15\"");
	assert_clear(run((const char *[ARGS]){ "plan", "p.json", "--results", "list" }), 3, "list",
		     "results that are a list");
	assert_clear(run((const char *[ARGS]){ "plan", "p.json", "--results", "gone" }), 3, "gone",
		     "results that are not there");
}

/* --- runs --- */

static bool has_qemu(void)
{
	return access("/usr/bin/qemu-system-x86_64", X_OK) == 0;
}

static void a_timeout_has_its_own_exit_code(void **state)
{
	(void)state;
	if (!has_qemu())
		skip();
	put("kernel", KERNEL, sizeof(KERNEL));
	const struct done *done = run((const char *[ARGS]){ "run", "kernel", "--timeout", "500ms", "--accel", "tcg" });
	assert_int_equal(done->code, 124);
	assert_non_null(strstr(done->err, "timeout"));
	assert_int_equal(files("."), 1);
	unlink("kernel");
}

static void an_interrupt_ends_it_at_once(void **state)
{
	(void)state;
	if (!has_qemu())
		skip();
	put("kernel", KERNEL, sizeof(KERNEL));
	pid_t pid = start((const char *[ARGS]){ "run", "kernel", "--accel", "tcg" });
	nanosleep(&(struct timespec){ .tv_sec = 1 }, NULL);
	kill(pid, SIGINT);
	assert_int_equal(finish(pid)->code, 130);
	assert_int_equal(files("."), 1);
	unlink("kernel");
}

static void a_wrong_qemu_argument_is_passed_on_in_qemus_words(void **state)
{
	(void)state;
	if (!has_qemu())
		skip();
	put("kernel", KERNEL, sizeof(KERNEL));
	const struct done *done =
		run((const char *[ARGS]){ "run", "kernel", "--accel", "tcg", "--", "-device", "nonsense" });
	assert_int_equal(done->code, 3);
	assert_non_null(strstr(done->err, "nonsense"));
	unlink("kernel");
}

static void a_recorded_boot_is_watched_like_a_running_one(void **state)
{
	(void)state;
	static const char LOG[] =
		"@kchain {\"event\":\"entered\",\"link\":0,\"name\":\"front\",\"door\":\"multiboot1\"}\r\n"
		"@kchain {\"event\":\"handoff\",\"us\":2140,\"doc\":{\"kchain_handoff\":1}}\r\nhello \x9b"
		"2J\r\n@kchain {cut\r\n"
		"@kchain {\"event\":\"end\",\"status\":\"child-failed\",\"us\":61000000}\r\n";
	put("log", LOG, sizeof(LOG) - 1);
	const struct done *done = run((const char *[ARGS]){ "watch", "log", "--result", "handoff.json", "--json" });
	json_t *doc = json_loads(done->out, 0, NULL), *handoff = json_load_file("handoff.json", 0, NULL);
	assert_int_equal(done->code, 1);
	assert_int_equal(json_integer_value(json_object_get(json_object_get(doc, "records"), "bad")), 1);
	assert_int_equal(json_integer_value(json_object_get(handoff, "kchain_handoff")), 1);
	/* by the machine's own clock, not by how fast the file is read */
	assert_non_null(strstr(done->err, "    0.002  │ hello 2J\n"));
	assert_non_null(strstr(done->err, "   61.000  failed "));
	assert_float_equal(json_number_value(json_object_get(doc, "seconds")), 61, 0);
	json_decref(doc);
	json_decref(handoff);
	unlink("log");
	unlink("handoff.json");
}

/* The channel that has nothing but records, and no link of which had set its clock. */
static void a_log_of_records_alone_is_watched_and_invents_no_times(void **state)
{
	(void)state;
	static const char LOG[] = "{\"event\":\"entered\",\"link\":0,\"name\":\"front\",\"door\":\"multiboot1\","
				  "\"ticks\":1,\"tsc_hz\":0}\n"
				  "{\"event\":\"step\",\"name\":\"a\",\"kind\":\"call\",\"source\":\"fs:/k\"}\n"
				  "{\"event\":\"result\",\"step\":\"a\",\"status\":\"ok\",\"exit\":0}\n"
				  "{\"event\":\"end\",\"status\":\"ok\"}\n";
	put("log", LOG, sizeof(LOG) - 1);
	const struct done *done = run((const char *[ARGS]){ "watch", "log" });
	assert_int_equal(done->code, 0);
	assert_non_null(strstr(done->err, "        -  front      entered by multiboot1\n"));
	assert_non_null(strstr(done->err, "        -  a          ok  exit 0\n"));
	assert_non_null(strstr(done->err, "        -  ok         all steps done; 1 link, 1 call\n"));
	unlink("log");
}

/* --- set-up --- */

/* What a failed test left must not fail the next one. */
static int sweep(void **state)
{
	(void)state;
	DIR *entries = opendir(".");
	for (struct dirent *entry; entries && (entry = readdir(entries)) != NULL;)
		unlink(entry->d_name);
	return entries ? closedir(entries) : -1;
}

static int enter(void **state)
{
	(void)state;
	char self[PATH_MAX] = "";
	bool asan = readlink("/proc/self/exe", self, sizeof(self) - 1) > 0 && strstr(self, "/asan/");
	if (!realpath(asan ? "build/asan/kchain" : "build/kchain", command) || !mkdtemp(folder) || chdir(folder) < 0)
		return -1;
	setenv("NO_COLOR", "1", 1);
	setenv("TMPDIR", folder, 1); /* whatever a command leaves behind is seen */
	return mkdir("work", 0700) == 0 ? chdir("work") : -1;
}

static int leave(void **state)
{
	(void)state;
	unlink("../out");
	unlink("../err");
	bool clean = files(".") == 0 && chdir("..") == 0 && rmdir("work") == 0 && chdir("/") == 0 && rmdir(folder) == 0;
	return clean ? 0 : -1;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(usage, sweep),
		cmocka_unit_test_teardown(help, sweep),
		cmocka_unit_test_teardown(bad_pipelines, sweep),
		cmocka_unit_test_teardown(bad_kernels, sweep),
		cmocka_unit_test_teardown(bad_companions, sweep),
		cmocka_unit_test_teardown(missing_qemu_is_named_with_its_package, sweep),
		cmocka_unit_test_teardown(errors_are_json_too, sweep),
		cmocka_unit_test_teardown(plans_leave_open_what_they_can_not_know, sweep),
		cmocka_unit_test_teardown(a_timeout_has_its_own_exit_code, sweep),
		cmocka_unit_test_teardown(an_interrupt_ends_it_at_once, sweep),
		cmocka_unit_test_teardown(a_wrong_qemu_argument_is_passed_on_in_qemus_words, sweep),
		cmocka_unit_test_teardown(a_recorded_boot_is_watched_like_a_running_one, sweep),
		cmocka_unit_test_teardown(a_log_of_records_alone_is_watched_and_invents_no_times, sweep),
	};
	return cmocka_run_group_tests(tests, enter, leave);
}
