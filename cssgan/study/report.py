"""Results of a study -> tables like the paper's, and whether the paper's claims hold on these videos."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from cssgan.metrics.result import ARROW, Better, format_number
from cssgan.metrics.statistics import holm
from cssgan.study import paper_numbers, tuning
from cssgan.study.job_list import AS_PUBLISHED, OURS, WITH_L1, Budget, Job, Row, TableName, job, rows_of, run_name
from cssgan.study.measures import DISTANCE, MEASURES, Measure
from cssgan.study.results import Cell, Results
from cssgan.study.significance import LEVEL, Difference, compare
from cssgan.study.tables import Table, best_index, format_cell
from cssgan.types import Split
from phonics_data.contract.untrusted import read_json_object
from phonics_data.errors import InputError

PAPER_METRICS = ("inception_score", "fid", "fvd32")
"""Columns of the paper: IS, FID, and FVD of all its 32 frames."""
ADDED_METRICS = (
    "event_match", "event_f1", "persistence", "event_swap_auc", "audio_swap_auc", "rfd_3d_kd64", "kvd32", "rfd_2d_kd64",
    "l1_over_copy_first", "ssim", "motion_ratio", "seam_ratio", "sync_auc", "class_accuracy", "syncnet_auc", "order_pairs",
)  # fmt: skip
"""Further columns, if `cssgan evaluate` reports them. All other metrics are in `all_metrics`."""
TITLES: Mapping[TableName, str] = {"table1": "Table 1: models", "table3": "Table 3: from one stream to the whole model"}


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Study:
    """Content of the tables.

    Args:
        settings: changes to the presets of all runs.
        label_set: label set of the dataset; selects the paper's numbers.
        results: of each evaluated split.
        choices: learning rates of the rows; empty: those of the presets.
        setup: dataset and machine as text.
        survey: content of analysis.json of `cssgan survey analyse`, or None.
    """

    tables: tuple[TableName, ...]
    budget: Budget
    settings: tuple[str, ...]
    label_set: str
    results: Mapping[Split, Results]
    setup: str
    survey: Mapping[str, Any] | None = None
    choices: tuning.Choices = field(default_factory=dict[str, tuning.Choice])
    _jobs: dict[str, list[Job]] = field(default_factory=dict[str, list[Job]])

    def jobs(self, row: Row) -> list[Job]:
        """The seeds of a row."""
        if row.name not in self._jobs:
            choice = self.choices.get(run_name(row, self.budget))
            rates = () if choice is None else choice.settings
            seeds = range(self.budget.num_seeds)
            self._jobs[row.name] = [job(row, self.budget, seed, self.settings, rates) for seed in seeds]
        return self._jobs[row.name]

    def cells(self, rows: Sequence[Row], metric: str, split: Split) -> list[Cell]:
        return [self.results[split].cell(self.jobs(row), metric) for row in rows]

    def metric_names(self) -> list[str]:
        """Names of all metrics of all splits, in the order of the evaluations."""
        return list(dict.fromkeys(name for results in self.results.values() for name in results.metric_names()))

    def saturated_by(self, rows: Sequence[Row], metric: str, split: Split) -> str:
        """The control that reaches the real videos' value in a run of `rows`; empty if none does."""
        runs = [run for row in rows for run in self.results[split].runs(self.jobs(row))]
        names = [run.metrics[metric].saturated_by for run in runs if metric in run.metrics]
        return next((name for name in names if name), "")


def table(study: Study, name: TableName) -> Table:
    """Table 1 or 3: the paper's metrics with its numbers in brackets, then our metrics; a row per model and split.

    The paper's numbers are beside those of the training clips, if these were evaluated: its published videos are of
    clips that were trained on (docs/paper-gaps.md).
    """
    rows = rows_of(name, study.budget)
    paper = (paper_numbers.TABLE1 if name == "table1" else paper_numbers.TABLE3).get(study.label_set, {})
    reported = study.metric_names()
    metrics = [
        *(PAPER_METRICS if name == "table1" else PAPER_METRICS[2:]),
        *(m for m in ADDED_METRICS if m in reported),
    ]
    of_paper: Split = "train" if "train" in study.results else next(iter(study.results))
    columns: dict[tuple[str, Split], list[Cell]] = {
        (metric, split): study.cells(rows, metric, split) for metric in metrics for split in study.results
    }
    saturated: dict[tuple[str, Split], str] = {key: study.saturated_by(rows, *key) for key in columns}
    best = {key: None if saturated[key] else best_index(cells) for key, cells in columns.items()}
    lines: list[tuple[str, ...]] = []
    for index, row in enumerate(rows):
        for split in study.results:
            numbers = paper.get(row.name, {}) if split == of_paper else {}
            cells = [
                format_cell(
                    columns[metric, split][index], numbers.get(metric), best=best[metric, split] == index,
                    saturated=bool(saturated[metric, split]),
                )
                for metric in metrics
            ]  # fmt: skip
            lines.append((row.title, split, *cells, _minutes(study, row, split)))
    headers = [_header(m, [cell for split in study.results for cell in columns[m, split]]) for m in metrics]
    return Table(
        title=TITLES[name],
        columns=("model", "split", *headers, "minutes"),
        rows=tuple(lines),
        notes=(*_notes(study, columns, saturated), *ROW_NOTES[name]),
    )


