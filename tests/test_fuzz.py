"""A fixed part of the fuzz test (`make fuzz`): every target reads some inputs, accepts some and rejects some."""

from __future__ import annotations

import importlib
import random

import pytest

from tests.fuzz import MAX_INPUT_BYTES, TARGETS


@pytest.mark.filterwarnings("ignore")  # of libraries about damaged files
@pytest.mark.parametrize("name", TARGETS)
def test_targets_accept_and_reject(name: str) -> None:
    target = importlib.import_module(f"tests.fuzz.{name}")
    rng = random.Random(7)
    accepted = [target.read(seed) for seed in target.SEEDS]
    assert True in accepted, "no valid input is accepted"
    found = [target.read(target.sample(rng)) for _ in range(120)]
    assert True in found
    assert False in found


@pytest.mark.parametrize("name", TARGETS)
def test_inputs_are_limited_and_repeatable(name: str) -> None:
    target = importlib.import_module(f"tests.fuzz.{name}")
    first, second = ([target.sample(random.Random(seed)) for seed in range(20)] for _ in range(2))
    assert first == second
    assert all(0 < len(data) <= 3 * MAX_INPUT_BYTES for data in first)


def test_shares_are_100_000_inputs() -> None:
    assert sum(importlib.import_module(f"tests.fuzz.{name}").INPUTS for name in TARGETS) == 100_000
