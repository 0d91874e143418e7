/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* One tree put into another (rootfs_put). A tree is written as words: "/a/" is a folder, "/a=x" a file that contains x,
 * "/a>b" a link to b, "/a~/b" another name of the file /b. */
#include "chain/cmd/bake/rootfs/rootfs.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void tree_make(struct rootfs *out, const char *words)
{
	char *copy = strdup(words), *at = copy, *word;

	*out = (struct rootfs){ .image = -1 };
	while ((word = strsep(&at, " ")) != NULL) {
		const size_t path = strcspn(word, "=>~"), bytes = strlen(word);
		const char kind = word[path], *rest = kind ? word + path + 1 : "";
		const bool folder = bytes > 1 && word[bytes - 1] == '/' && !kind;

		word[folder ? bytes - 1 : path] = '\0';
		struct rootfs_node *node = rootfs_add(out, word,
						      folder || strcmp(word, "/") == 0 ? FS_DIRECTORY :
						      kind == '>'                      ? FS_SYMLINK :
											 FS_REGULAR,
						      NULL);
		const char *text = rootfs_text(out, rest, strlen(rest), NULL);

		node->spec.target = kind == '>' ? text : NULL;
		node->spec.hard_link = kind == '~' ? text : NULL;
		node->bytes.memory = kind == '=' ? text : NULL;
	}
	free(copy);
	rootfs_sort(out);
}

static void tree_print(const struct rootfs *tree, char *out, size_t room)
{
	size_t used = 0;

	for (size_t i = 0; i < tree->node_count; i++) {
		const struct fs_spec *s = &tree->nodes[i].spec;
		const char *memory = tree->nodes[i].bytes.memory;

		used += (size_t)snprintf(out + used, room - used, "%s%s%s%s", i ? " " : "", s->path,
					 s->type == FS_DIRECTORY && s->path[1] ? "/" :
					 s->type == FS_SYMLINK                 ? ">" :
					 s->hard_link                          ? "~" :
					 memory                                ? "=" :
										 "",
					 s->target    ? s->target :
					 s->hard_link ? s->hard_link :
					 memory       ? memory :
							"");
		assert_true(used < room);
	}
}

static const struct {
	const char *into, *from, *at, *whole; /* null: refused, */
	const char *subject;                  /* of this */
} rows[] = {
	{ "/ /a/ /a/f=1", "/ /g=2", "/", "/ /a/ /a/f=1 /g=2", NULL },
	{ "/ /a/ /a/f=1", "/ /f=2 /d/ /d/e=3", "/a", "/ /a/ /a/d/ /a/d/e=3 /a/f=2", NULL },
	{ "/", "/ /f=2", "/srv/site", "/ /srv/site/ /srv/site/f=2", NULL },
	{ "/", "/ /f=2", "/srv/site/", "/ /srv/site/ /srv/site/f=2", NULL },
	/* links of folders are followed, those that are replaced are not */
	{ "/ /bin>usr/bin /usr/ /usr/bin/", "/ /x=1", "/bin", "/ /bin>usr/bin /usr/ /usr/bin/ /usr/bin/x=1", NULL },
	{ "/ /bin>usr/bin /usr/ /usr/bin/", "/ /bin/ /bin/d/ /bin/d/x=1", "/",
	  "/ /bin>usr/bin /usr/ /usr/bin/ /usr/bin/d/ /usr/bin/d/x=1", NULL },
	{ "/ /bin>usr/bin /usr/ /usr/bin/", "/ /x=1", "/bin/d/e",
	  "/ /bin>usr/bin /usr/ /usr/bin/ /usr/bin/d/e/ /usr/bin/d/e/x=1", NULL },
	{ "/ /b>a /a=1", "/ /b=2", "/", "/ /a=1 /b=2", NULL },
	{ "/ /b>gone", "/ /b=2", "/", "/ /b=2", NULL },
	{ "/ /a=1", "/ /a>b", "/", "/ /a>b", NULL },
	/* other names of a file that gives way keep what it was */
	{ "/ /a=1 /b~/a /c~/a", "/ /a=2", "/", "/ /a=2 /b=1 /c~/b", NULL },
	{ "/ /a=1 /b~/a", "/ /b=2", "/", "/ /a=1 /b=2", NULL },
	/* A link that is put before its file is. */
	{ "/ /a=1 /b=0", "/ /a~/b /b=2", "/", "/ /a~/b /b=2", NULL },
	{ "/ /a=1 /b=0 /c~/b", "/ /a~/b /b=2", "/", "/ /a~/b /b=2 /c=0", NULL },
	{ "/ /d/", "/ /a=1 /b~/a", "/d", "/ /d/ /d/a=1 /d/b~/d/a", NULL },
	{ "/ /d>e /e/", "/ /a=1 /b~/a", "/d", "/ /d>e /e/ /e/a=1 /e/b~/e/a", NULL },
	/* a file and a folder */
	{ "/ /a=1", "/ /a/ /a/b=2", "/", NULL, "/a" },
	{ "/ /a/ /a/b=2", "/ /a=1", "/", NULL, "/a" },
	{ "/ /a=1", "/ /b=2", "/a", NULL, "/a" },
	{ "/ /a=1", "/ /c=2", "/a/b", NULL, "/a" },
	{ "/ /a>b /b=1", "/ /a/", "/", NULL, "/a" },
};

static void trees_are_joined(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct chain_error err = { .status = CHAIN_OK };
		struct rootfs into, from;
		char text[512];

		tree_make(&into, rows[i].into);
		tree_make(&from, rows[i].from);
		const enum chain_status status = rootfs_put(&into, &from, rows[i].at, &err);

		if (rows[i].whole) {
			assert_int_equal(status, CHAIN_OK);
			tree_print(&into, text, sizeof(text));
			assert_string_equal(text, rows[i].whole);
		} else {
			assert_int_equal(status, CHAIN_E_ROOT_PUT);
			assert_string_equal(err.subject, rows[i].subject);
		}
		rootfs_close(&into);
		rootfs_close(&from);
	}
}

/* Whatever is put into an empty tree is that tree. */
static void into_nothing(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct chain_error err = { .status = CHAIN_OK };
		struct rootfs into, from;
		char text[512], wanted[512];

		tree_make(&into, "/");
		tree_make(&from, rows[i].into);
		assert_int_equal(rootfs_put(&into, &from, "/", &err), CHAIN_OK);
		tree_print(&into, text, sizeof(text));
		tree_print(&from, wanted, sizeof(wanted));
		assert_string_equal(text, wanted);
		rootfs_close(&into);
		rootfs_close(&from);
	}
}

static void ports_are_read(void **state)
{
	static const struct {
		const char *text;
		bool good, udp;
		uint16_t number;
	} cases[] = {
		{ "80", true, false, 80 },      { "65535/tcp", true, false, 65535 }, { "53/udp", true, true, 53 },
		{ "0", false, false, 0 },       { "65536", false, false, 0 },        { "", false, false, 0 },
		{ "-1", false, false, 0 },      { "80/", false, false, 0 },          { "80/sctp", false, false, 0 },
		{ "80/tcp ", false, false, 0 }, { "http", false, false, 0 },         { " 80", false, false, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct rootfs_port port = { .number = 0 };

		assert_int_equal(rootfs_port_parse(cases[i].text, &port), cases[i].good);
		if (cases[i].good) {
			assert_int_equal(port.number, cases[i].number);
			assert_int_equal(port.udp, cases[i].udp);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(trees_are_joined),
		cmocka_unit_test(into_nothing),
		cmocka_unit_test(ports_are_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
