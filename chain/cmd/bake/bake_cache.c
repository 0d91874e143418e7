/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* The file is of this machine and this user alone: numbers as the processor has them, a digest of it all at the end. */

#include "bake_cache.h"
#include "chain/cmd/cmd.h"

#include <assert.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct head {
	char magic[24];
	uint64_t count;
};
struct entry {
	uint64_t dev, ino, size;
	int64_t mtime_s, ctime_s;
	uint32_t mtime_ns, ctime_ns;
	int64_t used_s;
	uint8_t digest[CHAIN_LOCATED_BYTES];
};
static_assert(sizeof(struct head) == 32 && sizeof(struct entry) == 96, "no holes: these go to disk");

static const char magic[24] = "kchain digests 3";
enum {
	FILE_BYTES_MAX = sizeof(struct head) + BAKE_CACHE_FILES * sizeof(struct entry) + CHAIN_SHA256_BYTES,
	DAY_S = 24 * 60 * 60, /* how exactly it is kept when an entry was used */
};

static size_t file_bytes(size_t count)
{
	return sizeof(struct head) + count * sizeof(struct entry) + CHAIN_SHA256_BYTES;
}

/* Of ours, and nobody else can have written to it. */
static bool is_own(int fd, struct stat *out)
{
	return fstat(fd, out) == 0 && S_ISREG(out->st_mode) && out->st_uid == geteuid() &&
	       (out->st_mode & S_IWOTH) == 0;
}

/* The whole file, new; null when there is none that could be good. */
static uint8_t *file_read(const char *path, size_t *out_count)
{
	const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	struct stat about;
	uint8_t *bytes = NULL;

	if (fd < 0)
		return NULL;
	if (is_own(fd, &about) && about.st_size >= (off_t)file_bytes(0) && about.st_size <= FILE_BYTES_MAX)
		bytes = malloc((size_t)about.st_size);
	if (bytes && read(fd, bytes, (size_t)about.st_size) != about.st_size) {
		free(bytes);
		bytes = NULL;
	}
	(void)close(fd);
	*out_count = bytes ? (size_t)about.st_size : 0;
	return bytes;
}

static bool file_is_whole(const uint8_t *bytes, size_t count, struct head *out)
{
	uint8_t digest[CHAIN_SHA256_BYTES];

	memcpy(out, bytes, sizeof(*out));
	if (memcmp(out->magic, magic, sizeof(magic)) != 0 || out->count > BAKE_CACHE_FILES ||
	    count != file_bytes((size_t)out->count))
		return false;
	chain_sha256_of(bytes, count - sizeof(digest), digest);
	return memcmp(digest, bytes + count - sizeof(digest), sizeof(digest)) == 0;
}

static struct bake_known known_of(const struct entry *entry)
{
	struct bake_known known = {
		.identity = { .dev = entry->dev,
			      .ino = entry->ino,
			      .size = entry->size,
			      .mtime = { .tv_sec = entry->mtime_s, .tv_nsec = entry->mtime_ns },
			      .ctime = { .tv_sec = entry->ctime_s, .tv_nsec = entry->ctime_ns } },
		.used_s = entry->used_s,
	};

	memcpy(known.digest, entry->digest, sizeof(known.digest));
	return known;
}

static struct entry entry_of(const struct bake_known *known)
{
	const struct bake_identity *id = &known->identity;
	struct entry entry = { .dev = id->dev,
			       .ino = id->ino,
			       .size = id->size,
			       .mtime_s = id->mtime.tv_sec,
			       .ctime_s = id->ctime.tv_sec,
			       .mtime_ns = (uint32_t)id->mtime.tv_nsec,
			       .ctime_ns = (uint32_t)id->ctime.tv_nsec,
			       .used_s = known->used_s };

	memcpy(entry.digest, known->digest, sizeof(entry.digest));
	return entry;
}

