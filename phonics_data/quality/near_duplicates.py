"""Clips that are nearly the same as another one, within a source or across sources (a song that was uploaded twice).

A clip's picture print holds, for three of its frames, where neighbouring cells of a coarse grid get brighter; its
sound print, where neighbouring bands of a very coarse spectrogram gain on each other from one slice to the next. Both
stay nearly the same when a video is scaled, encoded again or cut some hundredths of a second later. Two clips are near
duplicates when they have the same label and both prints lie close. All functions are pure.

On rendered songs, encoded again at 240p and 30 frames a second and cut 50 ms later, pictures differ by 5-9 of 192 bits
and sounds by 4-5 of 32 (median; 90 %: 18 and 8); clips of one letter from different songs by 36 at least, and 5-15.
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
"""Cells that differ by less are equal: on flat ground the noise of a codec would decide."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Hashes:
    """What one clip looks and sounds like, in hexadecimal digits."""

    image_hash: str
    audio_hash: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """A clip as the search sees it; the order of candidates decides which of two duplicates counts as the first."""

    sample_id: str
    video_id: str
    label: str
    hashes: Hashes


def content_hashes(frames_LHWC: Frames, audio_N: Audio, audio_rate_hz: int) -> Hashes:
    """The prints of one clip.

    Args:
        frames_LHWC: uint8 RGB, L >= 1.
        audio_N: float32 mono in [-1, 1].
    """
    places = [int(moment * frames_LHWC.shape[0]) for moment in _MOMENTS]
    picture = [_picture_bits(frames_LHWC[place]) for place in places]
    return Hashes(image_hash=_hex(np.concatenate(picture)), audio_hash=_hex(_sound_bits(audio_N, audio_rate_hz)))


def near_duplicates(
    candidates: Sequence[Candidate], *, max_image_hash_bits: int, max_audio_hash_bits: int
) -> dict[str, tuple[str, int]]:
    """sample id -> (the earlier clip that it repeats, how many bits their prints differ by).

    Prints that differ by at most b bits agree in one of b + 1 pieces at least, so only clips that share a piece are
    compared: the search stays quick for many thousand clips.
    """
    found: dict[str, tuple[str, int]] = {}
    buckets: dict[tuple[str, int, int], list[tuple[Candidate, int, int]]] = defaultdict(list)
    num_pieces = max_image_hash_bits + 1
    for candidate in candidates:
        picture, sound = int(candidate.hashes.image_hash, 16), int(candidate.hashes.audio_hash, 16)
        keys = [(candidate.label, place, piece) for place, piece in enumerate(_pieces(picture, num_pieces))]
        best: tuple[int, str] | None = None
        for other, other_picture, other_sound in {id(entry): entry for key in keys for entry in buckets[key]}.values():
            picture_bits = (picture ^ other_picture).bit_count()
            sound_bits = (sound ^ other_sound).bit_count()
            if picture_bits <= max_image_hash_bits and sound_bits <= max_audio_hash_bits:
                best = min(
                    best or (picture_bits + sound_bits, other.sample_id), (picture_bits + sound_bits, other.sample_id)
                )
        if best is not None:
            found[candidate.sample_id] = (best[1], best[0])
            continue  # only firsts are compared with, so a thousand copies cost no more than one
        for key in keys:
            buckets[key].append((candidate, picture, sound))
    return found


def groups_of_sources(
    candidates: Sequence[Candidate], found: Mapping[str, tuple[str, int]], *, min_share: float = 0.2
) -> dict[str, str]:
    """video id -> group name: sources that share clips belong together, so that no split sees another's clips.

    Two sources share a group when at least `min_share` of the clips of the smaller one repeat clips of the other, and
    so do sources that are bound by a third. A group bears the name of its first source.
    """
    video_of = {candidate.sample_id: candidate.video_id for candidate in candidates}
    sizes: dict[str, int] = defaultdict(int)
    for candidate in candidates:
        sizes[candidate.video_id] += 1
    shared: dict[tuple[str, str], int] = defaultdict(int)
    for sample_id, (first, _) in found.items():
        one, other = sorted((video_of[sample_id], video_of[first]))
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


def _picture_bits(frame_HWC: NDArray[np.uint8]) -> NDArray[np.bool_]:
    grey = frame_HWC.astype(np.float64) @ np.array([0.25, 0.5, 0.25])
    return (np.diff(_cells(grey, _ROWS, _COLUMNS), axis=1) > _STEP_LEVELS).reshape(-1)


def _sound_bits(audio_N: Audio, audio_rate_hz: int) -> NDArray[np.bool_]:
    # Plain spectra and no log-mel: the exact bands matter little here, and this loads nothing.
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
    """Means over a coarse grid of nearly equal cells; what is smaller than the grid repeats its values."""
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
