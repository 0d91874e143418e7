/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* libFuzzer target: a document that says what a run did, as `kchain report` gets it from a stranger. What is accepted
 * has numbers within their bounds, and is printed and drawn: as text without control characters, and as a picture that
 * an XML parser takes, no larger than what is in it. */
#include "fuzz.h"

#include "chain/cmd/show/report.h"

static void check_text(const char *text, size_t count)
{
	FUZZ_HOLDS(strlen(text) == count && chain_is_utf8(text));
	for (size_t i = 0; i < count; i++) {
		size_t line = strcspn(text + i, "\n");
		FUZZ_HOLDS(fuzz_printable(text + i, line));
		i += line;
	}
}

/* Elements opened and closed in order; attributes quoted; no number that is none. */
static void check_xml(const char *xml, size_t count)
{
	size_t depth = 0;
	check_text(xml, count);
	for (const char *at = xml; *at; at++) {
		FUZZ_HOLDS(*at != '>');
		if (*at == '&')
			FUZZ_HOLDS(at[1] == '#' && strspn(at + 2, "0123456789") &&
				   at[2 + strspn(at + 2, "0123456789")] == ';');
		if (*at != '<')
			continue;
		bool ends = at[1] == '/', quoted = false;
		for (at++; *at && (quoted || *at != '>'); at++) {
			FUZZ_HOLDS(*at != '<');
			quoted ^= *at == '"';
			if (quoted && (*at == 'n' || *at == 'i'))
				FUZZ_HOLDS(strncmp(at, "nan", 3) != 0 && strncmp(at, "inf", 3) != 0);
		}
		FUZZ_HOLDS(*at == '>' && (!ends || depth));
		depth = ends ? depth - 1 : at[-1] == '/' ? depth : depth + 1;
	}
	FUZZ_HOLDS(depth == 0);
}

static bool within(double begin, double end)
{
	return begin >= -REPORT_US_MAX && begin <= end && end <= REPORT_US_MAX;
}

/* How many things there are to be drawn. */
static size_t check_numbers(const struct report *r)
{
	size_t things = r->link_count + r->step_count + r->processors;
	FUZZ_HOLDS(within(r->begin, r->end) && r->processors <= 2 * REPORT_PROCESSORS_MAX &&
		   r->fanout_count <= r->step_count);
	for (size_t i = 0; i < r->link_count; i++)
		FUZZ_HOLDS(within(r->links[i].begin, r->links[i].end) && r->links[i].name);
	for (size_t i = 0; i < r->step_count; i++)
		FUZZ_HOLDS(within(r->steps[i].begin, r->steps[i].end) && r->steps[i].name &&
			   r->steps[i].status < REPORT_STATUS_COUNT);
	for (size_t i = 0; i < r->fanout_count; i++) {
		const struct report_fanout *f = &r->fanouts[i];
		FUZZ_HOLDS(within(f->begin, f->end) && f->cpus >= 1 && f->cpus <= REPORT_PROCESSORS_MAX);
		FUZZ_HOLDS(f->median >= 0 && f->median <= f->p99 && f->p99 <= f->most && f->most <= 2 * REPORT_US_MAX &&
			   f->busy >= 0);
		things += f->turn_count;
		for (size_t t = 0; t < f->turn_count; t++)
			FUZZ_HOLDS(within(f->turns[t].begin, f->turns[t].end) &&
				   f->turns[t].processor + f->cpus <= r->processors);
	}
	return things;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	enum { HEAD_BYTES = 8192, THING_BYTES = 2048 };
	struct chain_error err = { 0 };
	struct report report;
	char *text = NULL;
	size_t text_bytes = 0, svg_bytes = 0;

	if (fuzz_text_status(report_parse((const char *)data, size, "input", NULL, &report, &err), &err))
		return 0;
	size_t things = check_numbers(&report);
	FILE *to = open_memstream(&text, &text_bytes);
	FUZZ_HOLDS(to);
	report_print(&report, to);
	fclose(to);
	check_text(text, text_bytes);
	json_t *figures = report_json(&report);
	FUZZ_HOLDS(json_is_object(figures));
	char *svg = report_svg(&report, &svg_bytes);
	FUZZ_HOLDS(svg);
	check_xml(svg, svg_bytes);
	FUZZ_HOLDS(svg_bytes <= HEAD_BYTES + things * THING_BYTES);
	free(svg);
	free(text);
	json_decref(figures);
	report_free(&report);
	return 0;
}
