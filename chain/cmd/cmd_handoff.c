/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "chain/handoff.h"
#include "chain/json.h"
#include "chain/json_memory.h"
#include "cmd.h"

#include <stdlib.h>
#include <string.h>

static enum chain_status complete(json_t *doc, const char *boot_id, const char *path, struct chain_error *err)
{
	json_t *usual = json_pack("{s:i, s:s, s:{s:s, s:s}, s:{}, s:[]}", "kchain_handoff", 1, "boot_id", boot_id,
				  "self", "step", "host", "kind", "boot", "clock", "links");
	int bad = usual ? json_object_update_missing(doc, usual) : -1;
	json_decref(usual);
	return bad ? chain_json_no_memory(err, path) : CHAIN_OK;
}

/* As a link that receives it would. */
static enum chain_status check(const json_t *doc, const char *path, struct chain_error *err)
{
	json_t *checked = NULL;
	char *text = json_dumps(doc, JSON_COMPACT);
	enum chain_status status =
		text ? chain_handoff_parse(text, strlen(text), &checked, err) : chain_json_no_memory(err, path);
	json_decref(checked);
	free(text);
	return status;
}

static enum chain_status file_load(const char *path, json_t **out, struct chain_error *err)
{
	struct cmd_file file;
	if (!path) {
		*out = json_object();
		return *out ? CHAIN_OK : chain_json_no_memory(err, "handoff");
	}
	enum chain_status status = cmd_file_load(path, CHAIN_HANDOFF_MAX_BYTES, &file, err);
	if (status)
		return status;
	status = chain_json_load((const char *)file.bytes, file.bytes_count, CHAIN_HANDOFF_MAX_BYTES, path, out, err);
	cmd_file_free(&file);
	return status;
}

enum chain_status cmd_handoff_load(const char *path, const char *boot_id, const char *flag, json_t **out,
				   struct chain_error *err)
{
	json_t *doc = NULL;
	enum chain_status status = file_load(path, &doc, err);
	path = path ? path : "handoff";
	if (!status && flag && json_is_object(doc) && json_object_set_new(doc, flag, json_true()))
		status = chain_json_no_memory(err, path);
	if (!status && json_is_object(doc))
		status = complete(doc, boot_id, path, err);
	if (!status)
		status = check(doc, path, err);
	if (status)
		json_decref(doc);
	else
		*out = doc;
	return status;
}
