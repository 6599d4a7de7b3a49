"""Frame -> boxes of text lines, by the detection model of PP-OCRv6 (small) through onnxruntime."""

from __future__ import annotations

import functools
from typing import Any

import cv2
import numpy as np

from phonics_data.ocr.geometry import PixelBox
from phonics_data.ocr.recognizer import DETECTION_MODEL, Frame, inference_session, model_path

_LONG_SIDE = 384
"""Frames are scaled to this width or height. Words of a fifteenth of the frame's height are still detected."""
_TEXT = 0.3
"""Probability from which a pixel belongs to the core of a line."""
_MIN_SCORE = 0.5
"""Mean probability in a line's box."""
_EXPAND = 1.6
"""The model is trained on shrunk boxes; they are grown by area * (this number - 1) / perimeter, as far as that is known."""
_MIN_HEIGHT = 4
"""Smaller cores, in pixels of the scaled frame, are dirt."""
_MAX_LINES = 8


@functools.lru_cache(maxsize=1)
def line_detector() -> LineDetector:
    """The detector of this process."""
    return LineDetector()


class LineDetector:
    """Detects upright lines of text.

    Raises:
        DependencyError: the model or onnxruntime is missing.
    """

    def __init__(self) -> None:
        self._session: Any = inference_session(model_path(DETECTION_MODEL))
        self._input = self._session.get_inputs()[0].name

    def lines(self, frame_HWC: Frame) -> list[PixelBox]:
        """Boxes in pixels of the frame, the largest first."""
        height, width = frame_HWC.shape[:2]
        scale = min(1.0, _LONG_SIDE / max(height, width))
        # The model wants multiples of 32.
        size = (max(32, round(width * scale / 32) * 32), max(32, round(height * scale / 32) * 32))
        small = cv2.resize(frame_HWC, size, interpolation=cv2.INTER_AREA)
        batch = np.ascontiguousarray(small[:, :, ::-1].transpose(2, 0, 1)[None], np.float32) / 127.5 - 1
        probability_HW = self._session.run(None, {self._input: batch})[0][0, 0]
        core = (probability_HW > _TEXT).astype(np.uint8)
        number, labels, stats, _ = cv2.connectedComponentsWithStats(core, connectivity=8)
        found: list[tuple[int, PixelBox]] = []
        for label in range(1, number):
            left, top, w, h, area = (int(value) for value in stats[label])
            if h < _MIN_HEIGHT or w < _MIN_HEIGHT or probability_HW[labels == label].mean() < _MIN_SCORE:
                continue
            away = _EXPAND * w * h / (2 * (w + h))
            x, y = width / size[0], height / size[1]
            box = (
                max(round((left - away) * x), 0),
                max(round((top - away) * y), 0),
                min(round((left + w + away) * x), width),
                min(round((top + h + away) * y), height),
            )
            found.append((area, box))
        return [box for _, box in sorted(found, reverse=True)[:_MAX_LINES]]
