/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "qemu.h"

#include "qemu_channels.h"
#include "qemu_disk.h"
#include "qemu_large.h"
#include "words.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { DISKS_MAX = 16 };

/* --- finding it --- */

static bool usable(const char *path)
{
	struct stat about;
	return stat(path, &about) == 0 && S_ISREG(about.st_mode) && access(path, X_OK) == 0;
}

enum chain_status qemu_find(char out[QEMU_PATH_BYTES], struct chain_error *err)
{
	static const char NAME[] = "qemu-system-x86_64";
	const char *chosen = getenv("KCHAIN_QEMU"), *path = getenv("PATH");
	if (chosen && *chosen) {
		snprintf(out, QEMU_PATH_BYTES, "%s", chosen);
		return usable(out) ? CHAIN_OK : chain_fail_subject(err, CHAIN_E_CMD_NO_QEMU, chosen);
	}
	for (const char *at = path ? path : ""; *at;) {
		int folder = (int)strcspn(at, ":");
		snprintf(out, QEMU_PATH_BYTES, "%.*s/%s", folder, at, NAME);
		if (folder && usable(out))
			return CHAIN_OK;
		at += folder + (at[folder] == ':');
	}
	return chain_fail_subject(err, CHAIN_E_CMD_NO_QEMU, NAME);
}

/* --- its command line --- */

static bool is_microvm(const struct qemu_config *config)
{
	return strcmp(config->machine, "microvm") == 0;
}

/* What virtio's devices are plugged into is a part of their models' names: a microvm has places for virtio-mmio. */
static const char *virtio_bus(const struct qemu_config *config)
{
	return is_microvm(config) ? "device" : "pci";
}

static void add_machine(struct words *words, const struct qemu_config *config)
{
	bool microvm = is_microvm(config);
	words_add(words, "%s", config->program);
	words_add(words, "-nodefaults");
	words_add(words, "-no-user-config");
	words_add(words, "-no-reboot");
	if (config->keep_screen)
		words_add(words, "-no-shutdown");
	words_add(words, "-machine");
	words_add(words, "%s%s", config->machine, microvm ? ",pcie=on" : "");
	words_add(words, "-accel");
	words_add(words, "%s", config->accel);
	words_add(words, "-cpu");
	words_add(words, "%s", config->cpu);
	words_add(words, "-m");
	words_add(words, "%lluK", (unsigned long long)(config->memory_bytes / 1024));
	words_add(words, "-smp");
	words_add(words, "%llu", (unsigned long long)config->cpus);
	if (config->icount) {
		words_add(words, "-icount");
		words_add(words, "shift=0,sleep=off");
	}
	if (microvm) {
		words_add(words, "-global");
		words_add(words, "virtio-mmio.force-legacy=false");
	} else {
		words_add(words, "-vga");
		words_add(words, "std");
	}
	if (!config->display) {
		words_add(words, "-display");
		words_add(words, "none");
	}
}

static void add_monitor(struct words *words, int monitor)
{
	words_add(words, "-chardev");
	words_add(words, "socket,id=monitor,fd=%d", monitor);
	words_add(words, "-mon");
	words_add(words, "chardev=monitor,mode=control");
}

static void add_gdb(struct words *words, int listener)
{
	words_add(words, "-S");
	words_add(words, "-chardev");
	words_add(words, "socket,id=gdb,fd=%d,server=on,wait=off", listener);
	words_add(words, "-gdb");
	words_add(words, "chardev:gdb");
}

static enum chain_status add_net(struct words *words, const struct qemu_config *config, struct chain_error *err)
{
	char forwards[4096] = "";
	size_t used = 0;
	for (size_t i = 0; i < config->ports.count; i++) {
		const char *text = config->ports.v[i], *colon = strchr(text, ':');
		char host[8] = "";
		uint64_t from = 0, to = 0;
		if (colon && colon - text < (ptrdiff_t)sizeof(host))
			snprintf(host, sizeof(host), "%.*s", (int)(colon - text), text);
		if (!cmd_count_parse(host, &from) || !cmd_count_parse(colon + 1, &to) || !from || !to || from > 65535 ||
		    to > 65535)
			return chain_fail_subject(err, CHAIN_E_CMD_BAD_PORT, text);
		used += (size_t)snprintf(forwards + used, sizeof(forwards) - used, ",hostfwd=tcp:127.0.0.1:%u-:%u",
					 (unsigned)from, (unsigned)to);
		if (used > sizeof(forwards) - 64)
			return CHAIN_FAIL(err, LIMIT, .subject = "-p", .detail = "forwarded ports",
					  .value = config->ports.count, .limit = i);
	}
	if (!config->net)
		return CHAIN_OK;
	words_add(words, "-netdev");
	words_add(words, "user,id=kchain-net%s", forwards);
	words_add(words, "-device");
	words_add(words, "virtio-net-%s,netdev=kchain-net%s", virtio_bus(config),
		  is_microvm(config) ? "" : ",romfile="); /* no option ROM: nobody boots from it, and it takes time */
	return CHAIN_OK;
}

