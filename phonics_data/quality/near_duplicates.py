"""Near duplicates: clips almost equal to another clip of the same source or of another one (e.g. a song uploaded twice).

* Image hash: for three frames of the clip, whether brightness increases between neighbouring cells of a coarse grid.
* Audio hash: whether the difference between neighbouring bands of a coarse spectrogram increases from one time slice
  to the next.
* Two clips are near duplicates if they have the same label and both hashes have small Hamming distances.

Scaling, re-encoding and a shift by some hundredths of a second change few bits. Measured on rendered songs, re-encoded
at 240p and 30 frames/s and cut 50 ms later: image hashes differ by 5-9 of 192 bits and audio hashes by 4-5 of 32
(medians; 90th percentiles: 18 and 8). Clips of one letter from different songs differ by at least 36 and by 5-15 bits.
All functions are pure.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from phonics_data.contract.sample import Audio, Frames
from phonics_data.quality.hash_search import AUDIO_BITS, IMAGE_BITS, Hashes, NearHashes
from phonics_data.quality.split import merged_groups

_ROWS, _COLUMNS = 8, 9
_MOMENTS = (1 / 6, 1 / 2, 5 / 6)
IMAGE_HASH_BITS = len(_MOMENTS) * _ROWS * (_COLUMNS - 1)
_BANDS, _SLICES = 9, 5
AUDIO_HASH_BITS = (_BANDS - 1) * (_SLICES - 1)
assert (IMAGE_HASH_BITS, AUDIO_HASH_BITS) == (IMAGE_BITS, AUDIO_BITS)

_HOP_SAMPLES = 256

_STEP_LEVELS = 3.0
"""Minimum difference between cells, in grey levels; below it, codec noise on plain areas would set the bit."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ClipHashes:
    """Content hashes of one clip, in hexadecimal digits."""

    image_hash: str
    audio_hash: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """A clip in the search for near duplicates; of two duplicates, the earlier candidate counts as the original."""

    sample_id: str
    video_id: str
    label: str
    hashes: ClipHashes


def clip_hashes(frames_LHWC: Frames, audio_N: Audio, audio_rate_hz: int) -> ClipHashes:
    """The hashes of one clip.

    Args:
        frames_LHWC: uint8 RGB, L >= 1.
        audio_N: float32 mono in [-1, 1].
    """
    image_bits = [_image_bits(frames_LHWC[int(moment * frames_LHWC.shape[0])]) for moment in _MOMENTS]
    return ClipHashes(image_hash=_hex(np.concatenate(image_bits)), audio_hash=_hex(_audio_bits(audio_N, audio_rate_hz)))


def near_duplicates(
    candidates: Sequence[Candidate], *, max_image_hash_bits: int, max_audio_hash_bits: int
) -> dict[str, tuple[str, int]]:
    """Find near duplicates: clips that have the label of an earlier original and are near it.

    A clip that is near no original before it is an original, so thousands of copies are as fast as one, and each has one
    row. The search is exact (`phonics_data.quality.hash_search`): the result is that of comparing each clip with all
    originals before it.

    Returns:
        sample id -> (id of the nearest original before it, number of different bits of both hashes). Of originals at the
        same distance it is the one with the first id in sorted order.
    """
    by_label: dict[str, list[Candidate]] = defaultdict(list)
    for candidate in candidates:
        by_label[candidate.label].append(candidate)
    found: dict[str, tuple[str, int]] = {}
    for clips in by_label.values():
        hashes = Hashes(
            image_NB=_bytes([clip.hashes.image_hash for clip in clips], IMAGE_HASH_BITS),
            audio_NB=_bytes([clip.hashes.audio_hash for clip in clips], AUDIO_HASH_BITS),
        )
        search = NearHashes(hashes, max_image_bits=max_image_hash_bits, max_audio_bits=max_audio_hash_bits)
        originals = search.originals()
        rank_N = np.empty(len(clips), np.int64)
        rank_N[sorted(range(len(clips)), key=lambda index: clips[index].sample_id)] = np.arange(len(clips))
        nearest, num_bits = search.nearest(originals, rank_N)
        for index in np.flatnonzero(nearest >= 0):
            found[clips[index].sample_id] = (clips[nearest[index]].sample_id, int(num_bits[index]))
    return found


