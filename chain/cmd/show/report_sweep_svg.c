/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* The picture of a sweep: instances over time, a row a slot; how many ended in each stretch of time; how long they
 * took. What is smaller than a dot of the picture is drawn once, so that it stays small however many there are. */

#include "report_sweep.h"
#include "svg.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
	LEFT = 76,
	PLOT = SVG_WIDTH - LEFT - SVG_RIGHT,
	TOP = 76,
	ROWS_HEIGHT = 420,
	LABEL_LEAST = 13,
	PANEL = 130, /* height of the others */
	GAP = 62,
	BINS = 160,
	PER_OCTAVE = 8, /* bars of the distribution */
	LAYERS = OUTCOME_STATUS_COUNT + 1,
};

/* The second layer of those that are ok, for each other one. */
static const char *const COLOURS[LAYERS] = { "#2b7a78", "#c8553d", "#e09f3e", "#8f2d56", "#5aa9a3" };
enum { LAYER_OK_OTHER = OUTCOME_STATUS_COUNT };

struct slot_state {
	uint64_t at_us; /* of the one drawn last */
	float right[2]; /* where what was drawn ends: ok, not ok */
	bool any, odd;
};

struct sweep_picture {
	const struct table *table;
	FILE *layers[LAYERS];
	char *texts[LAYERS];
	size_t bytes[LAYERS];
	struct slot_state *slots;
	uint64_t bins[BINS][2]; /* ended in each: ok, not ok */
	int bin_count;          /* of few instances fewer, so that some end in each */
	double span_us, row;
};

static double x_of(const struct sweep_picture *p, uint64_t us)
{
	return LEFT + (double)(us - p->table->begin_us) / p->span_us * PLOT;
}

struct sweep_picture *sweep_picture_begin(const struct table *table)
{
	struct sweep_picture *p = calloc(1, sizeof(*p));
	const uint64_t slots = table->slots ? table->slots : 1;
	if (!p)
		return NULL;
	p->table = table;
	p->slots = calloc(slots, sizeof(*p->slots));
	p->span_us = table->end_us > table->begin_us ? (double)(table->end_us - table->begin_us) : 1;
	p->row = (double)ROWS_HEIGHT / (double)slots;
	p->row = p->row > SVG_ROW_MOST ? SVG_ROW_MOST : p->row;
	p->bin_count = table->lines < 8 * BINS / 2 ? (int)table->lines / 4 + 8 : BINS;
	p->bin_count = p->bin_count > BINS ? BINS : p->bin_count;
	bool good = p->slots != NULL;
	for (int i = 0; i < LAYERS; i++) {
		p->layers[i] = open_memstream(&p->texts[i], &p->bytes[i]);
		good = good && p->layers[i];
	}
	if (good)
		return p;
	size_t bytes;
	free(sweep_picture_end(p, &bytes));
	return NULL;
}

static void draw_instance(struct sweep_picture *p, const struct outcome *outcome, uint64_t end_us)
{
	struct slot_state *slot = &p->slots[outcome->slot];
	const bool ok = outcome->status == OUTCOME_OK;
	const double x = x_of(p, outcome->at_us), end = x_of(p, end_us), least = ok ? 0.4 : 1.6;
	double width = end - x < least ? least : end - x;
	if (slot->any && slot->at_us == outcome->at_us && ok)
		return; /* of a block that is drawn */
	slot->odd = slot->any ? !slot->odd : false;
	slot->any = true;
	slot->at_us = outcome->at_us;
	if (x + width < (double)slot->right[!ok] + 0.4)
		return;
	slot->right[!ok] = (float)(x + width);
	FILE *to = p->layers[ok && slot->odd ? LAYER_OK_OTHER : (int)outcome->status];
	if (to)
		fprintf(to, "M%.2f %.2fh%.2fv%.2fh-%.2fz", x, TOP + (double)outcome->slot * p->row, width,
			p->row * 0.88, width);
}

void sweep_picture_add(struct sweep_picture *p, const struct outcome *outcome)
{
	uint64_t end_us = outcome->at_us;
	for (int i = 0; i < OUTCOME_PHASE_COUNT; i++)
		end_us += outcome->phase_us[i];
	/* The file may have grown since its bounds were taken. */
	if (outcome->slot >= p->table->slots || outcome->at_us < p->table->begin_us || end_us > p->table->end_us)
		return;
	draw_instance(p, outcome, end_us);
	size_t bin = (size_t)((double)(end_us - p->table->begin_us) / p->span_us * p->bin_count);
	const size_t last = (size_t)p->bin_count - 1;
	p->bins[bin < last ? bin : last][outcome->status != OUTCOME_OK]++;
}

/* --- axes --- */

static void frame(FILE *to, double y, double height, const char *title)
{
	svg_text(to, LEFT, y - 8, "start", " font-weight=\"600\"", "%s", title);
	fprintf(to, "<path d=\"M%d %.1fh%d\" stroke=\"#9aa3ab\"/>\n", LEFT, y + height, PLOT);
}

