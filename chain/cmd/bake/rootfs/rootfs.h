/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: what a root file system is made of, whatever it comes from (a folder, a tar, a container image, a file system
 * image): a list of nodes for fs/write.h, how its program is started, and the table of what roots can come from. To add
 * a source is to add a file and a row. Must not know: how the root lies in an image, kernels, pipelines. */
#ifndef KCHAIN_ROOTFS_H
#define KCHAIN_ROOTFS_H

#include "fs/write.h"

/* Where the bytes of a regular file are: behind `offset` of an open file, in a file of the host that is opened when it
 * is read, or in memory. */
struct rootfs_bytes {
	int fd;             /* -1: not there; owned by the source, open until its close */
	uint64_t offset;    /* in fd */
	const char *host;   /* a path of the host; null: not there */
	const void *memory; /* null: not there */
	/* Of `host`: what it was when it was looked at. It is CHAIN_E_FILE_CHANGED if it is another when it is read. */
	uint64_t dev, ino, ctime_ns;
};

struct rootfs_node {
	struct fs_spec spec; /* its path, type, mode, owner, rdev (as struct fs_node has it), times, target, hard_link,
				xattrs and size_bytes; the rest is left alone. All that it points to is the tree's */
	struct rootfs_bytes bytes;
};

struct rootfs_port {
	uint16_t number;
	bool udp;
};

/* How the root's program is started, as far as the source says: a container image's config, or nothing. All texts are
 * the tree's. */
struct rootfs_entry {
	const char **argv;                        /* ends with null; null: not said */
	const char **env;                         /* "NAME=value"; ends with null; null: not said */
	const char *workdir, *user, *stop_signal; /* null: not said */
	struct rootfs_port *ports;
	size_t port_count;
};

/* "80", "80/tcp" or "53/udp". */
bool rootfs_port_parse(const char *text, struct rootfs_port *out);

struct rootfs_source;

/* An open source. Either nodes, or an image that is baked as it is. */
struct rootfs {
	const struct rootfs_source *source; /* its row */
	struct rootfs_node *nodes;          /* in any order; each path once; folders that are no node are made */
	size_t node_count, node_room;
	struct rootfs_entry entry;
	const char *origin; /* for people and records: a manifest's digest, say; null: nothing to say */

	int image; /* a file system image: open for reading; -1: there are nodes */
	uint64_t image_bytes;
	const char *
		image_type; /* Linux's name of the file system: "erofs", "ext4", "squashfs", "iso9660"; null: unknown */

	void *private;               /* the source's own */
	struct rootfs_piece *pieces; /* memory of all texts; see rootfs_memory */
};

/* What is asked for. Borrowed. */
struct rootfs_request {
	const char *source;   /* as it was said */
	const char *path;     /* the file or folder: `source` without ":TAG" */
	const char *tag;      /* behind the colon; null: none */
	const char *platform; /* "linux/amd64" unless it was said otherwise */
	bool owner_said;      /* every node belongs to owner_uid:owner_gid, whatever the source says */
	uint32_t owner_uid, owner_gid;
	const char *folder; /* where files without a name may be made for what has to be unpacked */
};

enum { ROOTFS_HEAD_BYTES = 66 * 1024 }; /* what identifies any of the file systems lies in so many bytes */

/* The first bytes of a file, for probes. */
struct rootfs_head {
	bool folder;
	uint64_t file_bytes; /* of the whole file */
	uint8_t bytes[ROOTFS_HEAD_BYTES];
	size_t count;
};

/* One kind of source. */
struct rootfs_source {
	const char *name;   /* as --rootfs-type and "type" have it */
	const char *about;  /* for people */
	const char *scheme; /* what its sources begin with, which are no paths; null: they are paths */
	/* Whether it is one of these. */
	bool (*probe)(const struct rootfs_request *request, const struct rootfs_head *head);
	/* Fills `out` (nodes or image, entry, origin), which is zeroed but for `source` and `image` (-1). On failure
	 * close is called all the same. */
	enum chain_status (*open)(const struct rootfs_request *request, struct rootfs *out, struct chain_error *err);
	void (*close)(struct rootfs *rootfs); /* null: nothing to do; what rootfs_memory gave goes by itself */
};

/* In probing order; ends with null (rootfs/table.c). */
extern const struct rootfs_source *const rootfs_sources[];

/* The row by whose scheme a source begins, which then is no path; null: it is one. */
const struct rootfs_source *rootfs_scheme(const char *source);
/* Finds the row (by `type`, a row's name, or by probing where it is null) and opens it. CHAIN_E_IO,
 * CHAIN_E_ROOT_UNKNOWN. To be closed only when it succeeded. */
enum chain_status rootfs_open(const struct rootfs_request *request, const char *type, struct rootfs *out,
			      struct chain_error *err) CHAIN_MUST_CHECK;
void rootfs_close(struct rootfs *rootfs);

/* Zeroed memory that lives as long as the rootfs. Null: none. */
void *rootfs_memory(struct rootfs *rootfs, size_t bytes, struct chain_error *err);
/* A copy of a text of `bytes` bytes, terminated. Null: no memory. */
const char *rootfs_text(struct rootfs *rootfs, const char *text, size_t bytes, struct chain_error *err);
/* A new node (mode, owner and times 0, no bytes) with a copy of `path`; valid until the next is added. Null: no memory.
 */
struct rootfs_node *rootfs_add(struct rootfs *rootfs, const char *path, enum fs_type type, struct chain_error *err);

/* Reads [offset, offset + count) of a node that is a regular file. */
enum chain_status rootfs_read(const struct rootfs_node *node, uint64_t offset, void *buf, size_t count,
			      struct chain_error *err) CHAIN_MUST_CHECK;
/* The node at an absolute path, links of folders and files followed inside the root; null: there is none. Only after
 * rootfs_sort, which puts the nodes in order of their paths. */
void rootfs_sort(struct rootfs *rootfs);
const struct rootfs_node *rootfs_find(const struct rootfs *rootfs, const char *path);
/* The node of that very path, or null. */
struct rootfs_node *rootfs_at(const struct rootfs *rootfs, const char *path);

/* put.c: puts the nodes of `from` below the absolute path `at` of `into`. Both are sorted, and stay so. Files take
 * the places of files, folders are joined and stay what they are. Borrows: `from` stays open as long as `into`.
 * CHAIN_E_ROOT_PUT: a file and a folder want the same place. */
enum chain_status rootfs_put(struct rootfs *into, const struct rootfs *from, const char *at,
			     struct chain_error *err) CHAIN_MUST_CHECK;

#endif
