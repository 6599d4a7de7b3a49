"""Results -> the tables of the paper, and in plain words whether its two claims hold on these videos."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cssgan.metrics.result import ARROW, Better, number
from cssgan.study import paper_numbers
from cssgan.study.job_list import Budget, Job, Row, TableName, job, rows_of
from cssgan.study.paper_numbers import Printed
from cssgan.study.results import Cell, Results
from cssgan.study.significance import DISTANCE, Difference, compare
from cssgan.study.tables import Table, best_of, words
from phonics_data.errors import InputError

PAPERS = ("inception_score", "fid", "fvd32")
"""The paper's columns: IS, FID, FVD of all its 32 frames."""
OURS = (
    "kvd32", "rfd_3d_fd64", "rfd_3d_kd64", "rfd_2d_fd64", "l1_over_copy_first", "ssim", "sync_auc_of_real", "audio_swap_auc",
    "motion_ratio", "seam_ratio", "class_accuracy", "syncnet_auc", "order_pairs",
)  # fmt: skip
"""Columns beside them, where `cssgan evaluate` gives them; all other measures stand in a table of their own."""
COMPARED = ("l1", "ssim", DISTANCE, "onset_motion_correlation", "sync_auc", "seam_ratio")
BY_EVALUATORS = ("class_accuracy", "syncnet_auc", "order_pairs")
"""Compared as well, where evaluators spoke of every run."""
TITLES: Mapping[TableName, str] = {
    "table1": "Table 1: models",
    "table3": "Table 3: from one stream to the whole model",
}


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Study:
    """What the tables are made of.

    Args:
        settings: what all runs got on top of the budget.
        label_set: of the dataset; it decides which of the paper's numbers stand beside ours.
        where: machine and dataset in words.
        survey: what `cssgan survey analyse` wrote, or None.
    """

    tables: tuple[TableName, ...]
    budget: Budget
    settings: tuple[str, ...]
    label_set: str
    results: Results
    where: str
    survey: Mapping[str, Any] | None = None
    _jobs: dict[str, list[Job]] = field(default_factory=dict[str, list[Job]])

    def jobs(self, row: Row) -> list[Job]:
        """The seeds of a row."""
        if row.name not in self._jobs:
            self._jobs[row.name] = [job(row, self.budget, seed, self.settings) for seed in range(self.budget.num_seeds)]
        return self._jobs[row.name]


def table(study: Study, name: TableName) -> Table:
    """Table 1 or 3: the paper's measures with its numbers beside ours, then ours."""
    rows = rows_of(name, study.budget)
    printed = (paper_numbers.TABLE1 if name == "table1" else paper_numbers.TABLE3).get(study.label_set, {})
    given = study.results.measures()
    measures = [*(PAPERS if name == "table1" else PAPERS[2:]), *(measure for measure in OURS if measure in given)]
    columns = {measure: [study.results.cell(study.jobs(row), measure) for row in rows] for measure in measures}
    best = {measure: best_of(cells) for measure, cells in columns.items()}
    lines: list[tuple[str, ...]] = []
    for index, row in enumerate(rows):
        beside = _printed(printed.get(row.name))
        cells = [
            words(columns[measure][index], beside.get(measure), best=best[measure] == index) for measure in measures
        ]
        lines.append((row.title, *cells, _minutes(study, row)))
    return Table(
        title=TITLES[name],
        columns=("model", *(_head(measure, columns[measure]) for measure in measures), "minutes"),
        rows=tuple(lines),
        notes=_notes(study, columns),
    )


def _printed(row: Printed | None) -> dict[str, float | None]:
    return {} if row is None else {"inception_score": row.is_, "fid": row.fid, "fvd32": row.fvd}


def _head(measure: str, cells: Sequence[Cell]) -> str:
    have: list[Better] = [cell.better for cell in cells if not cell.missing]
    return f"{measure} {ARROW[have[0]]}".strip() if have else measure


def _minutes(study: Study, row: Row) -> str:
    runs = study.results.runs(study.jobs(row))
    if not runs:
        return words(Cell(missing=study.results.missing[study.jobs(row)[0].key]))
    return f"{sum(run.minutes for run in runs) / len(runs):.1f}"


