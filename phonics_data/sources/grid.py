"""Importer of the GRID corpus: 34 speakers, sentences of six words, one of them a letter ("bin blue at F two now").

Videos are ``<speaker>/<sentence>.mpg``, alignments ``<speaker>/<sentence>.align``, both anywhere below the folder. An
alignment has one line per word: start, end (in 1/25000 s), word.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor
from pathlib import Path
from typing import Literal

from phonics_data.errors import InputError, ItemError, MediaError
from phonics_data.media import probe
from phonics_data.media.suffixes import is_video_file
from phonics_data.sources.importer import LabelledFile, LabelledSegment, file_id, require_folder

LETTERS = "abcdefghijklmnopqrstuvxyz"
"""GRID has no W. The fourth character of a sentence's file name is its letter."""

UNITS_PER_SECOND = 25_000
"""Of the times in alignments."""

_LETTER_WORD = 3
"""Position of the letter among the six words of a sentence, from 0."""

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

    Args:
        label: the class: the speaker, or the letter in the sentence.
        frame_rate: of the clips; None: each file's own.
        min_frames: minimum length of the clip of a letter, in frames at that rate.

    Raises:
        InputError: no such folder, or no videos in GRID's layout, or a damaged alignment.
    """
    require_folder(folder)
    paths = sorted(folder.rglob("*"))
    alignments = {(path.parent.name, path.stem): path for path in paths if path.suffix.lower() == ".align"}
    found: list[LabelledFile] = []
    for path in filter(is_video_file, paths):
        speaker, sentence = path.parent.name, path.stem
        lines = _lines(alignments.get((speaker, sentence)))
        words = [line for line in lines if line.text not in ("sil", "sp")]
        fault: ItemError | None = None
        segment = LabelledSegment(label=speaker)
        if label == "letter":
            letter = _letter(sentence, words)
            if letter is None:
                raise InputError(
                    f"{path}: neither its name nor an .align file contains its letter; "
                    "expected GRID's names, e.g. bbaf2n.mpg"
                )
            segment = LabelledSegment(label=letter)
            if len(words) == 6:
                try:
                    rate = frame_rate or probe(path).frame_rate or Fraction(25)
                except MediaError as error:
                    fault = error
                else:
                    start, end = _interval(words[_LETTER_WORD], lines[-1].end, rate, min_frames)
                    segment = LabelledSegment(label=letter, start_seconds=start, end_seconds=end)
            else:
                fault = ItemError(
                    "file_missing",
                    f"{path}: no {speaker}/{sentence}.align with six words gives the time of its letter; add GRID's "
                    "alignments, or use --label speaker",
                )
        found.append(
            LabelledFile(video_id=file_id(path.relative_to(folder)), path=path, segments=(segment,), fault=fault)
        )
    if not found:
        raise InputError(f"{folder}: no <speaker>/<sentence>.mpg below it; is this GRID's video folder?")
    return found


def _lines(alignment: Path | None) -> list[_AlignedWord]:
    """The lines of an alignment file; none without a file."""
    if alignment is None:
        return []
    found: list[_AlignedWord] = []
    for number, line in enumerate(alignment.read_text().splitlines(), start=1):
        parts = line.split()
        if len(parts) != 3 or not (parts[0].isdigit() and parts[1].isdigit()):
            raise InputError(f"{alignment}: line {number} is {line!r}, expected start, end and word")
        found.append(_AlignedWord(int(parts[0]), int(parts[1]), parts[2]))
    return found


def _letter(sentence: str, words: list[_AlignedWord]) -> str | None:
    spoken = words[_LETTER_WORD].text if len(words) == 6 else sentence[_LETTER_WORD : _LETTER_WORD + 1]
    return spoken.upper() if len(spoken) == 1 and spoken in LETTERS else None


def _interval(word: _AlignedWord, end: int, frame_rate: Fraction, min_frames: int) -> tuple[float, float]:
    """(start, end) in seconds of a clip of `word`: whole frames, at least `min_frames`, inside ``[0, end)`` of the sentence."""
    frames_per_unit = frame_rate / UNITS_PER_SECOND
    first, last = floor(word.start * frames_per_unit), ceil(word.end * frames_per_unit)
    missing = max(min_frames - (last - first), 0)
    first = max(min(first - missing // 2, floor(end * frames_per_unit) - (last - first + missing)), 0)
    last = max(last, first + min_frames)
    return float(first / frame_rate), float(last / frame_rate)
