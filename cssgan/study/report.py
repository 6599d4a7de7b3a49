"""Results of a study -> tables like the paper's, and whether the paper's two claims hold on these videos."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cssgan.metrics.result import ARROW, Better, format_number
from cssgan.study import paper_numbers
from cssgan.study.job_list import Budget, Job, Row, TableName, job, rows_of
from cssgan.study.results import Cell, Results
from cssgan.study.significance import DISTANCE, Difference, compare
from cssgan.study.tables import Table, best_index, format_cell
from phonics_data.errors import InputError

PAPER_METRICS = ("inception_score", "fid", "fvd32")
"""Columns of the paper: IS, FID, and FVD of all its 32 frames."""
ADDED_METRICS = (
    "kvd32", "rfd_3d_fd64", "rfd_3d_kd64", "rfd_2d_fd64", "l1_over_copy_first", "ssim", "sync_auc_of_real", "audio_swap_auc",
    "motion_ratio", "seam_ratio", "class_accuracy", "syncnet_auc", "order_pairs",
)  # fmt: skip
"""Further columns, if `cssgan evaluate` reports them. All other metrics are in `all_metrics`."""
COMPARED_METRICS = ("l1", "ssim", DISTANCE, "onset_motion_correlation", "sync_auc", "seam_ratio")
EVALUATOR_METRICS = ("class_accuracy", "syncnet_auc", "order_pairs")
"""Compared as well, if evaluators reported them for every run."""
TITLES: Mapping[TableName, str] = {"table1": "Table 1: models", "table3": "Table 3: from one stream to the whole model"}


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Study:
    """Content of the tables.

    Args:
        settings: changes to the presets of all runs.
        label_set: label set of the dataset; selects the paper's numbers.
        setup: dataset and machine as text.
        survey: content of analysis.json of `cssgan survey analyse`, or None.
    """

    tables: tuple[TableName, ...]
    budget: Budget
    settings: tuple[str, ...]
    label_set: str
    results: Results
    setup: str
    survey: Mapping[str, Any] | None = None
    _jobs: dict[str, list[Job]] = field(default_factory=dict[str, list[Job]])

    def jobs(self, row: Row) -> list[Job]:
        """The seeds of a row."""
        if row.name not in self._jobs:
            self._jobs[row.name] = [job(row, self.budget, seed, self.settings) for seed in range(self.budget.num_seeds)]
        return self._jobs[row.name]

    def cells(self, rows: Sequence[Row], metric: str) -> list[Cell]:
        return [self.results.cell(self.jobs(row), metric) for row in rows]


def table(study: Study, name: TableName) -> Table:
    """Table 1 or 3: the paper's metrics with its numbers in brackets, then our metrics."""
    rows = rows_of(name, study.budget)
    paper = (paper_numbers.TABLE1 if name == "table1" else paper_numbers.TABLE3).get(study.label_set, {})
    reported = study.results.metric_names()
    metrics = [
        *(PAPER_METRICS if name == "table1" else PAPER_METRICS[2:]),
        *(m for m in ADDED_METRICS if m in reported),
    ]
    columns = {metric: study.cells(rows, metric) for metric in metrics}
    best = {metric: best_index(cells) for metric, cells in columns.items()}
    lines: list[tuple[str, ...]] = []
    for index, row in enumerate(rows):
        numbers = paper.get(row.name, {})
        cells = [format_cell(columns[m][index], numbers.get(m), best=best[m] == index) for m in metrics]
        lines.append((row.title, *cells, _minutes(study, row)))
    return Table(
        title=TITLES[name],
        columns=("model", *(_header(metric, columns[metric]) for metric in metrics), "minutes"),
        rows=tuple(lines),
        notes=_notes(study, columns),
    )


def _header(metric: str, cells: Sequence[Cell]) -> str:
    directions: list[Better] = [cell.better for cell in cells if not cell.missing]
    return f"{metric} {ARROW[directions[0]]}".strip() if directions else metric