static void time_axis(const struct sweep_picture *p, FILE *to, double y, double height)
{
	const double seconds = p->span_us / 1e6, step = svg_tick(seconds, SVG_TICKS_MOST);
	for (unsigned n = 0; n < SVG_TICKS_MOST && n * step <= seconds; n++) {
		const double x = LEFT + n * step / seconds * PLOT;
		fprintf(to, "<path d=\"M%.1f %.1fv%.1f\" stroke=\"#d9dde1\"/>\n", x, y, height);
		svg_text(to, x, y + height + 15, "middle", "", "%.*f%s",
			 step >= 1   ? 0 :
			 step >= 0.1 ? 1 :
				       2,
			 n * step, n ? "" : " s");
	}
}

/* Labels on the left, from 0 to the greatest. */
static void value_axis(FILE *to, double y, double height, double most, double least)
{
	const double step = fmax(least, svg_tick(most, 5));
	for (unsigned n = 1; n * step <= most; n++) {
		const double at = y + height - n * step / most * height;
		fprintf(to, "<path d=\"M%d %.1fh%d\" stroke=\"#eceef0\"/>\n", LEFT, at, PLOT);
		svg_text(to, LEFT - 8, at + 4, "end", "", "%g", n * step);
	}
}

/* --- the three parts --- */

static double draw_slots(const struct sweep_picture *p, FILE *to)
{
	const double height = p->row * (double)p->table->slots;
	const uint64_t slots = p->table->slots;
	frame(to, TOP, height, "instances, a row for each of those that run at once");
	time_axis(p, to, TOP, height);
	const uint64_t every = p->row >= LABEL_LEAST ? 1 : (uint64_t)ceil(LABEL_LEAST * 2 / p->row);
	for (uint64_t i = 0; i < slots; i += every)
		svg_text(to, LEFT - 8, TOP + (double)i * p->row + p->row * 0.44 + 4, "end", "", "%llu",
			 (unsigned long long)i);
	static const int ORDER[LAYERS] = { OUTCOME_OK, LAYER_OK_OTHER, OUTCOME_FAILED, OUTCOME_TIMEOUT, OUTCOME_LOST };
	for (int i = 0; i < LAYERS; i++)
		if (p->bytes[ORDER[i]])
			fprintf(to, "<path d=\"%s\" fill=\"%s\"/>\n", p->texts[ORDER[i]], COLOURS[ORDER[i]]);
	return TOP + height;
}

static void draw_rate(const struct sweep_picture *p, FILE *to, double y)
{
	const double each_s = p->span_us / 1e6 / p->bin_count, wide = (double)PLOT / p->bin_count;
	double most = 0;
	for (int i = 0; i < p->bin_count; i++)
		most = fmax(most, (double)(p->bins[i][0] + p->bins[i][1]) / each_s);
	frame(to, y, PANEL, "instances that ended, a second");
	value_axis(to, y, PANEL, most, 0);
	time_axis(p, to, y, PANEL);
	for (int i = 0; i < p->bin_count && most > 0; i++) {
		double base = y + PANEL;
		for (int bad = 0; bad < 2; bad++) {
			const double height = (double)p->bins[i][bad] / each_s / most * PANEL;
			base -= height;
			if (height > 0)
				fprintf(to,
					"<rect x=\"%.2f\" y=\"%.2f\" width=\"%.2f\" height=\"%.2f\" fill=\"%s\"/>\n",
					LEFT + i * wide, base, wide * 0.9, height,
					COLOURS[bad ? OUTCOME_FAILED : OUTCOME_OK]);
		}
	}
}

static double log_x(uint64_t us, double low, double high)
{
	const double at = us > 1 ? log2((double)us) : 0;
	return LEFT + (at - low) / (high - low) * PLOT;
}

static void mark(const struct spread *s, FILE *to, double share, const char *name, double y, double low, double high,
		 int line)
{
	const uint64_t us = spread_quantile(s, share);
	const double x = log_x(us, low, high);
	fprintf(to, "<path d=\"M%.1f %.1fv%d\" stroke=\"#2f3640\" stroke-dasharray=\"3 3\"/>\n", x, y, PANEL);
	const bool left = x > LEFT + PLOT - 150;
	svg_text(to, left ? x - 4 : x + 4, y + 10 + 14 * line, left ? "end" : "start",
		 " paint-order=\"stroke\" stroke=\"#fff\" stroke-width=\"3\"", "%s %.*f ms", name,
		 us < 10000   ? 2 :
		 us < 1000000 ? 1 :
				0,
		 (double)us / 1e3);
}

