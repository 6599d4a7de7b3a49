"""`cssgan survey analyse`: answers -> the paper's Table 2, with preference, share of "no difference", mean and agreement.

* Comparative answers are turned so that 7 favours the reference model and 4 is "no difference", independent of its side.
* Intervals are bootstraps over raters, because the answers of one rater are not independent.
"""

from __future__ import annotations

import io
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import krippendorff
import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
from numpy.typing import NDArray

from cssgan.metrics.statistics import bootstrap_weights
from cssgan.storage.files import make_folder
from cssgan.survey.definition import (
    NO_DIFFERENCE,
    PAIR_QUESTIONS,
    RESULTS_FILE,
    SCALE_MAX,
    SINGLE_QUESTIONS,
    Survey,
    read_survey,
)
from cssgan.survey.store import Answer, Store
from cssgan.survey.trials import Trial, rater_trials
from phonics_data.contract.files import write_bytes
from phonics_data.errors import InputError

SCHEMA_VERSION = 1
RESAMPLES = 2_000
Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True)
class ExclusionRules:
    """Rules by which raters are excluded.

    Args:
        most_failed: maximum number of failed attention checks.
        most_hasty: maximum share of pages that were answered in less time than their videos last.
        unfinished: include raters who did not finish.
    """

    most_failed: int = 0
    most_hasty: float = 0.1
    unfinished: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class RawAnswer:
    """One answer with its trial; a row of answers.parquet and answers.csv.

    Args:
        model: the rated model; in a pair, the model beside the reference.
        turned: `value`; in pairs turned so that 7 favours the reference.
        seconds: time from the first display of the page to its answer.
        excluded: why the rater is excluded; empty: not excluded.
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
    """A mean or share with its 95 % interval; None for one rater."""

    value: float
    interval: tuple[float, float] | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One row of Table 2.

    Args:
        model: rated model, or the model that the reference was compared with; ``all``: pooled.
        preference: share of answers in favour of the reference; None for single videos.
        share_of_4: share of "no difference"; None for single videos.
        alpha: Krippendorff's alpha, ordinal; None if it is not defined.
    """

    question: str
    model: str
    num_answers: int
    num_raters: int
    preference: Estimate | None
    share_of_4: Estimate | None
    mean: Estimate
    alpha: float | None


def analyse(
    folder: Path, *, rules: ExclusionRules | None = None, out: Path | None = None, seed: int = 0
) -> dict[str, Any]:
    """Analyse the answers of a survey and write analysis.json, analysis.md, answers.parquet and answers.csv.

    Args:
        out: output folder, default `folder`.
        seed: seed of the bootstrap.

    Returns:
        The content of analysis.json.

    Raises:
        InputError: no survey, no answers, or answers to another survey.
    """
    rules = rules or ExclusionRules()
    survey = read_survey(folder)
    path = folder / RESULTS_FILE
    if not path.is_file():
        raise InputError(f"{folder}: contains no {RESULTS_FILE}; collect answers with `cssgan survey serve`")
    store = Store(path, survey.digest())
    try:
        answers, counts, finished, comments = (
            store.answers(),
            store.counts(),
            store.finished_raters(),
            store.comments(),
        )
    finally:
        store.close()
    if not answers:
        raise InputError(f"{path}: contains no answers yet; analyse it after the first rater has answered")
    raw, excluded = apply_rules(survey, answers, finished, rules)
    rows = table_rows(raw, seed=seed)
    reasons = [reason for reason in excluded.values() if reason]
    report = {
        "schema_version": SCHEMA_VERSION,
        "survey": survey.title,
        "survey_digest": survey.digest(),
        "reference": survey.reference,
        "models": list(survey.models),
        "num_items": len(survey.items),
        "rules": asdict(rules),
        "raters": {**counts, "answered": len(excluded), "counted": len(excluded) - len(reasons)},
        "excluded": {reason: reasons.count(reason) for reason in sorted(set(reasons))},
        "interval": f"95 %, bootstrap over raters, {RESAMPLES} resamples, seed {seed}",
        "agreement": "Krippendorff's alpha, ordinal",
        "rows": [asdict(row) for row in rows],
        "comments": comments,
    }
    _write(out or folder, report, raw, rows)
    return report


def apply_rules(
    survey: Survey, answers: Sequence[Answer], finished: set[int], rules: ExclusionRules
) -> tuple[list[RawAnswer], dict[int, str]]:
    """All answers with their trials, and the reason for exclusion of each rater (empty: not excluded)."""
    by_rater: dict[int, dict[int, list[Answer]]] = defaultdict(lambda: defaultdict(list))
    for answer in answers:
        by_rater[answer.rater][answer.trial].append(answer)
    raw: list[RawAnswer] = []
    reasons: dict[int, str] = {}
    for rater, pages in by_rater.items():
        trials = rater_trials(survey, rater - 1)
        reasons[rater] = _exclusion_reason(trials, pages, rater in finished, rules)
        for index, page in pages.items():
            raw += [_raw_answer(survey, trials[index], answer, reasons[rater]) for answer in page]
    return raw, reasons