def duplicate_groups(
    candidates: Sequence[Candidate], found: Mapping[str, tuple[str, int]], *, min_share: float = 0.2
) -> dict[str, str]:
    """video id -> name of its group. The sources of a group must be in the same split.

    Two sources are grouped if at least `min_share` of the clips of the smaller one duplicate clips of the other. The
    relation is transitive. A group has the name of its first source in sorted order.

    Args:
        found: the result of `near_duplicates`.
    """
    video_of = {candidate.sample_id: candidate.video_id for candidate in candidates}
    sizes: dict[str, int] = defaultdict(int)
    for candidate in candidates:
        sizes[candidate.video_id] += 1
    shared: dict[tuple[str, str], int] = defaultdict(int)
    for sample_id, (original, _) in found.items():
        one, other = sorted((video_of[sample_id], video_of[original]))
        if one != other:
            shared[one, other] += 1
    related = [
        {one: one, other: one}
        for (one, other), number in shared.items()
        if number >= min_share * min(sizes[one], sizes[other])
    ]
    return merged_groups({video_id: video_id for video_id in sizes}, *related)


def _bytes(hashes: Sequence[str], num_bits: int) -> NDArray[np.uint8]:
    """(N, B) bytes of hexadecimal hashes."""
    return np.frombuffer(bytes.fromhex("".join(hashes)), np.uint8).reshape(len(hashes), num_bits // 8)


def _image_bits(frame_HWC: NDArray[np.uint8]) -> NDArray[np.bool_]:
    grey = frame_HWC.astype(np.float64) @ np.array([0.25, 0.5, 0.25])
    return (np.diff(_cells(grey, _ROWS, _COLUMNS), axis=1) > _STEP_LEVELS).reshape(-1)


def _audio_bits(audio_N: Audio, audio_rate_hz: int) -> NDArray[np.bool_]:
    # Plain spectra instead of log-mel: the exact bands matter little, and no library has to be loaded.
    num_windows = audio_N.size // _HOP_SAMPLES - 1
    if num_windows < _SLICES:
        return np.zeros(AUDIO_HASH_BITS, np.bool_)
    windows = np.lib.stride_tricks.sliding_window_view(audio_N, 2 * _HOP_SAMPLES)[::_HOP_SAMPLES]
    power = np.abs(np.fft.rfft(windows * np.hanning(2 * _HOP_SAMPLES), axis=1)) ** 2
    edges = np.geomspace(150.0, min(6_000.0, audio_rate_hz / 2), _BANDS + 1)
    bins = np.round(edges * 2 * _HOP_SAMPLES / audio_rate_hz).astype(int)
    bands = np.add.reduceat(power, np.maximum.accumulate(bins + np.arange(_BANDS + 1)), axis=1)[:, :_BANDS]
    cells = _cells(np.log(bands + 1e-6), _SLICES, _BANDS)
    return (np.diff(np.diff(cells, axis=0), axis=1) > 0).reshape(-1)


def _cells(values_RC: NDArray[np.float64], rows: int, columns: int) -> NDArray[np.float64]:
    """Means over a grid of nearly equal cells. An axis shorter than the grid is repeated first."""
    for axis, number in ((0, rows), (1, columns)):
        size = values_RC.shape[axis]
        if size < number:
            values_RC = np.repeat(values_RC, -(-number // size), axis=axis)
            size = values_RC.shape[axis]
        edges = np.arange(number + 1) * size // number
        values_RC = np.add.reduceat(values_RC, edges[:-1], axis=axis) / np.expand_dims(np.diff(edges), 1 - axis)
    return values_RC


def _hex(bits: NDArray[np.bool_]) -> str:
    return np.packbits(bits).tobytes().hex()
