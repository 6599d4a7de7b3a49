"""Fixtures for the tests of cssgan."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

try:
    import torch
except ModuleNotFoundError:  # an installation for datasets alone, tried by tests/try_installs.py
    collect_ignore_glob = ["*"]
else:
    from tests.cssgan.toy_dataset import write_dataset


@pytest.fixture(autouse=True)
def _torch_randomness_and_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Tests share neither torch's random state nor the decoded shards."""
    monkeypatch.setenv("CSSGAN_CACHE", str(tmp_path / "cache"))
    state = torch.get_rng_state()
    yield
    torch.set_rng_state(state)


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """Seven training clips of three letters and two validation clips, 16x16."""
    return write_dataset(tmp_path / "dataset")