static enum chain_status add_disk(struct words *words, const struct qemu_config *config, size_t index,
				  struct chain_error *err)
{
	struct qemu_disk disk;
	enum chain_status status = qemu_disk_parse(config->disks.v[index], index, &disk, err);
	if (status)
		return status;
	if (disk.nvme && is_microvm(config))
		status = chain_fail_subject(err, CHAIN_E_CMD_DISK_NO_NVME, config->disks.v[index]);
	words_add(words, "-drive");
	words_add(words, "%s", disk.drive);
	words_add(words, "-device");
	if (disk.nvme)
		words_add(words, "nvme,%s", disk.device);
	else
		words_add(words, "virtio-blk-%s,%s", virtio_bus(config), disk.device);
	qemu_disk_free(&disk);
	return status;
}

/* The loader puts the file's name first in a module's string (hw/i386/multiboot.c), so the name is made what the string
 * shall begin with: a link of that name in the private folder. */
static enum chain_status add_modules(struct words *words, const struct qemu_config *config, const char *folder,
				     struct chain_error *err)
{
	char *list = strdup("");
	for (size_t i = 0; list && i < config->module_count; i++) {
		const struct qemu_module *module = &config->modules[i];
		int first = (int)strcspn(module->string, " ");
		char *link = NULL, *full = module->path[0] == '/' ? strdup(module->path) : realpath(module->path, NULL),
		     *grown = NULL, *string = qemu_double_commas(module->string);
		bool good = full && string && asprintf(&link, "%s/%.*s", folder, first, module->string) >= 0;
		if (good && (strchr(module->string, '/') || !first || symlink(full, link) < 0)) {
			free(list);
			list = NULL;
			chain_fail_text(err, CHAIN_E_CMD_BAD_MODULE, module->path, module->string);
		} else if (good && asprintf(&grown, "%s%s%s", list, *list ? "," : "", string) >= 0) {
			free(list);
			list = grown;
		} else {
			free(list);
			list = NULL;
			chain_fail_text(err, CHAIN_E_IO, module->path, strerror(errno));
		}
		free(string);
		free(full);
		free(link);
	}
	if (!list)
		return err ? err->status : CHAIN_E_IO;
	if (*list) {
		words_add(words, "-initrd");
		words_add(words, "%s", list);
	}
	free(list);
	return CHAIN_OK;
}

static enum chain_status add_kernel(struct words *words, const struct qemu_config *config, const char *folder,
				    struct chain_error *err)
{
	words_add(words, "-kernel");
	words_add(words, "/proc/self/fd/%d", config->kernel_fd);
	if (config->item_fd >= 0) {
		words_add(words, "-fw_cfg");
		words_add(words, "name=" QEMU_LARGE_ITEM ",file=/proc/self/fd/%d", config->item_fd);
	}
	if (config->args) {
		words_add(words, "-append");
		words_add(words, "%s", config->args);
	}
	enum chain_status status = add_net(words, config, err);
	if (config->disks.count > DISKS_MAX)
		return CHAIN_FAIL(err, LIMIT, .subject = "--disk", .detail = "disks", .value = config->disks.count,
				  .limit = DISKS_MAX);
	for (size_t i = 0; !status && i < config->disks.count; i++)
		status = add_disk(words, config, i, err);
	if (!status)
		status = add_modules(words, config, folder, err);
	for (size_t i = 0; i < config->extra_count; i++)
		words_add(words, "%s", config->extra[i]);
	if (!status && words->lacking)
		status = chain_fail_no_memory(err, "QEMU's command line", words->lacking);
	return status;
}

/* --- the process --- */

static void keep_open(int fd)
{
	fcntl(fd, F_SETFD, 0);
}

