/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: finding machine records (docs/RECORDS.md) in a stream of bytes and checking their form.
 * Must not know: what they mean for a run, who shows them, where the bytes come from. */
#ifndef KCHAIN_RECORDS_H
#define KCHAIN_RECORDS_H

#include "chain/cmd/cmd.h"
#include "chain/hash.h"

enum {
	RECORDS_LINE_MAX = 2 * 1024 * 1024, /* a record with its prefix */
	RECORDS_DEPTH_MAX = 64,             /* levels: those of a handoff, and some */
};
#define RECORDS_PREFIX "@kchain "

enum record_event {
	RECORD_ENTERED,
	RECORD_BOOTINFO,
	RECORD_DEVICE,
	RECORD_NET,
	RECORD_BLOCK,
	RECORD_STEP,
	RECORD_RESULT,
	RECORD_HANDOFF,
	RECORD_SKIPPED,
	RECORD_KERNELS,
	RECORD_PROGRESS,
	RECORD_BOOT,
	RECORD_ERROR,
	RECORD_APPLICATION,
	RECORD_OUTPUT,
	RECORD_FAULT,
	RECORD_EXIT,
	RECORD_ECHO,
	RECORD_END,
	RECORD_EVENT_COUNT
};
const char *record_event_name(enum record_event event);
/* The digest of a kernel as a document says it, by chain_digest_text; empty: it does not. Earlier versions' have a
 * SHA-256 digest's digits under a key of their own. */
void record_digest(const json_t *doc, const char *key, const char *earlier_key, char out[CHAIN_DIGEST_TEXT_BYTES]);

/* Who hears what was found. `doc` is borrowed for the call. `text` gets what is no record, in pieces, as soon as it is
 * known to be none; `bad` gets why a line was refused (one clause). All may be null. */
struct records_sink {
	void *ctx;
	void (*record)(void *ctx, enum record_event event, const json_t *doc);
	void (*text)(void *ctx, const char *bytes, size_t count);
	void (*bad)(void *ctx, const char *why);
};

enum records_channel {
	RECORDS_PORT,    /* the debug port: a line that begins with a brace is a record */
	RECORDS_CONSOLE, /* a line that begins with RECORDS_PREFIX is one */
	RECORDS_CHANNEL_COUNT
};
/* On the port a record may also stand behind text that a kernel left unfinished, if it begins as all of ours do. On the
 * console it may not: a stage puts text of its own before the lines of an isolated kernel, so that no record of that
 * kernel's making is at a line's beginning. */
#define RECORDS_BEGIN "{\"event\":\""

struct records {
	enum records_channel channel;
	bool foreign; /* set by the caller: others write here, so that a line that is no good record is text */
	struct records_sink sink;
	char *line; /* owned; the unfinished line, or the part that may still become a record's beginning */
	size_t used, room;
	bool within; /* the record that it may be stands behind text */
	enum { RECORDS_UNDECIDED, RECORDS_TEXT, RECORDS_MARK, RECORDS_RECORD, RECORDS_SKIP } state;
	uint64_t good, bad, unknown;
};

void records_init(struct records *records, enum records_channel channel, struct records_sink sink);
/* Takes bytes in pieces of any size: the same records come out however they are cut. */
void records_feed(struct records *records, const char *bytes, size_t count);
/* The stream has ended: an unfinished record is bad, unfinished text is given out. */
void records_end(struct records *records);
void records_free(struct records *records);

/* Checks one line (no newline). Null and a clause in *why unless it is a good record of a known event; for an unknown
 * event *why is null as well. New reference. */
json_t *record_parse(const char *line, size_t count, enum record_event *out_event, const char **why);

#endif
