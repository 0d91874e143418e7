/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Shared by the files that read a pipeline: config.c (top), config_step.c (steps), config_device.c (files, net, block),
 * config_fanout.c and config_given.c (those keys of a step). */
#ifndef CHAIN_CONFIG_INTERNAL_H
#define CHAIN_CONFIG_INTERNAL_H

#include "chain/config.h"
#include "chain/json.h"

/* [A-Za-z0-9._-], 1 to CHAIN_CONFIG_NAME_MAX. */
bool chain_config_name_ok(const char *name);
/* A zeroed array in *out_array (a pointer to any pointer). */
enum chain_status chain_config_array(size_t count, size_t each, void *out_array, const struct chain_json_path *path, struct chain_error *err) CHAIN_MUST_CHECK;
enum chain_status chain_config_strings(const json_t *value, char ***out, size_t *out_count, struct chain_json_path *path, struct chain_error *err) CHAIN_MUST_CHECK;

enum chain_status chain_config_read_step(const json_t *value, struct chain_step *step, struct chain_json_path *path, struct chain_error *err) CHAIN_MUST_CHECK;
void chain_config_free_step(struct chain_step *step);
/* Row of a step: `into` is the struct chain_step. */
enum chain_status chain_config_read_fanout(const json_t *value, void *into, struct chain_json_path *path, struct chain_error *err);
/* The same of "devices"; what it names is looked for when all of the pipeline is read. */
enum chain_status chain_config_read_given(const json_t *value, void *into, struct chain_json_path *path, struct chain_error *err);
void chain_config_free_given(struct chain_step *step);
enum chain_status chain_config_settle_given(struct chain_config *config, struct chain_error *err) CHAIN_MUST_CHECK;
/* Rows of the top table: `into` is the struct chain_config. */
enum chain_status chain_config_read_files(const json_t *value, void *into, struct chain_json_path *path, struct chain_error *err);
enum chain_status chain_config_read_net(const json_t *value, void *into, struct chain_json_path *path, struct chain_error *err);
enum chain_status chain_config_read_block(const json_t *value, void *into, struct chain_json_path *path, struct chain_error *err);

/* Each {{…}} names a fact that can be known; one that may be absent has a default. */
enum chain_status chain_config_check_templates(const struct chain_config *config, struct chain_error *err) CHAIN_MUST_CHECK;

#endif
