"""Rendered videos that look and sound like alphabet songs and hold no letter: what a search for letters must refuse.

Each is a song of `phonics_data.sources.synthetic.render` with every letter replaced: a counting song shows and says numbers,
word cards show whole words, signs are the glyphs of a font that are no letters. Pictures, movement, music and the ways
in which things come onto the screen stay those of the songs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np

from phonics_data.sources.synthetic.song_plan import SectionPlan, SongPlan, Token, plan_song
from phonics_data.sources.synthetic.word_list import pictures

NegativeKind = Literal["counting", "words", "signs"]

_KINDS: tuple[NegativeKind, ...] = ("counting", "words", "counting", "signs", "words")
_NUMBERS = (
    "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen twenty"
).split()
_SIGNS = (
    ("+", "plus"), ("=", "equals"), ("?", "question"), ("!", "wow"), ("%", "percent"), ("&", "and"), ("#", "hash"),
    ("*", "star"), ("/", "slash"), ("(", "bracket"), ("<", "less"), (">", "more"), ("$", "dollar"), ("@", "at"),
)  # fmt: skip
_TITLES: dict[NegativeKind, str] = {"counting": "Counting song", "words": "First words", "signs": "Sign song"}


def plan_negative(seed: int, index: int) -> SongPlan:
    """The plan of video `index` of a collection without letters; `render_song` makes it."""
    song = plan_song(seed, index)
    kind = _KINDS[index % len(_KINDS)]
    # Single strokes of a pen are known for letters alone.
    song = replace(song, way="card" if song.way == "strokes" else song.way)
    verses = [section for section in song.sections if section.kind == "letter"]
    # Apple, ball, cat ... would be an alphabet after all.
    order = np.random.default_rng((seed, index, 0xDEC0)).permutation(len(verses)).tolist()
    verses = [verses[place] for place in order]
    replaced = iter(_verse(kind, position, section, song) for position, section in enumerate(verses))
    sections: list[SectionPlan] = []
    for section in song.sections:
        if section.kind == "letter":
            sections.append(next(replaced))
        elif section.kind == "chorus":
            # It sings of the alphabet and dances with its letters.
            sections.append(replace(section, kind="break", tokens=(), half_beats=8))
        else:
            sections.append(replace(section, tokens=_without_letters(section.tokens)))
    return replace(
        song,
        video_id=f"decoy-{index:04d}",
        title=f"{_TITLES[kind]} {index + 1}",
        letters="".join(dict.fromkeys(section.letter[0] for section in sections if section.letter)),
        outro="card" if song.outro == "chart" else song.outro,
        sections=tuple(sections),
    )


def _verse(kind: NegativeKind, position: int, section: SectionPlan, song: SongPlan) -> SectionPlan:
    """What stands in a letter's place: its name is said where the letter's was, its pictures stay."""
    if kind == "counting":
        number = position % len(_NUMBERS)
        shown, said = str(number + 1), _NUMBERS[number]
    elif kind == "signs":
        shown, said = _SIGNS[(position + song.index) % len(_SIGNS)]
    else:
        shown_pictures = section.pictures or pictures()[section.letter]
        said = shown_pictures[0].word
        shown = said.upper() if song.index % 2 else said
    tokens = tuple(
        Token(text=said, say=said, role="filler", min_half_beats=2)
        if token.role == "letter"
        else Token(text="la", say="la", role="filler")
        if token.role == "sound"
        else token
        for token in section.tokens
    )
    return replace(section, letter=shown, tokens=tokens)


def _without_letters(tokens: Sequence[Token]) -> tuple[Token, ...]:
    return tuple(
        Token(text="la", say="la", role="filler")
        if token.role == "letter" or token.text.lower() == "alphabet"
        else token
        for token in tokens
    )
