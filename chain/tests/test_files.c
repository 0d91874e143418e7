/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Files in and out of the command: what is mapped may be cut at any time, and what is written is in its place wholly or
 * not at all, on file systems with and without files that have no name. */
#include "../cmd/cmd.h"
#include "../cmd/cmd_out.h"
#include "random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PAGE = 4096, BYTES = (2 << 20) + 1000 };
static char folder[] = "/tmp/kchain-files-XXXXXX";
static uint8_t pattern[BYTES], copy[BYTES];

/* --- what the system does (chain/build.mk links these in) --- */

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
int __real_linkat(int from_fd, const char *from, int to_fd, const char *to, int flags);
int __wrap_linkat(int from_fd, const char *from, int to_fd, const char *to, int flags);
int __real_rename(const char *from, const char *to);
int __wrap_rename(const char *from, const char *to);

static struct system {
	bool no_nameless;            /* as NFS or FAT */
	int links_taken, link_error; /* so many names are there already; then this */
	int rename_error;
	unsigned links, renames; /* seen */
	int seen_before_rename;  /* entries of the folder then */
} sys;

static int entries(void)
{
	DIR *dir = opendir(folder);
	int count = -2;
	assert_non_null(dir);
	while (readdir(dir))
		count++;
	closedir(dir);
	return count;
}

int __wrap_open(const char *path, int flags, ...)
{
	va_list args;
	va_start(args, flags);
	mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(args, mode_t) : 0;
	va_end(args);
	if (sys.no_nameless && (flags & O_TMPFILE) == O_TMPFILE) {
		errno = EOPNOTSUPP;
		return -1;
	}
	return __real_open(path, flags, mode);
}

int __wrap_linkat(int from_fd, const char *from, int to_fd, const char *to, int flags)
{
	sys.links++;
	if (sys.links_taken > 0) {
		sys.links_taken--;
		errno = EEXIST;
		return -1;
	}
	if (sys.link_error) {
		errno = sys.link_error;
		return -1;
	}
	return __real_linkat(from_fd, from, to_fd, to, flags);
}

int __wrap_rename(const char *from, const char *to)
{
	sys.renames++;
	sys.seen_before_rename = entries();
	if (sys.rename_error) {
		errno = sys.rename_error;
		return -1;
	}
	return __real_rename(from, to);
}

/* --- helpers --- */

static const char *at(const char *name)
{
	static char paths[4][256];
	static unsigned next;
	next = (next + 1) % 4;
	snprintf(paths[next], sizeof(paths[next]), "%s/%s", folder, name);
	return paths[next];
}

static void put(const char *name, const void *bytes, size_t count)
{
	int fd = __real_open(at(name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, count), count);
	close(fd);
}

static void assert_holds(const char *name, const void *bytes, size_t count)
{
	struct cmd_file file;
	assert_int_equal(cmd_file_load(at(name), 0, &file, NULL), CHAIN_OK);
	assert_int_equal(file.bytes_count, count);
	assert_memory_equal(file.bytes, bytes, count);
	cmd_file_free(&file);
}

static void forget(void)
{
	sys = (struct system){ .links = 0 };
	unlink(at("out"));
}

/* --- files that are cut --- */

static void cut_while_mapped(void **state)
{
	(void)state;
	static const off_t SIZES[] = { 0,        1,         PAGE - 1,     PAGE,         PAGE + 1,
				       5 * PAGE, BYTES / 2, BYTES - PAGE, BYTES - 1000, BYTES - 999,
				       BYTES - 1 };
	for (size_t i = 0; i < sizeof(SIZES) / sizeof(SIZES[0]) + 40; i++) {
		const size_t listed = sizeof(SIZES) / sizeof(SIZES[0]);
		const off_t size = i < listed ? SIZES[i] : (off_t)rnd(BYTES);
		struct chain_error err = { 0 };
		struct cmd_file file;
		put("in", pattern, BYTES);
		assert_int_equal(cmd_file_load(at("in"), 0, &file, &err), CHAIN_OK);
		assert_non_null(file.map);
		assert_int_equal(cmd_file_check(&file, "in", &err), CHAIN_OK);
		if (i % 2)
			memcpy(copy, file.bytes, BYTES); /* so that there are pages already */
		assert_int_equal(truncate(at("in"), size), 0);
		memcpy(copy, file.bytes, BYTES);
		assert_memory_equal(copy, pattern, (size_t)size);
		for (off_t b = size; b < BYTES; b++)
			assert_int_equal(copy[b], 0);
		chain_fail_subject(&err, CHAIN_E_IMAGE_DIGEST, "what was found in it");
		assert_int_equal(cmd_file_check(&file, "in", &err), CHAIN_E_FILE_CHANGED);
		assert_int_equal(err.status, CHAIN_E_FILE_CHANGED);
		assert_string_equal(err.subject, "in");
		cmd_file_forget(&file);
		assert_int_equal(file.bytes[BYTES - 1], 0);
		cmd_file_free(&file);
	}
}

