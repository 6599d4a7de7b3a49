"""Numbers printed in the paper, shown beside ours. They are not reproduced; see docs/paper-gaps.md."""

from __future__ import annotations

from collections.abc import Mapping

_COLUMNS = ("inception_score", "fid", "fvd32")
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
_TABLE3_FVD = {"a0": 305.17, "a1": 95.80, "a2": 480.53, "a3": 366.01, "a4": 93.13}  # Phonics

PaperTable = Mapping[str, Mapping[str, Mapping[str, float]]]
"""label set -> row -> metric -> printed value."""
TABLE1: PaperTable = {
    label_set: {name: dict(zip(_COLUMNS, values, strict=True)) for name, values in rows.items()}
    for label_set, rows in _TABLE1.items()
}
"""The printed IS cannot be an Inception Score (docs/metrics.md)."""
TABLE3: PaperTable = {"letters": {name: {"fvd32": fvd} for name, fvd in _TABLE3_FVD.items()}}
