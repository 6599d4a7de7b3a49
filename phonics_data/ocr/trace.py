"""What one pass over a video's picture saw: the record between reading the screen and deciding what it shows."""

from __future__ import annotations

import io
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

TRACE_VERSION = "screen-6"
"""Raised whenever the same video would give another trace."""


def trace_path(work: Path, video_id: str) -> Path:
    """Where a workspace keeps the trace of a video; there is none where the screen was not read."""
    return work / "ocr" / f"{video_id}.npz"


@dataclass(frozen=True, slots=True, eq=False)
class ScreenTrace:
    """What one pass over a video's picture saw.

    Args:
        rate: looks a second; look t was at t / rate seconds.
        changed_T: float32 share of pixels that changed since the look before; 1 at the first.
        cut_T: bool; the picture is a new one from this look on: a large change, and not a flash after which it is as before.
        edges_TGG: uint8 (looks, 18, 32) mean edge strength in a grid over the frame.
        look_R: int32 look of each reading.
        box_R4: float32 left, top, right, bottom as shares of width and height.
        letters_R26: float32 probability of each letter.
        colour_R6: float32 RGB of the shape and of the ground around it, 0..255.
        after_cut_R: bool; read because the whole frame was new, not because the shape had changed.
    """

    rate: int
    changed_T: NDArray[np.float32]
    cut_T: NDArray[np.bool_]
    edges_TGG: NDArray[np.uint8]
    look_R: NDArray[np.int32]
    box_R4: NDArray[np.float32]
    letters_R26: NDArray[np.float32]
    colour_R6: NDArray[np.float32]
    after_cut_R: NDArray[np.bool_]

    @property
    def duration_seconds(self) -> float:
        return self.changed_T.size / self.rate

    def to_bytes(self) -> bytes:
        """The trace as an npz file."""
        file = io.BytesIO()
        np.savez_compressed(file, **{field.name: getattr(self, field.name) for field in fields(self)})
        return file.getvalue()

    @staticmethod
    def from_file(path: Path) -> ScreenTrace:
        """The trace that `to_bytes` wrote."""
        with np.load(path, allow_pickle=False) as data:
            values: dict[str, Any] = {field.name: data[field.name] for field in fields(ScreenTrace)}
        values["rate"] = int(values["rate"])
        return ScreenTrace(**values)
