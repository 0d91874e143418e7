/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* libFuzzer target: any text as a pipeline that fans out. Each kernel's handoff is spliced together as text: it has to
 * be what the next reader takes for the step's handoff with that kernel's own members in `self`. */
#include "fuzz.h"

#include "chain/fanout.h"
#include "chain/handoff.h"
#include "chain/template.h"

enum { KERNELS_MAX = 40 };

static void check_kernel(struct chain_fanout_texts *texts, const json_t *handoff, size_t index, unsigned attempt)
{
	struct chain_error err = { 0 };
	const char *text = NULL, *args = NULL, *input = texts->set->inputs ? texts->set->inputs[index] : NULL;
	size_t bytes = 0;
	json_t *received = NULL, *own = input ? json_loads(input, JSON_DECODE_ANY, NULL) : NULL;
	if (fuzz_text_status(chain_fanout_text(texts, index, attempt, &text, &bytes, &args, &err), &err)) {
		json_decref(own);
		FUZZ_HOLDS(texts->args_differ);
		return;
	}
	FUZZ_HOLDS(strlen(text) == bytes && bytes + 1 + strlen(args) + 1 <= chain_fanout_text_bytes(texts));
	FUZZ_HOLDS(!fuzz_text_status(chain_handoff_parse(text, bytes, &received, &err), &err));
	json_t *self = json_object_get(received, "self");
	FUZZ_HOLDS(json_integer_value(json_object_get(self, "index")) == (json_int_t)index);
	FUZZ_HOLDS(json_integer_value(json_object_get(self, "count")) == (json_int_t)texts->set->count);
	FUZZ_HOLDS(json_integer_value(json_object_get(self, "attempt")) == (json_int_t)attempt);
	FUZZ_HOLDS(input ? own && json_equal(json_object_get(self, "input"), own) : !json_object_get(self, "input"));
	json_t *names = NULL;
	FUZZ_HOLDS(!fuzz_text_status(chain_config_assigned_names(texts->step, index, &names, &err), &err));
	FUZZ_HOLDS(names ? json_equal(json_object_get(self, "devices"), names) : !json_object_get(self, "devices"));
	json_decref(names);
	json_object_del(self, "devices");
	json_object_del(self, "index");
	json_object_del(self, "count");
	json_object_del(self, "attempt");
	json_object_del(self, "input");
	FUZZ_HOLDS(json_equal(received, handoff));
	json_decref(received);
	json_decref(own);
}

static void check_texts(const struct chain_step *step, const struct chain_fanout_set *set, const json_t *handoff)
{
	struct chain_error err = { 0 };
	struct chain_fanout_texts texts;
	char *args = NULL;
	if (!chain_fanout_args_differ(step->args) &&
	    fuzz_text_status(chain_template_expand(step->args, handoff, step->name, &args, &err), &err))
		return;
	if (!fuzz_text_status(chain_fanout_texts_make(step, set, handoff, args, &texts, &err), &err)) {
		for (size_t i = 0; i < set->count && i < KERNELS_MAX; i++)
			check_kernel(&texts, handoff, i, (unsigned)i % 3);
		chain_fanout_texts_free(&texts);
	}
	free(args);
}

/* On a machine of any size: as many as there are processors for, all of them used where nothing else limits it; else a
 * refusal that counts right. */
static void check_workers(const struct chain_config_fanout *fanout, uint32_t processors, size_t count)
{
	struct chain_error err = { 0 };
	uint32_t workers = 0;
	uint64_t cpus = fanout->cpus;
	FUZZ_HOLDS(cpus >= 1 && cpus <= CHAIN_FANOUT_CPUS_MAX);
	if (fuzz_text_status(chain_fanout_workers(fanout, "step", count, processors, &workers, &err), &err)) {
		FUZZ_HOLDS(err.status == CHAIN_E_FANOUT_CPUS && cpus > 1 && processors < cpus + 1);
		FUZZ_HOLDS(err.number[2] + err.number[3] == cpus + 1 && err.number[1] == cpus + 1);
		return;
	}
	FUZZ_HOLDS(workers && workers <= count && (!fanout->concurrency || workers <= fanout->concurrency));
	FUZZ_HOLDS(cpus == 1 ? workers <= processors : workers * cpus < processors);
	FUZZ_HOLDS(workers == count || workers == fanout->concurrency ||
		   (cpus == 1 ? workers == processors : (workers + 1) * cpus >= processors));
}

static void check_step(const struct chain_config *config, const struct chain_step *step,
		       const struct chain_bootinfo *bootinfo)
{
	const uint8_t digest[CHAIN_SHA256_BYTES] = { 1, 2, 3 };
	struct chain_handoff_input input = { .config = config,
					     .step = step,
					     .door = "multiboot1",
					     .entered_ticks = 5,
					     .boot_id = digest,
					     .bootinfo = bootinfo };
	struct chain_error err = { 0 };
	struct chain_fanout_set set = { 0 };
	json_t *handoff = NULL;
	size_t required = chain_fanout_required(&step->fanout, 10);
	FUZZ_HOLDS(!step->fanout.require_percent || required <= 10);
	for (uint32_t processors = 1; processors < 2048; processors = processors * 2 + (uint32_t)step->fanout.cpus % 2)
		check_workers(&step->fanout, processors, 10);
	if (step->fanout.kind != CHAIN_FANOUT_COUNT && step->fanout.kind != CHAIN_FANOUT_LIST)
		return; /* the others look into an image */
	if (fuzz_text_status(chain_handoff_build(&input, &handoff, &err), &err))
		return;
	FUZZ_HOLDS(!fuzz_text_status(chain_fanout_expand(step, NULL, NULL, &set, &err), &err));
	FUZZ_HOLDS(set.count == step->fanout.count && !set.inputs == (step->fanout.kind == CHAIN_FANOUT_COUNT));
	check_texts(step, &set, handoff);
	chain_fanout_set_free(&set);
	json_decref(handoff);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct chain_bootinfo bootinfo;
	struct chain_error err = { 0 };
	struct chain_config config;
	if (!bootinfo.loader)
		FUZZ_HOLDS(!chain_bootinfo_qemu("pc", 64 << 20, 1, &bootinfo, &err));
	if (fuzz_text_status(chain_config_parse((const char *)data, size, "fuzz", false, &config, &err), &err))
		return 0;
	for (size_t i = 0; i < config.step_count; i++)
		if (config.steps[i].fanout.kind != CHAIN_FANOUT_NONE)
			check_step(&config, &config.steps[i], &bootinfo);
	chain_config_free(&config);
	return 0;
}
