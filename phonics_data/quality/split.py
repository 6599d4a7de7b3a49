"""Assignment of source videos to train, validation and test.

* All clips of a source are in one split, because they are similar.
* The split of a source depends on a hash of its id, so adding sources does not move others, with two exceptions:
  no split is empty, and a label that enough sources have is in every split.
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
    """Expected fractions of the sources; their sum is 1."""

    train: float = 0.8
    validation: float = 0.1
    test: float = 0.1

    def __post_init__(self) -> None:
        fractions = (self.train, self.validation, self.test)
        if not (min(fractions) >= 0 and abs(sum(fractions) - 1) <= 1e-6):  # also for nan
            raise OptionError(
                "--split-ratios", ",".join(f"{fraction:g}" for fraction in fractions), "three fractions >= 0 with sum 1"
            )


def hash_fraction(text: str, seed: int) -> float:
    """A uniformly distributed number in [0, 1) that depends only on `text` and `seed`."""
    digest = hashlib.sha256(f"{seed}:{text}".encode()).digest()
    return int.from_bytes(digest[:7], "big") / 2**56


def split_by_source(
    labels_by_video: Mapping[str, Collection[str]],
    *,
    ratios: Ratios | None = None,
    seed: int = 0,
    groups: Mapping[str, str] | None = None,
) -> dict[str, Split]:
    """Assign every source video to a split.

    1. Each group gets the split into whose range its hash falls.
    2. A split with a ratio over 0 that is empty gets the group with the most labels (ties: the nearest hash), so that
       a split of one source covers as much of the label set as possible. It stays empty only if there are too few
       groups.
    3. A label that at least as many groups have as there are splits is moved into each split that lacks it, if a group
       exists most of whose labels that split lacks: videos of one letter or sentences of one speaker move, whole songs
       do not.

    Args:
        labels_by_video: video id -> labels of its clips.
        groups: video id -> name of its group of near duplicates (`phonics_data.quality.near_duplicates`); default: each
            video is a group.

    Returns:
        video id -> split.
    """
    ratios = ratios or Ratios()
    names = {video: (groups or {}).get(video, video) for video in labels_by_video}
    labels: dict[str, set[str]] = {}
    for video, name in names.items():
        labels.setdefault(name, set()).update(labels_by_video[video])
    # Train is last, so a larger train share takes sources only from the end of the other ranges.
    edges: dict[Split, tuple[float, float]] = {
        "test": (0.0, ratios.test),
        "validation": (ratios.test, ratios.test + ratios.validation),
        "train": (ratios.test + ratios.validation, 1.0),
    }
    fractions = {name: hash_fraction(name, seed) for name in labels}
    splits: dict[str, Split] = {name: _split_of_fraction(fraction, edges) for name, fraction in fractions.items()}
    nonzero: list[Split] = [split for split in SPLITS if edges[split][1] > edges[split][0]]
    for split in nonzero:
        if split in splits.values():
            continue
        donors = [name for name in sorted(splits) if list(splits.values()).count(splits[name]) > 1]
        if donors:
            low, high = edges[split]
            middle = (low + high) / 2
            chosen = min(donors, key=lambda name: (-len(labels[name]), abs(fractions[name] - middle), name))
            splits[chosen] = split
    _cover_labels(labels, splits, fractions, {split: edges[split] for split in nonzero})
    return {video: splits[name] for video, name in names.items()}


def _cover_labels(
    labels: Mapping[str, set[str]],
    splits: dict[str, Split],
    fractions: Mapping[str, float],
    edges: Mapping[Split, tuple[float, float]],
) -> None:
    """Change `splits` so that each label of enough groups is in every split of `edges`."""
    groups_of_label: dict[str, list[str]] = {}
    counts: Counter[tuple[Split, str]] = Counter()
    for name in sorted(labels):
        for label in labels[name]:
            groups_of_label.setdefault(label, []).append(name)
            counts[splits[name], label] += 1
    # The largest split is completed first.
    order = sorted(edges, key=lambda split: (edges[split][0] - edges[split][1], SPLITS.index(split)))
    for label in sorted(groups_of_label):
        for split in order:
            if counts[split, label] or len(groups_of_label[label]) < len(edges):
                continue
            movable = [
                name
                for name in groups_of_label[label]
                if 2 * sum(not counts[split, other] for other in labels[name]) >= len(labels[name])
                and all(counts[splits[name], other] > 1 for other in labels[name])
            ]
            if not movable:
                continue
            middle = sum(edges[split]) / 2
            chosen = min(movable, key=lambda name: (len(labels[name]), abs(fractions[name] - middle), name))
            for other in labels[chosen]:
                counts[splits[chosen], other] -= 1
                counts[split, other] += 1
            splits[chosen] = split


def _split_of_fraction(fraction: float, edges: Mapping[Split, tuple[float, float]]) -> Split:
    for split, (low, high) in edges.items():
        if low <= fraction < high:
            return split
    # Floating-point sums of fractions can be slightly below 1; the last non-empty range takes the rest.
    return next(split for split, (low, high) in reversed(list(edges.items())) if high > low)
