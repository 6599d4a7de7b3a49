"""The effects of the limits, counted from rules and rejections."""

from __future__ import annotations

from phonics_data.report.limits import limit_effects, limit_line
from phonics_data.types import Reason, Rejection, Stage


def rejection(stage: Stage, reason: Reason, measured: float, threshold: float) -> Rejection:
    return Rejection(stage=stage, item_id="a", reason=reason, measured=measured, threshold=threshold)


def test_effects_of_all_limits() -> None:
    rejections = [
        *(rejection("segment", "too_short", frames, 14) for frames in (4, 9, 10, 12)),
        rejection("shard", "too_short", 0.4, 0.5),  # the filter on seconds is another limit
        rejection("shard", "low_confidence", 0.05, 0.1),
    ]
    rules = ["phrase"] * 5 + ["phrase_grown"] * 7 + ["phrase_lent"] * 6 + ["phrase_split"] * 2
    effects = limit_effects(rules, rejections, min_confidence=0.1)
    assert limit_line(effects) == (
        "min_frames 14: 4 rejected, 7 phrase_grown, 6 phrase_lent; max_frames: 2 phrase_split; "
        "min_frames 10: 2 would reject; min_confidence 0.1: 1 rejected"
    )


def test_without_effects() -> None:
    assert limit_effects(["phrase", "given"], [], min_confidence=0.1) == []
    assert limit_line([]) == ""
