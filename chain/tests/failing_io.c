/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* What build/kchain-failing does to the command's system calls about files (qemu-tests/test_command_files.py):
 *
 * KCHAIN_FAIL_IO=N lets the N-th fail (from 0) and all that follow, with KCHAIN_FAIL_ONCE only that one; KCHAIN_FAIL_AS
 * says how: "eio", "enospc", "eintr" (only what a signal may interrupt), "short" (half is read or written), "kill" (the
 * process is killed in its place). KCHAIN_FAIL_ONLY=__wrap_NAME: only calls of this name count. KCHAIN_NO_TMPFILE: the
 * file system knows no files without a name. KCHAIN_SHRINK=PATH, KCHAIN_SHRINK_TO=BYTES, KCHAIN_SHRINK_AT=io:N or
 * sha:N: the file is cut behind the N-th of these calls, or of the pieces that are hashed. */
#include "failing_io.h"

#include "chain/verity.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum way { PASS, EIO_WAY, ENOSPC_WAY, EINTR_WAY, SHORT_WAY, KILL_WAY };
static const char *const WAYS[] = { "pass", "eio", "enospc", "eintr", "short", "kill" };

static struct {
	long left; /* calls before one fails; negative: none does */
	bool once, failed, no_nameless;
	const char *only; /* the wrapper; null: all */
	enum way way;
	const char *shrink;
	off_t shrink_to;
	long shrink_io, shrink_sha; /* calls before the file is cut; negative: none */
} io = { .left = -1, .shrink_io = -1, .shrink_sha = -1 };

bool failing_io_failed(void)
{
	return io.failed;
}

static void __attribute__((constructor)) begin(void)
{
	const char *n = getenv("KCHAIN_FAIL_IO"), *as = getenv("KCHAIN_FAIL_AS"), *at = getenv("KCHAIN_SHRINK_AT"),
		   *to = getenv("KCHAIN_SHRINK_TO");
	io.once = getenv("KCHAIN_FAIL_ONCE") != NULL;
	io.only = getenv("KCHAIN_FAIL_ONLY");
	io.no_nameless = getenv("KCHAIN_NO_TMPFILE") != NULL;
	for (size_t i = 0; n && as && i < sizeof(WAYS) / sizeof(WAYS[0]); i++)
		if (strcmp(as, WAYS[i]) == 0) {
			io.way = (enum way)i;
			io.left = atol(n);
		}
	io.shrink = getenv("KCHAIN_SHRINK");
	if (!io.shrink || !at || !to)
		return;
	io.shrink_to = atol(to);
	if (strncmp(at, "io:", 3) == 0)
		io.shrink_io = atol(at + 3);
	else
		io.shrink_sha = atol(at + 4);
}

static void shrink_tick(long *left)
{
	if (*left < 0 || (*left)-- > 0)
		return;
	io.failed = truncate(io.shrink, io.shrink_to) == 0;
}

/* What becomes of one call. `partial`: it may be interrupted, or do less than it was asked for. */
static enum way gate(const char *wrapper, bool partial)
{
	shrink_tick(&io.shrink_io);
	if (io.only && strcmp(wrapper, io.only) != 0)
		return PASS;
	if (io.left < 0 || io.left-- > 0)
		return PASS;
	io.left = io.once ? -1 : 0;
	if (io.way == KILL_WAY)
		raise(SIGKILL);
	if ((io.way == EINTR_WAY || io.way == SHORT_WAY) && !partial)
		return PASS;
	io.failed = true;
	/* a signal that comes again each time, and a file that gives half each time, would never end: those come once
	 */
	if (io.way == EINTR_WAY)
		io.left = -1;
	errno = io.way == EIO_WAY ? EIO : io.way == ENOSPC_WAY ? ENOSPC : EINTR;
	return io.way;
}

static bool refused(enum way way)
{
	return way != PASS && way != SHORT_WAY;
}

static bool fails(const char *wrapper)
{
	return refused(gate(wrapper, false));
}

static size_t share(enum way way, size_t count)
{
	return way == SHORT_WAY && count > 1 ? count / 2 : count;
}

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...)
{
	va_list args;
	va_start(args, flags);
	mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(args, mode_t) : 0;
	va_end(args);
	if (io.no_nameless && (flags & O_TMPFILE) == O_TMPFILE) {
		errno = EOPNOTSUPP;
		return -1;
	}
	return fails(__func__) ? -1 : __real_open(path, flags, mode);
}

