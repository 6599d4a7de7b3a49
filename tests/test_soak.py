"""A short part of the soak test: every kind of end of a run that needs no root."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.soak import run_soak

FAULTS = [
    ("kill at a change", "fetch"),
    ("terminate", "fetch"),
    ("kill at a change", "segment"),
    ("kill a worker", "shard"),
    ("kill", "shard"),
    ("kill at a change", "pack"),
    ("terminate", "pack"),
]


@pytest.mark.slow
@pytest.mark.timeout(900)  # nine builds, each a new process: half a minute on an idle machine
def test_builds_with_faults_have_the_files_of_an_unbroken_build(tmp_path: Path) -> None:
    figures, failures = run_soak(tmp_path, songs=4, faults=FAULTS, seed=2, workers=2)
    assert failures == []
    assert figures["faults"] == Counter(fault for fault, _ in FAULTS)
    assert figures["exit codes"].keys() >= {"-9", "0", "130"}, "no fault met a running build"
    assert figures["shards"] >= 2
