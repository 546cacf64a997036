"""Draws a curve as text, with braille dots: two across and four down in each character."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

# The bit of each dot in a braille character, by row and column.
_DOTS: Final = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
_BLANK: Final = 0x2800


def plot(
    steps: Sequence[float], values: Sequence[float], width: int = 72, height: int = 14, title: str = ""
) -> str:
    """Draws values over steps.

    Args:
        steps: The steps, in any order.
        values: As many values; NaN and infinities are left out.
        width: Width of the whole drawing, characters, at least 24.
        height: Height of the curve's field, lines, at least 2.
        title: A line above it; empty for none.

    Returns:
        The drawing: lines without trailing blanks, ending in no newline.
    """
    points = sorted((float(s), float(v)) for s, v in zip(steps, values, strict=True) if math.isfinite(v))
    lines = [title] if title else []
    if not points:
        return "\n".join([*lines, "(no finite values)"])
    height = max(height, 2)
    low, high = min(v for _, v in points), max(v for _, v in points)
    labels = _labels(low, high, height)
    margin = max(map(len, labels))
    columns = max(width, 24) - margin - 2
    field = _draw(points, (low, high), columns, height)
    lines += [f"{label:>{margin}} ┤{row}".rstrip() for label, row in zip(labels, field, strict=True)]
    first, last = f"{points[0][0]:g}", f"{points[-1][0]:g}"
    lines.append(" " * margin + " └" + "─" * columns)
    lines.append(" " * (margin + 2) + (first if first == last else f"{first}{last:>{columns - len(first)}}"))
    return "\n".join(lines)


def _labels(low: float, high: float, height: int) -> list[str]:
    """Labels the top, middle and bottom lines."""
    labels = [""] * height
    # Halves are added, since the sum of two large floats may overflow.
    for row, value in ((height - 1, low), (height // 2, low / 2 + high / 2), (0, high)):
        labels[row] = f"{value:.4g}"
    return labels


def _draw(
    points: Sequence[tuple[float, float]], bounds: tuple[float, float], columns: int, height: int
) -> list[str]:
    across, down = columns * 2, height * 4
    left, right = points[0][0], points[-1][0]
    cells = [[0] * columns for _ in range(height)]

    def place(position: float, first: float, last: float, dots: int) -> int:
        # Halved, because the distance of two large floats may overflow.
        span = last / 2 - first / 2
        return round((position / 2 - first / 2) / span * (dots - 1)) if span else dots // 2

    def dot(x: int, y: int) -> None:
        cells[y // 4][x // 2] |= _DOTS[y % 4][x % 2]

    before: tuple[int, int] | None = None
    for step, value in points:
        x = place(step, left, right, across) if right > left else 0
        y = down - 1 - place(value, *bounds, down)
        for at in _between(before or (x, y), (x, y)):
            dot(*at)
        before = (x, y)
    return ["".join(chr(_BLANK + cell) if cell else " " for cell in row) for row in cells]


def _between(start: tuple[int, int], end: tuple[int, int]) -> list[tuple[int, int]]:
    """Lists the dots of a straight line."""
    length = max(abs(end[0] - start[0]), abs(end[1] - start[1]))
    if length == 0:
        return [end]
    return [
        (
            round(start[0] + (end[0] - start[0]) * i / length),
            round(start[1] + (end[1] - start[1]) * i / length),
        )
        for i in range(length + 1)
    ]
