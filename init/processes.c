/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "processes.h"

#include "system.h"

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { KERNEL_PARENT = 2 /* kthreadd */, STAT_BYTES = 4096, VMSTAT_BYTES = 64 << 10 };

/* proc(5): "pid (name) state parent ..."; a name may have brackets of its own. False: not one that counts. */
static bool counts(const char *pid, char name[32])
{
	char path[300], *text;
	uint64_t bytes;
	snprintf(path, sizeof(path), "/proc/%s/stat", pid);
	if (init_read(path, STAT_BYTES, &text, &bytes, NULL))
		return false;
	/* ") S 1": a letter, and the parent's number. */
	char *open = strchr(text, '('), *close = strrchr(text, ')');
	bool found = open && close > open && strlen(close) > 4;
	int parent = found ? atoi(close + 4) : 0;
	bool dead = found && close[2] == 'Z';
	if (found)
		snprintf(name, 32, "%.*s", (int)(close - open - 1 < 31 ? close - open - 1 : 31), open + 1);
	free(text);
	return found && !dead && parent != KERNEL_PARENT && atoi(pid) != KERNEL_PARENT && atoi(pid) != 1;
}

unsigned init_processes(char *names, size_t size)
{
	unsigned count = 0;
	size_t used = 0;
	char name[32];
	DIR *dir = opendir("/proc");
	names[0] = '\0';
	for (struct dirent *entry; dir && (entry = readdir(dir));) {
		if (entry->d_name[0] < '0' || entry->d_name[0] > '9' || !counts(entry->d_name, name))
			continue;
		count++;
		if (used + strlen(name) + 8 > size)
			continue;
		used += (size_t)snprintf(names + used, size - used, "%s%s", used ? ", " : "", name);
	}
	if (dir)
		closedir(dir);
	return count;
}

/* Whether all are gone within the time. */
static bool gone(unsigned ms)
{
	for (unsigned waited = 0;; waited += 10) {
		pid_t pid;
		while ((pid = waitpid(-1, NULL, WNOHANG)) > 0)
			;
		if (pid < 0)
			return true; /* no children: all others are init's, sooner or later */
		if (waited >= ms)
			return false;
		nanosleep(&(struct timespec){ .tv_nsec = 10000000 }, NULL);
	}
}

void init_processes_end(void)
{
	enum { PATIENCE_MS = 2000 };
	if (gone(0))
		return;
	kill(-1, SIGTERM);
	if (gone(PATIENCE_MS))
		return;
	kill(-1, SIGKILL);
	(void)gone(PATIENCE_MS);
}

bool init_out_of_memory(void)
{
	char *text;
	uint64_t bytes;
	if (init_read("/proc/vmstat", VMSTAT_BYTES, &text, &bytes, NULL))
		return false;
	const char *at = strstr(text, "\noom_kill ");
	bool killed = at && atoi(at + 10) > 0;
	free(text);
	return killed;
}
