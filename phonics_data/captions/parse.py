"""Caption files -> words with times. Pure but for `read_captions`, which reads one file.

json3 (YouTube's own; start of a word = event start + offset), WebVTT (manual cues, and YouTube's automatic ones with
inline word times and rolling lines) and SRT. Words of automatic tracks keep their own times (``native``); where a file
times only whole cues, a cue's words share its time by their length (``interpolated``).

Known limit: automatic WebVTT shows every line twice, first as the lower line of a cue, then carried to the upper one.
Files as YouTube writes them are told apart by position, so a word that is truly said twice is kept twice; in a file
whose padding lines were stripped by another tool, a single repeated word can be taken for a carried line. json3 has no
such doubt.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

from phonics_data.captions.clean import cleaned
from phonics_data.errors import CaptionError
from phonics_data.types import Timing, Word

SUFFIXES = (".json3", ".vtt", ".srt")

MAX_WORD_SECONDS = 2.0
"""Automatic tracks let a line stand for many seconds; its last word is taken to last at most this long."""

SLACK_SECONDS = 15.0
"""A track that ends later than this after the video belongs to another cut of it."""

_UNTIMED_EVENT_SECONDS = 2.0
_SHORTEST_SECONDS = 0.05
_MAX_PAUSE_SECONDS = 1.5
_MAX_SECONDS = 1e6
_MAX_BYTES = 32 * 2**20
"""No caption track is so long: an hour of word times in json3 is one megabyte."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CaptionTrack:
    """The words of one caption file.

    Args:
        words: sorted by start; every word has 0 <= start < end.
        warnings: what was left out or repaired, one line each, with the place in the file.
        language: the code that the file itself gives (WebVTT's ``Language:``), or None.
        language_line: the line on which it does.
    """

    words: tuple[Word, ...]
    warnings: tuple[str, ...]
    language: str | None = None
    language_line: int | None = None


@dataclass(frozen=True, slots=True)
class _Piece:
    """Text of one known time: a seg of json3, the text between two inline times, or a whole cue."""

    text: str
    start: float
    end: float
    timing: Timing
    place: str
    """Where in the file it stands: ``line 7``, ``event 3``."""
    confidence: float | None = None

    @property
    def heard_until(self) -> float:
        """The end, without the seconds for which an automatic line stays on the screen after its last word."""
        return min(self.end, self.start + MAX_WORD_SECONDS) if self.timing == "native" else self.end


def read_captions(path: Path, *, duration_seconds: float | None) -> CaptionTrack:
    """The words of the caption file at `path`, by its suffix (``.json3``, ``.vtt``, ``.srt``).

    Args:
        duration_seconds: length of the video, against which the track is checked; None skips the check.

    Raises:
        CaptionError: reason ``captions_unreadable``; the message names file, line and fault.
    """
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise _unreadable(path.name, 1, f"suffix {suffix or 'none'!r}, allowed: {', '.join(SUFFIXES)}")
    try:
        if (size := path.stat().st_size) > _MAX_BYTES:
            raise _unreadable(path.name, 1, f"{size:,} bytes, allowed: {_MAX_BYTES:,}; this is no caption file")
        data = path.read_bytes()
    except OSError as error:
        raise _unreadable(path.name, 1, f"cannot be read ({error.strerror or error})") from error
    return parse_captions(data, suffix, name=path.name, duration_seconds=duration_seconds)


def parse_captions(data: bytes, suffix: str, *, name: str, duration_seconds: float | None = None) -> CaptionTrack:
    """The words of a caption file's bytes.

    Args:
        suffix: one of `SUFFIXES`.
        name: how messages call the file.
    """
    text, warnings = _decoded(data, name)
    language, language_line = None, None
    if suffix == ".json3":
        pieces = _json3_pieces(text, name, warnings)
    else:
        lines = re.split(r"\r\n|\r|\n", text)
        pieces = _cue_pieces(lines, name, warnings, is_srt=suffix == ".srt")
        language, language_line = _header_language(lines)
    _check_length(pieces, duration_seconds, name)
    words = _words(pieces, duration_seconds)
    return CaptionTrack(words=tuple(words), warnings=tuple(warnings), language=language, language_line=language_line)


def _unreadable(name: str, line: int, fault: str) -> CaptionError:
    return CaptionError("captions_unreadable", f"{name}, line {line}: {fault}")


def _check_length(pieces: Sequence[_Piece], duration_seconds: float | None, name: str) -> None:
    """Refuse a track that says something long after the video is over."""
    last = max((piece for piece in pieces if piece.text.strip()), key=lambda piece: piece.heard_until, default=None)
    if duration_seconds is None or last is None or last.heard_until <= duration_seconds + SLACK_SECONDS:
        return
    raise CaptionError(
        "captions_unreadable",
        f"{name}, {last.place}: this caption ends at {last.heard_until:.1f} s, the video at {duration_seconds:.1f} s; "
        "the captions belong to another cut of it",
        measured=last.heard_until,
        threshold=duration_seconds + SLACK_SECONDS,
    )


