/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: files that are mapped instead of read, since an image may be larger than the machine's memory. A page of one
 * that can't be had any more (the file was cut, the disk has an error) raises SIGBUS: such a page and all behind it
 * become zeros, and the mapping is marked as lost. So whoever reads goes on with bytes, as with those of any bad file,
 * and learns at the end by cmd_file_check that they were none. Must not know: what is read. */

#include "cmd_map.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

struct cmd_map {
	uint8_t *base;
	size_t bytes;
	int fd;
	struct timespec mtime; /* when it was opened */
	atomic_bool lost;
	struct cmd_map *next;
};

/* Changed only with SIGBUS unable to come: no mapped page is touched meanwhile. */
static struct cmd_map *maps;
static struct sigaction before;

static struct cmd_map *map_at(const uint8_t *address)
{
	struct cmd_map *map = maps;
	while (map && !(address >= map->base && (size_t)(address - map->base) < map->bytes))
		map = map->next;
	return map;
}

/* Makes only system calls. What it can't help ends the process, as it would have without it. */
static void page_lost(int number, siginfo_t *info, void *context)
{
	const int kept = errno;
	uint8_t *address = info->si_addr;
	struct cmd_map *map = map_at(address);
	(void)context;
	if (map) {
		const size_t page = (size_t)sysconf(_SC_PAGESIZE), from = (size_t)(address - map->base) & ~(page - 1);
		atomic_store(&map->lost, true);
		if (mmap(map->base + from, map->bytes - from, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
			 0) == MAP_FAILED)
			map = NULL;
	}
	if (!map)
		(void)sigaction(number, &before, NULL);
	errno = kept;
}

/* Unless it is caught here already. */
static void signal_catch(void)
{
	struct sigaction action = { .sa_sigaction = page_lost, .sa_flags = SA_SIGINFO }, now;
	(void)sigemptyset(&action.sa_mask);
	if (sigaction(SIGBUS, NULL, &now) < 0 || now.sa_sigaction == page_lost)
		return;
	before = now;
	(void)sigaction(SIGBUS, &action, NULL);
}

enum chain_status cmd_map_open(const char *path, int fd, size_t bytes, struct cmd_map **out, struct chain_error *err)
{
	struct cmd_map *map = calloc(1, sizeof(*map));
	if (!map)
		return chain_fail_no_memory(err, path, sizeof(*map));
	signal_catch();
	struct stat about;
	map->bytes = bytes;
	map->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	bool good = map->fd >= 0 && fstat(map->fd, &about) == 0;
	map->base = good ? mmap(NULL, bytes, PROT_READ, MAP_PRIVATE, map->fd, 0) : MAP_FAILED;
	if (map->base == MAP_FAILED) {
		const int number = errno;
		if (map->fd >= 0)
			(void)close(map->fd);
		free(map);
		return chain_fail_text(err, CHAIN_E_IO, path, strerror(number));
	}
	map->mtime = about.st_mtim;
	map->next = maps;
	maps = map;
	*out = map;
	return CHAIN_OK;
}

const uint8_t *cmd_map_bytes(const struct cmd_map *map)
{
	return map->base;
}

void cmd_map_forget(const struct cmd_map *map)
{
	(void)madvise(map->base, map->bytes, MADV_DONTNEED);
}

/* What was cut and written again is distinguished from a disk's error by the file's time. */
static bool is_changed(const struct cmd_map *map, const struct stat *now)
{
	return now->st_mtim.tv_sec != map->mtime.tv_sec || now->st_mtim.tv_nsec != map->mtime.tv_nsec;
}

enum chain_status cmd_map_check(const struct cmd_map *map, const char *path, struct chain_error *err)
{
	struct stat now;
	const bool known = fstat(map->fd, &now) == 0, shorter = known && (uint64_t)now.st_size < map->bytes;
	if (!shorter && !atomic_load(&map->lost))
		return CHAIN_OK;
	if (err)
		chain_error_clear(err);
	if (shorter || (known && is_changed(map, &now)))
		return chain_fail_text(err, CHAIN_E_FILE_CHANGED, path, "it became shorter");
	return chain_fail_text(err, CHAIN_E_IO, path, strerror(EIO));
}

void cmd_map_close(struct cmd_map *map)
{
	struct cmd_map **link = &maps;
	while (*link != map)
		link = &(*link)->next;
	*link = map->next;
	(void)munmap(map->base, map->bytes);
	(void)close(map->fd);
	free(map);
}
