"""Text lines on the screen, by the detection model of PP-OCRv6 (small) through onnxruntime, at most once a second."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np

from phonics_data.ocr.geometry import PixelBox, overlap_of
from phonics_data.ocr.recognizer import (
    DETECTION_MODEL,
    LETTERS,
    Frame,
    LetterRecognizer,
    Mask,
    inference_session,
    model_path,
    normalized,
)
from phonics_data.ocr.shapes import largest_channel

_LONG_SIDE = 384
"""Frames are scaled to this width or height. Words of a fifteenth of the frame's height are still detected."""
_TEXT = 0.3
"""Probability from which a pixel belongs to the core of a line."""
_MIN_SCORE = 0.5
"""Mean probability in a line's box."""
_EXPAND = 1.6
"""The model is trained on shrunk boxes; they are grown by area * (this number - 1) / perimeter, as far as that is known."""
_MIN_HEIGHT = 4
"""Smaller cores, in pixels of the scaled frame, are dirt."""
_MAX_LINES = 8

_MIN_TEXT_SCORE = 0.6
_SETTLE_SECONDS = 1.5
"""A frame that keeps changing is read after this time."""
_MIN_CHANGED = 0.02
"""A line is recognized again if more than this fraction of its box has changed."""
_SAME_LINE = 0.7
_SURE_WORD = 0.9
_WORD_GAP = 0.22
"""Median gap between the letters of a word, at most, as a fraction of the height of capitals. Measured on 49 fonts: 99 of
100 words are below."""
_SMALL, _SMALL_HEIGHT = frozenset("acemnorsuvwxz"), 0.73
"""Letters without strokes up or down, and their height as a fraction of that of capitals."""
_WORD_PITCH = 0.67
"""Distance of the letters of a word, at most, as a fraction of the line's height (with a margin), if the gaps are unknown."""
_MIN_PARTS = 2 / 3
"""Parts of ink per character from which the gaps between the parts are those between the letters."""
_VOWELS = frozenset("AEIOUY")
_ALPHABET_PAIRS = 1 / 2
"""A text is part of the alphabet if a larger fraction of neighbouring characters are neighbours in it. "NOW" has half."""


@dataclass(frozen=True, slots=True)
class TextLine:
    """A line of text in one frame.

    Args:
        box: in pixels.
        text: as on the screen.
        score: mean probability of the characters, 0..1.
        changed: fraction of the box that has changed since the text lines were read before.
        gap: median gap between the letters as a fraction of the height of capitals; None if unknown, because letters
            touch each other or the background is not even.
    """

    box: PixelBox
    text: str
    score: float
    changed: float
    gap: float | None = None

    @property
    def letter(self) -> str:
        """The letter if the line is one letter ("A") or a pair of one letter ("Aa", "A a"), else ""."""
        characters = self.text.replace(" ", "")
        # An l and an I look alike: alone they are a bar, and "Il" may be either pair.
        is_one = len(characters) in (1, 2) and len(set(characters.upper())) == 1 and characters not in ("l", "I")
        return characters[0].upper() if is_one and characters[0].upper() in LETTERS else ""

    def words(self) -> Iterator[PixelBox]:
        """Boxes of the words of three or more letters that are certain and no part of the alphabet.

        Letters far apart are a row of letters in any order and no word.
        """
        if self.score < _SURE_WORD:
            return
        left, top, right, bottom = self.box
        pitch = (right - left) / ((bottom - top) * len(self.text))
        if pitch > _WORD_PITCH if self.gap is None else self.gap > _WORD_GAP:
            return
        start = 0
        for word in self.text.split(" "):
            if sum(character.isalpha() for character in word) >= 3 and not (_is_alphabet(word) or _has_no_vowel(word)):
                # Characters are about equally wide; half of the space on each side makes up for the difference.
                first, last = max(start - 0.5, 0), min(start + len(word) + 0.5, len(self.text))
                x, end = (left + (right - left) * at / len(self.text) for at in (first, last))
                yield round(x), top, round(end), bottom
            start += len(word) + 1


def _is_alphabet(word: str) -> bool:
    codes = [ord(character) for character in word.upper()]
    neighbours = sum(after - before == 1 for before, after in itertools.pairwise(codes))
    return neighbours > _ALPHABET_PAIRS * (len(codes) - 1)


def _has_no_vowel(word: str) -> bool:
    # Letters with accents may be vowels.
    return word.isascii() and not _VOWELS & set(word.upper())


