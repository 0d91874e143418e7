/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: see tar_read.h. Two readers of libarchive stand behind each other: one undoes the compression, the other takes
 * the tar apart; what passes between them is hashed and counted. Without compression the first is not there. */

#include "tar_read.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PIECE = 1 << 20 };

struct tar_reader {
	struct tar_stretch from;
	struct tar_spool *spool;
	bool marked;
	locale_t utf8;                /* libarchive turns names of extended headers into the locale's */
	struct archive *unpack, *tar; /* unpack is null where nothing is compressed */
	struct archive_entry *entry;  /* the tar's; borrowed */

	uint64_t at;       /* how much of the stretch was read */
	uint8_t *piece;    /* what was read last, */
	uint64_t piece_at; /* which lies there in the file */
	size_t piece_bytes;
	uint64_t tar_bytes; /* that went to the tar's reader */
	struct chain_sha256 packed, unpacked;

	enum chain_status failed; /* what a callback found; reported instead of libarchive's words */
	int number;

	struct fs_xattr *xattrs; /* of the entry */
	size_t xattr_room;
};

/* --- failures --- */

/* libarchive's words, as far as they can be printed. */
static void words_copy(struct archive *archive, char out[CHAIN_SUBJECT_BYTES])
{
	const char *words = archive_error_string(archive);
	size_t used = 0;

	for (words = words ? words : "no reason was given"; *words && used < CHAIN_SUBJECT_BYTES - 1; words++)
		if (*words >= 0x20 && *words < 0x7f)
			out[used++] = *words;
	out[used] = '\0';
}

static enum chain_status cut(const struct tar_reader *reader, struct chain_error *err)
{
	return CHAIN_FAIL(err, ROOT_CUT, .subject = reader->from.name, .bytes = reader->from.bytes);
}

static enum chain_status too_much(const struct tar_reader *reader, struct chain_error *err)
{
	return CHAIN_FAIL(err, LIMIT, .subject = reader->from.name, .detail = "unpacked bytes",
			  .value = reader->spool->unpacked, .limit = tar_spool_limit(reader->spool));
}

static enum chain_status failure(struct tar_reader *reader, struct archive *archive, struct chain_error *err)
{
	char words[CHAIN_SUBJECT_BYTES];

	if (reader->failed == CHAIN_E_IO)
		return chain_fail_text(err, CHAIN_E_IO, reader->from.name, strerror(reader->number));
	if (reader->failed == CHAIN_E_FILE_CHANGED)
		return chain_fail_text(err, CHAIN_E_FILE_CHANGED, reader->from.name, "it became shorter");
	if (reader->failed == CHAIN_E_LIMIT)
		return too_much(reader, err);
	if (archive_errno(archive) == ENOMEM)
		return chain_fail_no_memory(err, reader->from.name, PIECE);
	words_copy(archive, words);
	/* libarchive has a number of words for what ended too early, and no error number of its own for it */
	if (reader->at == reader->from.bytes && (strstr(words, "runcated") || strstr(words, "remature")))
		return cut(reader, err);
	return chain_fail_text(err, CHAIN_E_ROOT_ARCHIVE, reader->from.name, words);
}

static bool count_unpacked(struct tar_reader *reader, uint64_t bytes)
{
	struct tar_spool *spool = reader->spool;

	if (__builtin_add_overflow(spool->unpacked, bytes, &spool->unpacked))
		spool->unpacked = UINT64_MAX;
	if (spool->unpacked <= tar_spool_limit(spool))
		return true;
	reader->failed = CHAIN_E_LIMIT;
	return false;
}

/* --- from the file to the tar's reader --- */

/* The next piece of the stretch; 0 at its end, -1 after a failure. */
static ssize_t piece_read(struct tar_reader *reader)
{
	const uint64_t left = reader->from.bytes - reader->at;
	const size_t count = left < PIECE ? (size_t)left : PIECE;
	ssize_t got = 0;

	reader->piece_at = reader->from.offset + reader->at;
	reader->piece_bytes = 0;
	while (count > 0 && (got = pread(reader->from.fd, reader->piece, count, (off_t)reader->piece_at)) < 0 &&
	       errno == EINTR)
		;
	if (got < 0 || (got == 0 && count > 0)) {
		reader->failed = got < 0 ? CHAIN_E_IO : CHAIN_E_FILE_CHANGED;
		reader->number = errno;
		return -1;
	}
	reader->at += (uint64_t)got;
	reader->piece_bytes = (size_t)got;
	chain_sha256_update(&reader->packed, reader->piece, (uint64_t)got);
	return got;
}