int __real_mkostemp(char *template, int flags);
int __wrap_mkostemp(char *template, int flags);
int __wrap_mkostemp(char *template, int flags)
{
	return fails(__func__) ? -1 : __real_mkostemp(template, flags);
}

/* A descriptor is closed whatever close says. */
int __real_close(int fd);
int __wrap_close(int fd);
int __wrap_close(int fd)
{
	bool failed = fails(__func__);
	int number = errno, result = __real_close(fd);
	errno = failed ? number : errno;
	return failed ? -1 : result;
}

int __real_fstat(int fd, struct stat *about);
int __wrap_fstat(int fd, struct stat *about);
int __wrap_fstat(int fd, struct stat *about)
{
	return fails(__func__) ? -1 : __real_fstat(fd, about);
}
int __real_stat(const char *path, struct stat *about);
int __wrap_stat(const char *path, struct stat *about);
int __wrap_stat(const char *path, struct stat *about)
{
	return fails(__func__) ? -1 : __real_stat(path, about);
}
int __real_lstat(const char *path, struct stat *about);
int __wrap_lstat(const char *path, struct stat *about);
int __wrap_lstat(const char *path, struct stat *about)
{
	return fails(__func__) ? -1 : __real_lstat(path, about);
}
int __real_faccessat(int fd, const char *path, int mode, int flags);
int __wrap_faccessat(int fd, const char *path, int mode, int flags);
int __wrap_faccessat(int fd, const char *path, int mode, int flags)
{
	return fails(__func__) ? -1 : __real_faccessat(fd, path, mode, flags);
}

ssize_t __real_read(int fd, void *buf, size_t count);
ssize_t __wrap_read(int fd, void *buf, size_t count);
ssize_t __wrap_read(int fd, void *buf, size_t count)
{
	enum way way = gate(__func__, true);
	return refused(way) ? -1 : __real_read(fd, buf, share(way, count));
}
ssize_t __real_pread(int fd, void *buf, size_t count, off_t offset);
ssize_t __wrap_pread(int fd, void *buf, size_t count, off_t offset);
ssize_t __wrap_pread(int fd, void *buf, size_t count, off_t offset)
{
	enum way way = gate(__func__, true);
	return refused(way) ? -1 : __real_pread(fd, buf, share(way, count), offset);
}
ssize_t __real_write(int fd, const void *buf, size_t count);
ssize_t __wrap_write(int fd, const void *buf, size_t count);
ssize_t __wrap_write(int fd, const void *buf, size_t count)
{
	enum way way = gate(__func__, true);
	return refused(way) ? -1 : __real_write(fd, buf, share(way, count));
}
ssize_t __real_pwrite(int fd, const void *buf, size_t count, off_t offset);
ssize_t __wrap_pwrite(int fd, const void *buf, size_t count, off_t offset);
ssize_t __wrap_pwrite(int fd, const void *buf, size_t count, off_t offset)
{
	enum way way = gate(__func__, true);
	return refused(way) ? -1 : __real_pwrite(fd, buf, share(way, count), offset);
}
ssize_t __real_copy_file_range(int from, off_t *from_at, int to, off_t *to_at, size_t count, unsigned flags);
ssize_t __wrap_copy_file_range(int from, off_t *from_at, int to, off_t *to_at, size_t count, unsigned flags);
ssize_t __wrap_copy_file_range(int from, off_t *from_at, int to, off_t *to_at, size_t count, unsigned flags)
{
	enum way way = gate(__func__, true);
	return refused(way) ? -1 : __real_copy_file_range(from, from_at, to, to_at, share(way, count), flags);
}
int __real_ftruncate(int fd, off_t size);
int __wrap_ftruncate(int fd, off_t size);
int __wrap_ftruncate(int fd, off_t size)
{
	return refused(gate(__func__, true)) ? -1 : __real_ftruncate(fd, size);
}
off_t __real_lseek(int fd, off_t offset, int whence);
off_t __wrap_lseek(int fd, off_t offset, int whence);
off_t __wrap_lseek(int fd, off_t offset, int whence)
{
	return fails(__func__) ? -1 : __real_lseek(fd, offset, whence);
}
void *__real_mmap(void *at, size_t bytes, int protection, int flags, int fd, off_t offset);
void *__wrap_mmap(void *at, size_t bytes, int protection, int flags, int fd, off_t offset);
void *__wrap_mmap(void *at, size_t bytes, int protection, int flags, int fd, off_t offset)
{
	return fails(__func__) ? MAP_FAILED : __real_mmap(at, bytes, protection, flags, fd, offset);
}

