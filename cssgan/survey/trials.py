"""The trials of one rater: videos, order and sides. A pure function of the survey's seed and the rater's index."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeVar

import numpy as np

from cssgan.survey.definition import NO_DIFFERENCE, SCALE_MAX, Survey, Video

Kind = Literal["single", "pair"]
Check = Literal["", "instructed", "identical"]
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class Trial:
    """One page with a single video, or with a pair.

    Args:
        index: position in the rater's order, from 0.
        right: None for a single video.
        check: kind of attention check. ``instructed``: the page requests the answer `instructed_answer`. ``identical``:
            both videos are the same, and every answer must be within one step of "no difference".
    """

    index: int = 0
    kind: Kind
    left: Video
    right: Video | None = None
    check: Check = ""
    instructed_answer: int | None = None

    @property
    def seconds(self) -> float:
        """Total duration of the videos."""
        return self.left.seconds + (self.right.seconds if self.right is not None else 0.0)

    def passed(self, values: Sequence[int]) -> bool:
        """Whether the answers pass the attention check; True if the trial is not a check."""
        if self.check == "instructed":
            return all(value == self.instructed_answer for value in values)
        if self.check == "identical":
            return all(abs(value - NO_DIFFERENCE) <= 1 for value in values)
        return True


def rater_trials(survey: Survey, rater: int) -> tuple[Trial, ...]:
    """The trials of the rater with index `rater` (from 0): first single videos, then pairs, each in random order.

    * Over all raters, every video and every pair is shown equally often (up to one).
    * The reference model is on the left in half of a rater's pairs (up to one).
    * Checks are inserted at random positions, but never first.
    """
    rng = np.random.default_rng([survey.seed, rater])
    singles = _rotation(_single_videos(survey), rater, survey.singles)
    pairs = _rotation(_video_pairs(survey), rater, survey.pairs)
    blocks: dict[Kind, list[Trial]] = {
        "single": [Trial(kind="single", left=singles[k]) for k in rng.permutation(len(singles))],
        "pair": [],
    }
    swapped = rng.permutation(np.arange(len(pairs)) % 2 == int(rng.integers(2)))
    for k in rng.permutation(len(pairs)):
        left, right = pairs[k][::-1] if swapped[k] else pairs[k]
        blocks["pair"].append(Trial(kind="pair", left=left, right=right))
    for number in range(survey.checks):
        check = _check(survey, blocks, number, rng)
        block = blocks[check.kind]
        block.insert(int(rng.integers(min(1, len(block)), len(block) + 1)), check)
    return tuple(replace(trial, index=index) for index, trial in enumerate([*blocks["single"], *blocks["pair"]]))


def _rotation(cells: Sequence[T], rater: int, count: int) -> list[T]:
    """`count` consecutive cells for one rater; the raters go through the list cyclically."""
    count = min(count, len(cells))
    return [cells[(rater * count + k) % len(cells)] for k in range(count)]


def _single_videos(survey: Survey) -> list[Video]:
    videos = _by_cell(survey)
    return [videos[model, item] for item in _items(survey) for model in survey.models]


def _video_pairs(survey: Survey) -> list[tuple[Video, Video]]:
    videos = _by_cell(survey)
    return [
        (videos[survey.reference, item], videos[model, item]) for item in _items(survey) for model in survey.models[1:]
    ]


def _by_cell(survey: Survey) -> dict[tuple[str, str], Video]:
    return {(video.model, video.item): video for video in survey.videos}


def _items(survey: Survey) -> list[str]:
    items = survey.items
    return [items[k] for k in np.random.default_rng(survey.seed).permutation(len(items))]


def _check(survey: Survey, blocks: dict[Kind, list[Trial]], number: int, rng: np.random.Generator) -> Trial:
    """The two kinds of check alternate; the instructed check is used only if there are single videos."""
    video = survey.videos[int(rng.integers(len(survey.videos)))]
    if blocks["single"] and (number % 2 == 0 or not blocks["pair"]):
        answer = int(rng.integers(1, SCALE_MAX["single"] + 1))
        return Trial(kind="single", left=video, check="instructed", instructed_answer=answer)
    return Trial(kind="pair", left=video, right=video, check="identical")