def _notes(study: Study, columns: Mapping[str, Sequence[Cell]]) -> tuple[str, ...]:
    reasons: dict[str, list[str]] = {}
    for measure, cells in columns.items():
        for reason in {cell.missing for cell in cells if cell.missing}:
            reasons.setdefault(reason, []).append(measure)
    evaluated = sorted({int(run.report["num_evaluated"]) for run in study.results.measured.values()})
    seeds = "mean ± standard deviation over seeds; " if study.budget.num_seeds > 1 else "one seed, so no spread; "
    return (
        f"{seeds}{study.budget.rule}; {study.where}; {' or '.join(map(str, evaluated))} videos judged. In bold: the best "
        "mean of a column, whether or not the difference means anything. Minutes are of training.",
        "rfd_* are distances in the features of random networks, and comparable within this table alone; they are "
        "neither FID nor FVD. The paper prints IS under 1, which no Inception Score can be.",
        *(f"{', '.join(names)}: {reason}" for reason, names in reasons.items()),
    )


def all_measures(study: Study) -> Table:
    """Every measure that the evaluations give, for every row of every table."""
    rows = {row.name: row for name in study.tables for row in rows_of(name, study.budget)}
    shown: dict[str, Row] = {}
    for row in rows.values():  # rows of two tables that are the same runs stand once
        shown.setdefault(study.jobs(row)[0].key, row)
    lines: list[tuple[str, ...]] = []
    for measure in study.results.measures():
        cells = [study.results.cell(study.jobs(row), measure) for row in shown.values()]
        lines.append((_head(measure, cells), *(words(cell) for cell in cells)))
    return Table(title="All measures", columns=("measure", *(row.title for row in shown.values())), rows=tuple(lines))


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """One row against another in one measure; no difference where runs are missing, with the reason."""

    first: Row
    second: Row
    measure: str
    difference: Difference | None
    missing: str = ""


def comparisons(study: Study, name: TableName) -> list[Comparison]:
    """Table 1: the CSSGAN against every other row. Table 3: every step against the one before."""
    rows = rows_of(name, study.budget)
    pairs = [(rows[-1], row) for row in rows[:-1]] if name == "table1" else list(zip(rows[1:], rows, strict=False))
    if name == "table1" and any(row.small_only for row in rows):
        direct = next(row for row in rows if row.small_only)
        pairs += [(direct, row) for row in rows if row not in (direct, rows[-1])]
    evaluator_results = [measure for measure in BY_EVALUATORS if _all_have(study, measure)]
    return [
        _compare(study, first, second, measure)
        for first, second in pairs
        for measure in (*COMPARED, *evaluator_results)
    ]


def _all_have(study: Study, measure: str) -> bool:
    runs = study.results.measured.values()
    return bool(runs) and all(measure in run.rows.values for run in runs)


def _compare(study: Study, first: Row, second: Row, measure: str) -> Comparison:
    sides = [[run.rows for run in study.results.runs(study.jobs(row))] for row in (first, second)]
    absent = [row.title for row, side in zip((first, second), sides, strict=True) if not side]
    if absent:
        return Comparison(
            first=first, second=second, measure=measure, difference=None, missing=f"no run of {', '.join(absent)}"
        )
    try:
        found = compare(sides[0], sides[1], measure)
    except ValueError as error:
        return Comparison(first=first, second=second, measure=measure, difference=None, missing=str(error))
    return Comparison(first=first, second=second, measure=measure, difference=found)


def comparison_table(found: Sequence[Comparison], title: str) -> Table:
    """Differences with their intervals; in bold those whose interval does not hold 0."""
    pairs = dict.fromkeys((one.first.title, one.second.title) for one in found)
    measures = tuple(dict.fromkeys(one.measure for one in found)) or COMPARED
    lines: list[tuple[str, ...]] = []
    for first, second in pairs:
        of_pair = {one.measure: one for one in found if (one.first.title, one.second.title) == (first, second)}
        lines.append((f"{first} less {second}", *(_difference(of_pair[measure]) for measure in measures)))
    return Table(
        title=title,
        columns=("difference", *measures),
        rows=tuple(lines),
        notes=(
            "Difference with its 95 % interval, by bootstrap over the videos that both were judged on (seeds averaged); in "
            "bold where the interval does not hold 0. Lower is better for l1 and rfd_3d_fd64, higher for ssim, "
            "onset_motion_correlation, sync_auc, class_accuracy and syncnet_auc; seam_ratio is about 1 in real videos, order_pairs is to be held against theirs. No correction for the number of "
            "comparisons; what another seed would change is not in it.",
        ),
    )


def _difference(one: Comparison) -> str:
    if one.difference is None:
        return one.missing
    low, high = one.difference.interval
    text = f"{one.difference.value:+.3g} ({low:+.3g} .. {high:+.3g})"
    return f"**{text}**" if one.difference.sign else text


