"""Cached features are restored exactly, and only for the same protocol."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cssgan.errors import FeaturesError
from cssgan.metrics.features import Features
from cssgan.metrics.networks import feature_cache

PROTOCOL = {"network": "inception-abc", "resize": "bilinear", "real_set_sha256": "1234", "frames": 32}


def rows(seed: int = 0) -> feature_cache.Rows:
    values = np.random.default_rng(seed).normal(size=(6, 4)).astype(np.float32).astype(np.float64)
    return Features(values_ND=values, extractor="inception-abc"), np.array([0, 0, 1, 1, 2, 2])


def test_features_are_computed_once_and_restored(tmp_path: Path) -> None:
    calls: list[int] = []

    def compute() -> feature_cache.Rows:
        calls.append(1)
        return rows()

    first, again = feature_cache.cached(tmp_path, PROTOCOL, compute), feature_cache.cached(tmp_path, PROTOCOL, compute)
    assert calls == [1]
    assert np.array_equal(first[0].values_ND, again[0].values_ND)
    assert np.array_equal(again[0].values_ND, rows()[0].values_ND)
    assert again[1].tolist() == [0, 0, 1, 1, 2, 2]
    assert again[0].extractor == "inception-abc"
    assert [path.suffix for path in tmp_path.iterdir()] == [".npz"]


def test_every_field_of_the_protocol_has_its_own_file(tmp_path: Path) -> None:
    other = [PROTOCOL, {**PROTOCOL, "resize": "bicubic"}, {**PROTOCOL, "frames": 16}, {**PROTOCOL, "network": "x"}]
    assert len({feature_cache.path_of(tmp_path, protocol) for protocol in other}) == 4


def test_features_of_another_protocol_are_refused(tmp_path: Path) -> None:
    feature_cache.save(tmp_path / "features.npz", rows(), PROTOCOL)
    with pytest.raises(FeaturesError, match=r"features\.npz: .*resize 'bilinear' \(expected 'bicubic'\)"):
        feature_cache.load(tmp_path / "features.npz", {**PROTOCOL, "resize": "bicubic"})
    with pytest.raises(FeaturesError, match=r"stride 'missing' \(expected 2\)"):
        feature_cache.load(tmp_path / "features.npz", {**PROTOCOL, "stride": 2})


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04 not a zip", None])
def test_a_damaged_file_is_refused(tmp_path: Path, damage: bytes | None) -> None:
    path = tmp_path / "features.npz"
    feature_cache.save(path, rows(), PROTOCOL)
    path.write_bytes(path.read_bytes()[:200] if damage is None else damage)
    with pytest.raises(FeaturesError, match=r"features\.npz: cached features cannot be read"):
        feature_cache.load(path, PROTOCOL)