ROW_NOTES: Mapping[TableName, tuple[str, ...]] = {
    "table1": (
        "With L1: the model with the L1 term of the CSSGAN (weight 100), which ties the pictures to the sound. ImaGINator and "
        "the CSSGAN have it in their papers.",
    ),
    "table3": (
        "The paper goes from '+ shuffling' to '+ multiple generators' in one step. The row between them has four streams that "
        "share their weights, each with its audio; clips are still permuted in the discriminator's features alone.",
    ),
}


def _header(metric: str, cells: Sequence[Cell]) -> str:
    directions: list[Better] = [cell.better for cell in cells if not cell.missing]
    return f"{metric} {ARROW[directions[0]]}".strip() if directions else metric


def _minutes(study: Study, row: Row, split: Split) -> str:
    results = study.results[split]
    runs = results.runs(study.jobs(row))
    if not runs:
        return format_cell(Cell(missing=results.missing[study.jobs(row)[0].key]))
    return f"{sum(run.minutes for run in runs) / len(runs):.1f}"


def _notes(
    study: Study, columns: Mapping[tuple[str, Split], Sequence[Cell]], saturated: Mapping[tuple[str, Split], str]
) -> tuple[str, ...]:
    reasons: dict[str, list[str]] = {}
    for (metric, split), cells in columns.items():
        for reason in {cell.missing for cell in cells if cell.missing}:
            reasons.setdefault(reason, []).append(metric)
        if control := saturated[metric, split]:
            reasons.setdefault(_saturated(control), []).append(f"{metric} ({split})")
    evaluated = [
        f"{split} {' or '.join(str(number) for number in sorted({int(run.report['num_evaluated']) for run in runs}))}"
        for split, results in study.results.items()
        if (runs := list(results.finished.values()))
    ]
    seeds = "mean ± standard deviation over seeds" if study.budget.num_seeds > 1 else "one seed, no deviation"
    return (
        f"{seeds}; {study.budget.description}; {study.setup}; videos evaluated: {', '.join(evaluated) or 'none'}. Bold: "
        "the best mean of a column and split, not tested for significance. Minutes: training time.",
        "Fréchet distances grow as the number of videos falls: compare them within a split only. rfd_* are distances in "
        "the features of random networks. They are comparable within this table only, and are neither FID nor FVD. The "
        "paper prints IS values below 1, which an Inception Score cannot have.",
        *(f"{', '.join(dict.fromkeys(names))}: {reason}" for reason, names in reasons.items()),
    )


def _saturated(control: str) -> str:
    if control == "chance":
        return "saturated: the value of real videos is not above chance, no conclusion"
    return f"saturated: the control {control!r} reaches the value of real videos, no conclusion"


def all_metrics(study: Study) -> Table:
    """Every metric of the evaluations, for every row of every table. Rows with equal runs are listed once."""
    rows: dict[str, Row] = {}
    for row in {row.name: row for name in study.tables for row in rows_of(name, study.budget)}.values():
        rows.setdefault(study.jobs(row)[0].key, row)
    lines: list[tuple[str, ...]] = []
    for metric in study.metric_names():
        for split in study.results:
            cells = study.cells(list(rows.values()), metric, split)
            saturated = bool(study.saturated_by(list(rows.values()), metric, split))
            lines.append((_header(metric, cells), split, *(format_cell(cell, saturated=saturated) for cell in cells)))
    columns = ("metric", "split", *(row.title for row in rows.values()))
    return Table(title="All metrics", columns=columns, rows=tuple(lines))


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """Two rows in one measure on one split.

    Args:
        difference: None if there is none; `missing` is the reason.
        no_conclusion: why nothing can be concluded from the difference; empty: something can be.
    """

    first: Row
    second: Row
    measure: Measure
    split: Split
    difference: Difference | None = None
    missing: str = ""
    no_conclusion: str = ""


