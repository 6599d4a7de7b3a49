"""Letter sounds, and the words and pictures of each letter."""

from __future__ import annotations

import csv
import functools
from dataclasses import dataclass
from importlib.resources import files


@dataclass(frozen=True, kw_only=True, slots=True)
class Picture:
    """A word that children know, and the OpenMoji drawing of it."""

    word: str
    """Lower case; can contain a space (``ice cream``)."""
    openmoji: str
    """File stem of the drawing: hexadecimal code points, joined by dashes."""


@functools.cache
def pictures() -> dict[str, tuple[Picture, ...]]:
    """Letter -> at least 8 pictures, from words.csv. The words of X contain an x, as in real alphabet songs."""
    table: dict[str, list[Picture]] = {}
    text = files("phonics_data.sources.synthetic").joinpath("words.csv").read_text(encoding="utf-8")
    for row in csv.DictReader(text.splitlines()):
        table.setdefault(row["letter"], []).append(Picture(word=row["word"], openmoji=row["openmoji"]))
    return {letter: tuple(found) for letter, found in table.items()}


LETTER_SOUNDS: dict[str, tuple[str, str]] = {
    "A": ("ah", "[['a]]"), "B": ("buh", "[[b'V]]"), "C": ("kuh", "[[k'V]]"), "D": ("duh", "[[d'V]]"),
    "E": ("eh", "[['E]]"), "F": ("fff", "[[f'V]]"), "G": ("guh", "[[g'V]]"), "H": ("huh", "[[h'V]]"),
    "I": ("ih", "[['I]]"), "J": ("juh", "[[dZ'V]]"), "K": ("kuh", "[[k'V]]"), "L": ("luh", "[[l'V]]"),
    "M": ("muh", "[[m'V]]"), "N": ("nuh", "[[n'V]]"), "O": ("aw", "[['0]]"), "P": ("puh", "[[p'V]]"),
    "Q": ("kwuh", "[[kw'V]]"), "R": ("ruh", "[[r'V]]"), "S": ("sss", "[[s'V]]"), "T": ("tuh", "[[t'V]]"),
    "U": ("uh", "[['V]]"), "V": ("vuh", "[[v'V]]"), "W": ("wuh", "[[w'V]]"), "X": ("ks", "[['Eks]]"),
    "Y": ("yuh", "[[j'V]]"), "Z": ("zzz", "[[z'V]]"),
}  # fmt: skip
"""Letter -> (spelling of its sound in captions, its sound in espeak-ng's phoneme notation)."""
