"""One pass over a video's frames: detects change and cuts, and recognizes the letters in changed regions."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from phonics_data.media.frame_sampler import SampledFrame, sample_frames
from phonics_data.ocr.recognizer import Frame, LetterRecognizer, Mask, letter_recognizer
from phonics_data.ocr.shapes import LetterShape, find_shapes, largest_channel, without_contained
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
_GRID = (32, 18)
_CACHE_SIZE = 24
"""Recognized shapes that are kept: most letters only move, so they need not be recognized again."""


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
        scanner.add(frame.frame_HWC)
    return scanner.trace()


class _Scanner:
    def __init__(self, recognizer: LetterRecognizer, rate: int) -> None:
        self._recognizer, self._rate = recognizer, rate
        self._previous: list[Frame] = []
        self._possible_flashes: list[tuple[int, Frame]] = []
        self._cuts: list[bool] = []
        self._changed: list[float] = []
        self._edges: list[NDArray[np.uint8]] = []
        self._detections: list[tuple[int, tuple[float, ...], NDArray[np.float32], tuple[float, ...], bool]] = []
        self._cache: list[tuple[LetterShape, NDArray[np.float32]]] = []
        self._last_whole = -rate

    def add(self, frame_HWC: Frame) -> None:
        """Process the next sampled frame."""
        height, width = frame_HWC.shape[:2]
        size = (_SMALL_WIDTH, max(2, round(height * _SMALL_WIDTH / width)))
        small: Frame = np.asarray(cv2.resize(frame_HWC, size, interpolation=cv2.INTER_AREA), np.uint8)
        self._edges.append(_edge_grid(small))
        blurred: Frame = np.asarray(cv2.blur(small, (3, 3)), np.uint8)
        number = len(self._changed)
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
        is_whole = fraction >= _CUT
        if fraction < _STATIC or (is_whole and number - self._last_whole < self._rate // 4):
            return
        if is_whole:
            self._last_whole = number
        mask: Mask = np.asarray(cv2.resize(changed, (width, height), interpolation=cv2.INTER_NEAREST), np.uint8)
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
        height, width = frame_HWC.shape[:2]
        shapes = find_shapes(frame_HWC, changed_HW, min_changed=0.0 if is_whole else _MIN_SHAPE_CHANGED)
        letters_R26 = self._letters(shapes)
        scale = np.array([width, height, width, height])
        for row in without_contained(shapes, letters_R26):
            shape = shapes[row]
            box = tuple((np.array(shape.box) / scale).tolist())
            self._detections.append((number, box, letters_R26[row], (*shape.colour, *shape.background), is_whole))

    def _letters(self, shapes: list[LetterShape]) -> NDArray[np.float32]:
        """(shapes, 26) letter probabilities, from the cache where a similar shape was recognized recently."""
        found = [self._cached(shape) for shape in shapes]
        unknown = [shape for shape, letters in zip(shapes, found, strict=True) if letters is None]
        views = [_views(shape) for shape in unknown]
        letters_V26 = self._recognizer.read([view for one in views for view in one])
        start = 0
        for shape, own in zip(unknown, views, strict=True):
            read = letters_V26[start : start + len(own)]
            start += len(own)
            # A textured shape is a letter if its pixels and its mask say so.
            best = read.max(axis=0) if shape.pixels is None else read.mean(axis=0)
            found[shapes.index(shape)] = best
            self._cache.insert(0, (shape, best))
        del self._cache[_CACHE_SIZE:]
        return np.array(found, np.float32).reshape(len(shapes), 26)

    def _cached(self, shape: LetterShape) -> NDArray[np.float32] | None:
        for other, letters in self._cache:
            if (other.pixels is None) != (shape.pixels is None):
                continue
            has_same_aspect = abs(other.aspect / shape.aspect - 1) < 0.1
            if has_same_aspect and float(np.abs(other.thumbnail_20 - shape.thumbnail_20).mean()) < 0.03:
                return letters
        return None

    def trace(self) -> ScreenTrace:
        frames, boxes, letters, colours, is_whole = (
            zip(*self._detections, strict=True) if self._detections else ((),) * 5
        )
        # A frame that was read as a whole because of a flash does not follow a cut.
        after_cut = [
            whole and any(self._cuts[max(frame - _LAG + 1, 0) : frame + 1])
            for frame, whole in zip(frames, is_whole, strict=True)
        ]
        return ScreenTrace(
            rate=self._rate,
            changed_T=np.array(self._changed, np.float32),
            cut_T=np.array(self._cuts, np.bool_),
            edges_TGG=np.array(self._edges, np.uint8).reshape(-1, _GRID[1], _GRID[0]),
            frame_R=np.array(frames, np.int32),
            box_R4=np.array(boxes, np.float32).reshape(-1, 4),
            letters_R26=np.array(letters, np.float32).reshape(-1, 26),
            colour_R6=np.array(colours, np.float32).reshape(-1, 6),
            after_cut_R=np.array(after_cut, np.bool_),
        )


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
