"""Tables as Markdown and LaTeX. Pure functions on text cells."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from cssgan.metrics.result import format_number
from cssgan.study.results import Cell


@dataclass(frozen=True, kw_only=True, slots=True)
class Table:
    """Title, column names, rows of text cells, and notes below the table."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()

    def markdown(self) -> str:
        lines = [f"### {self.title}", "", _markdown_row(self.columns), "|" + " --- |" * len(self.columns)]
        lines += [_markdown_row(row) for row in self.rows]
        return "\n".join([*lines, "", *[f"{note}\n" for note in self.notes]])

    def latex(self) -> str:
        """A `table` environment with the rules of booktabs."""
        return "\n".join(
            [
                r"\begin{table}",
                r"  \centering",
                rf"  \caption{{{' '.join(_latex(text) for text in (self.title + '.', *self.notes))}}}",
                rf"  \begin{{tabular}}{{l{'r' * (len(self.columns) - 1)}}}",
                r"  \toprule",
                _latex_row(self.columns),
                r"  \midrule",
                *[_latex_row(row) for row in self.rows],
                r"  \bottomrule",
                r"  \end{tabular}",
                r"\end{table}",
                "",
            ]
        )


def format_cell(cell: Cell, paper: float | None = None, *, best: bool = False, saturated: bool = False) -> str:
    """Mean and deviation over seeds, or the reason why there is no value; then the paper's number, if given.

    Args:
        saturated: a control reaches the value of real videos; this is added to a value.
    """
    if cell.missing:
        text = cell.missing.split(";")[0]
        text = text if text.startswith(("failed", "not run")) else f"unavailable: {text}"
    else:
        text = format_number(cell.mean) + ("" if cell.deviation is None else f" ± {format_number(cell.deviation)}")
        text = f"**{text}**" if best else text
        text += " saturated" if saturated else ""
    return text if paper is None else f"{text} (paper {paper:.4g})"


def best_index(cells: Sequence[Cell]) -> int | None:
    """Index of the best mean in the direction of the metric; None for fewer than two values or no direction."""
    means = [(cell.mean, index) for index, cell in enumerate(cells) if not cell.missing]
    better = next((cell.better for cell in cells if not cell.missing), "neither")
    if len(means) < 2 or better == "neither":
        return None
    if better == "near_one":
        return min(means, key=lambda pair: abs(pair[0] - 1.0))[1]
    return (min if better == "lower" else max)(means)[1]


def _markdown_row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "/").replace("\n", " ") for cell in cells) + " |"


_LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "±": r"$\pm$", "↓": r"$\downarrow$", "↑": r"$\uparrow$",
    "→": r"$\rightarrow$", "<": r"$<$", ">": r"$>$", "`": "",
}  # fmt: skip


def _latex(text: str) -> str:
    bold = re.fullmatch(r"\*\*(.+?)\*\*(.*)", text)
    if bold:
        return rf"\textbf{{{_latex(bold[1])}}}{_latex(bold[2])}"
    return "".join(_LATEX.get(character, character) for character in text)


def _latex_row(cells: Sequence[str]) -> str:
    return "  " + " & ".join(_latex(cell) for cell in cells) + r" \\"
