"""The script of a rendered song: all random parameters, sampled from (seed, index) before rendering.

`SongPlan` has what all songs have; `letters_plan` and `phrases_plan` have the plans of the two families.
"""

from __future__ import annotations

import hashlib
import string
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np

from phonics_data.errors import OptionError
from phonics_data.sources.synthetic.word_list import Picture

Family = Literal["phrases", "letters"]
"""``phrases``: a picture for each object word, in the style of a channel, where everything happens once in a phrase.
``letters``: letters that appear in many ways and move with the syllables."""
SongKind = Literal["is_for", "a_a_apple", "phonics", "letter_run", "two_words", "one_letter"]
CaptionStyle = Literal["words", "cues", "none"]
LetterEntrance = Literal["card", "strokes", "fly", "row", "groups", "pair"]
"""How letters appear on the screen. A chart of all letters is possible at the end only (`SongPlan.outro`)."""
Role = Literal["letter", "sound", "object", "filler"]
SectionKind = Literal["intro", "letter", "chorus", "break", "outro"]
Move = Literal["jump", "pop", "tilt", "squash", "wobble", "sway"]
Transition = Literal["cut", "fade", "pan"]
Camera = Literal["still", "zoom", "drift"]
Backdrop = Literal[
    "plain",
    "gradient",
    "dots",
    "stripes",
    "rays",
    "hills",
    "board",
    "spot",
    "studio",
    "night",
    "frame",
    "paper",
    "woods",
]
Region = Literal["letter", "object", "word"]
"""A part of the picture whose place the ground truth has."""
Place = Literal["left", "right", "above", "below", "corner", "far_corner"]
Outro = Literal["none", "card", "chart"]

MOVES: tuple[Move, ...] = ("jump", "pop", "tilt", "squash", "wobble", "sway")
PLACES: tuple[Place, ...] = ("left", "right", "above", "below", "corner", "far_corner")
NUM_FONTS = 7
"""Number of fonts in `sprites.FONTS`."""
MAX_SONGS = 10_000

_T = TypeVar("_T")

VOICES = (
    "en-us", "en-us+f1", "en-us+f4", "en-us+m1", "en-us+m3", "en-us+m7", "en-us+Annie", "en-us+linda", "en-us+belinda",
    "en-us+steph", "en-us+michael", "en", "en+f1", "en+f4", "en+m2", "en+linda", "en-gb-x-rp+f1", "en-gb-x-rp+m4",
    "en-gb-scotland+linda", "en-gb-scotland+m3",
)  # fmt: skip
"""espeak-ng voices with reproducible output; the variants f2, f3 and f5 are not reproducible."""

CHANNELS = ("Tiny Letters", "Sing & Spell", "Moon Songs", "Happy Hippo TV", "Little Owl Kids", "Rainbow Room")
INTROS = (
    "let's sing the alphabet song",
    "hello children are you ready to sing",
    "come and learn your letters with me",
    "welcome to alphabet time",
)
OUTROS = ("great job see you next time", "well done everybody", "thank you for singing bye bye", "that was fun")


