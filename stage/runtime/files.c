/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Open files: the console as 0, 1 and 2, the baked filesystem's files and directories, /dev/urandom and /dev/null.
 * Read-only. */

#include "stage/boot.h"
#include "stage/console.h"
#include "stage/pages.h"
#include "stage/random.h"
#include "stage/runtime.h"
#include "stage/libc/syscall.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/uio.h>

enum { FIRST_FD = 3, FILES_MAX = 32, PATH_BYTES = 1024 };

static struct open_file {
	enum { CLOSED, FILE_NODE, DEVICE_RANDOM, DEVICE_NULL } kind;
	struct fs_node node;
	uint64_t offset; /* directories: entries already read */
} files[FILES_MAX];

const struct fs *stage_fs(void)
{
	static struct fs fs;
	static enum { UNKNOWN, MOUNTED, NONE } state;
	if (state != UNKNOWN)
		return state == MOUNTED ? &fs : NULL;
	uint64_t count;
	struct chain_error err = { 0 };
	const void *bytes = stage_boot.face->fs(&count);
	state = count && !stage_boot.face->mount(&fs, bytes, count, &err) ? MOUNTED : NONE;
	return stage_fs();
}

static struct open_file *file_of(uint64_t fd)
{
	if (fd < FIRST_FD || fd >= FIRST_FD + FILES_MAX || files[fd - FIRST_FD].kind == CLOSED)
		return NULL;
	return &files[fd - FIRST_FD];
}

static int64_t errno_of(enum chain_status status)
{
	switch (status) {
	case CHAIN_OK:
		return 0;
	case CHAIN_E_FS_NOT_FOUND:
		return -ENOENT;
	case CHAIN_E_FS_NOT_DIRECTORY:
		return -ENOTDIR;
	case CHAIN_E_FS_LOOP:
		return -ELOOP;
	default:
		return -EIO;
	}
}

/* Relative paths start at the root: there is no other working directory. */
static int64_t find(const char *path, bool follow, struct fs_node *out)
{
	char absolute[PATH_BYTES];
	size_t bytes = strlen(path);
	struct chain_error err = { 0 };
	if (bytes + 2 > sizeof(absolute))
		return -ENAMETOOLONG;
	if (!bytes || !stage_fs())
		return -ENOENT;
	absolute[0] = '/';
	memcpy(absolute + (path[0] != '/'), path, bytes + 1);
	return errno_of(fs_lookup(stage_fs(), absolute, follow, out, &err));
}

static int64_t open_path(const char *path, uint64_t flags)
{
	struct open_file *file = files;
	while (file < files + FILES_MAX && file->kind != CLOSED)
		file++;
	if (file == files + FILES_MAX)
		return -EMFILE;
	*file = (struct open_file){ .kind = CLOSED };
	if (!strcmp(path, "/dev/urandom") || !strcmp(path, "/dev/random")) {
		file->kind = DEVICE_RANDOM;
	} else if (!strcmp(path, "/dev/null")) {
		file->kind = DEVICE_NULL;
	} else if ((flags & O_ACCMODE) != O_RDONLY || (flags & (O_CREAT | O_TRUNC))) {
		return -EROFS;
	} else {
		int64_t result = find(path, true, &file->node);
		if (result)
			return result;
		if ((flags & O_DIRECTORY) && file->node.type != FS_DIRECTORY)
			return -ENOTDIR;
		file->kind = FILE_NODE;
	}
	return file - files + FIRST_FD;
}

int64_t stage_sys_open(const uint64_t a[STAGE_SYSCALL_ARGS])
{
	return open_path((const char *)a[0], a[1]);
}
int64_t stage_sys_openat(const uint64_t a[STAGE_SYSCALL_ARGS])
{
	return open_path((const char *)a[1], a[2]);
}

int64_t stage_sys_close(const uint64_t a[STAGE_SYSCALL_ARGS])
{
	struct open_file *file = file_of(a[0]);
	if (!file)
		return a[0] < FIRST_FD ? 0 : -EBADF;
	file->kind = CLOSED;
	return 0;
}

static int64_t read_at(const struct open_file *file, uint64_t offset, void *buf, uint64_t count)
{
	struct chain_error err = { 0 };
	if (file->kind == DEVICE_NULL)
		return 0;
	if (file->kind == DEVICE_RANDOM) {
		stage_random_fill(buf, count);
		return (int64_t)count;
	}
	if (file->node.type == FS_DIRECTORY)
		return -EISDIR;
	if (offset >= file->node.size_bytes)
		return 0;
	if (count > file->node.size_bytes - offset)
		count = file->node.size_bytes - offset;
	int64_t result = errno_of(fs_read(stage_fs(), &file->node, offset, buf, count, &err));
	return result ? result : (int64_t)count;
}

