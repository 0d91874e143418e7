# SPDX-FileCopyrightText: The kchain authors
# SPDX-License-Identifier: Apache-2.0
"""Owns what a benchmark leaves behind: figures (with their aims), tables as CSV, plots, and the summary of them all.

Must not know: how anything is measured.
"""
import csv
import os
import statistics

BELOW, AT_MOST, AT_LEAST = "<", "<=", ">="
HOLDS = {
    BELOW: lambda value, aim: value < aim,
    AT_MOST: lambda value, aim: value <= aim,
    AT_LEAST: lambda value, aim: value >= aim,
}


def number(value):
    """12,345,678 or 0.0123: three digits behind the point where it matters, none where it does not."""
    if isinstance(value, str):
        return value
    if isinstance(value, int) or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) < 1 else f"{value:.2f}"


class Figure:
    """One line of the summary."""

    def __init__(self, benchmark, what, value, unit, aim, sense):
        self.benchmark, self.what, self.value, self.unit, self.aim, self.sense = (
            benchmark,
            what,
            value,
            unit,
            aim,
            sense,
        )

    def verdict(self):
        if self.aim is None:
            return ""
        return "met" if HOLDS[self.sense](self.value, self.aim) else "MISSED"

    def cells(self):
        aim = "" if self.aim is None else f"{self.sense} {number(self.aim)}"
        return [self.benchmark, self.what, number(self.value), self.unit, aim, self.verdict()]


class Report:
    """The results of one benchmark, written below `folder` as they come in."""

    def __init__(self, benchmark, folder):
        self.benchmark, self.folder, self.figures = benchmark, folder, []
        os.makedirs(folder, exist_ok=True)

    def figure(self, what, value, unit, aim=None, sense=AT_MOST):
        self.figures.append(Figure(self.benchmark, what, value, unit, aim, sense))

    def times(self, what, seconds, aim=None, sense=AT_MOST):
        """The median of several runs; the least and the most beside it."""
        unit = f"s ({number(min(seconds))} to {number(max(seconds))}, {len(seconds)} runs)"
        self.figure(what, statistics.median(seconds), unit, aim, sense)

    def left_out(self, what, why):
        self.figures.append(Figure(self.benchmark, what, "left out", why, None, None))

    def table(self, name, columns, rows):
        """Raw figures: FOLDER/BENCHMARK-NAME.csv"""
        write_csv(self.path(name + ".csv"), columns, rows)

    def plot(self, name, svg):
        with open(self.path(name + ".svg"), "w", encoding="utf-8") as f:
            f.write(svg)

    def path(self, name):
        return os.path.join(self.folder, f"{self.benchmark}-{name}")


def write_csv(path, columns, rows):
    with open(path, "w", encoding="utf-8", newline="") as f:
        writer = csv.writer(f, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)


def summary(figures):
    """The figures as lines of text, numbers flush right."""
    rows = [["", "what", "value", "unit", "aim", ""]] + [f.cells() for f in figures]
    widths = [max(len(r[i]) for r in rows) for i in range(6)]
    lines, last = [], None
    for row in rows:
        first = "" if row[0] == last else row[0]
        last = row[0]
        lines.append(
            "  ".join(
                [
                    first.ljust(widths[0]),
                    row[1].ljust(widths[1]),
                    row[2].rjust(widths[2]),
                    row[3].ljust(widths[3]),
                    row[4].rjust(widths[4]),
                    row[5],
                ]
            ).rstrip()
        )
    return lines