void bake_cache_open(struct bake_cache *cache)
{
	struct timespec now;
	struct head head;
	size_t count;

	*cache = (struct bake_cache){ .changed = false };
	if (clock_gettime(CLOCK_REALTIME_COARSE, &now) < 0 ||
	    !cmd_cache_path("digests", cache->path, sizeof(cache->path)))
		return;
	cache->began_s = now.tv_sec;
	uint8_t *bytes = file_read(cache->path, &count);

	if (bytes && file_is_whole(bytes, count, &head)) {
		for (size_t i = 0; i < head.count; i++) {
			struct entry entry;

			memcpy(&entry, bytes + sizeof(head) + i * sizeof(entry), sizeof(entry));
			const struct bake_known known = known_of(&entry);

			if (!bake_table_add(&cache->table, &known))
				break;
		}
		bake_table_finish(&cache->table);
	}
	free(bytes);
}

const struct bake_known *bake_cache_find(struct bake_cache *cache, const struct bake_identity *identity)
{
	struct bake_known *known = bake_table_find(&cache->table, identity);

	if (known && known->used_s < cache->began_s - DAY_S) {
		known->used_s = cache->began_s;
		cache->changed = true;
	}
	return known;
}

void bake_cache_note(struct bake_cache *cache, const struct bake_identity *identity,
		     const uint8_t digest[CHAIN_LOCATED_BYTES])
{
	const int64_t rest_s = cache->began_s - BAKE_CACHE_REST_S;
	struct bake_known known = { .identity = *identity, .used_s = cache->began_s };

	if (!cache->path[0] || identity->size < BAKE_CACHE_FILE_BYTES || identity->mtime.tv_sec >= rest_s ||
	    identity->ctime.tv_sec >= rest_s || bake_table_find(&cache->table, identity))
		return;
	memcpy(known.digest, digest, sizeof(known.digest));
	cache->changed = bake_table_add(&cache->table, &known) || cache->changed;
}

void bake_cache_finish(struct bake_cache *cache)
{
	bake_table_finish(&cache->table);
}

static int by_use(const void *a, const void *b)
{
	const struct bake_known *x = a, *y = b;

	return x->used_s != y->used_s ? (x->used_s > y->used_s ? -1 : 1) : 0;
}

/* In a folder of ours, and in the place of nothing but a file of ours: else root would leave its own in a user's home.
 */
static bool may_write(const char *path)
{
	char folder[sizeof(((struct bake_cache *)NULL)->path)];
	struct stat about;

	(void)snprintf(folder, sizeof(folder), "%.*s", (int)(strrchr(path, '/') - path), path);
	if (lstat(folder, &about) < 0 || !S_ISDIR(about.st_mode) || about.st_uid != geteuid())
		return false;
	return lstat(path, &about) < 0 || (S_ISREG(about.st_mode) && about.st_uid == geteuid());
}

static void file_write(const struct bake_cache *cache, size_t count)
{
	const size_t bytes = file_bytes(count);
	const struct sigaction ignore = { .sa_handler = SIG_IGN };
	struct sigaction before;
	struct head head = { .count = count };
	uint8_t *file = malloc(bytes);

	if (!file)
		return;
	memcpy(head.magic, magic, sizeof(magic));
	memcpy(file, &head, sizeof(head));
	for (size_t i = 0; i < count; i++) {
		const struct entry entry = entry_of(&cache->table.v[i]);

		memcpy(file + sizeof(head) + i * sizeof(entry), &entry, sizeof(entry));
	}
	chain_sha256_of(file, bytes - CHAIN_SHA256_BYTES, file + bytes - CHAIN_SHA256_BYTES);
	(void)sigaction(SIGXFSZ, &ignore,
			&before); /* a limit on the size of files is an error of write(2) like any other */
	const bool written = !cmd_file_write(cache->path, file, bytes, NULL);

	(void)written; /* where it cannot be, the next run hashes again */
	(void)sigaction(SIGXFSZ, &before, NULL);
	free(file);
}

void bake_cache_close(struct bake_cache *cache)
{
	struct bake_table *table = &cache->table;

	if (table->count > BAKE_CACHE_FILES) {
		qsort(table->v, table->count, sizeof(*table->v), by_use);
		table->count = BAKE_CACHE_FILES;
	}
	if (cache->changed && may_write(cache->path))
		file_write(cache, table->count);
	bake_table_free(table);
}
