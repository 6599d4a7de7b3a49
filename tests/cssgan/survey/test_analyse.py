"""From answers to Table 2: turned answers, counts, exclusions, intervals and agreement; the survey commands."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas
import pyarrow.csv
import pytest

from cssgan.survey.analyse import ExclusionRules, RawAnswer, analyse, bootstrap, krippendorff_alpha
from cssgan.survey.definition import RESULTS_FILE, read_survey
from cssgan.survey.store import Store
from cssgan.survey.trials import Trial, rater_trials
from phonics_data.errors import InputError
from tests.cssgan.survey.http_client import RaterClient
from tests.cssgan.survey.videos import make_survey

pytestmark = pytest.mark.dependencies

Choose = Callable[[Trial, str, int], int]


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_survey(tmp_path_factory.mktemp("survey"), singles=9, pairs=6)


@pytest.fixture
def folder(pristine: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(pristine, tmp_path / "survey"))


def favour(trial: Trial, question: str, rater: int) -> int:
    """A rater who prefers cssgan: 8 as a single video (other models: 3), 7 in pairs with imaginator, 4 with mocogan."""
    if trial.right is None:
        return 8 if trial.left.model == "cssgan" else 3
    models = (trial.left.model, trial.right.model)
    if "mocogan" in models:
        return 4
    return 1 if models[0] == "cssgan" else 7


def answer_survey(
    folder: Path, raters: int, choose: Choose, *, seconds: float = 10.0, pages: int | None = None
) -> None:
    """Add raters who pass the checks, answer each page in `seconds`, and stop after `pages`."""
    survey = read_survey(folder)
    now = [1_000.0]
    store = Store(folder / RESULTS_FILE, survey.digest(), clock=lambda: now[0])
    for _ in range(raters):
        rater = store.add_rater(f"token-{store.counts()['consented']}")
        trials = rater_trials(survey, rater - 1)
        for trial in trials[:pages]:
            store.record_shown(rater, trial.index)
            now[0] += seconds
            names = ["synchrony"] if trial.right is None else ["quality", "association", "naturalness"]
            expected = {"instructed": trial.instructed_answer, "identical": 4}.get(trial.check)
            values = {name: choose(trial, name, rater) if expected is None else expected for name in names}
            store.record_answers(rater, trial.index, values, last=trial.index == len(trials) - 1)
    store.close()


def rows(report: dict[str, object], question: str) -> dict[str, dict[str, object]]:
    found = report["rows"]
    assert isinstance(found, list)
    return {row["model"]: row for row in found if row["question"] == question}


def test_table_contains_the_answers(folder: Path) -> None:
    answer_survey(folder, 6, favour)
    report = analyse(folder)

    synchrony = rows(report, "synchrony")
    assert {name: row["mean"]["value"] for name, row in synchrony.items()} == {
        "cssgan": 8.0, "imaginator": 3.0, "mocogan": 3.0,
    }  # fmt: skip
    assert synchrony["cssgan"]["num_answers"] == 18
    assert synchrony["cssgan"]["preference"] is None
    quality = rows(report, "quality")
    assert set(quality) == {"imaginator", "mocogan", "all"}
    assert quality["imaginator"]["preference"]["value"] == 1.0
    assert quality["imaginator"]["mean"]["value"] == 7.0
    assert quality["imaginator"]["share_of_4"]["value"] == 0.0
    assert quality["mocogan"]["preference"]["value"] == 0.0
    assert quality["mocogan"]["share_of_4"]["value"] == 1.0
    assert quality["mocogan"]["alpha"] is None, "alpha is not defined for equal answers"
    assert quality["all"]["mean"]["value"] == 5.5
    assert quality["all"]["alpha"] == pytest.approx(1.0)
    assert quality["all"]["num_answers"] == 36
    assert report["raters"] == {"consented": 6, "finished": 6, "withdrew": 0, "answered": 6, "counted": 6}
    table = (folder / "analysis.md").read_text()
    assert "| quality | imaginator | 100.0 [100.0, 100.0] % | 0.0 [0.0, 0.0] % | 7.00 [7.00, 7.00] |" in table
    assert "Excluded: none." in table


def test_raw_answers_are_written(folder: Path) -> None:
    answer_survey(folder, 3, favour)
    answer_survey(folder, 1, lambda *_: 1, seconds=0.01)
    analyse(folder, out=folder / "out")
    table = pandas.read_parquet(folder / "out" / "answers.parquet")
    assert len(table) == 4 * (9 + 1 + 3 * (6 + 1))
    assert pyarrow.csv.read_csv(folder / "out" / "answers.csv").num_rows == len(table)
    used = table[(table.question == "quality") & (table.excluded == "") & (table.check == "")]
    left = used[used.left_model == "cssgan"]
    assert (left.turned == 8 - left.value).all()
    assert (left.model == left.right_model).all()
    right = used[used.left_model != "cssgan"]
    assert (right.turned == right.value).all()
    assert (right.model == right.left_model).all()
    assert 0 < len(left) < len(used)
    assert set(table[table.rater == 4].excluded) == {"answered before the videos had ended"}


def test_inattentive_raters_are_excluded_and_counted(folder: Path) -> None:
    answer_survey(folder, 4, favour)
    answer_survey(folder, 2, favour, pages=5)
    answer_survey(folder, 1, favour, seconds=0.1)
    survey = read_survey(folder)
    store = Store(folder / RESULTS_FILE, survey.digest(), clock=iter(range(0, 10_000_000, 100)).__next__)
    rater = store.add_rater("inattentive")
    for trial in rater_trials(survey, rater - 1):
        store.record_shown(rater, trial.index)
        names = ["synchrony"] if trial.right is None else ["quality", "association", "naturalness"]
        store.record_answers(rater, trial.index, dict.fromkeys(names, 1), last=trial.index == 16)
    store.close()

    report = analyse(folder)
    assert report["excluded"] == {
        "answered before the videos had ended": 1, "did not finish": 2, "failed attention checks": 1,
    }  # fmt: skip
    assert report["raters"]["counted"] == 4
    assert rows(report, "quality")["imaginator"]["mean"]["value"] == 7.0
    lenient = analyse(folder, rules=ExclusionRules(most_failed=2, most_hasty=1.0, unfinished=True))
    assert lenient["raters"]["counted"] == 8
    assert rows(lenient, "quality")["imaginator"]["mean"]["value"] < 7.0


def test_random_answers_have_no_preference_and_no_agreement(folder: Path) -> None:
    rng = np.random.default_rng(0)
    answer_survey(folder, 25, lambda trial, *_: int(rng.integers(1, 10 if trial.right is None else 8)))
    for row in analyse(folder)["rows"]:
        low, high = row["mean"]["interval"]
        assert low < row["mean"]["value"] < high
        assert low - 0.3 < (5 if row["question"] == "synchrony" else 4) < high + 0.3
        assert abs(row["alpha"]) < 0.15


def test_interval_is_over_raters_not_answers() -> None:
    rng = np.random.default_rng(1)
    rater_means = rng.normal(5, 1, 30)
    raters = np.repeat(np.arange(30), 50)
    estimate = bootstrap(rater_means[raters], raters)
    assert estimate.interval is not None
    half = (estimate.interval[1] - estimate.interval[0]) / 2
    assert half == pytest.approx(1.96 * rater_means.std() / np.sqrt(30), rel=0.15)
    assert bootstrap(np.ones(4), np.zeros(4, np.int64)).interval is None


def test_alpha_equals_a_published_example() -> None:
    """Krippendorff (2011), Computing Krippendorff's Alpha-Reliability, section E: ordinal alpha .815 of this table."""
    columns = ("11*1", "2232", "3333", "3333", "2222", "1234", "4444", "1121", "2222", "*555", "**11", "*3**")
    raw = [
        RawAnswer(
            rater=rater, trial=0, kind="single", question="q", item=str(unit), model="m", left_model="m",
            right_model="", check="", value=int(digit), turned=int(digit), seconds=1.0, excluded="",
        )
        for unit, column in enumerate(columns)
        for rater, digit in enumerate(column)
        if digit != "*"
    ]  # fmt: skip
    assert krippendorff_alpha(raw) == pytest.approx(0.815, abs=0.001)


