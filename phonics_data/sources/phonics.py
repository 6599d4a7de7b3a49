"""Importer of the paper's own material: short videos ``<source>_<clip>.mp4``, each of one letter and one object word.

* The letter and the word come from a table (`labels_of_table`), else from a name ``output_<source>_<clip>_letter<l>`` (the
  videos that the authors' model made), else from the text on the screen in the last half second (`read_label`).
* All videos of one source are one group and stay in one split.
* Each video is one clip as it is: its edges are not trimmed.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from phonics_data.contract.csv_table import read_csv
from phonics_data.contract.labels import LETTERS
from phonics_data.errors import InputError, ItemError
from phonics_data.executors.executor import Executor, on_this_machine
from phonics_data.executors.isolated import Limits
from phonics_data.executors.items import OnProgress
from phonics_data.media.frame_sampler import sample_frames
from phonics_data.media.suffixes import VIDEO_SUFFIXES, is_video_file, unread_entry
from phonics_data.ocr.recognizer import letter_recognizer
from phonics_data.ocr.text_lines import line_detector
from phonics_data.sources.importer import LabelledFile, LabelledSegment, file_fingerprint, file_id, require_folder
from phonics_data.storage.tables import from_plain, to_plain
from phonics_data.storage.workspace import Workspace
from phonics_data.types import LabelSource

NAME = re.compile(r"(?P<source>[A-Za-z0-9][A-Za-z0-9_-]*?)_(?P<clip>\d+)")
GENERATED_NAME = re.compile(r"output_(?P<source>[A-Za-z0-9][A-Za-z0-9_-]*?)_(?P<clip>\d+)_letter(?P<letter>[A-Za-z])")
NAMES = "<source>_<clip>.mp4 or output_<source>_<clip>_letter<l>.mp4, e.g. 62_5.mp4"
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")

READ_VERSION = 1
"""Increased whenever `read_label` can have another result; all screens are then read again."""
_READ_SECONDS = 0.5
"""The last part of a video that is read; the word is complete there."""
_RATE = 8
"""Frames read per second."""
_READ_SIZE = (384, 216)
"""Width and height at which frames are read. The material is 16:9, squashed to squares; small text is read larger."""
_SQUARE = 1.2
"""Frames up to this width over height are squashed 16:9."""
_SURE = 0.9
"""Score of a text line from which it counts."""
_MIN_LETTER_FRAMES = 2
"""A letter without a word counts if so many frames show it."""
_MAX_WORDS = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class Label:
    """The letter and the object word of one video."""

    letter: str
    object_word: str | None = None
    confidence: float = 1.0
    """0..1; 1 unless it was read from the screen."""


def phonics_files(
    folder: Path,
    labels: Path | None = None,
    *,
    workspace: Workspace | None = None,
    workers: int = 1,
    on_progress: OnProgress | None = None,
    executor: Executor = on_this_machine,
) -> list[LabelledFile]:
    """Every video below `folder` as one clip.

    These become a file with a fault:

    * a video that has another name (``bad_name``), no row in `labels`, no readable text, or another letter in its name than
      in `labels` (``no_label``);
    * a row of `labels` without a video, a link to nothing or to a folder, and a folder named as a video (``file_missing``).

    Args:
        labels: table as in `labels_of_table`; None: names and the screen give the labels.
        workspace: keeps what was read from each screen; unchanged files are not read again. None: nothing is kept.
        workers: processes that read screens.
        on_progress: called with ("read", videos read, videos to read).
        executor: what reads screens: `workers` processes, or a cluster.

    Raises:
        InputError: no such folder, no videos in it, or an unusable table.
    """
    require_folder(folder)
    table = labels_of_table(labels) if labels is not None else None
    entries = sorted(folder.rglob("*"))
    unread = {path: fault for path in entries if (fault := unread_entry(path))}
    paths = [path for path in entries if path in unread or is_video_file(path)]
    if not paths:
        raise InputError(
            f"{folder}: no videos below it; expected {NAMES} (or another of {', '.join(sorted(VIDEO_SUFFIXES))})"
        )
    stems = Counter(path.stem for path in paths)
    missing = dict(table or {})
    files: list[LabelledFile] = []
    for path in paths:
        relative = path.relative_to(folder)
        is_plain = stems[path.stem] == 1 and _ID.fullmatch(path.stem)
        file = LabelledFile(video_id=path.stem if is_plain else file_id(relative), path=path, segments=())
        key = next((key for key in (relative.as_posix(), path.name) if table is not None and key in table), None)
        label = missing.pop(key, None) or (table or {})[key] if key is not None else None
        if path in unread:
            files.append(replace(file, fault=ItemError("file_missing", f"{path}: {unread[path]}")))
            continue
        generated = GENERATED_NAME.fullmatch(path.stem)
        named = generated or NAME.fullmatch(path.stem)
        if named is None:
            fault = ItemError(
                "bad_name", f"{path}: its name gives no source; expected {NAMES}: rename it, or leave it out"
            )
            files.append(replace(file, fault=fault))
            continue
        file = replace(file, group=named["source"])
        if label is not None and generated is not None and generated["letter"].upper() != label.letter:
            fault = ItemError(
                "no_label",
                f"{path}: its name gives the letter {generated['letter'].upper()}, --labels {labels} gives {label.letter}; correct "
                "one of them",
            )
            files.append(replace(file, fault=fault))
        elif label is not None:
            files.append(_labelled(file, label, "csv"))
        elif generated is not None:
            files.append(_labelled(file, Label(letter=generated["letter"].upper()), "file_name"))
        elif table is not None:
            fault = ItemError(
                "no_label", f"{path}: --labels {labels} has no row of it; add one, or leave the video out"
            )
            files.append(replace(file, fault=fault))
        else:
            files.append(file)
    for name in sorted(missing):
        path = folder / name
        fault = ItemError(
            "file_missing", f"{path}: in --labels {labels}, but no such file; correct the row or provide it"
        )
        # No path of a video has "..", so this is the id of none.
        files.append(LabelledFile(video_id=file_id(Path("..", "missing", name)), path=path, segments=(), fault=fault))
    return _read_screens(files, workspace, workers, on_progress, executor)


def _labelled(file: LabelledFile, label: Label, evidence: LabelSource) -> LabelledFile:
    segment = LabelledSegment(
        label=label.letter,
        object_word=label.object_word,
        evidence=evidence,
        confidence=label.confidence,
        object_word_source="screen" if evidence == "screen" and label.object_word else "",
    )
    return replace(file, segments=(segment,))


def labels_of_table(path: Path) -> dict[str, Label]:
    """Name of a video, or its path relative to the folder -> label.

    The table is a CSV with the columns ``file``, ``letter`` and ``word``; the word may be empty. Other columns are ignored,
    and a video can have several rows with the same letter and word, so a table of events serves too.

    Raises:
        InputError: as `read_csv`; no file name, a letter that is none, or two rows of one video with different labels.
            The message names the line.
    """
    option = f"--labels {path}"
    found: dict[str, tuple[Label, int]] = {}
    for row in read_csv("--labels", path, ("file", "letter", "word")):
        line, name, letter, word = row.line, *(row.cells[column] for column in ("file", "letter", "word"))
        if not name or Path(name).is_absolute() or ".." in Path(name).parts:
            raise InputError(f"{option}: line {line}: file is {name!r}, allowed: names of videos in the folder")
        if letter.upper() not in LETTERS.names:
            raise InputError(f"{option}: line {line}: letter of {name} is {letter!r}, allowed: A to Z")
        if not word.isprintable():
            raise InputError(
                f"{option}: line {line}: word {word!r} has non-printable characters; allowed: text on one line"
            )
        label = Label(letter=letter.upper(), object_word=word or None)
        key = Path(name).as_posix()
        other, first = found.setdefault(key, (label, line))
        if _words(other).casefold() != _words(label).casefold():
            raise InputError(
                f"{option}: line {line}: {name} is {_words(label)}, but {_words(other)} in line {first}; "
                "a video has one letter and one word"
            )
    return {name: label for name, (label, _) in found.items()}


def _words(label: Label) -> str:
    return f"{label.letter} for {label.object_word}" if label.object_word else label.letter


def _read_screens(
    files: Sequence[LabelledFile],
    workspace: Workspace | None,
    workers: int,
    on_progress: OnProgress | None,
    executor: Executor,
) -> list[LabelledFile]:
    """`files`, those without label and fault with the one that their screen shows, or with a fault."""
    unread = [file for file in files if not file.segments and file.fault is None]
    report = on_progress or (lambda _stage, _done, _total: None)
    ledger = workspace.ledger("screens") if workspace is not None else None
    marks = {file.video_id: file_fingerprint(file, READ_VERSION) for file in unread}
    read: dict[str, LabelledFile] = {}
    for file in unread:
        found = (
            ledger.read(file.video_id, marks[file.video_id]) if ledger is not None and marks[file.video_id] else None
        )
        if found is not None:
            read[file.video_id] = _labelled(file, from_plain(Label, found["label"]), "screen")
    todo = {file.path: file for file in unread if file.video_id not in read}
    if todo:
        for model in (letter_recognizer, line_detector):
            model()  # loaded once, before the processes start
        results = executor(read_label, list(todo), workers=workers, limits=_limits)
        for done, (path, result) in enumerate(results, start=len(read) + 1):
            file = todo[path]
            if isinstance(result, ItemError):
                read[file.video_id] = replace(file, fault=result)
            else:
                read[file.video_id] = _labelled(file, result, "screen")
                if ledger is not None:
                    ledger.write(file.video_id, marks[file.video_id], {"label": to_plain(result)})
            report("read", done, len(unread))
    return [read.get(file.video_id, file) for file in files]


def _limits(_: Path) -> Limits:
    return Limits(seconds=300)


@dataclass(slots=True)
class _Frame:
    """What one frame shows: the words in reading order, and single letters ("A", "Aa")."""

    words: list[tuple[str, float]] = field(default_factory=list[tuple[str, float]])
    letters: list[str] = field(default_factory=list[str])


def read_label(path: Path) -> Label:
    """The letter and word on the screen in the last half second of a video.

    The word is the text of at least three letters that most frames show; its first letter is the letter, unless the word
    contains another letter that stands alone as often ("X", "fox"). Without a word, a letter that stands alone in two frames
    is the letter. The confidence is the mean score of the word, times the share of the frames that show it.

    Raises:
        ItemError: ``no_label``: nothing could be read. `MediaError`: the video does not decode.
    """
    frames: list[Any] = []
    for sampled in sample_frames(path, rate=_RATE):
        frames = [*frames, sampled.frame_HWC][-round(_READ_SECONDS * _RATE) :]
    shown = [_read_frame(frame_HWC) for frame_HWC in frames]
    letters = Counter(letter for frame in shown for letter in set(frame.letters))
    phrases: dict[str, list[float]] = {}
    for frame in shown:
        if frame.words:
            text = " ".join(word for word, _ in frame.words)
            phrases.setdefault(text, []).append(float(np.mean([score for _, score in frame.words])))
    if phrases:
        word = max(phrases, key=lambda text: (len(phrases[text]), float(np.mean(phrases[text])), text))
        scores = phrases[word]
        other = [letter for letter, number in letters.most_common() if number >= len(scores) and letter.lower() in word]
        letter = other[0] if other else word[0].upper()
        confidence = float(np.mean(scores)) * len(scores) / len(shown)
        return Label(letter=letter, object_word=word, confidence=round(confidence, 3))
    if letters and letters.most_common(1)[0][1] >= _MIN_LETTER_FRAMES:
        letter, number = letters.most_common(1)[0]
        return Label(letter=letter, confidence=round(_SURE * number / len(shown), 3))
    raise ItemError(
        "no_label",
        f"{path}: no word and no letter could be read in its last {_READ_SECONDS:g} s; give its letter and word with --labels",
    )


def _read_frame(frame_HWC: Any) -> _Frame:
    height, width = frame_HWC.shape[:2]
    size = _READ_SIZE if width <= _SQUARE * height else (_READ_SIZE[0], max(32, round(_READ_SIZE[0] * height / width)))
    picture = np.ascontiguousarray(cv2.resize(frame_HWC, size, interpolation=cv2.INTER_CUBIC))
    found = _Frame()
    lines: list[tuple[int, int, int, str, float]] = []
    for left, top, right, bottom in line_detector().lines(picture):
        text, score = letter_recognizer().read_line(picture[top:bottom, left:right])
        if score >= _SURE:
            lines.append((top, bottom, left, text.strip(), score))
    # Reading order: a line is in the row of the line above it if their middles are closer than half of its height.
    rows: list[list[tuple[int, int, int, str, float]]] = []
    for line in sorted(lines):
        last = rows[-1][0] if rows else None
        if last is not None and abs((line[0] + line[1]) - (last[0] + last[1])) < last[1] - last[0]:
            rows[-1].append(line)
        else:
            rows.append([line])
    for row in rows:
        for _, _, _, text, score in sorted(row, key=lambda line: line[2]):
            if len(set(text.replace(" ", "").upper())) == 1 and text[0].upper() in LETTERS.names:
                found.letters.append(text[0].upper())
                continue
            found.words += [
                (word.lower(), score) for word in text.split() if len(word) >= 3 and word.isascii() and word.isalpha()
            ]
    found.words = found.words[:_MAX_WORDS]
    return found
