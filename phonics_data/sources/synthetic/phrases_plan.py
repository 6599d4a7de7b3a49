"""Plans of the family ``phrases``: songs in the style of a channel, with several phrases a letter and one object word each."""

from __future__ import annotations

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
_MAX_PHRASE_SECONDS = 3.8
"""With its lead, shorter than the longest clip of 4 s."""
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
        beats_per_minute = self.integer(92, 112)
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
            frame_rate=self.cycle("frame_rate", (25, 30, 25, 24)),
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
            return string.ascii_uppercase[self.integer(0, 25)] * _NUM_ONE_LETTER_PHRASES
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
        style = self._style
        seconds = self.uniform(*style.phrase_seconds)
        half_beats = round(min(seconds, _MAX_PHRASE_SECONDS) / half_beat)
        while half_beats * half_beat > _MAX_PHRASE_SECONDS:
            half_beats -= 1
        repeats = self.bernoulli(0.3) and kind != "one_letter" and half_beats >= style.letter_half_beats + 8
        words = {
            letter: self.shuffled([one for one in pictures()[letter] if not (repeats and " " in one.word)])
            for letter in dict.fromkeys(letters)
        }
        sections: list[SectionPlan] = []
        num_scenes = 0
        for position, letter in enumerate(letters):
            is_new = position == 0 or letters[position - 1] != letter
            num_scenes += is_new or style.scene == "phrase"
            picture = words[letter].pop()
            section = SectionPlan(
                kind="letter",
                tokens=_phrase(kind, letter, picture, style.letter_half_beats, repeats=repeats),
                letter=letter,
                pictures=(picture,),
                half_beats=half_beats,
            )
            sections.append(_coloured(section, palettes[num_scenes % len(palettes)]))
        return sections


def _coloured(section: SectionPlan, palette: Palette) -> SectionPlan:
    return replace(section, letter_colour=palette.letter, word_colour=palette.word, back_colours=palette.back)


def _phrase(
    kind: SongKind, letter: str, picture: Picture, letter_half_beats: int, *, repeats: bool
) -> tuple[Token, ...]:
    """The words of a phrase, e.g. (L, is, for, lion) or (L, L, lion, lion). The object's word begins at the same beat."""

    def name(half_beats: int) -> Token:
        return Token(text=letter, say=letter_name(letter), role="letter", min_half_beats=half_beats)

    is_, for_ = (Token(text=word, say=word, role="filler") for word in ("is", "for"))
    words = object_tokens(picture, 0)
    before = (name(2), name(letter_half_beats)) if kind == "a_a_apple" else (name(letter_half_beats), is_, for_)
    return (*before, *words, *words) if repeats else (*before, *words)


def style_of(plan: PhrasesPlan) -> Style:
    return style_named(plan.style)
