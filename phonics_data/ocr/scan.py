"""One pass over a video: what changed when, and which letters were read in what changed."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from phonics_data.media.frame_sampler import SampledFrame, sample_frames
from phonics_data.ocr.recognizer import LetterReader, letter_reader
from phonics_data.ocr.shapes import Frame, Glyph, Mask, find_glyphs, largest_channel, without_parts
from phonics_data.ocr.trace import ScreenTrace

LOOKS_A_SECOND = 8
_SMALL_WIDTH = 320
_LAG = 2
"""Looks back at which change is measured: a quarter of a second."""
_CHANGED = 28
"""Difference of a pixel (of 255, blurred, largest channel) that counts as change."""
_CUT = 0.4
"""Share of changed pixels above which the picture is a new one."""
_FLASH_LOOKS = 6
_RETURNED = 0.25
"""A flash of light is no cut: within so many looks no more than this share differs from the picture before it."""
_STILL = 0.0005
_MIN_CHANGED = 0.04
_GRID = (32, 18)
_REMEMBERED = 24


def read_screen(path: Path, *, rate: int = LOOKS_A_SECOND, reader: LetterReader | None = None) -> ScreenTrace:
    """Look at the whole video at `path`.

    Args:
        rate: looks a second; two are enough for cards, letters that come one after the other in a row need eight.
        reader: default `letter_reader()`.

    Raises:
        MediaError: the video has no picture or does not decode.
        DependencyError: a package that reading needs is missing.
    """
    return trace(sample_frames(path, rate=rate), rate=rate, reader=reader or letter_reader())


def trace(sights: Iterable[SampledFrame], *, rate: int, reader: LetterReader) -> ScreenTrace:
    """`read_screen` over frames from anywhere."""
    scanner = _Scanner(reader, rate)
    for sight in sights:
        scanner.look(sight.frame_HWC)
    return scanner.trace()


class _Scanner:
    def __init__(self, reader: LetterReader, rate: int) -> None:
        self._reader, self._rate = reader, rate
        self._before: list[Frame] = []
        self._doubted: list[tuple[int, Frame]] = []
        self._cuts: list[bool] = []
        self._changed: list[float] = []
        self._edges: list[NDArray[np.uint8]] = []
        self._readings: list[tuple[int, tuple[float, ...], NDArray[np.float32], tuple[float, ...], bool]] = []
        self._remembered: list[tuple[Glyph, NDArray[np.float32]]] = []
        self._last_whole = -rate

    def look(self, frame_HWC: Frame) -> None:
        height, width = frame_HWC.shape[:2]
        size = (_SMALL_WIDTH, max(2, round(height * _SMALL_WIDTH / width)))
        small: Frame = np.asarray(cv2.resize(frame_HWC, size, interpolation=cv2.INTER_AREA), np.uint8)
        self._edges.append(_edge_grid(small))
        blurred: Frame = np.asarray(cv2.blur(small, (3, 3)), np.uint8)
        number = len(self._changed)
        if self._before:
            self._changed.append(float(_difference(blurred, self._before[-1]).mean()))
            changed = _difference(blurred, self._before[0])
            share = float(changed.mean())
        else:
            self._changed.append(1.0)
            changed, share = np.ones(size[::-1], np.uint8), 1.0
        self._cuts.append(not self._is_back(number, blurred) and self._changed[-1] >= _CUT)
        if self._cuts[-1] and self._before:
            self._doubted.append((number, self._before[-1]))
        self._before = [*self._before, blurred][-_LAG:]
        is_new = share >= _CUT
        if share < _STILL or (is_new and number - self._last_whole < self._rate // 4):
            return
        if is_new:
            self._last_whole = number
        mask: Mask = np.asarray(cv2.resize(changed, (width, height), interpolation=cv2.INTER_NEAREST), np.uint8)
        self._read(number, frame_HWC, mask, is_new)

    def _is_back(self, number: int, blurred: Frame) -> bool:
        """Whether the picture is again as it was before a cut of late: then there was a flash, and no cut until now."""
        self._doubted = [(cut, before) for cut, before in self._doubted if number - cut <= _FLASH_LOOKS]
        for cut, before in self._doubted:
            if float(_difference(blurred, before).mean()) < _RETURNED:
                self._cuts[cut:] = [False] * (len(self._cuts) - cut)
                self._doubted = [one for one in self._doubted if one[0] < cut]
                return True
        return False

    def _read(self, number: int, frame_HWC: Frame, changed_HW: Mask, is_new: bool) -> None:
        height, width = frame_HWC.shape[:2]
        glyphs = find_glyphs(frame_HWC, changed_HW, min_changed=0.0 if is_new else _MIN_CHANGED)
        letters_R26 = self._letters(glyphs)
        scale = np.array([width, height, width, height])
        for row in without_parts([glyph.box for glyph in glyphs], letters_R26):
            box = tuple((np.array(glyphs[row].box) / scale).tolist())
            glyph = glyphs[row]
            self._readings.append((number, box, letters_R26[row], (*glyph.colour, *glyph.ground), is_new))

    def _letters(self, glyphs: list[Glyph]) -> NDArray[np.float32]:
        """(glyphs, 26): read, or known from a shape that was read a moment ago, for most letters only move."""
        found = [self._known(glyph) for glyph in glyphs]
        unknown = [glyph for glyph, letters in zip(glyphs, found, strict=True) if letters is None]
        wide = [glyph.wide_shape for glyph in unknown if glyph.wide_shape is not None]
        read_R26 = self._reader.read([glyph.shape for glyph in unknown] + wide)
        wide_rows = iter(read_R26[len(unknown) :])
        for glyph, letters in zip(unknown, read_R26[: len(unknown)], strict=True):
            best = letters if glyph.wide_shape is None else np.maximum(letters, next(wide_rows))
            found[glyphs.index(glyph)] = best
            self._remembered.insert(0, (glyph, best))
        del self._remembered[_REMEMBERED:]
        return np.array(found, np.float32).reshape(len(glyphs), 26)

    def _known(self, glyph: Glyph) -> NDArray[np.float32] | None:
        for other, letters in self._remembered:
            is_alike = abs(other.aspect / glyph.aspect - 1) < 0.1
            if is_alike and float(np.abs(other.print_20 - glyph.print_20).mean()) < 0.03:
                return letters
        return None

    def _was_cut(self, look: int) -> bool:
        """Whether the whole frame was read at `look` because of a cut, and not of a flash."""
        return any(self._cuts[max(look - _LAG + 1, 0) : look + 1])

    def trace(self) -> ScreenTrace:
        looks, boxes, letters, colours, after_cut = zip(*self._readings, strict=True) if self._readings else ((),) * 5
        return ScreenTrace(
            rate=self._rate,
            changed_T=np.array(self._changed, np.float32),
            cut_T=np.array(self._cuts, np.bool_),
            edges_TGG=np.array(self._edges, np.uint8).reshape(-1, _GRID[1], _GRID[0]),
            look_R=np.array(looks, np.int32),
            box_R4=np.array(boxes, np.float32).reshape(-1, 4),
            letters_R26=np.array(letters, np.float32).reshape(-1, 26),
            colour_R6=np.array(colours, np.float32).reshape(-1, 6),
            after_cut_R=np.array(
                [is_new and self._was_cut(look) for look, is_new in zip(looks, after_cut, strict=True)], np.bool_
            ),
        )


def _difference(one: Frame, other: Frame) -> Mask:
    return (largest_channel(cv2.absdiff(one, other)) > _CHANGED).astype(np.uint8)


def _edge_grid(small_HWC: Frame) -> NDArray[np.uint8]:
    grey = cv2.cvtColor(small_HWC, cv2.COLOR_RGB2GRAY)
    across = np.abs(cv2.Sobel(grey, cv2.CV_16S, 1, 0))
    down = np.abs(cv2.Sobel(grey, cv2.CV_16S, 0, 1))
    grid = cv2.resize((across + down).astype(np.float32), _GRID, interpolation=cv2.INTER_AREA)
    return np.clip(grid / 4, 0, 255).astype(np.uint8)
