/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: making the n-th allocation of a program fail, or all from the n-th on: its own, by ld's --wrap (ALLOC_WRAP
 * in chain/build.mk), and jansson's. One file of a program includes it.
 * Must not know: what is being tried. */
#ifndef CHAIN_TESTS_ALLOC_FAIL_H
#define CHAIN_TESTS_ALLOC_FAIL_H

#include "chain/error.h"
#include "chain/json_memory.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void *__real_malloc(size_t bytes);
void *__real_calloc(size_t count, size_t bytes);
void *__real_realloc(void *old, size_t bytes);
char *__real_strdup(const char *text);
char *__real_strndup(const char *text, size_t bytes);
int __real_vasprintf(char **out, const char *format, va_list args);
void *__wrap_malloc(size_t bytes);
void *__wrap_calloc(size_t count, size_t bytes);
void *__wrap_realloc(void *old, size_t bytes);
char *__wrap_strdup(const char *text);
char *__wrap_strndup(const char *text, size_t bytes);
int __wrap_vasprintf(char **out, const char *format, va_list args);
int __wrap_asprintf(char **out, const char *format, ...) __attribute__((format(printf, 2, 3)));

static struct {
	long left;     /* before one fails; negative: none does */
	bool once;     /* only that one, else all that follow as well */
	bool failed;   /* since it was last set: one did */
	char why[200]; /* a sweep ended because of this */
} alloc_state = { .left = -1 };

static inline bool alloc_fails(void)
{
	if (alloc_state.left < 0 || alloc_state.left-- > 0)
		return false;
	alloc_state.failed = true;
	alloc_state.left = alloc_state.once ? -1 : 0;
	return true;
}

void *__wrap_malloc(size_t bytes)
{
	return alloc_fails() ? NULL : __real_malloc(bytes);
}
void *__wrap_calloc(size_t count, size_t bytes)
{
	return alloc_fails() ? NULL : __real_calloc(count, bytes);
}
void *__wrap_realloc(void *old, size_t bytes)
{
	return alloc_fails() ? NULL : __real_realloc(old, bytes);
}
char *__wrap_strdup(const char *text)
{
	return alloc_fails() ? NULL : __real_strdup(text);
}
char *__wrap_strndup(const char *text, size_t bytes)
{
	return alloc_fails() ? NULL : __real_strndup(text, bytes);
}
int __wrap_vasprintf(char **out, const char *format, va_list args)
{
	return alloc_fails() ? -1 : __real_vasprintf(out, format, args);
}

int __wrap_asprintf(char **out, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	int bytes = __wrap_vasprintf(out, format, args);
	va_end(args);
	return bytes;
}

static inline void alloc_fail_at(long n, bool once)
{
	chain_json_memory_init(); /* jansson's go on failing */
	chain_json_memory_reset();
	alloc_state.once = once;
	alloc_state.failed = false;
	alloc_state.left = n;
}

/* What follows gets all it asks for; whether one failed is kept. */
static inline void alloc_stop(void)
{
	alloc_state.left = -1;
	chain_json_memory_reset();
}

/* Something that allocates. With CHAIN_OK, `out_sum` stands for all that came of it: what was made in vain would
 * differ. It calls alloc_stop before it looks at the result, and leaves nothing. */
typedef enum chain_status alloc_act(void *ctx, uint64_t *out_sum, struct chain_error *err);

/* FNV-1a; begins with 0. */
static inline uint64_t alloc_sum(uint64_t sum, const void *bytes, size_t count)
{
	sum = sum ? sum : 0xcbf29ce484222325u;
	for (size_t i = 0; i < count; i++)
		sum = (sum ^ ((const uint8_t *)bytes)[i]) * 0x100000001b3u;
	return sum;
}

enum { ALLOC_SWEEP_MAX = 1000000 };

/* Whether an act that ended with `err` and `sum` kept its promises; `whole` is the sum it has undisturbed. */
static inline bool alloc_is_right(enum chain_status status, const struct chain_error *err, uint64_t sum, uint64_t whole)
{
	const char *wrong = NULL;
	if (err->status != status)
		wrong = "another status in the record than was returned";
	else if (status && !alloc_state.failed)
		wrong = "a failure of its own";
	else if (status && status != CHAIN_E_NO_MEMORY)
		wrong = "not reported as a lack of memory";
	else if (status && !err->number[0])
		wrong = "0 bytes asked for";
	else if (!status && sum != whole)
		wrong = "half made";
	if (wrong)
		snprintf(alloc_state.why, sizeof(alloc_state.why), "%s (%s: %.80s)", wrong, chain_status_slug(status),
			 err->subject);
	return !wrong;
}

/* Fails each allocation in turn, each with all that follow, and then each alone. Returns how many there are; -1 when
 * something was wrong, with the allocation in *out_at and the reason in alloc_state.why. */
static inline long alloc_sweep(alloc_act *act, void *ctx, long *out_at)
{
	uint64_t whole = 0;
	struct chain_error undisturbed = { 0 };
	bool right = alloc_is_right(act(ctx, &whole, &undisturbed), &undisturbed, whole, whole);
	long n = 0, most = 0;
	for (int once = 0; right && once < 2; once++) {
		alloc_state.failed = true;
		for (n = 0; right && alloc_state.failed && n < ALLOC_SWEEP_MAX; n++) {
			struct chain_error err = { 0 };
			uint64_t sum = 0;
			alloc_fail_at(n, once);
			enum chain_status status = act(ctx, &sum, &err);
			alloc_stop();
			right = alloc_is_right(status, &err, sum, whole);
		}
		most = n - 1 > most ? n - 1 : most;
	}
	*out_at = n - 1;
	return right ? most : -1;
}

#endif
