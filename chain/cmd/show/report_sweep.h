/* SPDX-FileCopyrightText: The kchain authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Owns: what `kchain report` makes of a sweep's results. Must not know: how they came about. */
#ifndef KCHAIN_REPORT_SWEEP_H
#define KCHAIN_REPORT_SWEEP_H

#include "chain/cmd/sweep/table.h"

/* Prints the summary, and writes the files that are asked for (nullable). The exit code; -1: the file is none of a
 * sweep, or can't be opened. */
int report_sweep(const char *path, const char *svg, const char *csv, bool json);

/* report_sweep_svg.c: the picture, drawn while the file is read a second time. */
struct sweep_picture;
/* Null without memory. */
struct sweep_picture *sweep_picture_begin(const struct table *table);
void sweep_picture_add(struct sweep_picture *picture, const struct outcome *outcome);
/* New text, or null when memory ran out; the picture is gone. */
char *sweep_picture_end(struct sweep_picture *picture, size_t *out_bytes);

#endif
