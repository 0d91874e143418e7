/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: reading the files of a tree: each as few times as can be, and none unnoticed that changes meanwhile. */

#include "bake_host.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A twin's beginning. A file that ends there is kept, as long as all that is kept is not too much. */
enum { BEGINNING = 4096, KEPT_MAX = 16 << 20 };

static enum chain_status io(const char *path, int number, struct chain_error *err)
{
	return chain_fail_text(err, CHAIN_E_IO, path, strerror(number));
}

static enum chain_status identity_check(const struct bake_tree *tree, const struct bake_node *node,
					struct chain_error *err)
{
	struct stat about;

	if (fstat(tree->fd, &about) < 0)
		return io(node->host, errno, err);
	const struct bake_identity now = bake_identity_of(&about);

	if (bake_identity_same(&now, &node->identity))
		return CHAIN_OK;
	return chain_fail_text(err, CHAIN_E_FILE_CHANGED, node->host, "its size or time is another than a moment ago");
}

static enum chain_status file_open_unchecked(struct bake_tree *tree, const struct bake_node *node,
					     struct chain_error *err)
{
	if (tree->fd >= 0)
		(void)close(tree->fd);
	tree->reading = node;
	/* what has taken its place may be anything: a pipe is not waited for */
	tree->fd = open(node->host, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	return tree->fd < 0 ? io(node->host, errno, err) : CHAIN_OK;
}

static enum chain_status file_open(struct bake_tree *tree, const struct bake_node *node, struct chain_error *err)
{
	const enum chain_status status = file_open_unchecked(tree, node, err);

	return status ? status : identity_check(tree, node, err);
}

enum chain_status bake_tree_load(struct bake_tree *tree, const struct bake_node *node, struct cmd_file *out,
				 struct chain_error *err)
{
	const enum chain_status status = file_open(tree, node, err);

	return status ? status : cmd_file_load_fd(tree->fd, node->host, 0, out, err);
}

/* A file that was changed meanwhile is reported as changed, whatever reading it led to. */
static enum chain_status read_failed(const struct bake_tree *tree, const struct bake_node *node, int number,
				     struct chain_error *err)
{
	const enum chain_status status = identity_check(tree, node, err);

	return status ? status : io(node->host, number, err);
}

enum chain_status bake_tree_read(struct bake_tree *tree, const struct fs_spec *spec, uint64_t offset, void *buf,
				 size_t count, struct chain_error *err)
{
	const struct bake_node *node = spec->cookie;
	enum chain_status status = CHAIN_OK;
	char *at = buf;

	if (node->text) {
		memcpy(buf, node->text + offset, count);
		return CHAIN_OK;
	}
	/* one that is read at once is looked at behind that alone */
	if (tree->reading != node)
		status = (count < node->spec.size_bytes ? file_open : file_open_unchecked)(tree, node, err);
	while (!status && count > 0) {
		const ssize_t got = pread(tree->fd, at, count, (off_t)offset);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return read_failed(tree, node, errno, err);
		if (got == 0)
			return chain_fail_text(err, CHAIN_E_FILE_CHANGED, node->host, "it became shorter");
		at += got;
		offset += (uint64_t)got;
		count -= (size_t)got;
	}
	return !status && offset == node->spec.size_bytes ? identity_check(tree, node, err) : status;
}

enum chain_status bake_tree_stream(struct bake_tree *tree, const struct bake_node *node, struct bake_out *out,
				   uint64_t offset, uint8_t out_digest[CHAIN_LOCATED_BYTES], struct chain_error *err)
{
	const uint64_t size = node->spec.size_bytes;
	uint64_t done = 0;
	enum chain_status status = bake_hash_start(&tree->hash, err);

	if (status)
		return status;
	while (!status && done < size) {
		const size_t count = size - done < BAKE_HASH_PIECE ? (size_t)(size - done) : BAKE_HASH_PIECE;
		uint8_t *piece = bake_hash_buffer(&tree->hash);

		status = bake_tree_read(tree, &node->spec, done, piece, count, err);
		if (status)
			break;
		bake_hash_put(&tree->hash, count);
		if (out)
			status = bake_out_write(out, offset + done, piece, count, err);
		done += count;
	}
	bake_hash_take(&tree->hash, out_digest);
	return status;
}

/* Whole blocks apart from the rest: a file system that shares them between files can share no less than one. */
enum chain_status bake_tree_copy(struct bake_tree *tree, const struct bake_node *node, struct bake_out *out,
				 uint64_t offset, struct chain_error *err)
{
	const uint64_t size = node->spec.size_bytes, whole = size & ~(uint64_t)(FS_BLOCK_BYTES - 1);
	enum chain_status status = file_open(tree, node, err);

	if (!status)
		status = bake_out_copy(out, node->host, tree->fd, 0, offset, whole, err);
	if (!status)
		status = bake_out_flush(out, err);
	if (!status)
		status = bake_out_copy(out, node->host, tree->fd, whole, offset + whole, size - whole, err);
	if (!status)
		status = bake_out_flush(out, err);
	return status ? status : identity_check(tree, node, err);
}

static int by_size(const void *a, const void *b)
{
	const struct bake_node *x = *(struct bake_node *const *)a, *y = *(struct bake_node *const *)b;

	return x->spec.size_bytes != y->spec.size_bytes ? (x->spec.size_bytes < y->spec.size_bytes ? -1 : 1) :
							  strcmp(x->path, y->path);
}

static int by_digest(const void *a, const void *b)
{
	const struct bake_node *x = *(struct bake_node *const *)a, *y = *(struct bake_node *const *)b;
	const int order = memcmp(x->digest, y->digest, sizeof(x->digest));

	return order ? order : strcmp(x->path, y->path);
}

/* Digests of beginnings, which are whole digests where the file is no longer than that. */
static enum chain_status beginning_hash(struct bake_tree *tree, struct bake_node *node, struct chain_error *err)
{
	const size_t size = node->spec.size_bytes < BEGINNING ? (size_t)node->spec.size_bytes : BEGINNING;
	const bool all = size == node->spec.size_bytes;
	char buf[BEGINNING];
	const enum chain_status status = bake_tree_read(tree, &node->spec, 0, buf, size, err);

