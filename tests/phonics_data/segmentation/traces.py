"""Handmade OCR traces: letters side by side in four cells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from phonics_data.ocr.trace import ScreenTrace
from phonics_data.segmentation.lexicon import LETTERS

RATE = 8
BLACK, PALE, BLUE, BACKGROUND = (0.0, 0.0, 0.0), (180.0, 180.0, 180.0), (20.0, 90.0, 200.0), (250.0, 250.0, 250.0)
Colour = tuple[float, float, float]


@dataclass(frozen=True, kw_only=True)
class Detection:
    """A detection in sampled frame `frame`; `cell` is one of four cells side by side.

    Args:
        box: instead of the cell's: left, top, right, bottom.
    """

    frame: int
    letter: str
    cell: int = 0
    width: float = 0.15
    box: tuple[float, float, float, float] | None = None
    colour: Colour = BLACK
    after_cut: bool = False
    score: float = 1.0


def trace_of(detections: Sequence[Detection], num_frames: int, cuts: Sequence[int] = ()) -> ScreenTrace:
    ordered = sorted(detections, key=lambda detection: detection.frame)
    letters = np.zeros((len(ordered), 26), np.float32)
    for row, detection in enumerate(ordered):
        letters[row, LETTERS.index(detection.letter)] = detection.score
    changed = np.zeros(num_frames, np.float32)
    changed[[detection.frame for detection in ordered]] = 0.04
    changed[list(cuts)] = 0.9
    cut = np.zeros(num_frames, np.bool_)
    cut[list(cuts)] = True
    lefts = [0.05 + 0.22 * detection.cell for detection in ordered]
    boxes = [one.box or (left, 0.3, left + one.width, 0.7) for left, one in zip(lefts, ordered, strict=True)]
    return ScreenTrace(
        rate=RATE,
        changed_T=changed,
        cut_T=cut,
        edges_TGG=np.full((num_frames, 18, 32), 40, np.uint8),
        frame_R=np.array([one.frame for one in ordered], np.int32),
        box_R4=np.array(boxes, np.float32).reshape(-1, 4),
        letters_R26=letters,
        colour_R6=np.array([[*one.colour, *BACKGROUND] for one in ordered], np.float32).reshape(-1, 6),
        after_cut_R=np.array([one.after_cut for one in ordered], np.bool_),
    )


def with_edges(
    trace: ScreenTrace, parts: Sequence[tuple[tuple[float, float, float, float], range, int]]
) -> ScreenTrace:
    """The trace with no edges but those of `parts`: box, sampled frames, edge strength."""
    edges_TGG = np.zeros_like(trace.edges_TGG)
    rows, columns = edges_TGG.shape[1:]
    for (left, top, right, bottom), frames, strength in parts:
        place = (slice(int(top * rows), round(bottom * rows)), slice(int(left * columns), round(right * columns)))
        edges_TGG[frames.start : frames.stop, *place] = strength
    return replace(trace, edges_TGG=edges_TGG)
