"""The search equals the comparison of all pairs, whatever collides, and also with many clips."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phonics_data.quality import hash_search
from phonics_data.quality.hash_search import AUDIO_BITS, IMAGE_BITS, Hashes, NearHashes

Limits = tuple[int, int]


def all_pairs(hashes: Hashes, limits: Limits) -> tuple[list[int], list[tuple[int, int]]]:
    """Originals, and (original, number of bits) of each clip; rank is the index."""
    originals: list[int] = []
    nearest: list[tuple[int, int]] = []
    for clip in range(len(hashes.audio_NB)):
        image = np.bitwise_count(hashes.image_NB[originals] ^ hashes.image_NB[clip]).sum(axis=1, dtype=int)
        audio = np.bitwise_count(hashes.audio_NB[originals] ^ hashes.audio_NB[clip]).sum(axis=1, dtype=int)
        near = np.flatnonzero((image <= limits[0]) & (audio <= limits[1]))
        if near.size:
            best = near[np.argmin((image + audio)[near])]
            nearest.append((originals[best], int((image + audio)[best])))
        else:
            nearest.append((-1, 0))
            originals.append(clip)
    return originals, nearest


def clips(rng: np.random.Generator, number: int, num_layouts: int, limits: Limits, shared: tuple[bool, bool]) -> Hashes:
    """Clips around a few hashes, at distances on both sides of the limits; one image or audio hash if `shared`."""
    packed: list[np.ndarray] = []
    for num_bits, limit, is_shared in zip((IMAGE_BITS, AUDIO_BITS), limits, shared, strict=True):
        layouts = rng.integers(0, 2, (1 if is_shared else num_layouts, num_bits))
        bits = layouts[rng.integers(0, len(layouts), number)]
        share = rng.uniform(0, min(1.0, 1.5 * limit / num_bits), (number, 1))
        packed.append(np.packbits(bits ^ (rng.random(bits.shape) < share), axis=1))
    return Hashes(image_NB=packed[0], audio_NB=packed[1])


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    number=st.integers(1, 300),
    num_layouts=st.integers(1, 12),
    limits=st.tuples(st.sampled_from([0, 1, 5, 16, 20, 40, 64]), st.sampled_from([0, 1, 3, 6, 9, 32])),
    shared=st.tuples(st.booleans(), st.booleans()),
    few=st.sampled_from([1, 40, 4096]),
    cheap=st.sampled_from([0, 100, 10_000]),
    pairs_at_once=st.sampled_from([1, 100, 1 << 20]),
)
def test_search_equals_comparing_all_pairs(
    seed: int,
    number: int,
    num_layouts: int,
    limits: Limits,
    shared: tuple[bool, bool],
    few: int,
    cheap: int,
    pairs_at_once: int,
) -> None:
    hashes = clips(np.random.default_rng(seed), number, num_layouts, limits, shared)
    with pytest.MonkeyPatch.context() as patch:  # small sizes take all branches, which only many clips take otherwise
        patch.setattr(hash_search, "_SETTLED_AT_ONCE", 3)
        patch.setattr(hash_search, "_FEW", few)
        patch.setattr(hash_search, "_CHEAP", cheap)
        patch.setattr(hash_search, "_TABLE_PAIRS", pairs_at_once)
        search = NearHashes(hashes, max_image_bits=limits[0], max_audio_bits=limits[1])
        originals = search.originals()
        nearest, num_bits = search.nearest(originals, np.arange(number))
    wanted_originals, wanted = all_pairs(hashes, limits)
    assert originals.tolist() == wanted_originals
    assert list(zip(nearest.tolist(), num_bits.tolist(), strict=True)) == wanted


@pytest.mark.parametrize("shared", [(False, False), (True, False), (False, True)], ids=["none", "image", "audio"])
def test_copies_among_many_clips_are_found(shared: tuple[bool, bool]) -> None:
    """With one image hash or one audio hash, only the other hash is selective."""
    rng = np.random.default_rng(3)
    number, num_copies = 30_000, 500
    image = rng.integers(0, 256, (number, IMAGE_BITS // 8), np.uint8)
    audio = rng.permutation(1 << 16)[:number].astype(np.uint32) * np.uint32(0x10001)
    if shared[0]:
        image[:] = image[0]
    audio_NB = audio[:, None].view(np.uint8).copy()
    if shared[1]:
        audio_NB[:] = audio_NB[0]
    originals = rng.choice(number - num_copies, num_copies, replace=False)
    image[-num_copies:], audio_NB[-num_copies:] = image[originals], audio_NB[originals]
    image[-num_copies:, :2] ^= np.uint8(0b1111)  # eight bits
    search = NearHashes(Hashes(image_NB=image, audio_NB=audio_NB), max_image_bits=16, max_audio_bits=1)
    found = search.originals()
    assert found.tolist() == list(range(number - num_copies))
    nearest, num_bits = search.nearest(found, np.arange(number))
    assert nearest[-num_copies:].tolist() == originals.tolist()
    assert set(num_bits[-num_copies:].tolist()) == {8}


def test_equal_clips_have_one_original() -> None:
    hashes = Hashes(image_NB=np.zeros((100_000, 24), np.uint8), audio_NB=np.zeros((100_000, 4), np.uint8))
    search = NearHashes(hashes, max_image_bits=16, max_audio_bits=6)
    assert search.originals().tolist() == [0]
    nearest, num_bits = search.nearest(np.array([0]), np.arange(100_000))
    assert set(nearest[1:].tolist()) == {0}
    assert not num_bits.any()
