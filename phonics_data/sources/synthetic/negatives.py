"""Rendered negatives: videos that resemble alphabet songs but contain no letters.

Each is a song of `phonics_data.sources.synthetic.render` with every letter replaced by a number (counting song), a word
(word cards) or a symbol. Pictures, animation, music and transitions are those of the songs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np

from phonics_data.sources.synthetic.letters_plan import LettersPlan, plan_letters_song
from phonics_data.sources.synthetic.song_plan import SectionPlan, Token
from phonics_data.sources.synthetic.word_list import pictures

NegativeKind = Literal["counting", "words", "symbols"]

_KINDS: tuple[NegativeKind, ...] = ("counting", "words", "counting", "symbols", "words")
_NUMBERS = (
    "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen twenty"
).split()
_SYMBOLS = (
    ("+", "plus"), ("=", "equals"), ("?", "question"), ("!", "wow"), ("%", "percent"), ("&", "and"), ("#", "hash"),
    ("*", "star"), ("/", "slash"), ("(", "bracket"), ("<", "less"), (">", "more"), ("$", "dollar"), ("@", "at"),
)  # fmt: skip
_TITLES: dict[NegativeKind, str] = {"counting": "Counting song", "words": "First words", "symbols": "Sign song"}


def plan_negative(seed: int, index: int) -> LettersPlan:
    """The plan of negative `index`, for `render_song`."""
    song = plan_letters_song(seed, index)
    kind = _KINDS[index % len(_KINDS)]
    # Strokes are defined for letters only.
    song = replace(song, way="card" if song.way == "strokes" else song.way)
    verses = [section for section in song.sections if section.kind == "letter"]
    # Shuffled, because apple, ball, cat ... would be in alphabetical order.
    order = np.random.default_rng((seed, index, 0xDEC0)).permutation(len(verses)).tolist()
    verses = [verses[position] for position in order]
    replaced = iter(_verse(kind, position, section, song) for position, section in enumerate(verses))
    sections: list[SectionPlan] = []
    for section in song.sections:
        if section.kind == "letter":
            sections.append(next(replaced))
        elif section.kind == "chorus":
            # The chorus mentions the alphabet and shows letters.
            sections.append(replace(section, kind="break", tokens=(), half_beats=8))
        else:
            sections.append(replace(section, tokens=_without_letters(section.tokens)))
    return replace(
        song,
        video_id=f"negative-{index:04d}",
        title=f"{_TITLES[kind]} {index + 1}",
        letters="".join(dict.fromkeys(section.letter[0] for section in sections if section.letter)),
        outro="card" if song.outro == "chart" else song.outro,
        sections=tuple(sections),
    )


def _verse(kind: NegativeKind, position: int, section: SectionPlan, song: LettersPlan) -> SectionPlan:
    """A letter's section with the letter replaced on the screen and in the words; its pictures are kept."""
    if kind == "counting":
        number = position % len(_NUMBERS)
        displayed, spoken = str(number + 1), _NUMBERS[number]
    elif kind == "symbols":
        displayed, spoken = _SYMBOLS[(position + song.index) % len(_SYMBOLS)]
    else:
        spoken = (section.pictures or pictures()[section.letter])[0].word
        displayed = spoken.upper() if song.index % 2 else spoken
    tokens = tuple(
        Token(text=spoken, say=spoken, role="filler", min_half_beats=2)
        if token.role == "letter"
        else Token(text="la", say="la", role="filler")
        if token.role == "sound"
        else token
        for token in section.tokens
    )
    return replace(section, letter=displayed, tokens=tokens)


def _without_letters(tokens: Sequence[Token]) -> tuple[Token, ...]:
    return tuple(
        Token(text="la", say="la", role="filler")
        if token.role == "letter" or token.text.lower() == "alphabet"
        else token
        for token in tokens
    )