def _decoded(data: bytes, name: str) -> tuple[str, list[str]]:
    """(text, warnings): UTF-8, UTF-16 with its mark, else Windows-1252 as old SRT files are."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        try:
            return data.decode("utf-16"), []
        except UnicodeDecodeError as error:
            raise _unreadable(name, 1, f"no whole UTF-16 text ({error.reason})") from error
    try:
        return data.decode("utf-8-sig"), []
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        if b"\0" in data:
            raise _unreadable(name, line, "not text (zero bytes); give json3, WebVTT or SRT") from error
        return data.decode("cp1252", errors="replace"), [f"{name}, line {line}: not UTF-8, read as Windows-1252"]


# --- json3 ---------------------------------------------------------------------------------------------------------


def _json3_pieces(text: str, name: str, warnings: list[str]) -> list[_Piece]:
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        raise _unreadable(name, error.lineno, f"not JSON ({error.msg})") from error
    except (RecursionError, ValueError) as error:  # nested thousands deep, or an integer of thousands of digits
        raise _unreadable(name, 1, f"not JSON that can be read ({type(error).__name__})") from error
    events: Any = cast("dict[str, Any]", document).get("events") if isinstance(document, dict) else None
    if not isinstance(events, list):
        raise _unreadable(name, 1, "no list 'events'; json3 is YouTube's caption format")
    lines: list[tuple[str, float, float, list[dict[str, Any]]]] = []
    for number, event in enumerate(cast("list[Any]", events), start=1):
        line = _json3_event(event)
        if isinstance(line, str):
            warnings.append(f"{name}, event {number}: {line}; left out")
        elif line is not None:
            lines.append((f"event {number}", *line))
    has_word_times = any(_number(seg.get("tOffsetMs")) for _, _, _, segs in lines for seg in segs)
    pieces: list[_Piece] = []
    for place, start, end, segs in lines:
        runs = _runs(start, segs)
        pieces.extend(_timed_runs(runs, end, "native" if has_word_times else "interpolated", place))
    return pieces


def _json3_event(event: Any) -> tuple[float, float, list[dict[str, Any]]] | str | None:
    """(start, end, segs) of an event that shows text; None for window definitions and rolls; else what is wrong."""
    if not isinstance(event, dict):
        return "no object"
    fields = cast("dict[str, Any]", event)
    segs = fields.get("segs")
    if segs is None or fields.get("aAppend"):
        return None
    start, duration = _number(fields.get("tStartMs", 0)), _number(fields.get("dDurationMs", 0))
    if not isinstance(segs, list) or start is None or duration is None or start < 0:
        return "tStartMs, dDurationMs or segs is of no use"
    good = [cast("dict[str, Any]", seg) for seg in cast("list[Any]", segs) if isinstance(seg, dict)]
    end = start / 1000 + (duration / 1000 if duration > 0 else _UNTIMED_EVENT_SECONDS)
    return start / 1000, end, [seg for seg in good if isinstance(seg.get("utf8"), str)]


def _number(value: Any) -> float | None:
    """`value` as a finite number of a size that a time in milliseconds can have, else None."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < _MAX_SECONDS * 1000:
        return None
    return float(value)


def _runs(start: float, segs: Sequence[dict[str, Any]]) -> list[tuple[float, str, float | None]]:
    """(start, text, confidence) of the stretches of an event that have a time of their own."""
    runs: list[tuple[float, str, float | None]] = []
    for seg in segs:
        offset = _number(seg.get("tOffsetMs"))
        text = cast(str, seg["utf8"])
        if runs and offset is None:
            # A seg without a time of its own goes on where the one before stopped, as in "al" + "pha".
            before, so_far, confidence = runs[-1]
            runs[-1] = (before, so_far + text, confidence)
        else:
            runs.append((start + max(offset or 0.0, 0.0) / 1000, text, _asr_confidence(seg)))
    return runs


def _asr_confidence(seg: dict[str, Any]) -> float | None:
    value = _number(seg.get("acAsrConf"))
    # 0 and absent mean "not given".
    return min(value / 255, 1.0) if value is not None and value > 0 else None


# --- WebVTT and SRT ------------------------------------------------------------------------------------------------

_TIME = r"((?:\d{1,4}:)?\d{1,2}:\d{1,2}[.,]\d{1,3})"
_ARROW_LINE = re.compile(rf"\s*{_TIME}\s*-->\s*{_TIME}", re.ASCII)
_INLINE_TIME = re.compile(r"<((?:\d{1,4}:)?\d{1,2}:\d{2}\.\d{1,3})>", re.ASCII)
_TAG = re.compile(r"<[^<>\n]{0,200}>|<[^<>\n]{0,200}$")
_LANGUAGE = re.compile(r"Language:\s*([A-Za-z]{2,3}(?:-[A-Za-z0-9]+)*)\s*$")


