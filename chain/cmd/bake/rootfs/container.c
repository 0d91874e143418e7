/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: see container.h. */

#include "container.h"
#include "chain/cmd/bake/bake_known.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static enum chain_status io(const char *name, int number, struct chain_error *err)
{
	return chain_fail_text(err, CHAIN_E_IO, name, strerror(number));
}

static enum chain_status fail_member(const struct container *container, const char *name, enum chain_status status,
				     const char *detail, struct chain_error *err)
{
	char subject[2 * CHAIN_SUBJECT_BYTES];

	(void)snprintf(subject, sizeof(subject), "%s: %s", container->name, name);
	return chain_fail_text(err, status, subject, detail);
}

enum chain_status container_digest_check(const char *subject, const uint8_t found[CHAIN_SHA256_BYTES],
					 const uint8_t wanted[CHAIN_SHA256_BYTES], struct chain_error *err)
{
	char has[CHAIN_SHA256_HEX + 1], is[CHAIN_SHA256_HEX + 1], detail[CHAIN_SUBJECT_BYTES];

	if (memcmp(found, wanted, CHAIN_SHA256_BYTES) == 0)
		return CHAIN_OK;
	chain_sha256_to_hex(found, has);
	chain_sha256_to_hex(wanted, is);
	(void)snprintf(detail, sizeof(detail), "sha256:%s instead of sha256:%s", has, is);
	return chain_fail_text(err, CHAIN_E_ROOT_DIGEST, subject, detail);
}

/* --- an archive's members --- */

/* Without "./", and without slashes at the end. */
static const char *member_name(const char *path, size_t *out_bytes)
{
	while (path[0] == '.' && path[1] == '/') {
		path += 2;
		path += strspn(path, "/");
	}
	*out_bytes = strlen(path);
	while (*out_bytes > 0 && path[*out_bytes - 1] == '/')
		--*out_bytes;
	return path;
}

static bool begins(const char *text, const char *with)
{
	return strncmp(text, with, strlen(with)) == 0;
}

/* What an image's files may be called, so that an archive that is none is recognised by its first entries, not by its
 * last one. docker save: HEX.json, HEX/layer.tar, HEX/json, HEX/VERSION, HEX.tar, manifest.json, repositories; OCI:
 * oci-layout, index.json, blobs/. */
static bool name_is_likely(const char *path)
{
	size_t bytes;
	const char *name = member_name(path, &bytes);
	const size_t hex = strspn(name, "0123456789abcdef");

	if (bytes == 0 || strcmp(name, ".") == 0)
		return true;
	if (hex == CHAIN_SHA256_HEX && (name[hex] == '\0' || name[hex] == '/' || name[hex] == '.'))
		return true;
	return begins(name, "blobs") || begins(name, "oci-layout") || begins(name, "index.json") ||
	       begins(name, "manifest.json") || begins(name, "repositories");
}

static enum chain_status no_memory(const struct container *container, struct chain_error *err)
{
	return chain_fail_no_memory(err, container->name, sizeof(*container->members) * (container->count + 1));
}

/* A link's target as a member's name: "../HEX/layer.tar" of HEX/layer.tar, which older versions of docker write. */
static char *target_name(const char *name, const char *target, bool hard)
{
	const char *slash = strrchr(name, '/');
	char *out;
	size_t bytes;

	if (hard || !slash)
		return strdup(member_name(target, &bytes));
	size_t folder = (size_t)(slash - name);

	while (begins(target, "../") && folder > 0) {
		target += 3;
		while (folder > 0 && name[folder - 1] != '/')
			folder--;
		folder -= folder > 0;
	}
	if (asprintf(&out, "%.*s%s%s", (int)folder, name, folder > 0 ? "/" : "", target) < 0)
		return NULL;
	return out;
}

static enum chain_status member_add(struct container *container, const struct layers_entry *entry,
				    const struct rootfs_bytes *bytes, struct chain_error *err)
{
	size_t name_bytes;
	const char *name = member_name(entry->path, &name_bytes),
		   *target = entry->hard_link ? entry->hard_link : entry->target;
	struct container_member *grown =
		bake_grow(container->members, &container->room, container->count, sizeof(*grown));

	if (!grown)
		return no_memory(container, err);
	container->members = grown;
	struct container_member *member = &grown[container->count];

	*member = (struct container_member){ .name = strndup(name, name_bytes),
					     .offset = bytes->offset,
					     .bytes = entry->size_bytes,
					     .fd = bytes->fd,
					     .number = container->count };
	container->count++;
	if (member->name && target)
		member->target = target_name(member->name, target, entry->hard_link != NULL);
	return member->name && (!target || member->target) ? CHAIN_OK : no_memory(container, err);
}

static enum chain_status members_read(struct container *container, struct tar_reader *reader, struct chain_error *err)
{
	enum chain_status status = CHAIN_OK;

