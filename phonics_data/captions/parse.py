"""Caption files -> words with times. Pure, except `read_captions`, which reads one file.

* json3: YouTube's format; start of a word = event start + offset. Without offsets its events are cues.
* WebVTT: manual cues, and YouTube's automatic cues with inline word times and rolling lines.
* SRT.

Words of automatic tracks keep their own times (``native``). In files that time only whole cues, the words of a cue share
its duration in proportion to their length (``interpolated``).

Automatic captions in WebVTT, SRT files made from them, and json3 files that people upload contain every line two or three times;
`rolling` keeps each sung word once. Where a line that is sung twice and a line that is displayed twice look the same, a warning
names the file. json3 with word times, as YouTube makes it, is not affected.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any, cast

from phonics_data.captions.clean import clean_text, speaker_names, without_marks
from phonics_data.captions.cue_files import read_cues, seconds, split_lines
from phonics_data.captions.highlight import merged_highlights
from phonics_data.captions.markup import plain_lines, strip_tags
from phonics_data.captions.rolling import Cue, carried_lines, new_lines, without_doubles
from phonics_data.contract.untrusted import parse_json
from phonics_data.errors import CaptionError
from phonics_data.types import Timing, Word

CAPTION_SUFFIXES = (".json3", ".vtt", ".srt")
"""In order of preference: json3 has the time of every word and repeats no line."""

MAX_WORD_SECONDS = 2.0
"""Maximum length of the last word of an automatic line, whose event can last many seconds longer."""

SLACK_SECONDS = 15.0
"""A track that ends later than this after the end of the video belongs to another version of the video."""

_UNTIMED_EVENT_SECONDS = 2.0
_MIN_WORD_SECONDS = 0.05
_MAX_PAUSE_SECONDS = 1.5
_OVERLAPPING_FRACTION = 0.5
"""If a larger fraction of lines overlaps the next one, lines are displayed longer than they are spoken."""
_MAX_SECONDS = 1e6
_MAX_BYTES = 32 * 2**20
"""Upper limit of a caption file; one hour of word times in json3 takes about 1 MB."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CaptionTrack:
    """The words of one caption file.

    Args:
        words: sorted by start; every word has 0 <= start < end.
        warnings: omissions and repairs, one line each, with the position in the file.
        language: the code in the file's header (WebVTT's ``Language:``), or None.
        language_line: the line number of that header field.
    """

    words: tuple[Word, ...]
    warnings: tuple[str, ...]
    language: str | None = None
    language_line: int | None = None


@dataclass(frozen=True, slots=True)
class _TimedText:
    """Text with one time interval: a seg of json3, the text between two inline times, or a whole cue."""

    text: str
    start: float
    end: float
    timing: Timing
    place: str
    """Position in the file: ``line 7``, ``event 3``."""
    confidence: float | None = None

    @property
    def spoken_until(self) -> float:
        """The end, without the time for which an automatic line remains displayed after its last word."""
        return min(self.end, self.start + MAX_WORD_SECONDS) if self.timing == "native" else self.end


def read_captions(path: Path, *, duration_seconds: float | None) -> CaptionTrack:
    """The words of the caption file at `path`, by its suffix (``.json3``, ``.vtt``, ``.srt``).

    Args:
        duration_seconds: length of the video; a track that is too long for it is rejected. None skips the check.

    Raises:
        CaptionError: reason ``captions_unreadable``; the message contains file, line and fault.
    """
    suffix = path.suffix.lower()
    if suffix not in CAPTION_SUFFIXES:
        raise _unreadable(path.name, 1, f"suffix {suffix or 'none'!r}, allowed: {', '.join(CAPTION_SUFFIXES)}")
    try:
        if (size := path.stat().st_size) > _MAX_BYTES:
            raise _unreadable(path.name, 1, f"{size:,} bytes, allowed: {_MAX_BYTES:,}; not a caption file")
        data = path.read_bytes()
    except OSError as error:
        raise _unreadable(path.name, 1, f"cannot be read ({error.strerror or error})") from error
    return parse_captions(data, suffix, name=path.name, duration_seconds=duration_seconds)