@dataclass(frozen=True, slots=True)
class _Cue:
    start: float
    end: float
    lines: list[str]
    place: str


def _seconds(timestamp: str) -> float:
    seconds = 0.0
    for part in timestamp.replace(",", ".").split(":"):
        seconds = seconds * 60 + float(part)
    return seconds


def _clock(seconds: float) -> str:
    whole, milliseconds = divmod(round(seconds * 1000), 1000)
    return f"{whole // 3600:02d}:{whole // 60 % 60:02d}:{whole % 60:02d}.{milliseconds:03d}"


def _cue_pieces(lines: Sequence[str], name: str, warnings: list[str], *, is_srt: bool) -> list[_Piece]:
    if not any(line.strip() for line in lines):
        raise _unreadable(name, 1, "the file is empty")
    if not is_srt and not lines[0].startswith("WEBVTT"):
        raise _unreadable(name, 1, f"got {lines[0][:40]!r}, a WebVTT file begins with 'WEBVTT'")
    cues = _cues(lines, name, warnings, is_srt=is_srt)
    if not cues and is_srt:
        raise _unreadable(name, 1, "no cue with a time like '00:00:01,000 --> 00:00:02,500'")
    if any(_INLINE_TIME.search(line) for cue in cues for line in cue.lines):
        return _timed_pieces(_without_carried_lines(cues))
    texts = [cleaned(_plain(" \n".join(cue.lines))) for cue in cues]
    return [_Piece(text, cue.start, cue.end, "interpolated", cue.place) for text, cue in zip(texts, cues, strict=True)]


def _header_language(lines: Sequence[str]) -> tuple[str | None, int | None]:
    """(language code, its line) of the head of a WebVTT file, which ends at the first empty line."""
    if lines[0].startswith("WEBVTT"):
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                break
            if match := _LANGUAGE.match(line):
                return match[1], number
    return None, None


def _cues(lines: Sequence[str], name: str, warnings: list[str], *, is_srt: bool) -> list[_Cue]:
    """The cues in time order. webvtt-py finds the blocks; times are repaired before, losses told by line."""
    import webvtt

    repaired = ["WEBVTT", ""] if is_srt else ["WEBVTT"]
    places: dict[tuple[str, str], str] = {}
    for number, line in enumerate(lines if is_srt else lines[1:], start=1 if is_srt else 2):
        if "-->" not in line:
            repaired.append(line)
            continue
        match = _ARROW_LINE.match(line)
        if match is None:
            warnings.append(f"{name}, line {number}: no cue time in {line.strip()[:60]!r}; the cue is left out")
        elif _seconds(match[2]) <= _seconds(match[1]):
            warnings.append(f"{name}, line {number}: the cue ends at {match[2]}, before it begins; left out")
        else:
            # A number that stands right above is this cue's name and not text of the last one.
            repaired.insert(len(repaired) - repaired[-1].strip().isdigit(), "")
            # Only what webvtt-py gives back as it stands can be found again.
            start, end = _clock(_seconds(match[1])), _clock(_seconds(match[2]))
            repaired.append(f"{start} --> {end}")
            places.setdefault((start, end), f"line {number}")
            continue
        # What follows up to the next empty line is the text of a cue that has no time.
        repaired.extend(["", "NOTE"])
    found: list[_Cue] = []
    for caption in webvtt.from_string("\n".join(repaired)):
        place = places[caption.start, caption.end]
        found.append(_Cue(_seconds(caption.start), _seconds(caption.end), caption.raw_text.split("\n"), place))
    return sorted(found, key=lambda cue: cue.start)


def _plain(text: str) -> str:
    return _TAG.sub("", text)


def _without_carried_lines(cues: Sequence[_Cue]) -> list[_Cue]:
    """Cues of a rolling track with only the lines that are new in each.

    YouTube's cues hold two lines, the upper one carried from before. Cues of 10 ms only finish a line. Where padding
    lines are gone, the lines that repeat the end of the cue before are taken as carried.
    """
    padded = any(not _plain(line).strip() for cue in cues for line in cue.lines)
    fresh: list[_Cue] = []
    shown: list[str] = []
    for cue in cues:
        plain = [_plain(line).strip() for line in cue.lines]
        visible = [line for line in plain if line]
        if padded and len(plain) == 2 and cue.end - cue.start > 0.02:
            new = cue.lines[1:] if plain[0] in ("", *shown[-1:]) else cue.lines
        else:
            carried = max((n for n in range(1, min(len(visible), 4) + 1) if visible[:n] == shown[-n:]), default=0)
            new = [line for line, text in zip(cue.lines, plain, strict=True) if text][carried:]
        shown = visible or shown
        if new:
            fresh.append(_Cue(cue.start, cue.end, new, cue.place))
    return fresh


