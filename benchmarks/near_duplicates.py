"""Time and memory of the search for near duplicates, on synthetic hashes that collide like those of real clips."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from benchmarks.memory import peak_bytes
from phonics_data.errors import OptionError
from phonics_data.quality.filters import FilterOptions
from phonics_data.quality.near_duplicates import (
    AUDIO_HASH_BITS,
    IMAGE_HASH_BITS,
    Candidate,
    ClipHashes,
    duplicate_groups,
    near_duplicates,
)

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
Material = Literal["songs", "one-label", "near-black", "one-sound", "equal"]
"""``songs``: `song_hashes` with 26 labels. The others are worst cases with one label: ``one-label``: the same hashes;
``near-black``: image hashes of at most three set bits; ``one-sound``: one audio hash; ``equal``: one clip."""
MATERIALS: tuple[str, ...] = get_args(Material)

_FRAMES, _ROWS, _COLUMNS = 3, 8, 8
Bits = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True, slots=True)
class SearchCost:
    """One search."""

    num_clips: int
    num_duplicates: int
    num_groups: int
    """Groups of sources, of `duplicate_groups`."""
    cpu_seconds: float
    """Search and groups."""
    peak_bytes: int
    """Of the process, with the clips themselves."""


def measure_search(num_clips: int, material: str, seed: int) -> SearchCost:
    """Search once.

    Raises:
        OptionError: unknown `material`.
    """
    if material not in MATERIALS:
        raise OptionError("--material", material, ", ".join(MATERIALS))
    candidates = make_candidates(num_clips, material, seed)
    filters = FilterOptions()
    start = time.process_time()
    found = near_duplicates(
        candidates, max_image_hash_bits=filters.max_image_hash_bits, max_audio_hash_bits=filters.max_audio_hash_bits
    )
    groups = duplicate_groups(candidates, found)
    return SearchCost(
        num_clips=num_clips,
        num_duplicates=len(found),
        num_groups=len(set(groups.values())),
        cpu_seconds=time.process_time() - start,
        peak_bytes=peak_bytes(),
    )


def make_candidates(num_clips: int, material: str, seed: int) -> list[Candidate]:
    """`num_clips` clips in random order, as the selection has them."""
    rng = np.random.default_rng(seed)
    image_NB, audio_NB = song_hashes(-(-num_clips // len(LETTERS)), rng)
    order = rng.permutation(len(image_NB))[:num_clips]
    if material == "near-black":
        image_NB[:] = 0
        rows = np.arange(len(image_NB))
        for _ in range(3):
            image_NB[rows, rng.integers(0, image_NB.shape[1], rows.size)] |= 1 << rng.integers(
                0, 8, rows.size, dtype=np.uint8
            )
    elif material == "one-sound":
        audio_NB[:] = audio_NB[0]
    elif material == "equal":
        image_NB[:], audio_NB[:] = image_NB[0], audio_NB[0]
    image, audio = image_NB.tobytes().hex(), audio_NB.tobytes().hex()
    image_digits, audio_digits = IMAGE_HASH_BITS // 4, AUDIO_HASH_BITS // 4
    return [
        Candidate(
            sample_id=f"source-{row // len(LETTERS):06d}-{row % len(LETTERS):02d}",
            video_id=f"source-{row // len(LETTERS):06d}",
            label=LETTERS[row % len(LETTERS)] if material == "songs" else "A",
            hashes=ClipHashes(
                image_hash=image[row * image_digits : (row + 1) * image_digits],
                audio_hash=audio[row * audio_digits : (row + 1) * audio_digits],
            ),
        )
        for row in order.tolist()
    ]


def song_hashes(num_sources: int, rng: np.random.Generator) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Packed image and audio hashes of 26 clips of each source.

    * Sources are made in series, e.g. all videos of a channel: some series have one source, some thousands. All clips of
      a series have the layout of the series, and differ from it by few bits; a layout is plain but for some areas.
    * In 28 % of the clips the picture is still: the three frames have the same bits. In others they differ by few bits.
    * In 3 % of the series the picture is almost black or plain: next to no bits are set.
    * 20 % of the sources are copies of others, encoded again and cut some hundredths of a second later.
    * Audio hashes are different in each clip, apart from copies; 0.2 % of the clips are too short for one (no bits are set).
    """
    series_S = np.cumsum(rng.random(num_sources) < np.where(rng.random(num_sources) < 0.5, 0.9, 0.02)) - 1
    series_S = np.maximum(series_S, 0)
    num_series = int(series_S[-1]) + 1
    layouts = _layouts(num_series, rng)
    layouts[rng.random(num_series) < 0.03] = False
    num_clips = num_sources * len(LETTERS)
    audio = rng.random((num_clips, AUDIO_HASH_BITS), np.float32) < rng.uniform(0.25, 0.75, AUDIO_HASH_BITS)
    image_NB = np.empty((num_clips, IMAGE_HASH_BITS // 8), np.uint8)
    block = 4096
    for start in range(0, num_sources, block):  # bits take much memory
        series = series_S[start : start + block]
        bits = layouts[series].repeat(len(LETTERS), axis=0)
        bits ^= rng.random(bits.shape, np.float32) < rng.gamma(1.0, 0.03, (len(bits), 1))
        frames = bits[:, None].repeat(_FRAMES, axis=1)
        is_moving = rng.random(len(frames)) > 0.28
        frames[is_moving] ^= rng.random(frames[is_moving].shape, np.float32) < rng.gamma(
            0.5, 0.06, (int(is_moving.sum()), 1, 1)
        )
        image_NB[start * len(LETTERS) : start * len(LETTERS) + len(frames)] = np.packbits(
            frames.reshape(len(frames), -1), axis=1
        )
    audio[rng.random(num_clips) < 0.002] = False
    audio_NB = np.packbits(audio, axis=1)
    copies = np.flatnonzero(rng.random(num_sources) < 0.2)
    originals = rng.integers(0, num_sources, copies.size)
    clips = np.arange(len(LETTERS))
    to, of = ((rows[:, None] * len(LETTERS) + clips).reshape(-1) for rows in (copies, originals))
    image_NB[to] = image_NB[of] ^ _flips(to.size, IMAGE_HASH_BITS, 0.04, rng)
    audio_NB[to] = audio_NB[of] ^ _flips(to.size, AUDIO_HASH_BITS, 0.14, rng)
    return image_NB, audio_NB


def _layouts(number: int, rng: np.random.Generator) -> Bits:
    """(number, 64) bits: whether brightness increases to the right, in pictures of some bright and dark rectangles."""
    grey = np.zeros((number, _ROWS, _COLUMNS + 1), np.float32)
    y, x = np.arange(_ROWS)[:, None], np.arange(_COLUMNS + 1)
    for _ in range(12):
        top, left, height, width = (
            rng.integers(0, 9, number),
            rng.integers(0, 9, number),
            rng.integers(1, 6, number),
            rng.integers(1, 4, number),
        )
        inside = (
            (y >= top[:, None, None])
            & (y < (top + height)[:, None, None])
            & (x >= left[:, None, None])
            & (x < (left + width)[:, None, None])
        )
        grey = np.where(inside, rng.uniform(0, 255, (number, 1, 1)), grey)
    return (np.diff(grey, axis=2) > 3).reshape(number, -1)


def _flips(number: int, num_bits: int, mean_share: float, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Packed bits, of which a share with the mean `mean_share` is set; the share differs from clip to clip."""
    parts = [
        np.packbits(rng.random((size, num_bits), np.float32) < rng.gamma(2.0, mean_share / 2, (size, 1)), axis=1)
        for size in np.diff([*range(0, number, 100_000), number])
    ]
    return np.concatenate(parts) if parts else np.empty((0, num_bits // 8), np.uint8)


@dataclass(frozen=True, kw_only=True, slots=True)
class HashStatistics:
    """How image and audio hashes of clips are distributed."""

    set_bits: tuple[float, ...]
    """Of image hashes, at 0, 5, 50, 95 %."""
    still_share: float
    """Share of the clips whose three frames have the same bits."""
    image_bits_other_source: tuple[float, ...]
    """Different bits between clips of different sources, at .1, 1, 50 %."""
    image_bits_same_source: tuple[float, ...]
    """Different bits between clips of one source, at 25, 50, 75 %."""
    audio_bits: tuple[float, ...]
    """Different bits between clips of different sources, at 1, 50 %."""


def hash_statistics(sources: Sequence[str], image_NB: NDArray[np.uint8], audio_NB: NDArray[np.uint8]) -> HashStatistics:
    """Of at most some thousand clips: all pairs are compared."""
    image_bits_NN = np.bitwise_count(image_NB[:, None] ^ image_NB).sum(axis=2)
    audio_bits_NN = np.bitwise_count(audio_NB[:, None] ^ audio_NB).sum(axis=2)
    above = np.triu_indices(len(sources), 1)
    _, source_N = np.unique(np.asarray(sources), return_inverse=True)
    is_same = source_N[above[0]] == source_N[above[1]]
    image_bits, audio_bits = image_bits_NN[above], audio_bits_NN[above]
    words = image_NB.reshape(len(image_NB), _FRAMES, -1)
    return HashStatistics(
        set_bits=tuple(np.percentile(np.bitwise_count(image_NB).sum(axis=1), (0, 5, 50, 95)).tolist()),
        still_share=float((words == words[:, :1]).all(axis=(1, 2)).mean()),
        image_bits_other_source=tuple(np.percentile(image_bits[~is_same], (0.1, 1, 50)).tolist()),
        image_bits_same_source=tuple(np.percentile(image_bits[is_same], (25, 50, 75)).tolist()),
        audio_bits=tuple(np.percentile(audio_bits[~is_same], (1, 50)).tolist()),
    )
