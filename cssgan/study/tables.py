"""Tables as Markdown and as LaTeX. Pure: cells come in as words."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from cssgan.metrics.result import number
from cssgan.study.results import Cell


@dataclass(frozen=True, kw_only=True, slots=True)
class Table:
    """A heading, rows of words below named columns, and notes under it."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()

    def markdown(self) -> str:
        lines = [f"### {self.title}", "", _line(self.columns), "|" + " --- |" * len(self.columns)]
        lines += [_line(row) for row in self.rows]
        return "\n".join([*lines, "", *[f"{note}\n" for note in self.notes]])

    def latex(self) -> str:
        """A `table` environment with the rules of booktabs."""
        body = [r"  \toprule", _latex_line(self.columns), r"  \midrule"]
        body += [_latex_line(row) for row in self.rows]
        return "\n".join(
            [
                r"\begin{table}",
                r"  \centering",
                rf"  \caption{{{' '.join(_latex(part) for part in (self.title + '.', *self.notes))}}}",
                rf"  \begin{{tabular}}{{l{'r' * (len(self.columns) - 1)}}}",
                *body,
                r"  \bottomrule",
                r"  \end{tabular}",
                r"\end{table}",
                "",
            ]
        )


def words(cell: Cell, printed: float | None = None, *, best: bool = False) -> str:
    """A number with its spread over seeds, or why there is none; and what the paper prints, where it does."""
    if cell.missing:
        text = cell.missing.split(";")[0]
        text = text if text.startswith(("failed", "not run")) else f"unavailable: {text}"
    else:
        text = number(cell.mean) + ("" if cell.spread is None else f" ± {number(cell.spread)}")
        text = f"**{text}**" if best else text
    return text if printed is None else f"{text} (paper {printed:.4g})"


def best_of(cells: Sequence[Cell]) -> int | None:
    """Index of the best mean by the measure's own direction; None where there is no choice or no direction."""
    have = [(cell.mean, index) for index, cell in enumerate(cells) if not cell.missing]
    better = next((cell.better for cell in cells if not cell.missing), "neither")
    if len(have) < 2 or better == "neither":
        return None
    if better == "near_one":
        return min(have, key=lambda pair: abs(pair[0] - 1.0))[1]
    return (min if better == "lower" else max)(have)[1]


def _line(cells: Sequence[str]) -> str:
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
    return "".join(_LATEX.get(sign, sign) for sign in text)


def _latex_line(cells: Sequence[str]) -> str:
    return "  " + " & ".join(_latex(cell) for cell in cells) + r" \\"