def comparisons(study: Study, name: TableName, split: Split) -> list[Comparison]:
    """Every pair of rows that is compared, in every measure that all runs have.

    Table 1: each CSSGAN row against every other model and against the CSSGAN rows after it in `OURS`. Table 3: every step
    against the previous one, the paper's step to several generators, and the whole model against one stream and against
    shuffling alone.
    """
    rows = {row.name: row for row in rows_of(name, study.budget)}
    if name == "table1":
        others = [row for row in rows.values() if row.name not in OURS]
        ours = [rows[key] for key in OURS if key in rows]
        pairs = [(first, row) for n, first in enumerate(ours) for row in (*others, *ours[n + 1 :])]
    else:
        steps = list(rows.values())
        pairs = [*zip(steps[1:], steps, strict=False)]
        pairs += [(rows[first], rows[second]) for first, second in (("a2", "a1"), ("a4", "a0"), ("a4", "a1"))]
    runs = list(study.results[split].finished.values())
    measures = [
        measure
        for measure in MEASURES
        if all(column in run.per_video.values for run in runs for column in measure.columns)
    ]
    return [_compare(study, first, second, measure, split) for first, second in pairs for measure in measures]


def _compare(study: Study, first: Row, second: Row, measure: Measure, split: Split) -> Comparison:
    plain = Comparison(first=first, second=second, measure=measure, split=split)
    sides = [[run.per_video for run in study.results[split].runs(study.jobs(row))] for row in (first, second)]
    absent = [row.title for row, side in zip((first, second), sides, strict=True) if not side]
    if absent:
        return replace(plain, missing=f"no run of {', '.join(absent)}")
    try:
        difference = compare(sides[0], sides[1], measure)
    except ValueError as error:
        return replace(plain, missing=str(error))
    reason = difference.no_conclusion
    if split == "validation":
        reason = "validation is for choices, not for conclusions"
    if control := study.saturated_by((first, second), measure.metric, split):
        reason = _saturated(control)
    return replace(plain, difference=difference, no_conclusion=reason)


def comparison_table(found: Sequence[Comparison], title: str) -> Table:
    """Differences with their intervals. Bold: significant after Holm's correction over the column."""
    measures = tuple(dict.fromkeys(comparison.measure for comparison in found)) or MEASURES
    significant = {
        id(comparison)
        for measure in measures
        for comparison, p_value in corrected([one for one in found if one.measure == measure])
        if p_value < LEVEL
    }
    pairs: dict[tuple[str, str], dict[str, str]] = {}
    for comparison in found:
        pair = pairs.setdefault((comparison.first.title, comparison.second.title), {})
        pair[comparison.measure.name] = _difference(comparison, bold=id(comparison) in significant)
    reasons: dict[str, list[str]] = {}
    for comparison in found:
        if comparison.no_conclusion:
            reasons.setdefault(comparison.no_conclusion, []).append(comparison.measure.name)
    arrows = {"higher": "↑", "lower": "↓"}
    return Table(
        title=title,
        columns=("difference", *(f"{measure.name} {arrows[measure.better]}" for measure in measures)),
        rows=tuple(
            (f"{first} minus {second}", *(cells[measure.name] for measure in measures))
            for (first, second), cells in pairs.items()
        ),
        notes=(
            "Difference with its 95 % interval over training runs (seeds) and songs; with one seed per model over songs "
            "only. Intervals are not corrected. Bold: p < .05 after Holm's correction over the column. seam_deviation and "
            "motion_deviation: |log (generated / real)| of the seam ratio and of the amount of motion; order_deviation: "
            "distance of the order of chunks from that of the real video; rfd_3d_kd64: pairs of videos of one song are "
            "left out.",
            *(f"No conclusion in {', '.join(dict.fromkeys(names))}: {reason}." for reason, names in reasons.items()),
        ),
    )


def corrected(found: Sequence[Comparison]) -> list[tuple[Comparison, float]]:
    """The comparisons that allow a conclusion, each with its p-value after Holm's correction over them."""
    tested = [(one, one.difference) for one in found if one.difference is not None and not one.no_conclusion]
    p_values = holm([difference.p_value for _, difference in tested])
    return [(one, p_value) for (one, _), p_value in zip(tested, p_values, strict=True)]


def _difference(comparison: Comparison, *, bold: bool) -> str:
    if comparison.difference is None:
        return comparison.missing
    text = f"{comparison.difference.value:+.3g} ({_interval(comparison.difference)})"
    if comparison.no_conclusion.startswith("saturated"):
        return f"{text} saturated"
    return f"**{text}**" if bold else text


