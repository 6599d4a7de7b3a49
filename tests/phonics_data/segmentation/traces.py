"""Traces of a screen made by hand: letters that stand side by side in four cells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from phonics_data.ocr.trace import ScreenTrace
from phonics_data.segmentation.lexicon import LETTERS

RATE = 8
BLACK, PALE, BLUE, GROUND = (0.0, 0.0, 0.0), (180.0, 180.0, 180.0), (20.0, 90.0, 200.0), (250.0, 250.0, 250.0)
Colour = tuple[float, float, float]


@dataclass(frozen=True, kw_only=True)
class Reading:
    look: int
    letter: str
    place: int = 0
    """Which of four cells beside each other."""
    width: float = 0.15
    colour: Colour = BLACK
    after_cut: bool = False
    score: float = 1.0


def trace_of(readings: Sequence[Reading], looks: int, cuts: Sequence[int] = ()) -> ScreenTrace:
    ordered = sorted(readings, key=lambda reading: reading.look)
    letters = np.zeros((len(ordered), 26), np.float32)
    for row, reading in enumerate(ordered):
        letters[row, LETTERS.index(reading.letter)] = reading.score
    changed = np.zeros(looks, np.float32)
    changed[[reading.look for reading in ordered]] = 0.04
    changed[list(cuts)] = 0.9
    cut = np.zeros(looks, np.bool_)
    cut[list(cuts)] = True
    lefts = [0.05 + 0.22 * reading.place for reading in ordered]
    boxes = [[left, 0.3, left + one.width, 0.7] for left, one in zip(lefts, ordered, strict=True)]
    return ScreenTrace(
        rate=RATE,
        changed_T=changed,
        cut_T=cut,
        edges_TGG=np.full((looks, 18, 32), 40, np.uint8),
        look_R=np.array([one.look for one in ordered], np.int32),
        box_R4=np.array(boxes, np.float32).reshape(-1, 4),
        letters_R26=letters,
        colour_R6=np.array([[*one.colour, *GROUND] for one in ordered], np.float32).reshape(-1, 6),
        after_cut_R=np.array([one.after_cut for one in ordered], np.bool_),
    )
