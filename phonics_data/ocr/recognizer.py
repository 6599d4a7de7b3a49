"""Images of letters -> letter probabilities, and images of text lines -> text. Uses the recognition model of PP-OCRv6
(small) through onnxruntime.

The model file is part of the package ``rapidocr``. Its own pipeline is not used: it rotates upright letters (T, I, J,
L) and detects lines of text at a large size in every frame, which is a hundred times slower.
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
MODEL, DETECTION_MODEL = "PP-OCRv6_rec_small.onnx", "PP-OCRv6_det_small.onnx"
HEIGHT, WIDTH, LETTER_HEIGHT = 48, 64, 28
"""Input height of the model, input width, and height of the letter inside. Tried on 9 fonts: widths 48 to 96, letter
heights 24 to 44. Wider inputs are slightly more accurate and slower; letters that fill the height are less accurate."""

SECOND_HEIGHT = 24
UNSURE = (0.4, 0.95)
"""If the best probability is in this range, the shape is read again with a letter height of `SECOND_HEIGHT`. Letters of
few strokes (T, J, L, I) depend on the size: the T of one font scores 0.99 at height 24 and 0.52 at height 28."""

_HOMOGLYPHS = {
    "A": "АΑ", "B": "ВΒ", "C": "С", "E": "ЕΕ", "H": "НΗ", "I": "1l|ІΙⅠ丨工", "K": "КΚ", "M": "МΜ", "N": "Ν", "O": "0ОΟ〇○",
    "P": "РΡ", "T": "ТΤ丁", "U": "∪", "V": "∨Ⅴ", "X": "ХΧ×Ⅹ", "Y": "Υ", "Z": "Ζ",
}  # fmt: skip
"""Characters that count as a letter because they look like it. A lower-case l counts as I, not as L."""

_PIXELS_HEIGHT = 36
"""Height of the pixels of a letter, with a margin around it."""
_LINE_WIDTHS = (48, 480)
"""Smallest and largest input width of a text line."""

Frame = NDArray[np.uint8]
"""(height, width, 3) RGB."""
Mask = NDArray[np.uint8]
"""(height, width) 1 inside, 0 outside."""


def model_path(name: str = MODEL) -> Path:
    """A model file in the installed package."""
    spec = importlib.util.find_spec("rapidocr")
    path = Path(spec.origin).parent / "models" / name if spec is not None and spec.origin else None
    if path is None or not path.is_file():
        raise DependencyError(
            f"reading letters on the screen needs the model {name} of the package rapidocr (3.10 or later): "
            "pip install --upgrade rapidocr, or run with --ocr never"
        )
    return path


def inference_session(path: Path) -> Any:
    """A session of onnxruntime that uses one thread."""
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
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


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
        self._session: Any = inference_session(path)
        self._input = self._session.get_inputs()[0].name
        characters = ["", *self._session.get_modelmeta().custom_metadata_map["character"].split("\n"), " "]
        self._characters = characters
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

    def read(self, images: Sequence[Mask | Frame]) -> NDArray[np.float32]:
        """(images, 26) probability of each letter: upper and lower case summed, then the maximum over the model's steps.

        An image that is read as several different characters gives zeros, because it is a word or a drawing. "Aa" is A.

        Args:
            images: masks of letters, or pixels of the boxes of letters.
        """
        if not images:
            return np.zeros((0, 26), np.float32)
        letters_N26 = self._read_at(images, LETTER_HEIGHT)
        best_N = letters_N26.max(axis=1)
        is_unsure_N = (best_N >= UNSURE[0]) & (best_N < UNSURE[1]) & np.array([image.ndim == 2 for image in images])
        unsure = np.flatnonzero(is_unsure_N).tolist()
        if unsure:
            second_M26 = self._read_at([images[row] for row in unsure], SECOND_HEIGHT)
            for row, second_26 in zip(unsure, second_M26, strict=True):
                if second_26.argmax() == letters_N26[row].argmax():
                    letters_N26[row] = np.maximum(letters_N26[row], second_26)
        return letters_N26

    def read_line(self, pixels_HWC: Frame) -> tuple[str, float]:
        """The text of one line, as on the screen, and the mean probability of its characters (0 without text)."""
        height, width = pixels_HWC.shape[:2]
        size = (min(max(round(width * HEIGHT / height), _LINE_WIDTHS[0]), _LINE_WIDTHS[1]), HEIGHT)
        page = cv2.resize(pixels_HWC, size, interpolation=cv2.INTER_AREA if height > HEIGHT else cv2.INTER_LINEAR)
        steps_SC: NDArray[np.float32] = self._session.run(None, {self._input: normalized(page)[None]})[0][0]
        best_S = steps_SC.argmax(axis=1)
        is_new_S = (best_S != 0) & (best_S != np.concatenate([[0], best_S[:-1]]))
        rows = np.flatnonzero(is_new_S)
        text = "".join(self._characters[best_S[row]] for row in rows)
        return text.strip(), float(steps_SC[rows, best_S[rows]].mean()) if rows.size else 0.0

    def _read_at(self, images: Sequence[Mask | Frame], letter_height: int) -> NDArray[np.float32]:
        batch = np.stack(
            [_mask_input(image, letter_height) if image.ndim == 2 else _pixels_input(image) for image in images]
        )
        steps_BSC: NDArray[np.float32] = self._session.run(None, {self._input: batch})[0]
        letters_N26 = np.stack([steps_BSC[:, :, classes].sum(axis=2).max(axis=1) for classes in self._classes], axis=1)
        for row, best_S in enumerate(steps_BSC.argmax(axis=2)):
            # Classes that are no letter count as characters of their own.
            characters = {self._letter_of.get(int(index), -int(index)) for index in best_S if index != 0}
            if len(characters) > 1:
                letters_N26[row] = 0.0
        return np.minimum(letters_N26, 1.0)


def _mask_input(mask: Mask, letter_height: int) -> NDArray[np.float32]:
    """(3, 48, 64) in [-1, 1]: the shape black on white, centred, with its aspect ratio."""
    size = _size_on_page(mask, letter_height)
    ink = cv2.resize(mask.astype(np.float32), size, interpolation=_interpolation(mask, size))
    page = np.ones((HEIGHT, WIDTH), np.float32)
    top, left = (HEIGHT - size[1]) // 2, (WIDTH - size[0]) // 2
    page[top : top + size[1], left : left + size[0]] -= 2 * ink
    return np.repeat(page[None], 3, axis=0)


def _pixels_input(pixels_HWC: Frame) -> NDArray[np.float32]:
    """(3, 48, 64) in [-1, 1]: the pixels, centred, with their aspect ratio, on a page of the colour of their border."""
    size = _size_on_page(pixels_HWC, _PIXELS_HEIGHT)
    small = cv2.resize(pixels_HWC, size, interpolation=_interpolation(pixels_HWC, size))
    page = np.empty((HEIGHT, WIDTH, 3), np.uint8)
    page[:] = np.median(np.concatenate([small[0], small[-1], small[:, 0], small[:, -1]]), axis=0)
    top, left = (HEIGHT - size[1]) // 2, (WIDTH - size[0]) // 2
    page[top : top + size[1], left : left + size[0]] = small
    return normalized(page)


def _size_on_page(image: Mask | Frame, letter_height: int) -> tuple[int, int]:
    """Width and height at which an image is read."""
    height, width = image.shape[:2]
    scale = min(letter_height / height, (WIDTH - 4) / width)
    return max(1, round(width * scale)), max(1, round(height * scale))


def _interpolation(image: Mask | Frame, size: tuple[int, int]) -> int:
    return cv2.INTER_AREA if size[1] < image.shape[0] else cv2.INTER_LINEAR


def normalized(pixels_HWC: NDArray[np.uint8] | cv2.typing.MatLike) -> NDArray[np.float32]:
    """(3, height, width) in [-1, 1], BGR."""
    return np.ascontiguousarray(pixels_HWC[:, :, ::-1].transpose(2, 0, 1), np.float32) / 127.5 - 1
