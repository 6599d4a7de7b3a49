"""How many clips each limit of the length rule and of the confidence costs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from phonics_data.types import Rejection

LimitEffect = tuple[str, str, int]
"""(limit, effect, number of letters or clips)"""

_LOWER = 0.7
"""The minimum length with which the present one is compared, as a fraction of it."""


def limit_effects(
    rules: Iterable[str], rejections: Sequence[Rejection], *, min_confidence: float | None = None
) -> list[LimitEffect]:
    """One row per limit and effect that occurs.

    Args:
        rules: `phonics_data.types.Segment.rule` of all clips (or segments).
        rejections: those of all stages.
        min_confidence: the limit of the filter ``low_confidence``.
    """
    num_clips = Counter(rules)
    short = [row for row in rejections if (row.stage, row.reason) == ("segment", "too_short")]
    minimum = round(short[0].threshold) if short and short[0].threshold is not None else None
    name = "min_frames" if minimum is None else f"min_frames {minimum}"
    effects = [
        (name, "rejected", len(short)),
        (name, "phrase_grown", num_clips["phrase_grown"]),
        (name, "phrase_lent", num_clips["phrase_lent"]),
        ("max_frames", "phrase_split", num_clips["phrase_split"]),
    ]
    if minimum is not None:
        lower = round(_LOWER * minimum)
        # What is measured is the largest minimum with which the letter is kept.
        still = sum(row.measured is None or row.measured < lower for row in short)
        effects.append((f"min_frames {lower}", "would reject", still))
    if min_confidence is not None:
        low = sum((row.stage, row.reason) == ("shard", "low_confidence") for row in rejections)
        effects.append((f"min_confidence {min_confidence:g}", "rejected", low))
    return [effect for effect in effects if effect[2] or effect[1] == "would reject"]


def limit_line(effects: Sequence[LimitEffect]) -> str:
    """`effects` as one line; empty if there are none."""
    by_limit: dict[str, list[str]] = {}
    for limit, effect, number in effects:
        by_limit.setdefault(limit, []).append(f"{number} {effect}")
    return "; ".join(f"{limit}: {', '.join(parts)}" for limit, parts in by_limit.items())
