/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

#include "svg.h"

#include "chain/cmd/cmd.h"

#include <float.h>
#include <stdarg.h>
#include <string.h>

void svg_begin(FILE *to, double height)
{
	fprintf(to,
		"<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %.0f\" width=\"%d\" height=\"%.0f\" "
		"font-family=\"system-ui, 'DejaVu Sans', sans-serif\" font-size=\"12\" fill=\"#2f3640\">\n"
		"<rect width=\"100%%\" height=\"100%%\" fill=\"#fff\"/>\n",
		SVG_WIDTH, height, SVG_WIDTH, height);
}

/* XML 1.0 section 2.2: no control characters, and two others that are none. A text is UTF-8 but where it was cut. */
void svg_xml(FILE *to, const char *text, size_t most)
{
	for (size_t count; *text && most; text += count, most--) {
		size_t bytes = strlen(text);
		count = cmd_text_printable(text, bytes);
		if (!count || !strncmp(text, "\xef\xbf\xbe", 3) || !strncmp(text, "\xef\xbf\xbf", 3))
			fputc(' ', to);
		else if (strchr("<>&\"", *text))
			fprintf(to, "&#%d;", *text);
		else
			fwrite(text, 1, count, to);
		count = count ? count : 1;
	}
}

void svg_text(FILE *to, double x, double y, const char *anchor, const char *style, const char *format, ...)
{
	enum { MOST = 160 };
	char raw[1024];
	va_list args;
	va_start(args, format);
	vsnprintf(raw, sizeof(raw), format, args);
	va_end(args);
	fprintf(to, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\"%s>", x, y, anchor, style);
	svg_xml(to, raw, MOST);
	fputs("</text>\n", to);
}

double svg_tick(double span, unsigned most)
{
	static const double FACTORS[] = { 2, 2.5, 2 };
	double step = 0.01;
	for (unsigned i = 0; i < 3 * DBL_MAX_10_EXP && span / step > most - 1; i++)
		step *= FACTORS[i % 3];
	return step;
}
