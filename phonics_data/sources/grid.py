"""The GRID corpus: 34 speakers, short sentences of six words, one of them a letter ("bin blue at F two now").

Files are ``<speaker>/<sentence>.mpg`` with ``<speaker>/<sentence>.align`` anywhere below the folder. An alignment has a
line for each word: start, end (in 1/25000 s), word.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from phonics_data.errors import InputError
from phonics_data.sources.collect import LabelledFile, LabelledSegment, file_id

LETTER_CODES = "abcdefghijklmnopqrstuvxyz"
"""The fourth character of a sentence's name is its letter; GRID has no W, whose name has three syllables."""

GridLabel = Literal["speaker", "letter"]


def grid_files(folder: Path, label: GridLabel = "speaker") -> list[LabelledFile]:
    """Every sentence below `folder` as one clip.

    Args:
        label: what the class is: who speaks, or the letter in the sentence.

    Raises:
        InputError: no such folder, or no videos laid out as in GRID.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder")
    aligned = {(path.parent.name, path.stem): path for path in folder.rglob("*.align")}
    found: list[LabelledFile] = []
    for path in sorted([*folder.rglob("*.mpg"), *folder.rglob("*.mp4")]):
        speaker, sentence = path.parent.name, path.stem
        words = _words(aligned.get((speaker, sentence)))
        letter = _letter(sentence, words)
        if label == "letter" and letter is None:
            raise InputError(
                f"{path}: neither its name nor an .align beside it tells its letter; "
                "wanted GRID's own names, e.g. bbaf2n.mpg"
            )
        found.append(
            LabelledFile(
                video_id=file_id(path.relative_to(folder)),
                path=path,
                segments=(LabelledSegment(label=speaker if label == "speaker" else letter or "", object_word=None),),
            )
        )
    if not found:
        raise InputError(f"{folder}: no <speaker>/<sentence>.mpg below it; is this GRID's video folder?")
    return found


def _words(alignment: Path | None) -> list[str]:
    """The words of an alignment file, silences left out."""
    if alignment is None:
        return []
    words: list[str] = []
    for number, line in enumerate(alignment.read_text().splitlines(), start=1):
        parts = line.split()
        if len(parts) != 3 or not (parts[0].isdigit() and parts[1].isdigit()):
            raise InputError(f"{alignment}: line {number} is {line!r}, wanted start, end and word")
        if parts[2] not in ("sil", "sp"):
            words.append(parts[2])
    return words


def _letter(sentence: str, words: list[str]) -> str | None:
    spoken = words[3] if len(words) == 6 else sentence[3:4]
    return spoken.upper() if len(spoken) == 1 and spoken in LETTER_CODES else None