def parse_captions(data: bytes, suffix: str, *, name: str, duration_seconds: float | None = None) -> CaptionTrack:
    """The words of a caption file that is given as bytes.

    Args:
        suffix: one of `CAPTION_SUFFIXES`.
        name: file name for messages.
        duration_seconds: as in `read_captions`.

    Raises:
        CaptionError: reason ``captions_unreadable``.
    """
    text, warnings = _decode(data, name)
    language, language_line = None, None
    if suffix == ".json3":
        pieces = _json3_pieces(text, name, warnings)
    else:
        lines = split_lines(text)
        pieces = _cue_pieces(lines, name, warnings, is_srt=suffix == ".srt")
        language, language_line = _header_language(lines)
    _check_length(pieces, duration_seconds, name)
    words = _words(pieces, duration_seconds)
    return CaptionTrack(words=tuple(words), warnings=tuple(warnings), language=language, language_line=language_line)


def _unreadable(name: str, line: int, fault: str) -> CaptionError:
    return CaptionError("captions_unreadable", f"{name}, line {line}: {fault}")


def _check_length(pieces: Sequence[_TimedText], duration_seconds: float | None, name: str) -> None:
    """Reject a track with text more than `SLACK_SECONDS` after the end of the video."""
    last = max((piece for piece in pieces if piece.text.strip()), key=lambda piece: piece.spoken_until, default=None)
    if duration_seconds is None or last is None or last.spoken_until <= duration_seconds + SLACK_SECONDS:
        return
    raise CaptionError(
        "captions_unreadable",
        f"{name}, {last.place}: this caption ends at {last.spoken_until:.1f} s, the video at {duration_seconds:.1f} s; "
        "the captions belong to another version of the video",
        measured=last.spoken_until,
        threshold=duration_seconds + SLACK_SECONDS,
    )


def _decode(data: bytes, name: str) -> tuple[str, list[str]]:
    """(text, warnings): UTF-8, UTF-16, UTF-32 with a byte order mark, else Windows-1252 (old SRT files)."""
    if data.startswith((b"\xff\xfe\0\0", b"\0\0\xfe\xff")):
        return data.decode("utf-32", errors="replace"), []
    if len(data) > 1 and data[0] != data[1] and 0 in data[:2] and data.count(0) > len(data) // 3:
        # Latin text in UTF-16 without a byte order mark: every second byte is zero.
        encoding = "utf-16-le" if data[1] == 0 else "utf-16-be"
        return data.decode(encoding, errors="replace"), [f"{name}, line 1: UTF-16 without a byte order mark"]
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        try:
            return data.decode("utf-16"), []
        except UnicodeDecodeError as error:
            raise _unreadable(name, 1, f"not valid UTF-16 ({error.reason})") from error
    try:
        return data.decode("utf-8-sig"), []
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        if b"\0" in data:
            raise _unreadable(name, line, "not text (zero bytes); give json3, WebVTT or SRT") from error
        return data.decode("cp1252", errors="replace"), [f"{name}, line {line}: not UTF-8, decoded as Windows-1252"]


# --- json3 ---------------------------------------------------------------------------------------------------------


def _json3_pieces(text: str, name: str, warnings: list[str]) -> list[_TimedText]:
    try:
        document = parse_json(text, any_numbers=True)
    except json.JSONDecodeError as error:
        raise _unreadable(name, error.lineno, f"not JSON ({error.msg})") from error
    except ValueError as error:  # deep nesting, or an integer with thousands of digits
        raise _unreadable(name, 1, f"JSON cannot be parsed ({error})") from error
    events: Any = cast("dict[str, Any]", document).get("events") if isinstance(document, dict) else None
    if not isinstance(events, list):
        raise _unreadable(name, 1, "no list 'events'; not YouTube's json3 format")
    lines: list[_Event] = []
    for number, event in enumerate(cast("list[Any]", events), start=1):
        line = _json3_event(event, f"event {number}")
        if isinstance(line, str):
            warnings.append(f"{name}, event {number}: {line}; left out")
        elif line is not None:
            lines.append(line)
    if any(_number(seg.get("tOffsetMs")) for line in lines for seg in line.segs):
        return _native_pieces([_Timed(_merge_untimed(line.start, line.segs), line.end, line.place) for line in lines])
    return _cues_to_pieces(without_doubles(_json3_cues(lines), name, warnings), name, warnings)