static la_ssize_t read_packed(struct archive *archive, void *ctx, const void **out)
{
	struct tar_reader *reader = ctx;
	const ssize_t got = piece_read(reader);

	if (got < 0)
		archive_set_error(archive, EIO, "it can't be read");
	*out = reader->piece;
	return got;
}

static la_ssize_t read_unpacked(struct archive *archive, void *ctx, const void **out)
{
	struct tar_reader *reader = ctx;
	size_t count = 0;
	la_int64_t offset;
	int result;

	do
		result = archive_read_data_block(reader->unpack, out, &count, &offset);
	while (result == ARCHIVE_OK && count == 0);
	if (result == ARCHIVE_EOF)
		return 0;
	if (result != ARCHIVE_OK || !count_unpacked(reader, count)) {
		archive_set_error(archive, archive_errno(reader->unpack), "%s",
				  result != ARCHIVE_OK && archive_error_string(reader->unpack) ?
					  archive_error_string(reader->unpack) :
					  "it can't be unpacked");
		return -1;
	}
	chain_sha256_update(&reader->unpacked, *out, count);
	reader->tar_bytes += count;
	return (la_ssize_t)count;
}

/* --- opening --- */

/* Those that libarchive undoes by itself: it starts other programs for the rest. */
static const struct {
	int filter;
	int (*allow)(struct archive *);
} filters[] = {
	{ ARCHIVE_FILTER_GZIP, archive_read_support_filter_gzip },
	{ ARCHIVE_FILTER_ZSTD, archive_read_support_filter_zstd },
	{ ARCHIVE_FILTER_XZ, archive_read_support_filter_xz },
	{ ARCHIVE_FILTER_BZIP2, archive_read_support_filter_bzip2 },
	{ ARCHIVE_FILTER_LZ4, archive_read_support_filter_lz4 },
	{ ARCHIVE_FILTER_LZMA, archive_read_support_filter_lzma },
	{ ARCHIVE_FILTER_LZIP, archive_read_support_filter_lzip },
	{ ARCHIVE_FILTER_COMPRESS, archive_read_support_filter_compress },
};

static bool filters_allow(struct archive *archive, int filter)
{
	for (size_t i = 0; i < sizeof(filters) / sizeof(filters[0]); i++)
		if ((filter == TAR_FILTER_ANY || filter == filters[i].filter) &&
		    filters[i].allow(archive) != ARCHIVE_OK)
			return false;
	return true;
}

static enum chain_status no_memory(const struct tar_reader *reader, struct chain_error *err)
{
	return chain_fail_no_memory(err, reader->from.name, PIECE);
}

static void rewind_stretch(struct tar_reader *reader)
{
	reader->at = 0;
	chain_sha256_init(&reader->packed);
}

/* Opens what undoes the compression, and closes it again where there is none. */
static enum chain_status unpack_open(struct tar_reader *reader, int filter, struct chain_error *err)
{
	struct archive_entry *raw;

	reader->unpack = archive_read_new();
	if (!reader->unpack || !filters_allow(reader->unpack, filter) ||
	    archive_read_support_format_raw(reader->unpack) != ARCHIVE_OK)
		return no_memory(reader, err);
	if (archive_read_open(reader->unpack, reader, NULL, read_packed, NULL) != ARCHIVE_OK ||
	    archive_read_next_header(reader->unpack, &raw) != ARCHIVE_OK)
		return failure(reader, reader->unpack, err);
	const bool packed = archive_filter_code(reader->unpack, 0) != ARCHIVE_FILTER_NONE;

