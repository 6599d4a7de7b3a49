"""Retired words are not used; docs/glossary.md has the terms that replaced them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("phonics_data", "cssgan", "benchmarks", "examples", "tests", "docs")
SUFFIXES = (".py", ".md", ".j2", ".js", ".toml")
PAGES = sorted(
    path
    for path in [
        *(p for name in FOLDERS for p in (ROOT / name).rglob("*")),
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
    ]
    if path.suffix in SUFFIXES
    and path.name != "test_names.py"
    and not path.is_symlink()
    and "__pycache__" not in path.parts
)

RETIRED = {
    "judge, verdict": r"\b(judges?|judged|judging|judgements?|verdicts?)\b",
    "by heart": r"\bby[ _-]heart\b",
    "rivals": r"\b(Players|rivals?|guessing)\b",
    "deaf": r"\b(deaf|heard_auc)\b",
    "purse, decoy, mercy": r"\b(purse|decoys?|mercy|spoilt|strangers?)\b",
    "house": r"\bthe house\b",
    "the line": r"\bthe whole line\b",
    "feed": r"(?<!\.)\b(feeds?|Feed[A-Z]\w*|\w+Feed)\b",
    "lanes, visits": r"\b(lanes?|visits)\b",
    "peers": r"\bpeers\b",
    "scratch": r"\b(let_go|cssgan\.scratch)\b",
    "film": r"(?<![=\"'`])\b(films?|\w*_film\w*|film_\w+)\b",  # but model.audio_inject=film is the name of a method
    "puzzle": r"\bpuzzles?(_\w+)?\b",
    "decay_share, p_chrono": r"\b(decay_share|p_chrono|image_gap|video_gap|order_surprise|distinct_surprise)\b",
    "prints": r"\b(picture_print|sound_print)s?\b",
    "span": r"\b(LetterSpan|TruthSpan|LabelledSpan|ShortVideo|span_id)\b",
    "options": r"(?<![\w-])--(judges|screen|rules|by-heart-steps|each-video)\b",
    "spelling": r"(recognis|optimis|initialis|standardis|normalis)",
}
"""Short name of a rule -> regular expression, ignoring case where the word has no other use."""


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_retired_word(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    found = [
        f"{path.relative_to(ROOT)}:{text.count(chr(10), 0, match.start()) + 1}: {match[0]!r} ({rule})"
        for rule, pattern in RETIRED.items()
        for match in re.finditer(pattern, text)
    ]
    assert not found, "see docs/glossary.md:\n" + "\n".join(found)


def test_the_rules_find_what_they_forbid() -> None:
    for word in ("judges", "by heart", "the house", "LetterSpan", "--judges", "recogniser"):
        assert any(re.search(pattern, word) for pattern in RETIRED.values()), word
