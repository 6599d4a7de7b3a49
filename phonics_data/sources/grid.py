"""Importer of the GRID corpus: 34 speakers, sentences of six words, one of them a letter ("bin blue at F two now").

Videos are ``<speaker>/<sentence>.mpg``, alignments ``<speaker>/<sentence>.align``, both anywhere below the folder. An
alignment has one line per word: start, end (in 1/25000 s), word.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from phonics_data.errors import InputError
from phonics_data.media.suffixes import is_video_file
from phonics_data.sources.importer import LabelledFile, LabelledSegment, file_id, require_folder

LETTERS = "abcdefghijklmnopqrstuvxyz"
"""GRID has no W. The fourth character of a sentence's file name is its letter."""

GridLabel = Literal["speaker", "letter"]


def grid_files(folder: Path, label: GridLabel = "speaker") -> list[LabelledFile]:
    """Every sentence below `folder` as one clip.

    Args:
        label: the class: the speaker, or the letter in the sentence.

    Raises:
        InputError: no such folder, or no videos in GRID's layout.
    """
    require_folder(folder)
    paths = sorted(folder.rglob("*"))
    alignments = {(path.parent.name, path.stem): path for path in paths if path.suffix.lower() == ".align"}
    found: list[LabelledFile] = []
    for path in filter(is_video_file, paths):
        speaker, sentence = path.parent.name, path.stem
        words = _words(alignments.get((speaker, sentence)))
        letter = _letter(sentence, words)
        if label == "letter" and letter is None:
            raise InputError(
                f"{path}: neither its name nor an .align file contains its letter; "
                "expected GRID's names, e.g. bbaf2n.mpg"
            )
        found.append(
            LabelledFile(
                video_id=file_id(path.relative_to(folder)),
                path=path,
                segments=(LabelledSegment(label=speaker if label == "speaker" else letter or ""),),
            )
        )
    if not found:
        raise InputError(f"{folder}: no <speaker>/<sentence>.mpg below it; is this GRID's video folder?")
    return found


def _words(alignment: Path | None) -> list[str]:
    """The words of an alignment file, without silences."""
    if alignment is None:
        return []
    words: list[str] = []
    for number, line in enumerate(alignment.read_text().splitlines(), start=1):
        parts = line.split()
        if len(parts) != 3 or not (parts[0].isdigit() and parts[1].isdigit()):
            raise InputError(f"{alignment}: line {number} is {line!r}, expected start, end and word")
        if parts[2] not in ("sil", "sp"):
            words.append(parts[2])
    return words


def _letter(sentence: str, words: list[str]) -> str | None:
    spoken = words[3] if len(words) == 6 else sentence[3:4]
    return spoken.upper() if len(spoken) == 1 and spoken in LETTERS else None