	while (!status) {
		struct layers_entry entry;
		struct rootfs_bytes bytes = { .fd = -1 };
		bool more;

		status = tar_next(reader, &entry, &more, err);
		if (status || !more)
			break;
		if (!chain_is_utf8(entry.path))
			return chain_fail_text(err, CHAIN_E_ROOT_NAME, container->name, "a name that is not UTF-8");
		if (container->count == CONTAINER_MEMBERS_MAX)
			return CHAIN_FAIL(err, LIMIT, .subject = container->name, .detail = "files",
					  .value = container->count + 1, .limit = CONTAINER_MEMBERS_MAX);
		if (entry.type == FS_REGULAR && !entry.hard_link)
			status = tar_place(reader, &bytes, err);
		else if (entry.type != FS_SYMLINK && !entry.hard_link)
			continue;
		if (!status)
			status = member_add(container, &entry, &bytes, err);
	}
	return status;
}

static int by_name(const void *a, const void *b)
{
	const struct container_member *x = a, *y = b;
	const int order = strcmp(x->name, y->name);

	return order ? order : (x->number > y->number) - (x->number < y->number);
}

static enum chain_status archive_open(struct container *container, uint64_t bytes, struct chain_error *err)
{
	const struct tar_stretch whole = { .fd = container->fd, .bytes = bytes, .name = container->name };
	uint8_t packed[CHAIN_SHA256_BYTES], unpacked[CHAIN_SHA256_BYTES];
	struct tar_reader *reader;
	enum chain_status status = tar_open(&reader, &whole, TAR_FILTER_ANY, true, container->spool, err);

	if (status)
		return status;
	status = members_read(container, reader, err);
	if (!status)
		status = tar_finish(reader, packed, unpacked, err);
	tar_close(reader);
	if (!status && container->count > 0)
		qsort(container->members, container->count, sizeof(*container->members), by_name);
	return status;
}

bool container_has(const char *path, bool folder, const char *name, const char *work_folder)
{
	struct tar_spool spool;
	struct tar_reader *reader;
	struct stat about;
	bool found = false, more = true;
	const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | (folder ? O_DIRECTORY : 0));

	if (fd < 0 || fstat(fd, &about) < 0 || folder) {
		found = fd >= 0 && folder && faccessat(fd, name, F_OK, 0) == 0;
		if (fd >= 0)
			(void)close(fd);
		return found;
	}
	const struct tar_stretch whole = { .fd = fd, .bytes = (uint64_t)about.st_size, .name = path };

	tar_spool_init(&spool, work_folder);
	if (!tar_open(&reader, &whole, TAR_FILTER_ANY, false, &spool, NULL)) {
		struct layers_entry entry;
		size_t bytes;

		while (!found && more && !tar_next(reader, &entry, &more, NULL) && more) {
			more = name_is_likely(entry.path);
			found = strcmp(member_name(entry.path, &bytes), name) == 0;
		}
		tar_close(reader);
	}
	tar_spool_close(&spool);
	(void)close(fd);
	return found;
}

enum chain_status container_open(struct container *container, const char *path, bool folder, struct tar_spool *spool,
				 struct chain_error *err)
{
	struct stat about;

	*container = (struct container){ .name = path, .spool = spool, .folder = folder };
	container->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | (folder ? O_DIRECTORY : 0));
	if (container->fd < 0 || fstat(container->fd, &about) < 0)
		return io(path, errno, err);
	if (folder)
		return CHAIN_OK;
	if (!S_ISREG(about.st_mode))
		return chain_fail_text(err, CHAIN_E_NOT_SUPPORTED, path, "an archive that is no regular file");
	return archive_open(container, (uint64_t)about.st_size, err);
}

void container_close(struct container *container)
{
	for (size_t i = 0; i < container->count; i++) {
		free(container->members[i].name);
		free(container->members[i].target);
	}
	free(container->members);
	for (size_t i = 0; i < container->fd_count; i++)
		(void)close(container->fds[i]);
	free(container->fds);
	if (container->name && container->fd >= 0)
		(void)close(container->fd);
	*container = (struct container){ .fd = -1 };
}

/* --- finding --- */

