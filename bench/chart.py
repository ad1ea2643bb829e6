"""Line charts as SVG, with both axes logarithmic: see chart()."""

import dataclasses
import math
from html import escape

WIDTH, HEIGHT = 900, 520
LEFT, RIGHT, TOP, BOTTOM = 84, 640, 74, 462  # Of the plot.
LABEL_GAP = 17
COLOURS = ["#1f5fa8", "#e15759", "#59a14f", "#c98a00", "#b07aa1", "#76b7b2", "#9c755f", "#79706e", "#7fa8d9"]


@dataclasses.dataclass
class Line:
    label: str
    points: list[tuple[float, float]]  # By x.
    ranges: list[tuple[float, float]] = dataclasses.field(default_factory=list)  # Of each point's y.
    own: bool = False  # weir's: drawn thicker.


def attributes(style):
    return "".join(f' {name.replace("_", "-")}="{value}"' for name, value in style.items())


def text(x, y, what, **style):
    return f'<text x="{x:.1f}" y="{y:.1f}"{attributes(style)}>{escape(what)}</text>'


def stroke(x1, y1, x2, y2, colour, **style):
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}"{attributes(style)}/>'


def spread(wanted):
    """Moves labels, given by their y, apart by LABEL_GAP and inside the plot, keeping their order."""
    order = sorted(range(len(wanted)), key=lambda i: wanted[i])
    placed = [0.0] * len(wanted)
    above = TOP - LABEL_GAP
    for i in order:
        above = placed[i] = max(wanted[i], above + LABEL_GAP)
    below = BOTTOM + LABEL_GAP
    for i in reversed(order):
        below = placed[i] = min(placed[i], below - LABEL_GAP)
    return placed


class Axes:
    def __init__(self, lines):
        self.xs = sorted({x for line in lines for x, _ in line.points})
        ys = [y for line in lines for _, y in line.points] + [y for line in lines for r in line.ranges for y in r]
        self.low, self.high = math.log10(min(ys) / 2), math.log10(max(ys) * 2)

    def x(self, value):
        first, last = math.log(self.xs[0]), math.log(self.xs[-1])
        return LEFT + (math.log(value) - first) / (last - first) * (RIGHT - LEFT)

    def y(self, value):
        return BOTTOM - (math.log10(value) - self.low) / (self.high - self.low) * (BOTTOM - TOP)

    def draw(self, show, x_label, y_label):
        for power in range(math.floor(self.low), math.ceil(self.high) + 1):
            for step in (1, 2, 5):
                value = step * 10.0**power
                if not self.low <= math.log10(value) <= self.high:
                    continue
                yield stroke(LEFT, self.y(value), RIGHT, self.y(value), "#dddddd" if step == 1 else "#f0f0f0")
                if step == 1 or self.high - self.low < 2:
                    yield text(LEFT - 8, self.y(value) + 4, show(value), text_anchor="end")
        for x in self.xs:
            yield stroke(self.x(x), BOTTOM, self.x(x), BOTTOM + 5, "#888888")
            yield text(self.x(x), BOTTOM + 20, f"{x:,}", text_anchor="middle")
        yield stroke(LEFT, BOTTOM, RIGHT, BOTTOM, "#888888")
        yield text((LEFT + RIGHT) / 2, BOTTOM + 42, x_label, text_anchor="middle")
        yield text(LEFT - 60, TOP - 8, y_label)


def parts(title, caption, lines, x_label, y_label, show):
    axes = Axes(lines)
    yield (f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" '
           f'viewBox="0 0 {WIDTH} {HEIGHT}" font-family="system-ui, sans-serif" font-size="13" fill="#333333">')
    yield f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>'
    yield text(24, 28, title, font_size="17", font_weight="600")
    yield text(24, 48, caption, fill="#666666")
    yield from axes.draw(show, x_label, y_label)
    ends = [(axes.x(line.points[-1][0]), axes.y(line.points[-1][1])) for line in lines]
    placed = spread([y for _, y in ends])
    for i in sorted(range(len(lines)), key=lambda i: lines[i].own):
        line, colour = lines[i], COLOURS[i % len(COLOURS)]
        for (x, _), (low, high) in zip(line.points, line.ranges):
            yield stroke(axes.x(x), axes.y(low), axes.x(x), axes.y(high), colour, stroke_width="1.2")
        path = " ".join(f"{axes.x(x):.1f},{axes.y(y):.1f}" for x, y in line.points)
        yield f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="{3 if line.own else 1.8}"/>'
        for x, y in line.points:
            yield f'<circle cx="{axes.x(x):.1f}" cy="{axes.y(y):.1f}" r="{4 if line.own else 3}" fill="{colour}"/>'
        x, y = ends[i]
        yield stroke(x + 5, y, RIGHT + 14, placed[i], colour, stroke_width="0.8")
        yield text(RIGHT + 18, placed[i] + 4, f"{line.label}, {show(line.points[-1][1])}", fill=colour,
                   font_weight="600" if line.own else "400")
    yield "</svg>"


def chart(title, caption, lines, x_label, y_label, show):
    """An SVG picture; `show` makes a text of a y."""
    return "\n".join(parts(title, caption, lines, x_label, y_label, show)) + "\n"
