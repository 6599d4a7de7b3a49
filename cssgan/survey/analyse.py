"""Answers -> the paper's Table 2: who preferred what, how often nobody did, means, intervals and agreement.

Comparative answers are turned so that 7 is "the reference model, clearly" and 4 is "no difference", whatever side the
reference stood on. Intervals are bootstraps over raters, for the answers of one rater are no independent ones.
"""

from __future__ import annotations

import io
import json
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import krippendorff
import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
from numpy.typing import NDArray

from cssgan.storage.files import make_folder, write_bytes
from cssgan.survey.definition import (
    HIGHEST,
    NO_DIFFERENCE,
    PAIR_QUESTIONS,
    RESULTS,
    SINGLE_QUESTIONS,
    Survey,
    read_survey,
)
from cssgan.survey.store import Answer, Store
from cssgan.survey.trials import Trial, plan
from phonics_data.errors import InputError

SCHEMA_VERSION = 1
RESAMPLES = 2_000
Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True)
class Rules:
    """Whose answers count.

    Args:
        most_failed: checks that a rater may fail.
        most_hasty: share of pages that a rater may answer sooner than their videos last.
        unfinished: count raters who have not finished, too.
    """

    most_failed: int = 0
    most_hasty: float = 0.1
    unfinished: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class RawAnswer:
    """One answer with all that was shown; a row of answers.parquet and answers.csv.

    Args:
        model: the rated one; in a pair the one beside the reference.
        turned: `value`, for comparisons turned so that 7 favours the reference; else as it is.
        seconds: from when the page was first sent until it was answered.
        excluded: why the rater's answers do not count, or empty.
    """

    rater: int
    trial: int
    kind: str
    question: str
    item: str
    model: str
    left_model: str
    right_model: str
    check: str
    value: int
    turned: int
    seconds: float
    excluded: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Estimate:
    """A mean or share with its 95 % interval (None where one rater alone gives none)."""

    value: float
    interval: tuple[float, float] | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One line of the table.

    Args:
        model: rated model, or what the reference was compared with; ``all`` pools them.
        preference: share of answers on the reference's side of the middle; None for single videos.
        share_of_4: share of "no difference"; None for single videos.
        alpha: Krippendorff's, ordinal, units = what was shown; None where it is not defined.
    """

    question: str
    model: str
    num_answers: int
    num_raters: int
    preference: Estimate | None
    share_of_4: Estimate | None
    mean: Estimate
    alpha: float | None


def analyse(folder: Path, *, rules: Rules | None = None, out: Path | None = None, seed: int = 0) -> dict[str, Any]:
    """Read the answers of a survey, write analysis.json, analysis.md, answers.parquet and answers.csv.

    Args:
        out: folder for the four, default `folder`.
        seed: of the bootstrap.

    Returns:
        The content of analysis.json.

    Raises:
        InputError: no survey, no answers, or answers to another survey.
    """
    rules = rules or Rules()
    survey = read_survey(folder)
    path = folder / RESULTS
    if not path.is_file():
        raise InputError(f"{folder}: holds no {RESULTS}; nobody has answered yet, see `cssgan survey serve`")
    store = Store(path, survey.digest())
    try:
        answers, counts, finished, comments = store.answers(), store.counts(), store.finished(), store.comments()
    finally:
        store.close()
    if not answers:
        raise InputError(f"{path}: holds no answers yet; analyse it after the first rater has answered")
    raw, excluded = judge(survey, answers, finished, rules)
    rows = table(raw, seed=seed)
    report = {
        "schema_version": SCHEMA_VERSION,
        "survey": survey.title,
        "survey_digest": survey.digest(),
        "reference": survey.reference,
        "models": list(survey.models),
        "num_items": len(survey.items),
        "rules": asdict(rules),
        "raters": {**counts, "answered": len(excluded), "counted": sum(not why for why in excluded.values())},
        "excluded": {
            why: sum(other == why for other in excluded.values()) for why in sorted({*excluded.values()} - {""})
        },
        "interval": f"95 %, bootstrap over raters, {RESAMPLES} resamples, seed {seed}",
        "agreement": "Krippendorff's alpha, ordinal",
        "rows": [asdict(row) for row in rows],
        "comments": comments,
    }
    _write(out or folder, report, raw, rows)
    return report


def judge(
    survey: Survey, answers: Sequence[Answer], finished: set[int], rules: Rules
) -> tuple[list[RawAnswer], dict[int, str]]:
    """All answers with what was shown, and for each rater why they do not count (empty: they do)."""
    by_rater: dict[int, dict[int, list[Answer]]] = defaultdict(lambda: defaultdict(list))
    for answer in answers:
        by_rater[answer.rater][answer.trial].append(answer)
    raw: list[RawAnswer] = []
    reasons: dict[int, str] = {}
    for rater, pages in by_rater.items():
        trials = plan(survey, rater - 1)
        reasons[rater] = _reason(trials, pages, rater in finished, rules)
        for index, given in pages.items():
            raw += [_raw(survey, trials[index], answer, reasons[rater]) for answer in given]
    return raw, reasons


def _reason(trials: Sequence[Trial], pages: Mapping[int, Sequence[Answer]], finished: bool, rules: Rules) -> str:
    failed = sum(not trials[index].passed([answer.value for answer in given]) for index, given in pages.items())
    if failed > rules.most_failed:
        return "failed attention checks"
    hasty = sum(given[0].answered_at - given[0].shown_at < trials[index].seconds for index, given in pages.items())
    if hasty > rules.most_hasty * len(pages):
        return "answered before the videos had ended"
    return "" if finished or rules.unfinished else "did not finish"


def _raw(survey: Survey, trial: Trial, answer: Answer, excluded: str) -> RawAnswer:
    turn = trial.right is not None and trial.left.model == survey.reference
    return RawAnswer(
        rater=answer.rater,
        trial=answer.trial,
        kind=trial.kind,
        question=answer.question,
        item=trial.left.item,
        model=trial.right.model if turn and trial.right is not None else trial.left.model,
        left_model=trial.left.model,
        right_model=trial.right.model if trial.right is not None else "",
        check=trial.check,
        value=answer.value,
        turned=HIGHEST["pair"] + 1 - answer.value if turn else answer.value,
        seconds=round(answer.answered_at - answer.shown_at, 3),
        excluded=excluded,
    )


def table(raw: Sequence[RawAnswer], *, seed: int = 0) -> list[Row]:
    """The lines of Table 2 from the answers that count; checks never do."""
    use = [answer for answer in raw if not answer.excluded and not answer.check]
    rows: list[Row] = []
    for question in (*SINGLE_QUESTIONS, *PAIR_QUESTIONS):
        groups: dict[str, list[RawAnswer]] = defaultdict(list)
        for answer in use:
            if answer.question == question:
                groups[answer.model].append(answer)
        if question in PAIR_QUESTIONS and len(groups) > 1:
            groups["all"] = [answer for group in groups.values() for answer in group]
        rows += [_row(question, model, group, seed) for model, group in groups.items()]
    return rows


def _row(question: str, model: str, answers: Sequence[RawAnswer], seed: int) -> Row:
    raters = np.array([answer.rater for answer in answers])
    values = np.array([answer.turned for answer in answers], np.float64)

    def share(of: Callable[[Floats], NDArray[np.bool_]]) -> Estimate | None:
        return bootstrap(of(values).astype(np.float64), raters, seed) if question in PAIR_QUESTIONS else None

    return Row(
        question=question,
        model=model,
        num_answers=len(answers),
        num_raters=len(set(raters.tolist())),
        preference=share(lambda x: x > NO_DIFFERENCE),
        share_of_4=share(lambda x: x == NO_DIFFERENCE),
        mean=bootstrap(values, raters, seed),
        alpha=agreement(answers),
    )


def bootstrap(values: Floats, raters: NDArray[np.int64], seed: int = 0) -> Estimate:
    """The mean of all values, and the 2.5 and 97.5 percentiles of that mean over resampled raters."""
    names, place = np.unique(raters, return_inverse=True)
    sums, counts = np.bincount(place, values), np.bincount(place).astype(np.float64)
    if len(names) < 2:
        return Estimate(value=float(values.mean()), interval=None)
    drawn = np.random.default_rng(seed).multinomial(len(names), np.full(len(names), 1 / len(names)), RESAMPLES)
    low, high = np.percentile((drawn @ sums) / (drawn @ counts), [2.5, 97.5])
    return Estimate(value=float(values.mean()), interval=(float(low), float(high)))


def agreement(answers: Sequence[RawAnswer]) -> float | None:
    """Krippendorff's alpha over what was shown (item and models); None where nothing was seen twice, or all is equal."""
    raters = {rater: row for row, rater in enumerate(sorted({answer.rater for answer in answers}))}
    units = {unit: column for column, unit in enumerate(sorted({_unit(answer) for answer in answers}))}
    data = np.full((len(raters), len(units)), np.nan)
    for answer in answers:
        data[raters[answer.rater], units[_unit(answer)]] = answer.turned
    pairable = data[:, (~np.isnan(data)).sum(axis=0) > 1]
    if len(np.unique(pairable[~np.isnan(pairable)])) < 2:
        return None
    return float(krippendorff.alpha(reliability_data=pairable, level_of_measurement="ordinal"))


