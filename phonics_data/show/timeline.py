"""A `Story` as pictures: rows of time, read like a score, each with the same lanes. Pure but for Pillow."""

from __future__ import annotations

import colorsys
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from PIL import Image, ImageDraw, ImageFont

from phonics_data.ocr.scan import LOOKS_A_SECOND
from phonics_data.segmentation.lexicon import LETTERS
from phonics_data.show.boundary_reasons import Reason, Sign, reasons
from phonics_data.show.video_evidence import CUT, PEAKS_A_SECOND, VideoEvidence, letters_at

WIDTH = 1600
LEFT, RIGHT = 84, 16
ROW_SECONDS = 20.0
ROWS_A_PAGE = 20
"""Longer songs take several pictures: one of an hour would be taller than most programs open."""

_INK, _SOFT, _FAINT, _PAPER = (30, 34, 40), (110, 118, 128), (222, 226, 230), (255, 255, 255)
_CUT_COLOUR, _WAVE, _CHANGE = (208, 36, 48), (120, 140, 170), (190, 120, 40)
SIGN_COLOURS: dict[Sign, tuple[int, int, int]] = {
    "cut": _CUT_COLOUR, "screen": (20, 120, 70), "word": (40, 80, 190), "next": (110, 118, 128), "split": (140, 60, 160),
    "grown": (170, 110, 20), "none": (0, 0, 0),
}  # fmt: skip
SIGN_MEANINGS: dict[Sign, str] = {
    "cut": "a cut", "screen": "a letter comes or goes on the screen", "word": "a word", "next": "the neighbour's boundary",
    "split": "divided: too long", "grown": "grown: too short", "none": "no sign near",
}  # fmt: skip

_HEIGHTS = {"time": 18, "frames": 62, "truth": 20, "segments": 34, "why": 15, "sound": 46, "words": 62, "evidence": 46,
            "seen": 50, "change": 26}  # fmt: skip
_NAMES = {"time": "seconds", "frames": "picture", "truth": "truth", "segments": "segments", "why": "lies on", "sound": "sound",
          "words": "words", "evidence": "strength", "seen": "letters", "change": "change"}  # fmt: skip
_ROW_GAP = 22


@dataclass(frozen=True, slots=True)
class _Row:
    """One row of time: where it stands on the paper and which seconds it shows."""

    start: float
    end: float
    top: int
    draw: ImageDraw.ImageDraw
    image: Image.Image

    def x(self, seconds: float) -> float:
        return LEFT + (seconds - self.start) / ROW_SECONDS * (WIDTH - LEFT - RIGHT)

    def inside(self, start: float, end: float) -> tuple[float, float] | None:
        """The part of ``[start, end)`` that this row shows, as x; None without any."""
        low, high = max(start, self.start), min(end, self.end)
        return (self.x(low), self.x(high)) if high > low else None


def _font(size: int) -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    # The typeface that comes with Pillow: nothing to install, the same on every machine.
    return ImageFont.load_default(size)


def letter_colour(letter: str) -> tuple[int, int, int]:
    """A colour of the letter's own; those of neighbours in the alphabet lie far apart."""
    red, green, blue = colorsys.hls_to_rgb((LETTERS.index(letter) * 0.381966) % 1.0, 0.62, 0.62)
    return round(255 * red), round(255 * green), round(255 * blue)


def pictures(
    story: VideoEvidence, *, start_seconds: float = 0.0, end_seconds: float | None = None
) -> list[Image.Image]:
    """The story from `start_seconds` to `end_seconds` (default: all of it) in pictures of `ROWS_A_PAGE` rows at most."""
    end = min(end_seconds, story.video.duration_seconds) if end_seconds is not None else story.video.duration_seconds
    count = max(1, math.ceil((end - start_seconds) / ROW_SECONDS - 1e-6))
    starts = [start_seconds + index * ROW_SECONDS for index in range(count)]
    lanes = _lanes(story)
    why = reasons(story.segments, story.words, story.screen, story.cuts)
    pages: list[Image.Image] = []
    for first in range(0, count, ROWS_A_PAGE):
        shown = starts[first : first + ROWS_A_PAGE]
        head = _head(story) if first == 0 else 8
        height = sum(_HEIGHTS[lane] for lane in lanes) + _ROW_GAP
        image = Image.new("RGB", (WIDTH, head + height * len(shown)), _PAPER)
        draw = ImageDraw.Draw(image)
        if first == 0:
            _title(draw, story)
        for index, begin in enumerate(shown):
            row = _Row(begin, min(begin + ROW_SECONDS, end), head + index * height, draw, image)
            _row(row, story, lanes, why)
        pages.append(image)
    return pages


