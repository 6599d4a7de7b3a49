"""What one rater sees, in which order and on which side; a pure function of the survey's seed and the rater's number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np

from cssgan.survey.definition import HIGHEST, NO_DIFFERENCE, Survey, Video

Kind = Literal["single", "pair"]
Check = Literal["", "instructed", "identical"]
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class Trial:
    """One page: a video, or two beside each other.

    Args:
        index: place in the rater's order, from 0.
        right: None for a single video.
        check: ``instructed``: the page asks for one answer, `wanted`; ``identical``: both sides are the same video, and
            every answer has to lie within one step of "no difference".
    """

    index: int
    kind: Kind
    left: Video
    right: Video | None = None
    check: Check = ""
    wanted: int | None = None

    @property
    def seconds(self) -> float:
        """How long it takes to see all of it."""
        return self.left.seconds + (self.right.seconds if self.right is not None else 0.0)

    def passed(self, values: Sequence[int]) -> bool:
        """Whether the answers to this page are those of somebody who attends; True where it is no check."""
        if self.check == "instructed":
            return all(value == self.wanted for value in values)
        if self.check == "identical":
            return all(abs(value - NO_DIFFERENCE) <= 1 for value in values)
        return True


def plan(survey: Survey, rater: int) -> tuple[Trial, ...]:
    """The pages of rater number `rater` (from 0): first single videos, then pairs, each block in an order of its own.

    Over raters every video and every pair comes equally often (up to one); the reference model stands left in half of
    a rater's pairs (up to one). Checks stand anywhere but at the beginning.
    """
    rng = np.random.default_rng([survey.seed, rater])
    singles = _turn(_single_cells(survey), rater, survey.singles)
    pairs = _turn(_pair_cells(survey), rater, survey.pairs)
    blocks: dict[Kind, list[Trial]] = {
        "single": [Trial(index=0, kind="single", left=singles[k]) for k in rng.permutation(len(singles))],
        "pair": [],
    }
    swapped = rng.permutation(np.arange(len(pairs)) % 2 == int(rng.integers(2)))
    for k in rng.permutation(len(pairs)):
        left, right = pairs[k][::-1] if swapped[k] else pairs[k]
        blocks["pair"].append(Trial(index=0, kind="pair", left=left, right=right))
    for number in range(survey.checks):
        check = _check(survey, blocks, number, rng)
        block = blocks[check.kind]
        block.insert(int(rng.integers(min(1, len(block)), len(block) + 1)), check)
    trials = [*blocks["single"], *blocks["pair"]]
    return tuple(_at(trial, index) for index, trial in enumerate(trials))


def _turn(cells: Sequence[T], rater: int, count: int) -> list[T]:
    """The share of one rater: `count` neighbours of the list, which all raters together go round and round."""
    count = min(count, len(cells))
    return [cells[(rater * count + k) % len(cells)] for k in range(count)]


def _single_cells(survey: Survey) -> list[Video]:
    return [survey.video(model, item) for item in _items(survey) for model in survey.models]


def _pair_cells(survey: Survey) -> list[tuple[Video, Video]]:
    return [
        (survey.video(survey.reference, item), survey.video(model, item))
        for item in _items(survey)
        for model in survey.models[1:]
    ]


def _items(survey: Survey) -> list[str]:
    items = survey.items
    return [items[k] for k in np.random.default_rng(survey.seed).permutation(len(items))]


def _check(survey: Survey, blocks: dict[Kind, list[Trial]], number: int, rng: np.random.Generator) -> Trial:
    """The two kinds of check in turn; the instructed one stands where there are single videos."""
    video = survey.videos[int(rng.integers(len(survey.videos)))]
    if blocks["single"] and (number % 2 == 0 or not blocks["pair"]):
        wanted = int(rng.integers(1, HIGHEST["single"] + 1))
        return Trial(index=0, kind="single", left=video, check="instructed", wanted=wanted)
    return Trial(index=0, kind="pair", left=video, right=video, check="identical")


def _at(trial: Trial, index: int) -> Trial:
    return Trial(
        index=index, kind=trial.kind, left=trial.left, right=trial.right, check=trial.check, wanted=trial.wanted
    )
