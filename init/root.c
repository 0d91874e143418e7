/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* File systems: what init itself wants, modules, and the root. */

#include "system.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define LOWER  "/kchain/lower"  /* the root as it is */
#define MEMORY "/kchain/memory" /* what is written over it */
#define ROOT   "/kchain/new"    /* both together */
enum { DEVICE_WAIT_MS = 5000 };

/* As the root's programs would name it. */
static const char *shown(const char *path)
{
	return !strncmp(path, ROOT "/", sizeof(ROOT)) ? path + sizeof(ROOT) - 1 : path;
}

static enum chain_status folder(const char *path, unsigned mode, struct chain_error *err)
{
	struct stat st;
	if (!mkdir(path, mode))
		return chmod(path, mode) ? init_fail(err, path) : CHAIN_OK;
	if (!stat(path, &st) && S_ISDIR(st.st_mode))
		return CHAIN_OK;
	char subject[CHAIN_SUBJECT_BYTES];
	snprintf(subject, sizeof(subject), "the root has no folder %.200s", shown(path));
	return init_fail(err, subject);
}

static enum chain_status put(const char *what, const char *where, const char *type, unsigned long flags,
			     const char *options, struct chain_error *err)
{
	return mount(what, where, type, flags, options) ? init_fail(err, shown(where)) : CHAIN_OK;
}

enum chain_status init_mounts_early(struct chain_error *err)
{
	static const struct {
		const char *where, *type;
		unsigned long flags;
	} own[] = {
		{ "/dev", "devtmpfs", MS_NOSUID },
		{ "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC },
		{ "/sys", "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC },
	};
	for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++) {
		enum chain_status status = folder(own[i].where, 0755, err);
		/* A kernel may have mounted devtmpfs itself. */
		if (!status && mount(own[i].type, own[i].where, own[i].type, own[i].flags, NULL) && errno != EBUSY)
			status = init_fail(err, own[i].where);
		if (status)
			return status;
	}
	return CHAIN_OK;
}

/* --- modules --- */

enum chain_status init_modules_load(const struct init_spec *spec, struct chain_error *err)
{
	for (size_t i = 0; i < spec->module_count; i++) {
		const char *path = spec->modules[i];
		int fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			return init_fail(err, path);
		bool failed = syscall(SYS_finit_module, fd, "", 0) != 0 && errno != EEXIST;
		enum chain_status status = failed ? init_fail(err, path) : CHAIN_OK;
		close(fd);
		if (status)
			return status;
	}
	return CHAIN_OK;
}

/* --- the root --- */

/* A driver may find its device a moment after it was loaded. */
static enum chain_status wait_for(const char *device, struct chain_error *err)
{
	struct stat st;
	for (unsigned ms = 0; stat(device, &st) || !S_ISBLK(st.st_mode); ms += 10) {
		if (ms >= DEVICE_WAIT_MS)
			return chain_fail_text(err, CHAIN_E_IO, device, "no such disk, after 5 s");
		nanosleep(&(struct timespec){ .tv_nsec = 10000000 }, NULL);
	}
	return CHAIN_OK;
}

/* The words that the system call takes as flags; the others are left in *options. */
static unsigned long split_options(char *options)
{
	static const struct {
		const char *word;
		unsigned long flag;
	} words[] = { { "ro", MS_RDONLY },         { "nosuid", MS_NOSUID },          { "nodev", MS_NODEV },
		      { "noexec", MS_NOEXEC },     { "noatime", MS_NOATIME },        { "nodiratime", MS_NODIRATIME },
		      { "relatime", MS_RELATIME }, { "strictatime", MS_STRICTATIME } };
	unsigned long flags = 0;
	char *out = options;
	for (char *word = options, *next; word; word = next) {
		next = strchr(word, ',');
		if (next)
			*next++ = '\0';
		size_t i = 0, count = sizeof(words) / sizeof(words[0]), bytes = strlen(word);
		while (i < count && strcmp(words[i].word, word) != 0)
			i++;
		if (i < count || !bytes) {
			flags |= i < count ? words[i].flag : 0;
			continue;
		}
		if (out != options)
			*out++ = ',';
		memmove(out, word, bytes);
		out += bytes;
	}
	*out = '\0';
	return flags;
}

static enum chain_status mount_lower(const struct init_spec *spec, const char *where, struct chain_error *err)
{
	char device[300], *options = strdup(spec->options ? spec->options : "ro");
	if (!options)
		return chain_fail_no_memory(err, "mount options", 1);
	snprintf(device, sizeof(device), "/dev/%.255s", spec->device);
	enum chain_status status = wait_for(device, err);
	unsigned long flags = split_options(options);
	if (!status && mount(device, where, spec->type, flags, options)) {
		char detail[CHAIN_SUBJECT_BYTES];
		snprintf(detail, sizeof(detail), "can't be mounted as %.32s with the options \"%.120s\": %s",
			 spec->type, spec->options ? spec->options : "ro", strerror(errno));
		status = chain_fail_text(err, CHAIN_E_IO, device, detail);
	}
	free(options);
	return status;
}

static enum chain_status overlay(const char *lower, const char *memory, const char *where, unsigned mode,
				 struct chain_error *err)
{
	char upper[160], work[160], options[700];
	snprintf(upper, sizeof(upper), "%s/upper", memory);
	snprintf(work, sizeof(work), "%s/work", memory);
	snprintf(options, sizeof(options), "lowerdir=%s,upperdir=%s,workdir=%s", lower, upper, work);
	enum chain_status status = folder(memory, 0755, err);
	if (!status)
		status = folder(upper, mode, err);
	if (!status)
		status = folder(work, 0755, err);
	return status ? status : put("overlay", where, "overlay", 0, options, err);
}

static unsigned mode_of(const char *path, unsigned otherwise)
{
	struct stat st;
	return stat(path, &st) ? otherwise : st.st_mode & 07777;
}

/* "write": "tmp". What the root has in these folders stays where programs look for it. */
static enum chain_status writable_folders(struct chain_error *err)
{
	static const char *const names[] = { "var/tmp", "var/log", "var/lib" };
	enum chain_status status = CHAIN_OK;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]) && !status; i++) {
		char where[64], memory[64];
		snprintf(where, sizeof(where), ROOT "/%s", names[i]);
		snprintf(memory, sizeof(memory), MEMORY "/%s", names[i] + 4);
		if (!access(where, F_OK))
			status = overlay(where, memory, where, mode_of(where, 0755), err);
	}
	return status;
}