def _lanes(story: VideoEvidence) -> list[str]:
    """The lanes that this story has something for."""
    has = {
        "truth": story.truth is not None, "segments": bool(story.segments), "why": bool(story.segments), "sound": story.peaks_N.size > 0,
        "words": bool(story.words), "evidence": bool(story.evidence_TL.any()), "seen": bool(story.screen),
    }  # fmt: skip
    return [lane for lane in _HEIGHTS if has.get(lane, True)]


# --- the head ------------------------------------------------------------------------------------------------------


def facts(story: VideoEvidence) -> list[str]:
    """What is known about the video, a line each: the picture's head, and the page's."""
    video, words = story.video, story.words
    native = sum(word.timing == "native" for word in words)
    heard = f"{len(words)} words ({words[0].origin}, {native} with times of their own)" if words else "no words"
    seen = f"{len(story.screen)} letters seen" if story.trace is not None else "the screen was not read"
    segments = f"{len(story.segments)} segments of {len({segment.letter for segment in story.segments})} letters"
    lines = [
        f"{video.duration_seconds:.1f} s, {video.width}x{video.height}; {heard}; {seen}; {len(story.cuts)} cuts; {segments}"
    ]
    shown = [f"{item.reason} {item.detail}".strip() for item in story.left_out]
    if shown:
        lines.append(f"left out: {'; '.join(shown[:2])}" + (f"; and {len(shown) - 2} more" if len(shown) > 2 else ""))
    return lines


def _head(story: VideoEvidence) -> int:
    return 58 + 18 * len(facts(story))


def _title(draw: ImageDraw.ImageDraw, story: VideoEvidence) -> None:
    draw.text((LEFT, 6), story.video.video_id, fill=_INK, font=_font(20))
    for index, line in enumerate(facts(story)):
        draw.text((LEFT, 32 + 18 * index), _fitted(line, WIDTH - LEFT - RIGHT, 13), fill=_SOFT, font=_font(13))
    x, y = float(LEFT), 36 + 18 * len(facts(story))
    for sign, meaning in SIGN_MEANINGS.items():
        draw.polygon([(x, y + 12), (x + 10, y + 12), (x + 5, y + 3)], fill=SIGN_COLOURS[sign])
        draw.text((x + 14, y), meaning, fill=_SOFT, font=_font(12))
        x += 30 + _font(12).getlength(meaning)


def _fitted(text: str, width: float, size: int) -> str:
    """`text`, cut with an ellipsis to at most `width` pixels."""
    if _font(size).getlength(text) <= width:
        return text
    while text and _font(size).getlength(text + "...") > width:
        text = text[:-1]
    return text + "..." if text else ""


# --- a row ---------------------------------------------------------------------------------------------------------


def _row(row: _Row, story: VideoEvidence, lanes: Sequence[str], why: Sequence[tuple[Reason, Reason]]) -> None:
    painters: dict[str, Callable[[_Row, VideoEvidence, int, int], None]] = {
        "time": _time, "frames": _frames, "truth": _truth, "segments": _segments, "sound": _sound, "words": _words,
        "evidence": _evidence, "seen": _seen, "change": _change,
    }  # fmt: skip
    bottom = row.top + sum(_HEIGHTS[lane] for lane in lanes)
    top = row.top
    for lane in lanes:
        height = _HEIGHTS[lane]
        row.draw.text((6, top + height / 2 - 7), _NAMES[lane], fill=_SOFT, font=_font(11))
        if lane != "why":
            painters[lane](row, story, top, height)
        row.draw.line([(LEFT, top + height), (row.x(row.end), top + height)], fill=_FAINT)
        top += height
    ruled = row.top + sum(_HEIGHTS[lane] for lane in lanes[: lanes.index("frames") + 1])
    ruled = ruled if "why" not in lanes else row.top + sum(_HEIGHTS[lane] for lane in lanes[: lanes.index("why")])
    for cut in story.cuts:
        if row.start <= cut < row.end:
            row.draw.line([(row.x(cut), ruled), (row.x(cut), bottom)], fill=_CUT_COLOUR)
    if "why" in lanes:
        above = lanes[: lanes.index("why")]
        _boundaries(row, story, why, row.top + sum(_HEIGHTS[lane] for lane in above), bottom)