	if (filter != TAR_FILTER_ANY && filter != archive_filter_code(reader->unpack, 0))
		return chain_fail_text(err, CHAIN_E_ROOT_ARCHIVE, reader->from.name,
				       "its compression is another than its media type says");
	if (packed)
		return CHAIN_OK;
	archive_read_free(reader->unpack);
	reader->unpack = NULL;
	rewind_stretch(reader);
	return CHAIN_OK;
}

static enum chain_status tar_start(struct tar_reader *reader, struct chain_error *err)
{
	reader->tar = archive_read_new();
	if (!reader->tar || archive_read_support_format_tar(reader->tar) != ARCHIVE_OK)
		return no_memory(reader, err);
	if (archive_read_open(reader->tar, reader, NULL, reader->unpack ? read_unpacked : read_packed, NULL) !=
	    ARCHIVE_OK)
		return failure(reader, reader->tar, err);
	return CHAIN_OK;
}

enum chain_status tar_open(struct tar_reader **out, const struct tar_stretch *from, int filter, bool marked,
			   struct tar_spool *spool, struct chain_error *err)
{
	struct tar_reader *reader = calloc(1, sizeof(*reader));

	*out = reader;
	if (!reader)
		return chain_fail_no_memory(err, from->name, sizeof(*reader));
	reader->from = *from;
	reader->spool = spool;
	reader->marked = marked;
	reader->piece = malloc(PIECE);
	reader->utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
	rewind_stretch(reader);
	chain_sha256_init(&reader->unpacked);
	spool->packed += from->bytes; /* sizes of files: no sum of some of them wraps around */
	enum chain_status status = CHAIN_OK;

	if (!reader->piece)
		status = no_memory(reader, err);
	else if (!reader->utf8)
		status =
			chain_fail_text(err, CHAIN_E_NOT_SUPPORTED, from->name, "this system lacks the locale C.UTF-8");
	else if (from->bytes == 0)
		status = cut(reader, err);
	const locale_t before = !status ? uselocale(reader->utf8) : (locale_t)0;

	if (!status)
		status = unpack_open(reader, filter, err);
	if (!status)
		status = tar_start(reader, err);
	if (before)
		(void)uselocale(before);
	if (!status)
		return CHAIN_OK;
	tar_close(reader);
	*out = NULL;
	return status;
}

void tar_close(struct tar_reader *reader)
{
	if (!reader)
		return;
	if (reader->tar)
		archive_read_free(reader->tar);
	if (reader->unpack)
		archive_read_free(reader->unpack);
	if (reader->utf8)
		freelocale(reader->utf8);
	free(reader->xattrs);
	free(reader->piece);
	free(reader);
}

/* --- entries --- */

static enum chain_status bad_entry(const struct tar_reader *reader, const char *what, struct chain_error *err)
{
	const char *path = archive_entry_pathname(reader->entry);
	char subject[2 * CHAIN_SUBJECT_BYTES];

	(void)snprintf(subject, sizeof(subject), "%s: %s", reader->from.name,
		       path && chain_is_utf8(path) ? path : "a name");
	return chain_fail_text(err, CHAIN_E_NOT_SUPPORTED, subject, what);
}

/* What a root keeps; sought from the start. A machine's own labels and signatures mean nothing on another one. */
static const struct {
	const char *name;
	bool whole; /* else what names begin with */
	bool kept;
} xattr_rules[] = {
	{ "user.", false, true },
	{ "trusted.", false, true },
	{ "security.selinux", true, false },
	{ "security.ima", true, false },
	{ "security.evm", true, false },
	{ "security.", false, true },
	{ "system.posix_acl_access", true, true },
	{ "system.posix_acl_default", true, true },
};

static bool xattr_kept(const char *name)
{
	for (size_t i = 0; i < sizeof(xattr_rules) / sizeof(xattr_rules[0]); i++)
		if (xattr_rules[i].whole ? strcmp(name, xattr_rules[i].name) == 0 :
					   strncmp(name, xattr_rules[i].name, strlen(xattr_rules[i].name)) == 0)
			return xattr_rules[i].kept;
	return false;
}

static void xattr_leave(struct tar_reader *reader, const char *name)
{
	struct tar_spool *spool = reader->spool;

	if (spool->xattrs_left++ == 0)
		(void)snprintf(spool->xattr_first, sizeof(spool->xattr_first), "%s",
			       chain_is_utf8(name) && !chain_text_has_control(name, strlen(name)) ? name : "?");
}

