/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: what pictures have in common: text in them, and where axes have their ticks. Must not know: what is drawn. */
#ifndef KCHAIN_SVG_H
#define KCHAIN_SVG_H

#include <stddef.h>
#include <stdio.h>

/* In units of the picture, which are dots where it is shown as large as it is. */
enum { SVG_WIDTH = 1200, SVG_RIGHT = 24, SVG_ROW_MOST = 22, SVG_TICKS_MOST = 11 };

/* The picture's head, and the white that it is drawn on; `</svg>` ends it. */
void svg_begin(FILE *to, double height);
/* At most `most` characters of UTF-8, such that an XML parser takes them. */
void svg_xml(FILE *to, const char *text, size_t most);
/* A line of text; `anchor` is "start", "middle" or "end", `style` further attributes with a blank before each. */
void svg_text(FILE *to, double x, double y, const char *anchor, const char *style, const char *format, ...)
	__attribute__((format(printf, 6, 7)));
/* 1, 2 or 5 times a power of ten, so that at most `most` ticks stand in the span. */
double svg_tick(double span, unsigned most);

#endif