static int64_t read_some(uint64_t fd, void *buf, uint64_t count)
{
	struct open_file *file = file_of(fd);
	if (!file)
		return fd == 0 ? 0 : -EBADF; /* standard input is empty */
	int64_t got = read_at(file, file->offset, buf, count);
	if (got > 0)
		file->offset += (uint64_t)got;
	return got;
}

int64_t stage_sys_read(const uint64_t a[STAGE_SYSCALL_ARGS])
{
	return read_some(a[0], (void *)a[1], a[2]);
}

int64_t stage_sys_pread64(const uint64_t a[STAGE_SYSCALL_ARGS])
{
	const struct open_file *file = file_of(a[0]);
	return file ? read_at(file, a[3], (void *)a[1], a[2]) : -EBADF;
}

static int64_t write_some(uint64_t fd, const void *buf, uint64_t count)
{
	if (fd != 1 && fd != 2) {
		const struct open_file *file = file_of(fd);
		if (!file || file->kind != DEVICE_NULL)
			return -EBADF;
		return (int64_t)count;
	}
	stage_console_write(buf, count);
	return (int64_t)count;
}

int64_t stage_sys_write(const uint64_t a[STAGE_SYSCALL_ARGS])
{
	return write_some(a[0], (const void *)a[1], a[2]);
}

int64_t stage_sys_readv(const uint64_t a[STAGE_SYSCALL_ARGS])
{
	const struct iovec *v = (const struct iovec *)a[1];
	int64_t total = 0;
	for (uint64_t i = 0; i < a[2]; i++) {
		int64_t got = read_some(a[0], v[i].iov_base, v[i].iov_len);
		if (got < 0)
			return total ? total : got;
		total += got;
		if ((uint64_t)got < v[i].iov_len)
			break;
	}
	return total;
}

int64_t stage_sys_writev(const uint64_t a[STAGE_SYSCALL_ARGS])
{
	const struct iovec *v = (const struct iovec *)a[1];
	int64_t total = 0;
	for (uint64_t i = 0; i < a[2]; i++) {
		int64_t put = write_some(a[0], v[i].iov_base, v[i].iov_len);
		if (put < 0)
			return put;
		total += put;
	}
	return total;
}

int64_t stage_sys_lseek(const uint64_t a[STAGE_SYSCALL_ARGS])
{
	struct open_file *file = file_of(a[0]);
	int64_t base, at;
	if (!file)
		return a[0] < FIRST_FD ? -ESPIPE : -EBADF;
	switch (a[2]) {
	case SEEK_SET:
		base = 0;
		break;
	case SEEK_CUR:
		base = (int64_t)file->offset;
		break;
	case SEEK_END:
		base = (int64_t)file->node.size_bytes;
		break;
	default:
		return -EINVAL;
	}
	if (__builtin_add_overflow(base, (int64_t)a[1], &at) || at < 0)
		return -EINVAL;
	file->offset = (uint64_t)at;
	return at;
}

static uint32_t mode_of(const struct fs_node *node)
{
	static const uint32_t types[] = {
		[FS_REGULAR] = S_IFREG,      [FS_DIRECTORY] = S_IFDIR, [FS_CHAR_DEVICE] = S_IFCHR,
		[FS_BLOCK_DEVICE] = S_IFBLK, [FS_FIFO] = S_IFIFO,      [FS_SOCKET] = S_IFSOCK,
		[FS_SYMLINK] = S_IFLNK
	};
	return types[node->type] | node->mode;
}

static void fill_stat(const struct fs_node *node, struct stat *out)
{
	enum { SECTOR = 512 };
	*out = (struct stat){ .st_ino = node->nid,
			      .st_mode = mode_of(node),
			      .st_nlink = node->nlink,
			      .st_uid = node->uid,
			      .st_gid = node->gid,
			      .st_rdev = node->rdev,
			      .st_size = (off_t)node->size_bytes,
			      .st_blksize = STAGE_PAGE,
			      .st_blocks = (blkcnt_t)((node->size_bytes + SECTOR - 1) / SECTOR) };
	out->st_mtim.tv_sec = out->st_ctim.tv_sec = out->st_atim.tv_sec = (time_t)node->mtime;
}

static int64_t stat_path(const char *path, bool follow, struct stat *out)
{
	struct fs_node node;
	int64_t result = find(path, follow, &node);
	if (!result)
		fill_stat(&node, out);
	return result;
}

int64_t stage_sys_stat(const uint64_t a[STAGE_SYSCALL_ARGS])
{
	return stat_path((const char *)a[0], true, (struct stat *)a[1]);
}
int64_t stage_sys_lstat(const uint64_t a[STAGE_SYSCALL_ARGS])
{
	return stat_path((const char *)a[0], false, (struct stat *)a[1]);
}

