"""Shape masks -> letter probabilities, by the recognition model of PP-OCRv6 (small) through onnxruntime.

The model file is part of the package ``rapidocr``. Its own pipeline is not used: it rotates upright letters (T, I, J,
L) and detects lines of text, which is a hundred times slower.
"""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from phonics_data.errors import DependencyError

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
MODEL = "PP-OCRv6_rec_small.onnx"
HEIGHT, WIDTH, LETTER_HEIGHT = 48, 64, 28
"""Input height of the model, input width, and height of the letter inside. Tried on 9 fonts: widths 48 to 96, letter
heights 24 to 44. Wider inputs are slightly more accurate and slower; letters that fill the height are less accurate."""

SECOND_HEIGHT = 24
UNSURE = (0.2, 0.95)
"""If the best probability is in this range, the shape is read again with a letter height of `SECOND_HEIGHT`. Letters of
few strokes (T, J, L, I) depend on the size: the T of one font scores 0.99 at height 24 and 0.52 at height 28."""

_HOMOGLYPHS = {
    "A": "АΑ", "B": "ВΒ", "C": "С", "E": "ЕΕ", "H": "НΗ", "I": "1l|ІΙⅠ丨工", "K": "КΚ", "M": "МΜ", "N": "Ν", "O": "0ОΟ〇○",
    "P": "РΡ", "T": "ТΤ丁", "U": "∪", "V": "∨Ⅴ", "X": "ХΧ×Ⅹ", "Y": "Υ", "Z": "Ζ",
}  # fmt: skip
"""Characters that count as a letter because they look like it. A lower-case l counts as I, not as L."""

Mask = NDArray[np.uint8]
"""(height, width) 1 inside, 0 outside."""


def model_path() -> Path:
    """The model file in the installed package."""
    spec = importlib.util.find_spec("rapidocr")
    path = Path(spec.origin).parent / "models" / MODEL if spec is not None and spec.origin else None
    if path is None or not path.is_file():
        raise DependencyError(
            f"reading letters on the screen needs the model {MODEL} of the package rapidocr (3.10 or later): "
            "pip install --upgrade rapidocr, or run with --ocr never"
        )
    return path


@functools.lru_cache(maxsize=1)
def letter_recognizer() -> LetterRecognizer:
    """The recognizer of this process. Loading the model takes a second."""
    return LetterRecognizer(model_path())


class LetterRecognizer:
    """Recognizes single letters.

    Args:
        path: ONNX file of a CTC recognizer: input (B, 3, 48, W) in [-1, 1], BGR; output (B, steps, classes) of
            probabilities; class 0 is the blank, the characters are in the file's metadata.
    """

    def __init__(self, path: Path) -> None:
        try:
            import onnxruntime
        except ImportError as error:
            raise DependencyError(
                f"reading letters on the screen needs onnxruntime, which cannot be loaded ({error}); run: pip install "
                "--upgrade onnxruntime, or run with --ocr never"
            ) from error
        options = onnxruntime.SessionOptions()
        # Videos are processed in parallel processes, so more threads per process would compete for the same cores.
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session: Any = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self._input = self._session.get_inputs()[0].name
        characters = ["", *self._session.get_modelmeta().custom_metadata_map["character"].split("\n"), " "]
        class_of = {character: number for number, character in enumerate(characters) if len(character) == 1}
        self._classes: list[list[int]] = []
        self._letter_of: dict[int, int] = {}
        for number, letter in enumerate(LETTERS):
            accepted = [letter, *_HOMOGLYPHS.get(letter, "")]
            if letter != "L":
                accepted.append(letter.lower())
            self._classes.append([class_of[character] for character in accepted if character in class_of])
            for index in self._classes[-1]:
                self._letter_of[index] = number

    def read(self, masks: Sequence[Mask]) -> NDArray[np.float32]:
        """(masks, 26) probability of each letter: upper and lower case summed, then the maximum over the model's steps.

        A shape that is read as several different characters gives zeros, because it is a word or a drawing. "Aa" is A.
        """
        if not masks:
            return np.zeros((0, 26), np.float32)
        letters_N26 = self._read_at(masks, LETTER_HEIGHT)
        best_N = letters_N26.max(axis=1)
        for row in np.flatnonzero((best_N >= UNSURE[0]) & (best_N < UNSURE[1])).tolist():
            second_26 = self._read_at([masks[row]], SECOND_HEIGHT)[0]
            if second_26.argmax() == letters_N26[row].argmax():
                letters_N26[row] = np.maximum(letters_N26[row], second_26)
        return letters_N26

    def _read_at(self, masks: Sequence[Mask], letter_height: int) -> NDArray[np.float32]:
        batch = np.stack([_model_input(mask, letter_height) for mask in masks])
        steps_BSC: NDArray[np.float32] = self._session.run(None, {self._input: batch})[0]
        letters_N26 = np.stack([steps_BSC[:, :, classes].sum(axis=2).max(axis=1) for classes in self._classes], axis=1)
        for row, best_S in enumerate(steps_BSC.argmax(axis=2)):
            # Classes that are no letter count as characters of their own.
            characters = {self._letter_of.get(int(index), -int(index)) for index in best_S if index != 0}
            if len(characters) > 1:
                letters_N26[row] = 0.0
        return np.minimum(letters_N26, 1.0)


def _model_input(mask: Mask, letter_height: int) -> NDArray[np.float32]:
    """(3, 48, 64) in [-1, 1]: the shape black on white, centred, with its aspect ratio."""
    height, width = mask.shape
    scale = min(letter_height / height, (WIDTH - 4) / width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    ink = cv2.resize(mask.astype(np.float32), size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    page = np.ones((HEIGHT, WIDTH), np.float32)
    top, left = (HEIGHT - size[1]) // 2, (WIDTH - size[0]) // 2
    page[top : top + size[1], left : left + size[0]] -= 2 * ink
    return np.repeat(page[None], 3, axis=0)