static _Noreturn void become(const struct qemu_config *config, char **words, const char *folder, const int theirs[4],
			     pid_t parent)
{
	sigset_t none;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	int null = open("/dev/null", O_RDWR);
	if (getppid() != parent || chdir(folder) < 0 || null < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0 ||
	    dup2(theirs[3], 2) < 0)
		_exit(127);
	keep_open(config->kernel_fd);
	if (config->item_fd >= 0)
		keep_open(config->item_fd);
	if (config->halted)
		keep_open(config->gdb_fd);
	for (int i = 0; i < 3; i++)
		keep_open(theirs[i]);
	execv(config->program, words);
	dprintf(2, "%s: %s\n", config->program, strerror(errno));
	_exit(127);
}

enum { RECORDS = 1 }; /* of the pairs: the only one that is a pipe */

static void close_pairs(int pairs[4][2], int side)
{
	for (int i = 0; i < 4; i++)
		if (pairs[i][side] >= 0)
			close(pairs[i][side]);
}

static enum chain_status launch(const struct qemu_config *config, int pairs[4][2], struct qemu *out,
				struct chain_error *err)
{
	struct words words = { 0 };
	int theirs[4] = { pairs[0][1], pairs[1][1], pairs[2][1], pairs[3][1] };
	add_machine(&words, config);
	qemu_add_channels(&words, theirs[0], theirs[RECORDS]);
	add_monitor(&words, theirs[2]);
	if (config->halted)
		add_gdb(&words, config->gdb_fd);
	enum chain_status status = add_kernel(&words, config, out->folder, err);
	pid_t parent = getpid();
	if (!status) {
		out->pid = fork();
		if (out->pid == 0)
			become(config, words.v, out->folder, theirs, parent);
		if (out->pid < 0)
			status = chain_fail_text(err, CHAIN_E_IO, config->program, strerror(errno));
	}
	words_free(&words);
	return status;
}

enum chain_status qemu_start(const struct qemu_config *config, struct qemu *out, struct chain_error *err)
{
	int pairs[4][2] = { { -1, -1 }, { -1, -1 }, { -1, -1 }, { -1, -1 } };
	*out = (struct qemu){ .pid = -1, .console = -1, .records = -1, .monitor = -1, .errors = -1 };
	const char *top = getenv("TMPDIR");
	snprintf(out->folder, sizeof(out->folder), "%s/kchain-run.XXXXXX",
		 top && strlen(top) < 40 && *top == '/' ? top : "/tmp");
	enum chain_status status = CHAIN_OK;
	if (!mkdtemp(out->folder)) {
		status = chain_fail_text(err, CHAIN_E_IO, out->folder, strerror(errno));
		out->folder[0] = '\0';
	}
	for (int i = 0; !status && i < 4; i++)
		if (i == RECORDS ? pipe2(pairs[i], O_CLOEXEC) < 0 :
				   socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pairs[i]) < 0)
			status = chain_fail_text(err, CHAIN_E_IO, "socket", strerror(errno));
	if (!status)
		status = launch(config, pairs, out, err);
	close_pairs(pairs, 1);
	if (status) {
		close_pairs(pairs, 0);
		qemu_forget_files(out);
		return status;
	}
	out->console = pairs[0][0];
	out->records = pairs[RECORDS][0];
	out->monitor = pairs[2][0];
	out->errors = pairs[3][0];
	setpgid(out->pid, out->pid); /* in either order with the child's own */
	return CHAIN_OK;
}

/* Only links of our own making are in it. */
static void remove_folder(const char *folder)
{
	DIR *entries = opendir(folder);
	struct dirent *entry;
	while (entries && (entry = readdir(entries)) != NULL)
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			unlinkat(dirfd(entries), entry->d_name, 0);
	if (entries)
		closedir(entries);
	rmdir(folder);
}

void qemu_forget_files(struct qemu *qemu)
{
	if (qemu->folder[0])
		remove_folder(qemu->folder);
	qemu->folder[0] = '\0';
}

int qemu_stop(struct qemu *qemu)
{
	int status = 0, *const fds[] = { &qemu->console, &qemu->records, &qemu->monitor, &qemu->errors };
	if (qemu->pid > 0) {
		kill(-qemu->pid, SIGKILL); /* an ended one keeps its status: it is waited for only here */
		while (waitpid(qemu->pid, &status, 0) < 0 && errno == EINTR)
			;
	}
	qemu->pid = -1;
	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++) {
		if (*fds[i] >= 0)
			close(*fds[i]);
		*fds[i] = -1;
	}
	qemu_forget_files(qemu);
	return status;
}

void qemu_tell(struct qemu *qemu, const char *json)
{
	size_t count = strlen(json);
	if (qemu->monitor >= 0 && send(qemu->monitor, json, count, MSG_NOSIGNAL) != (ssize_t)count) {
		close(qemu->monitor);
		qemu->monitor = -1;
	}
}
