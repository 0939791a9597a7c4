"""The pictures of a Drill's report, as SVG that stands in the page: no script, no font, nothing to load.

Everything is told by position, form and words, nothing by colour alone: a report is printed in black and white.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

from tandem.domain.report_words import seconds

WIDTH: Final = 680
_LEFT: Final = 46
_RIGHT: Final = 14
_INK: Final = "#111"
_GRID: Final = "#ccc"
_BAR: Final = "#33708f"
_PER_DECADE: Final = 12
"""Bars for each power of ten."""


def _text(x: float, y: float, text: str, anchor: str = "start", more: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{more}>{escape(text)}</text>'


def _line(x1: float, y1: float, x2: float, y2: float, colour: str = _GRID, more: str = "") -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}"{more}/>'


def _svg(height: int, title: str, parts: Iterable[str]) -> str:
    return (
        f'<svg viewBox="0 0 {WIDTH} {height}" role="img" xmlns="http://www.w3.org/2000/svg" '
        f'font-family="inherit" font-size="11" fill="{_INK}"><title>{escape(title)}</title>{"".join(parts)}</svg>'
    )


@dataclass(frozen=True)
class _LogAxis:
    """A logarithmic axis of seconds from `low` to `high`, both powers of ten or a little beyond."""

    low: float
    high: float

    def x(self, value: float) -> float:
        share = math.log10(max(value, self.low) / self.low) / math.log10(self.high / self.low)
        return _LEFT + min(share, 1.0) * (WIDTH - _LEFT - _RIGHT)

    def draw(self, top: float, bottom: float) -> Iterable[str]:
        decade = math.ceil(math.log10(self.low) - 1e-9)
        while 10**decade <= self.high * 1.001:
            x = self.x(10**decade)
            yield _line(x, top, x, bottom)
            yield _text(x, bottom + 14, _power(decade), "middle" if x < WIDTH - 2 * _RIGHT else "end")
            decade += 1


def _power(decade: int) -> str:
    return f"{10 ** (decade + 3)} ms" if decade < 0 else f"{10**decade} s"


def gap_histogram(bins: Mapping[int, int], marks: Sequence[tuple[str, float]], title: str) -> str:
    """How many agents were out of service for how long. `bins`: milliseconds -> agents; `marks`: name, seconds."""
    most = max(bins, default=1) / 1000
    axis = _LogAxis(0.001, 10 ** max(math.ceil(math.log10(max(most, 0.01)) + 1e-9), 0))
    columns: dict[int, int] = {}
    for ms, agents in bins.items():
        column = math.floor(math.log10(max(ms, 1) / 1000) * _PER_DECADE + 1e-9)
        columns[column] = columns.get(column, 0) + agents
    top, bottom = 30.0, 150.0
    highest = max(columns.values(), default=1)
    parts = list(axis.draw(top, bottom))
    for tick in _ticks(highest):
        y = bottom - (bottom - top) * tick / highest
        parts += [_line(_LEFT, y, WIDTH - _RIGHT, y), _text(_LEFT - 5, y + 4, f"{tick:,}", "end")]
    for column, agents in sorted(columns.items()):
        x1, x2 = axis.x(10 ** (column / _PER_DECADE)), axis.x(10 ** ((column + 1) / _PER_DECADE))
        height = (bottom - top) * agents / highest
        parts.append(
            f'<rect x="{x1 + 0.5:.1f}" y="{bottom - height:.1f}" width="{max(x2 - x1 - 1, 1):.1f}" '
            f'height="{max(height, 0.8):.1f}" fill="{_BAR}"/>'
        )
    for number, (name, value) in enumerate(marks):
        x = axis.x(value)
        parts.append(_line(x, top - 4, x, bottom, _INK, ' stroke-dasharray="3 2"'))
        near_right = x > WIDTH - 130
        parts.append(
            _text(
                x - 4 if near_right else x + 4,
                top - 6 - 11 * (number % 2),
                f"{name} {seconds(value)}",
                "end" if near_right else "start",
            )
        )
    parts.append(_line(_LEFT, bottom, WIDTH - _RIGHT, bottom, _INK))
    parts.append(_text(WIDTH / 2, bottom + 30, "one agent's own time without service (logarithmic)", "middle"))
    parts.append(_text(4, 12, "agents"))
    return _svg(186, title, parts)


def _ticks(highest: int) -> list[int]:
    step = 10 ** max(math.floor(math.log10(max(highest, 1))), 0)
    if highest / step < 2 and step > 1:
        step //= 2
    return list(range(step, highest + 1, step))[:10]


Curve = tuple[str, Mapping[int, int], int]
"""Name, milliseconds since the first commit -> agents, agents planned."""


def arrivals(curves: Sequence[Curve], shares: Sequence[float], published: Mapping[str, float], later: float) -> str:
    """Which share of the agents was there by when; the published figures beside it."""
    slowest = max((max(bins, default=0) / 1000 for _, bins, _ in curves), default=0.0)
    high = 10 ** math.ceil(math.log10(max(slowest, later, *published.values(), 1.0)) + 1e-9)
    axis = _LogAxis(0.01, high)
    top, bottom = 14.0, 236.0

    def y(share: float) -> float:
        return bottom - (bottom - top) * min(share, 100.0) / 100

    parts = list(axis.draw(top, bottom))
    for share in (0.0, 25.0, 50.0, *shares):
        parts += [_line(_LEFT, y(share), WIDTH - _RIGHT, y(share)), _text(_LEFT - 5, y(share) + 4, f"{share:g}", "end")]
    for number, (name, bins, planned) in enumerate(curves):
        style = ' stroke-width="2"' + (' stroke-dasharray="7 3"' if number else "")
        points, so_far = [f"{axis.x(0.01):.1f},{y(0):.1f}"], 0
        for ms, agents in sorted(bins.items()):
            points.append(f"{axis.x(ms / 1000):.1f},{y(100 * so_far / planned):.1f}")
            so_far += agents
            points.append(f"{axis.x(ms / 1000):.1f},{y(100 * so_far / planned):.1f}")
        colour = ("#0b4f6c", "#a4510a")[number % 2]
        parts.append(f'<polyline points="{" ".join(points)}" fill="none" stroke="{colour}"{style}/>')
        line_y = bottom + 46 + 14 * number
        parts += [_line(_LEFT, line_y - 4, _LEFT + 34, line_y - 4, colour, style), _text(_LEFT + 40, line_y, name)]
    for text, value in published.items():
        parts.append(f'<circle cx="{axis.x(value):.1f}" cy="{y(float(text)):.1f}" r="4" fill="#fff" stroke="{_INK}"/>')
    x, high_y = axis.x(later), y(100)
    parts.append(f'<path d="M{x:.1f} {high_y - 5:.1f}l5 5l-5 5l-5 -5z" fill="#fff" stroke="{_INK}"/>')
    legend = bottom + 46
    parts.append(f'<circle cx="{WIDTH / 2 + 4}" cy="{legend - 4}" r="4" fill="#fff" stroke="{_INK}"/>')
    parts.append(_text(WIDTH / 2 + 16, legend, "published, 2016: 1,000+ agents"))
    parts.append(f'<path d="M{WIDTH / 2 + 4} {legend + 5}l5 5l-5 5l-5 -5z" fill="#fff" stroke="{_INK}"/>')
    parts.append(_text(WIDTH / 2 + 16, legend + 14, "published later: all"))
    parts.append(_line(_LEFT, bottom, WIDTH - _RIGHT, bottom, _INK))
    parts.append(_text(WIDTH / 2, bottom + 29, "time since the first commit (logarithmic)", "middle"))
    parts.append(_text(4, 10, "%"))
    return _svg(302, "Share of the planned agents who had arrived, by time since the first commit", parts)


def phases(parts_of_run: Sequence[tuple[str, float]]) -> str:
    """The run as one bar: out, holding, back."""
    whole = sum(length for _, length in parts_of_run) or 1.0
    shades = {"Out": "#c9dbe4", "Holding": "#f1f1f1", "Back": "#e8d3bf"}
    parts, x = [], float(_LEFT)
    for name, length in parts_of_run:
        width = max((WIDTH - _LEFT - _RIGHT) * length / whole, 2.0)
        shade = shades.get(name, "#fff")
        parts.append(f'<rect x="{x:.1f}" y="20" width="{width:.1f}" height="22" fill="{shade}" stroke="{_INK}"/>')
        label = f"{name} {seconds(length)}"
        if width > 7 * len(label):
            parts.append(_text(x + width / 2, 35, label, "middle"))
        else:
            parts.append(_text(min(x, WIDTH - 90.0), 14 if name != "Back" else 56, label))
        x += width
    return _svg(62, "How long each phase took", parts)


def trend(points: Sequence[tuple[str, float | None, float | None]]) -> str:
    """p95 of the own gaps over the last runs, oldest first: name, way out, way back in seconds."""
    values = [value for _, *ways in points for value in ways if value is not None]
    top, bottom = 26.0, 126.0
    highest = max([*values, 0.001]) * 1.1
    step = (WIDTH - _LEFT - _RIGHT) / max(len(points), 1)
    parts = []
    for share in (0.0, 0.5, 1.0):
        height = bottom - (bottom - top) * share
        parts += [
            _line(_LEFT, height, WIDTH - _RIGHT, height),
            _text(_LEFT - 4, height + 4, seconds(highest * share), "end", ' font-size="9"'),
        ]
    for number, (name, *ways) in enumerate(points):
        middle = _LEFT + step * (number + 0.5)
        for side, value in enumerate(ways):
            if value is None:
                continue
            height = max((bottom - top) * value / highest, 1.0)
            x = middle + (-13 if side == 0 else 1)
            fill = ' fill="#33708f"' if side == 0 else f' fill="#fff" stroke="{_INK}"'
            parts.append(f'<rect x="{x:.1f}" y="{bottom - height:.1f}" width="12" height="{height:.1f}"{fill}/>')
        if all(value is None for value in ways):
            parts.append(_text(middle, bottom - 5, "none", "middle", ' font-size="9"'))
        parts.append(_text(middle, bottom + 12, name, "middle", ' font-size="9"'))
    parts += [
        f'<rect x="{_LEFT}" y="6" width="10" height="8" fill="#33708f"/>', _text(_LEFT + 14, 14, "way out"),
        f'<rect x="{_LEFT + 72}" y="6" width="10" height="8" fill="#fff" stroke="{_INK}"/>',
        _text(_LEFT + 86, 14, "way back"),
    ]  # fmt: skip
    return _svg(146, "95th percentile of the agents' own gaps, run by run", parts)