static enum chain_status xattrs_get(struct tar_reader *reader, struct layers_entry *out, struct chain_error *err)
{
	const int count = archive_entry_xattr_reset(reader->entry);
	const char *name;
	const void *value;
	size_t bytes;

	if ((archive_entry_acl_types(reader->entry) & (ARCHIVE_ENTRY_ACL_TYPE_DEFAULT | ARCHIVE_ENTRY_ACL_TYPE_NFS4)) ||
	    archive_entry_acl_count(reader->entry, ARCHIVE_ENTRY_ACL_TYPE_ACCESS) > 0)
		xattr_leave(reader, "SCHILY.acl");
	if (count > 0 && (size_t)count > reader->xattr_room) {
		struct fs_xattr *list = realloc(reader->xattrs, (size_t)count * sizeof(*list));

		if (!list)
			return no_memory(reader, err);
		reader->xattrs = list;
		reader->xattr_room = (size_t)count;
	}
	out->xattrs = reader->xattrs;
	while (archive_entry_xattr_next(reader->entry, &name, &value, &bytes) == ARCHIVE_OK) {
		if (!xattr_kept(name))
			xattr_leave(reader, name);
		else
			reader->xattrs[out->xattr_count++] =
				(struct fs_xattr){ .name = name, .value = value, .value_bytes = bytes };
	}
	return CHAIN_OK;
}

static bool type_of(mode_t mode, enum fs_type *out)
{
	static const struct {
		mode_t mode;
		enum fs_type type;
	} types[] = { { AE_IFREG, FS_REGULAR },     { AE_IFDIR, FS_DIRECTORY },    { AE_IFLNK, FS_SYMLINK },
		      { AE_IFCHR, FS_CHAR_DEVICE }, { AE_IFBLK, FS_BLOCK_DEVICE }, { AE_IFIFO, FS_FIFO },
		      { AE_IFSOCK, FS_SOCKET } };

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		*out = types[i].type;
		if (types[i].mode == mode)
			return true;
	}
	return false;
}

static enum chain_status numbers_get(const struct tar_reader *reader, struct layers_entry *out, struct chain_error *err)
{
	enum { MAJOR_END = 1 << 12, MINOR_END = 1 << 20 };
	struct archive_entry *entry = reader->entry;
	const int64_t uid = archive_entry_uid(entry), gid = archive_entry_gid(entry), size = archive_entry_size(entry);
	const uint64_t major = archive_entry_rdevmajor(entry), minor = archive_entry_rdevminor(entry);
	const bool device = out->type == FS_CHAR_DEVICE || out->type == FS_BLOCK_DEVICE;

	if (uid < 0 || uid >= UINT32_MAX || gid < 0 || gid >= UINT32_MAX)
		return bad_entry(reader, "an owner's number of more than 32 bits", err);
	if (device && (major >= MAJOR_END || minor >= MINOR_END))
		return bad_entry(reader, "a device's numbers of more than 12 and 20 bits", err);
	if (size < 0)
		return bad_entry(reader, "a size below zero", err);
	out->mode = archive_entry_perm(entry) & 07777;
	out->uid = (uint32_t)uid;
	out->gid = (uint32_t)gid;
	out->rdev = device ? (uint32_t)((minor & 0xff) | major << 8 | (minor & ~(uint64_t)0xff) << 12) : 0;
	out->mtime = archive_entry_mtime_is_set(entry) ? (uint64_t)archive_entry_mtime(entry) : 0;
	out->mtime_ns = archive_entry_mtime_is_set(entry) ? (uint32_t)archive_entry_mtime_nsec(entry) : 0;
	out->size_bytes = out->type == FS_REGULAR ? (uint64_t)size : 0;
	return CHAIN_OK;
}

static enum chain_status entry_get(struct tar_reader *reader, struct layers_entry *out, struct chain_error *err)
{
	struct archive_entry *entry = reader->entry;

