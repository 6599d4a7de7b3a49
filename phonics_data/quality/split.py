"""Which source video belongs to train, validation and test.

Clips of one source look and sound alike, so a source never lies in two splits. Each source falls by a hash of its own
id: adding sources moves no other one, but for two rules: no split stays empty, and a label that enough sources hold is
in every split.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from phonics_data.errors import OptionError
from phonics_data.types import Split

SPLITS: tuple[Split, ...] = ("train", "validation", "test")


@dataclass(frozen=True, kw_only=True, slots=True)
class Ratios:
    """Expected shares of the sources; they add up to 1."""

    train: float = 0.8
    validation: float = 0.1
    test: float = 0.1

    def __post_init__(self) -> None:
        shares = (self.train, self.validation, self.test)
        if min(shares) < 0 or abs(sum(shares) - 1) > 1e-6:
            raise OptionError(
                "--split-ratios", ",".join(f"{share:g}" for share in shares), "three shares >= 0 that add up to 1"
            )


def share_of(text: str, seed: int) -> float:
    """A number in [0, 1) that depends on `text` and `seed` alone, evenly spread."""
    digest = hashlib.sha256(f"{seed}:{text}".encode()).digest()
    return int.from_bytes(digest[:7], "big") / 2**56


def split_by_source(
    labels_by_video: Mapping[str, Collection[str]],
    *,
    ratios: Ratios | None = None,
    seed: int = 0,
    groups: Mapping[str, str] | None = None,
) -> dict[str, Split]:
    """The split of every source video.

    Args:
        labels_by_video: video id -> labels of its clips.
        groups: video id -> name of the group that it shares with its near duplicates; a group falls as one.

    Returns:
        video id -> split. A split with a ratio over 0 is empty only when there are too few groups. To fill an
        empty one, the group with the most labels moves there (then the one whose hash is nearest), so that even a
        split of one source shows as much of the label set as it can. Then every label that at least as many groups
        hold as there are splits comes into each of them, where a group can move whose labels that split mostly lacks:
        videos of a single letter, or sentences of one speaker; a whole song does not move for a letter or two.
    """
    ratios = ratios or Ratios()
    names = {video: (groups or {}).get(video, video) for video in labels_by_video}
    labels: dict[str, set[str]] = {}
    for video, name in names.items():
        labels.setdefault(name, set()).update(labels_by_video[video])
    # Test first, then validation: a larger train share then takes sources from neither of the others' beginning.
    edges: dict[Split, tuple[float, float]] = {
        "test": (0.0, ratios.test),
        "validation": (ratios.test, ratios.test + ratios.validation),
        "train": (ratios.test + ratios.validation, 1.0),
    }
    shares = {name: share_of(name, seed) for name in labels}
    fallen: dict[str, Split] = {name: _fall(share, edges) for name, share in shares.items()}
    wanted: list[Split] = [split for split in SPLITS if edges[split][1] > edges[split][0]]
    for split in wanted:
        if split in fallen.values():
            continue
        donors = [name for name in sorted(fallen) if list(fallen.values()).count(fallen[name]) > 1]
        if donors:
            low, high = edges[split]
            middle = (low + high) / 2
            chosen = min(donors, key=lambda name: (-len(labels[name]), abs(shares[name] - middle), name))
            fallen[chosen] = split
    _cover_labels(labels, fallen, shares, {split: edges[split] for split in wanted})
    return {video: fallen[name] for video, name in names.items()}


def _cover_labels(
    labels: Mapping[str, set[str]],
    fallen: dict[str, Split],
    shares: Mapping[str, float],
    edges: Mapping[Split, tuple[float, float]],
) -> None:
    """Move groups in `fallen` so that each label of enough groups is in every split of `edges`."""
    holders: dict[str, list[str]] = {}
    counts: Counter[tuple[Split, str]] = Counter()
    for name in sorted(labels):
        for label in labels[name]:
            holders.setdefault(label, []).append(name)
            counts[fallen[name], label] += 1
    # Large splits are asked for first: what is missing there is missed most.
    order = sorted(edges, key=lambda split: (edges[split][0] - edges[split][1], SPLITS.index(split)))
    for label in sorted(holders):
        for split in order:
            if counts[split, label] or len(holders[label]) < len(edges):
                continue
            able = [
                name
                for name in holders[label]
                if 2 * sum(not counts[split, other] for other in labels[name]) >= len(labels[name])
                and all(counts[fallen[name], other] > 1 for other in labels[name])
            ]
            if not able:
                continue
            middle = sum(edges[split]) / 2
            chosen = min(able, key=lambda name: (len(labels[name]), abs(shares[name] - middle), name))
            for other in labels[chosen]:
                counts[fallen[chosen], other] -= 1
                counts[split, other] += 1
            fallen[chosen] = split


def _fall(share: float, edges: Mapping[Split, tuple[float, float]]) -> Split:
    for split, (low, high) in edges.items():
        if low <= share < high:
            return split
    # Shares of 0.1 + 0.9 may add up to a hair under 1; what falls into the hair belongs to the last that has any.
    return next(split for split, (low, high) in reversed(list(edges.items())) if high > low)