def _timed_pieces(cues: Iterable[_Cue]) -> list[_Piece]:
    pieces: list[_Piece] = []
    for cue in cues:
        parts = _INLINE_TIME.split(" \n".join(cue.lines))
        starts = [cue.start, *(max(_seconds(time), cue.start) for time in parts[1::2])]
        runs = [(start, _plain(text), None) for start, text in zip(starts, parts[0::2], strict=True)]
        pieces.extend(_timed_runs(runs, cue.end, "native", cue.place))
    return pieces


def _timed_runs(
    runs: Sequence[tuple[float, str, float | None]], end: float, timing: Timing, place: str
) -> list[_Piece]:
    """Pieces from (start, text, confidence): each lasts until a later one begins, the last until `end`."""
    ordered = sorted(runs, key=lambda run: run[0])
    until = end
    pieces: list[_Piece] = []
    for index in reversed(range(len(ordered))):
        start, text, confidence = ordered[index]
        if index + 1 < len(ordered) and ordered[index + 1][0] > start:
            until = ordered[index + 1][0]
        # A word that begins at or after the end of its line still was said.
        pieces.append(_Piece(cleaned(text), start, max(until, start + _SHORTEST_SECONDS), timing, place, confidence))
    # In the order of the file, which words of one time keep.
    return pieces[::-1]


# --- words ---------------------------------------------------------------------------------------------------------


def spread(tokens: Sequence[str], start: float, end: float, pause: float = 0.0) -> list[tuple[float, float]]:
    """Times for `tokens` that share ``[start, end)``, each in proportion to its length plus two characters.

    The two stand for what is equal in all words; a letter's name takes a third of the time of a long word, not a tenth.

    Args:
        pause: seconds of silence after each token but the last that ends with a mark, or that is one of several single
            letters in a row; made shorter where the words would keep less than 0.4 of the time.
    """
    weights = [len(token) + 2 for token in tokens]
    rests = [_rests_after(token, following) for token, following in pairwise(tokens)] + [False]
    pause = max(0.0, min(pause, 0.6 * (end - start) / max(sum(rests), 1)))
    unit = (end - start - pause * sum(rests)) / sum(weights)
    times: list[tuple[float, float]] = []
    here = start
    for weight, rest in zip(weights, rests, strict=True):
        times.append((here, here + weight * unit))
        here = times[-1][1] + pause * rest
    return times


def _rests_after(token: str, following: str) -> bool:
    return token[-1] in ",.;:!?" or (len(token) == 1 and len(following.rstrip(",.;:!?")) == 1)


def _pauses(pieces: Sequence[_Piece]) -> list[float]:
    """Seconds of silence between each piece and the next; for the last and before long breaks the track's median.

    A singer rests inside a line as between lines: "A, B, C," goes on in the beat of the gap to "D, E, F,".
    """
    gaps = [after.start - before.end for before, after in pairwise(pieces)]
    usual = sorted(gap for gap in gaps if 0 <= gap <= _MAX_PAUSE_SECONDS)
    median = usual[len(usual) // 2] if usual else 0.0
    return [gap if gap <= _MAX_PAUSE_SECONDS else median for gap in [*gaps, math.inf]]


def _words(pieces: Iterable[_Piece], duration_seconds: float | None) -> list[Word]:
    limit = duration_seconds if duration_seconds is not None else _MAX_SECONDS
    found: list[Word] = []
    in_order = sorted((piece for piece in pieces if piece.text.strip()), key=lambda piece: piece.start)
    for piece, pause in zip(in_order, _pauses(in_order) if in_order else [], strict=True):
        tokens = [token for token in piece.text.split() if any(letter.isalnum() for letter in token)]
        is_native = piece.timing == "native"
        times = spread(tokens, piece.start, piece.heard_until, 0.0 if is_native else pause) if tokens else []
        for order, (token, (low, high)) in enumerate(zip(tokens, times, strict=True)):
            found.append(
                Word(
                    text=token,
                    start_seconds=low,
                    end_seconds=high,
                    confidence=piece.confidence,
                    timing="interpolated" if order else piece.timing,
                )
            )
    return _in_order(found, limit)


def _in_order(found: list[Word], limit: float) -> list[Word]:
    """Sorted words on a grid of milliseconds, none past `limit`, none reaching into the next one's start."""
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
            words.append(
                Word(
                    text=word.text,
                    start_seconds=starts[index],
                    end_seconds=end,
                    confidence=word.confidence,
                    timing=word.timing,
                )
            )
    return words[::-1]
