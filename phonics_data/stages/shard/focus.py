"""Where the letter and the object of a segment are on the screen, for ``--fit letter``. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from phonics_data.media import Region
from phonics_data.ocr.geometry import intersection_over_union
from phonics_data.ocr.trace import ScreenTrace
from phonics_data.types import ScreenLetter, Segment

_LEAD_SECONDS = 0.5
"""What appears is compared with what is seen from this time before the segment on, since a segment can begin after it."""
_SCENE_BEFORE_SECONDS = 0.2
"""The first frames of a segment can still show the scene before; what disappears with it does not count."""
_MIN_EDGE_CHANGE = 12
"""Change of the edge strength of a cell of the grid, of 255, from which something appeared or moved there. Noise of codecs and
slow changes of light stay under 6 in real songs."""
_STANDING_TEXT_SECONDS = 3.0
"""A line of text that was at the same place in this time before the segment is no part of it: a title, the name of a channel."""
_SAME_LINE_IOU = 0.5


def letter_focus(segment: Segment, letters: Sequence[ScreenLetter], trace: ScreenTrace | None) -> Region | None:
    """The box that holds everything that belongs to the segment: its letter, its object and its text. One for all its frames.

    * The letter: the boxes of its tracks that are visible during the segment.
    * The object: the cells of the trace's edge grid in which something appears or moves.
    * Text: the lines that are read in the segment and did not stand there before.

    Args:
        letters: the tracks of the segment's video, of all letters.
        trace: None if OCR did not read the screen.

    Returns:
        Fractions of the frame; None if the screen does not show where the letter is.
    """
    boxes = [
        letter.box
        for letter in letters
        if letter.letter == segment.letter
        and letter.start_seconds < segment.end_seconds
        and letter.end_seconds > segment.start_seconds
    ]
    if not boxes or trace is None:
        return None
    boxes += [*_changed_cells(segment, trace), *_text_boxes(segment, trace)]
    lefts, tops, rights, bottoms = zip(*boxes, strict=True)
    return (max(min(lefts), 0.0), max(min(tops), 0.0), min(max(rights), 1.0), min(max(bottoms), 1.0))


def _changed_cells(segment: Segment, trace: ScreenTrace) -> Iterator[Region]:
    """The box of the cells in which something appears or moves; none if nothing does."""
    first, end = _sampled_frames(segment.start_seconds, segment.end_seconds, trace)
    lead = max(0, round((segment.start_seconds - _LEAD_SECONDS) * trace.rate))
    shown = min(first + round(_SCENE_BEFORE_SECONDS * trace.rate), end - 1)
    edges_TGG = trace.edges_TGG.astype(np.int16)
    grown_GG = edges_TGG[shown:end].max(axis=0) - edges_TGG[lead:end].min(axis=0)
    rows, columns = np.nonzero(grown_GG >= _MIN_EDGE_CHANGE)
    if rows.size:
        num_rows, num_columns = grown_GG.shape
        yield (
            float(columns.min() / num_columns),
            float(rows.min() / num_rows),
            float((columns.max() + 1) / num_columns),
            float((rows.max() + 1) / num_rows),
        )


def _text_boxes(segment: Segment, trace: ScreenTrace) -> Iterator[Region]:
    first, end = _sampled_frames(segment.start_seconds, segment.end_seconds, trace)
    before = first - round(_STANDING_TEXT_SECONDS * trace.rate)
    earlier = np.flatnonzero((trace.text_frame_N >= before) & (trace.text_frame_N < first))
    for line in np.flatnonzero((trace.text_frame_N >= first) & (trace.text_frame_N < end)):
        box = trace.text_box_N4[line]
        if not any(
            trace.text_N[other] == trace.text_N[line]
            and intersection_over_union(trace.text_box_N4[other], box) >= _SAME_LINE_IOU
            for other in earlier
        ):
            left, top, right, bottom = (float(side) for side in box)
            yield (left, top, right, bottom)


def _sampled_frames(start_seconds: float, end_seconds: float, trace: ScreenTrace) -> tuple[int, int]:
    """[first, end) sampled frames of an interval, at least one."""
    first = min(round(start_seconds * trace.rate), trace.num_frames - 1)
    return first, max(first + 1, min(round(end_seconds * trace.rate), trace.num_frames))
