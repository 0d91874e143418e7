/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: the options of `kchain sweep`. */

#include "sweep.h"

#include <sched.h>
#include <string.h>

static const char about[] =
	"Runs an image once for each input, each time in a virtual machine of its own, as many at once as there are "
	"processors, or on a cluster, and writes a table of the results.\n"
	"An instance finds its input in its handoff: state.input, state.index, state.repeat and state.seed.";
static const char epilog[] =
	"The summary goes to stdout, progress to stderr. A line is on disk before its instance counts as\n"
	"done: whatever ends this command, --resume goes on behind it.\n\n"
	"example: kchain sweep image.elf --inputs inputs.jsonl -o results.jsonl\n"
	"         kchain report results.jsonl --svg results.svg\n\n"
	"exit codes: 0 all instances are ok, 1 some are not, 2 usage, 3 input refused\n"
	"            or results not written, 130 interrupted";

#define NO_COUNT UINT64_MAX

static int check(struct sweep_options *o)
{
	const char *const ACCELS[] = { "auto", "tcg", "kvm" };
	bool accel = false;
	for (size_t i = 0; i < sizeof(ACCELS) / sizeof(ACCELS[0]); i++)
		accel = accel || strcmp(o->accel, ACCELS[i]) == 0;
	if (!o->output)
		return cmd_usage("sweep", "-o FILE says where the results go");
	if ((o->inputs != NULL) + (o->count != NO_COUNT) + (o->dealt != NULL) != 1)
		return cmd_usage("sweep", "one of --inputs FILE and --count N says how many instances there are");
	if (o->count == NO_COUNT)
		o->count = 0;
	else if (o->count < 1 || o->count > INPUTS_INSTANCES_MAX)
		return cmd_usage("sweep", "--count: %llu is not from 1 to %d", (unsigned long long)o->count,
				 INPUTS_INSTANCES_MAX);
	if (!accel)
		return cmd_usage("sweep", "--accel: '%s' is not auto, tcg or kvm", o->accel);
	if (!engine_named(o->engine))
		return cmd_usage("sweep", "--engine: '%s' is not local or slurm", o->engine);
	if (o->repeat < 1 || o->repeat > INPUTS_INSTANCES_MAX)
		return cmd_usage("sweep", "--repeat: %llu is not from 1 to %d", (unsigned long long)o->repeat,
				 INPUTS_INSTANCES_MAX);
	if (o->jobs < 1 || o->jobs > 4096)
		return cmd_usage("sweep", "--jobs: %llu is not from 1 to 4096", (unsigned long long)o->jobs);
	if (o->per_instance > JOB_COUNT_MAX)
		return cmd_usage("sweep", "--per-instance: %llu is above %d", (unsigned long long)o->per_instance,
				 JOB_COUNT_MAX);
	if (o->retries > 100)
		return cmd_usage("sweep", "--retries: %llu is not from 0 to 100", (unsigned long long)o->retries);
	if (o->seed > INT64_MAX || o->chunk > 1000000)
		return cmd_usage("sweep", "--seed is below 2^63, --chunk at most 1000000");
	if (o->cpus < 1 || o->cpus > 255)
		return cmd_usage("sweep", "--cpus: %llu is not from 1 to 255", (unsigned long long)o->cpus);
	if (o->memory_bytes && (o->memory_bytes < 1 << 20 || o->memory_bytes % 4096))
		return cmd_usage(
			"sweep",
			"--memory: %llu bytes: at least 1M, in whole pages of 4K; a size has a unit, as in 16M",
			(unsigned long long)o->memory_bytes);
	return -1;
}

static uint64_t processors(void)
{
	cpu_set_t set;
	return sched_getaffinity(0, sizeof(set), &set) == 0 && CPU_COUNT(&set) > 0 ? (uint64_t)CPU_COUNT(&set) : 1;
}