def _gap(pixels_HWC: Frame, text: str) -> float | None:
    """`TextLine.gap` of the text in the pixels of a line's box."""
    around = np.median(np.concatenate([pixels_HWC[0], pixels_HWC[-1]]), axis=0).astype(np.uint8)
    difference = largest_channel(cv2.absdiff(pixels_HWC, np.broadcast_to(around, pixels_HWC.shape)))
    ink = cv2.threshold(difference, 0, 1, cv2.THRESH_BINARY + cv2.THRESH_OTSU)[1] > 0
    edges = np.flatnonzero(np.diff(ink.any(axis=0).astype(np.int8), prepend=0, append=0))
    starts, ends = edges[::2], edges[1::2]
    characters = text.replace(" ", "")
    if starts.size < 2 or not _MIN_PARTS * len(characters) <= starts.size <= len(characters):
        return None
    rows = np.flatnonzero(ink.any(axis=1))
    height = float(rows[-1] - rows[0] + 1) / (_SMALL_HEIGHT if _SMALL.issuperset(characters) else 1.0)
    return float(np.median(starts[1:] - ends[:-1])) / height


class TextReader:
    """Reads the text lines of sampled frames when they have changed, if possible when they have settled.

    Args:
        rate: sampled frames per second.
    """

    def __init__(self, recognizer: LetterRecognizer, detector: LineDetector, rate: int) -> None:
        self._recognizer, self._detector, self._rate = recognizer, detector, rate
        self._changed: Mask | None = None
        self._last = -rate
        self._lines: list[TextLine] = []

    def read(self, number: int, frame_HWC: Frame, changed_hw: Mask, *, is_still: bool) -> list[TextLine] | None:
        """All text lines of the frame; None if the frame is not read.

        Args:
            number: of the sampled frame.
            changed_hw: 1 where the frame has changed, in any size.
            is_still: whether nothing worth reading has changed.
        """
        if not is_still:
            self._changed = changed_hw if self._changed is None else np.maximum(self._changed, changed_hw)
        waited = number - self._last
        is_due = waited >= self._rate and (is_still or waited >= _SETTLE_SECONDS * self._rate)
        if self._changed is None or not is_due:
            return None
        self._lines = list(self._read(frame_HWC, self._changed))
        self._last, self._changed = number, None
        return self._lines

    def _read(self, frame_HWC: Frame, changed_hw: Mask) -> Iterator[TextLine]:
        scale = changed_hw.shape[1] / frame_HWC.shape[1]
        for box in self._detector.lines(frame_HWC):
            left, top, right, bottom = (round(side * scale) for side in box)
            changed = float(changed_hw[top : bottom + 1, left : right + 1].mean())
            same = next((line for line in self._lines if overlap_of(line.box, box) >= _SAME_LINE), None)
            if same is not None and changed < _MIN_CHANGED:
                yield replace(same, changed=changed)
                continue
            left, top, right, bottom = box
            pixels = frame_HWC[top:bottom, left:right]
            text, score = self._recognizer.read_line(pixels)
            if score >= _MIN_TEXT_SCORE and any(character.upper() in LETTERS for character in text):
                yield TextLine(box, text, score, changed, _gap(pixels, text))


@functools.lru_cache(maxsize=1)
def line_detector() -> LineDetector:
    """The detector of this process."""
    return LineDetector()


class LineDetector:
    """Detects upright lines of text.

    Raises:
        DependencyError: the model or onnxruntime is missing.
    """

    def __init__(self) -> None:
        self._session: Any = inference_session(model_path(DETECTION_MODEL))
        self._input = self._session.get_inputs()[0].name

    def lines(self, frame_HWC: Frame) -> list[PixelBox]:
        """Boxes in pixels of the frame, the largest first."""
        height, width = frame_HWC.shape[:2]
        scale = min(1.0, _LONG_SIDE / max(height, width))
        # The model accepts multiples of 32.
        size = (max(32, round(width * scale / 32) * 32), max(32, round(height * scale / 32) * 32))
        small = cv2.resize(frame_HWC, size, interpolation=cv2.INTER_AREA)
        probability_HW = self._session.run(None, {self._input: normalized(small)[None]})[0][0, 0]
        core = (probability_HW > _TEXT).astype(np.uint8)
        number, labels, stats, _ = cv2.connectedComponentsWithStats(core, connectivity=8)
        found: list[tuple[int, PixelBox]] = []
        for label in range(1, number):
            left, top, w, h, area = (int(value) for value in stats[label])
            if h < _MIN_HEIGHT or w < _MIN_HEIGHT or probability_HW[labels == label].mean() < _MIN_SCORE:
                continue
            away = _EXPAND * w * h / (2 * (w + h))
            x, y = width / size[0], height / size[1]
            box = (
                max(round((left - away) * x), 0),
                max(round((top - away) * y), 0),
                min(round((left + w + away) * x), width),
                min(round((top + h + away) * y), height),
            )
            found.append((area, box))
        return [box for _, box in sorted(found, reverse=True)[:_MAX_LINES]]
