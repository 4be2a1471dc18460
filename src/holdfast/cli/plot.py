"""An equity curve as an SVG file: no library, readable on light and dark pages."""

from collections.abc import Iterator, Sequence
from html import escape
from math import floor, log10
from typing import Final

from holdfast.cli.lines import moment
from holdfast.runtime.result import BacktestResult

__all__ = ("svg",)

WIDTH: Final = 960
HEIGHT: Final = 420
LEFT: Final = 90
RIGHT: Final = 24
TOP: Final = 56
BOTTOM: Final = 44
STYLE: Final = """
  text { font: 13px system-ui, sans-serif; fill: #57606a; }
  .title { font-size: 17px; font-weight: 600; fill: #1f2328; }
  .paper { fill: #ffffff; } .grid { stroke: #d0d7de; } .zero { stroke: #8c959f; }
  .curve { fill: none; stroke: #1a7f64; stroke-width: 2; stroke-linejoin: round; }
  @media (prefers-color-scheme: dark) {
    text { fill: #9198a1; } .title { fill: #f0f6fc; } .paper { fill: #0d1117; }
    .grid { stroke: #2f353d; } .zero { stroke: #656c76; } .curve { stroke: #3fb98f; }
  }
"""


def svg(result: BacktestResult, title: str) -> str:
    """Return the summed profit after each trade, over the time of the backtest, as an SVG document."""
    points = [(result.start, 0.0), *result.equity()]
    points.append((result.end, points[-1][1]))
    frame = _Frame(points)
    total = result.statistics.total_pnl
    heading = f"{title}: {total:+,.2f} in {result.statistics.trades:,} trades"
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">',
            f"<title>{escape(heading)}</title>",
            f"<style>{STYLE}</style>",
            f'<rect class="paper" width="{WIDTH}" height="{HEIGHT}"/>',
            f'<text class="title" x="{LEFT}" y="32">{escape(heading)}</text>',
            *frame.grid(),
            f'<path class="curve" d="{frame.path(points)}"/>',
            "</svg>\n",
        ]
    )


class _Frame:
    """Where a time and a sum of money are on the picture."""

    def __init__(self, points: Sequence[tuple[int, float]]) -> None:
        sums = [money for _, money in points]
        self.start, self.end = points[0][0], max(points[-1][0], points[0][0] + 1)
        self.step = _nice((max(sums) - min(sums)) / 5 or 1.0)
        self.low = floor(min(sums) / self.step)
        self.high = -floor(-max(sums) / self.step)
        self.high += self.low == self.high

    def x(self, at: float) -> float:
        """Return where a time is, from the left."""
        return LEFT + (at - self.start) / (self.end - self.start) * (WIDTH - LEFT - RIGHT)

    def y(self, money: float) -> float:
        """Return where a sum is, from the top."""
        part = (money / self.step - self.low) / (self.high - self.low)
        return HEIGHT - BOTTOM - part * (HEIGHT - TOP - BOTTOM)

    def grid(self) -> Iterator[str]:
        """Yield the lines and labels of both axes."""
        digits = len(f"{self.step:.9f}".rstrip("0").partition(".")[2])
        for mark in range(self.low, self.high + 1):
            y, kind = self.y(mark * self.step), "grid" if mark else "zero"
            yield f'<line class="{kind}" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
            label = f"{mark * self.step:+,.{digits}f}" if mark else "0"
            yield f'<text x="{LEFT - 10}" y="{y + 4:.1f}" text-anchor="end">{label}</text>'
        for part, anchor in enumerate(("start", "middle", "middle", "middle", "end")):
            at = self.start + (self.end - self.start) * part / 4
            label = moment(int(at))[:10]
            yield f'<text x="{self.x(at):.1f}" y="{HEIGHT - 16}" text-anchor="{anchor}">{label}</text>'

    def path(self, points: Sequence[tuple[int, float]]) -> str:
        """Return the curve: a step at each trade, level in between."""
        first, *rest = points
        steps = (f"H{self.x(at):.1f}V{self.y(money):.1f}" for at, money in rest)
        return f"M{self.x(first[0]):.1f} {self.y(first[1]):.1f}" + "".join(steps)


def _nice(step: float) -> float:
    """Return 1, 2, 2.5 or 5 times a power of ten, at least `step`."""
    power = 10.0 ** floor(log10(step))
    return next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= step * 0.999)