int sweep_options_read(struct sweep_options *o, int argc, char **argv)
{
	const struct cmd_opt options[] = {
		{ "inputs", 'i', CMD_OPT_TEXT, "FILE", "one JSON value a line, an instance for each (\"-\": stdin)",
		  &o->inputs },
		{ "count", 'n', CMD_OPT_COUNT, "N", "N instances without inputs", &o->count },
		{ "repeat", 0, CMD_OPT_COUNT, "R", "run each input R times, each with a seed of its own (default: 1)",
		  &o->repeat },
		{ "output", 'o', CMD_OPT_TEXT, "FILE", "the results: a header line, then a line an instance",
		  &o->output },
		{ "resume", 0, CMD_OPT_FLAG, NULL,
		  "go on with FILE: run what it lacks, and nothing twice; it must have been begun with the same image, "
		  "inputs and options",
		  &o->resume },
		{ "jobs", 'j', CMD_OPT_COUNT, "J",
		  "run J at once (default: one for each processor; slurm: J in a task, default 1)", &o->jobs },
		{ "per-instance", 'k', CMD_OPT_COUNT, "K",
		  "deal K inputs to one machine, to the fan-out of its step with\n\"list\": \"{{state.inputs}}\"; "
		  "results "
		  "come out per input all the same",
		  &o->per_instance },
		{ "memory", 'm', CMD_OPT_SIZE, "SIZE", "RAM of each (default: as for kchain run)", &o->memory_bytes },
		{ "cpus", 'c', CMD_OPT_COUNT, "N", "processors of each (default: 1)", &o->cpus },
		{ "accel", 0, CMD_OPT_TEXT, "HOW", "auto (default: the quicker one), tcg or kvm", &o->accel },
		{ "timeout", 't', CMD_OPT_TIME, "TIME", "give each this long (default: 60s; 0: for ever)",
		  &o->timeout_us },
		{ "retries", 0, CMD_OPT_COUNT, "N", "try again what is not ok, N times (default: 0)", &o->retries },
		{ "seed", 0, CMD_OPT_COUNT, "S", "what the instances' seeds are made of (default: 0)", &o->seed },
		{ "load-each", 0, CMD_OPT_FLAG, NULL,
		  "load QEMU anew for each machine, instead of forking one that is loaded: slower, and addresses\nin "
		  "QEMU differ from machine to machine",
		  &o->load_each },
		{ "engine", 'e', CMD_OPT_TEXT, "NAME", "local (default): here; slurm: on a cluster, by sbatch",
		  &o->engine },
		{ "chunk", 0, CMD_OPT_COUNT, "C",
		  "slurm: C machines one after another in a task (default: as many as take a minute)", &o->chunk },
		{ "slurm", 0, CMD_OPT_LIST, "ARG", "slurm: a further argument for sbatch, as in --slurm=--partition=x",
		  &o->slurm },
		{ "dealt", 0, CMD_OPT_TEXT, "FILE", "run the jobs that an engine has dealt out to this node",
		  &o->dealt },
		{ "json", 0, CMD_OPT_FLAG, NULL, "print the summary as one JSON document", &o->json },
	};
	const struct cmd_spec spec = {
		.command = "sweep",
		.operands = "IMAGE|PIPELINE|FOLDER",
		.opts = options,
		.opt_count = sizeof(options) / sizeof(options[0]),
		.least = 1,
		.most = 1,
		.rest = "QEMU-ARGUMENT…",
		.about = about,
		.epilog = epilog,
	};
	o->accel = "auto";
	o->engine = "local";
	o->repeat = o->cpus = 1;
	o->count = NO_COUNT;
	o->timeout_us = 60000000;
	int code = cmd_parse(&spec, argc, argv, &o->operands);
	o->operands.spec = NULL;  /* ours ends here; the list is freed by hand */
	if (code < 0 && !o->jobs) /* a task of a cluster is a processor's worth; so are its machines */
		o->jobs = strcmp(o->engine, "slurm") == 0 ? 1 : processors();
	return code >= 0 ? code : check(o);
}
