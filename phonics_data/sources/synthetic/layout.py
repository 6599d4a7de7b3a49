"""Positions of letters and pictures in the 640 x 360 frame.

Letters and pictures are inside the central square of 360 pixels, so that they are whole with ``--fit crop`` too. Only
logos, charts and titles use the whole width.
"""

from __future__ import annotations

from dataclasses import dataclass

from phonics_data.sources.synthetic.song_plan import Place

CENTRE_X, CENTRE_Y = 320, 180


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle for one object: centre and maximum size, in pixels."""

    x: int
    y: int
    width: int
    height: int


WITH_PICTURE: dict[Place, tuple[Box, Box]] = {
    "left": (Box(232, 186, 160, 196), Box(412, 196, 136, 136)),
    "right": (Box(408, 186, 160, 196), Box(228, 196, 136, 136)),
    "above": (Box(320, 120, 250, 166), Box(320, 280, 126, 126)),
    "below": (Box(320, 256, 250, 160), Box(320, 92, 126, 126)),
    "corner": (Box(282, 166, 226, 226), Box(434, 288, 124, 124)),
    "far_corner": (Box(358, 202, 226, 226), Box(206, 76, 124, 124)),
}
"""Place -> (letter, picture) of songs with pictures."""

ALONE: dict[Place, Box] = {
    "left": Box(290, 190, 270, 230),
    "right": Box(350, 190, 270, 230),
    "above": Box(320, 172, 290, 250),
    "below": Box(320, 200, 290, 220),
    "corner": Box(310, 190, 300, 240),
    "far_corner": Box(330, 190, 300, 210),
}
"""Place -> letter of songs without pictures."""

PAIR_WITH_PICTURE = (Box(238, 118, 150, 150), Box(404, 128, 140, 140), Box(320, 278, 126, 126))
PAIR_ALONE = (Box(236, 190, 165, 190), Box(410, 200, 150, 176))
"""(upper-case letter, lower-case letter, picture)."""

ROW_WITH_PICTURE = Box(320, 104, 116, 112)
ROW_ALONE = Box(320, 184, 116, 140)
"""The middle cell of a row; the others are one cell width apart."""
PICTURE_UNDER_ROW = Box(320, 270, 130, 130)


def row_cell(position: int, count: int, with_picture: bool) -> Box:
    """Cell `position` of a row of `count` letters, centred."""
    middle = ROW_WITH_PICTURE if with_picture else ROW_ALONE
    return Box(
        round(middle.x + (position - (count - 1) / 2) * (middle.width + 4)), middle.y, middle.width - 14, middle.height
    )


def grid_cell(position: int) -> Box:
    """Cell 0..3 of a 2 x 2 grid."""
    return Box(232 + 176 * (position % 2), 100 + 166 * (position // 2), 150, 138)


def chart_cell(position: int, columns: int = 7) -> Box:
    """Cell of a chart of up to 28 letters that uses the whole width."""
    return Box(68 + 84 * (position % columns), 54 + 84 * (position // columns), 62, 62)