	*out = (struct layers_entry){ .path = archive_entry_pathname(entry),
				      .hard_link = archive_entry_hardlink(entry),
				      .type = FS_REGULAR,
				      .bytes = { .fd = -1 } };
	if (!out->path)
		return bad_entry(reader, "an entry without a name", err);
	if (out->hard_link && archive_entry_size(entry) > 0)
		return bad_entry(reader, "a hard link with bytes of its own", err);
	if (out->hard_link)
		return CHAIN_OK;
	if (!type_of(archive_entry_filetype(entry), &out->type))
		return bad_entry(reader, "an entry of no known type", err);
	out->target = out->type == FS_SYMLINK ? archive_entry_symlink(entry) : NULL;
	if (out->type == FS_SYMLINK && !out->target)
		return bad_entry(reader, "a link without a target", err);
	const enum chain_status status = numbers_get(reader, out, err);

	return status ? status : xattrs_get(reader, out, err);
}

/* At the end: the block of zeros was there, or the file ended. */
static enum chain_status end_check(struct tar_reader *reader, struct chain_error *err)
{
	const la_int64_t end = archive_read_header_position(reader->tar);
	const uint64_t bytes = reader->unpack ? reader->tar_bytes : reader->at;

	return !reader->marked || (uint64_t)end < bytes ? CHAIN_OK : cut(reader, err);
}

enum chain_status tar_next(struct tar_reader *reader, struct layers_entry *out, bool *out_more, struct chain_error *err)
{
	const locale_t before = uselocale(reader->utf8);
	const int result = archive_read_next_header(reader->tar, &reader->entry);
	enum chain_status status;

	*out_more = result != ARCHIVE_EOF;
	if (result == ARCHIVE_EOF)
		status = end_check(reader, err);
	else if (result != ARCHIVE_OK) /* a warning says that something of the entry is lost */
		status = failure(reader, reader->tar, err);
	else
		status = entry_get(reader, out, err);
	(void)uselocale(before);
	return status;
}

/* --- bytes --- */

/* Where a block lies in the file, if libarchive handed out what was read as it is. */
static bool lies_in_file(const struct tar_reader *reader, const void *block, size_t count, uint64_t *out)
{
	const uintptr_t at = (uintptr_t)block, piece = (uintptr_t)reader->piece;

	if (reader->unpack || at < piece || at - piece > reader->piece_bytes ||
	    count > reader->piece_bytes - (at - piece))
		return false;
	*out = reader->piece_at + (at - piece);
	return true;
}

/* Bytes that were found in the archive and have to go to the spool after all, since what follows does not lie behind
 * them. */
static enum chain_status move(struct tar_reader *reader, uint64_t from, uint64_t to, uint64_t count,
			      struct chain_error *err)
{
	uint8_t *buffer = count > 0 ? malloc(PIECE) : NULL;
	enum chain_status status = buffer || count == 0 ? CHAIN_OK : no_memory(reader, err);

	while (!status && count > 0) {
		const ssize_t got = pread(reader->from.fd, buffer, count < PIECE ? (size_t)count : PIECE, (off_t)from);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0) {
			reader->failed = got < 0 ? CHAIN_E_IO : CHAIN_E_FILE_CHANGED;
			reader->number = errno;
			status = failure(reader, reader->tar, err);
			break;
		}
		status = tar_spool_write(reader->spool, to, buffer, (size_t)got, err);
		from += (uint64_t)got;
		to += (uint64_t)got;
		count -= (uint64_t)got;
	}
	free(buffer);
	return status;
}

/* One entry's bytes on their way. */
struct placing {
	bool spooled;
	uint64_t start; /* of the file's first byte in the archive, or in the spool */
	uint64_t done;  /* where the blocks so far end in the file */
};

static enum chain_status to_spool(struct tar_reader *reader, struct placing *p, uint64_t size, struct chain_error *err)
{
	uint64_t start;
	enum chain_status status = tar_spool_take(reader->spool, size, &start, err);

	if (!status)
		status = move(reader, p->start, start, p->done, err);
	p->spooled = true;
	p->start = start;
	return status;
}