/* The last of that name: an archive may have been appended to. */
static const struct container_member *member_find(const struct container *container, const char *name)
{
	size_t low = 0, high = container->count;

	while (low < high) {
		const size_t middle = low + (high - low) / 2;

		if (strcmp(container->members[middle].name, name) <= 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low > 0 && strcmp(container->members[low - 1].name, name) == 0 ? &container->members[low - 1] : NULL;
}

static enum chain_status archive_find(const struct container *container, const char *name, struct tar_stretch *out,
				      struct chain_error *err)
{
	enum { LINKS_MAX = 8 };
	const struct container_member *member = member_find(container, name);

	for (unsigned i = 0; member && member->target && i < LINKS_MAX; i++)
		member = member_find(container, member->target);
	if (!member || member->target)
		return chain_fail_text(err, CHAIN_E_ROOT_MISSING, container->name, name);
	out->fd = member->fd;
	out->offset = member->offset;
	out->bytes = member->bytes;
	return CHAIN_OK;
}

static enum chain_status file_find(struct container *container, const char *name, struct tar_stretch *out,
				   struct chain_error *err)
{
	struct stat about;
	int *grown = bake_grow(container->fds, &container->fd_room, container->fd_count, sizeof(*grown));

	if (!grown)
		return no_memory(container, err);
	container->fds = grown;
	const int fd = openat(container->fd, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | O_NOFOLLOW);

	if (fd < 0 && errno == ENOENT)
		return chain_fail_text(err, CHAIN_E_ROOT_MISSING, container->name, name);
	if (fd < 0)
		return fail_member(container, name, CHAIN_E_IO, strerror(errno), err);
	container->fds[container->fd_count++] = fd;
	if (fstat(fd, &about) < 0)
		return fail_member(container, name, CHAIN_E_IO, strerror(errno), err);
	if (!S_ISREG(about.st_mode))
		return fail_member(container, name, CHAIN_E_NOT_SUPPORTED, "no regular file", err);
	out->fd = fd;
	out->offset = 0;
	out->bytes = (uint64_t)about.st_size;
	return CHAIN_OK;
}

/* Where a file is: CHAIN_E_ROOT_MISSING. */
static enum chain_status find_file(struct container *container, const char *name, struct tar_stretch *out,
				   struct chain_error *err)
{
	out->name = name;
	return container->folder ? file_find(container, name, out, err) : archive_find(container, name, out, err);
}

static enum chain_status size_check(const struct container *container, const struct tar_stretch *stretch,
				    const uint64_t *wanted, struct chain_error *err)
{
	char subject[2 * CHAIN_SUBJECT_BYTES];

	if (!wanted || stretch->bytes == *wanted)
		return CHAIN_OK;
	(void)snprintf(subject, sizeof(subject), "%s: %s", container->name, stretch->name);
	return CHAIN_FAIL(err, ROOT_SIZE, .subject = subject, .bytes = stretch->bytes, .wanted = *wanted);
}

/* --- reading --- */

static enum chain_status stretch_read(const struct tar_stretch *from, char *out, const char *subject,
				      struct chain_error *err)
{
	uint64_t done = 0;

	while (done < from->bytes) {
		const ssize_t got =
			pread(from->fd, out + done, (size_t)(from->bytes - done), (off_t)(from->offset + done));

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return io(subject, errno, err);
		if (got == 0)
			return chain_fail_text(err, CHAIN_E_FILE_CHANGED, subject, "it became shorter");
		done += (uint64_t)got;
	}
	return CHAIN_OK;
}

enum chain_status container_text(struct container *container, const char *name, const uint8_t *digest,
				 const uint64_t *bytes, char **out, size_t *out_bytes, struct chain_error *err)
{
	char subject[2 * CHAIN_SUBJECT_BYTES];
	struct tar_stretch from;
	uint8_t found[CHAIN_SHA256_BYTES];
	enum chain_status status = find_file(container, name, &from, err);

	*out = NULL;
	(void)snprintf(subject, sizeof(subject), "%s: %s", container->name, name);
	if (!status)
		status = size_check(container, &from, bytes, err);
	if (status)
		return status;
	if (from.bytes > CONTAINER_TEXT_BYTES)
		return CHAIN_FAIL(err, LIMIT, .subject = subject, .detail = "bytes", .value = from.bytes,
				  .limit = CONTAINER_TEXT_BYTES);
	*out = malloc((size_t)from.bytes + 1);
	if (!*out)
		return chain_fail_no_memory(err, subject, from.bytes + 1);
	status = stretch_read(&from, *out, subject, err);
	(*out)[from.bytes] = '\0';
	*out_bytes = (size_t)from.bytes;
	chain_sha256_of(*out, from.bytes, found);
	if (!status && digest)
		status = container_digest_check(subject, found, digest, err);
	if (status) {
		free(*out);
		*out = NULL;
	}
	return status;
}

enum chain_status container_layer_read(struct container *container, const struct container_layer *layer,
				       struct layers *layers, struct chain_error *err)
{
	char subject[2 * CHAIN_SUBJECT_BYTES];
	uint8_t packed[CHAIN_SHA256_BYTES], unpacked[CHAIN_SHA256_BYTES];
	struct tar_stretch from;
	struct tar_reader *reader;
	enum chain_status status = find_file(container, layer->name, &from, err);

	(void)snprintf(subject, sizeof(subject), "%s: %s", container->name, layer->name);
	if (!status)
		status = size_check(container, &from, layer->bytes, err);
	from.name = subject;
	if (!status)
		status = tar_open(&reader, &from, layer->filter, false, container->spool, err);
	if (status)
		return status;
	layers_begin(layers, true);
	status = tar_read_layer(reader, layers, err);
	if (!status)
		status = tar_finish(reader, packed, unpacked, err);
	tar_close(reader);
	if (!status && layer->digest)
		status = container_digest_check(subject, packed, layer->digest, err);
	if (status)
		return status;
	(void)snprintf(subject, sizeof(subject), "%s: what is packed in %s", container->name, layer->name);
	return container_digest_check(subject, unpacked, layer->diff_id, err);
}
