"""Text that is read in frames by the OCR package rapidocr (PP-OCR models in the package, no download)."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cssgan.errors import MetricError

PAGE = (640, 360)
"""Width and height to which a frame is enlarged: undoes the squashing of 16:9 pictures to squares."""
MIN_SCORE = 0.5
"""Mean probability of the characters of a line, at least."""

READ_SECONDS = (0.0, 0.2)
LAST_FRAMES = "the last one and the one .2 s before it"

MIN_WORD_LETTERS = 3
"""Shorter lines can be a letter in two cases, such as "Bb", or ornaments."""


@dataclass(frozen=True, slots=True)
class ReadLine:
    """A line of text in a frame: its characters as read, and their mean probability."""

    text: str
    score: float


@functools.lru_cache(maxsize=1)
def text_engine() -> Any:
    try:
        from rapidocr import RapidOCR
    except ImportError as error:
        raise MetricError(f"reading text needs the package rapidocr ({error}); run: pip install rapidocr") from error
    return RapidOCR(
        params={
            "Global.use_cls": False,  # it turns upright letters
            "Global.log_level": "critical",
            # At the package's larger default, a third of the letters of the authors' videos are missed.
            "Det.limit_type": "max",
            "Det.limit_side_len": PAGE[0],
            "EngineConfig.onnxruntime.intra_op_num_threads": 1,
            "EngineConfig.onnxruntime.inter_op_num_threads": 1,
        }
    )


def read_text(frame_HWC: NDArray[np.uint8]) -> list[ReadLine]:
    """Lines of text in one frame, uint8 RGB of a squashed 16:9 picture; about .2 s of CPU time.

    Raises:
        MetricError: the package rapidocr is not installed.
    """
    import cv2

    page = cv2.resize(frame_HWC, PAGE, interpolation=cv2.INTER_CUBIC)
    found: Any = text_engine()(np.ascontiguousarray(page[:, :, ::-1]))
    lines = zip(found.txts or (), found.scores or (), strict=True)
    return [ReadLine(str(text), float(score)) for text, score in lines if score >= MIN_SCORE]


def read_last_frames(frames_THWC: NDArray[np.uint8], frames_per_second: float) -> list[ReadLine]:
    """Lines of the frames `READ_SECONDS` before the end of a video, uint8 (T, H, W, 3): see `LAST_FRAMES`."""
    last = len(frames_THWC) - 1
    places = {max(0, last - round(seconds * frames_per_second)) for seconds in READ_SECONDS}
    return [line for place in sorted(places) for line in read_text(frames_THWC[place])]


def letters_only(text: str) -> str:
    """The letters A to Z of a text, in upper case."""
    return re.sub("[^A-Z]", "", text.upper())


def shows_letter(lines: Iterable[ReadLine], letter: str) -> bool:
    """Whether a line begins with a letter: "Bb", "B" and "BABY" show the letter B."""
    return any(letters_only(line.text).startswith(letter.upper()) for line in lines)


def shows_word(lines: Iterable[ReadLine], word: str) -> bool:
    """Whether a word (or several, on any lines) is read, whatever its case."""
    read = [letters_only(line.text) for line in lines]
    return bool(word.split()) and all(any(letters_only(part) in text for text in read) for part in word.split())


def words(lines: Iterable[ReadLine]) -> set[str]:
    """Lines of at least `MIN_WORD_LETTERS` letters, by their letters."""
    return {text for line in lines if len(text := letters_only(line.text)) >= MIN_WORD_LETTERS}
