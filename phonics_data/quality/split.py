"""Assignment of source videos to train, validation and test.

* All clips of a source are in one split, because they are similar.
* The split of a source depends on a hash of its id (of files of one group: of the group's name), so adding sources or
  files of a source does not move others, with two exceptions: no split is empty, and a label that enough sources have
  is in every split.
* A CSV can give the splits of some or all sources (``--splits``). Only it can name the split ``unseen-styles``.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from phonics_data.contract.csv_table import read_csv
from phonics_data.errors import InputError, OptionError
from phonics_data.types import Split

SPLITS: tuple[Split, ...] = get_args(Split)
RATIO_SPLITS: tuple[Split, ...] = ("train", "validation", "test")
"""The splits that `split_by_source` fills by ratio."""


def used_splits(splits: Iterable[str]) -> tuple[Split, ...]:
    """The splits that tables show: those with a ratio, and others that occur in `splits`."""
    found = set(splits)
    return tuple(split for split in SPLITS if split in RATIO_SPLITS or split in found)


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


@dataclass(frozen=True, kw_only=True, slots=True)
class GivenSplit:
    """The split that a user gives for one source video."""

    video_id: str
    split: Split


def read_given_splits(path: Path) -> tuple[GivenSplit, ...]:
    """The rows of a CSV with the columns ``video_id`` and ``split``, sorted by id. Other columns are ignored.

    Raises:
        InputError: as `read_csv`; an empty id, an id twice, or an unknown split. The message contains the line.
    """
    lines: dict[str, int] = {}
    given: list[GivenSplit] = []
    option = f"--splits {path}"
    for row in read_csv("--splits", path, ("video_id", "split")):
        line, video_id, split = row.line, row.cells["video_id"], row.cells["split"]
        if not video_id:
            raise InputError(f"{option}: line {line}: video_id is empty; give the id of a source, or remove the line")
        if split not in SPLITS:
            raise InputError(f"{option}: line {line}: split of {video_id} is {split!r}, allowed: {', '.join(SPLITS)}")
        if video_id in lines:
            raise InputError(
                f"{option}: line {line}: {video_id} is also in line {lines[video_id]}; allowed: one line for each source"
            )
        lines[video_id] = line
        given.append(GivenSplit(video_id=video_id, split=split))
    return tuple(sorted(given, key=lambda row: row.video_id))


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
    given: Mapping[str, Split] | None = None,
) -> dict[str, Split]:
    """Assign every source video to a split.

    0. A source with a given split gets it, and so do the other sources of its group. In a group with several given
       splits (`divided_groups`), the sources without one get the first of these splits.
    1. Each other group gets the split into whose range its hash falls.
    2. A split with a ratio over 0 that is empty gets the group with the most labels (ties: the nearest hash), so that
       a split of one source covers as much of the label set as possible. It stays empty only if there are too few
       groups.
    3. A label that at least as many groups have as there are splits is moved into each split that lacks it, if a group
       exists most of whose labels that split lacks: videos of one letter or sentences of one speaker move, whole songs
       do not. Given splits count in 2 and 3, but are not changed.

    Args:
        labels_by_video: video id -> labels of its clips.
        groups: video id -> name of its group of sources that belong together; default: each video is a group.
        given: video id -> given split; may lack videos, and contain ids of others.

    Returns:
        video id -> split.
    """
    ratios = ratios or Ratios()
    names = {video: (groups or {}).get(video, video) for video in labels_by_video}
    given_of_group = _given_of_groups(names, given or {})
    fixed: dict[str, Split] = {}
    for video, name in names.items():
        if name in given_of_group:
            split = (given or {}).get(video, given_of_group[name][0])
            # The parts of a divided group are groups of their own.
            part = name if len(given_of_group[name]) == 1 else f"{name} {split}"
            names[video], fixed[part] = part, split
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
    splits: dict[str, Split] = {
        name: fixed.get(name) or _split_of_fraction(fraction, edges) for name, fraction in fractions.items()
    }
    nonzero: list[Split] = [split for split in RATIO_SPLITS if edges[split][1] > edges[split][0]]
    for split in nonzero:
        num_groups = Counter(splits.values())
        if num_groups[split]:
            continue
        donors = [name for name in sorted(splits) if name not in fixed and num_groups[splits[name]] > 1]
        if donors:
            low, high = edges[split]
            middle = (low + high) / 2
            chosen = min(donors, key=lambda name: (-len(labels[name]), abs(fractions[name] - middle), name))
            splits[chosen] = split
    _cover_labels(labels, splits, fractions, {split: edges[split] for split in nonzero}, fixed)
    return {video: splits[name] for video, name in names.items()}


def merged_groups(*relations: Mapping[str, str], declared: Mapping[str, str] | None = None) -> dict[str, str]:
    """The groups that the relations (video id -> group) form together: sources that share a group in any of them are in
    the same one.

    A group is named after its first declared group in sorted order, with a prefix that no video id has; so its name, and
    with it its split, does not depend on which of the group's videos are there. A group without one has the name of its
    first source.

    Args:
        declared: one more relation, whose names stay the same when videos are added.
    """
    parent: dict[str, str] = {}

    def first(video_id: str) -> str:
        while parent[video_id] != video_id:
            parent[video_id] = parent[parent[video_id]]
            video_id = parent[video_id]
        return video_id

    for relation in (*relations, declared or {}):
        first_of: dict[str, str] = {}
        for video_id, name in sorted(relation.items()):
            parent.setdefault(video_id, video_id)
            low, high = sorted((first(first_of.setdefault(name, video_id)), first(video_id)))
            parent[high] = low
    names: dict[str, str] = {}
    for video_id, name in (declared or {}).items():
        root = first(video_id)
        names[root] = min(names.get(root, name), name)
    return {
        video_id: f"group:{names[root]}" if (root := first(video_id)) in names else root for video_id in sorted(parent)
    }


def divided_groups(groups: Mapping[str, str], given: Mapping[str, Split]) -> list[list[str]]:
    """The groups of `groups` (video id -> group) whose sources have several given splits: each as its sources with a
    given split, sorted."""
    divided = {name: list[str]() for name, splits in sorted(_given_of_groups(groups, given).items()) if len(splits) > 1}
    for video, name in sorted(groups.items()):
        if name in divided and video in given:
            divided[name].append(video)
    return list(divided.values())


def _given_of_groups(groups: Mapping[str, str], given: Mapping[str, Split]) -> dict[str, list[Split]]:
    """Group -> the given splits of its sources in the order of `SPLITS`; groups without any are left out."""
    found: dict[str, set[Split]] = {}
    for video, name in groups.items():
        if video in given:
            found.setdefault(name, set()).add(given[video])
    return {name: sorted(splits, key=SPLITS.index) for name, splits in found.items()}


def given_by_video(rows: Sequence[GivenSplit]) -> dict[str, Split]:
    """Video id -> given split."""
    return {row.video_id: row.split for row in rows}


def _cover_labels(
    labels: Mapping[str, set[str]],
    splits: dict[str, Split],
    fractions: Mapping[str, float],
    edges: Mapping[Split, tuple[float, float]],
    fixed: Collection[str],
) -> None:
    """Change `splits`, except of the groups `fixed`, so that each label of enough groups is in every split of `edges`."""
    groups_of_label: dict[str, list[str]] = {}
    counts: Counter[tuple[Split, str]] = Counter()
    for name in sorted(name for name in labels if splits[name] in edges):
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
                if name not in fixed
                and 2 * sum(not counts[split, other] for other in labels[name]) >= len(labels[name])
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
