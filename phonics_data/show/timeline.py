"""Drawing of a `VideoEvidence` as images: rows of `ROW_SECONDS` each, all with the same bands. Pure except for Pillow."""

from __future__ import annotations

import colorsys
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple, TypeVar

from PIL import Image, ImageDraw, ImageFont

from phonics_data.ocr.scan import OCR_FRAME_RATE
from phonics_data.segmentation.lexicon import LETTERS
from phonics_data.show.boundary_reasons import BoundaryReason, ReasonKind, boundary_reasons
from phonics_data.show.video_evidence import CUT_THRESHOLD, PEAK_RATE, VideoEvidence, letters_at
from phonics_data.types import ScreenLetter, Segment, TranscriptWord, TrueSegment

Colour = tuple[int, int, int]
Reasons = tuple[BoundaryReason, BoundaryReason]
Interval = TypeVar("Interval", TranscriptWord, ScreenLetter, Segment, TrueSegment)

WIDTH = 1600
LEFT, RIGHT = 84, 16
ROW_SECONDS = 20.0
ROWS_PER_IMAGE = 20
"""Long videos need several images, because many programs cannot open very tall ones."""

_INK, _SOFT, _FAINT, _PAPER = (30, 34, 40), (110, 118, 128), (222, 226, 230), (255, 255, 255)
_CUT_COLOUR, _WAVE, _CHANGE = (208, 36, 48), (120, 140, 170), (190, 120, 40)
REASON_STYLES: dict[ReasonKind, tuple[Colour, str]] = {
    "cut": (_CUT_COLOUR, "cut"),
    "screen": ((20, 120, 70), "letter appears or disappears"),
    "word": ((40, 80, 190), "word"),
    "next": ((110, 118, 128), "boundary of the adjacent segment"),
    "split": ((140, 60, 160), "split: too long"),
    "grown": ((170, 110, 20), "extended: too short"),
    "none": ((0, 0, 0), "nothing near"),
}
"""Colour and legend of each kind of reason."""
_ROW_GAP = 22


@dataclass(frozen=True, slots=True)
class _Row:
    """One row of the timeline: its interval in seconds and its position in the image."""

    start: float
    end: float
    top: int
    draw: ImageDraw.ImageDraw
    image: Image.Image

    def x(self, seconds: float) -> float:
        return LEFT + (seconds - self.start) / ROW_SECONDS * (WIDTH - LEFT - RIGHT)

    def clip(self, items: Iterable[Interval]) -> Iterator[tuple[Interval, float, float]]:
        """(item, x of its start, x of its end) of the items in this row, clipped to it."""
        for item in items:
            start, end = max(item.start_seconds, self.start), min(item.end_seconds, self.end)
            if end > start:
                yield item, self.x(start), self.x(end)

    def text(self, x: float, y: float, text: str, size: int, colour: Colour = _INK, width: float | None = None) -> None:
        """Draw `text`, truncated to `width` pixels."""
        self.draw.text((x, y), text if width is None else _fitted(text, width, size), fill=colour, font=_font(size))


def _font(size: int) -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    # Pillow's built-in font: equal on all machines.
    return ImageFont.load_default(size)


def letter_colour(letter: str) -> Colour:
    """RGB colour of a letter; neighbours in the alphabet have distant hues."""
    red, green, blue = colorsys.hls_to_rgb((LETTERS.index(letter) * 0.381966) % 1.0, 0.62, 0.62)
    return round(255 * red), round(255 * green), round(255 * blue)


def draw_timeline(
    evidence: VideoEvidence, *, start_seconds: float = 0.0, end_seconds: float | None = None
) -> list[Image.Image]:
    """Draw the interval (default: the whole video) as images of at most `ROWS_PER_IMAGE` rows."""
    duration = evidence.video.duration_seconds
    end = duration if end_seconds is None else min(end_seconds, duration)
    count = max(1, math.ceil((end - start_seconds) / ROW_SECONDS - 1e-6))
    starts = [start_seconds + index * ROW_SECONDS for index in range(count)]
    bands = _bands(evidence)
    height = _height(bands) + _ROW_GAP
    reasons = boundary_reasons(evidence.segments, evidence.words, evidence.screen, evidence.cuts)
    images: list[Image.Image] = []
    for first in range(0, count, ROWS_PER_IMAGE):
        shown = starts[first : first + ROWS_PER_IMAGE]
        head = _header_height(evidence) if first == 0 else 8
        image = Image.new("RGB", (WIDTH, head + height * len(shown)), _PAPER)
        draw = ImageDraw.Draw(image)
        if first == 0:
            _draw_header(draw, evidence)
        for index, begin in enumerate(shown):
            row = _Row(begin, min(begin + ROW_SECONDS, end), head + index * height, draw, image)
            _draw_row(row, evidence, bands, reasons)
        images.append(image)
    return images