def _unit(answer: RawAnswer) -> tuple[str, str]:
    return answer.item, answer.model


def markdown(report: Mapping[str, Any], rows: Sequence[Row]) -> str:
    """Table 2 with who was counted, and how, below it."""
    reference, raters = report["reference"], report["raters"]
    lines = [f"# {report['survey']}", "", f"## Single videos, 1 to {HIGHEST['single']}", ""]
    lines += ["| question | model | mean | alpha | answers | raters |", "| --- | --- | --- | --- | --- | --- |"]
    for row in rows:
        if row.preference is None:
            lines.append(
                f"| {row.question} | {row.model} | {_shown(row.mean)} | {_alpha(row)} | {row.num_answers} |"
                f" {row.num_raters} |"
            )
    lines += [
        "",
        f"## {reference} beside another model, 1 to {HIGHEST['pair']} ({HIGHEST['pair']} favours {reference})",
        "",
    ]
    lines += [
        f"| question | other model | {reference} preferred | share of {NO_DIFFERENCE}s | mean | alpha | answers | raters |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        if row.preference is not None and row.share_of_4 is not None:
            lines.append(
                f"| {row.question} | {row.model} | {_shown(row.preference, 100)} % | {_shown(row.share_of_4, 100)} % |"
                f" {_shown(row.mean)} | {_alpha(row)} | {row.num_answers} | {row.num_raters} |"
            )
    left_out = "; ".join(f"{number} {why}" for why, number in report["excluded"].items()) or "none"
    lines += [
        "",
        f"Brackets: {report['interval']}. Alpha: {report['agreement']} (1 is full agreement, 0 is chance).",
        f"Raters: {raters['consented']} consented, {raters['answered']} answered, {raters['finished']} finished,"
        f" {raters['withdrew']} withdrew, {raters['counted']} counted. Left out: {left_out}.",
    ]
    return "\n".join(lines) + "\n"


def _shown(estimate: Estimate, factor: float = 1.0) -> str:
    digits = 1 if factor == 100 else 2
    text = f"{factor * estimate.value:.{digits}f}"
    if estimate.interval is None:
        return f"{text} [unavailable]"
    low, high = estimate.interval
    return f"{text} [{factor * low:.{digits}f}, {factor * high:.{digits}f}]"


def _alpha(row: Row) -> str:
    return "unavailable" if row.alpha is None else f"{row.alpha:.2f}"


def _write(out: Path, report: Mapping[str, Any], raw: Sequence[RawAnswer], rows: Sequence[Row]) -> None:
    make_folder(out)
    columns = pa.table({field.name: [getattr(answer, field.name) for answer in raw] for field in fields(RawAnswer)})
    parquet, text = io.BytesIO(), io.BytesIO()
    pyarrow.parquet.write_table(columns, parquet)
    pyarrow.csv.write_csv(columns, text)
    write_bytes(out / "answers.parquet", parquet.getvalue())
    write_bytes(out / "answers.csv", text.getvalue())
    write_bytes(out / "analysis.md", markdown(report, rows).encode())
    write_bytes(out / "analysis.json", json.dumps(report, indent=1, ensure_ascii=False).encode())
