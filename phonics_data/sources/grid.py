"""Importer of the GRID corpus: 34 speakers, sentences of six words, one of them a letter ("bin blue at F two now").

Videos are ``<sentence>.mpg`` and alignments ``<sentence>.align``, both anywhere below a folder of their speaker (``s1``,
``s1/video/mpg_6000``, ``alignments/s1``, ``s1_processed/align``, ``s1.mpg_6000.part1``). An alignment has one line per word: start,
end (in 1/25000 s), word; its last one ends with the video. What does not fit becomes a rejection of its own.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor
from pathlib import Path
from typing import Literal

from phonics_data.contract.untrusted import read_text
from phonics_data.errors import InputError, ItemError
from phonics_data.executors.isolated import Limits, call_isolated
from phonics_data.media import probe
from phonics_data.media.suffixes import is_hidden, is_video_file, unread_entry
from phonics_data.sources.importer import LabelledFile, LabelledSegment, file_id, require_folder

LETTERS = "abcdefghijklmnopqrstuvxyz"
"""GRID has no W. The fourth character of a sentence's file name is its letter."""

UNITS_PER_SECOND = 25_000
"""Of the times in alignments."""

_LETTER_WORD = 3
"""Position of the letter among the six words of a sentence, from 0."""

_SPEAKER = re.compile(r"s0?(\d{1,2})(?![0-9A-Za-z])", re.IGNORECASE)
_INNER_FOLDER = re.compile(r"videos?|mpg.*|align.*", re.IGNORECASE)
"""Folders between that of a speaker and its files: ``s1/video/mpg_6000``."""
_PREFERRED = "mpg_6000"
_NAME = re.compile(r"[bslp][bgrw][abiw]([a-z])[0-9z][nasp]", re.IGNORECASE)
"""A sentence: command, colour, preposition, letter, digit, adverb."""
_SILENCE = ("sil", "sp")
_LINE = re.compile(r"([0-9]{1,9})\s+([0-9]{1,9})\s+(\S{1,20})")
_MAX_ALIGNMENT_BYTES = 100_000
_MIN_SECONDS, _MAX_SECONDS = 0.5, 10.0
"""Plausible length of a sentence; all last 3 s. The import compares it with that of the video."""
_LIMITS = Limits(seconds=60)
"""Of reading the header of one file."""

GridLabel = Literal["speaker", "letter"]


@dataclass(frozen=True, slots=True)
class _AlignedWord:
    start: int
    end: int
    text: str


def grid_files(
    folder: Path, label: GridLabel = "speaker", *, frame_rate: Fraction | None = Fraction(25), min_frames: int = 14
) -> list[LabelledFile]:
    """Every sentence below `folder` as one clip: the whole sentence of a speaker, or the seconds of its letter.

    A letter lasts .1 to .4 s. Its clip is extended into the sentence, evenly on both sides, to `min_frames`. Without an
    alignment its time is not known, so the sentence becomes a rejection (``file_missing``) and not a clip of all six words.
    Several speakers say the same sentence at different times: an alignment in no folder of a speaker is used if only one of
    them is there.

    Args:
        label: the class: the speaker, or the letter in the sentence.
        frame_rate: of the clips; None: each file's own.
        min_frames: minimum length of the clip of a letter, in frames at that rate.

    Raises:
        InputError: no such folder, or no videos in it.
    """
    require_folder(folder)
    paths = sorted(path for path in folder.rglob("*") if not is_hidden(path.relative_to(folder)))
    alignments: dict[tuple[str, str], Path] = {}
    for path in paths:
        if path.suffix.lower() == ".align":
            alignments.setdefault((_speaker(path, folder) or "", path.stem.lower()), path)
    speakers: defaultdict[str, set[str]] = defaultdict(set)
    for path in paths:
        if is_video_file(path) and (speaker := _speaker(path, folder)):
            speakers[path.stem.lower()].add(speaker)
    found: list[LabelledFile] = []
    seen: dict[tuple[str, str], Path] = {}
    for path in sorted(paths, key=lambda path: _PREFERRED not in path.parts):  # of two recordings the better one
        unread = unread_entry(path)
        if not (unread or is_video_file(path)):
            continue
        speaker, sentence = _speaker(path, folder), path.stem.lower()
        named = _NAME.fullmatch(sentence)
        label_of_name = (named[1].upper() if named else "") if label == "letter" else speaker
        segment, fault, expected_seconds = LabelledSegment(label=label_of_name or ""), None, None
        try:
            if unread:
                raise ItemError("file_missing", f"{path}: {unread}")
            if speaker is None:
                raise ItemError(
                    "no_label",
                    f"{path}: no folder above it is named like a speaker of GRID, s1 to s34; rename the folder",
                )
            if (first := seen.setdefault((speaker, sentence), path)) != path:
                raise ItemError(
                    "near_duplicate", f"{path}: a second recording of the sentence in {first}, which was used"
                )
            if label == "letter":
                alignment = alignments.get((speaker, sentence))
                if alignment is None and (alignment := alignments.get(("", sentence))) and len(speakers[sentence]) > 1:
                    raise ItemError(
                        "no_label",
                        f"{alignment}: {', '.join(sorted(speakers[sentence]))} say this sentence, and no folder above it names "
                        f"one of them; put the alignments of each speaker into a folder of their own, as align/{speaker}",
                    )
                segment, expected_seconds = _letter_segment(path, speaker, alignment, frame_rate, min_frames)
        except ItemError as error:
            fault = error
        found.append(
            LabelledFile(
                video_id=file_id(path.relative_to(folder)),
                path=path,
                segments=(segment,),
                fault=fault,
                expected_seconds=expected_seconds,
            )
        )
    if not found:
        images = next((path for path in paths if path.suffix.lower() in (".jpg", ".jpeg", ".png")), None)
        only = (
            f"; its image sequences ({images.name}, ...) are not supported, get the videos (mpg_6000)" if images else ""
        )
        raise InputError(f"{folder}: no <speaker>/<sentence>.mpg below it; is this GRID's video folder?{only}")
    return sorted(found, key=lambda file: file.path)


