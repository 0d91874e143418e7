/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "link.h"

#include "chain/handoff.h"
#include "chain/json_memory.h"
#include "machine.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

/* --- the clock: all links count the processor's ticks --- */

static uint64_t nanoseconds(clockid_t which)
{
	struct timespec now;
	clock_gettime(which, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* As an earlier link found it, or measured here. */
static uint64_t ticks_per_second(const json_t *parent)
{
	json_int_t known = json_integer_value(json_object_get(json_object_get(parent, "clock"), "tsc_hz"));
	if (known > 0)
		return (uint64_t)known;
	uint64_t from = nanoseconds(CLOCK_MONOTONIC_RAW), ticks = __rdtsc(), ns;
	const struct timespec pause = { .tv_nsec = 20000000 };
	nanosleep(&pause, NULL);
	ticks = __rdtsc() - ticks;
	ns = nanoseconds(CLOCK_MONOTONIC_RAW) - from;
	return ns ? (uint64_t)((unsigned __int128)ticks * 1000000000 / ns) : 0;
}

/* When this Linux began: as the link before it left, where there was one; else by its own clock, which begins a little
 * later. */
static uint64_t entered_ticks(const json_t *parent, uint64_t now, uint64_t hz)
{
	const json_t *links = json_object_get(parent, "links"),
		     *left = json_object_get(json_array_get(links, json_array_size(links) - 1), "left_ticks");
	const char *origin = json_string_value(json_object_get(json_object_get(parent, "clock"), "origin_ticks"));
	uint64_t since = origin ? strtoull(origin, NULL, 16) : 0;
	if (origin && json_is_integer(left) && since + (uint64_t)json_integer_value(left) <= now)
		return since + (uint64_t)json_integer_value(left);
	unsigned __int128 up = (unsigned __int128)nanoseconds(CLOCK_BOOTTIME) * hz / 1000000000;
	return up < now ? now - (uint64_t)up : 1;
}

/* --- what it says --- */

/* Linux has such a number for each boot, as a UUID. */
static void read_boot_id(uint8_t out[CHAIN_BOOT_ID_BYTES])
{
	char text[64];
	size_t digits = 0;
	memset(out, 0, CHAIN_BOOT_ID_BYTES);
	if (!next_text_read("/proc/sys/kernel/random/boot_id", text, sizeof(text)))
		return;
	for (const char *at = text; *at && digits < 2 * CHAIN_BOOT_ID_BYTES; at++) {
		const char *hex = "0123456789abcdef", *found = strchr(hex, *at);
		if (!found)
			continue;
		out[digits / 2] = (uint8_t)(out[digits / 2] << 4 | (found - hex));
		digits++;
	}
}

/* A driver of Linux's may have set another mode than the loader's since. */
static void forget_screen(json_t *parent)
{
	if (!access("/sys/class/drm/card0", F_OK))
		json_object_del(json_object_get(parent, "platform"), "framebuffer");
}

enum chain_status next_handoff_make(const struct next_link *link, json_t **out, char **out_text, uint64_t *out_bytes,
				    struct chain_error *err)
{
	uint8_t boot_id[CHAIN_BOOT_ID_BYTES];
	struct chain_config config = { .name = (char *)(uintptr_t)link->name, .state = link->state };
	struct chain_step step = { .name = (char *)(uintptr_t) "kchain-next",
				   .kind = CHAIN_STEP_BOOT,
				   .source = (char *)(uintptr_t)link->source };
	json_t *results = json_object();
	uint64_t hz = ticks_per_second(link->parent), now = __rdtsc();
	read_boot_id(boot_id);
	forget_screen(link->parent);
	if (link->result &&
	    json_object_set_new(results, link->name, chain_result_entry("ok", 0, json_incref(link->result), NULL))) {
		json_decref(results);
		return chain_json_no_memory(err, link->name);
	}
	const struct chain_handoff_input input = { .parent = link->parent,
						   .config = &config,
						   .step = &step,
						   .door = link->machine->door,
						   .entered_ticks = entered_ticks(link->parent, now, hz),
						   .left_ticks = now,
						   .tsc_hz = hz,
						   .boot_id = boot_id,
						   .bootinfo = link->machine,
						   .results = results };
	enum chain_status status = chain_handoff_build(&input, out, err);
	json_decref(results);
	if (status)
		return status;
	status = chain_handoff_set_kernel(*out, &link->kernel, err);
	if (!status)
		status = chain_handoff_text(*out, NULL, out_text, out_bytes, err);
	if (status) {
		json_decref(*out);
		*out = NULL;
	}
	return status;
}