static void log_axis(FILE *to, double y, double low, double high)
{
	static const double FACTORS[] = { 1, 2, 5 };
	for (int power = 0; power < 14; power++)
		for (int f = 0; f < 3; f++) {
			const double us = pow(10, power) * FACTORS[f];
			if (log2(us) < low || log2(us) > high || (high - low > 8 && f))
				continue;
			const double x = log_x((uint64_t)us, low, high);
			fprintf(to, "<path d=\"M%.1f %.1fv5\" stroke=\"#9aa3ab\"/>\n", x, y + PANEL);
			if (us < 1e6)
				svg_text(to, x, y + PANEL + 17, "middle", "", "%g ms", us / 1e3);
			else
				svg_text(to, x, y + PANEL + 17, "middle", "", "%g s", us / 1e6);
		}
}

/* The bars are as wide as each other on the picture's axis; a time that is shorter than two microseconds is in the
 * first. */
static int bar_of(size_t step)
{
	const double us = ((double)spread_step_us(step) + (double)spread_step_us(step + 1)) / 2;
	return us < 2 ? 0 : (int)(log2(us) * PER_OCTAVE);
}

static void draw_spread(const struct sweep_picture *p, FILE *to, double y)
{
	enum { BARS = SPREAD_DOUBLINGS * PER_OCTAVE + 64 };
	const struct spread *s = &p->table->spreads[OUTCOME_PHASE_COUNT];
	uint64_t bars[BARS] = { 0 }, most = 1;
	int first = BARS, last = 0;
	for (size_t i = 0; i < SPREAD_COUNT; i++) {
		const int bar = bar_of(i);
		bars[bar] += s->counts[i];
		most = bars[bar] > most ? bars[bar] : most;
		first = s->counts[i] && bar < first ? bar : first;
		last = s->counts[i] ? bar : last;
	}
	frame(to, y, PANEL, "how long they took, from the start of QEMU to its end (logarithmic)");
	if (first == BARS)
		return;
	const double low = (double)first / PER_OCTAVE - 0.3, high = (double)(last + 1) / PER_OCTAVE + 0.3,
		     wide = PLOT / (high - low) / PER_OCTAVE;
	value_axis(to, y, PANEL, (double)most, 1);
	for (int i = first; i <= last; i++) {
		const double x = LEFT + ((double)i / PER_OCTAVE - low) / (high - low) * PLOT,
			     height = (double)bars[i] / (double)most * PANEL;
		if (bars[i])
			fprintf(to, "<rect x=\"%.2f\" y=\"%.2f\" width=\"%.2f\" height=\"%.2f\" fill=\"#4a6d8c\"/>\n",
				x, y + PANEL - height, wide * 0.94, height);
	}
	log_axis(to, y, low, high);
	mark(s, to, 0.5, "median", y, low, high, 0);
	mark(s, to, 0.9, "90 %", y, low, high, 1);
	mark(s, to, 0.99, "99 %", y, low, high, 2);
}

static void draw_head(const struct sweep_picture *p, FILE *to)
{
	const struct table *t = p->table;
	double x = LEFT;
	svg_text(to, LEFT, 24, "start", " font-size=\"16\" font-weight=\"600\"",
		 "%llu instances, %.1f s, %.1f a second", (unsigned long long)t->lines, p->span_us / 1e6,
		 (double)t->lines / p->span_us * 1e6);
	for (int i = 0; i < OUTCOME_STATUS_COUNT; i++) {
		if (!t->counts[i])
			continue;
		fprintf(to, "<rect x=\"%.0f\" y=\"34\" width=\"11\" height=\"11\" fill=\"%s\"/>\n", x, COLOURS[i]);
		svg_text(to, x + 17, 44, "start", "", "%s (%llu)", outcome_status_name((enum outcome_status)i),
			 (unsigned long long)t->counts[i]);
		x += 140;
	}
	if (t->lines < t->total)
		svg_text(to, x, 44, "start", " fill=\"#68727d\"", "%llu without a result",
			 (unsigned long long)(t->total - t->lines));
}

static void draw(const struct sweep_picture *p, FILE *to)
{
	const double rows = p->row * (double)(p->table->slots ? p->table->slots : 1);
	const double height = TOP + rows + 2 * (GAP + PANEL) + 36;
	svg_begin(to, height);
	draw_head(p, to);
	double y = draw_slots(p, to) + GAP;
	draw_rate(p, to, y);
	draw_spread(p, to, y + PANEL + GAP);
	fputs("</svg>\n", to);
}

char *sweep_picture_end(struct sweep_picture *p, size_t *out_bytes)
{
	char *svg = NULL;
	bool good = p->slots != NULL;
	for (int i = 0; i < LAYERS; i++)
		good = p->layers[i] && fclose(p->layers[i]) == 0 && good;
	FILE *to = good ? open_memstream(&svg, out_bytes) : NULL;
	if (to) {
		draw(p, to);
		good = fclose(to) == 0;
	}
	for (int i = 0; i < LAYERS; i++)
		free(p->texts[i]);
	free(p->slots);
	free(p);
	if (good && to)
		return svg;
	free(svg);
	return NULL;
}
