"""The stored result of OCR on one video: the change per sampled frame, letter probabilities per detection, text lines."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phonics_data.contract.untrusted import read_npz
from phonics_data.errors import InputError

TRACE_VERSION = "screen-15"
"""Increase whenever the same video would give another trace."""

_GRID = (18, 32)


def trace_path(work: Path, video_id: str) -> Path:
    """Path of a video's trace in a workspace; the file is missing if the video was not read by OCR."""
    return work / "ocr" / f"{video_id}.npz"


@dataclass(frozen=True, eq=False)
class ScreenTrace:
    """OCR results of one video. Axes: T sampled frames, R detections (in time order), N text lines (in time order), G cells of the
    grid.

    Args:
        rate: sampled frames per second; frame t is at t / rate seconds.
        changed_T: float32 fraction of pixels that changed since the previous sampled frame; 1 for the first.
        cut_T: bool; True for the first frame after a cut. Flashes are not cuts.
        edges_TGG: uint8 (frames, 18, 32) mean edge strength in a grid over the frame.
        frame_R: int32 sampled frame of each detection.
        box_R4: float32 left, top, right, bottom as fractions of width and height.
        letters_R26: float32 probability of each letter.
        colour_R6: float32 RGB of the shape and of the background around it, 0..255.
        after_cut_R: bool; True if the whole frame was read because of a cut, not because the shape had changed.
        change_seconds_T: float32 time at which the picture changed since the previous sampled frame, exact to a frame of the
            source where the change was sudden, else the middle between both; empty if unknown.
        text_frame_N: int32 sampled frame of each text line.
        text_box_N4: float32 as `box_R4`.
        text_N: str, the recognized text of each line, as on the screen ("Apple", "Aa", "THE ALPHABET").
        text_score_N: float32 confidence of the text, 0..1.
    """

    rate: int
    changed_T: NDArray[np.float32]
    cut_T: NDArray[np.bool_]
    edges_TGG: NDArray[np.uint8]
    frame_R: NDArray[np.int32]
    box_R4: NDArray[np.float32]
    letters_R26: NDArray[np.float32]
    colour_R6: NDArray[np.float32]
    after_cut_R: NDArray[np.bool_]
    change_seconds_T: NDArray[np.float32] = field(default_factory=lambda: np.zeros(0, np.float32))
    text_frame_N: NDArray[np.int32] = field(default_factory=lambda: np.zeros(0, np.int32))
    text_box_N4: NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 4), np.float32))
    text_N: NDArray[np.str_] = field(default_factory=lambda: np.zeros(0, "U1"))
    text_score_N: NDArray[np.float32] = field(default_factory=lambda: np.zeros(0, np.float32))

    @cached_property
    def letter_R(self) -> NDArray[np.int64]:  # noqa: N802 - shape letters as in names of arrays
        """(detections,) index of the most probable letter."""
        return self.letters_R26.argmax(axis=1)

    @cached_property
    def score_R(self) -> NDArray[np.float32]:  # noqa: N802
        """(detections,) probability of the most probable letter."""
        return self.letters_R26.max(axis=1)

    def change_seconds(self, frame: int) -> float:
        """When what sampled frame `frame` shows for the first time appeared, in seconds."""
        if self.change_seconds_T.size:
            return float(self.change_seconds_T[frame])
        return max((frame - 0.5) / self.rate, 0.0)

    @property
    def num_frames(self) -> int:
        return self.changed_T.size

    @property
    def duration_seconds(self) -> float:
        return self.num_frames / self.rate

    def to_bytes(self) -> bytes:
        """The trace as an npz file."""
        file = io.BytesIO()
        np.savez_compressed(file, **{one.name: getattr(self, one.name) for one in fields(self)})
        return file.getvalue()

    @staticmethod
    def from_file(path: Path) -> ScreenTrace:
        """The trace that `to_bytes` wrote.

        Raises:
            InputError: another release wrote the file, or it is damaged.
        """
        try:
            data: dict[str, Any] = read_npz(path)
            if missing := [one.name for one in fields(ScreenTrace) if one.name not in data]:
                raise ValueError(f"{', '.join(missing)} missing")
            _check_arrays(data)
        except ValueError as error:
            raise InputError(
                f"{path}: these letters on the screen were read by another release, or the file is damaged ({error}); "
                "run `phonics-data transcribe` again"
            ) from error
        data["rate"] = int(data["rate"])
        return ScreenTrace(**{one.name: data[one.name] for one in fields(ScreenTrace)})


_KINDS_AND_ENDS: dict[str, tuple[str, tuple[int, ...]]] = {
    "rate": ("iu", ()),
    "changed_T": ("f", ()),
    "cut_T": ("b", ()),
    "edges_TGG": ("u", _GRID),
    "frame_R": ("i", ()),
    "box_R4": ("f", (4,)),
    "letters_R26": ("f", (26,)),
    "colour_R6": ("f", (6,)),
    "after_cut_R": ("b", ()),
    "change_seconds_T": ("f", ()),
    "text_frame_N": ("i", ()),
    "text_box_N4": ("f", (4,)),
    "text_N": ("U", ()),
    "text_score_N": ("f", ()),
}
"""Field -> (kinds of numbers, shape after the first axis)."""


def _check_arrays(data: Mapping[str, NDArray[Any]]) -> None:
    """Raises ValueError for arrays that are not those of a trace."""
    lengths: dict[str, set[int]] = {}
    for name, (kinds, end) in _KINDS_AND_ENDS.items():
        array, num_axes = data[name], 0 if name == "rate" else 1
        if array.dtype.kind not in kinds or array.ndim != num_axes + len(end) or array.shape[num_axes:] != end:
            raise ValueError(f"{name} is {array.dtype} {array.shape}")
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise ValueError(f"{name} contains NaN or infinity")
        axis = re.search(r"_([TRN])", name)
        if axis and not (name == "change_seconds_T" and not array.size):
            lengths.setdefault(axis[1], set()).add(len(array))
    if any(len(found) != 1 for found in lengths.values()):
        raise ValueError("its arrays have different lengths")
    frames, numbers = len(data["changed_T"]), (data["frame_R"], data["text_frame_N"])
    if any(array.size and not 0 <= array.min() <= array.max() < frames for array in numbers):
        raise ValueError("a detection is outside the video")
    if not 1 <= int(data["rate"]) <= 1000:
        raise ValueError(f"rate is {data['rate']}")
