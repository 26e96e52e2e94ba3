"""Lines over sizes on two logarithmic axes, as an SVG that follows the reader's choice of light or dark."""

from __future__ import annotations

import math
from collections.abc import Mapping
from html import escape

__all__ = ["plot"]

WIDTH, HEIGHT = 860, 470
LEFT, RIGHT, TOP, BOTTOM = 64, 230, 24, 52
COLOURS = ["#0a7d4f", "#3aa76d", "#c0392b", "#e67e22", "#8e44ad", "#2471a3", "#5dade2", "#b7950b"]
COLOURS += ["#7f8c8d", "#d35da5", "#6e4b2a", "#17a2a2"]
LABEL_APART = 16
STYLE = """
svg { background: #ffffff; font: 13px system-ui, sans-serif; }
text { fill: #24292f; } .grid { stroke: #d0d7de; } .one { stroke: #24292f; stroke-dasharray: 5 4; }
@media (prefers-color-scheme: dark) {
  svg { background: #0d1117; } text { fill: #c9d1d9; } .grid { stroke: #30363d; } .one { stroke: #c9d1d9; }
}
"""


def plot(lines: Mapping[str, Mapping[int, float]], x_title: str, y_title: str) -> str:
    """Draw lines.

    Args:
        lines: By name, y by x; all positive.
        x_title: Below the axis.
        y_title: Above the other.
    """
    xs = sorted({x for line in lines.values() for x in line})
    ys = [y for line in lines.values() for y in line.values()]
    low, high = math.floor(math.log10(min(*ys, 1))), math.ceil(math.log10(max(*ys, 1)))

    def across(x: float) -> float:
        span = math.log(xs[-1] / xs[0]) or 1.0
        return LEFT + (WIDTH - LEFT - RIGHT) * math.log(x / xs[0]) / span

    def down(y: float) -> float:
        return TOP + (HEIGHT - TOP - BOTTOM) * (high - math.log10(y)) / (high - low)

    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">']
    parts += [f"<title>{escape(y_title)}, over {escape(x_title)}</title><style>{STYLE}</style>"]
    right = WIDTH - RIGHT
    for power in range(low, high + 1):
        y = down(10.0**power)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{10.0**power:g}</text>')
    for x in xs:
        at = across(x)
        parts.append(f'<line class="grid" x1="{at:.1f}" x2="{at:.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"/>')
        parts.append(f'<text x="{at:.1f}" y="{HEIGHT - BOTTOM + 20}" text-anchor="middle">{x}</text>')
    parts.append(f'<line class="one" x1="{LEFT}" x2="{right}" y1="{down(1):.1f}" y2="{down(1):.1f}"/>')
    parts.append(f'<text x="{(LEFT + right) / 2:.0f}" y="{HEIGHT - 12}" text-anchor="middle">{escape(x_title)}</text>')
    parts.append(f'<text x="{LEFT}" y="{TOP - 8}">{escape(y_title)}</text>')
    ends = sorted(((down(line[max(line)]), name) for name, line in lines.items()))
    places: dict[str, float] = {}
    last = -math.inf
    for y, name in ends:
        last = places[name] = max(y, last + LABEL_APART)
    beyond = max(0.0, last - (HEIGHT - BOTTOM))
    for number, (name, line) in enumerate(lines.items()):
        colour = COLOURS[number % len(COLOURS)]
        points = [(across(x), down(y)) for x, y in sorted(line.items())]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        wide = 3.2 if number == 0 else 1.8
        parts.append(f'<polyline fill="none" stroke="{colour}" stroke-width="{wide}" points="{path}"/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{wide:.1f}" fill="{colour}"/>' for x, y in points]
        at = places[name] - beyond
        x, y = points[-1]
        lead = f"{x:.1f},{y:.1f} {right + 12},{at:.1f}"
        parts.append(f'<polyline fill="none" stroke="{colour}" stroke-width="0.7" points="{lead}"/>')
        parts.append(f'<text x="{right + 16}" y="{at + 4:.1f}" style="fill: {colour}">{escape(name)}</text>')
    return "\n".join([*parts, "</svg>", ""])
