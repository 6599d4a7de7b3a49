"""Plans of the family ``phrases``: songs in the style of a channel, with several phrases a letter and one object word each."""

from __future__ import annotations

import math
import string
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from phonics_data.sources.synthetic.song_plan import (
    CAPTION_STYLES,
    CHORDS,
    INTROS,
    MELODIES,
    VOICES,
    PlanSampler,
    SectionPlan,
    SongKind,
    SongPlan,
    Token,
    filler_tokens,
    letter_name,
    object_tokens,
)
from phonics_data.sources.synthetic.styles import STYLES, UNSEEN_STYLES, Palette, Style, style_named
from phonics_data.sources.synthetic.word_list import Picture, pictures

Collection = Literal["song", "test", "unseen"]
"""The songs of a collection, its test songs, and songs of styles that occur nowhere else; prefix of their ids."""

_SALTS: dict[Collection, int] = {"song": 0x5049, "test": 0x7E57, "unseen": 0xD1FF}
_PHRASES_PER_LETTER = 2
_NUM_ONE_LETTER_PHRASES = 8
_MAX_PHRASE_SECONDS = 3.9
"""Shorter than the longest clip of 4 s."""
_MIN_AFTER_SECONDS = 0.55
"""From the start of the object's word to the end of the phrase."""
_FRAME_RATES = (25, 30000 / 1001, 24, 25, 30000 / 1001)
_NO_OBJECTS = frozenset(
    ("up", "unlock", "quiet", "quick", "quack", "yellow", "yes", "zap", "zoom", "idea", "ice cream", "ice skate")
)
"""Words of the list that name no thing, or that begin with another object ("ice")."""
_ONE_LETTER_SHARE = 0.1
_LETTER_RANGES = 3
"""Songs in which the alphabet is divided: every three songs contain it once."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PhrasesPlan(SongPlan):
    """All random parameters of a song of the family ``phrases``."""

    style: str
    """Name of a style of `styles`."""
    collection: Collection


def plan_phrases_song(
    seed: int, index: int, *, collection: Collection = "song", styles: Sequence[str] = ()
) -> PhrasesPlan:
    """The plan of song `index` of a collection; it does not depend on how many songs the collection has.

    Two songs with neighbouring indices (0 and 1, 2 and 3 ...) have the same style.

    Args:
        collection: part of the song's id and of its random numbers.
        styles: names of the styles to choose from; default: `UNSEEN_STYLES` for the collection ``unseen``, else `STYLES`.

    Raises:
        OptionError: seed or index out of range.
    """
    allowed = UNSEEN_STYLES if collection == "unseen" else STYLES
    names = tuple(styles) or tuple(style.name for style in allowed)
    return _PhrasesSampler(seed, index, collection, names).plan()


class _PhrasesSampler(PlanSampler):
    def __init__(self, seed: int, index: int, collection: Collection, styles: Sequence[str]) -> None:
        super().__init__(seed, index, _SALTS[collection])
        self._collection: Collection = collection
        # Other songs are in one collection of songs only; two with the same style can be divided between splits.
        self._style = style_named(self.cycle("style", styles, index=index // 2 if collection == "song" else index))

    def plan(self) -> PhrasesPlan:
        style = self._style
        is_one_letter = self.bernoulli(_ONE_LETTER_SHARE)
        letters = self._letters(is_one_letter)
        kind: SongKind = "one_letter" if is_one_letter else self.choose(("is_for", "is_for", "a_a_apple"))
        title = f"The letter {letters[0]}" if is_one_letter else f"Letters {letters[0]} to {letters[-1]}"
        sung = self.bernoulli(0.7)
        beats_per_minute = self.integer(100, 126)
        return PhrasesPlan(
            seed=self.seed,
            index=self.index,
            video_id=f"{self._collection}-{self.index:04d}",
            title=f"{title} - {style.channel} {self.index + 1}",
            channel=style.channel,
            kind=kind,
            letters=letters,
            captions=self.cycle("captions", CAPTION_STYLES),
            sections=self._sections(kind, letters, 30.0 / beats_per_minute),
            beats_per_minute=beats_per_minute,
            voice=self.choose(VOICES),
            pitch=self.integer(38, 66),
            pitch_range=self.integer(10, 35) if sung else self.integer(45, 70),
            melody=self.choose(MELODIES) if sung else (0,),
            words_per_minute=self.integer(140, 165),
            key_note=self.integer(45, 56),
            chords=self.choose(CHORDS),
            music_decibels=self.uniform(-27.0, -19.0),
            music_seed=self.integer(0, 2**31 - 1),
            frame_rate=self.cycle("frame_rate", _FRAME_RATES),
            key_frame_seconds=self.uniform(2.0, 5.0),
            font=style.font,
            logo="" if style.logo_corner is None else style.channel.split()[0].lower(),
            logo_corner=style.logo_corner or 0,
            lead_seconds=self.uniform(0.04, 0.16),
            caption_jitter_seconds=self.uniform(0.0, 0.05),
            caption_homophones=self.choose((0.0, 0.0, 0.04)),
            style=style.name,
            collection=self._collection,
        )

    def _letters(self, is_one_letter: bool) -> str:
        """One letter, or a third of the alphabet; one entry for each phrase."""
        if is_one_letter:
            letter = string.ascii_uppercase[self.integer(0, 25)]
            return letter * min(_NUM_ONE_LETTER_PHRASES, len(_objects(letter)))
        block, part = divmod(self.index, _LETTER_RANGES)
        first, second = self.cycle("cuts", ((9, 18), (8, 17), (9, 17), (10, 18)), index=block)
        edges = (0, first, second, 26)
        letters = string.ascii_uppercase[edges[part] : edges[part + 1]]
        return "".join(letter * _PHRASES_PER_LETTER for letter in letters)

    def _sections(self, kind: SongKind, letters: str, half_beat: float) -> tuple[SectionPlan, ...]:
        palettes = self.shuffled(self._style.palettes)
        sections: list[SectionPlan] = []
        if self.bernoulli(0.6):
            text = self.choose(INTROS) if self.bernoulli(0.6) else ""
            tokens = filler_tokens(text)
            sections.append(SectionPlan(kind="intro", tokens=tokens, half_beats=8, rest_half_beats=2))
        else:
            sections.append(SectionPlan(kind="break", half_beats=4))
        sections = [_coloured(section, palettes[-1]) for section in sections]
        sections += self._phrases(kind, letters, half_beat, palettes)
        sections.append(_coloured(SectionPlan(kind="break", half_beats=4), palettes[-1]))
        return tuple(sections)

    def _phrases(
        self, kind: SongKind, letters: str, half_beat: float, palettes: Sequence[Palette]
    ) -> list[SectionPlan]:
        words = {letter: self.shuffled(_objects(letter)) for letter in dict.fromkeys(letters)}
        starts = self._word_starts(len(letters), half_beat)
        sections: list[SectionPlan] = []
        num_scenes = 0
        for position, letter in enumerate(letters):
            is_new = position == 0 or letters[position - 1] != letter
            num_scenes += is_new or self._style.scene == "phrase"
            picture = words[letter].pop()
            rest = max(self.uniform(*self._style.seconds_after), _MIN_AFTER_SECONDS)
            num_words = len(picture.word.split())
            most = int(_MAX_PHRASE_SECONDS / half_beat)
            after = max(math.ceil(rest / half_beat), 2 * num_words)
            half_beats = min(starts[position] + after, most)
            repeats = self.bernoulli(0.5) and num_words == 1 and half_beats - starts[position] >= 5
            section = SectionPlan(
                kind="letter",
                tokens=(
                    *self._before(kind, letter, starts[position]),
                    *object_tokens(picture, 0) * (2 if repeats else 1),
                ),
                letter=letter,
                pictures=(picture,),
                half_beats=half_beats,
            )
            sections.append(_coloured(section, palettes[num_scenes % len(palettes)]))
        return sections

    def _word_starts(self, num_phrases: int, half_beat: float) -> list[int]:
        """When each phrase's object word begins, in half beats from the phrase's start.

        All times that the style allows occur about equally often in a song, in a random order, so the time of one phrase
        says little about that of another one.
        """
        earliest, latest = self._style.word_seconds_after_start
        latest = min(latest, _MAX_PHRASE_SECONDS - self._style.seconds_after[0])
        allowed = range(math.ceil(earliest / half_beat), int(latest / half_beat) + 1)
        starts: list[int] = []
        while len(starts) < num_phrases:
            starts += self.shuffled(allowed)
        return starts[:num_phrases]

    def _before(self, kind: SongKind, letter: str, half_beats: int) -> tuple[Token, ...]:
        """The words before the object's word, which fill these half beats: (L, L, is, for) or (L, L)."""
        has_link = kind != "a_a_apple"
        free = half_beats - (2 if has_link else 0)
        num_names = self.integer(1, max(1, min(3, free // 2)))
        if not has_link:
            num_names = max(num_names, min(2, free // 2))
        durations = [2] * num_names if free >= 2 * num_names else [free]
        spare = free - sum(durations)
        # A rest after "for" of one half beat at most, because a longer one would cut the sentence in two.
        last = self.integer(0, min(1, spare)) if has_link else 0
        durations[-1] += spare - last
        names = [
            Token(text=letter, say=letter_name(letter), role="letter", min_half_beats=duration)
            for duration in durations
        ]
        if not has_link:
            return tuple(names)
        is_ = Token(text="is", say="is", role="filler")
        return (*names, is_, Token(text="for", say="for", role="filler", min_half_beats=1 + last))


def _objects(letter: str) -> list[Picture]:
    return [picture for picture in pictures()[letter] if picture.word not in _NO_OBJECTS]


def _coloured(section: SectionPlan, palette: Palette) -> SectionPlan:
    return replace(section, letter_colour=palette.letter, word_colour=palette.word, back_colours=palette.back)


def style_of(plan: PhrasesPlan) -> Style:
    return style_named(plan.style)