def _minutes(study: Study, row: Row) -> str:
    runs = study.results.runs(study.jobs(row))
    if not runs:
        return format_cell(Cell(missing=study.results.missing[study.jobs(row)[0].key]))
    return f"{sum(run.minutes for run in runs) / len(runs):.1f}"


def _notes(study: Study, columns: Mapping[str, Sequence[Cell]]) -> tuple[str, ...]:
    reasons: dict[str, list[str]] = {}
    for metric, cells in columns.items():
        for reason in {cell.missing for cell in cells if cell.missing}:
            reasons.setdefault(reason, []).append(metric)
    evaluated = sorted({int(run.report["num_evaluated"]) for run in study.results.finished.values()})
    seeds = "mean ± standard deviation over seeds" if study.budget.num_seeds > 1 else "one seed, no deviation"
    return (
        f"{seeds}; {study.budget.description}; {study.setup}; {' or '.join(map(str, evaluated))} videos evaluated. Bold: "
        "the best mean of a column, not tested for significance. Minutes: training time.",
        "rfd_* are distances in the features of random networks. They are comparable within this table only, and are "
        "neither FID nor FVD. The paper prints IS values below 1, which an Inception Score cannot have.",
        *(f"{', '.join(names)}: {reason}" for reason, names in reasons.items()),
    )


def all_metrics(study: Study) -> Table:
    """Every metric of the evaluations, for every row of every table. Rows with equal runs are listed once."""
    rows: dict[str, Row] = {}
    for row in {row.name: row for name in study.tables for row in rows_of(name, study.budget)}.values():
        rows.setdefault(study.jobs(row)[0].key, row)
    lines: list[tuple[str, ...]] = []
    for metric in study.results.metric_names():
        cells = study.cells(list(rows.values()), metric)
        lines.append((_header(metric, cells), *(format_cell(cell) for cell in cells)))
    return Table(title="All metrics", columns=("metric", *(row.title for row in rows.values())), rows=tuple(lines))


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """Two rows in one metric. `difference` is None if there is none; `missing` is the reason."""

    first: Row
    second: Row
    metric: str
    difference: Difference | None = None
    missing: str = ""


def comparisons(study: Study, name: TableName) -> list[Comparison]:
    """Table 1: each CSSGAN row against every baseline (and each other). Table 3: every step against the previous one."""
    rows = rows_of(name, study.budget)
    pairs = [(rows[-1], row) for row in rows[:-1]] if name == "table1" else list(zip(rows[1:], rows, strict=False))
    if name == "table1":
        for direct in (row for row in rows if row.small_only):
            pairs += [(direct, row) for row in rows if row not in (direct, rows[-1])]
    runs = list(study.results.finished.values())
    metrics = [m for m in EVALUATOR_METRICS if runs and all(m in run.per_video.values for run in runs)]
    return [
        _compare(study, first, second, metric) for first, second in pairs for metric in (*COMPARED_METRICS, *metrics)
    ]


def _compare(study: Study, first: Row, second: Row, metric: str) -> Comparison:
    sides = [[run.per_video for run in study.results.runs(study.jobs(row))] for row in (first, second)]
    absent = [row.title for row, side in zip((first, second), sides, strict=True) if not side]
    if absent:
        return Comparison(first=first, second=second, metric=metric, missing=f"no run of {', '.join(absent)}")
    try:
        return Comparison(first=first, second=second, metric=metric, difference=compare(sides[0], sides[1], metric))
    except ValueError as error:
        return Comparison(first=first, second=second, metric=metric, missing=str(error))