@dataclass(frozen=True, slots=True)
class _Event:
    """One text event of json3."""

    start: float
    end: float
    segs: list[dict[str, Any]]
    place: str
    is_appended: bool
    """Its text continues that of the event before."""


def _json3_event(event: Any, place: str) -> _Event | str | None:
    """None for window definitions and scroll events; a str describes a fault."""
    if not isinstance(event, dict):
        return "not an object"
    fields = cast("dict[str, Any]", event)
    segs, is_appended = fields.get("segs"), bool(fields.get("aAppend"))
    if segs is None:
        return None
    start, duration = _number(fields.get("tStartMs", 0)), _number(fields.get("dDurationMs", 0))
    if not isinstance(segs, list) or start is None or duration is None or start < 0:
        return "invalid tStartMs, dDurationMs or segs"
    good = [cast("dict[str, Any]", seg) for seg in cast("list[Any]", segs) if isinstance(seg, dict)]
    good = [seg for seg in good if isinstance(seg.get("utf8"), str)]
    if is_appended and not any(cast(str, seg["utf8"]).strip() for seg in good):
        return None
    end = start / 1000 + (duration / 1000 if duration > 0 else _UNTIMED_EVENT_SECONDS)
    return _Event(start / 1000, end, good, place, is_appended)


def _json3_cues(events: Sequence[_Event]) -> list[Cue]:
    """Cues in time order of a track without word times; pens, which can mark the sung word, become tags of WebVTT."""
    cues: list[Cue] = []
    for event in events:
        text = "".join(_with_pen(cast(str, seg["utf8"]), seg.get("pPenId")) for seg in event.segs)
        if event.is_appended and cues and text[0].isalnum() and cues[-1].lines[-1][-1:].isalnum():
            # "al", then "pha beta": the first word began before.
            head = text.split(maxsplit=1)[0]
            cues[-1] = replace(cues[-1], lines=[*cues[-1].lines[:-1], cues[-1].lines[-1] + head])
            text = text[len(head) :]
        cues.append(Cue(event.start, event.end, text.split("\n"), event.place))
    return sorted(cues, key=lambda cue: cue.start)


def _with_pen(text: str, pen: Any) -> str:
    return f"<c.pen{pen}>{text}</c>" if isinstance(pen, int) and pen and text.strip() else text