def test_survey_without_answers_is_an_error(folder: Path) -> None:
    with pytest.raises(InputError, match=r"contains no results\.sqlite; collect answers with"):
        analyse(folder)
    answer_survey(folder, 1, favour, pages=0)
    with pytest.raises(InputError, match="contains no answers yet"):
        analyse(folder)


def cssgan(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "cssgan", "survey", *map(str, arguments)], capture_output=True, text=True, check=False
    )


@pytest.mark.slow
def test_survey_commands(tmp_path: Path) -> None:
    made = make_survey(tmp_path)
    done = cssgan("build", "--videos", tmp_path / "videos", "--out", tmp_path / "mine", "--singles", 1, "--pairs", 1)
    assert done.returncode == 0, done.stderr
    assert cssgan("build", "--videos", tmp_path / "videos", "--out", made).returncode == 1
    assert "--videos, --run: got 'neither'" in cssgan("build", "--out", made).stderr
    serve = [sys.executable, "-m", "cssgan", "survey", "serve", str(tmp_path / "mine"), "--port", "0"]
    server = subprocess.Popen([*serve, "--root-path", "/s"], stderr=subprocess.PIPE, text=True)
    assert server.stderr is not None
    try:
        line = server.stderr.readline()
        port = re.search(r"http://127\.0\.0\.1:(\d+)/s/", line)
        assert port is not None, line
        assert RaterClient(int(port[1]), base="/s").begin().finish() == 4
        in_use = cssgan("serve", tmp_path / "mine", "--port", port[1])
        assert in_use.returncode == 2
        assert "a free address of this machine" in in_use.stderr
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(timeout=30)
    server.stderr.close()
    assert cssgan("serve", tmp_path / "mine", "--root-path", "s p").returncode == 2
    shown = cssgan("analyse", tmp_path / "mine", "--max-hasty", 1, "--json")
    assert shown.returncode == 0, shown.stderr
    assert json.loads(shown.stdout)["raters"]["counted"] == 1
    table = cssgan("analyse", tmp_path / "mine", "--max-hasty", 1).stdout
    assert table == (tmp_path / "mine" / "analysis.md").read_text()
    assert "4.00 [unavailable]" in table, "one rater has no interval"
