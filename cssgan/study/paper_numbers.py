"""The numbers that the paper prints, to stand beside ours. They are its words, not checked: see docs/paper-gaps.md."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Printed:
    """What the paper prints for one model on one dataset. Its IS cannot be an Inception Score (docs/metrics.md)."""

    is_: float | None = None
    fid: float | None = None
    fvd: float | None = None


_TABLE1 = {
    "letters": {
        "mocogan": (0.0001, 59.81, 1248.73),
        "phonicsgan_like": (0.0002, 46.82, 961.85),
        "g3an": (0.0002, 36.93, 936.99),
        "imaginator": (0.0005, 35.23, 377.25),
        "cssgan": (0.0008, 27.56, 95.13),
    },
    "vidtimit": {
        "mocogan": (0.0001, 160.82, 2041.02),
        "phonicsgan_like": (0.0002, 113.97, 613.46),
        "g3an": (0.0003, 47.02, 826.29),
        "imaginator": (0.0006, 45.07, 171.29),
        "cssgan": (0.0009, 26.05, 81.49),
    },
}
_TABLE3 = {"a0": 305.17, "a1": 95.80, "a2": 480.53, "a3": 366.01, "a4": 93.13}  # FVD, Phonics

TABLE1: Mapping[str, Mapping[str, Printed]] = {
    label_set: {name: Printed(is_=row[0], fid=row[1], fvd=row[2]) for name, row in rows.items()}
    for label_set, rows in _TABLE1.items()
}
"""label set -> row -> what Table 1 prints."""
TABLE3: Mapping[str, Mapping[str, Printed]] = {"letters": {name: Printed(fvd=fvd) for name, fvd in _TABLE3.items()}}
