/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: which acceleration is faster here. /dev/kvm says little: on a machine that is itself a guest, KVM can take many
 * times as long as emulation. So both run one small kernel that does what a boot does: firmware, port writes, touching
 * memory, computing. The answer is remembered for as long as QEMU and the host's kernel stay the same. */

#include "qemu.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <poll.h>
#include <time.h>
#include <unistd.h>

enum { PROBE_LIMIT_MS = 5000 };

/* A Multiboot 1 kernel (specification section 3.1) with the address fields, at 1 MiB: magic, flags (bit 16), checksum,
 * header, load, load end, bss end and entry address, then code. */
static const unsigned char PROBE[] = {
	0x02, 0xb0, 0xad, 0x1b, 0x00, 0x00, 0x01, 0x00, 0xfe, 0x4f, 0x51, 0xe4, 0x00,
	0x00, 0x10, 0x00, 0x00, 0x00, 0x10, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
	0x00, 0x00, 0x20, 0x00, 0x10, 0x00, 0xb9, 0xd0, 0x07, 0x00, 0x00, /* mov ecx, 2000 */
	0xe6, 0x80, 0xe2, 0xfc,                                           /* out 0x80, al; loop */
	0xbf, 0x00, 0x00, 0x20, 0x00,                                     /* mov edi, 2 MiB */
	0xb9, 0x00, 0x00, 0x20, 0x00,                                     /* mov ecx, 8 MiB / 4 */
	0x31, 0xc0, 0xf3, 0xab,                                           /* xor eax, eax; rep stosd */
	0xb9, 0x00, 0x00, 0x20, 0x00,                                     /* mov ecx, 2097152 */
	0x01, 0xc8, 0xe2, 0xfc,                                           /* add eax, ecx; loop */
	0xb0, 0x10, 0xe6, 0xf4,                                           /* mov al, 0x10; out 0xf4, al */
	0xf4, 0xeb, 0xfd,                                                 /* hlt; jmp */
};
enum { PROBE_STATUS = 0x10 << 1 | 1 };

static uint64_t now_ms(void)
{
	struct timespec at;
	clock_gettime(CLOCK_MONOTONIC, &at);
	return (uint64_t)at.tv_sec * 1000 + (uint64_t)at.tv_nsec / 1000000;
}

/* Milliseconds until the probe was done; `limit_ms` when it took as long or did not work. */
static uint64_t probe(const char *program, const char *accel, int kernel_fd, uint64_t limit_ms)
{
	struct qemu_config config = { .program = program,
				      .machine = "pc",
				      .accel = accel,
				      .cpu = "max",
				      .memory_bytes = 16 << 20,
				      .cpus = 1,
				      .kernel_fd = kernel_fd,
				      .item_fd = -1 };
	struct qemu qemu;
	uint64_t start = now_ms();
	if (qemu_start(&config, &qemu, NULL))
		return limit_ms;
	/* The monitor's end is the process's: nobody else holds its other side. */
	uint64_t spent;
	for (bool ended = false; (spent = now_ms() - start) < limit_ms && !ended;) {
		struct pollfd wait = { .fd = qemu.monitor, .events = POLLIN };
		char drop[1024];
		if (poll(&wait, 1, (int)(limit_ms - spent)) > 0)
			ended = read(qemu.monitor, drop, sizeof(drop)) <= 0;
	}
	if (spent < limit_ms)
		usleep(20000); /* between the descriptor's end and the process's */
	int status = qemu_stop(&qemu);
	return WIFEXITED(status) && WEXITSTATUS(status) == PROBE_STATUS ? spent : limit_ms;
}

static const char *measure(const char *program)
{
	int fd = memfd_create("kchain-probe", MFD_CLOEXEC);
	if (fd < 0 || write(fd, PROBE, sizeof(PROBE)) != sizeof(PROBE)) {
		if (fd >= 0)
			close(fd);
		return "tcg";
	}
	uint64_t tcg = probe(program, "tcg", fd, PROBE_LIMIT_MS);
	/* KVM has lost as soon as it takes longer. */
	uint64_t kvm = probe(program, "kvm", fd, tcg);
	close(fd);
	return kvm < tcg ? "kvm" : "tcg";
}

/* What the answer depends on, as one line. */
static void key_make(const char *program, char *out, size_t size)
{
	struct stat about = { 0 };
	struct utsname host = { 0 };
	stat(program, &about);
	uname(&host);
	snprintf(out, size, "%s %lld %lld %s %s", program, (long long)about.st_mtime, (long long)about.st_size,
		 host.release, host.nodename);
}

const char *qemu_accel_choose(const char *program)
{
	if (access("/dev/kvm", R_OK | W_OK) < 0)
		return "tcg";
	char key[QEMU_PATH_BYTES + 512], path[4096], line[QEMU_PATH_BYTES + 600];
	key_make(program, key, sizeof(key));
	bool cached = cmd_cache_path("accel", path, sizeof(path));
	struct cmd_file file = { 0 };
	if (cached && !cmd_file_load(path, sizeof(line) - 1, &file, NULL)) {
		size_t count = strlen(key);
		bool same = file.bytes_count > count + 4 && memcmp(file.bytes + 4, key, count) == 0;
		bool kvm = same && memcmp(file.bytes, "kvm ", 4) == 0;
		cmd_file_free(&file);
		if (same)
			return kvm ? "kvm" : "tcg";
	}
	const char *accel = measure(program);
	int count = snprintf(line, sizeof(line), "%s %s\n", accel, key);
	/* A cache that cannot be written costs the next run a measurement, no more. */
	if (cached && cmd_file_write(path, line, (size_t)count, NULL))
		return accel;
	return accel;
}
