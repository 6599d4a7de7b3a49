"""Alignments of GRID, and label files: Audacity, CSV, ELAN, Praat, ground truth. The first byte selects the format."""

from __future__ import annotations

import random
import tempfile
from pathlib import Path

from phonics_data.errors import PhonicsDataError
from phonics_data.review.labels import Label, read_labels, write_labels
from phonics_data.segmentation.scoring import read_truth_table
from phonics_data.sources.grid import grid_files
from tests.fuzz.inputs import TEXTS, damaged

INPUTS = 8_000
MODULES = (
    "phonics_data.review.labels",
    "phonics_data.sources.grid",
    "phonics_data.contract.untrusted",
    "praatio",
    "pympi",
)
_FOLDER = Path(tempfile.mkdtemp(prefix="fuzz-labels-"))
_SPEAKER = _FOLDER / "grid/s1"
_SPEAKER.mkdir(parents=True)
(_SPEAKER / "bbaf2n.mpg").touch()
_GRID = b"0 23750 sil\n23750 29500 bin\n29500 34000 blue\n34000 35500 at\n35500 41000 f\n41000 47250 two\n47250 53000 now\n53000 74500 sil\n"


def _written(suffix: str) -> bytes:
    path = _FOLDER / f"seed{suffix}"
    labels = [
        Label(letter="A", word="apple", start_seconds=1.0, end_seconds=2.0),
        Label(letter="B", word="", start_seconds=2.0, end_seconds=3.5),
    ]
    write_labels(path, labels, 10.0, media="a.mp4")
    return path.read_bytes()


_SUFFIXES = (".align", ".txt", ".csv", ".eaf", ".TextGrid", ".tsv")
SEEDS = (
    b"\0" + _GRID,
    *(bytes([number]) + _written(suffix) for number, suffix in enumerate(_SUFFIXES[1:5], start=1)),
    b"\5A 1.0 2.0\nB 2.0 3.5 # bat\n",
)
WORDS = (
    *TEXTS, b"<!DOCTYPE a [<!ENTITY b 'cc'>]>", b"&b;", b"<TIER TIER_ID='letters'>", b"PARENT_REF='letters'", b"<REF_ANNOTATION ANNOTATION_ID='a1'",
    b"ANNOTATION_REF='a1'", b"TIME_VALUE='99999999999999999999999'", b"TIME_SLOT_REF1=''", b"item []:", b"intervals [1]:", b"xmin = ", b'text = "', b'""',
    b'"IntervalTier"', b'"TextTier"', b'{"start": 0, "tiers": {}}', b"size = 999999999", b"25000", b"sil", b"\\\t1\t2", b"encoding='UTF-16'",
)  # fmt: skip


def sample(rng: random.Random) -> bytes:
    data = rng.choice(SEEDS)
    return data[:1] + damaged(data[1:], rng, WORDS)


def read(data: bytes) -> bool:
    suffix = _SUFFIXES[data[0] % len(_SUFFIXES)]
    path = _SPEAKER / "bbaf2n.align" if suffix == ".align" else _FOLDER / f"labels{suffix}"
    path.write_bytes(data[1:])
    try:
        if suffix == ".align":
            (found,) = grid_files(_FOLDER / "grid", "letter")
            assert all(0 <= one.start_seconds < (one.end_seconds or 1e9) < 1e9 + 1 for one in found.segments)
            return found.fault is None
        if suffix == ".tsv":
            return bool(read_truth_table(path, "a1"))
        labels = read_labels(path)
    except PhonicsDataError:
        return False
    for label in labels:
        assert 0 <= label.start_seconds < label.end_seconds < 1e300
        assert label.letter.isascii()
    return True
