"""Near duplicates are found after re-encoding, scaling and shifting; different clips are not."""

from __future__ import annotations

import numpy as np
import pytest

from phonics_data.quality.near_duplicates import (
    AUDIO_HASH_BITS,
    IMAGE_HASH_BITS,
    Candidate,
    ClipHashes,
    clip_hashes,
    duplicate_groups,
    near_duplicates,
)

RATE = 16_000


def video(seed: int, frames: int = 50, size: int = 64) -> np.ndarray:
    """Drifting blurred blobs, (frames, size, size, 3) uint8."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:size, 0:size] / size
    out = np.zeros((frames, size, size))
    for _ in range(9):
        cx, cy, vx, vy = rng.uniform(0, 1, 2).tolist() + rng.uniform(-0.2, 0.2, 2).tolist()
        for t in range(frames):
            at = t / frames
            out[t] += np.exp(-((x - cx - vx * at) ** 2 + (y - cy - vy * at) ** 2) / 0.01)
    grey = (out / out.max() * 220 + 20).astype(np.uint8)
    return grey[..., None].repeat(3, 3)


def song(seed: int, seconds: float = 2.0, shift: float = 0.0) -> np.ndarray:
    """Tones with varying loudness, float32."""
    rng = np.random.default_rng(seed)
    time = np.arange(int(RATE * seconds)) / RATE + shift
    sound = sum(
        np.sin(2 * np.pi * rng.uniform(200, 5000) * time) * np.clip(np.sin(rng.uniform(1, 9) * time + k), 0, 1)
        for k in range(12)
    )
    return (sound / 12).astype(np.float32)


def distance(one: ClipHashes, other: ClipHashes) -> tuple[int, int]:
    return (
        (int(one.image_hash, 16) ^ int(other.image_hash, 16)).bit_count(),
        (int(one.audio_hash, 16) ^ int(other.audio_hash, 16)).bit_count(),
    )


def test_changed_copies_have_near_hashes() -> None:
    frames, sound = video(1), song(1)
    rng = np.random.default_rng(0)
    darker = np.clip(frames * 0.9 + rng.normal(0, 3, frames.shape), 0, 255).astype(np.uint8)
    smaller = frames.reshape(50, 32, 2, 32, 2, 3).mean(axis=(2, 4)).astype(np.uint8)
    later = song(1, shift=0.04) * 0.5 + rng.normal(0, 1e-3, sound.size).astype(np.float32)
    one = clip_hashes(frames, sound, RATE)
    for picture in (darker, smaller, frames[1:]):
        image_bits, audio_bits = distance(one, clip_hashes(picture, later.astype(np.float32), RATE))
        assert image_bits <= 12
        assert audio_bits <= 6


def test_different_clips_have_distant_hashes() -> None:
    hashes = [clip_hashes(video(seed), song(seed), RATE) for seed in range(12)]
    pairs = [distance(hashes[i], hashes[j]) for i in range(12) for j in range(i)]
    assert min(picture for picture, _ in pairs) > 20
    assert np.median([sound for _, sound in pairs]) == pytest.approx(AUDIO_HASH_BITS / 2, abs=3)


def test_short_and_small_clips_have_hashes() -> None:
    hashes = clip_hashes(np.zeros((1, 2, 3, 3), np.uint8), np.zeros(10, np.float32), RATE)
    assert len(hashes.image_hash) == IMAGE_HASH_BITS // 4
    assert int(hashes.audio_hash, 16) == 0


def candidate(name: str, picture: int, sound: int = 0, label: str = "A") -> Candidate:
    hashes = ClipHashes(
        image_hash=f"{picture:0{IMAGE_HASH_BITS // 4}x}", audio_hash=f"{sound:0{AUDIO_HASH_BITS // 4}x}"
    )
    return Candidate(sample_id=name, video_id=name.partition("-")[0], label=label, hashes=hashes)


def test_search_equals_comparing_all_pairs() -> None:
    rng = np.random.default_rng(2)
    base = [int.from_bytes(rng.bytes(IMAGE_HASH_BITS // 8), "big") for _ in range(6)]
    candidates = []
    for number in range(200):
        picture, sound = base[rng.integers(6)], 0
        for place in rng.choice(IMAGE_HASH_BITS, rng.integers(0, 12), replace=False):
            picture ^= 1 << int(place)
        for place in rng.choice(AUDIO_HASH_BITS, rng.integers(0, 6), replace=False):
            sound ^= 1 << int(place)
        candidates.append(candidate(f"v{number}-0", picture, sound, "AB"[rng.integers(2)]))
    found = near_duplicates(candidates, max_image_hash_bits=10, max_audio_hash_bits=4)
    originals: list[Candidate] = []
    for one in candidates:
        near = [
            other
            for other in originals
            if other.label == one.label
            and distance(one.hashes, other.hashes)[0] <= 10
            and distance(one.hashes, other.hashes)[1] <= 4
        ]
        assert (one.sample_id in found) == bool(near)
        if near:
            assert found[one.sample_id][1] == min(sum(distance(one.hashes, other.hashes)) for other in near)
        else:
            originals.append(one)
    assert 20 < len(found) < 190


def test_many_copies_are_found_fast() -> None:
    found = near_duplicates(
        [candidate(f"v{number}-0", 12345) for number in range(20_000)], max_image_hash_bits=16, max_audio_hash_bits=6
    )
    assert len(found) == 19_999


def test_sources_with_common_clips_form_groups() -> None:
    candidates = [candidate(f"{video}-{k}", 0) for video in "abcd" for k in range(10)]
    shared = {f"b-{k}": (f"a-{k}", 0) for k in range(3)} | {f"c-{k}": (f"b-{k + 5}", 0) for k in range(2)}
    groups = duplicate_groups(candidates, shared | {"d-0": ("a-9", 0)})
    assert groups == {"a": "a", "b": "a", "c": "a", "d": "d"}