def claims(found: Sequence[Comparison]) -> list[str]:
    """The paper's two claims, each with what was found."""
    lines: list[str] = []
    for name in dict.fromkeys(one.first.name for one in found if one.first.name.startswith("cssgan")):
        others = [one for one in found if one.first.name == name and not one.second.name.startswith("cssgan")]
        lines += [
            _verdict(f"{others[0].first.title} ahead of the four others in {what} ({measure})", others, measure, better)
            for what, measure, better in (("video distance", DISTANCE, -1), ("synchrony", "sync_auc", 1))
        ]
    cascade = [one for one in found if (one.first.name, one.second.name) == ("a4", "a3")]
    if cascade:
        lines.append(_verdict("The cascade lowers the seam ratio", cascade, "seam_ratio", -1))
    return lines


def _verdict(claim: str, found: Sequence[Comparison], measure: str, better: int) -> str:
    of_measure = [one for one in found if one.measure == measure]
    known = [(one.second.title, one.difference) for one in of_measure if one.difference is not None]
    if len(known) < len(of_measure):
        return f"{claim}: **cannot be said**, runs are missing."
    won, lost = ([title for title, difference in known if difference.sign == sign] for sign in (better, -better))
    told = ", ".join(
        f"{title} {difference.value:+.3g} ({difference.interval[0]:+.3g} .. {difference.interval[1]:+.3g})"
        for title, difference in known
    )
    if len(won) == len(known):
        verdict = "holds here"
    elif lost:
        verdict = "does not hold here" + ("" if len(lost) == len(known) else f" (behind {', '.join(lost)})")
    else:
        verdict = "undecided here: an interval holds 0"
    return f"{claim}: **{verdict}**. Differences: {told}."


def table2(study: Study) -> Table:
    """The user study, from what `cssgan survey analyse` wrote."""
    title = "Table 2: user study"
    if study.survey is None:
        hint = "no survey yet: cssgan survey build, serve, analyse; then cssgan study table2 --survey FOLDER"
        return Table(title=title, columns=("question", "model"), rows=((hint, ""),))
    head = ("question", "model", "answers", "raters", "preference", "share of 4", "mean", "agreement")
    return Table(
        title=title,
        columns=head,
        rows=tuple(_survey_row(row) for row in study.survey["rows"]),
        notes=(
            f"Preference: share of answers on the side of {study.survey['reference']}. Intervals: "
            f"{study.survey['interval']}. Agreement: {study.survey['agreement']}. Raters: {study.survey['raters']}.",
        ),
    )


def _survey_row(row: Mapping[str, Any]) -> tuple[str, ...]:
    alpha = "" if row["alpha"] is None else number(row["alpha"])
    estimates = [_estimate(row[name]) for name in ("preference", "share_of_4", "mean")]
    return (row["question"], row["model"], str(row["num_answers"]), str(row["num_raters"]), *estimates, alpha)


def _estimate(fields: Mapping[str, Any] | None) -> str:
    if fields is None:
        return ""
    interval = fields["interval"]
    return number(fields["value"]) + ("" if interval is None else f" ({number(interval[0])} .. {number(interval[1])})")


def read_survey(path: Path) -> dict[str, Any]:
    """analysis.json of `cssgan survey analyse`, or of the folder that holds it.

    Raises:
        InputError: there is none, or it is another file.
    """
    file = path / "analysis.json" if path.is_dir() else path
    try:
        report: dict[str, Any] = json.loads(file.read_text())
        for row in report["rows"]:
            _survey_row(row)
        for name in ("reference", "interval", "agreement", "raters"):
            report[name]
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({error.strerror}); run `cssgan survey analyse SURVEY`") from error
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{file}: not what `cssgan survey analyse` writes ({error!r})") from error
    return report


def render(study: Study, *, survey: bool) -> dict[str, str]:
    """File name -> content: study.md, and a LaTeX file for each table."""
    parts, latex = list[str](), dict[str, str]()
    found: list[Comparison] = []
    for name in study.tables:
        one = table(study, name)
        differences = comparisons(study, name)
        found += differences
        against = comparison_table(differences, f"{TITLES[name]}: differences")
        parts += [one.markdown(), against.markdown()]
        latex |= {f"{name}.tex": one.latex(), f"{name}-differences.tex": against.latex()}
    if survey:
        parts.append(table2(study).markdown())
        latex["table2.tex"] = table2(study).latex()
    if study.results.measured:
        parts.append(all_measures(study).markdown())
        latex["all-measures.tex"] = all_measures(study).latex()
    said = "".join(f"* {line}\n" for line in claims(found))
    head = f"# Study\n\n{study.where}; {study.budget.rule}.\n\n"
    if said:
        head += f"## The paper's two claims, on these videos\n\n{said}\n"
    return {"study.md": head + "## Tables\n\n" + "\n".join(parts), **latex}
