/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* libFuzzer target: any text as a pipeline. What is accepted keeps the promises of config.h, and its baked form is
 * accepted as the same pipeline with the same baked form. */
#include "fuzz.h"

#include "chain/config.h"
#include "chain/json.h"
#include "chain/template.h"

static bool every_other(void *ctx, const char *path)
{
	unsigned *asked = ctx;
	FUZZ_HOLDS(path[0] == '/');
	return ++*asked % 3 != 0;
}

static void check_fanout(const struct chain_config_fanout *fanout)
{
	FUZZ_HOLDS((fanout->kind == CHAIN_FANOUT_LIST) == (fanout->list != NULL));
	FUZZ_HOLDS((fanout->kind == CHAIN_FANOUT_EACH || fanout->kind == CHAIN_FANOUT_SLICES) ==
		   (fanout->path != NULL));
	FUZZ_HOLDS(!fanout->path || !strncmp(fanout->path, "fs:/", 4));
	FUZZ_HOLDS(fanout->count <= CHAIN_FANOUT_MAX && fanout->require_percent <= 100);
	FUZZ_HOLDS(fanout->kind == CHAIN_FANOUT_NONE || fanout->kind == CHAIN_FANOUT_EACH || fanout->count);
}

static void check_step(const struct chain_step *step, bool fallback)
{
	FUZZ_HOLDS(step->name[0] && strlen(step->name) <= CHAIN_CONFIG_NAME_MAX && strchr(step->source, ':'));
	FUZZ_HOLDS(fuzz_printable(step->source, strlen(step->source)) &&
		   fuzz_printable(step->args, strlen(step->args)));
	FUZZ_HOLDS(step->args && step->handoff_string && !strncmp(step->handoff_string, "kchain-handoff", 14));
	FUZZ_HOLDS(step->memory_bytes >= CHAIN_CALL_MEMORY_MIN && step->memory_bytes <= CHAIN_CALL_MEMORY_MAX);
	FUZZ_HOLDS(step->timeout_us && step->retries <= CHAIN_CALL_RETRIES_MAX);
	FUZZ_HOLDS((step->expect == CHAIN_EXPECT_CONSOLE) == (step->expect_console != NULL));
	FUZZ_HOLDS((step->expect == CHAIN_EXPECT_RESULT) == (step->expect_result != NULL));
	FUZZ_HOLDS((step->on_error == CHAIN_ON_ERROR_BOOT) == (step->fallback != NULL));
	check_fanout(&step->fanout);
	FUZZ_HOLDS(!step->when || json_is_object(step->when));
	for (size_t i = 0; i < step->module_count; i++)
		FUZZ_HOLDS(step->modules[i].from && step->modules[i].string &&
			   fuzz_printable(step->modules[i].string, strlen(step->modules[i].string)));
	if (step->fallback) {
		FUZZ_HOLDS(!fallback && step->fallback->kind == CHAIN_STEP_BOOT);
		check_step(step->fallback, true);
	}
}

static void check_config(struct chain_config *config)
{
	unsigned asked = 0;
	FUZZ_HOLDS(config->step_count && json_is_object(config->state) && config->console);
	for (size_t i = 0; i < config->step_count; i++) {
		check_step(&config->steps[i], false);
		FUZZ_HOLDS(config->steps[i].kind == CHAIN_STEP_CALL || config->steps[i].when ||
			   i + 1 == config->step_count);
	}
	for (size_t i = 0; i < config->net_count; i++)
		FUZZ_HOLDS(config->net[i].dhcp != (config->net[i].address != NULL));
	for (size_t i = 0; i < config->file_count; i++)
		FUZZ_HOLDS(config->files[i].path[0] == '/' &&
			   (config->files[i].mode <= 07777 || config->files[i].mode == CHAIN_CONFIG_MODE_AS_IS));
	struct chain_errors errors = { 0 };
	FUZZ_HOLDS(!chain_config_check_sources(config, every_other, &asked, &errors) == !errors.count);
}

static void check_same_step(const struct chain_step *a, const struct chain_step *b)
{
	FUZZ_HOLDS(!strcmp(a->name, b->name) && !strcmp(a->source, b->source) && !strcmp(a->args, b->args));
	FUZZ_HOLDS(a->kind == b->kind && a->memory_bytes == b->memory_bytes && a->timeout_us == b->timeout_us);
	FUZZ_HOLDS(a->retries == b->retries && a->expect == b->expect && a->on_error == b->on_error &&
		   a->fs_keep == b->fs_keep);
	FUZZ_HOLDS(a->handoff_at == b->handoff_at && !strcmp(a->handoff_string, b->handoff_string));
	FUZZ_HOLDS(a->module_count == b->module_count && !memcmp(a->pin.pinned, b->pin.pinned, sizeof(a->pin.pinned)) &&
		   !memcmp(a->pin.digests, b->pin.digests, sizeof(a->pin.digests)));
	FUZZ_HOLDS(!a->when == !b->when && (!a->when || json_equal(a->when, b->when)));
	FUZZ_HOLDS(a->fanout.kind == b->fanout.kind && a->fanout.count == b->fanout.count &&
		   a->fanout.at_byte == b->fanout.at_byte);
	FUZZ_HOLDS(a->fanout.require_percent == b->fanout.require_percent &&
		   a->fanout.require_count == b->fanout.require_count);
	FUZZ_HOLDS(!a->fanout.list || json_equal(a->fanout.list, b->fanout.list));
	FUZZ_HOLDS(!a->expect_result || json_equal(a->expect_result, b->expect_result));
	for (size_t i = 0; i < a->module_count; i++)
		FUZZ_HOLDS(!strcmp(a->modules[i].from, b->modules[i].from) &&
			   !strcmp(a->modules[i].string, b->modules[i].string));
}

static void check_same(const struct chain_config *a, const struct chain_config *b)
{
	FUZZ_HOLDS(!strcmp(a->name, b->name) && a->verify_all == b->verify_all && a->console_count == b->console_count);
	FUZZ_HOLDS(a->step_count == b->step_count && a->net_count == b->net_count && a->block_count == b->block_count);
	FUZZ_HOLDS(a->file_count == b->file_count && json_equal(a->state, b->state));
	for (size_t i = 0; i < a->step_count; i++)
		check_same_step(&a->steps[i], &b->steps[i]);
}

static void check_baked(const struct chain_config *config)
{
	struct chain_config again;
	struct chain_error err = { 0 };
	char *text = NULL, *text_again = NULL;
	FUZZ_HOLDS(!fuzz_status(chain_config_baked_text(config, &text, &err), &err));
	FUZZ_HOLDS(!fuzz_status(chain_config_parse(text, strlen(text), "baked", true, &again, &err), &err));
	check_same(config, &again);
	FUZZ_HOLDS(!fuzz_status(chain_config_baked_text(&again, &text_again, &err), &err) && !strcmp(text, text_again));
	chain_config_free(&again);
	free(text_again);
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct chain_config config;
	for (int baked = 0; baked < 2; baked++) {
		struct chain_error err = { 0 };
		if (!fuzz_text_status(chain_config_parse((const char *)data, size, "fuzz", baked, &config, &err),
				      &err)) {
			check_config(&config);
			check_baked(&config);
		}
		chain_config_free(&config);
	}
	return 0;
}