def _interval(difference: Difference) -> str:
    low, high = difference.interval
    return f"{low:+.3g} .. {high:+.3g}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Claim:
    """A statement about a model and several others in one measure: it holds if the model is better than each of them.

    `question`: what the statement answers, a heading of the report.
    """

    question: str
    text: str
    measure: str
    first: str
    others: tuple[str, ...]


_ASPECTS = {
    DISTANCE: "in video distance",
    "event_match": "in the times of events",
    "event_swap_auc": "in following the audio",  # not audio_swap_auc, which a lamp that follows the sound passes
}
_OUR_TITLES = {"cssgan": "CSSGAN", "cssgan-direct": "CSSGAN, direct output", "tuned": "CSSGAN, tuned"}
_STEPS = (
    ("What does shuffling bring?", "Shuffling (in the discriminator's features)", "a1", "a0"),
    ("What do the streams bring?", "Four streams, each with its audio", "a1-streams", "a1"),
    ("What do shuffled streams bring?", "Shuffled streams (the order is sampled before the generator)", "a2", "a1-streams"),
    ("What do the clip discriminators bring?", "Clip discriminators", "a3", "a2"),
    ("What does the cascade bring?", "The cascade", "a4", "a3"),
)  # fmt: skip


def _claims_of_table1() -> Iterator[Claim]:
    variants = (("as published", AS_PUBLISHED), ("with L1", WITH_L1))
    for variant, others in variants:
        for first in ("cssgan", "cssgan-direct", "tuned"):
            for measure, aspect in _ASPECTS.items():
                yield Claim(
                    question=f"Is the CSSGAN better than the four models {variant}?",
                    text=f"{_OUR_TITLES[first]} is better than the four models {variant} {aspect} ({measure})",
                    measure=measure, first=first, others=others,
                )  # fmt: skip
    for other in ("cssgan", "cssgan-direct"):
        for measure, aspect in _ASPECTS.items():
            yield Claim(
                question="Is `tuned` better than the paper's model at the same budget?",
                text=f"CSSGAN, tuned is better than {_OUR_TITLES[other]} {aspect} ({measure})",
                measure=measure, first="tuned", others=(other,),
            )  # fmt: skip


def _claims_of_table3() -> Iterator[Claim]:
    for question, subject, first, before in _STEPS:
        if first == "a4":
            yield Claim(
                question=question, text=f"{subject} brings the seam ratio closer to that of real videos (seam_deviation)",
                measure="seam_deviation", first=first, others=(before,),
            )  # fmt: skip
        for measure, aspect in _ASPECTS.items():
            yield Claim(
                question=question, text=f"{subject}: better than the row before {aspect} ({measure})",
                measure=measure, first=first, others=(before,),
            )  # fmt: skip
    for measure, aspect in _ASPECTS.items():
        yield Claim(
            question="Is the whole model better than one stream and than shuffling alone?",
            text=f"The whole model is better than one stream and than shuffling alone {aspect} ({measure})",
            measure=measure, first="a4", others=("a0", "a1"),
        )  # fmt: skip


CLAIMS: Mapping[TableName, tuple[Claim, ...]] = {
    "table1": tuple(_claims_of_table1()),
    "table3": tuple(_claims_of_table3()),
}


def claims(study: Study, name: TableName, found: Sequence[Comparison]) -> dict[str, list[str]]:
    """The claims of one table, each with its result, by question.

    Args:
        found: all comparisons of the table on one split.
    """
    rows = {row.name: row for row in rows_of(name, study.budget)}
    answers: dict[str, list[str]] = {}
    for claim in CLAIMS[name]:
        if {claim.first, *claim.others} <= set(rows):
            answers.setdefault(claim.question, []).append(f"{claim.text}: {_conclusion(claim, rows, found)}")
    return answers


def _conclusion(claim: Claim, rows: Mapping[str, Row], found: Sequence[Comparison]) -> str:
    tested = [
        one
        for one in found
        if (one.first.name, one.measure.name) == (claim.first, claim.measure) and one.second.name in claim.others
    ]
    if not tested:
        return "**not tested**, `cssgan evaluate` does not report this measure for every run."
    differences = [(one.second.title, one.difference) for one in tested if one.difference is not None]
    values = ", ".join(
        f"{title} {difference.value:+.3g} ({_interval(difference)})" for title, difference in differences
    )
    if len(differences) < len(claim.others):
        missing = "; ".join(dict.fromkeys(one.missing for one in tested if one.missing))
        return f"**not tested**: {missing}."
    if reasons := list(dict.fromkeys(one.no_conclusion for one in tested if one.no_conclusion)):
        return f"**no conclusion**: {'; '.join(reasons)}. Differences: {values}."
    p_value_of = corrected(tested)
    signs = {
        one.second.title: 0 if p_value >= LEVEL else (1 if one.difference.value > 0 else -1) * one.measure.direction
        for one, p_value in p_value_of
        if one.difference is not None
    }
    if all(sign == 1 for sign in signs.values()):
        result = "holds"
    elif worse := [title for title, sign in signs.items() if sign == -1]:
        result = "does not hold" + ("" if len(worse) == len(signs) else f" (worse than {', '.join(worse)})")
    else:
        result = f"undecided: no significant difference from {', '.join(t for t, sign in signs.items() if not sign)}"
    p_values = ", ".join(f"{one.second.title} {format_number(p_value)}" for one, p_value in p_value_of)
    return f"**{result}**. Differences: {values}. p after Holm's correction: {p_values}."


