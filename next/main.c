/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* kchain-next: a running Linux as a link of a chain (docs/NEXT.md). This file is the picture of it. */

#include "inputs.h"
#include "link.h"
#include "load.h"
#include "machine.h"
#include "options.h"

#include "chain/door.h"
#include "chain/initrd.h"
#include "chain/json_memory.h"
#include "chain/json_write.h"
#include "chain/plan_json.h"
#include "abi/module_name.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct next {
	struct next_options options;
	bool locked;  /* Linux takes nothing but what is signed */
	bool by_file; /* and loads it itself: it is asked to, or locked */
	struct next_inputs inputs;
	struct chain_bootinfo machine;
	json_t *handoff;
	char *handoff_text;
	uint64_t handoff_bytes;
	struct chain_plan plan;
	struct next_segments segments;
	uint8_t *initrd; /* of a kernel that is signed */
	uint64_t initrd_bytes;
	bool printed; /* the one document of --json */
};

static const char *args_of(const struct next *next)
{
	return next->options.args ? next->options.args : "";
}

/* --- what will be done --- */

static enum chain_status make_handoff(struct next *next, struct chain_error *err)
{
	const struct next_link link = { .parent = next->inputs.parent,
					.name = next->options.name ? next->options.name : "linux",
					.source = next->options.image,
					.state = next->inputs.state,
					.result = next->inputs.result,
					.kernel = next->inputs.digest,
					.machine = &next->machine };
	return next_handoff_make(&link, &next->handoff, &next->handoff_text, &next->handoff_bytes, err);
}

static enum chain_status make_plan(struct next *next, struct chain_error *err)
{
	const struct next_inputs *inputs = &next->inputs;
	bool handoff = next->options.handoff_at != CHAIN_HANDOFF_NONE;
	const struct chain_plan_request request = {
		.subject = next->options.image,
		.door = inputs->door,
		.kernel = { inputs->kernel.bytes, inputs->kernel.count, CHAIN_PHYS_UNKNOWN },
		.args = args_of(next),
		.loader_name = "kchain-next",
		.modules = inputs->modules,
		.module_count = inputs->module_count,
		.handoff = { (const uint8_t *)next->handoff_text, handoff ? next->handoff_bytes : 0,
			     CHAIN_PHYS_UNKNOWN },
		.handoff_string = KCHAIN_HANDOFF_NAME,
		.handoff_at = next->options.handoff_at,
		.bootinfo = &next->machine,
	};
	enum chain_status status = chain_plan_build(&request, &next->plan, err);
	return status ? status : next_segments_make(&next->plan, &next->machine, &next->segments, err);
}

/* Modules behind each other, and the handoff. */
static enum chain_status make_initrd(struct next *next, struct chain_error *err)
{
	uint64_t bytes = 0, at = 0;
	for (size_t i = 0; i < next->inputs.module_count; i++)
		bytes += (next->inputs.modules[i].blob.bytes_count + 3) & ~(uint64_t)3;
	if (next->options.handoff_at != CHAIN_HANDOFF_NONE)
		bytes += chain_initrd_bytes(next->handoff_bytes);
	next->initrd = calloc(1, bytes + 1);
	if (!next->initrd)
		return chain_fail_no_memory(err, "initrd", bytes + 1);
	for (size_t i = 0; i < next->inputs.module_count; i++) {
		const struct chain_blob *blob = &next->inputs.modules[i].blob;
		if (blob->bytes_count)
			memcpy(next->initrd + at, blob->bytes, blob->bytes_count);
		at += (blob->bytes_count + 3) & ~(uint64_t)3;
	}
	if (at < bytes)
		chain_initrd_build((const uint8_t *)next->handoff_text, (uint32_t)next->handoff_bytes,
				   next->initrd + at);
	next->initrd_bytes = bytes;
	return CHAIN_OK;
}

static enum chain_status prepare(struct next *next, struct chain_error *err)
{
	enum chain_status status = next_inputs_read(&next->options, &next->inputs, err);
	if (status)
		return status;
	bool linux_kernel = !strcmp(next->inputs.door->name, "linux");
	if (next->by_file && !linux_kernel)
		return next->locked ? CHAIN_FAIL(err, NEXT_LOCKED, .subject = next->options.image,
						 .detail = "this is another kernel") :
				      CHAIN_FAIL(err, NOT_SUPPORTED, .subject = next->options.image,
						 .detail = "--signed with a kernel that is no bzImage");
	status = next_machine_read("", &next->machine, err);
	if (!status)
		status = next_machine_free_root(&next->machine, next->inputs.parent, err);
	if (!status)
		status = make_handoff(next, err);
	if (status)
		return status;
	return next->by_file ? make_initrd(next, err) : make_plan(next, err);
}

/* --- saying it --- */

static void say_links(const struct next *next)
{
	const json_t *links = json_object_get(next->handoff, "links");
	size_t i;
	json_t *link;
	fprintf(stderr, "  links    ");
	json_array_foreach (links, i, link)
		fprintf(stderr, "%s%s", i ? " > " : "", json_string_value(json_object_get(link, "name")));
	fputs(" > it\n", stderr);
}

