/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: the statuses of the library and the error record a caller hands down.
 * Must not know: who prints, where, or in which language; any file or device.
 *
 * A function that can fail returns enum chain_status (0 is success) and takes a
 * nullable, caller-owned struct chain_error. The first failure wins: a record
 * that already holds one is left alone, so a caller may pass one record to a
 * sequence of calls and print it once. */
#ifndef CHAIN_ERROR_H
#define CHAIN_ERROR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CHAIN_MUST_CHECK __attribute__((warn_unused_result))

/* One row per status: see status.def, which also has the message and the hint. */
enum chain_status {
	CHAIN_OK = 0,
#define CHAIN_STATUS(name, slug, message, hint) CHAIN_E_##name,
#include "chain/status.def"
#undef CHAIN_STATUS
	CHAIN_STATUS_COUNT
};

enum { CHAIN_SUBJECT_BYTES = 256, CHAIN_ERROR_NUMBERS = 4 };

struct chain_error {
	enum chain_status status;             /* CHAIN_OK while nothing has failed */
	char subject[CHAIN_SUBJECT_BYTES];    /* file, key, part or step; ends in "..." when it had to be cut */
	char detail[CHAIN_SUBJECT_BYTES];     /* second name, or a parser's own words; may be empty */
	uint64_t number[CHAIN_ERROR_NUMBERS]; /* of those that the texts name, in that order */
};

/* Records a failure in `err` (nullable) unless one is there already, and returns the status: CHAIN_FAIL(err, LIMIT,
 * .subject = path, .value = …). What a status has places for in its texts are members, checked by the compiler:
 * `subject`, `detail` for {d}, and numbers by their names in status.def. All of them have to be there
 * (tools/check-style). Texts are copied, and nullable. */
#define CHAIN_FAIL(err, name, ...) chain_fail_##name((err), (struct chain_of_##name){ __VA_ARGS__ })

/* A status whose texts tell the subject alone, or the subject and {d}: it may be one of several, picked as the program
 * runs. */
enum chain_status chain_fail_subject(struct chain_error *err, enum chain_status status, const char *subject);
enum chain_status chain_fail_text(struct chain_error *err, enum chain_status status, const char *subject,
				  const char *detail);
/* CHAIN_E_NO_MEMORY: what is it for, and how much was asked for, which is more than 0 bytes. */
enum chain_status chain_fail_no_memory(struct chain_error *err, const char *subject, uint64_t bytes);

/* Passes on what another record holds, under another subject; null: under its own. */
enum chain_status chain_fail_again(struct chain_error *err, const struct chain_error *why, const char *subject);

/* What CHAIN_FAIL comes to, for nobody else: a call in a kernel is as long as its arguments. */
enum chain_status chain_fail_two(struct chain_error *err, enum chain_status status, const char *subject,
				 const char *detail, uint64_t n0, uint64_t n1);
enum chain_status chain_fail_four(struct chain_error *err, enum chain_status status, const char *subject,
				  const char *detail, uint64_t n0, uint64_t n1, uint64_t n2, uint64_t n3);
static inline __attribute__((always_inline)) enum chain_status chain_fail_shortest(
	struct chain_error *err, enum chain_status status, const char *subject, const char *detail, uint64_t n0,
	uint64_t n1, uint64_t n2, uint64_t n3)
{
	if (!__builtin_constant_p(n2 | n3) || n2 | n3)
		return chain_fail_four(err, status, subject, detail, n0, n1, n2, n3);
	if (__builtin_constant_p(status) && status == CHAIN_E_NO_MEMORY)
		return chain_fail_no_memory(err, subject, n0);
	if (!__builtin_constant_p(n0 | n1) || n0 | n1)
		return chain_fail_two(err, status, subject, detail, n0, n1);
	return __builtin_constant_p(detail) && !detail ? chain_fail_subject(err, status, subject) :
							 chain_fail_text(err, status, subject, detail);
}
#include "chain/status_members.h"

/* Bytes of the UTF-8 character at the start of `text`, which ends in a zero byte somewhere (RFC 3629 section 4); 0:
 * there is none. */
size_t chain_utf8_bytes(const char *text);
/* Whether a text is UTF-8, so that it can be written as JSON. */
bool chain_is_utf8(const char *text);

/* Forgets what was recorded. */
void chain_error_clear(struct chain_error *err);

/* Stable machine name of a status ("elf-truncated"); "ok" for CHAIN_OK; never null. */
const char *chain_status_slug(enum chain_status status);

/* The one printer: the message of the status with {s} (subject), {d} (detail) and the numbers filled in, as one line
 * without a newline. Writes at most `size` bytes with the terminator; returns the length the whole text has, as
 * snprintf does. */
size_t chain_error_format(const struct chain_error *err, char *buf, size_t size);

/* The same for what to try next; "" where there is nothing better to say than the message. */
size_t chain_error_hint(const struct chain_error *err, char *buf, size_t size);

/* No message and no hint is longer before it is filled in. */
enum { CHAIN_TEXT_BYTES = 256 };

/* Whether there is a control character in UTF-8 text: of ASCII, or one of U+0080 to U+009F, which terminals may obey as
 * well. */
bool chain_text_has_control(const char *text, size_t bytes);

#endif