static enum chain_status block_place(struct tar_reader *reader, struct placing *p, const void *block, size_t count,
				     uint64_t offset, uint64_t size, struct chain_error *err)
{
	uint64_t at;

	if (offset > size || count > size - offset)
		return bad_entry(reader, "a file with more bytes than its header says", err);
	if (!p->spooled && lies_in_file(reader, block, count, &at) && offset == p->done &&
	    (offset == 0 || at == p->start + offset)) {
		if (offset == 0)
			p->start = at;
		p->done = offset + count;
		return CHAIN_OK;
	}
	enum chain_status status = p->spooled ? CHAIN_OK : to_spool(reader, p, size, err);

	if (!status)
		status = tar_spool_write(reader->spool, p->start + offset, block, count, err);
	p->done = offset + count;
	return status;
}

static enum chain_status blocks_place(struct tar_reader *reader, uint64_t size, struct placing *p,
				      struct chain_error *err)
{
	enum chain_status status = CHAIN_OK;
	const void *block;
	size_t count;
	la_int64_t offset;

	while (!status) {
		const int result = archive_read_data_block(reader->tar, &block, &count, &offset);

		if (result == ARCHIVE_EOF)
			break;
		if (result != ARCHIVE_OK)
			return failure(reader, reader->tar, err);
		if (count > 0)
			status = block_place(reader, p, block, count, (uint64_t)offset, size, err);
	}
	/* what a sparse file has behind its last block is zero */
	if (!status && !p->spooled && p->done < size)
		status = to_spool(reader, p, size, err);
	return status;
}

enum chain_status tar_place(struct tar_reader *reader, struct rootfs_bytes *out, struct chain_error *err)
{
	const uint64_t size = (uint64_t)archive_entry_size(reader->entry);
	struct placing p = { .spooled = false };

	*out = (struct rootfs_bytes){ .fd = -1 };
	if (size == 0)
		return CHAIN_OK;
	/* compressed bytes were counted; a sparse file may have more than there are of these */
	if ((!reader->unpack || archive_entry_sparse_count(reader->entry) > 0) && !count_unpacked(reader, size))
		return too_much(reader, err);
	const locale_t before = uselocale(reader->utf8);
	const enum chain_status status = blocks_place(reader, size, &p, err);

	(void)uselocale(before);
	out->fd = p.spooled ? reader->spool->fd : reader->from.fd;
	out->offset = p.start;
	return status;
}

/* Compressed data end with a checksum: what is behind the tar's end is read as well. */
static enum chain_status rest_read(struct tar_reader *reader, struct chain_error *err)
{
	const void *block;

	for (;;) {
		const la_ssize_t got = (reader->unpack ? read_unpacked : read_packed)(reader->tar, reader, &block);

		if (got < 0)
			return failure(reader, reader->tar, err);
		if (got == 0)
			break;
	}
	while (reader->at < reader->from.bytes)
		if (piece_read(reader) < 0)
			return failure(reader, reader->tar, err);
	return CHAIN_OK;
}

enum chain_status tar_finish(struct tar_reader *reader, uint8_t out_packed[CHAIN_SHA256_BYTES],
			     uint8_t out_unpacked[CHAIN_SHA256_BYTES], struct chain_error *err)
{
	const locale_t before = uselocale(reader->utf8);
	enum chain_status status = rest_read(reader, err);

	(void)uselocale(before);
	if (!status)
		status = tar_spool_flush(reader->spool, err);
	if (status)
		return status;
	chain_sha256_final(&reader->packed, out_packed);
	if (reader->unpack)
		chain_sha256_final(&reader->unpacked, out_unpacked);
	else
		memcpy(out_unpacked, out_packed, CHAIN_SHA256_BYTES);
	return CHAIN_OK;
}

enum chain_status tar_read_layer(struct tar_reader *reader, struct layers *layers, struct chain_error *err)
{
	enum chain_status status = CHAIN_OK;

	for (;;) {
		struct layers_entry entry;
		bool more;

		status = tar_next(reader, &entry, &more, err);
		if (status || !more)
			return status;
		if (entry.type == FS_REGULAR && !entry.hard_link && !layers_is_whiteout(layers, entry.path))
			status = tar_place(reader, &entry.bytes, err);
		if (!status)
			status = layers_put(layers, &entry, err);
		if (status)
			return status;
	}
}