def _time(row: _Row, story: VideoEvidence, top: int, height: int) -> None:
    del story
    for second in range(math.ceil(row.start), math.floor(row.end) + 1):
        long = second % 5 == 0
        row.draw.line([(row.x(second), top + height - (8 if long else 4)), (row.x(second), top + height)], fill=_SOFT)
        minutes, rest = divmod(second, 60)
        if row.x(second) < WIDTH - 30:
            row.draw.text(
                (row.x(second) + 2, top), f"{minutes}:{rest:02d}", fill=_INK if long else _SOFT, font=_font(11)
            )


def _frames(row: _Row, story: VideoEvidence, top: int, height: int) -> None:
    free = float(LEFT)
    for seconds, frame_HWC in story.thumbs:
        if not row.start <= seconds < row.end or row.x(seconds) < free:
            continue
        thumb = Image.fromarray(frame_HWC)
        thumb.thumbnail((2 * height, height - 6))
        x = round(row.x(seconds))
        if x + thumb.width <= WIDTH - 2:
            row.image.paste(thumb, (x, top + 2))
            row.draw.line([(x, top - 3), (x, top + height - 2)], fill=_SOFT)
        free = x + thumb.width + 4


def _truth(row: _Row, story: VideoEvidence, top: int, height: int) -> None:
    for segment in story.truth or ():
        if (edges := row.inside(segment.start_seconds, segment.end_seconds)) is not None:
            row.draw.rectangle(
                [edges[0], top + 2, edges[1], top + height - 2], outline=_INK, fill=letter_colour(segment.letter)
            )
            text = f"{segment.letter} {segment.object_word or ''}".strip()
            row.draw.text(
                (edges[0] + 3, top + 3), _fitted(text, edges[1] - edges[0] - 4, 12), fill=_INK, font=_font(12)
            )


def _segments(row: _Row, story: VideoEvidence, top: int, height: int) -> None:
    for segment in story.segments:
        if (edges := row.inside(segment.start_seconds, segment.end_seconds)) is None:
            continue
        low, high = edges
        width = high - low - 4
        row.draw.rectangle([low, top + 2, high, top + height - 2], outline=_INK, fill=(246, 247, 248))
        # As full as the decision is sure.
        floor = top + height - 3
        full = floor - round((height - 6) * min(max(segment.confidence, 0.0), 1.0))
        if high - low >= 2 and full < floor:
            row.draw.rectangle([low + 1, full, high - 1, floor], fill=letter_colour(segment.letter))
        row.draw.text(
            (low + 3, top + 2),
            _fitted(f"{segment.letter} {segment.object_word or ''}", width, 14),
            fill=_INK,
            font=_font(14),
        )
        row.draw.text((low + 3, top + 18), _fitted(f"{segment.confidence:.2f}", width, 11), fill=_INK, font=_font(11))
    for item in story.left_out:
        number = item.item_id.removeprefix(f"{story.video.video_id}-")
        if item.stage == "segment" and number.isdigit() and row.start <= int(number) / 1000 < row.end:
            x, letter = row.x(int(number) / 1000), item.detail.removeprefix("letter ")[:1]
            row.draw.line([(x, top + 4), (x, top + height - 2)], fill=_SOFT, width=2)
            row.draw.text((x + 4, top + height - 17), f"({letter})", fill=_SOFT, font=_font(12))


def _boundaries(row: _Row, story: VideoEvidence, why: Sequence[tuple[Reason, Reason]], top: int, bottom: int) -> None:
    """Under each boundary a mark in the colour of the sign that it lies on, and a dotted line through the lanes below."""
    for segment, (at_start, at_end) in zip(story.segments, why, strict=True):
        for seconds, reason, side in ((segment.start_seconds, at_start, 1), (segment.end_seconds, at_end, -1)):
            if not row.start <= seconds <= row.end:
                continue
            x, colour = row.x(seconds), SIGN_COLOURS[reason.sign]
            row.draw.polygon([(x, top + 1), (x + side * 9, top + 12), (x, top + 12)], fill=colour)
            for y in range(top + 14, bottom, 6):
                row.draw.line([(x, y), (x, y + 2)], fill=colour)


