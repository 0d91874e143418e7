/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: which extended attributes of a file go into an image, and reading them. */

#include "bake_host.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>

static enum chain_status io(const struct bake_node *node, int number, struct chain_error *err)
{
	return chain_fail_text(err, CHAIN_E_IO, node->host, strerror(number));
}

static enum chain_status changed(const struct bake_node *node, struct chain_error *err)
{
	return chain_fail_text(err, CHAIN_E_FILE_CHANGED, node->host, "its attributes are others than a moment ago");
}

enum rule { KEPT, LEFT_OUT, LEFT_OUT_QUIETLY };

/* Sought from the start. What is kept means the same on every machine. The labels and signatures of `security.` are a
 * machine's own, as owners and times are; lists of users (ACLs) and what only root can see are reported when they are
 * left out. */
static const struct {
	const char *name;
	bool whole; /* else what names begin with */
	enum rule rule;
} RULES[] = {
	{ "user.", false, KEPT },
	{ "security.capability", true, KEPT },
	{ "security.", false, LEFT_OUT_QUIETLY },
};

static enum rule rule_of(const char *name)
{
	for (size_t i = 0; i < sizeof(RULES) / sizeof(RULES[0]); i++)
		if (RULES[i].whole ? strcmp(name, RULES[i].name) == 0 :
				     strncmp(name, RULES[i].name, strlen(RULES[i].name)) == 0)
			return RULES[i].rule;
	return LEFT_OUT;
}

/* A file from the working directory, and the names of its attributes. */
struct source {
	struct bake_node *node;
	const char *name;
	bool follow;
	char *names; /* terminated ones behind each other */
	size_t names_bytes;
	size_t kept;       /* how many */
	size_t room_bytes; /* for their names and values */
};

static ssize_t names_get(const struct source *s, char *buf, size_t size)
{
	return (s->follow ? listxattr : llistxattr)(s->name, buf, size);
}

static ssize_t value_get(const struct source *s, const char *attribute, void *buf, size_t size)
{
	return (s->follow ? getxattr : lgetxattr)(s->name, attribute, buf, size);
}

/* Which are kept, and how large they are. */
static enum chain_status measure(struct source *s, struct bake_xattrs_left *left, struct chain_error *err)
{
	for (const char *at = s->names; at < s->names + s->names_bytes; at += strlen(at) + 1) {
		const enum rule rule = rule_of(at);

		if (rule == LEFT_OUT && left->count++ == 0)
			(void)snprintf(left->first, sizeof(left->first), "%s", at);
		if (rule != KEPT)
			continue;
		const ssize_t bytes = value_get(s, at, NULL, 0);

		if (bytes < 0)
			return errno == ENODATA ? changed(s->node, err) : io(s->node, errno, err);
		s->kept++;
		s->room_bytes += strlen(at) + 1 + (size_t)bytes;
	}
	return CHAIN_OK;
}

/* Into one piece of memory: the attributes, and behind them their names and values. */
static enum chain_status fetch(const struct source *s, struct chain_error *err)
{
	struct bake_node *node = s->node;
	const size_t bytes = s->kept * sizeof(struct fs_xattr) + s->room_bytes;
	struct fs_xattr *list = malloc(bytes), *next = list;

	if (!list)
		return chain_fail_no_memory(err, node->host, bytes);
	node->xattrs = list;
	char *at = (char *)(list + s->kept), *const end = at + s->room_bytes;

	for (const char *name = s->names; name < s->names + s->names_bytes; name += strlen(name) + 1) {
		const size_t name_bytes = strlen(name) + 1;

		if (rule_of(name) != KEPT)
			continue;
		if ((size_t)(end - at) < name_bytes)
			return changed(node, err);
		memcpy(at, name, name_bytes);
		const ssize_t got = value_get(s, name, at + name_bytes, (size_t)(end - at) - name_bytes);

		if (got < 0)
			return errno == ENODATA || errno == ERANGE ? changed(node, err) : io(node, errno, err);
		*next++ = (struct fs_xattr){ .name = at, .value = at + name_bytes, .value_bytes = (size_t)got };
		at += name_bytes + (size_t)got;
	}
	node->spec.xattrs = list;
	node->spec.xattr_count = s->kept;
	return at == end ? CHAIN_OK : changed(node, err);
}

static enum chain_status names_use(struct source *s, struct bake_xattrs_left *left, struct chain_error *err)
{
	const enum chain_status status = measure(s, left, err);

	return !status && s->kept > 0 ? fetch(s, err) : status;
}

enum chain_status bake_xattrs_read(struct bake_node *node, const char *name, bool follow, struct bake_xattrs_left *left,
				   struct chain_error *err)
{
	char few[256];
	struct source s = { .node = node, .name = name, .follow = follow, .names = few };
	ssize_t got = names_get(&s, few, sizeof(few));

	if (got == 0 || (got < 0 && (errno == ENOTSUP || errno == ENOSYS)))
		return CHAIN_OK;
	if (got > 0) {
		s.names_bytes = (size_t)got;
		return names_use(&s, left, err);
	}
	if (errno != ERANGE)
		return io(node, errno, err);
	s.names = malloc(XATTR_LIST_MAX);
	if (!s.names)
		return chain_fail_no_memory(err, node->host, XATTR_LIST_MAX);
	got = names_get(&s, s.names, XATTR_LIST_MAX);
	s.names_bytes = got > 0 ? (size_t)got : 0;
	const enum chain_status status = got < 0 ? io(node, errno, err) : names_use(&s, left, err);

	free(s.names);
	return status;
}
