"""The trials of raters: reproducible, balanced over raters, with attention checks."""

from __future__ import annotations

from collections import Counter

import pytest

from cssgan.survey.definition import CONSENT_TEXT, QUESTION_TEXTS, SCALE_ENDS, Survey, Video
from cssgan.survey.trials import Trial, rater_trials


def make_survey(*, models: int = 3, items: int = 5, singles: int = 6, pairs: int = 4, checks: int = 2) -> Survey:
    names = tuple(f"model-{m}" for m in range(models))
    return Survey(
        title="t", lang="en", reference=names[0], models=names, singles=singles, pairs=pairs, checks=checks, seed=3,
        videos=tuple(
            Video(model=name, item=f"item-{i}", file=f"{name}-{i}.mp4", seconds=2.0) for i in range(items) for name in names
        ),
        texts=QUESTION_TEXTS, ends=SCALE_ENDS, consent=CONSENT_TEXT, contact="", made_from={},
    )  # fmt: skip


def test_trials_are_reproducible_and_differ_between_raters() -> None:
    survey = make_survey()
    assert rater_trials(survey, 4) == rater_trials(survey, 4)
    assert rater_trials(survey, 4) != rater_trials(survey, 5)
    assert [trial.index for trial in rater_trials(survey, 4)] == list(range(12))


def test_single_videos_are_first_and_the_first_trial_is_no_check() -> None:
    for rater in range(50):
        trials = rater_trials(make_survey(), rater)
        kinds = [trial.kind for trial in trials]
        assert kinds == sorted(kinds, reverse=True)
        assert not trials[0].check
        assert Counter(trial.check for trial in trials) == {"": 10, "instructed": 1, "identical": 1}


def test_every_video_and_pair_is_shown_equally_often() -> None:
    survey = make_survey()
    singles: Counter[str] = Counter()
    pairs: Counter[frozenset[str]] = Counter()
    for rater in range(30):
        shown = [trial for trial in rater_trials(survey, rater) if not trial.check]
        singles.update(trial.left.file for trial in shown if trial.right is None)
        pairs.update(frozenset((trial.left.file, trial.right.file)) for trial in shown if trial.right is not None)
    assert len(singles) == 15
    assert set(singles.values()) == {12}
    assert len(pairs) == 10
    assert set(pairs.values()) == {12}


def test_sides_are_balanced_and_both_videos_of_a_pair_have_the_same_item() -> None:
    survey = make_survey()
    left_first = 0
    for rater in range(40):
        shown = [trial for trial in rater_trials(survey, rater) if trial.right is not None and not trial.check]
        assert all(trial.right is not None and trial.left.item == trial.right.item for trial in shown)
        left = [trial.left.model == survey.reference for trial in shown]
        assert sum(left) == 2
        left_first += left[0]
    assert 10 <= left_first <= 30


def test_no_video_is_repeated_in_a_block() -> None:
    trials = rater_trials(make_survey(singles=500, pairs=500, checks=0), 7)
    assert len({trial.left.file for trial in trials if trial.right is None}) == 15
    assert len(trials) == 25


@pytest.mark.parametrize(("singles", "pairs", "kind"), [(0, 3, "identical"), (3, 0, "instructed")])
def test_checks_have_the_kind_of_the_shown_trials(singles: int, pairs: int, kind: str) -> None:
    trials = rater_trials(make_survey(singles=singles, pairs=pairs, checks=2), 0)
    assert Counter(trial.check for trial in trials) == {"": 3, kind: 2}


def test_checks_pass_only_with_the_expected_answers() -> None:
    video = Video(model="m", item="i", file="f.mp4", seconds=1.0)
    instructed = Trial(index=0, kind="single", left=video, check="instructed", instructed_answer=7)
    identical = Trial(index=0, kind="pair", left=video, right=video, check="identical")
    assert instructed.passed([7])
    assert not instructed.passed([6])
    assert identical.passed([3, 4, 5])
    assert not identical.passed([4, 4, 6])
    assert Trial(index=0, kind="single", left=video).passed([1])
