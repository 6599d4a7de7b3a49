"""What raters see: the same for one number, evenly over all, checks that tell attention from its absence."""

from __future__ import annotations

from collections import Counter

import pytest

from cssgan.survey.definition import CONSENT, ENDS, QUESTION_TEXTS, Survey, Video
from cssgan.survey.trials import Trial, plan


def survey_of(*, models: int = 3, items: int = 5, singles: int = 6, pairs: int = 4, checks: int = 2) -> Survey:
    names = tuple(f"model-{m}" for m in range(models))
    return Survey(
        title="t", lang="en", reference=names[0], models=names, singles=singles, pairs=pairs, checks=checks, seed=3,
        videos=tuple(
            Video(model=name, item=f"item-{i}", file=f"{name}-{i}.mp4", seconds=2.0) for i in range(items) for name in names
        ),
        texts=QUESTION_TEXTS, ends=ENDS, consent=CONSENT, contact="", made_from={},
    )  # fmt: skip


def test_a_rater_has_one_plan_and_another_rater_another_one() -> None:
    survey = survey_of()
    assert plan(survey, 4) == plan(survey, 4)
    assert plan(survey, 4) != plan(survey, 5)
    assert [trial.index for trial in plan(survey, 4)] == list(range(12))


def test_single_videos_come_first_and_no_check_opens() -> None:
    for rater in range(50):
        trials = plan(survey_of(), rater)
        kinds = [trial.kind for trial in trials]
        assert kinds == sorted(kinds, reverse=True)
        assert not trials[0].check
        assert Counter(trial.check for trial in trials) == {"": 10, "instructed": 1, "identical": 1}


def test_every_video_and_pair_comes_equally_often() -> None:
    survey = survey_of()
    singles: Counter[str] = Counter()
    pairs: Counter[frozenset[str]] = Counter()
    for rater in range(30):
        shown = [trial for trial in plan(survey, rater) if not trial.check]
        singles.update(trial.left.file for trial in shown if trial.right is None)
        pairs.update(frozenset((trial.left.file, trial.right.file)) for trial in shown if trial.right is not None)
    assert len(singles) == 15
    assert set(singles.values()) == {12}
    assert len(pairs) == 10
    assert set(pairs.values()) == {12}


def test_sides_are_even_and_pairs_share_their_item() -> None:
    survey = survey_of()
    left_first = 0
    for rater in range(40):
        shown = [trial for trial in plan(survey, rater) if trial.right is not None and not trial.check]
        assert all(trial.right is not None and trial.left.item == trial.right.item for trial in shown)
        left = [trial.left.model == survey.reference for trial in shown]
        assert sum(left) == 2
        left_first += left[0]
    assert 10 <= left_first <= 30


def test_nobody_sees_a_video_twice_in_a_block() -> None:
    trials = plan(survey_of(singles=500, pairs=500, checks=0), 7)
    assert len({trial.left.file for trial in trials if trial.right is None}) == 15
    assert len(trials) == 25


@pytest.mark.parametrize(("singles", "pairs", "kind"), [(0, 3, "identical"), (3, 0, "instructed")])
def test_checks_are_of_the_kind_that_is_shown(singles: int, pairs: int, kind: str) -> None:
    trials = plan(survey_of(singles=singles, pairs=pairs, checks=2), 0)
    assert Counter(trial.check for trial in trials) == {"": 3, kind: 2}


def test_checks_tell_who_attends() -> None:
    video = Video(model="m", item="i", file="f.mp4", seconds=1.0)
    told = Trial(index=0, kind="single", left=video, check="instructed", wanted=7)
    same = Trial(index=0, kind="pair", left=video, right=video, check="identical")
    assert told.passed([7])
    assert not told.passed([6])
    assert same.passed([3, 4, 5])
    assert not same.passed([4, 4, 6])
    assert Trial(index=0, kind="single", left=video).passed([1])
