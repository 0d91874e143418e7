/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* The system calls as the C library meets them: exact answers where it asks well, and an errno where it does not. */
#include "../../fs/tests/support.h"
#include "stage/libc/syscall.h"
#include "fake_machine.h"

#include "stage/clock.h"
#include "stage/console.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>

enum { FILES_MAX = 32, FIRST_FD = 3, SCRATCH = 8192 };

int64_t stage_syscall(uint64_t number, const uint64_t args[STAGE_SYSCALL_ARGS]);

const struct chain_image_header stage_image_header;
static struct kchain_call call = { .abi = KCHAIN_NATIVE_ABI };
static uint8_t written[64 * 1024];
static size_t written_bytes;
static uint64_t slept_us;

void stage_console_write(const char *bytes, uint64_t count)
{
	assert_true(count <= sizeof(written));
	if (written_bytes + count > sizeof(written))
		written_bytes = 0;
	memcpy(written + written_bytes, bytes, count);
	written_bytes += count;
}

const char *stage_name(void)
{
	return "a kernel";
}
uint64_t stage_clock_us(void)
{
	return 12345678;
}
void stage_sleep_us(uint64_t us)
{
	slept_us = us;
}
void *stage_phys_to_virt(uint64_t phys)
{
	return (void *)phys;
}
void *stage_heap_map(uint64_t bytes)
{
	return bytes && bytes <= 1 << 20 ? written : NULL;
}
bool stage_heap_unmap(void *virt, uint64_t bytes)
{
	return virt == written && bytes;
}

_Noreturn void stage_exit(int status)
{
	fake_machine.exit = status;
	fake_end();
}

static int64_t sys(uint64_t number, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
	const uint64_t args[STAGE_SYSCALL_ARGS] = { a, b, c, d, 0, 0 };
	return stage_syscall(number, args);
}

static uint64_t p(const void *at)
{
	return (uint64_t)at;
}
static int64_t open_at(const char *path, int flags)
{
	return sys(SYS_openat, (uint64_t)AT_FDCWD, p(path), (uint64_t)flags, 0);
}

static int make_files(void **state)
{
	static char hello[] = "hello, world\n", large[10000];
	const struct fs_spec specs[] = {
		{ .path = "/hello",
		  .type = FS_REGULAR,
		  .mode = 0644,
		  .mtime = 77,
		  .size_bytes = sizeof(hello) - 1,
		  .cookie = hello },
		{ .path = "/large", .type = FS_REGULAR, .mode = 0600, .size_bytes = sizeof(large), .cookie = large },
		{ .path = "/dir/empty", .type = FS_REGULAR, .mode = 0644, .cookie = hello },
		{ .path = "/link", .type = FS_SYMLINK, .mode = 0777, .target = "dir/../hello" },
		{ .path = "/loop", .type = FS_SYMLINK, .mode = 0777, .target = "loop" },
		{ .path = "/null", .type = FS_CHAR_DEVICE, .mode = 0666, .rdev = 259 },
	};

	for (size_t i = 0; i < sizeof(large); i++)
		large[i] = (char)(i % 251);
	struct image *image = image_of(specs, sizeof(specs) / sizeof(specs[0]));
	call.fs = p(image->bytes);
	call.fs_bytes = image->bytes_count;
	stage_boot.call = &call;
	stage_boot.face = &stage_called_face;
	*state = image;
	return 0;
}

static int free_files(void **state)
{
	image_free(*state);
	return 0;
}

static void files_are_read(void **state)
{
	char buf[64] = { 0 };
	struct iovec v[] = { { buf, 5 }, { buf + 5, 0 }, { buf + 5, 50 } };
	int64_t fd = open_at("hello", O_RDONLY | O_CLOEXEC), large = open_at("//large", O_RDONLY);

	(void)state;
	assert_int_equal(fd, FIRST_FD);
	assert_int_equal(sys(SYS_read, (uint64_t)fd, p(buf), 7, 0), 7);
	assert_int_equal(sys(SYS_read, (uint64_t)fd, p(buf + 7), 50, 0), 6);
	assert_string_equal(buf, "hello, world\n");
	assert_int_equal(sys(SYS_read, (uint64_t)fd, p(buf), 50, 0), 0);
	assert_int_equal(sys(SYS_lseek, (uint64_t)fd, 0, SEEK_SET, 0), 0);
	assert_int_equal(sys(SYS_readv, (uint64_t)fd, p(v), 3, 0), 13);
	assert_int_equal(sys(SYS_lseek, (uint64_t)fd, (uint64_t)-3, SEEK_END, 0), 10);
	assert_int_equal(sys(SYS_lseek, (uint64_t)fd, 1000, SEEK_CUR, 0), 1010);
	assert_int_equal(sys(SYS_read, (uint64_t)fd, p(buf), 50, 0), 0); /* beyond the end */
	assert_int_equal(sys(SYS_pread64, (uint64_t)fd, p(buf), 50, 7), 6);
	assert_int_equal(sys(SYS_pread64, (uint64_t)large, p(buf), 50, 9990), 10);
	assert_int_equal((uint8_t)buf[0], 9990 % 251);
	assert_int_equal(sys(SYS_close, (uint64_t)fd, 0, 0, 0), 0);
	assert_int_equal(sys(SYS_close, (uint64_t)large, 0, 0, 0), 0);
}

