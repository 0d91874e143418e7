/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "load.h"

#include "machine.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* include/uapi/linux/{kexec,reboot,capability}.h */
enum { ARCH_X86_64 = 62 << 16, REBOOT_KEXEC = 0x45584543, CAP_SYS_BOOT = 22, MIB_SHIFT = 20 };
enum { FILE_NO_INITRAMFS = 4 };
enum { REBOOT_MAGIC1 = (int)0xfee1dead, REBOOT_MAGIC2 = 672274793 };

static enum chain_status failed(struct chain_error *err, const char *subject, int number)
{
	return CHAIN_FAIL(err, IO, .subject = subject, .detail = strerror(number));
}

/* --- may it be done? --- */

static bool has_capability(void)
{
	char status[8192];
	const char *line =
		next_text_read("/proc/self/status", status, sizeof(status)) ? strstr(status, "\nCapEff:") : NULL;
	return !line || strtoull(line + sizeof("\nCapEff:") - 1, NULL, 16) >> CAP_SYS_BOOT & 1;
}

static bool says_locked(void)
{
	char words[256];
	return next_text_read("/sys/kernel/security/lockdown", words, sizeof(words)) && !strstr(words, "[none]");
}

/* What securityfs says is there only where that is mounted. kexec_load(2) refuses a locked Linux's callers before it
 * looks at what they bring, and one segment more than there can be is never taken. Linux may count the calls. */
static bool acts_locked(void)
{
	char left[16];
	if (next_text_read("/proc/sys/kernel/kexec_load_limit_reboot", left, sizeof(left)) && strcmp(left, "-1") != 0)
		return false;
	return syscall(SYS_kexec_load, 0, NEXT_SEGMENTS_MAX + 1, NULL, ARCH_X86_64) < 0 &&
	       (errno == EPERM || errno == EACCES);
}

enum chain_status next_load_check(const char *subject, bool *out_locked, struct chain_error *err)
{
	char disabled[16];
	*out_locked = says_locked();
	if (!has_capability())
		return CHAIN_FAIL(err, NEXT_CAPABILITY, .subject = subject);
	if (next_text_read("/proc/sys/kernel/kexec_load_disabled", disabled, sizeof(disabled)) &&
	    strcmp(disabled, "0") != 0)
		return CHAIN_FAIL(err, NEXT_DISABLED, .subject = subject);
	*out_locked = *out_locked || acts_locked();
	return CHAIN_OK;
}

/* --- any kernel --- */

/* Of /proc/meminfo, in bytes; UINT64_MAX: not known. */
static uint64_t meminfo(const char *name)
{
	char text[8192], key[32];
	snprintf(key, sizeof(key), "%s:", name);
	const char *line = next_text_read("/proc/meminfo", text, sizeof(text)) ? strstr(text, key) : NULL;
	return line ? strtoull(line + strlen(key), NULL, 10) << 10 : UINT64_MAX;
}

static enum chain_status too_much(const char *subject, uint64_t wanted, struct chain_error *err)
{
	return CHAIN_FAIL(err, NEXT_MEMORY, .subject = subject, .wanted_mib = (wanted >> MIB_SHIFT) + 1,
			  .free_mib = meminfo("MemAvailable") >> MIB_SHIFT,
			  .most_mib = meminfo("MemTotal") >> (MIB_SHIFT + 1));
}

enum chain_status next_load(const char *subject, const struct next_segments *segments, struct chain_error *err)
{
	uint64_t wanted = segments->total_bytes;
	if (wanted > meminfo("MemAvailable") || wanted > meminfo("MemTotal") / 2)
		return too_much(subject, wanted, err);
	if (!syscall(SYS_kexec_load, segments->entry, segments->count, segments->v, ARCH_X86_64))
		return CHAIN_OK;
	switch (errno) {
	case ENOMEM:
		return too_much(subject, wanted, err);
	case ENOSYS:
		return CHAIN_FAIL(err, NEXT_NO_KEXEC, .subject = subject);
	case EBUSY:
		return CHAIN_FAIL(err, IO, .subject = subject, .detail = "another program is at kexec just now");
	default:
		return failed(err, "kexec_load", errno);
	}
}

/* --- one that is signed --- */

static enum chain_status hold(const uint8_t *bytes, uint64_t count, int *out_fd, struct chain_error *err)
{
	uint64_t done = 0;
	ssize_t put = 0;
	*out_fd = memfd_create("initrd", MFD_CLOEXEC);
	if (*out_fd < 0)
		return failed(err, "memfd_create", errno);
	while (done < count && (put = write(*out_fd, bytes + done, count - done)) > 0)
		done += (uint64_t)put;
	return done == count ? CHAIN_OK : failed(err, "initrd", put < 0 ? errno : EIO);
}

enum chain_status next_load_signed(const struct next_signed *kernel, struct chain_error *err)
{
	int initrd, fd = open(kernel->path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return failed(err, kernel->path, errno);
	enum chain_status status = hold(kernel->initrd, kernel->initrd_bytes, &initrd, err);
	/* Linux reads no file that is empty (kernel_read_file()). */
	unsigned long flags = kernel->initrd_bytes ? 0 : FILE_NO_INITRAMFS;
	if (!status && syscall(SYS_kexec_file_load, fd, initrd, strlen(kernel->args) + 1, kernel->args, flags) < 0) {
		if (errno == ENOSYS)
			status = CHAIN_FAIL(err, NEXT_NO_KEXEC, .subject = kernel->path);
		else if (!kernel->locked)
			status = failed(err, kernel->path, errno);
		else
			status = CHAIN_FAIL(err, NEXT_LOCKED, .subject = kernel->path, .detail = strerror(errno));
	}
	close(fd);
	if (initrd >= 0)
		close(initrd);
	return status;
}

/* --- the end of this Linux --- */

bool next_is_orderly(void)
{
	return !access("/run/systemd/system", F_OK);
}

/* What was said last may still be on its way: whoever reads our output, an init for one, ends with this Linux. */
static void let_read(int fd)
{
	enum { WAIT_MS = 2000, STEP_MS = 5 };
	const struct timespec step = { .tv_nsec = STEP_MS * 1000000 };
	int unread = 0;
	for (unsigned ms = 0; ms < WAIT_MS && !ioctl(fd, FIONREAD, &unread) && unread > 0; ms += STEP_MS)
		nanosleep(&step, NULL);
	nanosleep(&step, NULL);
}

enum chain_status next_start(bool orderly, struct chain_error *err)
{
	let_read(STDOUT_FILENO);
	let_read(STDERR_FILENO);
	if (orderly) {
		execlp("systemctl", "systemctl", "kexec", (char *)NULL);
		return failed(err, "systemctl kexec", errno);
	}
	sync();
	syscall(SYS_reboot, REBOOT_MAGIC1, REBOOT_MAGIC2, REBOOT_KEXEC, NULL);
	return failed(err, "reboot", errno);
}