@dataclass(frozen=True, kw_only=True, slots=True)
class Token:
    """One spoken word."""

    text: str
    """As in captions."""
    say: str
    """Input of espeak-ng: text, or phonemes in ``[[ ]]``."""
    role: Role
    picture_index: int | None = None
    """Index of the section's picture that the word names."""
    min_half_beats: int = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class SectionPlan:
    """A part of the song with its own scene: a letter's phrase, a title or end card, the chorus, a break."""

    kind: SectionKind
    tokens: tuple[Token, ...] = ()
    letter: str = ""
    pictures: tuple[Picture, ...] = ()
    half_beats: int = 0
    """Minimum length in half beats; the exact length of letter runs and sections without words."""
    rest_half_beats: int = 0
    """Pause after the last word, in half beats."""
    move: Move = "jump"
    place: Place = "left"
    letter_colour: str = "#000000"
    word_colour: str = "#000000"
    back_colours: tuple[str, str] = ("#ffffff", "#ffffff")
    tilt_degrees: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class SongPlan:
    """The random parameters of one song that both families have. Equal (seed, index) give equal plans.

    Names and order of the fields are part of `digest`.
    """

    seed: int
    index: int
    video_id: str
    title: str
    channel: str
    kind: SongKind
    letters: str
    captions: CaptionStyle
    sections: tuple[SectionPlan, ...]
    # audio
    beats_per_minute: int
    voice: str
    pitch: int
    pitch_range: int
    melody: tuple[int, ...]
    """Pitch offsets of the successive words of a phrase, in espeak-ng's units."""
    words_per_minute: int
    key_note: int
    """MIDI number of the tonic."""
    chords: tuple[int, ...]
    """Scale degree 0..6 of each bar."""
    music_decibels: float
    """Level of the music relative to the voice."""
    music_seed: int
    # video
    frame_rate: float
    """25, 24, 30 or 30000/1001."""
    key_frame_seconds: float
    font: int
    logo: str
    """Text of the channel's logo in every frame; empty: no logo."""
    logo_corner: int
    lead_seconds: float
    """Time from the appearance of a letter to its first sound, if it appears with a cut or a fade."""
    # captions
    caption_jitter_seconds: float
    caption_homophones: float
    """Fraction of letter names that the automatic captions contain as a homophone: ``see`` for C."""

    def digest(self) -> str:
        """Hash of the plan, stored in the marker file of its rendered song."""
        return hashlib.sha256(repr(self).encode()).hexdigest()[:16]


class PlanSampler:
    """Samples the parameters of one plan.

    Parameters that every small collection must cover are sampled without replacement (`cycle`), the others
    independently.
    """

    def __init__(self, seed: int, index: int, salt: int) -> None:
        """Raises OptionError if seed or index are out of range."""
        if seed < 0:
            raise OptionError("--seed", seed, "0 or more")
        if not 0 <= index < MAX_SONGS:
            raise OptionError("--songs", index + 1, f"1 to {MAX_SONGS}")
        self.seed, self.index = seed, index
        self.rng = np.random.default_rng((seed, index, salt))

    def cycle(self, name: str, options: Sequence[_T], *, index: int | None = None) -> _T:
        """The option of this song in a permutation of `options`; every block of len(options) songs has a new one.

        Args:
            index: replaces the song's index.
        """
        block, position = divmod(self.index if index is None else index, len(options))
        salt = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big")
        order = np.random.default_rng((self.seed, block, salt)).permutation(len(options))
        return options[int(order[position])]

    def choose(self, options: Sequence[_T]) -> _T:
        return options[int(self.rng.integers(len(options)))]

    def bernoulli(self, probability: float) -> bool:
        return bool(self.rng.random() < probability)

    def uniform(self, low: float, high: float) -> float:
        return round(float(self.rng.uniform(low, high)), 4)

    def integer(self, low: int, high: int) -> int:
        """A uniform integer, both limits included."""
        return int(self.rng.integers(low, high + 1))

    def shuffled(self, items: Sequence[_T]) -> list[_T]:
        return [items[int(position)] for position in self.rng.permutation(len(items))]


MELODIES: tuple[tuple[int, ...], ...] = ((0, 0, 8, 8, 12, 12, 8), (0, 5, 9, 5), (6, 3, 0, 6), (0, 4, 8, 12, 8, 4))
CHORDS: tuple[tuple[int, ...], ...] = ((0, 3, 4, 0), (0, 5, 3, 4), (0, 4, 5, 3), (0, 3, 0, 4))
CAPTION_STYLES: tuple[CaptionStyle, ...] = (
    "words", "words", "cues", "words", "none", "words", "words", "cues", "words", "none",
)  # fmt: skip


def filler_tokens(text: str) -> tuple[Token, ...]:
    """The words of an intro, outro or chorus. Single letters are spoken as letter names, but are not part of a segment."""
    return tuple(
        Token(text=word, say=letter_name(word), role="letter", min_half_beats=2)
        if len(word) == 1 and word in string.ascii_uppercase and word != "I"
        else Token(text=word, say=word, role="filler")
        for word in text.split()
    )


def letter_name(letter: str) -> str:
    """Input of espeak-ng for a letter name. Some voices pronounce a single A as the article, hence the phonemes."""
    return "[['eI]]" if letter == "A" else letter


def object_tokens(picture: Picture, index: int) -> tuple[Token, ...]:
    return tuple(
        Token(text=word, say=word, role="object", picture_index=index, min_half_beats=2)
        for word in picture.word.split()
    )
