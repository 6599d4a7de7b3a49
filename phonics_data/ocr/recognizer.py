"""Pictures of single shapes -> a probability for each letter, by the recognizer of PP-OCRv6 (small) through onnxruntime.

The model file comes with the package ``rapidocr``; its own pipeline is not used, for it turns upright letters (T, I, J,
L) and searches for lines of text, which costs a hundred times as much.
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
"""Height that the model wants, width, and height of the letter inside: of the sizes tried on 9 fonts (48 to 96 wide, letters
24 to 44 high) wider ones are a little better and dearer; letters that fill the height are read worse."""

SECOND_HEIGHT = 24
UNSURE = (0.2, 0.95)
"""A shape whose best letter lies between these is read again with its letter `SECOND_HEIGHT` high. Letters of few strokes
(T, J, L, I) hang on the size: the T of one font reads at 0.99 when it is 24 high and at 0.52 when it is 28 high."""

_LOOK_ALIKES = {
    "A": "АΑ", "B": "ВΒ", "C": "С", "E": "ЕΕ", "H": "НΗ", "I": "1l|ІΙⅠ丨工", "K": "КΚ", "M": "МΜ", "N": "Ν", "O": "0ОΟ〇○",
    "P": "РΡ", "T": "ТΤ丁", "U": "∪", "V": "∨Ⅴ", "X": "ХΧ×Ⅹ", "Y": "Υ", "Z": "Ζ",
}  # fmt: skip
"""Signs of other alphabets and other signs that count for a letter. A small l looks like an I and says nothing for L."""

Shape = NDArray[np.uint8]
"""(height, width) 1 where the shape is, else 0."""


def model_path() -> Path:
    """The model file inside the installed package."""
    spec = importlib.util.find_spec("rapidocr")
    path = Path(spec.origin).parent / "models" / MODEL if spec is not None and spec.origin else None
    if path is None or not path.is_file():
        raise DependencyError(
            f"reading letters on the screen needs the model {MODEL} of the package rapidocr (3.10 or later): "
            "pip install 'phonics-cssgan[screen]', or run with --ocr never"
        )
    return path


@functools.lru_cache(maxsize=1)
def letter_reader() -> LetterReader:
    """The reader of this process; loading the model takes a second."""
    return LetterReader(model_path())


class LetterReader:
    """Reads single shapes.

    Args:
        path: ONNX file of a CTC recognizer: input (B, 3, 48, W) in [-1, 1], BGR; output (B, steps, classes) of
            probabilities; class 0 is the blank, its characters stand in the file's metadata.
    """

    def __init__(self, path: Path) -> None:
        try:
            import onnxruntime
        except ImportError as error:
            raise DependencyError(
                "reading letters on the screen needs onnxruntime: pip install 'phonics-cssgan[screen]'"
            ) from error
        options = onnxruntime.SessionOptions()
        # Videos are read side by side in processes; threads of one would only fight with those of the other.
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session: Any = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self._input = self._session.get_inputs()[0].name
        characters = ["", *self._session.get_modelmeta().custom_metadata_map["character"].split("\n"), " "]
        index = {character: number for number, character in enumerate(characters) if len(character) == 1}
        self._columns: list[list[int]] = []
        self._letter_of: dict[int, int] = {}
        for number, letter in enumerate(LETTERS):
            signs = [letter, *_LOOK_ALIKES.get(letter, "")]
            if letter != "L":
                signs.append(letter.lower())
            self._columns.append([index[sign] for sign in signs if sign in index])
            for column in self._columns[-1]:
                self._letter_of[column] = number

    def read(self, shapes: Sequence[Shape]) -> NDArray[np.float32]:
        """(shapes, 26) probability of each letter: the maximum over the model's steps, upper and lower case summed.

        A shape that reads as several different signs is a word or a drawing and gives zeros; "Aa" is an A.
        """
        if not shapes:
            return np.zeros((0, 26), np.float32)
        found = self._read_at(shapes, LETTER_HEIGHT)
        best = found.max(axis=1)
        for row in np.flatnonzero((best >= UNSURE[0]) & (best < UNSURE[1])).tolist():
            again = self._read_at([shapes[row]], SECOND_HEIGHT)[0]
            if again.argmax() == found[row].argmax():
                found[row] = np.maximum(found[row], again)
        return found

    def _read_at(self, shapes: Sequence[Shape], letter_height: int) -> NDArray[np.float32]:
        batch = np.stack([_prepared(shape, letter_height) for shape in shapes])
        steps_BSC: NDArray[np.float32] = self._session.run(None, {self._input: batch})[0]
        found = np.stack([steps_BSC[:, :, columns].sum(axis=2).max(axis=1) for columns in self._columns], axis=1)
        for row, best_S in enumerate(steps_BSC.argmax(axis=2)):
            signs = {self._letter_of.get(int(sign), -int(sign)) for sign in best_S if sign != 0}
            if len(signs) > 1:
                found[row] = 0.0
        return np.minimum(found, 1.0)


def _prepared(shape: Shape, letter_height: int) -> NDArray[np.float32]:
    """(3, 48, 64) in [-1, 1]: the shape black on white in the middle, at its own aspect."""
    height, width = shape.shape
    scale = min(letter_height / height, (WIDTH - 4) / width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    ink = cv2.resize(shape.astype(np.float32), size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    page = np.ones((HEIGHT, WIDTH), np.float32)
    top, left = (HEIGHT - size[1]) // 2, (WIDTH - size[0]) // 2
    page[top : top + size[1], left : left + size[0]] -= 2 * ink
    return np.repeat(page[None], 3, axis=0)