def _sound(row: _Row, story: VideoEvidence, top: int, height: int) -> None:
    middle, pixels = top + height / 2, round(row.x(row.end)) - LEFT
    for pixel in range(pixels):
        low = row.start + pixel * ROW_SECONDS / (WIDTH - LEFT - RIGHT)
        first = int(low * PEAKS_A_SECOND)
        peak = float(story.peaks_N[first : first + 2].max(initial=0))
        row.draw.line(
            [(LEFT + pixel, middle - peak * height / 2), (LEFT + pixel, middle + peak * height / 2)], fill=_WAVE
        )


def _words(row: _Row, story: VideoEvidence, top: int, height: int) -> None:
    free = [0.0] * (height // 15)
    for word in story.words:
        if (edges := row.inside(word.start_seconds, word.end_seconds)) is None:
            continue
        low, high = edges
        level = next((index for index, x in enumerate(free) if low >= x), None)
        colour = _INK if word.timing != "interpolated" else _SOFT
        if level is None:
            row.draw.line([(low, top + height - 3), (high, top + height - 3)], fill=colour, width=2)
            continue
        y = top + 15 * level
        row.draw.rectangle([low, y + 1, max(high, low + 2), y + 14], fill=(232, 238, 252))
        row.draw.line([(low, y + 1), (low, y + 14)], fill=SIGN_COLOURS["word"])
        text = _fitted(word.text, WIDTH - 2 - low, 12)
        row.draw.text((low + 2, y + 1), text, fill=colour, font=_font(12))
        free[level] = max(high, low + 4 + _font(12).getlength(text))


def _evidence(row: _Row, story: VideoEvidence, top: int, height: int) -> None:
    """A stick for each look, as high as its evidence; the letter's name over each stick that begins or is higher than before."""
    floor, shown_until, shown = top + height - 2, 0.0, ""
    for look in range(
        max(0, int(row.start * LOOKS_A_SECOND)), min(len(story.evidence_TL), int(row.end * LOOKS_A_SECOND) + 1)
    ):
        seconds = look / LOOKS_A_SECOND
        if not row.start <= seconds < row.end:
            continue
        for letter, strength in reversed(letters_at(story.evidence_TL[look])[:3]):
            x, y = row.x(seconds), floor - min(strength, 1.2) / 1.2 * (height - 14)
            row.draw.line([(x, y), (x, floor)], fill=letter_colour(letter), width=3)
            if strength >= 0.25 and (letter != shown or x > shown_until):
                row.draw.text((x - 4, y - 12), letter, fill=_INK, font=_font(11))
                shown, shown_until = letter, x + 40


def _seen(row: _Row, story: VideoEvidence, top: int, height: int) -> None:
    free = [0.0] * (height // 16)
    for seen in story.screen:
        if (edges := row.inside(seen.start_seconds, seen.end_seconds)) is None:
            continue
        low, high = edges
        level = next((index for index, x in enumerate(free) if low >= x), None)
        if level is None:
            row.draw.line([(low, top + height - 2), (high, top + height - 2)], fill=_SOFT, width=2)
            continue
        y = top + 16 * level
        row.draw.rectangle([low, y + 2, max(high, low + 10), y + 15], fill=letter_colour(seen.letter))
        row.draw.text((low + 2, y + 2), seen.letter, fill=_INK, font=_font(12))
        free[level] = max(high, low + 14)


def _change(row: _Row, story: VideoEvidence, top: int, height: int) -> None:
    floor = top + height - 2
    row.draw.line([(LEFT, floor - CUT * (height - 4)), (row.x(row.end), floor - CUT * (height - 4))], fill=_FAINT)
    looks = range(int(row.start * LOOKS_A_SECOND), min(len(story.changed_T), int(row.end * LOOKS_A_SECOND) + 1))
    points = [
        (row.x(look / LOOKS_A_SECOND), floor - math.sqrt(float(story.changed_T[look])) * (height - 4))
        for look in looks
        if row.start <= look / LOOKS_A_SECOND <= row.end
    ]
    for before, after in pairwise(points):
        row.draw.line([before, after], fill=_CHANGE, width=2)
