"""One pass over a video's frames: detects change and cuts, recognizes the letters in changed regions and reads text lines."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from phonics_data.media.frame_sampler import SampledFrame, sample_frames
from phonics_data.ocr.geometry import Box, PixelBox, area, intersection, overlap_of
from phonics_data.ocr.recognizer import LETTERS, Frame, LetterRecognizer, Mask, letter_recognizer
from phonics_data.ocr.shapes import (
    SIMPLE,
    LetterShape,
    find_shapes,
    is_distorted,
    largest_channel,
    textured_shape,
    without_contained,
)
from phonics_data.ocr.text_lines import TextLine, TextReader, line_detector
from phonics_data.ocr.trace import ScreenTrace

OCR_FRAME_RATE = 8
"""Sampled frames per second."""
_SMALL_WIDTH = 320
_LAG = 2
"""Change is measured against the frame so many sampled frames ago: a quarter of a second."""
_PIXEL_CHANGED = 28
"""Difference of a pixel (of 255, blurred, largest channel) that counts as change."""
_CUT = 0.4
"""Fraction of changed pixels from which a frame is read as a whole, and from which it may be a cut."""
_FLASH_FRAMES = 6
_FLASH_DIFFERENCE = 0.25
"""Flashes are not cuts: a cut is cancelled if, within `_FLASH_FRAMES`, less than this fraction of the pixels differs
from the frame before it."""
_STATIC = 0.0005
"""Frames with a smaller fraction of changed pixels are not read."""
_MIN_SHAPE_CHANGED = 0.04
_SURE = 0.8
_STILL = 0.01
"""Text lines are read when a smaller fraction of the pixels changes from one sampled frame to the next."""
_MIN_LINE_CHANGED = 0.1
"""Fraction of its box that must have changed before a text line that is a letter counts as a new letter."""
_STROKE_SECONDS = 2.5
_STROKE_INSIDE, _STROKE_GROWTH, _STROKE_COLOUR = 0.95, 1.03, 45.0
"""A shape that has grown into another letter within `_STROKE_SECONDS` was a stroke of it: that letter covers at least
`_STROKE_INSIDE` of it, is larger by `_STROKE_GROWTH`, and has the same colours."""
_INK_STEP = 4
_SINGLE, _CONFIRM_OVERLAP, _CONFIRM_SCORE = 0.5, 0.3, 0.5
"""Factor on the probabilities of a textured shape that is recognized in one frame only; what counts as recognized."""
_FOUND_OVERLAP = 0.5
_IN_WORD = 0.8
_GRID = (32, 18)
_CACHE_SIZE = 48
"""Recognized shapes that are kept: most letters only move, so they need not be recognized again."""
_IMAGES_PER_SECOND, _IMAGES_AT_ONCE = 10, 20
"""Images that are recognized on average per second of the video, and in one frame after a pause. Moving drawings give
more new shapes than that, and letters must not wait for them. Letters that are not simple do not count."""
_DRAWING_SCORE = 0.3
_DRAWING_FRAMES = 6
_DRAWING_OVERLAP = 0.4
_WAITING_FRAMES = 2
"""A shape is recognized after all others if, at its place in the last `_DRAWING_FRAMES`, a shape had no better score, or
shapes were beyond the budget in `_WAITING_FRAMES` of them. What has just appeared is found in one frame before."""
_LETTER_FRAMES, _LETTER_OVERLAP = 40, 0.7
"""A shape is recognized before all others if a letter was recognized at its place in the last `_LETTER_FRAMES`."""


def read_screen(path: Path, *, rate: int = OCR_FRAME_RATE, recognizer: LetterRecognizer | None = None) -> ScreenTrace:
    """Run OCR on the whole video.

    Args:
        rate: sampled frames per second. Two are enough for cards; rows of letters that are marked in turn need eight.
        recognizer: default `letter_recognizer()`.

    Raises:
        MediaError: the video has no video stream or does not decode.
        DependencyError: a required package is missing.
    """
    return read_frames(sample_frames(path, rate=rate), rate=rate, recognizer=recognizer or letter_recognizer())


def read_frames(frames: Iterable[SampledFrame], *, rate: int, recognizer: LetterRecognizer) -> ScreenTrace:
    """`read_screen` for frames that are already sampled at `rate`."""
    scanner = _Scanner(recognizer, rate)
    for frame in frames:
        scanner.add(frame.frame_HWC, frame.change_seconds)
    return scanner.trace()


@dataclass(frozen=True, slots=True, eq=False)
class _Detection:
    """A row of the trace.

    Args:
        box: fractions of width and height.
        colours: of the letter and around it.
        cut_from: the detection follows a cut if there was one in the frames from this one to `frame`. None for letters
            in what has changed a little.
        ink: coarse pixels of the frame that the letter covers, as numbers.
        is_textured: the letter is not of one colour.
    """

    frame: int
    box: Box
    letters_26: NDArray[np.float32]
    colours: tuple[float, ...]
    cut_from: int | None
    ink: frozenset[int]
    is_textured: bool


class _Scanner:
    def __init__(self, recognizer: LetterRecognizer, rate: int) -> None:
        self._recognizer, self._rate = recognizer, rate
        self._previous: list[Frame] = []
        self._possible_flashes: list[tuple[int, Frame]] = []
        self._cuts: list[bool] = []
        self._changed: list[float] = []
        self._change_seconds: list[float] = []
        self._edges: list[NDArray[np.uint8]] = []
        self._detections: list[_Detection] = []
        self._text = TextReader(recognizer, line_detector(), rate)
        self._text_frame = 0
        self._strokes: set[int] = set()
        self._lines: list[tuple[int, Box, TextLine]] = []
        self._words: list[tuple[int, int, Box]] = []
        self._cache: list[tuple[LetterShape, NDArray[np.float32]]] = []
        self._last_whole = -rate
        self._budget = float(_IMAGES_AT_ONCE)
        self._drawings: list[tuple[int, PixelBox]] = []
        self._waiting: list[tuple[int, PixelBox]] = []
        self._letter_places: list[tuple[int, PixelBox]] = []

    def add(self, frame_HWC: Frame, change_seconds: float | None) -> None:
        """Process the next sampled frame."""
        height, width = frame_HWC.shape[:2]
        size = (_SMALL_WIDTH, max(2, round(height * _SMALL_WIDTH / width)))
        small: Frame = np.asarray(cv2.resize(frame_HWC, size, interpolation=cv2.INTER_AREA), np.uint8)
        self._edges.append(_edge_grid(small))
        blurred: Frame = np.asarray(cv2.blur(small, (3, 3)), np.uint8)
        number = len(self._changed)
        # A change at an unknown time was on average half a frame interval before the frame that shows it first.
        middle = max((number - 0.5) / self._rate, 0.0)
        self._change_seconds.append(middle if change_seconds is None else change_seconds)
        self._budget = min(self._budget + _IMAGES_PER_SECOND / self._rate, _IMAGES_AT_ONCE)
        if self._previous:
            self._changed.append(float(_changed_pixels(blurred, self._previous[-1]).mean()))
            changed = _changed_pixels(blurred, self._previous[0])
            fraction = float(changed.mean())
        else:
            self._changed.append(1.0)
            changed, fraction = np.ones(size[::-1], np.uint8), 1.0
        self._cuts.append(not self._cancels_cuts(number, blurred) and self._changed[-1] >= _CUT)
        if self._cuts[-1] and self._previous:
            self._possible_flashes.append((number, self._previous[-1]))
        self._previous = [*self._previous, blurred][-_LAG:]
        # Letters come first: a line that is a letter is added if the shapes did not show it.
        self._detect_changed(number, frame_HWC, changed, fraction)
        self._read_text(number, frame_HWC, changed, fraction)

    def _detect_changed(self, number: int, frame_HWC: Frame, changed_hw: Mask, fraction: float) -> None:
        height, width = frame_HWC.shape[:2]
        is_whole = fraction >= _CUT
        if fraction < _STATIC or (is_whole and number - self._last_whole < self._rate // 4):
            return
        if is_whole:
            self._last_whole = number
        mask: Mask = np.asarray(cv2.resize(changed_hw, (width, height), interpolation=cv2.INTER_NEAREST), np.uint8)
        self._detect(number, frame_HWC, mask, is_whole)

    def _cancels_cuts(self, number: int, blurred: Frame) -> bool:
        """Whether the frame looks as before a recent cut. The cut was a flash then, and all cuts since are cancelled."""
        self._possible_flashes = [one for one in self._possible_flashes if number - one[0] <= _FLASH_FRAMES]
        for cut, before in self._possible_flashes:
            if float(_changed_pixels(blurred, before).mean()) < _FLASH_DIFFERENCE:
                self._cuts[cut:] = [False] * (len(self._cuts) - cut)
                self._possible_flashes = [one for one in self._possible_flashes if one[0] < cut]
                return True
        return False

    def _detect(self, number: int, frame_HWC: Frame, changed_HW: Mask, is_whole: bool) -> None:
        shapes = find_shapes(frame_HWC, changed_HW, min_changed=0.0 if is_whole else _MIN_SHAPE_CHANGED)
        letters_R26 = self._letters(number, shapes)
        cut_from = max(number - _LAG + 1, 0) if is_whole else None
        for row in without_contained(shapes, letters_R26):
            self._add(number, frame_HWC, shapes[row], letters_R26[row], cut_from)

    def _add(
        self, number: int, frame_HWC: Frame, shape: LetterShape, letters_26: NDArray[np.float32], cut_from: int | None
    ) -> None:
        box, colours = _fractions(shape.box, frame_HWC), (*shape.colour, *shape.background)
        found = _Detection(number, box, letters_26, colours, cut_from, _ink(shape), shape.pixels is not None)
        if letters_26.max() >= _SURE:
            self._mark_strokes(found)
        self._detections.append(found)

    def _mark_strokes(self, found: _Detection) -> None:
        """Mark earlier detections that were a part of the letter: half a B is a P, half a W is a V."""
        letter = found.letters_26.argmax()
        for row in reversed(range(len(self._detections))):
            one = self._detections[row]
            if one.frame < found.frame - _STROKE_SECONDS * self._rate:
                break
            if (
                one.letters_26.argmax() != letter
                and len(found.ink) >= _STROKE_GROWTH * len(one.ink)
                and len(found.ink & one.ink) >= _STROKE_INSIDE * len(one.ink)
                and max(abs(a - b) for a, b in zip(found.colours, one.colours, strict=True)) < _STROKE_COLOUR
            ):
                self._strokes.add(row)

    def _read_text(self, number: int, frame_HWC: Frame, changed_hw: Mask, fraction: float) -> None:
        if fraction < _STATIC:
            changed_hw = np.zeros_like(changed_hw)
        lines = self._text.read(number, frame_HWC, changed_hw, is_still=self._changed[-1] < _STILL)
        if lines is None:
            return
        for line in lines:
            self._lines.append((number, _fractions(line.box, frame_HWC), line))
            self._words += [(self._text_frame, number, _fractions(word, frame_HWC)) for word in line.words()]
            if line.letter and line.changed >= _MIN_LINE_CHANGED:
                self._add_line(number, frame_HWC, line)
        self._text_frame = number + 1

    def _add_line(self, number: int, frame_HWC: Frame, line: TextLine) -> None:
        """Add a text line that is a letter as a detection, if none of its letter is there."""
        letter, box = LETTERS.index(line.letter), _fractions(line.box, frame_HWC)
        for one in reversed(self._detections):
            if one.frame < number - self._rate:
                break
            is_here = intersection(one.box, box) >= _FOUND_OVERLAP * min(area(one.box), area(box))
            if is_here and int(one.letters_26.argmax()) == letter and one.letters_26[letter] >= _FOUND_OVERLAP:
                return
        shape = textured_shape(frame_HWC, line.box)
        if shape is not None:
            letters_26 = np.zeros(26, np.float32)
            letters_26[letter] = line.score
            self._add(number, frame_HWC, shape, letters_26, self._text_frame)

    def _letters(self, number: int, shapes: list[LetterShape]) -> NDArray[np.float32]:
        """(shapes, 26) letter probabilities, from the cache where a similar shape was recognized recently.

        Shapes beyond the budget have zeros.
        """
        found = [self._cached(shape) for shape in shapes]
        unknown = [row for row, letters in enumerate(found) if letters is None]
        unknown.sort(key=lambda row: self._rank(number, shapes[row]))
        views: list[tuple[int, NDArray[np.uint8]]] = []
        for row in unknown:
            own = _views(shapes[row])
            if len(views) + len(own) <= self._budget:
                views += [(row, view) for view in own]
            else:
                self._waiting.append((number, shapes[row].box))
        letters_V26 = self._recognizer.read([view for _, view in views])
        self._budget -= len(views)
        for row in dict.fromkeys(row for row, _ in views):
            read = letters_V26[[number for number, (other, _) in enumerate(views) if other == row]]
            # A textured shape is a letter if both its pixels and its mask are recognized as that letter.
            best = read.max(axis=0) if shapes[row].pixels is None else read.mean(axis=0)
            if is_distorted(shapes[row], LETTERS[int(best.argmax())]):
                best = np.zeros(26, np.float32)
            if best.max() >= _SURE and LETTERS[int(best.argmax())] not in SIMPLE:
                self._budget += len(read)
                self._letter_places.append((number, shapes[row].box))
            found[row] = best
            self._cache.insert(0, (shapes[row], best))
            if best.max() < _DRAWING_SCORE:
                self._drawings.append((number, shapes[row].box))
        del self._cache[_CACHE_SIZE:]
        nothing = np.zeros(26, np.float32)
        letters = [nothing if one is None else one for one in found]
        return np.array(letters, np.float32).reshape(len(shapes), 26)

    def _rank(self, number: int, shape: LetterShape) -> int:
        """0 where a letter was recognized recently (it may be marked now), 2 where something else was, else 1."""
        self._drawings = [one for one in self._drawings if number - one[0] <= _DRAWING_FRAMES]
        self._letter_places = [one for one in self._letter_places if number - one[0] <= _LETTER_FRAMES]
        if any(overlap_of(shape.box, box) >= _LETTER_OVERLAP for _, box in self._letter_places):
            return 0
        if any(overlap_of(shape.box, box) >= _DRAWING_OVERLAP for _, box in self._drawings):
            return 2
        self._waiting = [one for one in self._waiting if number - one[0] <= _DRAWING_FRAMES]
        waiting = {frame for frame, box in self._waiting if overlap_of(shape.box, box) >= _DRAWING_OVERLAP}
        return 2 if len(waiting) >= _WAITING_FRAMES else 1

    def _cached(self, shape: LetterShape) -> NDArray[np.float32] | None:
        for other, letters in self._cache:
            if (other.pixels is None) != (shape.pixels is None):
                continue
            has_same_aspect = abs(other.aspect / shape.aspect - 1) < 0.1
            if has_same_aspect and float(np.abs(other.thumbnail_20 - shape.thumbnail_20).mean()) < 0.03:
                return letters
        return None

    def trace(self) -> ScreenTrace:
        detections = [
            one for row, one in enumerate(self._detections) if row not in self._strokes and not self._is_in_word(one)
        ]
        factors = [1.0 if self._is_confirmed(one, row, detections) else _SINGLE for row, one in enumerate(detections)]
        # A frame that was read as a whole because of a flash does not follow a cut.
        after_cut = [one.cut_from is not None and any(self._cuts[one.cut_from : one.frame + 1]) for one in detections]
        return ScreenTrace(
            rate=self._rate,
            changed_T=np.array(self._changed, np.float32),
            change_seconds_T=np.array(self._change_seconds, np.float32),
            cut_T=np.array(self._cuts, np.bool_),
            edges_TGG=np.array(self._edges, np.uint8).reshape(-1, _GRID[1], _GRID[0]),
            frame_R=np.array([one.frame for one in detections], np.int32),
            box_R4=np.array([one.box for one in detections], np.float32).reshape(-1, 4),
            letters_R26=np.array(
                [factor * one.letters_26 for factor, one in zip(factors, detections, strict=True)], np.float32
            ).reshape(-1, 26),
            colour_R6=np.array([one.colours for one in detections], np.float32).reshape(-1, 6),
            after_cut_R=np.array(after_cut, np.bool_),
            text_frame_N=np.array([number for number, _, _ in self._lines], np.int32),
            text_box_N4=np.array([box for _, box, _ in self._lines], np.float32).reshape(-1, 4),
            text_N=np.array([line.text for _, _, line in self._lines], np.str_),
            text_score_N=np.array([line.score for _, _, line in self._lines], np.float32),
        )

    @staticmethod
    def _is_confirmed(one: _Detection, row: int, detections: Sequence[_Detection]) -> bool:
        """Whether the letter of a textured shape was also recognized there in a neighbouring frame.

        Whatever appears counts as changed for `_LAG` frames. Drawings that move look like a letter for one frame only.
        """
        if not one.is_textured or one.cut_from is not None:
            return True
        letter = one.letters_26.argmax()
        for step in (-1, 1):
            other = row + step
            while 0 <= other < len(detections) and abs(detections[other].frame - one.frame) <= _LAG + 1:
                found = detections[other]
                is_here = intersection(found.box, one.box) >= _CONFIRM_OVERLAP * min(area(found.box), area(one.box))
                if is_here and found.frame != one.frame and found.letters_26[letter] >= _CONFIRM_SCORE:
                    return True
                other += step
        return False

    def _is_in_word(self, one: _Detection) -> bool:
        """Whether a detection is a letter of a word. The word was read up to a second later."""
        return any(
            first <= one.frame <= last and intersection(one.box, word) >= _IN_WORD * area(one.box)
            for first, last, word in self._words
        )


def _fractions(box: PixelBox, frame_HWC: Frame) -> Box:
    height, width = frame_HWC.shape[:2]
    return np.array(box, np.float32) / np.array([width, height, width, height], np.float32)


def _ink(shape: LetterShape) -> frozenset[int]:
    """The coarse pixels of the frame that a shape covers, as numbers."""
    left, top, _, _ = shape.box
    x, y = -left % _INK_STEP, -top % _INK_STEP
    rows, columns = np.nonzero(shape.mask[y::_INK_STEP, x::_INK_STEP])
    rows, columns = rows + (top + y) // _INK_STEP, columns + (left + x) // _INK_STEP
    return frozenset((rows * 10_000 + columns).tolist())


def _views(shape: LetterShape) -> list[NDArray[np.uint8]]:
    """The images of a shape that are read."""
    second = shape.pixels if shape.pixels is not None else shape.stretched_mask
    return [shape.mask] if second is None else [shape.mask, second]


def _changed_pixels(one: Frame, other: Frame) -> Mask:
    return (largest_channel(cv2.absdiff(one, other)) > _PIXEL_CHANGED).astype(np.uint8)


def _edge_grid(small_HWC: Frame) -> NDArray[np.uint8]:
    """(18, 32) mean edge strength."""
    grey = cv2.cvtColor(small_HWC, cv2.COLOR_RGB2GRAY)
    across = np.abs(cv2.Sobel(grey, cv2.CV_16S, 1, 0))
    down = np.abs(cv2.Sobel(grey, cv2.CV_16S, 0, 1))
    grid = cv2.resize((across + down).astype(np.float32), _GRID, interpolation=cv2.INTER_AREA)
    return np.clip(grid / 4, 0, 255).astype(np.uint8)