def _exclusion_reason(
    trials: Sequence[Trial], pages: Mapping[int, Sequence[Answer]], finished: bool, rules: ExclusionRules
) -> str:
    failed = sum(not trials[index].passed([answer.value for answer in page]) for index, page in pages.items())
    if failed > rules.most_failed:
        return "failed attention checks"
    hasty = sum(page[0].answered_at - page[0].shown_at < trials[index].seconds for index, page in pages.items())
    if hasty > rules.most_hasty * len(pages):
        return "answered before the videos had ended"
    return "" if finished or rules.unfinished else "did not finish"


def _raw_answer(survey: Survey, trial: Trial, answer: Answer, excluded: str) -> RawAnswer:
    left, right = trial.left, trial.right
    turn = right is not None and left.model == survey.reference
    return RawAnswer(
        rater=answer.rater,
        trial=answer.trial,
        kind=trial.kind,
        question=answer.question,
        item=left.item,
        model=right.model if right is not None and turn else left.model,
        left_model=left.model,
        right_model=right.model if right is not None else "",
        check=trial.check,
        value=answer.value,
        turned=SCALE_MAX["pair"] + 1 - answer.value if turn else answer.value,
        seconds=round(answer.answered_at - answer.shown_at, 3),
        excluded=excluded,
    )


def table_rows(raw: Sequence[RawAnswer], *, seed: int = 0) -> list[Row]:
    """The rows of Table 2, from all answers that are neither excluded nor attention checks."""
    used = [answer for answer in raw if not answer.excluded and not answer.check]
    rows: list[Row] = []
    for question in (*SINGLE_QUESTIONS, *PAIR_QUESTIONS):
        groups: dict[str, list[RawAnswer]] = defaultdict(list)
        for answer in used:
            if answer.question == question:
                groups[answer.model].append(answer)
        if question in PAIR_QUESTIONS and len(groups) > 1:
            groups["all"] = [answer for group in groups.values() for answer in group]
        rows += [_row(question, model, group, seed) for model, group in groups.items()]
    return rows


def _row(question: str, model: str, answers: Sequence[RawAnswer], seed: int) -> Row:
    raters = np.array([answer.rater for answer in answers])
    values = np.array([answer.turned for answer in answers], np.float64)

    def share(selected: NDArray[np.bool_]) -> Estimate | None:
        return bootstrap(selected.astype(np.float64), raters, seed) if question in PAIR_QUESTIONS else None

    return Row(
        question=question,
        model=model,
        num_answers=len(answers),
        num_raters=len(set(raters.tolist())),
        preference=share(values > NO_DIFFERENCE),
        share_of_4=share(values == NO_DIFFERENCE),
        mean=bootstrap(values, raters, seed),
        alpha=krippendorff_alpha(answers),
    )


def bootstrap(values: Floats, raters: NDArray[np.int64], seed: int = 0) -> Estimate:
    """The mean of all values, with a 95 % percentile interval over resampled raters."""
    names, rater_index = np.unique(raters, return_inverse=True)
    if len(names) < 2:
        return Estimate(value=float(values.mean()), interval=None)
    sums, counts = np.bincount(rater_index, values), np.bincount(rater_index).astype(np.float64)
    weights = bootstrap_weights(len(names), seed, RESAMPLES)
    low, high = np.percentile((weights @ sums) / (weights @ counts), [2.5, 97.5])
    return Estimate(value=float(values.mean()), interval=(float(low), float(high)))


def krippendorff_alpha(answers: Sequence[RawAnswer]) -> float | None:
    """Ordinal alpha; units are (item, model). None if no unit was rated twice, or if all answers are equal."""
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
    """Table 2, with the numbers of raters below it."""
    reference, raters = report["reference"], report["raters"]
    lines = [f"# {report['survey']}", "", f"## Single videos, 1 to {SCALE_MAX['single']}", ""]
    lines += ["| question | model | mean | alpha | answers | raters |", "| --- | --- | --- | --- | --- | --- |"]
    lines += [
        f"| {row.question} | {row.model} | {_format(row.mean)} | {_alpha(row)} | {row.num_answers} | {row.num_raters} |"
        for row in rows
        if row.preference is None
    ]
    lines += [
        "",
        f"## {reference} compared with another model, 1 to {SCALE_MAX['pair']} ({SCALE_MAX['pair']} favours {reference})",
        "",
        f"| question | other model | {reference} preferred | share of {NO_DIFFERENCE}s | mean | alpha | answers | raters |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    lines += [
        f"| {row.question} | {row.model} | {_format(row.preference, 100)} % | {_format(row.share_of_4, 100)} % |"
        f" {_format(row.mean)} | {_alpha(row)} | {row.num_answers} | {row.num_raters} |"
        for row in rows
        if row.preference is not None and row.share_of_4 is not None
    ]
    excluded = "; ".join(f"{count} {reason}" for reason, count in report["excluded"].items()) or "none"
    lines += [
        "",
        f"Brackets: {report['interval']}. Alpha: {report['agreement']} (1: full agreement, 0: chance level).",
        f"Raters: {raters['consented']} consented, {raters['answered']} answered, {raters['finished']} finished,"
        f" {raters['withdrew']} withdrew, {raters['counted']} counted. Excluded: {excluded}.",
    ]
    return "\n".join(lines) + "\n"


def _format(estimate: Estimate, factor: float = 1.0) -> str:
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