int __real_linkat(int from_fd, const char *from, int to_fd, const char *to, int flags);
int __wrap_linkat(int from_fd, const char *from, int to_fd, const char *to, int flags);
int __wrap_linkat(int from_fd, const char *from, int to_fd, const char *to, int flags)
{
	return fails(__func__) ? -1 : __real_linkat(from_fd, from, to_fd, to, flags);
}
int __real_rename(const char *from, const char *to);
int __wrap_rename(const char *from, const char *to);
int __wrap_rename(const char *from, const char *to)
{
	return fails(__func__) ? -1 : __real_rename(from, to);
}
int __real_fchmod(int fd, mode_t mode);
int __wrap_fchmod(int fd, mode_t mode);
int __wrap_fchmod(int fd, mode_t mode)
{
	return fails(__func__) ? -1 : __real_fchmod(fd, mode);
}
int __real_fchdir(int fd);
int __wrap_fchdir(int fd);
int __wrap_fchdir(int fd)
{
	return fails(__func__) ? -1 : __real_fchdir(fd);
}
int __real_mkdir(const char *path, mode_t mode);
int __wrap_mkdir(const char *path, mode_t mode);
int __wrap_mkdir(const char *path, mode_t mode)
{
	return fails(__func__) ? -1 : __real_mkdir(path, mode);
}

DIR *__real_fdopendir(int fd);
DIR *__wrap_fdopendir(int fd);
DIR *__wrap_fdopendir(int fd)
{
	return fails(__func__) ? NULL : __real_fdopendir(fd);
}
struct dirent *__real_readdir(DIR *folder);
struct dirent *__wrap_readdir(DIR *folder);
struct dirent *__wrap_readdir(DIR *folder)
{
	return fails(__func__) ? NULL : __real_readdir(folder);
}
ssize_t __real_readlink(const char *path, char *buf, size_t size);
ssize_t __wrap_readlink(const char *path, char *buf, size_t size);
ssize_t __wrap_readlink(const char *path, char *buf, size_t size)
{
	return fails(__func__) ? -1 : __real_readlink(path, buf, size);
}
ssize_t __real_llistxattr(const char *path, char *list, size_t size);
ssize_t __wrap_llistxattr(const char *path, char *list, size_t size);
ssize_t __wrap_llistxattr(const char *path, char *list, size_t size)
{
	return fails(__func__) ? -1 : __real_llistxattr(path, list, size);
}
ssize_t __real_lgetxattr(const char *path, const char *name, void *value, size_t size);
ssize_t __wrap_lgetxattr(const char *path, const char *name, void *value, size_t size);
ssize_t __wrap_lgetxattr(const char *path, const char *name, void *value, size_t size)
{
	return fails(__func__) ? -1 : __real_lgetxattr(path, name, value, size);
}

void __real_chain_sha256_update(struct chain_sha256 *ctx, const void *bytes, uint64_t count);
void __wrap_chain_sha256_update(struct chain_sha256 *ctx, const void *bytes, uint64_t count);
void __wrap_chain_sha256_update(struct chain_sha256 *ctx, const void *bytes, uint64_t count)
{
	__real_chain_sha256_update(ctx, bytes, count);
	shrink_tick(&io.shrink_sha);
}

void __real_chain_verity_update(struct chain_verity *v, const void *bytes, uint64_t count);
void __wrap_chain_verity_update(struct chain_verity *v, const void *bytes, uint64_t count);
void __wrap_chain_verity_update(struct chain_verity *v, const void *bytes, uint64_t count)
{
	__real_chain_verity_update(v, bytes, count);
	shrink_tick(&io.shrink_sha);
}
