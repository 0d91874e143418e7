/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* The picture: time runs to the right; a row for the links, one for the steps, one for each processor. Thousands of
 * turns become one path a colour, so that the file stays small. */

#include "report.h"
#include "svg.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
	LEFT = 108,
	TOP = 64,
	SPAN_ROW = 26,
	GAP = 14,
	FOOT = 66,
	PLOT = SVG_WIDTH - LEFT - SVG_RIGHT,
	ROWS_HEIGHT = 560,
	LABEL_LEAST = 12,
	ROW_LEAST = 3,
};

static const struct {
	const char *fill, *other;
} COLOURS[REPORT_STATUS_COUNT] = {
	[REPORT_OK] = { "#2b7a78", "#5aa9a3" },      [REPORT_FAILED] = { "#c8553d", "#c8553d" },
	[REPORT_FAULT] = { "#8f2d56", "#8f2d56" },   [REPORT_TIMEOUT] = { "#e09f3e", "#e09f3e" },
	[REPORT_SKIPPED] = { "#a9b1b9", "#a9b1b9" },
};

struct picture {
	const struct report *report;
	FILE *to;
	double begin, end; /* microseconds shown */
	double row;        /* height of a processor's row */
	double rows_at;    /* where they begin */
};

static double x_of(const struct picture *p, double us)
{
	double part = (us - p->begin) / (p->end - p->begin);
	return LEFT + (part < 0 ? 0 : part > 1 ? 1 : part) * PLOT;
}

static void draw_axis(const struct picture *p, double bottom)
{
	double step = svg_tick(p->end - p->begin, SVG_TICKS_MOST), first = ceil(p->begin / step) * step;
	bool seconds = p->end - p->begin >= 2e6;
	for (unsigned n = 0; n < SVG_TICKS_MOST && first + n * step <= p->end; n++) {
		double at = first + n * step;
		double x = x_of(p, at), shown = at / (seconds ? 1e6 : 1e3), each = step / (seconds ? 1e6 : 1e3);
		fprintf(p->to, "<line x1=\"%.1f\" y1=\"%d\" x2=\"%.1f\" y2=\"%.1f\" stroke=\"#d9dde1\"/>\n", x, TOP - 6,
			x, bottom);
		svg_text(p->to, x, bottom + 16, "middle", "", "%.*f",
			 each >= 1    ? 0 :
			 each >= 0.1  ? 1 :
			 each >= 0.01 ? 2 :
					3,
			 shown);
	}
	svg_text(p->to, LEFT + PLOT / 2.0, bottom + 34, "middle", "",
		 seconds ? "seconds since the first link was entered" :
			   "milliseconds since the first link was entered");
}

/* Of `count` spans in a row the first one; its name is in it, or behind it, where there is room before the next. */
static void draw_span(const struct picture *p, const struct report_span *span, size_t count, double y, const char *fill)
{
	enum { NAME_MOST = 64, CHARACTER = 7 };
	double x = x_of(p, span->begin), width = x_of(p, span->end) - x;
	double room = x_of(p, count > 1 && span[1].timed ? span[1].begin : p->end) - x - width;
	size_t fits = (size_t)(width / CHARACTER), beside = room > 0 ? (size_t)(room / CHARACTER) : 0;
	if (!span->timed)
		return;
	fprintf(p->to,
		"<rect x=\"%.2f\" y=\"%.1f\" width=\"%.2f\" height=\"%d\" rx=\"2\" fill=\"%s\" stroke=\"#fff\" "
		"stroke-width=\"0.5\"><title>",
		x, y, width < 1 ? 1 : width, SPAN_ROW - 6, fill);
	svg_xml(p->to, span->name, NAME_MOST);
	fprintf(p->to, ": %.3f ms</title></rect>\n", (span->end - span->begin) / 1e3);
	if (fits >= strlen(span->name) && fits >= 2)
		svg_text(p->to, x + 5, y + 14, "start", " fill=\"#fff\"", "%s", span->name);
	else if (beside > strlen(span->name))
		svg_text(p->to, x + width + 5, y + 14, "start", "", "%s", span->name);
}

/* All turns of one status and one parity of the index as one path; neighbours differ so that they can be
 * distinguished. */
static void draw_turns(const struct picture *p, enum report_status status, unsigned parity)
{
	double least = status == REPORT_OK ? 0.35 : 1.6; /* what went wrong is never too thin to be seen */
	bool begun = false;
	for (size_t i = 0; i < p->report->fanout_count; i++) {
		const struct report_fanout *f = &p->report->fanouts[i];
		for (size_t t = 0; t < f->turn_count; t++) {
			const struct report_turn *turn = &f->turns[t];
			if (turn->status != status || (turn->index & 1) != parity)
				continue;
			double x = x_of(p, turn->begin), width = x_of(p, turn->end) - x;
			if (!begun)
				fputs("<path d=\"", p->to);
			begun = true;
			fprintf(p->to, "M%.2f %.2fh%.2fv%.2fh-%.2fz", x, p->rows_at + turn->processor * p->row,
				width < least ? least : width, p->row * (f->cpus - 0.14),
				width < least ? least : width);
		}
	}
	if (begun)
		fprintf(p->to, "\" fill=\"%s\"/>\n", parity ? COLOURS[status].other : COLOURS[status].fill);
}

