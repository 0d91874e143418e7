/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Shared by the files that read a pipeline: config.c (top), config_step.c (steps), config_source.c (where kernels and
 * modules come from), config_device.c (files, net, block), config_fanout.c and config_assigned.c (those keys of a
 * step). Each is a table of key, type and offset; types that only a pipeline has are declared here. */
#ifndef CHAIN_CONFIG_INTERNAL_H
#define CHAIN_CONFIG_INTERNAL_H

#include "chain/config.h"
#include "chain/json_walk.h"

/* [A-Za-z0-9._-], 1 to CHAIN_CONFIG_NAME_MAX: CHAIN_E_CONFIG_NAME. */
enum chain_status chain_config_check_name(const char *name, const struct chain_json_path *path,
					  struct chain_error *err) CHAIN_MUST_CHECK;

/* Types: a name; a text without control characters; the source of a kernel to call, of one to boot, of a module; a
 * digest of either kind, into a struct chain_config_pin. */
chain_json_read chain_config_read_name, chain_config_read_plain;
chain_json_read chain_config_read_called_source, chain_config_read_booted_source;
chain_json_read chain_config_read_sha256, chain_config_read_fsverity;
enum chain_status chain_config_check_pinned(const char *source, const struct chain_config_pin *pin,
					    const struct chain_json_path *path,
					    struct chain_error *err) CHAIN_MUST_CHECK;

/* Types of the pipeline's own parts: into the struct chain_config. */
chain_json_read chain_config_read_files, chain_config_read_net, chain_config_read_block;
/* Of a step's: into the struct chain_step. What "devices" names is looked for when all of the pipeline is read. */
chain_json_read chain_config_read_fanout, chain_config_read_devices;
/* A step itself. */
chain_json_read chain_config_read_step;

void chain_config_free_step(struct chain_step *step);
void chain_config_free_devices(struct chain_step *step);

/* Looks at each step but not at what its on_error boots; the path names it. */
typedef enum chain_status chain_config_look(struct chain_config *config, struct chain_step *step, const void *ctx,
					    struct chain_json_path *path, struct chain_error *err);
enum chain_status chain_config_each_step(struct chain_config *config, chain_config_look *look, const void *ctx,
					 struct chain_json_path *path, struct chain_error *err) CHAIN_MUST_CHECK;

/* Checks across the parts of a pipeline, of which some may not have been readable: devices that steps name; each {{…}}
 * names a fact that can be known, and one that may be absent has a default. */
enum chain_status chain_config_resolve_devices(struct chain_config *config, struct chain_json_path *path,
					       struct chain_error *err) CHAIN_MUST_CHECK;
enum chain_status chain_config_check_templates(struct chain_config *config, struct chain_json_path *path,
					       struct chain_error *err) CHAIN_MUST_CHECK;

#endif
