/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "rootfs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static enum chain_status io(const char *path, int number, struct chain_error *err)
{
	return CHAIN_FAIL(err, IO, .subject = path, .detail = strerror(number));
}

/* --- memory: large pieces, of which texts take parts --- */

enum { PIECE_BYTES = 256 * 1024, PIECE_ALIGN = 16 };

struct rootfs_piece {
	struct rootfs_piece *next;
	size_t used, room;
	_Alignas(PIECE_ALIGN) uint8_t bytes[];
};

void *rootfs_memory(struct rootfs *rootfs, size_t bytes, struct chain_error *err)
{
	const size_t wanted = (bytes + PIECE_ALIGN - 1) & ~(size_t)(PIECE_ALIGN - 1);
	struct rootfs_piece *piece = rootfs->pieces;

	if (!piece || piece->room - piece->used < wanted) {
		const size_t room = wanted > PIECE_BYTES ? wanted : PIECE_BYTES;

		piece = calloc(1, sizeof(*piece) + room);
		if (!piece) {
			(void)chain_fail_no_memory(err, "root", sizeof(*piece) + room);
			return NULL;
		}
		piece->room = room;
		piece->next = rootfs->pieces;
		rootfs->pieces = piece;
	}
	void *taken = piece->bytes + piece->used;

	piece->used += wanted;
	return taken;
}

const char *rootfs_text(struct rootfs *rootfs, const char *text, size_t bytes, struct chain_error *err)
{
	char *copy = rootfs_memory(rootfs, bytes + 1, err);

	return copy ? memcpy(copy, text, bytes) : NULL;
}

struct rootfs_node *rootfs_add(struct rootfs *rootfs, const char *path, enum fs_type type, struct chain_error *err)
{
	if (rootfs->node_count == rootfs->node_room) {
		const size_t room = rootfs->node_room ? rootfs->node_room * 2 : 1024;
		struct rootfs_node *grown = realloc(rootfs->nodes, room * sizeof(*grown));

		if (!grown) {
			(void)chain_fail_no_memory(err, path, room * sizeof(*grown));
			return NULL;
		}
		rootfs->nodes = grown;
		rootfs->node_room = room;
	}
	const char *copy = rootfs_text(rootfs, path, strlen(path), err);
	struct rootfs_node *node = &rootfs->nodes[rootfs->node_count];

	if (!copy)
		return NULL;
	*node = (struct rootfs_node){ .spec = { .path = copy, .type = type }, .bytes = { .fd = -1 } };
	rootfs->node_count++;
	return node;
}

/* --- looking for a node --- */

static int by_path(const void *a, const void *b)
{
	return strcmp(((const struct rootfs_node *)a)->spec.path, ((const struct rootfs_node *)b)->spec.path);
}

void rootfs_sort(struct rootfs *rootfs)
{
	if (rootfs->node_count > 0)
		qsort(rootfs->nodes, rootfs->node_count, sizeof(*rootfs->nodes), by_path);
}

struct rootfs_node *rootfs_at(const struct rootfs *rootfs, const char *path)
{
	const struct rootfs_node key = { .spec = { .path = path } };

	return rootfs->node_count ? bsearch(&key, rootfs->nodes, rootfs->node_count, sizeof(*rootfs->nodes), by_path) :
				    NULL;
}

enum { LINKS_MAX = 40, PATH_BYTES = 8192 };

/* Takes the last part off; the root stays. */
static void path_up(char *path)
{
	char *slash = strrchr(path, '/');

	if (slash)
		*slash = '\0';
}

const struct rootfs_node *rootfs_find(const struct rootfs *rootfs, const char *path)
{
	char done[PATH_BYTES] = "", rest[PATH_BYTES], joined[PATH_BYTES];
	const struct rootfs_node *node = rootfs_at(rootfs, "/");

	if ((size_t)snprintf(rest, sizeof(rest), "%s", path) >= sizeof(rest))
		return NULL;
	for (int links = 0; links <= LINKS_MAX;) {
		const size_t skipped = strspn(rest, "/"), bytes = strcspn(rest + skipped, "/");
		const char *part = rest + skipped, *behind = part + bytes;

		if (bytes == 0)
			return node;
		if (bytes == 2 && memcmp(part, "..", 2) == 0)
			path_up(done);
		else if ((bytes != 1 || *part != '.') &&
			 (size_t)snprintf(done + strlen(done), sizeof(done) - strlen(done), "/%.*s", (int)bytes,
					  part) >= sizeof(done) - strlen(done))
			return NULL;
		node = rootfs_at(rootfs, *done ? done : "/");
		if (!node && *behind == '\0')
			return NULL;
		if (!node || node->spec.type != FS_SYMLINK) {
			memmove(rest, behind, strlen(behind) + 1);
			continue;
		}
		links++;
		if ((size_t)snprintf(joined, sizeof(joined), "%s%s", node->spec.target, behind) >= sizeof(joined))
			return NULL;
		if (*joined == '/')
			*done = '\0';
		else
			path_up(done);
		memcpy(rest, joined, strlen(joined) + 1);
	}
	return NULL;
}

bool rootfs_port_parse(const char *text, struct rootfs_port *out)
{
	char *end;
	const unsigned long number = *text >= '0' && *text <= '9' ? strtoul(text, &end, 10) : 0;

	if (number == 0 || number > UINT16_MAX)
		return false;
	out->number = (uint16_t)number;
	out->udp = strcmp(end, "/udp") == 0;
	return out->udp || *end == '\0' || strcmp(end, "/tcp") == 0;
}