static void draw_processors(const struct picture *p)
{
	static const uint32_t steps[] = { 1, 2, 5 }; /* of the labels; a row is never lower than ROW_LEAST */
	const struct report *r = p->report;
	uint32_t every = steps[0];
	if (!r->processors)
		return;
	for (size_t i = 1; i < sizeof(steps) / sizeof(steps[0]) && every * p->row < LABEL_LEAST; i++)
		every = steps[i];
	for (uint32_t i = 0; i < r->processors; i += every)
		svg_text(p->to, LEFT - 8, p->rows_at + i * p->row + p->row * 0.43 + 4, "end", "",
			 every == 1 ? "processor %u" : "%u", i);
	for (int status = 0; status < REPORT_STATUS_COUNT; status++)
		for (unsigned parity = 0; parity < 2; parity++)
			draw_turns(p, (enum report_status)status, parity);
}

static void draw_legend(const struct picture *p, double y)
{
	double x = LEFT;
	uint64_t counts[REPORT_STATUS_COUNT] = { 0 };
	for (size_t i = 0; i < p->report->fanout_count; i++)
		for (size_t t = 0; t < p->report->fanouts[i].turn_count; t++)
			counts[p->report->fanouts[i].turns[t].status]++;
	for (int i = 0; i < REPORT_STATUS_COUNT; i++) {
		if (!counts[i])
			continue;
		fprintf(p->to, "<rect x=\"%.0f\" y=\"%.0f\" width=\"11\" height=\"11\" fill=\"%s\"/>\n", x, y - 10,
			COLOURS[i].fill);
		svg_text(p->to, x + 17, y, "start", "", "%s (%llu)", report_status_name((enum report_status)i),
			 (unsigned long long)counts[i]);
		x += 130;
	}
}

static void draw_head(const struct picture *p)
{
	const struct report *r = p->report;
	char kernels[96] = "";
	size_t turns = 0;
	for (size_t i = 0; i < r->fanout_count; i++)
		turns += r->fanouts[i].turn_count;
	if (turns)
		snprintf(kernels, sizeof(kernels), ", %zu turn%s of kernels on %u processor%s", turns,
			 turns == 1 ? "" : "s", r->processors, r->processors == 1 ? "" : "s");
	svg_text(p->to, LEFT, 24, "start", " font-size=\"16\" font-weight=\"600\"", "%s",
		 r->link_count ? r->links[0].name : "nothing was entered");
	svg_text(p->to, LEFT, 44, "start", " fill=\"#68727d\"", "%zu link%s, %zu step%s%s; %.1f ms shown",
		 r->link_count, r->link_count == 1 ? "" : "s", r->step_count, r->step_count == 1 ? "" : "s", kernels,
		 (p->end - p->begin) / 1e3);
}

static void draw(const struct picture *p)
{
	const struct report *r = p->report;
	double bottom = p->rows_at + r->processors * p->row + 4;
	svg_begin(p->to, bottom + FOOT);
	draw_head(p);
	draw_axis(p, bottom);
	svg_text(p->to, LEFT - 8, TOP + 14, "end", "", "links");
	for (size_t i = 0; i < r->link_count; i++)
		draw_span(p, &r->links[i], r->link_count - i, TOP, i & 1 ? "#7a8794" : "#4a5560");
	svg_text(p->to, LEFT - 8, TOP + SPAN_ROW + 14, "end", "", "steps");
	for (size_t i = 0; i < r->step_count; i++)
		draw_span(p, &r->steps[i], r->step_count - i, TOP + SPAN_ROW,
			  r->steps[i].status == REPORT_OK ? "#3d6fa5" : COLOURS[r->steps[i].status].fill);
	draw_processors(p);
	draw_legend(p, bottom + FOOT - 12);
	fputs("</svg>\n", p->to);
}

char *report_svg(const struct report *report, size_t *out_bytes)
{
	char *bytes = NULL;
	struct picture p = { .report = report,
			     .to = open_memstream(&bytes, out_bytes),
			     .rows_at = TOP + 2 * SPAN_ROW + GAP,
			     .begin = report->begin,
			     .end = report->end };
	if (!p.to)
		return NULL;
	if (p.end - p.begin < 1)
		p.end = p.begin + 1;
	if (report->processors)
		p.row = (double)ROWS_HEIGHT / report->processors;
	p.row = p.row > SVG_ROW_MOST ? SVG_ROW_MOST : p.row < ROW_LEAST && report->processors ? ROW_LEAST : p.row;
	draw(&p);
	if (fclose(p.to) == 0)
		return bytes;
	free(bytes);
	return NULL;
}