static void each_mistake_has_its_errno(void **state)
{
	static const char long_path[2000] = { [0 ... 1998] = 'x' };
	char buf[64];
	struct stat st;
	int64_t fd = open_at("/hello", O_RDONLY), dir = open_at("/dir", O_RDONLY | O_DIRECTORY);
	const struct {
		int64_t got;
		int wanted;
	} cases[] = {
		{ open_at("/none", O_RDONLY), ENOENT },
		{ open_at("", O_RDONLY), ENOENT },
		{ open_at("/hello/x", O_RDONLY), ENOTDIR },
		{ open_at("/loop", O_RDONLY), ELOOP },
		{ open_at(long_path, O_RDONLY), ENAMETOOLONG },
		{ open_at("/hello", O_WRONLY), EROFS },
		{ open_at("/hello", O_RDWR), EROFS },
		{ open_at("/new", O_CREAT), EROFS },
		{ open_at("/hello", O_TRUNC), EROFS },
		{ open_at("/hello", O_DIRECTORY), ENOTDIR },
		{ sys(SYS_read, (uint64_t)dir, p(buf), 10, 0), EISDIR },
		{ sys(SYS_read, 99, p(buf), 1, 0), EBADF },
		{ sys(SYS_read, UINT64_MAX, p(buf), 1, 0), EBADF },
		{ sys(SYS_write, (uint64_t)fd, p(buf), 1, 0), EBADF },
		{ sys(SYS_write, 0, p(buf), 1, 0), EBADF },
		{ sys(SYS_lseek, (uint64_t)fd, (uint64_t)-1, SEEK_SET, 0), EINVAL },
		{ sys(SYS_lseek, (uint64_t)fd, 0, 9, 0), EINVAL },
		{ sys(SYS_lseek, (uint64_t)fd, INT64_MAX, SEEK_END, 0), EINVAL },
		{ sys(SYS_lseek, 1, 0, SEEK_SET, 0), ESPIPE },
		{ sys(SYS_lseek, 77, 0, SEEK_SET, 0), EBADF },
		{ sys(SYS_close, 40, 0, 0, 0), EBADF },
		{ sys(SYS_fstat, 40, p(&st), 0, 0), EBADF },
		{ sys(SYS_stat, p("/x"), p(&st), 0, 0), ENOENT },
		{ sys(SYS_getdents64, (uint64_t)fd, p(buf), 64, 0), ENOTDIR },
		{ sys(SYS_getdents64, (uint64_t)dir, p(buf), 8, 0), EINVAL },
		{ sys(SYS_readlink, p("/hello"), p(buf), 64, 0), EINVAL },
		{ sys(SYS_access, p("/hello"), 2, 0, 0), EROFS },
		{ sys(SYS_access, p("/y"), 0, 0, 0), ENOENT },
		{ sys(SYS_ioctl, (uint64_t)fd, TIOCGWINSZ, p(buf), 0), ENOTTY },
		{ sys(SYS_ioctl, 1, 0, 0, 0), ENOTTY },
		{ sys(SYS_fcntl, 90, 0, 0, 0), EBADF },
		{ sys(SYS_mmap, 0, 4096, PROT_READ, MAP_PRIVATE), EINVAL },
		{ sys(SYS_mmap, 0, 4096, PROT_READ, MAP_ANONYMOUS | MAP_FIXED), EINVAL },
		{ sys(SYS_mmap, 0, 0, 0, MAP_ANONYMOUS), ENOMEM },
		{ sys(SYS_mmap, 0, UINT64_MAX, 0, MAP_ANONYMOUS), ENOMEM },
		{ sys(SYS_munmap, 5, 5, 0, 0), EINVAL },
		{ sys(SYS_mremap, 0, 1, 2, 0), ENOMEM },
		{ sys(SYS_getcwd, p(buf), 1, 0, 0), ERANGE },
		{ sys(SYS_arch_prctl, 1, 2, 0, 0), EINVAL },
		{ sys(SYS_socket, 1, 2, 3, 0), ENOSYS },
		{ sys(UINT64_MAX, 0, 0, 0, 0), ENOSYS },
		{ sys(SYS_clock_nanosleep, 0, 1, 0, 0), EINVAL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (cases[i].got != -cases[i].wanted)
			fail_msg("case %zu: %lld, not %d", i, (long long)cases[i].got, -cases[i].wanted);
	assert_non_null(memmem(written, written_bytes, "a kernel: system call socket (41) is not there\n", 47));
	assert_non_null(
		memmem(written, written_bytes, "a kernel: system call 18446744073709551615 is not there\n", 56));
	sys(SYS_close, (uint64_t)fd, 0, 0, 0);
	sys(SYS_close, (uint64_t)dir, 0, 0, 0);
}

static void descriptors_run_out(void **state)
{
	(void)state;
	for (int i = 0; i < FILES_MAX; i++)
		assert_int_equal(open_at("/hello", O_RDONLY), FIRST_FD + i);
	assert_int_equal(open_at("/hello", O_RDONLY), -EMFILE);
	assert_int_equal(sys(SYS_close, 17, 0, 0, 0), 0);
	assert_int_equal(sys(SYS_close, 17, 0, 0, 0), -EBADF);
	assert_int_equal(open_at("/dev/null", O_WRONLY), 17);
	for (uint64_t i = 0; i < FILES_MAX; i++)
		assert_int_equal(sys(SYS_close, FIRST_FD + i, 0, 0, 0), 0);
}

static void directories_are_listed_in_any_room(void **state)
{
	static const char *const names[] = { "dir", "hello", "large", "link", "loop", "null" };

	(void)state;
	for (uint64_t room = 32; room < 400; room += 8) {
		uint8_t buf[400];
		unsigned found = 0;
		int64_t got, fd = open_at("/", O_RDONLY);
		memset(buf, 0xa5, sizeof(buf));
		while ((got = sys(SYS_getdents64, (uint64_t)fd, p(buf), room, 0)) > 0) {
			assert_true((uint64_t)got <= room && buf[room] == 0xa5);
			for (int64_t at = 0; at < got;) {
				struct dirent head;
				memcpy(&head, buf + at, offsetof(struct dirent, d_name));
				assert_string_equal((const char *)buf + at + offsetof(struct dirent, d_name),
						    names[found++]);
				assert_true(head.d_reclen % 8 == 0 && head.d_reclen <= got - at);
				at += head.d_reclen;
			}
		}
		assert_int_equal(got, 0);
		assert_int_equal(found, sizeof(names) / sizeof(names[0]));
		sys(SYS_close, (uint64_t)fd, 0, 0, 0);
	}
}

static void files_are_described(void **state)
{
	struct stat st;
	char buf[32] = { 0 };

	(void)state;
	assert_int_equal(sys(SYS_stat, p("/link"), p(&st), 0, 0), 0);
	assert_true(S_ISREG(st.st_mode) && st.st_size == 13 && st.st_mtim.tv_sec == 77 && (st.st_mode & 0777) == 0644);
	assert_int_equal(sys(SYS_newfstatat, 0, p("/link"), p(&st), AT_SYMLINK_NOFOLLOW), 0);
	assert_true(S_ISLNK(st.st_mode));
	assert_int_equal(sys(SYS_lstat, p("/null"), p(&st), 0, 0), 0);
	assert_true(S_ISCHR(st.st_mode));
	assert_int_equal(sys(SYS_fstat, 1, p(&st), 0, 0), 0);
	assert_true(S_ISCHR(st.st_mode));
	assert_int_equal(sys(SYS_readlink, p("/link"), p(buf), 5, 0), 5);
	assert_string_equal(buf, "dir/.");
}

static void clocks_and_sleeps_are_bounded_sums(void **state)
{
	struct timespec t = { 0 };
	const struct timespec long_time = { .tv_sec = INT64_MAX, .tv_nsec = 999999999 }, wrong = { 1, 1000000000 },
			      before = { -1, 0 }, some = { 2, 500000 };

	(void)state;
	assert_int_equal(sys(SYS_clock_gettime, 0, p(&t), 0, 0), 0);
	assert_true(t.tv_sec == 12 && t.tv_nsec == 345678000);
	assert_int_equal(sys(SYS_nanosleep, p(&some), 0, 0, 0), 0);
	assert_int_equal(slept_us, 2000500);
	assert_int_equal(sys(SYS_clock_nanosleep, 0, 0, p(&long_time), 0), 0);
	assert_int_equal(slept_us, UINT64_MAX); /* not less because the sum wrapped */
	assert_int_equal(sys(SYS_nanosleep, p(&wrong), 0, 0, 0), -EINVAL);
	assert_int_equal(sys(SYS_nanosleep, p(&before), 0, 0, 0), -EINVAL);
	assert_true(FAKE_ENDS(sys(SYS_exit_group, 0x1234, 0, 0, 0)));
	assert_int_equal(fake_machine.exit, 0x34);
}

/* Any call with arguments out of what a program might have at hand; buffers are as long as is said. */
static void any_call_gets_an_answer(void **state)
{
	static const char *const paths[] = { "/", "/hello",       "dir",       "/link", "/loop",
					     "",  "/dev/urandom", "/dev/null", "/null", "/dir/empty/.." };
	static uint8_t room[SCRATCH];
	uint32_t seed = 21;

	(void)state;
	for (unsigned round = 0; round < 300000; round++) {
		uint32_t r[6];
		for (size_t i = 0; i < 6; i++)
			r[i] = (seed = seed * 1664525 + 1013904223) >> 7;
		uint64_t number = r[0] % 440, fd = r[1] % 40, count = r[2] % (SCRATCH / 2);
		struct iovec v[3] = { { room, count }, { room + 100, r[3] % 50 }, { room, 0 } };
		struct timespec t = { (time_t)r[3] - 1000, (long)r[4] };
		const char *path = paths[r[3] % (sizeof(paths) / sizeof(paths[0]))];
		uint64_t args[STAGE_SYSCALL_ARGS] = { fd,   p(room), count, (uint64_t)(int64_t)(int32_t)(r[4] << 7),
						      r[5], 0 };
		switch (number) {
		case SYS_open:
		case SYS_stat:
		case SYS_lstat:
		case SYS_access:
		case SYS_readlink:
			args[0] = p(path);
			args[1] = number == SYS_open || number == SYS_access ? r[4] : p(room);
			break;
		case SYS_openat:
		case SYS_newfstatat:
			args[1] = p(path);
			args[2] = number == SYS_openat ? r[4] : p(room);
			break;
		case SYS_readv:
		case SYS_writev:
			args[1] = p(v);
			args[2] = r[2] % 4;
			break;
		case SYS_lseek:
			args[1] = args[3];
			args[2] = r[2] % 4;
			break;
		case SYS_ioctl:
			args[1] = r[2] % 2 ? TIOCGWINSZ : r[2];
			args[2] = p(room);
			break;
		case SYS_nanosleep:
			args[0] = p(&t);
			break;
		case SYS_clock_nanosleep:
			args[1] = r[2] % 2;
			args[2] = p(&t);
			break;
		case SYS_getrandom:
			args[0] = p(room);
			args[1] = count;
			break;
		case SYS_getcwd:
			args[0] = p(room);
			args[1] = count;
			break;
		case SYS_exit:
		case SYS_exit_group:
			continue;
		default:
			break;
		}
		int64_t got = stage_syscall(number, args);
		assert_true(got >= -4095);
		if (number == SYS_read || number == SYS_getdents64 || number == SYS_pread64 || number == SYS_readlink)
			assert_true(got <= (int64_t)count);
		if (round % 64 == 0)
			(void)sys(SYS_close, FIRST_FD + r[5] % FILES_MAX, 0, 0, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(files_are_read),          cmocka_unit_test(each_mistake_has_its_errno),
		cmocka_unit_test(descriptors_run_out),     cmocka_unit_test(directories_are_listed_in_any_room),
		cmocka_unit_test(files_are_described),     cmocka_unit_test(clocks_and_sleeps_are_bounded_sums),
		cmocka_unit_test(any_call_gets_an_answer),
	};

	return cmocka_run_group_tests(tests, make_files, free_files);
}
