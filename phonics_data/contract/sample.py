"""Sample: one decoded clip of the dataset."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from phonics_data.errors import DatasetError

SCHEMA_VERSION = 1
"""Incremented when a member of a shard or a field of its meta.json changes its meaning."""

MAX_PICTURE_SIDE = 512
"""Largest width and height of an object picture, in pixels."""

MAX_DECODED_BYTES = 1024**3
"""Most bytes of the frames, or of the audio, of one clip: 1,300 frames of 512 x 512. A member of a shard of some kilobytes can hold
hours."""

Frames = NDArray[np.uint8]
Picture = NDArray[np.uint8]
"""uint8 (H, W, 4) RGBA; the colours are not multiplied with alpha."""
Boxes = NDArray[np.float32]
Audio = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Sample:
    """One clip: its frames, its audio on the same clock, and its class.

    Args:
        key: unique in the dataset (`Clip.sample_id`); no dots or slashes, which delimit the key in member names.
        frames_LHWC: uint8 RGB, L >= 1 frames of H x W pixels, C = 3, range 0..255.
        frame_rate: frames per second, > 0.
        audio_N: float32 mono in [-1, 1]; sample n is at time n / audio_rate_hz after the start of the first frame.
        audio_rate_hz: samples per second, > 0.
        label: class name (a letter, or a speaker).
        label_set: name of the label set that `label` belongs to.
        video_id: source video.
        start_seconds: start of the first frame's interval in the source video.
        object_word: object named in the phrase ("apple"), or None.
        object_word_source: ``words`` or ``screen``; empty without an object word, or if it was imported.
        group: name that all videos of one song or channel share, if the clip's video is part of such a group; else empty.
        object_picture: the object that appears in the clip, cut out of the source at its size there: uint8 (h, w, 4) RGBA with h and w
            from 1 to `MAX_PICTURE_SIDE`, alpha 0 outside the object. Colours where alpha is 0 have no meaning. None if no object was
            found.
        object_boxes_L4: where the object of `object_picture` is in each frame: left, top, right, bottom of its visible pixels as fractions
            of the frame, 0..1; all 0 where it is not there, all NaN where it is not known. None if it is known in no frame.
    """

    key: str
    frames_LHWC: Frames
    frame_rate: Fraction
    audio_N: Audio
    audio_rate_hz: int
    label: str
    label_set: str
    video_id: str
    start_seconds: float
    object_word: str | None = None
    object_word_source: str = ""
    group: str = ""
    object_picture: Picture | None = None
    object_boxes_L4: Boxes | None = None
    schema_version: int = SCHEMA_VERSION

    def __post_init__(self) -> None:
        frames, audio = self.frames_LHWC, self.audio_N
        if not self.key or any(c in self.key for c in "./\\") or not self.key.isprintable():
            raise DatasetError(f"sample key: got {self.key!r}, allowed: printable, not empty, without dots or slashes")
        if frames.dtype != np.uint8 or frames.ndim != 4 or frames.size == 0 or frames.shape[3] != 3:
            raise DatasetError(
                f"sample {self.key}: frames must be uint8 (L, H, W, 3) with L >= 1, H >= 1, W >= 1, got {frames.dtype} {frames.shape}"
            )
        if audio.dtype != np.float32 or audio.ndim != 1:
            raise DatasetError(f"sample {self.key}: audio must be float32 (N,), got {audio.dtype} {audio.shape}")
        if not bool(np.isfinite(audio).all()):
            raise DatasetError(f"sample {self.key}: audio contains NaN or infinity; cut the clip again from its source")
        if audio.size and float(np.abs(audio).max()) > 1.0:
            raise DatasetError(
                f"sample {self.key}: audio must be in [-1, 1], got a peak of {float(np.abs(audio).max()):.3f}"
            )
        if self.frame_rate <= 0 or self.audio_rate_hz <= 0:
            raise DatasetError(
                f"sample {self.key}: rates must be > 0, got {self.frame_rate} frames/s and {self.audio_rate_hz} Hz"
            )
        if (picture := self.object_picture) is not None:
            _check_picture(self.key, picture)
        if (boxes := self.object_boxes_L4) is not None:
            _check_boxes(self.key, boxes, self.num_frames)

    @property
    def num_frames(self) -> int:
        return int(self.frames_LHWC.shape[0])

    @property
    def duration_seconds(self) -> float:
        return float(self.num_frames / self.frame_rate)


def _check_picture(key: str, picture: Picture) -> None:
    allowed = f"uint8 (h, w, 4) RGBA with h and w from 1 to {MAX_PICTURE_SIDE}"
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 4:
        raise DatasetError(f"sample {key}: object_picture must be {allowed}, got {picture.dtype} {picture.shape}")
    height, width = picture.shape[:2]
    if not (1 <= height <= MAX_PICTURE_SIDE and 1 <= width <= MAX_PICTURE_SIDE):
        raise DatasetError(f"sample {key}: object_picture must be {allowed}, got {width} x {height} pixels")
    if not picture[..., 3].any():
        raise DatasetError(f"sample {key}: object_picture is transparent everywhere; give None if there is no object")


def _check_boxes(key: str, boxes_L4: Boxes, num_frames: int) -> None:
    where = f"sample {key}: object_boxes_L4 must"
    if boxes_L4.dtype != np.float32 or boxes_L4.shape != (num_frames, 4):
        raise DatasetError(f"{where} be float32 ({num_frames}, 4), got {boxes_L4.dtype} {boxes_L4.shape}")
    unknown_L = np.isnan(boxes_L4).all(axis=1)
    known_L4 = boxes_L4[~unknown_L]
    left, top, right, bottom = known_L4.T
    is_box = (left >= 0) & (left < right) & (right <= 1) & (top >= 0) & (top < bottom) & (bottom <= 1)
    is_allowed = is_box | (known_L4 == 0).all(axis=1)
    if not is_allowed.all():
        got = known_L4[~is_allowed][0].tolist()
        raise DatasetError(f"{where} hold left < right and top < bottom in 0..1, four zeros or four NaN, got {got}")


def quantize_audio(audio_N: NDArray[np.floating]) -> Audio:
    """`audio_N` clipped to [-1, 1] and rounded to the 16-bit grid of FLAC (multiples of 1/32768).

    Such audio is bit-equal after encoding and decoding.
    """
    steps = np.clip(np.rint(np.asarray(audio_N, dtype=np.float64) * 32768.0), -32768, 32767)
    return (steps / 32768.0).astype(np.float32)


def num_audio_samples(num_frames: int, frame_rate: Fraction, audio_rate_hz: int) -> int:
    """Audio samples in the duration of `num_frames` frames, rounded to the nearest sample (half up)."""
    return int(Fraction(num_frames * audio_rate_hz) / frame_rate + Fraction(1, 2))