def _bands(evidence: VideoEvidence) -> list[str]:
    """The bands for which there are data, from top to bottom."""
    return [name for name, band in _BANDS.items() if band.has_data(evidence)]


def _height(bands: Sequence[str]) -> int:
    return sum(_BANDS[band].height for band in bands)


# --- header --------------------------------------------------------------------------------------------------------


def summary_lines(evidence: VideoEvidence) -> list[str]:
    """Summary of the video, for the header of the image and the page."""
    video, words = evidence.video, evidence.words
    native = sum(word.timing == "native" for word in words)
    transcript = f"{len(words)} words ({words[0].origin}, {native} with native times)" if words else "no words"
    letters = f"{len(evidence.screen)} letter tracks" if evidence.trace is not None else "screen not read"
    segments = f"{len(evidence.segments)} segments of {len({segment.letter for segment in evidence.segments})} letters"
    lines = [
        f"{video.duration_seconds:.1f} s, {video.width}x{video.height}; {transcript}; {letters}; "
        f"{len(evidence.cuts)} cuts; {segments}"
    ]
    rejections = [f"{item.reason} {item.detail}".strip() for item in evidence.rejections]
    if rejections:
        more = f"; and {len(rejections) - 2} more" if len(rejections) > 2 else ""
        lines.append(f"rejected: {'; '.join(rejections[:2])}{more}")
    return lines


def _header_height(evidence: VideoEvidence) -> int:
    return 58 + 18 * len(summary_lines(evidence))


def _draw_header(draw: ImageDraw.ImageDraw, evidence: VideoEvidence) -> None:
    draw.text((LEFT, 6), evidence.video.video_id, fill=_INK, font=_font(20))
    for index, line in enumerate(summary_lines(evidence)):
        draw.text((LEFT, 32 + 18 * index), _fitted(line, WIDTH - LEFT - RIGHT, 13), fill=_SOFT, font=_font(13))
    x, y = float(LEFT), 36 + 18 * len(summary_lines(evidence))
    for colour, label in REASON_STYLES.values():
        draw.polygon([(x, y + 12), (x + 10, y + 12), (x + 5, y + 3)], fill=colour)
        draw.text((x + 14, y), label, fill=_SOFT, font=_font(12))
        x += 30 + _font(12).getlength(label)


def _fitted(text: str, width: float, size: int) -> str:
    """`text`, truncated with an ellipsis to at most `width` pixels."""
    if _font(size).getlength(text) <= width:
        return text
    while text and _font(size).getlength(text + "...") > width:
        text = text[:-1]
    return text + "..." if text else ""


# --- rows ----------------------------------------------------------------------------------------------------------


def _draw_row(row: _Row, evidence: VideoEvidence, bands: Sequence[str], reasons: Sequence[Reasons]) -> None:
    tops: dict[str, int] = {}
    bottom = row.top
    for name in bands:
        band = _BANDS[name]
        tops[name] = bottom
        row.text(6, bottom + band.height / 2 - 7, band.label, 11, _SOFT)
        if band.draw:
            band.draw(row, evidence, bottom, band.height)
        bottom += band.height
        row.draw.line([(LEFT, bottom), (row.x(row.end), bottom)], fill=_FAINT)
    cut_top = tops.get("reasons", tops["frames"] + _BANDS["frames"].height)
    for cut in evidence.cuts:
        if row.start <= cut < row.end:
            row.draw.line([(row.x(cut), cut_top), (row.x(cut), bottom)], fill=_CUT_COLOUR)
    if "reasons" in tops:
        _boundaries(row, evidence, reasons, tops["reasons"], bottom)


