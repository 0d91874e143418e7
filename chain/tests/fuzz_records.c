/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* libFuzzer target: anything a guest may print, as `kchain run` and `watch` hear it. The same records and text come out
 * however the bytes are cut, every byte of text once; the display stays printable; there is a verdict at every end. */
#include "fuzz.h"

#include "chain/cmd/run/run_judge.h"
#include "chain/cmd/run/run_view.h"

struct heard {
	FILE *log; /* records and refusals in order; text apart, since it comes in other pieces */
	FILE *text;
	char *log_bytes, *text_bytes;
	size_t log_used, text_used;
	struct run_judge judge;
	struct run_view view;
	uint64_t records;
	uint8_t how;
};

static enum records_channel channel_of(const struct heard *heard)
{
	return heard->how & 1 ? RECORDS_PORT : RECORDS_CONSOLE;
}

static void on_record(void *ctx, enum record_event event, const json_t *doc)
{
	struct heard *heard = ctx;
	char *dump = json_dumps(doc, JSON_COMPACT);
	FUZZ_HOLDS(event < RECORD_EVENT_COUNT && json_is_object(doc) && dump);
	FUZZ_HOLDS(!strcmp(record_event_name(event), json_string_value(json_object_get(doc, "event"))));
	fprintf(heard->log, "%s %s\n", record_event_name(event), dump);
	free(dump);
	heard->records++;
	(void)run_judge_record(&heard->judge, event, doc);
	run_view_record(&heard->view, event, doc);
}

static void on_text(void *ctx, const char *bytes, size_t count)
{
	struct heard *heard = ctx;
	FUZZ_HOLDS(count);
	fwrite(bytes, 1, count, heard->text);
	run_judge_text(&heard->judge, channel_of(heard), bytes, count);
	run_view_text(&heard->view, channel_of(heard), bytes, count);
}

static void on_bad(void *ctx, const char *why)
{
	fprintf(((struct heard *)ctx)->log, "bad: %s\n", why);
}

/* The display: whole lines of UTF-8 without control characters. */
static void check_shown(char *shown, size_t count)
{
	FUZZ_HOLDS(!count || shown[count - 1] == '\n');
	for (size_t i = 0; i < count; i++) /* a tab is all that the guest's own lines may keep */
		shown[i] = shown[i] == '\t' || shown[i] == '\n' ? ' ' : shown[i];
	FUZZ_HOLDS(fuzz_printable(shown, count) && strlen(shown) == count && chain_is_utf8(shown));
}

static void check_verdicts(struct run_judge *judge)
{
	static const int ports[] = { -1, 0, 1, 0x10, 0x11, 0x12, 0x13, 255 };
	for (int end = RUN_END_STOPPED; end <= RUN_END_INTERRUPTED; end++)
		for (size_t i = 0; i < sizeof(ports) / sizeof(ports[0]); i++) {
			const struct run_ending ending = { (enum run_end)end, ports[i], i & 1, 3000000, NULL };
			int code = run_judge_verdict(judge, &ending);
			FUZZ_HOLDS(code == CMD_OK || code == CMD_CHILD_FAILED || code == CMD_STAGE_FAILED ||
				   code == CMD_UNMET || code == CMD_TIMEOUT || code == CMD_INTERRUPTED);
			FUZZ_HOLDS(judge->reason[0] && strlen(judge->reason) < sizeof(judge->reason));
			FUZZ_HOLDS(chain_is_utf8(judge->reason) &&
				   fuzz_printable(judge->reason, strlen(judge->reason)));
			FUZZ_HOLDS((end == RUN_END_INTERRUPTED) == (code == CMD_INTERRUPTED));
		}
	(void)run_judge_over(judge);
}

/* `how` says channel, display and, `step` bytes at a time, how it is cut. */
static void listen(struct heard *heard, uint8_t how, const char *bytes, size_t count, size_t step, const regex_t *regex)
{
	struct records records;
	struct records_sink sink = { heard, on_record, on_text, on_bad };
	char *shown = NULL;
	size_t shown_used = 0;
	FILE *to = open_memstream(&shown, &shown_used);
	*heard = (struct heard){ .how = how };
	heard->log = open_memstream(&heard->log_bytes, &heard->log_used);
	heard->text = open_memstream(&heard->text_bytes, &heard->text_used);
	FUZZ_HOLDS(to && heard->log && heard->text);
	run_judge_init(&heard->judge, how & 2 ? RUN_UNTIL_MATCH : RUN_UNTIL_READY, how & 2 ? regex : NULL, how & 4);
	run_view_init(&heard->view, to, false, how & 8);
	records_init(&records, channel_of(heard), sink);
	records.foreign = how & 1 && how & 4;
	for (size_t at = 0; at < count; at += step)
		records_feed(&records, bytes + at, count - at < step ? count - at : step);
	records_end(&records);
	run_view_flush(&heard->view);
	FUZZ_HOLDS(records.good == heard->records);
	fprintf(heard->log, "%llu good, %llu bad, %llu unknown\n", (unsigned long long)records.good,
		(unsigned long long)records.bad, (unsigned long long)records.unknown);
	check_verdicts(&heard->judge);
	fclose(heard->log);
	fclose(heard->text);
	fclose(to);
	check_shown(shown, shown_used);
	FUZZ_HOLDS(heard->text_used <= count);
	free(shown);
	run_judge_free(&heard->judge);
	records_free(&records);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static regex_t regex;
	static bool ready;
	struct heard whole, cut;

	if (!ready)
		FUZZ_HOLDS(!regcomp(&regex, "log ?in:", REG_EXTENDED));
	ready = true;
	if (!size)
		return 0;
	listen(&whole, data[0], (const char *)data + 1, size - 1, size, &regex);
	listen(&cut, data[0], (const char *)data + 1, size - 1, 1 + (data[0] >> 4), &regex);
	FUZZ_HOLDS(whole.log_used == cut.log_used && !memcmp(whole.log_bytes, cut.log_bytes, cut.log_used));
	FUZZ_HOLDS(whole.text_used == cut.text_used && !memcmp(whole.text_bytes, cut.text_bytes, cut.text_used));
	free(whole.log_bytes);
	free(whole.text_bytes);
	free(cut.log_bytes);
	free(cut.text_bytes);
	return 0;
}