int64_t stage_sys_newfstatat(const uint64_t a[STAGE_SYSCALL_ARGS])
{
	return stat_path((const char *)a[1], !(a[3] & AT_SYMLINK_NOFOLLOW), (struct stat *)a[2]);
}

int64_t stage_sys_fstat(const uint64_t a[STAGE_SYSCALL_ARGS])
{
	const struct open_file *file = file_of(a[0]);
	struct stat *out = (struct stat *)a[1];
	if (!file && a[0] >= FIRST_FD)
		return -EBADF;
	if (file && file->kind == FILE_NODE)
		fill_stat(&file->node, out);
	else
		*out = (struct stat){ .st_mode = S_IFCHR | 0600, .st_nlink = 1, .st_blksize = STAGE_PAGE };
	return 0;
}

int64_t stage_sys_access(const uint64_t a[STAGE_SYSCALL_ARGS])
{
	struct fs_node node;
	int64_t result = find((const char *)a[0], true, &node);
	return !result && (a[1] & 2) ? -EROFS : result;
}

int64_t stage_sys_readlink(const uint64_t a[STAGE_SYSCALL_ARGS])
{
	struct fs_node node;
	struct chain_error err = { 0 };
	int64_t result = find((const char *)a[0], false, &node);
	if (result)
		return result;
	if (node.type != FS_SYMLINK)
		return -EINVAL;
	uint64_t count = node.size_bytes < a[2] ? node.size_bytes : a[2];
	result = errno_of(fs_read(stage_fs(), &node, 0, (void *)a[1], count, &err));
	return result ? result : (int64_t)count;
}

struct listing {
	uint8_t *buf;
	uint64_t room, used, skip, seen;
};

static enum chain_status list_entry(void *ctx, const struct fs_dirent *entry, struct chain_error *err)
{
	static const uint8_t types[] = {
		[FS_REGULAR] = DT_REG, [FS_DIRECTORY] = DT_DIR, [FS_CHAR_DEVICE] = DT_CHR, [FS_BLOCK_DEVICE] = DT_BLK,
		[FS_FIFO] = DT_FIFO,   [FS_SOCKET] = DT_SOCK,   [FS_SYMLINK] = DT_LNK
	};
	struct listing *list = ctx;
	if (list->seen < list->skip) {
		list->seen++;
		return CHAIN_OK;
	}
	size_t bytes = (offsetof(struct dirent, d_name) + entry->name_bytes + 1 + 7) & ~(size_t)7;
	if (bytes > list->room - list->used)
		return CHAIN_FAIL(err, LIMIT, .subject = "directory", .detail = "bytes of entries", .value = bytes,
				  .limit = list->room); /* the rest next time */
	uint8_t *at = list->buf + list->used;
	memset(at, 0, bytes);
	struct dirent head = { .d_ino = entry->nid,
			       .d_off = (off_t)(list->seen + 1),
			       .d_reclen = (unsigned short)bytes,
			       .d_type = types[entry->type] };
	memcpy(at, &head, offsetof(struct dirent, d_name));
	memcpy(at + offsetof(struct dirent, d_name), entry->name, entry->name_bytes);
	list->used += bytes;
	list->seen++;
	return CHAIN_OK;
}

int64_t stage_sys_getdents64(const uint64_t a[STAGE_SYSCALL_ARGS])
{
	struct open_file *file = file_of(a[0]);
	struct chain_error err = { 0 };
	if (!file)
		return -EBADF;
	if (file->kind != FILE_NODE || file->node.type != FS_DIRECTORY)
		return -ENOTDIR;
	struct listing list = { .buf = (uint8_t *)a[1], .room = a[2], .skip = file->offset };
	enum chain_status status = fs_read_dir(stage_fs(), &file->node, list_entry, &list, &err);
	if (status && !(status == CHAIN_E_LIMIT && list.used))
		return status == CHAIN_E_LIMIT ? -EINVAL : errno_of(status);
	file->offset = list.seen;
	return (int64_t)list.used;
}

int64_t stage_sys_ioctl(const uint64_t a[STAGE_SYSCALL_ARGS])
{
	if (a[0] >= FIRST_FD || a[1] != TIOCGWINSZ)
		return -ENOTTY;
	*(struct winsize *)a[2] = (struct winsize){ .ws_row = 25, .ws_col = 80 };
	return 0;
}

int64_t stage_sys_fcntl(const uint64_t a[STAGE_SYSCALL_ARGS])
{
	return a[0] < FIRST_FD || file_of(a[0]) ? 0 : -EBADF;
}