def _time(row: _Row, evidence: VideoEvidence, top: int, height: int) -> None:
    del evidence
    for second in range(math.ceil(row.start), math.floor(row.end) + 1):
        x, is_labelled = row.x(second), second % 5 == 0
        row.draw.line([(x, top + height - (8 if is_labelled else 4)), (x, top + height)], fill=_SOFT)
        if x < WIDTH - 30:
            row.text(x + 2, top, f"{second // 60}:{second % 60:02d}", 11, _INK if is_labelled else _SOFT)


def _frames(row: _Row, evidence: VideoEvidence, top: int, height: int) -> None:
    free = float(LEFT)
    for seconds, frame_HWC in evidence.thumbnails:
        if not row.start <= seconds < row.end or row.x(seconds) < free:
            continue
        thumbnail = Image.fromarray(frame_HWC)
        thumbnail.thumbnail((2 * height, height - 6))
        x = round(row.x(seconds))
        if x + thumbnail.width <= WIDTH - 2:
            row.image.paste(thumbnail, (x, top + 2))
            row.draw.line([(x, top - 3), (x, top + height - 2)], fill=_SOFT)
        free = x + thumbnail.width + 4


def _truth(row: _Row, evidence: VideoEvidence, top: int, height: int) -> None:
    for segment, low, high in row.clip(evidence.truth or ()):
        colour = letter_colour(segment.letter)
        row.draw.rectangle([low, top + 2, high, top + height - 2], outline=_INK, fill=colour)
        text = f"{segment.letter} {segment.object_word or ''}".strip()
        row.text(low + 3, top + 3, text, 12, width=high - low - 4)


def _segments(row: _Row, evidence: VideoEvidence, top: int, height: int) -> None:
    for segment, low, high in row.clip(evidence.segments):
        width = high - low - 4
        row.draw.rectangle([low, top + 2, high, top + height - 2], outline=_INK, fill=(246, 247, 248))
        # The filled height is the confidence.
        floor = top + height - 3
        fill_top = floor - round((height - 6) * min(max(segment.confidence, 0.0), 1.0))
        if high - low >= 2 and fill_top < floor:
            row.draw.rectangle([low + 1, fill_top, high - 1, floor], fill=letter_colour(segment.letter))
        row.text(low + 3, top + 2, f"{segment.letter} {segment.object_word or ''}", 14, width=width)
        row.text(low + 3, top + 18, f"{segment.confidence:.2f}", 11, width=width)
    for item in evidence.rejections:
        number = item.item_id.removeprefix(f"{evidence.video.video_id}-")
        if item.stage == "segment" and number.isdigit() and row.start <= int(number) / 1000 < row.end:
            x, letter = row.x(int(number) / 1000), item.detail.removeprefix("letter ")[:1]
            row.draw.line([(x, top + 4), (x, top + height - 2)], fill=_SOFT, width=2)
            row.text(x + 4, top + height - 17, f"({letter})", 12, _SOFT)


def _boundaries(row: _Row, evidence: VideoEvidence, reasons: Sequence[Reasons], top: int, bottom: int) -> None:
    """A triangle at each boundary in the colour of its reason, and a dotted line through the bands below."""
    for segment, (at_start, at_end) in zip(evidence.segments, reasons, strict=True):
        for seconds, reason, side in ((segment.start_seconds, at_start, 1), (segment.end_seconds, at_end, -1)):
            if not row.start <= seconds <= row.end:
                continue
            x, colour = row.x(seconds), REASON_STYLES[reason.kind][0]
            row.draw.polygon([(x, top + 1), (x + side * 9, top + 12), (x, top + 12)], fill=colour)
            for y in range(top + 14, bottom, 6):
                row.draw.line([(x, y), (x, y + 2)], fill=colour)


def _audio(row: _Row, evidence: VideoEvidence, top: int, height: int) -> None:
    middle = top + height / 2
    for x in range(LEFT, round(row.x(row.end))):
        first = int((row.start + (x - LEFT) * ROW_SECONDS / (WIDTH - LEFT - RIGHT)) * PEAK_RATE)
        peak = float(evidence.peaks_N[first : first + 2].max(initial=0))
        row.draw.line([(x, middle - peak * height / 2), (x, middle + peak * height / 2)], fill=_WAVE)


