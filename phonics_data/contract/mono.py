"""Mixing of channels to mono: one rule for every reader of sound.

* Two channels: their mean.
* Surround: ITU-R BS.775, in which the voice of the centre counts most and the subwoofer does not; scaled so that it cannot clip.
* Other numbers of channels: their mean.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame

MAX_CANCELLED_DB = 20.0
"""If the mix is so much quieter than its loudest channel, the channels cancel each other."""

_FRONT, _CENTRE, _REST = 0.5, 0.7071, 0.3536
_WEIGHTS = {"FL": _FRONT, "FR": _FRONT, "FC": _CENTRE, "LFE": 0.0, "LFE2": 0.0}
_WAV_ORDER = {6: ("FL", "FR", "FC", "LFE", "BL", "BR"), 8: ("FL", "FR", "FC", "LFE", "BL", "BR", "SL", "SR")}
"""Channels of a file that does not name them."""


def channel_weights(num_channels: int, names: Sequence[str] = ()) -> NDArray[np.float32]:
    """(C,) float32 that sum to 1.

    Args:
        names: of the channels as FFmpeg writes them (``FL``, ``FC``, ``LFE`` ...); empty: that of a WAV file.
    """
    if not {"FL", "FR"} <= set(names):  # a container that stores the number of channels only
        names = _WAV_ORDER.get(num_channels, ())
    if num_channels < 3 or len(names) != num_channels:
        return np.full(num_channels, 1 / num_channels, np.float32)
    weights = np.array([_WEIGHTS.get(name, _REST) for name in names])
    return (weights / weights.sum()).astype(np.float32)


def mix_channels(audio_NC: NDArray[Any]) -> NDArray[np.float64]:
    """Samples of a file that does not name its channels, (N, C) -> (N,) float64."""
    return audio_NC.astype(np.float64) @ channel_weights(audio_NC.shape[1]).astype(np.float64)


def mix_frames(frames: Sequence[AudioFrame]) -> tuple[NDArray[np.float32], float]:
    """Consecutive decoded frames of one format.

    Returns:
        (N,) float32 mono, about in [-1, 1], and the mean square of the loudest channel.
    """
    first = frames[0]
    channels = first.layout.nb_channels
    weights = channel_weights(channels, [channel.name for channel in first.layout.channels])
    if first.format.name == "fltp":  # the format of nearly all compressed audio; faster than to_ndarray
        planes = [cast("tuple[bytes, ...]", frame.planes) for frame in frames]  # buffers; the stubs lack this
        mono, loudest = None, 0.0
        for channel, weight in enumerate(weights):
            samples = np.concatenate(
                [
                    np.frombuffer(plane[channel], np.float32, frame.samples)
                    for plane, frame in zip(planes, frames, strict=True)
                ]
            )
            if weight:
                loudest = max(loudest, float(np.dot(samples, samples)) / max(samples.size, 1))
            samples *= weight
            mono = samples if mono is None else np.add(mono, samples, out=mono)
        assert mono is not None
        return mono, loudest
    parts = [
        frame.to_ndarray() if frame.format.is_planar else frame.to_ndarray().reshape(-1, channels).T for frame in frames
    ]
    stored = np.concatenate(parts, axis=1)
    if np.issubdtype(stored.dtype, np.floating):
        values_CN = stored.astype(np.float64)
    elif stored.dtype == np.uint8:
        values_CN = (stored.astype(np.float64) - 128.0) / 128.0
    else:
        values_CN = stored.astype(np.float64) / 2.0 ** (8 * stored.dtype.itemsize - 1)
    used = values_CN[weights > 0]
    loudest = float(np.square(used).mean(axis=1).max()) if used.size else 0.0
    return (weights.astype(np.float64) @ values_CN).astype(np.float32), loudest


def cancelled_db(mono_square: float, loudest_square: float) -> float:
    """How much quieter a mix is than its loudest channel, in dB, from their mean squares; at most 120, 0 for silence."""
    if loudest_square < 1e-10:  # under -100 dB nothing is heard
        return 0.0
    return max(0.0, min(120.0, float(10 * np.log10(loudest_square / max(mono_square, 1e-14)))))