def _speaker(path: Path, folder: Path) -> str | None:
    """The speaker to whom a file below `folder` belongs: the nearest folder that is named like one; None without one."""
    above = list(reversed(path.relative_to(folder).parts[:-1]))
    for parent in (folder.absolute(), *folder.absolute().parents):
        above.append(parent.name)
        if not _INNER_FOLDER.fullmatch(parent.name):
            break
    numbers = (int(match[1]) for name in above if (match := _SPEAKER.match(name)))
    return next((f"s{number}" for number in numbers if 1 <= number <= 34), None)


def _letter_segment(
    path: Path, speaker: str, alignment: Path | None, frame_rate: Fraction | None, min_frames: int
) -> tuple[LabelledSegment, float]:
    """(the letter of a sentence with its interval, the end of the alignment in seconds).

    Raises:
        ItemError: no alignment with six words, a damaged one, or one of another sentence.
    """
    named = _NAME.fullmatch(path.stem)
    lines = _lines(alignment)
    words = [line for line in lines if line.text not in _SILENCE]
    if len(words) != 6:
        raise ItemError(
            "file_missing",
            f"{path}: no {speaker}/{path.stem}.align with six words gives the time of its letter; add GRID's "
            "alignments, or use --label speaker",
        )
    letter = words[_LETTER_WORD].text
    if len(letter) != 1 or letter not in LETTERS:
        raise ItemError("no_label", f"{alignment}: its fourth word is {letter!r}, expected a letter other than w")
    if named is not None and named[1].lower() != letter:
        raise ItemError("no_label", f"{alignment}: its letter is {letter!r}, that of {path.name} {named[1].lower()!r}")
    rate = frame_rate or call_isolated(probe, path, _LIMITS).frame_rate or Fraction(25)
    start, end = _interval(words[_LETTER_WORD], lines[-1].end, rate, min_frames)
    segment = LabelledSegment(label=letter.upper(), start_seconds=start, end_seconds=end)
    return segment, lines[-1].end / UNITS_PER_SECOND


def _lines(alignment: Path | None) -> list[_AlignedWord]:
    """The lines of an alignment file; none without a file.

    Raises:
        ItemError: ``no_label``: not three columns, words that overlap or have no duration, or times that are not in 1/25000 s.
    """
    if alignment is None:
        return []
    try:
        text = read_text(alignment, _MAX_ALIGNMENT_BYTES)
    except (OSError, ValueError) as error:
        raise ItemError("no_label", f"{alignment}: cannot be read ({error})") from error
    found: list[_AlignedWord] = []
    for number, line in enumerate(filter(str.strip, text.splitlines()), start=1):
        match = _LINE.fullmatch(line.strip())
        start, end = (int(match[1]), int(match[2])) if match else (0, 0)
        if match is None or end < start:
            raise ItemError("no_label", f"{alignment}: line {number} is {line[:60]!r}, expected start, end and word")
        word = _AlignedWord(start, end, match[3].lower())
        if found and start < found[-1].end:
            raise ItemError(
                "no_label",
                f"{alignment}: line {number} is {line[:60]!r}, but the word before it ends at {found[-1].end}; expected words one "
                "after the other",
            )
        if start == end and word.text not in _SILENCE:
            raise ItemError("no_label", f"{alignment}: line {number} is {line[:60]!r}, a word without duration")
        found.append(word)
    if found and not _MIN_SECONDS <= found[-1].end / UNITS_PER_SECOND <= _MAX_SECONDS:
        raise ItemError(
            "no_label",
            f"{alignment}: ends at {found[-1].end / UNITS_PER_SECOND:g} s, expected about 3 s in units of 1/{UNITS_PER_SECOND} s",
        )
    return found


def _interval(word: _AlignedWord, end: int, frame_rate: Fraction, min_frames: int) -> tuple[float, float]:
    """(start, end) in seconds of a clip of `word`: whole frames, at least `min_frames`, inside ``[0, end)`` of the sentence."""
    frames_per_unit = frame_rate / UNITS_PER_SECOND
    first, last = floor(word.start * frames_per_unit), ceil(word.end * frames_per_unit)
    missing = max(min_frames - (last - first), 0)
    first = max(min(first - missing // 2, floor(end * frames_per_unit) - (last - first + missing)), 0)
    last = max(last, first + min_frames)
    return float(first / frame_rate), float(last / frame_rate)