/* --- bytes of files --- */

static bool is_same(const struct rootfs_bytes *bytes, const struct stat *about)
{
	return (uint64_t)about->st_dev == bytes->dev && (uint64_t)about->st_ino == bytes->ino &&
	       (uint64_t)about->st_ctim.tv_sec * 1000000000 + (uint64_t)about->st_ctim.tv_nsec == bytes->ctime_ns;
}

static enum chain_status read_fd(int fd, const char *name, uint64_t offset, void *buf, size_t count,
				 struct chain_error *err)
{
	for (size_t done = 0; done < count;) {
		const ssize_t got = pread(fd, (char *)buf + done, count - done, (off_t)(offset + done));

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return io(name, errno, err);
		if (got == 0)
			return CHAIN_FAIL(err, FILE_CHANGED, .subject = name,
					  .detail = "it is shorter than a moment ago");
		done += (size_t)got;
	}
	return CHAIN_OK;
}

static enum chain_status read_host(const struct rootfs_node *node, uint64_t offset, void *buf, size_t count,
				   struct chain_error *err)
{
	const char *host = node->bytes.host;
	const int fd = open(host, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
	struct stat about;
	enum chain_status status;

	if (fd < 0)
		return io(host, errno, err);
	if (fstat(fd, &about) < 0)
		status = io(host, errno, err);
	else if (!is_same(&node->bytes, &about))
		status = CHAIN_FAIL(err, FILE_CHANGED, .subject = host,
				    .detail = "its size or time is another than a moment ago");
	else
		status = read_fd(fd, host, offset, buf, count, err);
	(void)close(fd);
	return status;
}

enum chain_status rootfs_read(const struct rootfs_node *node, uint64_t offset, void *buf, size_t count,
			      struct chain_error *err)
{
	const struct rootfs_bytes *bytes = &node->bytes;

	if (bytes->memory) {
		memcpy(buf, (const uint8_t *)bytes->memory + offset, count);
		return CHAIN_OK;
	}
	return bytes->host ? read_host(node, offset, buf, count, err) :
			     read_fd(bytes->fd, node->spec.path, bytes->offset + offset, buf, count, err);
}

/* --- the table --- */

static enum chain_status head_read(const char *path, struct rootfs_head *head, struct chain_error *err)
{
	const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat about;
	enum chain_status status = CHAIN_OK;

	if (fd < 0)
		return io(path, errno, err);
	if (fstat(fd, &about) < 0) {
		status = io(path, errno, err);
	} else if (S_ISREG(about.st_mode)) {
		const uint64_t bytes = (uint64_t)about.st_size;

		head->file_bytes = bytes;
		head->count = bytes < ROOTFS_HEAD_BYTES ? (size_t)bytes : ROOTFS_HEAD_BYTES;
		status = read_fd(fd, path, 0, head->bytes, head->count, err);
	} else {
		head->folder = S_ISDIR(about.st_mode);
	}
	(void)close(fd);
	return status;
}

const struct rootfs_source *rootfs_scheme(const char *source)
{
	const struct rootfs_source *const *row = rootfs_sources;

	while (*row && !((*row)->scheme && strncmp(source, (*row)->scheme, strlen((*row)->scheme)) == 0))
		row++;
	return *row;
}

static const struct rootfs_source *row_find(const struct rootfs_request *request, const char *type,
					    const struct rootfs_head *head)
{
	const struct rootfs_source *const *row = rootfs_sources;

	while (*row && !(type ? strcmp((*row)->name, type) == 0 : (*row)->probe(request, head)))
		row++;
	return *row;
}

static enum chain_status unknown(const struct rootfs_request *request, const char *type, struct chain_error *err)
{
	char names[128] = "";
	size_t used = 0;

	if (!type)
		return CHAIN_FAIL(err, ROOT_UNKNOWN, .subject = request->path);
	for (const struct rootfs_source *const *row = rootfs_sources; *row && used < sizeof(names); row++)
		used += (size_t)snprintf(names + used, sizeof(names) - used, "%s%s", used ? ", " : "", (*row)->name);
	return CHAIN_FAIL(err, ROOT_TYPE, .subject = type, .detail = names);
}

enum chain_status rootfs_open(const struct rootfs_request *request, const char *type, struct rootfs *out,
			      struct chain_error *err)
{
	struct rootfs_head *head = calloc(1, sizeof(*head));
	enum chain_status status = !head ? chain_fail_no_memory(err, request->path, sizeof(*head)) :
				   rootfs_scheme(request->source) ? CHAIN_OK :
								    head_read(request->path, head, err);

	*out = (struct rootfs){ .image = -1 };
	if (!status) {
		out->source = row_find(request, type, head);
		status = out->source ? out->source->open(request, out, err) : unknown(request, type, err);
	}
	free(head);
	if (status)
		rootfs_close(out);
	return status;
}

void rootfs_close(struct rootfs *rootfs)
{
	if (rootfs->source && rootfs->source->close)
		rootfs->source->close(rootfs);
	if (rootfs->image >= 0)
		(void)close(rootfs->image);
	for (struct rootfs_piece *piece = rootfs->pieces, *next; piece; piece = next) {
		next = piece->next;
		free(piece);
	}
	free(rootfs->nodes);
	*rootfs = (struct rootfs){ .image = -1 };
}