	if (status)
		return status;
	chain_verity_of_located(buf, size, node->digest);
	if (!all)
		return CHAIN_OK;
	node->spec.digest = node->digest;
	if (node->text || tree->kept_bytes + size > KEPT_MAX)
		return CHAIN_OK;
	node->text = malloc(size);
	if (!node->text)
		return CHAIN_OK; /* then it is read again */
	memcpy(node->text, buf, size);
	tree->kept_bytes += size;
	return CHAIN_OK;
}

static enum chain_status whole_hash(struct bake_tree *tree, struct bake_node *node, struct chain_error *err)
{
	const enum chain_status status = bake_tree_stream(tree, node, NULL, 0, node->digest, err);

	node->spec.digest = node->digest;
	return status;
}

static bool same_digest(const struct bake_node *a, const struct bake_node *b)
{
	return memcmp(a->digest, b->digest, sizeof(a->digest)) == 0;
}

/* Files of one size, no digest of which is known: each that begins as another one does gets its own. */
static enum chain_status unknown_hash(struct bake_tree *tree, struct bake_node **v, size_t count,
				      struct chain_error *err)
{
	enum chain_status status = CHAIN_OK;

	for (size_t i = 0; !status && i < count; i++)
		status = beginning_hash(tree, v[i], err);
	if (status || v[0]->spec.digest)
		return status;
	qsort(v, count, sizeof(*v), by_digest);
	for (size_t i = 0; i < count; i++)
		v[i]->alike = (i > 0 && same_digest(v[i - 1], v[i])) || (i + 1 < count && same_digest(v[i], v[i + 1]));
	for (size_t i = 0; !status && i < count; i++)
		if (v[i]->alike)
			status = whole_hash(tree, v[i], err);
	return status;
}

static enum chain_status alike_hash(struct bake_tree *tree, struct bake_node **v, size_t count, struct chain_error *err)
{
	enum chain_status status = CHAIN_OK;
	bool known = false;

	for (size_t i = 0; i < count; i++)
		known = known || v[i]->spec.digest;
	if (!known)
		return unknown_hash(tree, v, count, err);
	for (size_t i = 0; !status && i < count; i++)
		if (!v[i]->spec.digest)
			status = whole_hash(tree, v[i], err);
	return status;
}

/* Only files of one size and one beginning can be the same, so only those are read twice. */
enum chain_status bake_tree_twins(struct bake_tree *tree, struct chain_error *err)
{
	enum chain_status status = CHAIN_OK;
	size_t end;

	qsort(tree->v, tree->count, sizeof(*tree->v), by_size);
	for (size_t i = 0; !status && i < tree->count; i = end) {
		const uint64_t size = tree->v[i]->spec.size_bytes;

		for (end = i + 1; end < tree->count && tree->v[end]->spec.size_bytes == size;)
			end++;
		if (end - i > 1 && size > 0)
			status = alike_hash(tree, tree->v + i, end - i, err);
	}
	return status;
}
