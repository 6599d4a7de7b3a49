"""Mixing of channels to mono: one rule for every reader of sound.

* Two channels: their mean.
* Surround: ITU-R BS.775, in which the voice of the centre counts most and the subwoofer does not; scaled so that it cannot clip.
* Other numbers of channels: their mean.

Channels can cancel each other, in a part of the time or of the spectrum: a voice that is inverted in one channel is lost, while the
music stays. So what the mix loses is measured in windows of a quarter of a second and in octaves (`LossTable`).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame

MAX_CANCELLED_DB = 12.0
"""If a quarter of the sound is so much quieter in the mix than in its loudest channel, the channels cancel each other.

A sound in one channel alone is 6 dB quieter. Half-second clips of 60 real files with two channels (songs, talking heads, noise): at most 8.1 dB.
"""

LossTable = NDArray[np.float64]
"""(K, 4): first sample and number of samples of a window, energy of the loudest channel and of the mix in it. One row for each window, or
for each octave of a window whose channels differ. Energies are sums of squares. The channels of surround sound are scaled so that
each alone is 6 dB quieter in the mix, too."""

_LOST_SHARE = 0.25
_WINDOW_SECONDS = 0.25
_OCTAVES_HZ = (0, 200, 400, 800, 1600, 3200)
_MIN_SPREAD = 0.1
"""Channels whose differences have less energy than this share cannot lose `_LOST_SHARE` of it."""

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


def mix_channels(audio_NC: NDArray[Any], rate_hz: int) -> tuple[NDArray[np.float64], LossTable]:
    """Samples of a file that does not name its channels, (N, C) -> (N,) float64, and what the mix loses."""
    weights = channel_weights(audio_NC.shape[1]).astype(np.float64)
    mono_N = audio_NC.astype(np.float64) @ weights
    return mono_N, _losses(list(audio_NC.T), mono_N, weights, rate_hz)


def mix_frames(frames: Sequence[AudioFrame]) -> tuple[NDArray[np.float32], LossTable]:
    """Consecutive decoded frames of one format -> (N,) float32 mono, about in [-1, 1], and what the mix loses."""
    first = frames[0]
    num_channels = first.layout.nb_channels
    weights = channel_weights(num_channels, [channel.name for channel in first.layout.channels])
    if first.format.name == "fltp":  # the format of nearly all compressed audio; faster than to_ndarray
        planes = [cast("tuple[bytes, ...]", frame.planes) for frame in frames]  # buffers; the stubs lack this
        channels = [
            np.concatenate(
                [
                    np.frombuffer(plane[channel], np.float32, frame.samples)
                    for plane, frame in zip(planes, frames, strict=True)
                ]
            )
            for channel in range(num_channels)
        ]
    else:
        parts = [
            frame.to_ndarray() if frame.format.is_planar else frame.to_ndarray().reshape(-1, num_channels).T
            for frame in frames
        ]
        stored = np.concatenate(parts, axis=1)
        if np.issubdtype(stored.dtype, np.floating):
            channels = list(stored.astype(np.float64))
        elif stored.dtype == np.uint8:
            channels = list((stored.astype(np.float64) - 128.0) / 128.0)
        else:
            channels = list(stored.astype(np.float64) / 2.0 ** (8 * stored.dtype.itemsize - 1))
    mono_N = channels[0] * weights[0]
    for samples, weight in zip(channels[1:], weights[1:], strict=True):
        if weight:
            mono_N += samples * weight
    return mono_N.astype(np.float32), _losses(channels, mono_N, weights.astype(np.float64), first.sample_rate)


def _losses(
    channels: Sequence[NDArray[Any]], mono_N: NDArray[Any], weights_C: NDArray[np.float64], rate_hz: int
) -> LossTable:
    bounds = np.linspace(0, mono_N.size, max(1, round(mono_N.size / (rate_hz * _WINDOW_SECONDS))) + 1).astype(int)
    used = [(samples, weight) for samples, weight in zip(channels, weights_C, strict=True) if weight]
    weights = np.array([weight for _, weight in used])
    scales = np.minimum(1.0, 2 * weights) ** 2
    rows: list[NDArray[np.float64]] = []
    for start, end in pairwise(bounds.tolist()):
        mono = mono_N[start:end]
        parts = [samples[start:end] for samples, _ in used]
        energies, mono_energy = np.array([np.dot(part, part) for part in parts], np.float64), float(np.dot(mono, mono))
        loudest = float((scales * energies).max())
        if len(parts) == 1 or float(weights @ energies) - mono_energy <= _MIN_SPREAD * loudest:
            rows.append(np.array([[start, end - start, loudest, mono_energy]]))
            continue
        size = 1 << (end - start - 1).bit_length()  # other lengths can take far longer
        frequencies = np.fft.rfftfreq(size, 1 / rate_hz)
        edges = np.unique(np.searchsorted(frequencies, [edge for edge in _OCTAVES_HZ if edge <= frequencies[-1]]))
        octaves = np.stack(
            [
                np.add.reduceat(np.square(np.abs(np.fft.rfft(part, size))), edges, dtype=np.float64)
                for part in (*parts, mono)
            ]
        ) * (2 / size)
        loudest_B = (scales[:, None] * octaves[:-1]).max(axis=0)
        rows.append(
            np.stack([np.full(edges.size, start), np.full(edges.size, end - start), loudest_B, octaves[-1]], axis=1)
        )
    return np.concatenate(rows)


def cancelled_text(quieter_db: float) -> str:
    """What is wrong with sound of which `cancelled_db` is over `MAX_CANCELLED_DB`."""
    return (
        f"its channels cancel each other: a part of the sound is {quieter_db:.0f} dB quieter in their mean than in one of them, allowed: "
        f"up to {MAX_CANCELLED_DB:g} dB; invert one channel, or use one alone"
    )


def cancelled_db(losses_K4: LossTable) -> float:
    """How much quieter than its loudest channel the mix is in the quarter of the sound that loses most, in dB.

    At most 120; 0 for silence."""
    loudest, mono = losses_K4[:, 2], losses_K4[:, 3]
    total = float(loudest.sum())
    if not losses_K4.size or total < 1e-10 * float(losses_K4[:, 1].sum()):  # under -100 dB nothing is heard
        return 0.0
    loss_db = 10 * np.log10(np.maximum(loudest, 1e-14) / np.maximum(mono, 1e-14))
    order = np.argsort(-loss_db, kind="stable")
    lost = int(np.searchsorted(np.cumsum(loudest[order]), _LOST_SHARE * total))
    return float(np.clip(loss_db[order[min(lost, order.size - 1)]], 0.0, 120.0))