/* Only what was cut is lost; it stays lost when the file is whole again. */
static void others_stay(void **state)
{
	(void)state;
	struct chain_error err = { 0 };
	struct cmd_file one, two, three;
	put("one", pattern, BYTES);
	put("two", pattern, BYTES);
	assert_int_equal(cmd_file_load(at("one"), 0, &one, &err), CHAIN_OK);
	assert_int_equal(cmd_file_load(at("two"), 0, &two, &err), CHAIN_OK);
	assert_int_equal(cmd_file_load(at("two"), 0, &three, &err), CHAIN_OK);
	assert_int_equal(truncate(at("one"), PAGE), 0);
	assert_int_equal(one.bytes[PAGE], 0);
	assert_memory_equal(two.bytes, pattern, BYTES);
	put("one", pattern, BYTES);
	assert_int_equal(cmd_file_check(&one, "one", &err), CHAIN_E_FILE_CHANGED);
	assert_int_equal(cmd_file_check(&two, "two", NULL), CHAIN_OK);
	cmd_file_free(&two);
	assert_memory_equal(three.bytes, pattern, BYTES);
	assert_int_equal(truncate(at("two"), 0), 0);
	assert_int_equal(three.bytes[0], 0);
	cmd_file_free(&one);
	assert_int_equal(cmd_file_check(&three, "two", NULL), CHAIN_E_FILE_CHANGED);
	cmd_file_free(&three);
	unlink(at("one"));
	unlink(at("two"));
}

/* A SIGBUS that is not about a file of ours ends the process as ever. */
static void foreign_faults_stay_fatal(void **state)
{
	(void)state;
	int status;
	put("in", pattern, BYTES);
	pid_t pid = fork();
	if (pid == 0) {
		struct cmd_file file;
		signal(SIGBUS, SIG_DFL); /* no sanitizer's */
		if (cmd_file_load(at("in"), 0, &file, NULL))
			_exit(1);
		int fd = __real_open(at("in"), O_RDONLY | O_CLOEXEC);
		const volatile uint8_t *map = mmap(NULL, BYTES, PROT_READ, MAP_PRIVATE, fd, 0);
		if (truncate(at("in"), 0) < 0)
			_exit(2);
		_exit(map[PAGE] == 0 ? 3 : 4);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGBUS);
}

/* --- files that are written --- */

enum place { NOTHING, A_FILE, A_LINK, A_DANGLING_LINK, PLACES };

static void place_make(enum place place)
{
	forget();
	unlink(at("target"));
	if (place == A_FILE)
		put("out", "old", 3);
	if (place == A_LINK)
		put("target", "old", 3);
	if (place == A_LINK || place == A_DANGLING_LINK)
		assert_int_equal(symlink("target", at("out")), 0);
}

static void written_wholly(void **state)
{
	(void)state;
	const mode_t mask = umask(027);
	for (int nameless = 0; nameless < 2; nameless++) {
		for (enum place place = NOTHING; place < PLACES; place++) {
			struct chain_error err = { 0 };
			struct stat about;
			place_make(place);
			const int before = entries();
			sys.no_nameless = !nameless;
			assert_int_equal(cmd_file_write(at("out"), pattern, 100000, &err), CHAIN_OK);
			assert_int_equal(sys.renames, !nameless || place != NOTHING);
			if (sys.renames)
				assert_int_equal(sys.seen_before_rename, before + 1);
			assert_int_equal(entries(), before + (place == NOTHING));
			assert_holds("out", pattern, 100000);
			assert_int_equal(lstat(at("out"), &about), 0);
			assert_int_equal(about.st_mode, S_IFREG | 0640);
			if (place == A_LINK)
				assert_holds("target", "old", 3);
		}
	}
	umask(mask);
	forget();
}

/* Each way to fail leaves what was there, and nothing else. */
static void failures_leave_nothing(void **state)
{
	(void)state;
	static const struct {
		bool nameless;
		enum place place;
		int links_taken, link_error, rename_error, reported;
	} CASES[] = {
		{ true, NOTHING, 0, EIO, 0, EIO },      { true, NOTHING, 0, ENOSPC, 0, ENOSPC },
		{ true, A_FILE, 1, EIO, 0, EIO },       { true, A_FILE, 0, 0, EIO, EIO },
		{ true, A_FILE, 5, 0, ENOSPC, ENOSPC }, { true, A_FILE, 1000, 0, 0, EEXIST },
		{ false, NOTHING, 0, 0, EIO, EIO },     { false, A_FILE, 0, 0, EXDEV, EXDEV },
	};
	for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
		struct chain_error err = { 0 };
		place_make(CASES[i].place);
		const int before = entries();
		sys.no_nameless = !CASES[i].nameless;
		sys.links_taken = CASES[i].links_taken;
		sys.link_error = CASES[i].link_error;
		sys.rename_error = CASES[i].rename_error;
		assert_int_equal(cmd_file_write(at("out"), pattern, 1000, &err), CHAIN_E_IO);
		assert_string_equal(err.subject, at("out"));
		assert_string_equal(err.detail, strerror(CASES[i].reported));
		assert_int_equal(entries(), before);
		if (CASES[i].place == A_FILE)
			assert_holds("out", "old", 3);
	}
	forget();
	struct chain_error err = { 0 };
	assert_int_equal(cmd_file_write(at("missing/out"), "x", 1, &err), CHAIN_E_IO);
	assert_string_equal(err.detail, strerror(ENOENT));
}

