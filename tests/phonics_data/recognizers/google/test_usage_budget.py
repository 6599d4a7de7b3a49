"""The budget of audio that is sent counts also after a crash in the middle of a line."""

from __future__ import annotations

from pathlib import Path

import pytest

from phonics_data.errors import EnginePausedError
from phonics_data.recognizers.google.usage_budget import UsageBudget


@pytest.mark.parametrize("truncated", ['{"at": "2026', '{"at": "2026-12-01", "seconds": 5.0, "what": "a"}', "\n"])
def test_a_line_truncated_by_a_crash_hides_no_later_one(tmp_path: Path, truncated: str) -> None:
    path = tmp_path / "usage.jsonl"
    UsageBudget(path, max_minutes=1.0).reserve(20.0, "a")
    with path.open("a") as file:
        file.write(truncated)
    budget = UsageBudget(path, max_minutes=1.0)
    budget.reserve(30.0, "b")
    assert budget.sent_seconds() >= 50.0
    with pytest.raises(EnginePausedError, match="would exceed"):
        budget.reserve(30.0, "c")
