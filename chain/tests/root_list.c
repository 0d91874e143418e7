/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Prints what a source of a root gives, a JSON object a line: `root_list PATH [TAG [PLATFORM [check]]]`. First the
 * program that is started (`check`: if Linux could do so), then the nodes in the order of their paths: what `stat`,
 * `getfattr` and `sha256sum` would say of them. Exit status 3 with the error's name and text when the source is
 * refused. */
#include "chain/digest.h"
#include "chain/cmd/bake/rootfs/program.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void line_print(json_t *object)
{
	if (!object || json_dumpf(object, stdout, JSON_COMPACT) < 0 || putchar('\n') == EOF)
		exit(1);
	json_decref(object);
}

static json_t *texts(const char *const *list)
{
	json_t *out = json_array();

	for (size_t i = 0; list && list[i]; i++)
		json_array_append_new(out, json_string(list[i]));
	return out;
}

static json_t *text(const char *value)
{
	return value ? json_string(value) : json_null();
}

static void entry_print(const struct rootfs *root)
{
	const struct rootfs_entry *entry = &root->entry;
	json_t *ports = json_array();

	for (size_t i = 0; i < entry->port_count; i++)
		json_array_append_new(
			ports, json_sprintf("%u/%s", entry->ports[i].number, entry->ports[i].udp ? "udp" : "tcp"));
	line_print(json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "argv", texts((const char *const *)entry->argv),
			     "env", texts((const char *const *)entry->env), "workdir", text(entry->workdir), "user",
			     text(entry->user), "stop_signal", text(entry->stop_signal), "ports", ports, "origin",
			     text(root->origin)));
}

static json_t *xattrs(const struct fs_spec *spec)
{
	json_t *out = json_object();

	for (size_t i = 0; i < spec->xattr_count; i++) {
		const struct fs_xattr *one = &spec->xattrs[i];
		char *hex = calloc(one->value_bytes * 2 + 1, 1);

		if (!hex)
			exit(1);
		chain_hex_of(one->value, one->value_bytes, hex);
		json_object_set_new(out, one->name, json_string(hex));
		free(hex);
	}
	return out;
}

static void digest_of(const struct rootfs_node *node, char out[CHAIN_SHA256_HEX + 1])
{
	enum { PIECE = 1 << 20 };
	static uint8_t piece[PIECE];
	uint8_t digest[CHAIN_SHA256_BYTES];
	struct chain_error err = { .status = CHAIN_OK };
	struct chain_sha256 hash;

	chain_sha256_init(&hash);
	for (uint64_t at = 0; at < node->spec.size_bytes;) {
		const uint64_t left = node->spec.size_bytes - at;
		const size_t count = left < PIECE ? (size_t)left : PIECE;

		if (rootfs_read(node, at, piece, count, &err) != CHAIN_OK) {
			fprintf(stderr, "%s: can't be read\n", node->spec.path);
			exit(1);
		}
		chain_sha256_update(&hash, piece, count);
		at += count;
	}
	chain_sha256_final(&hash, digest);
	chain_sha256_to_hex(digest, out);
}

static void node_print(const struct rootfs_node *node)
{
	static const char types[] = "?fdcbpsl";
	const struct fs_spec *s = &node->spec;
	char type[2] = { types[s->type], '\0' }, digest[CHAIN_SHA256_HEX + 1] = "";

	if (s->hard_link) {
		line_print(json_pack("{s:s, s:s, s:s}", "path", s->path, "type", type, "hard_link", s->hard_link));
		return;
	}
	if (s->type == FS_REGULAR)
		digest_of(node, digest);
	line_print(json_pack("{s:s, s:s, s:i, s:i, s:i, s:i, s:I, s:i, s:I, s:o, s:s, s:o}", "path", s->path, "type",
			     type, "mode", (int)s->mode, "uid", (int)s->uid, "gid", (int)s->gid, "rdev", (int)s->rdev,
			     "mtime", (json_int_t)s->mtime, "ns", (int)s->mtime_ns, "size", (json_int_t)s->size_bytes,
			     "target", text(s->target), "sha256", digest, "xattrs", xattrs(s)));
}

int main(int argc, char **argv)
{
	struct chain_error err = { .status = CHAIN_OK };
	struct rootfs root;
	char words[1024];
	const char *folder = getenv("TMPDIR");
	const struct rootfs_request request = { .source = argc > 1 ? argv[1] : "",
						.path = argc > 1 ? argv[1] : "",
						.tag = argc > 2 && *argv[2] ? argv[2] : NULL,
						.platform = argc > 3 ? argv[3] : "linux/amd64",
						.folder = folder ? folder : "/tmp" };

	enum chain_status status = rootfs_open(&request, NULL, &root, &err);

	if (status == CHAIN_OK) {
		rootfs_sort(&root);
		if (argc > 4)
			status = rootfs_program_check(&root, &root.entry, argv[1], &err);
		if (status != CHAIN_OK)
			rootfs_close(&root);
	}
	if (status != CHAIN_OK) {
		chain_error_format(&err, words, sizeof(words));
		printf("%s\n%s\n", chain_status_slug(err.status), words);
		return 3;
	}
	entry_print(&root);
	for (size_t i = 0; i < root.node_count; i++)
		node_print(&root.nodes[i]);
	rootfs_close(&root);
	return 0;
}