def _number(value: Any) -> float | None:
    """`value` as a float if it is a plausible time in milliseconds, else None."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < _MAX_SECONDS * 1000:
        return None
    return float(value)


def _merge_untimed(start: float, segs: Sequence[dict[str, Any]]) -> list[tuple[float, str, float | None]]:
    """(start, text, confidence) of each timed part of an event; segs without a time extend the part before them."""
    runs: list[tuple[float, str, float | None]] = []
    for seg in segs:
        offset = _number(seg.get("tOffsetMs"))
        text = cast(str, seg["utf8"])
        if runs and offset is None:
            # For example "al" + "pha".
            previous_start, previous_text, confidence = runs[-1]
            runs[-1] = (previous_start, previous_text + text, confidence)
        else:
            runs.append((start + max(offset or 0.0, 0.0) / 1000, text, _asr_confidence(seg)))
    return runs


def _asr_confidence(seg: dict[str, Any]) -> float | None:
    value = _number(seg.get("acAsrConf"))
    # 0 means "not given".
    return min(value / 255, 1.0) if value is not None and value > 0 else None


# --- WebVTT and SRT ------------------------------------------------------------------------------------------------

_INLINE_TIME = re.compile(r"<((?:\d{1,4}:)?\d{1,2}:\d{2}\.\d{1,3})>", re.ASCII)
_LANGUAGE = re.compile(r"Language:\s*([A-Za-z]{2,3}(?:-[A-Za-z0-9]+)*)\s*$")


def _cue_pieces(lines: Sequence[str], name: str, warnings: list[str], *, is_srt: bool) -> list[_TimedText]:
    cues = without_doubles(read_cues(lines, name, warnings, is_srt=is_srt), name, warnings)
    if any(_INLINE_TIME.search(line) for cue in cues for line in cue.lines):
        return _inline_timed_pieces(_remove_carried_lines(cues))
    return _cues_to_pieces(cues, name, warnings)


def _cues_to_pieces(cues: Sequence[Cue], name: str, warnings: list[str]) -> list[_TimedText]:
    """The text of cues that have no inline times, without what they repeat of each other."""
    if (highlighted := merged_highlights(cues, name, warnings)) is not None:
        return _inline_timed_pieces(highlighted)
    cues = new_lines([replace(cue, lines=plain_lines(cue.lines)) for cue in cues], name, warnings)
    texts = [" \n".join(cue.lines) for cue in cues]
    speakers = speaker_names(texts)
    return [
        _TimedText(clean_text(text, speakers), cue.start, cue.end, "interpolated", cue.place)
        for cue, text in zip(cues, texts, strict=True)
    ]


def _header_language(lines: Sequence[str]) -> tuple[str | None, int | None]:
    """(language code, its line number) from the header of a WebVTT file, which ends at the first empty line."""
    if lines[0].startswith("WEBVTT"):
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                break
            if match := _LANGUAGE.match(line):
                return match[1], number
    return None, None


def _plain_line(line: str) -> str:
    """The text of a line for comparison: tools write a space as ``&nbsp;``, or place a line with invisible characters."""
    return " ".join(without_marks(strip_tags(line)).split())


def _remove_carried_lines(cues: Sequence[Cue]) -> list[Cue]:
    """Cues of a rolling track with only the lines that are new in each cue.

    YouTube's cues have two lines; the upper one is carried over from the cue before. Cues of 10 ms only complete a line.
    Without padding lines, lines that repeat the end of the cue before count as carried, but not the last one of several.
    """
    padded = any(not _plain_line(line) for cue in cues for line in cue.lines)
    result: list[Cue] = []
    previous: list[str] = []
    for cue in cues:
        plain = [_plain_line(line) for line in cue.lines]
        visible = [line for line in plain if line]
        if padded and len(plain) == 2 and not cue.is_completion:
            new = cue.lines[1:] if plain[0] in ("", *previous[-1:]) else cue.lines
        else:
            carried = carried_lines(cue, visible, previous)
            new = [line for line, text in zip(cue.lines, plain, strict=True) if text][carried:]
        previous = visible or previous
        if new:
            result.append(Cue(cue.start, cue.end, new, cue.place))
    return result


@dataclass(frozen=True, slots=True)
class _Timed:
    """A line with times inside: runs of (start, text, confidence)."""

    runs: Sequence[tuple[float, str, float | None]]
    end: float
    place: str


def _inline_timed_pieces(cues: Sequence[Cue]) -> list[_TimedText]:
    lines: list[_Timed] = []
    for cue in cues:
        parts = _INLINE_TIME.split(" \n".join(cue.lines))
        starts = [cue.start, *(max(seconds(time), cue.start) for time in parts[1::2])]
        runs = [(start, strip_tags(text), None) for start, text in zip(starts, parts[0::2], strict=True)]
        lines.append(_Timed(runs, cue.end, cue.place))
    return _native_pieces(lines)


def _native_pieces(lines: Sequence[_Timed]) -> list[_TimedText]:
    speakers = speaker_names(text for line in lines for _, text, _ in line.runs)
    return [piece for line in lines for piece in _pieces_until(line, speakers)]


def _pieces_until(line: _Timed, speakers: frozenset[str]) -> list[_TimedText]:
    """The pieces of a line: each ends where the next later one begins, the last at its end."""
    ordered = sorted(line.runs, key=lambda run: run[0])
    until = line.end
    pieces: list[_TimedText] = []
    for index in reversed(range(len(ordered))):
        start, text, confidence = ordered[index]
        if index + 1 < len(ordered) and ordered[index + 1][0] > start:
            until = ordered[index + 1][0]
        # A word that begins at or after the end of its line is kept.
        pieces.append(
            _TimedText(
                clean_text(text, speakers),
                start,
                max(until, start + _MIN_WORD_SECONDS),
                "native",
                line.place,
                confidence,
            )
        )
    # File order: pieces with equal times keep it.
    return pieces[::-1]


# --- words ---------------------------------------------------------------------------------------------------------


def interpolate_times(tokens: Sequence[str], start: float, end: float, pause: float = 0.0) -> list[tuple[float, float]]:
    """(start, end) for each of `tokens` within ``[start, end)``, in proportion to its length plus two characters.

    The constant makes a letter name take about a third of the time of a long word instead of a tenth.

    Args:
        pause: seconds of silence after each token, except the last, that ends with punctuation or is one of several single
            letters in a row. It is shortened where the words would keep less than 0.4 of the interval.
    """
    if not tokens:
        return []
    weights = [len(token) + 2 for token in tokens]
    has_pause = [_has_pause_after(token, following) for token, following in pairwise(tokens)] + [False]
    pause = max(0.0, min(pause, 0.6 * (end - start) / max(sum(has_pause), 1)))
    unit = (end - start - pause * sum(has_pause)) / sum(weights)
    times: list[tuple[float, float]] = []
    here = start
    for weight, pauses in zip(weights, has_pause, strict=True):
        times.append((here, here + weight * unit))
        here = times[-1][1] + pause * pauses
    return times


def _has_pause_after(token: str, following: str) -> bool:
    return token[-1] in ",.;:!?" or (len(token) == 1 and len(following.rstrip(",.;:!?")) == 1)


def _pauses(pieces: Sequence[_TimedText]) -> list[float]:
    """Seconds of silence between each piece and the next; the track's median for the last one and before long breaks.

    These pauses are also used inside a line: "A, B, C," has the rhythm of the gap to "D, E, F,".
    """
    if not pieces:
        return []
    gaps = [after.start - before.end for before, after in pairwise(pieces)]
    short = sorted(gap for gap in gaps if 0 <= gap <= _MAX_PAUSE_SECONDS)
    usual = short[len(short) // 2] if short else 0.0
    return [gap if gap <= _MAX_PAUSE_SECONDS else usual for gap in [*gaps, math.inf]]


def _without_overlapping_lines(pieces: list[_TimedText]) -> list[_TimedText]:
    """Lines that are displayed until the next one is complete end where the next one begins; their words have no times.

    The last line, and those before a break, are shortened to the usual time per character.
    """
    following = [*(after.start for after in pieces[1:]), math.inf][: len(pieces)]
    is_cut = [
        piece.timing == "interpolated" and piece.start + _MIN_WORD_SECONDS < start < piece.end
        for piece, start in zip(pieces, following, strict=True)
    ]
    # Single overlaps are two voices.
    if sum(is_cut) < max(2, _OVERLAPPING_FRACTION * (len(pieces) - 1)):
        return pieces
    rate = median(
        (start - piece.start) / len(piece.text)
        for piece, start, one in zip(pieces, following, is_cut, strict=True)
        if one
    )
    shortened = [
        replace(piece, end=start if one else min(piece.end, piece.start + rate * len(piece.text)))
        for piece, start, one in zip(pieces, following, is_cut, strict=True)
    ]
    return [
        after if before.timing == "interpolated" else before for before, after in zip(pieces, shortened, strict=True)
    ]


def _words(pieces: Iterable[_TimedText], duration_seconds: float | None) -> list[Word]:
    words: list[Word] = []
    in_order = _without_overlapping_lines(
        sorted((piece for piece in pieces if piece.text.strip()), key=lambda piece: piece.start)
    )
    for piece, pause in zip(in_order, _pauses(in_order), strict=True):
        tokens = [token for token in piece.text.split() if any(letter.isalnum() for letter in token)]
        pause = 0.0 if piece.timing == "native" else pause
        times = interpolate_times(tokens, piece.start, piece.spoken_until, pause)
        for index, (token, (start, end)) in enumerate(zip(tokens, times, strict=True)):
            timing = "interpolated" if index else piece.timing
            words.append(
                Word(text=token, start_seconds=start, end_seconds=end, confidence=piece.confidence, timing=timing)
            )
    return _without_overlap(words, duration_seconds if duration_seconds is not None else _MAX_SECONDS)


def _without_overlap(found: list[Word], limit: float) -> list[Word]:
    """Words sorted by start, rounded to milliseconds; none ends after `limit` or after the start of the next one."""
    found.sort(key=lambda word: word.start_seconds)
    starts = [round(word.start_seconds, 3) for word in found]
    words: list[Word] = []
    next_start = math.inf
    for index in reversed(range(len(found))):
        word = found[index]
        if index + 1 < len(found) and starts[index + 1] > starts[index]:
            next_start = starts[index + 1]
        end = round(min(word.end_seconds, next_start, limit), 3)
        if starts[index] < end:
            words.append(replace(word, start_seconds=starts[index], end_seconds=end))
    return words[::-1]
