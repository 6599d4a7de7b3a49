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

_ROWS, _COLUMNS = 8, 9
_MOMENTS = (1 / 6, 1 / 2, 5 / 6)
IMAGE_HASH_BITS = len(_MOMENTS) * _ROWS * (_COLUMNS - 1)
_BANDS, _SLICES = 9, 5
AUDIO_HASH_BITS = (_BANDS - 1) * (_SLICES - 1)

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
    """Find near duplicates in time almost linear in the number of clips.

    Two hashes that differ by at most b bits have at least one of b + 1 pieces in common, so only clips with a common
    piece of the image hash are compared.

    Returns:
        sample id -> (id of the earlier clip that it duplicates, number of different bits of both hashes).
    """
    found: dict[str, tuple[str, int]] = {}
    buckets: dict[tuple[str, int, int], list[tuple[Candidate, int, int]]] = defaultdict(list)
    num_pieces = max_image_hash_bits + 1
    for candidate in candidates:
        image, audio = int(candidate.hashes.image_hash, 16), int(candidate.hashes.audio_hash, 16)
        keys = [(candidate.label, place, piece) for place, piece in enumerate(_pieces(image, num_pieces))]
        near: list[tuple[int, str]] = []
        for other, other_image, other_audio in {id(entry): entry for key in keys for entry in buckets[key]}.values():
            image_bits = (image ^ other_image).bit_count()
            audio_bits = (audio ^ other_audio).bit_count()
            if image_bits <= max_image_hash_bits and audio_bits <= max_audio_hash_bits:
                near.append((image_bits + audio_bits, other.sample_id))
        if near:
            num_bits, original = min(near)
            found[candidate.sample_id] = (original, num_bits)
            continue  # only originals are compared with, so thousands of copies are as fast as one
        for key in keys:
            buckets[key].append((candidate, image, audio))
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
    group = {video_id: video_id for video_id in sizes}
    for (one, other), number in sorted(shared.items()):
        if number >= min_share * min(sizes[one], sizes[other]):
            low, high = sorted((group[one], group[other]))
            group = {video_id: low if name == high else name for video_id, name in group.items()}
    return group


def _pieces(bits: int, number: int) -> list[int]:
    size = -(-IMAGE_HASH_BITS // number)
    return [(bits >> (place * size)) & ((1 << size) - 1) for place in range(number)]


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