def table2(study: Study) -> Table:
    """The user study, from the results of `cssgan survey analyse`."""
    title = "Table 2: user study"
    if study.survey is None:
        hint = "no survey yet: run cssgan survey build, serve and analyse, then cssgan study table2 --survey FOLDER"
        return Table(title=title, columns=("question", "model"), rows=((hint, ""),))
    return Table(
        title=title,
        columns=("question", "model", "answers", "raters", "preference", "share of 4", "mean", "agreement"),
        rows=tuple(_survey_row(row) for row in study.survey["rows"]),
        notes=(
            f"Preference: share of answers in favour of {study.survey['reference']}. Intervals: "
            f"{study.survey['interval']}. Agreement: {study.survey['agreement']}. Raters: {study.survey['raters']}.",
        ),
    )


def _survey_row(row: Mapping[str, Any]) -> tuple[str, ...]:
    alpha = "" if row["alpha"] is None else format_number(row["alpha"])
    estimates = [_estimate(row[name]) for name in ("preference", "share_of_4", "mean")]
    return (row["question"], row["model"], str(row["num_answers"]), str(row["num_raters"]), *estimates, alpha)


def _estimate(fields: Mapping[str, Any] | None) -> str:
    if fields is None:
        return ""
    value, interval = format_number(fields["value"]), fields["interval"]
    return value if interval is None else f"{value} ({format_number(interval[0])} .. {format_number(interval[1])})"


def read_survey(path: Path) -> dict[str, Any]:
    """Read analysis.json of `cssgan survey analyse`; `path` is the file or its folder.

    Raises:
        InputError: the file is missing, or is another file.
    """
    file = path / "analysis.json" if path.is_dir() else path
    try:
        analysis = read_json_object(file, any_numbers=True)
        for row in analysis["rows"]:
            _survey_row(row)
        for name in ("reference", "interval", "agreement", "raters"):
            analysis[name]
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({error.strerror}); run `cssgan survey analyse SURVEY`") from error
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{file}: not a result of `cssgan survey analyse` ({error!r})") from error
    return analysis


def render(study: Study, *, with_table2: bool) -> dict[str, str]:
    """File name -> content: study.md, and a LaTeX file per table."""
    tables: dict[str, Table] = {}
    conclusions: dict[Split, dict[str, list[str]]] = {split: {} for split in study.results}
    for name in study.tables:
        tables[name] = table(study, name)
        for split in study.results:
            found = comparisons(study, name, split)
            conclusions[split] |= claims(study, name, found)
            title = f"{TITLES[name]}: differences on the split {split}"
            tables[f"{name}-differences-{split}"] = comparison_table(found, title)
    if study.choices:
        rows = tuning.rows_to_tune(study.tables, study.budget)
        tables["learning-rates"] = tuning.table(study.choices, rows, study.budget)
    if with_table2:
        tables["table2"] = table2(study)
    if any(results.finished for results in study.results.values()):
        tables["all-metrics"] = all_metrics(study)
    text = f"# Study\n\n{study.setup}; {study.budget.description}.\n\n"
    for split, answers in conclusions.items():
        text += f"## {_CLAIM_HEADINGS[split]}\n\n" if answers else ""
        for question, lines in answers.items():
            text += f"### {question}\n\n" + "".join(f"* {line}\n" for line in lines) + "\n"
    text += "## Tables\n\n" + "\n".join(one.markdown() for one in tables.values())
    return {"study.md": text, **{f"{name}.tex": one.latex() for name, one in tables.items()}}


_CLAIM_HEADINGS: Mapping[Split, str] = {
    "test": "The claims on test songs",
    "train": "The claims on training clips, the paper's own protocol",
    "validation": "The claims on validation songs",
    "unseen-styles": "The claims on songs of unseen styles",
}
