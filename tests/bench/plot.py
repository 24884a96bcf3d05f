"""Lines over the size of an archive, as an SVG of a few kilobytes: size on a logarithmic axis, and what it costs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

WIDTH, HEIGHT = 860, 420
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 300, 50, 50
_COLOURS = ("#1b6ca8", "#c8553d", "#3a7d44", "#8a5fbf", "#b8860b", "#4c5b61", "#d1495b", "#00798c", "#5c4033")

Points = Sequence[tuple[float, float]]


def lines(title: str, y_label: str, series: Mapping[str, Points], *, x_label: str = "studies in the archive") -> str:
    """Both axes logarithmic: what is proportional to the archive is a slope, what is not is level."""
    points = [point for each in series.values() for point in each]
    xs = _decades([x for x, _ in points])
    ys = _decades([y for _, y in points if y > 0])

    def place(x: float, y: float) -> tuple[float, float]:
        across = (math.log10(x) - xs[0]) / max(1, xs[-1] - xs[0])
        up = (math.log10(max(y, 10 ** ys[0])) - ys[0]) / max(1, ys[-1] - ys[0])
        return _LEFT + across * (WIDTH - _LEFT - _RIGHT), HEIGHT - _BOTTOM - up * (HEIGHT - _TOP - _BOTTOM)

    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        'font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
        f'<text x="{_LEFT}" y="24" font-size="16" font-weight="bold">{escape(title)}</text>',
        f'<text x="{_LEFT - 50}" y="{_TOP - 10}" fill="#555">{escape(y_label)}</text>',
        f'<text x="{WIDTH - _RIGHT}" y="{HEIGHT - 12}" text-anchor="end" fill="#555">{escape(x_label)}</text>',
    ]
    for x in xs:
        at, _ = place(10**x, 10 ** ys[0])
        out.append(_line(at, _TOP, at, HEIGHT - _BOTTOM))
        out.append(f'<text x="{at:.0f}" y="{HEIGHT - _BOTTOM + 16}" text-anchor="middle">{_number(10**x)}</text>')
    for y in ys:
        _, at = place(10 ** xs[0], 10**y)
        out.append(_line(_LEFT, at, WIDTH - _RIGHT, at))
        out.append(f'<text x="{_LEFT - 6}" y="{at + 4:.0f}" text-anchor="end">{_number(10**y)}</text>')
    for index, (name, found) in enumerate(series.items()):
        colour = _COLOURS[index % len(_COLOURS)]
        placed = [place(*point) for point in found]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in placed)
        out.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        out += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in placed]
        label = _TOP + 8 + index * 20
        out.append(f'<rect x="{WIDTH - _RIGHT + 14}" y="{label - 9}" width="12" height="12" fill="{colour}"/>')
        out.append(f'<text x="{WIDTH - _RIGHT + 32}" y="{label + 1}">{escape(name)}</text>')
    return "\n".join([*out, "</svg>", ""])


def _decades(values: Sequence[float]) -> list[int]:
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    return list(range(low, max(high, low + 1) + 1))


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 1 else f"{value:g}"


def _line(x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line x1="{x1:.0f}" y1="{y1:.0f}" x2="{x2:.0f}" y2="{y2:.0f}" stroke="#e3e3e3"/>'
