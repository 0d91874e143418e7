/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: who "www-data", "33" or "1000:video" is by a root's /etc/passwd and /etc/group (passwd(5), group(5)).
 * Must not know: where these files are; how a process becomes that user. */
#ifndef INIT_USERS_H
#define INIT_USERS_H

#include "chain/error.h"

enum { INIT_GROUPS_MAX = 64 };

struct init_user {
	uint32_t uid, gid;
	uint32_t groups[INIT_GROUPS_MAX]; /* the supplementary ones, without gid */
	size_t group_count;
	char home[256]; /* "/" where passwd has none */
};

/* `text`: NAME, UID, and behind a colon a group's name or number; null: root. `passwd` and `group` are the files'
 * texts, "" where there are none; lines that have not their form are passed over. A user that is told by name, or that
 * passwd knows, and without a group, gets its groups; a number that passwd does not know gets group 0. CHAIN_E_IO with
 * what is not known; CHAIN_E_LIMIT above INIT_GROUPS_MAX groups. */
enum chain_status init_user_find(const char *text, const char *passwd, const char *group, struct init_user *out,
				 struct chain_error *err) CHAIN_MUST_CHECK;

#endif
