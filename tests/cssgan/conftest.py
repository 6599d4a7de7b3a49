"""Fixtures of the trainer's tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.cssgan.toy_dataset import write_dataset


@pytest.fixture(autouse=True)
def _torch_randomness_and_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No test sees torch's random state or the decoded shards of another one."""
    monkeypatch.setenv("CSSGAN_CACHE", str(tmp_path / "cache"))
    state = torch.get_rng_state()
    yield
    torch.set_rng_state(state)


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """Seven training clips of three letters and two validation clips, 16x16."""
    return write_dataset(tmp_path / "dataset")