def comparison_table(found: Sequence[Comparison], title: str) -> Table:
    """Differences with their intervals. Bold: the interval does not contain 0."""
    metrics = tuple(dict.fromkeys(comparison.metric for comparison in found)) or COMPARED_METRICS
    pairs: dict[tuple[str, str], dict[str, str]] = {}
    for comparison in found:
        pair = pairs.setdefault((comparison.first.title, comparison.second.title), {})
        pair[comparison.metric] = _difference(comparison)
    return Table(
        title=title,
        columns=("difference", *metrics),
        rows=tuple(
            (f"{first} minus {second}", *(cells[metric] for metric in metrics))
            for (first, second), cells in pairs.items()
        ),
        notes=(
            "Difference with its 95 % interval: bootstrap over the videos that both models were evaluated on, seeds "
            "averaged. Bold: the interval does not contain 0. Lower is better for l1 and rfd_3d_fd64, higher for ssim, "
            "onset_motion_correlation, sync_auc, class_accuracy and syncnet_auc; seam_ratio is about 1 in real videos; "
            "compare order_pairs with its value for real videos. The intervals are not corrected for the number of "
            "comparisons and do not include the variation between seeds.",
        ),
    )


def _difference(comparison: Comparison) -> str:
    if comparison.difference is None:
        return comparison.missing
    text = f"{comparison.difference.value:+.3g} ({_interval(comparison.difference)})"
    return f"**{text}**" if comparison.difference.sign else text


def _interval(difference: Difference) -> str:
    low, high = difference.interval
    return f"{low:+.3g} .. {high:+.3g}"


def claims(found: Sequence[Comparison]) -> list[str]:
    """The paper's two claims, each with its result."""
    lines: list[str] = []
    for name in dict.fromkeys(one.first.name for one in found if one.first.name.startswith("cssgan")):
        others = [one for one in found if one.first.name == name and not one.second.name.startswith("cssgan")]
        lines += [
            _claim(
                f"{others[0].first.title} is better than the four baselines in {what} ({metric})",
                others,
                metric,
                better,
            )
            for what, metric, better in (("video distance", DISTANCE, -1), ("synchrony", "sync_auc", 1))
        ]
    cascade = [one for one in found if (one.first.name, one.second.name) == ("a4", "a3")]
    if cascade:
        lines.append(_claim("The cascade lowers the seam ratio", cascade, "seam_ratio", -1))
    return lines


def _claim(claim: str, found: Sequence[Comparison], metric: str, better: int) -> str:
    """One claim and whether it holds. `better`: the sign of a difference in favour of the first row."""
    of_metric = [one for one in found if one.metric == metric]
    known = [(one.second.title, one.difference) for one in of_metric if one.difference is not None]
    if len(known) < len(of_metric):
        return f"{claim}: **not tested**, runs are missing."
    signs = [difference.sign for _, difference in known]
    worse_than = [title for title, difference in known if difference.sign == -better]
    if all(sign == better for sign in signs):
        result = "holds"
    elif worse_than:
        result = "does not hold" + ("" if len(worse_than) == len(known) else f" (worse than {', '.join(worse_than)})")
    else:
        result = "undecided: an interval contains 0"
    values = ", ".join(f"{title} {difference.value:+.3g} ({_interval(difference)})" for title, difference in known)
    return f"{claim}: **{result}**. Differences: {values}."


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
        analysis: dict[str, Any] = json.loads(file.read_text())
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
    found: list[Comparison] = []
    for name in study.tables:
        differences = comparisons(study, name)
        found += differences
        tables[name] = table(study, name)
        tables[f"{name}-differences"] = comparison_table(differences, f"{TITLES[name]}: differences")
    if with_table2:
        tables["table2"] = table2(study)
    if study.results.finished:
        tables["all-metrics"] = all_metrics(study)
    text = f"# Study\n\n{study.setup}; {study.budget.description}.\n\n"
    if lines := claims(found):
        text += "## The paper's two claims on these videos\n\n" + "".join(f"* {line}\n" for line in lines) + "\n"
    text += "## Tables\n\n" + "\n".join(one.markdown() for one in tables.values())
    return {"study.md": text, **{f"{name}.tex": one.latex() for name, one in tables.items()}}
