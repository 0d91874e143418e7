/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "init/users.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char passwd[] = "root:x:0:0:root:/:/bin/bash\n"
			     "# no line of its form\n"
			     "broken:x:1\n"
			     "many:x:2:2:a:b:c:d\n"
			     "none:x:4294967295:1::/:\n"
			     "www-data:x:33:33:www-data:/var/www:/usr/sbin/nologin\n"
			     "twice:x:34:34::/first:\n"
			     "twice:x:35:35::/second:\n"
			     "homeless:x:36:36:::\n"
			     "app:x:1000:1001:,,,:/srv/app:/bin/sh";
static const char group[] = "root:x:0:\n"
			    "www-data:x:33:\n"
			    "video:x:44:www-data,app\n"
			    "app:x:1001:app\n"
			    "render:x:106:application,app\n"
			    "no-number:x:y:app\n"
			    "short:x:7\n"
			    "empty:x:8:,,\n";

static struct init_user found(const char *text)
{
	struct init_user user;
	struct chain_error err = { 0 };
	assert_int_equal(init_user_find(text, passwd, group, &user, &err), CHAIN_OK);
	return user;
}

static void check(const char *text, uint32_t uid, uint32_t gid, size_t groups, const char *home)
{
	struct init_user user = found(text);
	assert_int_equal(user.uid, uid);
	assert_int_equal(user.gid, gid);
	assert_int_equal(user.group_count, groups);
	assert_string_equal(user.home, home);
}

static void users_are_found_by_name_and_number(void **state)
{
	(void)state;
	check(NULL, 0, 0, 0, "/");
	check("root", 0, 0, 0, "/");
	check("www-data", 33, 33, 1, "/var/www");
	check("33", 33, 33, 1, "/var/www");
	check("twice", 34, 34, 0, "/first");
	check("homeless", 36, 36, 0, "/");
	check("4000", 4000, 0, 0, "/");
	check("4000:44", 4000, 44, 0, "/");
	check("app:video", 1000, 44, 0, "/srv/app");
	check("app:4294967294", 1000, 4294967294u, 0, "/srv/app");
}

static void its_groups_are_those_that_have_its_whole_name(void **state)
{
	(void)state;
	struct init_user user = found("app");
	assert_int_equal(user.gid, 1001);
	assert_int_equal(user.group_count, 2);
	assert_int_equal(user.groups[0], 44);
	assert_int_equal(user.groups[1], 106);
}

static void what_is_not_there_is_reported(void **state)
{
	(void)state;
	static const char *const unknown[] = {
		"",           "broken", "many", "none",     "nobody",        "ww",        "www-data2", "-1",
		"4294967295", ":33",    "app:", "app:none", "app:no-number", "app:short", "33 ",       "0x21"
	};
	for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++) {
		struct init_user user;
		struct chain_error err = { 0 };
		assert_int_equal(init_user_find(unknown[i], passwd, group, &user, &err), CHAIN_E_IO);
		assert_string_equal(err.subject, unknown[i]);
	}
}

static void a_root_without_the_files_has_numbers_alone(void **state)
{
	struct init_user user;
	struct chain_error err = { 0 };
	(void)state;
	assert_int_equal(init_user_find("12:13", "", "", &user, &err), CHAIN_OK);
	assert_int_equal(user.uid, 12);
	assert_int_equal(user.gid, 13);
	assert_int_equal(init_user_find("root", "", "", &user, &err), CHAIN_E_IO);
}

static void more_groups_than_there_is_room_for_are_refused(void **state)
{
	char many[INIT_GROUPS_MAX * 20 + 20] = "";
	struct init_user user;
	struct chain_error err = { 0 };
	(void)state;
	for (int i = 0; i < INIT_GROUPS_MAX; i++)
		sprintf(many + strlen(many), "g%d:x:%d:root\n", i, 100 + i);
	assert_int_equal(init_user_find("root", passwd, many, &user, &err), CHAIN_OK);
	assert_int_equal(user.group_count, INIT_GROUPS_MAX);
	strcat(many, "more:x:99:root\n");
	assert_int_equal(init_user_find("root", passwd, many, &user, &err), CHAIN_E_LIMIT);
}

/* Each beginning of the files, in memory that ends with it. */
static void cut_files_are_read_as_far_as_they_go(void **state)
{
	(void)state;
	for (size_t bytes = 0; bytes < sizeof(passwd); bytes++) {
		char *cut = strndup(passwd, bytes), *cut_group = strndup(group, bytes);
		struct init_user user;
		enum chain_status status = init_user_find("app", cut, cut_group, &user, NULL);
		/* Found when the line's last colon is there. */
		size_t known = sizeof(passwd) - strlen("/bin/sh") - 1;
		assert_int_equal(status, bytes >= known ? CHAIN_OK : CHAIN_E_IO);
		free(cut);
		free(cut_group);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(users_are_found_by_name_and_number),
		cmocka_unit_test(its_groups_are_those_that_have_its_whole_name),
		cmocka_unit_test(what_is_not_there_is_reported),
		cmocka_unit_test(a_root_without_the_files_has_numbers_alone),
		cmocka_unit_test(more_groups_than_there_is_room_for_are_refused),
		cmocka_unit_test(cut_files_are_read_as_far_as_they_go),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
