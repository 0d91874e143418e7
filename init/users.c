/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "users.h"

#include <stdio.h>
#include <string.h>

enum { FIELDS_MAX = 7 };

struct field {
	const char *at;
	size_t bytes;
};

/* A line's fields; the next line. An empty line has one field. */
static const char *split(const char *line, struct field fields[FIELDS_MAX], size_t *out_count)
{
	size_t count = 0;
	for (;;) {
		size_t bytes = strcspn(line, ":\n");
		if (count < FIELDS_MAX)
			fields[count] = (struct field){ line, bytes };
		count++;
		line += bytes;
		if (*line != ':')
			break;
		line++;
	}
	*out_count = count;
	return *line ? line + 1 : line;
}

static bool is(const struct field *field, const char *text, size_t bytes)
{
	return field->bytes == bytes && !memcmp(field->at, text, bytes);
}

/* 32 bits but for the last value, which system calls take for "none". */
static bool number(const char *at, size_t bytes, uint32_t *out)
{
	uint64_t value = 0;
	for (size_t i = 0; i < bytes; i++) {
		if (at[i] < '0' || at[i] > '9')
			return false;
		value = value * 10 + (uint64_t)(at[i] - '0');
		if (value >= UINT32_MAX)
			return false;
	}
	*out = (uint32_t)value;
	return bytes > 0;
}

/* The line of a user by name or, null, by number. */
static bool find_user(const char *passwd, const char *name, size_t bytes, struct init_user *out, struct field *out_name)
{
	enum { NAME, PASSWORD, UID, GID, COMMENT, HOME, SHELL };
	while (*passwd) {
		struct field fields[FIELDS_MAX];
		size_t count;
		uint32_t uid, gid;
		passwd = split(passwd, fields, &count);
		if (count != FIELDS_MAX || !number(fields[UID].at, fields[UID].bytes, &uid) ||
		    !number(fields[GID].at, fields[GID].bytes, &gid))
			continue;
		if (name ? !is(&fields[NAME], name, bytes) : uid != out->uid)
			continue;
		out->uid = uid;
		out->gid = gid;
		if (fields[HOME].bytes && fields[HOME].bytes < sizeof(out->home))
			snprintf(out->home, sizeof(out->home), "%.*s", (int)fields[HOME].bytes, fields[HOME].at);
		*out_name = fields[NAME];
		return true;
	}
	return false;
}

static bool has_member(const struct field *members, const struct field *name)
{
	for (size_t at = 0; at < members->bytes;) {
		size_t bytes = 0;
		while (at + bytes < members->bytes && members->at[at + bytes] != ',')
			bytes++;
		if (bytes && is(name, members->at + at, bytes))
			return true;
		at += bytes + 1;
	}
	return false;
}

/* The next group, by its number and members. */
static const char *next_group(const char *group, struct field *out_name, uint32_t *out_gid, struct field *out_members,
			      bool *out_found)
{
	enum { NAME, PASSWORD, GID, MEMBERS, FIELDS };
	struct field fields[FIELDS_MAX];
	size_t count;
	group = split(group, fields, &count);
	*out_found = count == FIELDS && number(fields[GID].at, fields[GID].bytes, out_gid);
	if (*out_found) {
		*out_name = fields[NAME];
		*out_members = fields[MEMBERS];
	}
	return group;
}

static enum chain_status supplementary(const char *group, const struct field *name, struct init_user *out,
				       struct chain_error *err)
{
	struct field group_name, members;
	uint32_t gid;
	bool found;
	while (*group) {
		group = next_group(group, &group_name, &gid, &members, &found);
		if (!found || gid == out->gid || !has_member(&members, name))
			continue;
		if (out->group_count == INIT_GROUPS_MAX)
			return CHAIN_FAIL(err, LIMIT, .subject = "the user's groups", .detail = "groups",
					  .value = INIT_GROUPS_MAX + 1, .limit = INIT_GROUPS_MAX);
		out->groups[out->group_count++] = gid;
	}
	return CHAIN_OK;
}

static bool find_group(const char *group, const char *name, uint32_t *out_gid)
{
	struct field group_name, members;
	uint32_t gid;
	bool found;
	if (number(name, strlen(name), out_gid))
		return true;
	while (*group) {
		group = next_group(group, &group_name, &gid, &members, &found);
		if (found && is(&group_name, name, strlen(name))) {
			*out_gid = gid;
			return true;
		}
	}
	return false;
}

enum chain_status init_user_find(const char *text, const char *passwd, const char *group, struct init_user *out,
				 struct chain_error *err)
{
	struct field name = { "", 0 };
	*out = (struct init_user){ .home = "/" };
	if (!text)
		text = "0";
	size_t bytes = strcspn(text, ":");
	bool numeric = number(text, bytes, &out->uid);
	bool known = bytes && find_user(passwd, numeric ? NULL : text, bytes, out, &name);
	if (!known && !numeric)
		return chain_fail_text(err, CHAIN_E_IO, text, "the root's /etc/passwd knows no such user");
	if (text[bytes])
		return find_group(group, text + bytes + 1, &out->gid) ?
			       CHAIN_OK :
			       chain_fail_text(err, CHAIN_E_IO, text, "the root's /etc/group knows no such group");
	return known ? supplementary(group, &name, out, err) : CHAIN_OK;
}
