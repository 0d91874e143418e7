# SPDX-FileCopyrightText: The kchain authors
# SPDX-License-Identifier: Apache-2.0
"""Plots as SVG text: lines over a linear or logarithmic x, and grouped bars. No dependencies, no style sheet."""
import html
import math

WIDTH, HEIGHT = 760, 440
LEFT, RIGHT, TOP, BOTTOM = 92, 24, 78, 62
COLOURS = ("#0b6e99", "#d1602b", "#4d8c3a", "#7b4fa3", "#8a6d1d", "#5c6670")
INK, PALE = "#22272e", "#dfe3e8"
FONT = "font-family=\"'DejaVu Sans', Helvetica, Arial, sans-serif\""

HALO = ' stroke="#ffffff" stroke-width="3" paint-order="stroke"'  # a grid line does not run through what is written


class Axis:
    """Maps values to pixels between two ends; logarithmic where the range needs it."""

    def __init__(self, values, first_px, last_px, log, show, base=10):
        self.log, self.show, self.base = log, show, base
        self.first_px, self.last_px = first_px, last_px
        low, high = min(values), max(values)
        if log:
            self.ticks = self.powers(low, high)
            self.low, self.high = min(low, self.ticks[0]), max(high, self.ticks[-1])
        else:
            self.ticks = self.steps(min(low, 0), high)
            self.low, self.high = self.ticks[0], self.ticks[-1]

    def powers(self, low, high):
        first, last = math.floor(math.log(low, self.base) + 1e-9), math.ceil(math.log(high, self.base) - 1e-9)
        every = max(1, round((last - first) / 8))
        return [self.base**e for e in range(first, max(last, first + 1) + 1, every)]

    @staticmethod
    def steps(low, high):
        rough = (high - low) / 5 or 1
        power = 10 ** math.floor(math.log10(rough))
        step = next(s * power for s in (1, 2, 2.5, 5, 10) if s * power >= rough * 0.999)
        return [low + i * step for i in range(math.ceil((high - low) / step - 1e-9) + 1)]

    def at(self, value):
        part = (
            math.log(value / self.low) / math.log(self.high / self.low)
            if self.log
            else (value - self.low) / (self.high - self.low)
        )
        return self.first_px + part * (self.last_px - self.first_px)


def plain(value):
    """3 M or 12.5: short, for ticks and bars."""
    for size, unit in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if abs(value) >= size:
            return f"{value / size:.3g}{unit}"
    return f"{value:.3g}"


def bytes_text(value):
    for size, unit in ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")):
        if value >= size:
            return f"{value / size:g} {unit}"
    return f"{value:g} B"


def text(x, y, words, anchor="middle", size=12, colour=INK, more=""):
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" fill="{colour}" {FONT}{more}>'
        f"{html.escape(words)}</text>"
    )


def rule(x1, y1, x2, y2, colour=PALE, width=1):
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}" stroke-width="{width}"/>'


def frame(title, subtitle, x_label, y_label, y_axis, names):
    """Everything but the data and the x axis's ticks."""
    middle = (TOP + HEIGHT - BOTTOM) / 2
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
        text(LEFT, 26, title, "start", 16, more=' font-weight="bold"'),
        text(LEFT, 45, subtitle, "start", 12, "#5c6670"),
        text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 14, x_label),
        text(20, middle, y_label, more=f' transform="rotate(-90 20 {middle:.1f})"'),
    ]
    for tick in y_axis.ticks:
        y = y_axis.at(tick)
        parts += [rule(LEFT, y, WIDTH - RIGHT, y), text(LEFT - 8, y + 4, y_axis.show(tick), "end", 11)]
    x = LEFT
    for index, name in enumerate(names):
        parts += [
            f'<rect x="{x:.1f}" y="{TOP - 21}" width="11" height="11" fill="{COLOURS[index % len(COLOURS)]}"/>',
            text(x + 16, TOP - 11, name, "start", 12),
        ]
        x += 34 + 7.1 * len(name)
    return parts


def finish(parts):
    y = HEIGHT - BOTTOM
    return "\n".join(parts + [rule(LEFT, y, WIDTH - RIGHT, y, INK), "</svg>", ""])


def lines(
    title,
    subtitle,
    x_label,
    y_label,
    series,
    log_x=False,
    log_y=False,
    show_x=plain,
    show_y=plain,
    x_ticks=None,
    marks=True,
):
    """`series`: name -> list of (x, y)."""
    points = [p for s in series.values() for p in s]
    x_axis = Axis(
        [p[0] for p in points], LEFT + 14, WIDTH - RIGHT - 14, log_x, show_x, 2 if show_x is bytes_text else 10
    )
    y_axis = Axis([p[1] for p in points], HEIGHT - BOTTOM, TOP, log_y, show_y)
    if x_ticks:
        x_axis.low, x_axis.high, x_axis.ticks = min(x_ticks), max(x_ticks), x_ticks
    parts = frame(title, subtitle, x_label, y_label, y_axis, list(series) if len(series) > 1 else [])
    for tick in x_axis.ticks:
        x = x_axis.at(tick)
        parts += [
            rule(x, HEIGHT - BOTTOM, x, HEIGHT - BOTTOM + 5, INK),
            text(x, HEIGHT - BOTTOM + 19, show_x(tick), size=11),
        ]
    for index, data in enumerate(series.values()):
        colour = COLOURS[index % len(COLOURS)]
        path = " ".join(f"{x_axis.at(x):.1f},{y_axis.at(y):.1f}" for x, y in data)
        parts.append(
            f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2" stroke-linejoin="round"/>'
        )
        if marks:
            parts += [
                f'<circle cx="{x_axis.at(x):.1f}" cy="{y_axis.at(y):.1f}" r="4" fill="{colour}"/>' for x, y in data
            ]
    return finish(parts)


def bars(title, subtitle, x_label, y_label, groups, names, log_y=False, show_y=plain, show_value=plain):
    """`groups`: list of (group's name, list of values, one for each of `names`); None is left out."""
    values = [v for _, data in groups for v in data if v is not None]
    y_axis = Axis(values if log_y else values + [0], HEIGHT - BOTTOM, TOP, log_y, show_y)
    parts = frame(title, subtitle, x_label, y_label, y_axis, names if len(names) > 1 else [])
    room = (WIDTH - LEFT - RIGHT) / len(groups)
    width = min(56, room * 0.8 / len(names))
    for place, (group, data) in enumerate(groups):
        middle = LEFT + room * (place + 0.5)
        parts.append(text(middle, HEIGHT - BOTTOM + 19, group, size=11))
        for index, value in enumerate(data):
            if value is None:
                continue
            x, y = middle + (index - len(data) / 2) * width, y_axis.at(value)
            parts += [
                f'<rect x="{x + 1.5:.1f}" y="{y:.1f}" width="{width - 3:.1f}" height="{HEIGHT - BOTTOM - y:.1f}" '
                f'fill="{COLOURS[index % len(COLOURS)]}"/>',
                text(x + width / 2, y - 5, show_value(value), size=10, more=HALO),
            ]
    return finish(parts)