def _words(row: _Row, evidence: VideoEvidence, top: int, height: int) -> None:
    free = [0.0] * (height // 15)
    for word, low, high in row.clip(evidence.words):
        level = next((index for index, x in enumerate(free) if low >= x), None)
        colour = _INK if word.timing != "interpolated" else _SOFT
        if level is None:
            row.draw.line([(low, top + height - 3), (high, top + height - 3)], fill=colour, width=2)
            continue
        y = top + 15 * level
        row.draw.rectangle([low, y + 1, max(high, low + 2), y + 14], fill=(232, 238, 252))
        row.draw.line([(low, y + 1), (low, y + 14)], fill=REASON_STYLES["word"][0])
        text = _fitted(word.text, WIDTH - 2 - low, 12)
        row.text(low + 2, y + 1, text, 12, colour)
        free[level] = max(high, low + 4 + _font(12).getlength(text))


def _evidence(row: _Row, evidence: VideoEvidence, top: int, height: int) -> None:
    """A vertical line per letter and sampled frame, as high as its evidence; the letter is written at intervals."""
    floor, label_end, label = top + height - 2, 0.0, ""
    for frame in _sampled_frames(row, len(evidence.evidence_TL)):
        if frame / OCR_FRAME_RATE >= row.end:
            continue
        for letter, strength in reversed(letters_at(evidence.evidence_TL[frame])[:3]):
            x, y = row.x(frame / OCR_FRAME_RATE), floor - min(strength, 1.2) / 1.2 * (height - 14)
            row.draw.line([(x, y), (x, floor)], fill=letter_colour(letter), width=3)
            if strength >= 0.25 and (letter != label or x > label_end):
                row.text(x - 4, y - 12, letter, 11)
                label, label_end = letter, x + 40


def _letters(row: _Row, evidence: VideoEvidence, top: int, height: int) -> None:
    free = [0.0] * (height // 16)
    for track, low, high in row.clip(evidence.screen):
        level = next((index for index, x in enumerate(free) if low >= x), None)
        if level is None:
            row.draw.line([(low, top + height - 2), (high, top + height - 2)], fill=_SOFT, width=2)
            continue
        y = top + 16 * level
        row.draw.rectangle([low, y + 2, max(high, low + 10), y + 15], fill=letter_colour(track.letter))
        row.text(low + 2, y + 2, track.letter, 12)
        free[level] = max(high, low + 14)


def _change(row: _Row, evidence: VideoEvidence, top: int, height: int) -> None:
    floor = top + height - 2
    cut_y = floor - CUT_THRESHOLD * (height - 4)
    row.draw.line([(LEFT, cut_y), (row.x(row.end), cut_y)], fill=_FAINT)
    points = [
        (row.x(frame / OCR_FRAME_RATE), floor - math.sqrt(float(evidence.changed_T[frame])) * (height - 4))
        for frame in _sampled_frames(row, len(evidence.changed_T))
    ]
    for before, after in pairwise(points):
        row.draw.line([before, after], fill=_CHANGE, width=2)


def _sampled_frames(row: _Row, num_frames: int) -> list[int]:
    """Indices of the sampled frames in ``[row.start, row.end]``."""
    frames = range(int(row.start * OCR_FRAME_RATE), min(num_frames, int(row.end * OCR_FRAME_RATE) + 1))
    return [frame for frame in frames if row.start <= frame / OCR_FRAME_RATE <= row.end]


class _Band(NamedTuple):
    height: int
    label: str
    draw: Callable[[_Row, VideoEvidence, int, int], None] | None = None
    has_data: Callable[[VideoEvidence], bool] = lambda evidence: True


_BANDS = {
    "time": _Band(18, "seconds", _time),
    "frames": _Band(62, "frames", _frames),
    "truth": _Band(20, "truth", _truth, lambda evidence: evidence.truth is not None),
    "segments": _Band(34, "segments", _segments, lambda evidence: bool(evidence.segments)),
    "reasons": _Band(15, "reason", None, lambda evidence: bool(evidence.segments)),
    "audio": _Band(46, "audio", _audio, lambda evidence: evidence.peaks_N.size > 0),
    "words": _Band(62, "words", _words, lambda evidence: bool(evidence.words)),
    "evidence": _Band(46, "evidence", _evidence, lambda evidence: bool(evidence.evidence_TL.any())),
    "letters": _Band(50, "letters", _letters, lambda evidence: bool(evidence.screen)),
    "change": _Band(26, "change", _change),
}
"""From top to bottom."""