static enum chain_status mount_root(const struct init_spec *spec, struct chain_error *err)
{
	enum chain_status status = folder("/kchain", 0755, err);
	if (!status)
		status = folder(ROOT, 0755, err);
	if (!status)
		status = folder(MEMORY, 0755, err);
	if (!status && spec->write == INIT_WRITE_OVERLAY) {
		status = folder(LOWER, 0755, err);
		if (!status)
			status = mount_lower(spec, LOWER, err);
		if (!status)
			status = put("tmpfs", MEMORY, "tmpfs", 0, "mode=755", err);
		return status ? status : overlay(LOWER, MEMORY, ROOT, mode_of(LOWER, 0755), err);
	}
	if (!status)
		status = mount_lower(spec, ROOT, err);
	if (status || spec->write == INIT_WRITE_NONE)
		return status;
	status = put("tmpfs", MEMORY, "tmpfs", 0, "mode=755", err);
	return status ? status : writable_folders(err);
}

/* A root's own /run and /tmp are used where they can be written to: packages put folders there. */
static enum chain_status mount_inside(const struct init_spec *spec, struct chain_error *err)
{
	bool overlaid = spec->write == INIT_WRITE_OVERLAY;
	enum chain_status status = folder(ROOT "/run", 0755, err);
	if (!status)
		status = folder(ROOT "/tmp", 01777, err);
	if (!status && !overlaid)
		status = put("tmpfs", ROOT "/run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=755", err);
	if (!status && !overlaid)
		status = put("tmpfs", ROOT "/tmp", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777", err);
	static const char *const moved[] = { "/dev", "/proc", "/sys" };
	for (size_t i = 0; i < sizeof(moved) / sizeof(moved[0]) && !status; i++) {
		char where[64];
		snprintf(where, sizeof(where), ROOT "%s", moved[i]);
		status = folder(where, 0755, err);
		if (!status)
			status = put(moved[i], where, NULL, MS_MOVE, NULL, err);
	}
	if (!status)
		status = folder(ROOT "/dev/pts", 0755, err);
	if (!status)
		status = put("devpts", ROOT "/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, "mode=620,ptmxmode=666", err);
	if (!status)
		status = folder(ROOT "/dev/shm", 01777, err);
	if (!status)
		status = put("tmpfs", ROOT "/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777", err);
	return status;
}

static enum chain_status standard_links(struct chain_error *err)
{
	static const char *const links[][2] = { { "/proc/self/fd", "/dev/fd" },
						{ "/proc/self/fd/0", "/dev/stdin" },
						{ "/proc/self/fd/1", "/dev/stdout" },
						{ "/proc/self/fd/2", "/dev/stderr" } };
	for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++)
		if (symlink(links[i][0], links[i][1]) && errno != EEXIST)
			return init_fail(err, links[i][1]);
	return CHAIN_OK;
}

/* Gives back the memory of the initial file system; other mounts are not entered. */
static void remove_tree(int at, const char *name, dev_t device)
{
	struct stat st;
	int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *dir = fd >= 0 && !fstat(fd, &st) && st.st_dev == device ? fdopendir(fd) : NULL;
	for (struct dirent *entry; dir && (entry = readdir(dir));) {
		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
			continue;
		if (entry->d_type == DT_DIR)
			remove_tree(dirfd(dir), entry->d_name, device);
		unlinkat(dirfd(dir), entry->d_name, entry->d_type == DT_DIR ? AT_REMOVEDIR : 0);
	}
	if (dir)
		closedir(dir);
	else if (fd >= 0)
		close(fd);
}

enum chain_status init_root_enter(const struct init_spec *spec, struct chain_error *err)
{
	struct stat st;
	enum chain_status status = mount_root(spec, err);
	if (!status)
		status = mount_inside(spec, err);
	if (status)
		return status;
	if (!stat("/", &st))
		remove_tree(AT_FDCWD, "/", st.st_dev);
	if (chdir(ROOT) || mount(".", "/", NULL, MS_MOVE, NULL) || chroot(".") || chdir("/"))
		return init_fail(err, ROOT);
	return standard_links(err);
}

bool init_root_fill(unsigned *out_percent, uint64_t *out_bytes)
{
	enum { TMPFS = 0x01021994, OVERLAY = 0x794c7630 };
	static const char *const places[] = { "/", "/var/lib", "/tmp" };
	bool found = false;
	*out_percent = 0;
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		struct statfs st;
		if (statfs(places[i], &st) || (st.f_type != TMPFS && st.f_type != OVERLAY) || !st.f_blocks)
			continue;
		unsigned percent = (unsigned)(100 - st.f_bavail * 100 / st.f_blocks);
		if (!found || percent > *out_percent) {
			*out_percent = percent;
			*out_bytes = (uint64_t)st.f_blocks * (uint64_t)st.f_bsize;
		}
		found = true;
	}
	return found;
}