/* A name beside that is taken is not touched: another one is tried. */
static void names_are_tried(void **state)
{
	(void)state;
	struct chain_error err = { 0 };
	place_make(A_FILE);
	sys.links_taken = 20;
	assert_int_equal(cmd_file_write(at("out"), "new", 3, &err), CHAIN_OK);
	assert_int_equal(sys.links, 21);
	assert_holds("out", "new", 3);
	forget();
}

static const struct {
	int number, code;
} SIGNALS[] = { { SIGINT, 130 }, { SIGTERM, 143 }, { SIGHUP, 129 }, { SIGKILL, -1 } };

/* In a child: opens, writes half, and waits for its end. */
static pid_t half_written(bool nameless, int ignored)
{
	int written[2];
	char byte;
	assert_int_equal(pipe(written), 0);
	pid_t pid = fork();
	if (pid == 0) {
		struct cmd_out out;
		sys.no_nameless = !nameless;
		for (size_t i = 0; i < sizeof(SIGNALS) / sizeof(SIGNALS[0]); i++)
			signal(SIGNALS[i].number, SIG_DFL); /* nohup and background jobs ignore some */
		if (ignored)
			signal(ignored, SIG_IGN);
		if (cmd_out_open(&out, at("out"), NULL) || write(out.fd, pattern, 1000) != 1000 ||
		    write(written[1], "", 1) != 1)
			_exit(99);
		if (ignored) {
			raise(ignored);
			_exit(cmd_out_commit(&out, NULL, NULL) ? 98 : 0);
		}
		for (;;)
			pause();
	}
	assert_int_equal(read(written[0], &byte, 1), 1);
	close(written[0]);
	close(written[1]);
	return pid;
}

static void signals_leave_nothing(void **state)
{
	(void)state;
	for (int nameless = 0; nameless < 2; nameless++) {
		for (size_t i = 0; i < sizeof(SIGNALS) / sizeof(SIGNALS[0]); i++) {
			int status;
			forget();
			const int before = entries();
			pid_t pid = half_written(nameless, 0);
			assert_int_equal(entries(), before + !nameless);
			kill(pid, SIGNALS[i].number);
			assert_int_equal(waitpid(pid, &status, 0), pid);
			if (SIGNALS[i].code >= 0) {
				assert_true(WIFEXITED(status));
				assert_int_equal(WEXITSTATUS(status), SIGNALS[i].code);
			}
			/* what the kernel lets nobody do: to remove a file that has a name after SIGKILL */
			assert_int_equal(entries(), before + (!nameless && SIGNALS[i].number == SIGKILL));
		}
	}
}

/* As under nohup. */
static void ignored_signals_stay_ignored(void **state)
{
	(void)state;
	int status;
	forget();
	pid_t pid = half_written(true, SIGHUP);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	assert_holds("out", pattern, 1000);
	forget();
}

static void unnamed_has_no_name(void **state)
{
	(void)state;
	for (int nameless = 0; nameless < 2; nameless++) {
		struct chain_error err = { 0 };
		struct cmd_out out;
		char back[4] = "";
		int fd;
		forget();
		const int before = entries();
		sys.no_nameless = !nameless;
		assert_int_equal(cmd_out_open_unnamed(&out, folder, &err), CHAIN_OK);
		assert_int_equal(entries(), before);
		assert_int_equal(write(out.fd, "abc", 3), 3);
		assert_int_equal(cmd_out_commit(&out, &fd, &err), CHAIN_OK);
		assert_int_equal(entries(), before);
		assert_int_equal(pread(fd, back, 3, 0), 3);
		assert_string_equal(back, "abc");
		close(fd);
		assert_int_equal(cmd_out_open_unnamed(&out, at("missing"), &err), CHAIN_E_IO);
	}
	forget();
}

static int folder_make(void **state)
{
	(void)state;
	for (size_t i = 0; i < BYTES; i++)
		pattern[i] = (uint8_t)(1 + rnd(255)); /* no zeros: those are what is lost */
	return mkdtemp(folder) ? 0 : -1;
}

static int folder_remove(void **state)
{
	char line[300];
	(void)state;
	snprintf(line, sizeof(line), "rm -rf '%s'", folder);
	return system(line);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cut_while_mapped),          cmocka_unit_test(others_stay),
		cmocka_unit_test(foreign_faults_stay_fatal), cmocka_unit_test(written_wholly),
		cmocka_unit_test(failures_leave_nothing),    cmocka_unit_test(names_are_tried),
		cmocka_unit_test(signals_leave_nothing),     cmocka_unit_test(ignored_signals_stay_ignored),
		cmocka_unit_test(unnamed_has_no_name),
	};
	return cmocka_run_group_tests(tests, folder_make, folder_remove);
}