static void say(const struct next *next)
{
	char digest[CHAIN_DIGEST_TEXT_BYTES];
	const struct next_inputs *inputs = &next->inputs;
	bool image = inputs->kind == CHAIN_KERNEL_IMAGE;
	fprintf(stderr, "%s  %s, %" PRIu64 " bytes\n", next->options.image, chain_kernel_kind_name(inputs->kind),
		inputs->kernel.count);
	fprintf(stderr, "  %-8s %s%s\n", image ? "id" : "digest", chain_digest_text(&inputs->digest, digest),
		image ? ", every byte verified" : "");
	if (*args_of(next))
		fprintf(stderr, "  args     %s\n", args_of(next));
	for (size_t i = 0; i < inputs->module_count; i++)
		fprintf(stderr, "  module   %s, %" PRIu64 " bytes\n", inputs->modules[i].string,
			inputs->modules[i].blob.bytes_count);
	say_links(next);
	if (!next->by_file)
		fprintf(stderr, "  memory   %" PRIu64 " KiB are held until it starts\n",
			next->segments.total_bytes >> 10);
	bool orderly = next_is_orderly() && !next->options.now;
	fprintf(stderr, "%s\n",
		next->options.load ?
			"It is handed to Linux, and started by whoever asks for it: `systemctl kexec`, for one." :
		orderly ? "systemd stops what runs here, then this Linux ends and it starts." :
			  "This Linux ends at once, with all that runs in it, and it starts.");
}

/* The one document: nothing else is printed once this is. */
static enum chain_status print_json(const struct next *next, struct chain_error *err)
{
	char digest[CHAIN_DIGEST_TEXT_BYTES];
	json_t *plan = NULL;
	enum chain_status status = next->by_file ? CHAIN_OK : chain_plan_to_json(&next->plan, &plan, err);
	json_t *doc = status ? NULL :
			       chain_json_object(CHAIN_TEXT("image", next->options.image),
						 CHAIN_TEXT("kernel", chain_kernel_kind_name(next->inputs.kind)),
						 CHAIN_TEXT("digest", chain_digest_text(&next->inputs.digest, digest)),
						 CHAIN_INT("held_bytes", (json_int_t)next->segments.total_bytes),
						 CHAIN_BORROW("handoff", next->handoff),
						 CHAIN_STEAL("plan", plan ? plan : json_null()));
	if (!status && !doc)
		status = chain_json_no_memory(err, "what would be done");
	else if (!status && (json_dumpf(doc, stdout, JSON_INDENT(2)) || putchar('\n') == EOF || fflush(stdout)))
		status = CHAIN_FAIL(err, IO, .subject = "standard output", .detail = strerror(errno));
	json_decref(doc);
	return status;
}

static int refuse(const struct next *next, const struct chain_error *err, int code)
{
	char message[1024], hint[512];
	chain_error_format(err, message, sizeof(message));
	chain_error_hint(err, hint, sizeof(hint));
	fprintf(stderr, "kchain-next: %s\n", message);
	if (*hint)
		fprintf(stderr, "  hint: %s\n", hint);
	if (!next->options.json || next->printed)
		return code;
	json_t *error = chain_json_object(CHAIN_TEXT("slug", chain_status_slug(err->status)),
					  CHAIN_TEXT("message", message), CHAIN_TEXT("subject", err->subject),
					  CHAIN_TEXT("detail", err->detail), CHAIN_TEXT("hint", hint));
	json_t *doc = chain_json_object(CHAIN_STEAL("error", error), CHAIN_INT("exit", code));
	json_dumpf(doc, stdout, JSON_INDENT(2));
	putchar('\n');
	json_decref(doc);
	return code;
}

/* --- doing it --- */

/* -1: yes; else the exit code. */
static int ask(const struct next *next)
{
	char answer[16];
	struct chain_error err = { 0 };
	bool anybody = isatty(STDIN_FILENO);
	if (next->options.yes)
		return -1;
	if (anybody) {
		fputs("Go on? [y/N] ", stderr);
		if (fgets(answer, sizeof(answer), stdin) && (answer[0] == 'y' || answer[0] == 'Y'))
			return -1;
	}
	int code = anybody ? NEXT_DECLINED : NEXT_USAGE;
	return CHAIN_FAIL(&err, IO, .subject = next->options.image,
			  .detail = anybody ? "nothing was started" : "nobody is there to be asked: --yes") ?
		       refuse(next, &err, code) :
		       code;
}

/* What was handed over is printed before it is started, which may be the end of this program. */
static enum chain_status go(struct next *next, struct chain_error *err)
{
	const struct next_signed kernel = { next->options.image, args_of(next), next->initrd, next->initrd_bytes,
					    next->locked };
	enum chain_status status =
		next->by_file ? next_load_signed(&kernel, err) : next_load(next->options.image, &next->segments, err);
	if (!status && next->options.json) {
		status = print_json(next, err);
		next->printed = !status;
	}
	if (status || next->options.load)
		return status;
	return next_start(next_is_orderly() && !next->options.now, err);
}

static int run(struct next *next)
{
	struct chain_error err = { 0 };
	/* Where nothing is started it need not be permitted; what Linux takes says what would be done, all the same. */
	if (next_load_check(next->options.image, &next->locked, &err) && !next->options.dry_run)
		return refuse(next, &err, NEXT_FAILED);
	err = (struct chain_error){ 0 };
	next->by_file = next->locked || next->options.by_file;
	if (prepare(next, &err))
		return refuse(next, &err, NEXT_REFUSED);
	say(next);
	if (next->options.dry_run)
		return next->options.json && print_json(next, &err) ? refuse(next, &err, NEXT_REFUSED) : NEXT_OK;
	int code = ask(next);
	if (code >= 0)
		return code;
	return go(next, &err) ? refuse(next, &err, NEXT_FAILED) : NEXT_OK;
}

int main(int argc, char **argv)
{
	static struct next next;
	int code = next_options_read(argc, argv, &next.options);
	if (code >= 0)
		return code;
	chain_json_memory_init();
	code = run(&next);
	next_segments_free(&next.segments);
	chain_plan_free(&next.plan);
	chain_bootinfo_free(&next.machine);
	next_inputs_free(&next.inputs);
	json_decref(next.handoff);
	free(next.handoff_text);
	free(next.initrd);
	return fflush(stdout) ? NEXT_FAILED : code;
}
