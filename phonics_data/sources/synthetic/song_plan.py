"""The script of a rendered song: all random parameters, sampled from (seed, index) before rendering."""

from __future__ import annotations

import hashlib
import string
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeVar

import numpy as np

from phonics_data.errors import OptionError
from phonics_data.sources.synthetic.word_list import LETTER_SOUNDS, Picture, pictures

SongKind = Literal["is_for", "a_a_apple", "phonics", "letter_run", "two_words"]
CaptionStyle = Literal["words", "cues", "none"]
LetterEntrance = Literal["card", "strokes", "fly", "row", "groups", "pair"]
"""How letters appear on the screen. A chart of all letters is possible at the end only (`SongPlan.outro`)."""
Role = Literal["letter", "sound", "object", "filler"]
SectionKind = Literal["intro", "letter", "chorus", "break", "outro"]
Move = Literal["jump", "pop", "tilt", "squash", "wobble", "sway"]
Transition = Literal["cut", "fade", "pan"]
Camera = Literal["still", "zoom", "drift"]
Backdrop = Literal["plain", "gradient", "dots", "stripes", "rays", "hills", "board"]
Place = Literal["left", "right", "above", "below", "corner", "far_corner"]
Outro = Literal["none", "card", "chart"]

MOVES: tuple[Move, ...] = ("jump", "pop", "tilt", "squash", "wobble", "sway")
PLACES: tuple[Place, ...] = ("left", "right", "above", "below", "corner", "far_corner")
NUM_FONTS = 7
"""Number of fonts in `sprites.FONTS`."""
MAX_SONGS = 10_000

_T = TypeVar("_T")

_VOICES = (
    "en-us", "en-us+f1", "en-us+f4", "en-us+m1", "en-us+m3", "en-us+m7", "en-us+Annie", "en-us+linda", "en-us+belinda",
    "en-us+steph", "en-us+michael", "en", "en+f1", "en+f4", "en+m2", "en+linda", "en-gb-x-rp+f1", "en-gb-x-rp+m4",
    "en-gb-scotland+linda", "en-gb-scotland+m3",
)  # fmt: skip
"""espeak-ng voices with reproducible output; the variants f2, f3 and f5 are not reproducible."""

_CHANNELS = ("Tiny Letters", "Sing & Spell", "Moon Songs", "Happy Hippo TV", "Little Owl Kids", "Rainbow Room")
_INTROS = (
    "let's sing the alphabet song",
    "hello children are you ready to sing",
    "come and learn your letters with me",
    "welcome to alphabet time",
)
_OUTROS = ("great job see you next time", "well done everybody", "thank you for singing bye bye", "that was fun")
_CHORUS = ("now I know my A B C", "next time won't you sing with me")


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
    back_colours: tuple[str, str] = ("#ffffff", "#ffffff")
    tilt_degrees: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class SongPlan:
    """All random parameters of one song. Equal (seed, index) give equal plans.

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
    outro: Outro
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
    frame_rate: int
    key_frame_seconds: float
    way: LetterEntrance
    group_size: int
    font: int
    outline: bool
    transition: Transition
    camera: Camera
    backdrop: Backdrop
    backdrop_changes: bool
    lead_seconds: float
    """Time from the appearance of a letter to its first sound, if it appears with a cut or a fade."""
    beat_pulse: float
    """Amplitude of the letter's pulse on the beat, as a fraction of its size."""
    logo: str
    """Text of the channel's logo in every frame; empty: no logo."""
    logo_corner: int
    # captions
    caption_jitter_seconds: float
    caption_homophones: float
    """Fraction of letter names that the automatic captions contain as a homophone: ``see`` for C."""

    def digest(self) -> str:
        """Hash of the plan, stored in the marker file of its rendered song."""
        return hashlib.sha256(repr(self).encode()).hexdigest()[:16]


PALETTES: tuple[tuple[str, str, str], ...] = (
    ("#e63946", "#fff3c4", "#ffd166"), ("#1d3fbb", "#cdeffd", "#8fd3f4"), ("#2a7d2e", "#fff1e6", "#ffc9de"),
    ("#6a1b9a", "#fdf6b2", "#b9f6ca"), ("#d84315", "#e0f7fa", "#80deea"), ("#ad1457", "#f1f8e9", "#c5e1a5"),
    ("#00695c", "#ffebee", "#ffccbc"), ("#283593", "#fff9c4", "#ffe082"), ("#ffffff", "#1565c0", "#42a5f5"),
    ("#ffeb3b", "#4a148c", "#7b1fa2"), ("#ffffff", "#c62828", "#ef5350"), ("#b2ff59", "#263238", "#37474f"),
    ("#ffffff", "#2e7d32", "#66bb6a"), ("#212121", "#ffd54f", "#ffb74d"), ("#5d4037", "#e8f5e9", "#a5d6a7"),
    ("#ff8a80", "#1a237e", "#3949ab"),
)  # fmt: skip
"""(letter, background, second background): dark on light or light on dark, legible at 32 pixels."""


def plan_song(seed: int, index: int) -> SongPlan:
    """The plan of song `index` of a collection; it does not depend on how many songs the collection has.

    Raises:
        OptionError: seed or index out of range.
    """
    if seed < 0:
        raise OptionError("--seed", seed, "0 or more")
    if not 0 <= index < MAX_SONGS:
        raise OptionError("--songs", index + 1, f"1 to {MAX_SONGS}")
    return _PlanSampler(seed, index).plan()


class _PlanSampler:
    """Samples one plan.

    Parameters that every small collection must cover are sampled without replacement (`_cycle`), the others
    independently.
    """

    def __init__(self, seed: int, index: int) -> None:
        self._seed, self._index = seed, index
        self._rng = np.random.default_rng((seed, index, 0xABC))

    def _cycle(self, name: str, options: Sequence[_T]) -> _T:
        """The option of this song in a permutation of `options`; every block of len(options) songs has a new one."""
        block, position = divmod(self._index, len(options))
        salt = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big")
        order = np.random.default_rng((self._seed, block, salt)).permutation(len(options))
        return options[int(order[position])]

    def _choose(self, options: Sequence[_T]) -> _T:
        return options[int(self._rng.integers(len(options)))]

    def _bernoulli(self, probability: float) -> bool:
        return bool(self._rng.random() < probability)

    def _uniform(self, low: float, high: float) -> float:
        return round(float(self._rng.uniform(low, high)), 4)

    def _integer(self, low: int, high: int) -> int:
        """A uniform integer, both limits included."""
        return int(self._rng.integers(low, high + 1))

    def plan(self) -> SongPlan:
        kind: SongKind = self._cycle("kind", _KIND_OPTIONS)
        captions: CaptionStyle = self._cycle("captions", _CAPTION_OPTIONS)
        way: LetterEntrance = self._cycle("way", _WAY_OPTIONS)
        letters = self._letters(kind)
        outro: Outro = self._choose(("none", "card", "chart", "chart"))
        transition: Transition = self._cycle("transition", _TRANSITION_OPTIONS)
        if way in ("strokes", "fly") and transition == "pan":
            transition = "cut"  # these letters already move when they appear
        sung = self._bernoulli(0.7)
        channel = self._choose(_CHANNELS)
        return SongPlan(
            seed=self._seed,
            index=self._index,
            video_id=f"song-{self._index:04d}",
            title=f"{_TITLES[kind]} {self._index + 1}",
            channel=channel,
            kind=kind,
            letters=letters,
            captions=captions,
            sections=self._sections(kind, letters, way, outro),
            outro=outro,
            beats_per_minute=self._integer(104, 132),
            voice=self._choose(_VOICES),
            pitch=self._integer(38, 66),
            pitch_range=self._integer(10, 35) if sung else self._integer(45, 70),
            melody=self._choose(_MELODIES) if sung else (0,),
            words_per_minute=self._integer(150, 178),
            key_note=self._integer(45, 56),
            chords=self._choose(_CHORDS),
            music_decibels=self._uniform(-27.0, -19.0),
            music_seed=self._integer(0, 2**31 - 1),
            frame_rate=self._cycle("frame_rate", (25, 25, 30)),
            key_frame_seconds=self._uniform(2.0, 5.0),
            way=way,
            group_size=self._integer(3, 4),
            font=self._cycle("font", tuple(range(NUM_FONTS))),
            outline=self._bernoulli(0.6),
            transition=transition,
            camera=self._choose(("still", "still", "still", "zoom", "drift", "drift")),
            backdrop=self._choose(("plain", "gradient", "dots", "stripes", "rays", "hills", "board")),
            backdrop_changes=transition == "cut" and self._bernoulli(0.7),
            lead_seconds=self._uniform(0.0, 0.2),
            beat_pulse=self._choose((0.0, 0.03, 0.05)),
            logo=""
            if self._bernoulli(0.5)
            else "".join(word[0] for word in channel.split() if word[0].isalpha()) + " tv",
            logo_corner=self._integer(0, 3),
            caption_jitter_seconds=self._uniform(0.0, 0.05),
            caption_homophones=self._choose((0.0, 0.0, 0.04)),
        )

    def _letters(self, kind: SongKind) -> str:
        """The letters in their order: mostly the alphabet; in some songs shuffled, incomplete, or repeated."""
        letters = list(string.ascii_uppercase)
        variant = self._cycle("letters", ("all",) * 7 + ("missing", "shuffled", "shuffled and missing"))
        if "missing" in variant:
            omitted = set(self._rng.choice(26, size=self._integer(3, 9), replace=False).tolist())
            letters = [letter for position, letter in enumerate(letters) if position not in omitted]
        if "shuffled" in variant:
            self._rng.shuffle(letters)
        rounds = 2 if kind == "letter_run" and self._bernoulli(0.5) else 1
        return "".join(letters) * rounds

    def _sections(self, kind: SongKind, letters: str, way: LetterEntrance, outro: Outro) -> tuple[SectionPlan, ...]:
        sections: list[SectionPlan] = []
        if self._bernoulli(0.6):
            text = self._choose(_INTROS) if self._bernoulli(0.6) else ""
            sections.append(SectionPlan(kind="intro", tokens=_fillers(text), half_beats=8, rest_half_beats=2))
        else:
            sections.append(SectionPlan(kind="break", half_beats=2))
        sections += self._verses(kind, letters, way)
        if outro != "none":
            text = self._choose(_OUTROS) if self._bernoulli(0.5) else ""
            sections.append(SectionPlan(kind="outro", tokens=_fillers(text), half_beats=10, rest_half_beats=2))
        sections.append(SectionPlan(kind="break", half_beats=2))
        palettes = self._palettes(len(sections))
        return tuple(
            replace(section, letter_colour=front, back_colours=(back, second))
            for section, (front, back, second) in zip(sections, palettes, strict=True)
        )

    def _verses(self, kind: SongKind, letters: str, way: LetterEntrance) -> list[SectionPlan]:
        variant = self._integer(0, 2)
        run_half_beats = 4 if way in ("strokes", "fly") else self._integer(3, 4)  # 0.7 to 1.15 s per letter
        move, place = self._choose(MOVES), self._choose(PLACES)
        same_move, same_place = self._bernoulli(0.6), self._bernoulli(0.5)
        chorus_after = {len(letters)} if self._bernoulli(0.35) else set[int]()
        if self._bernoulli(0.15):
            chorus_after.add(len(letters) // 2)
        break_after = self._integer(8, len(letters) - 4) if self._bernoulli(0.25) else 0
        words_used: dict[str, list[Picture]] = {}
        sections: list[SectionPlan] = []
        for position, letter in enumerate(letters, start=1):
            shown = words_used.setdefault(letter, self._shuffled(pictures()[letter]))
            tokens = _phrase(kind, variant, letter, shown)
            num_pictures = len({token.picture_index for token in tokens} - {None})
            sections.append(
                SectionPlan(
                    kind="letter",
                    tokens=tokens,
                    letter=letter,
                    pictures=tuple(shown[:num_pictures]),
                    half_beats=run_half_beats if kind == "letter_run" else 0,
                    rest_half_beats=0 if kind == "letter_run" else self._integer(1, 2),
                    move=move if same_move else self._choose(MOVES),
                    place=place if same_place else self._choose(PLACES),
                    tilt_degrees=self._uniform(-5, 5),
                )
            )
            if position == break_after:
                sections.append(SectionPlan(kind="break", half_beats=8))
            if position in chorus_after:
                sections += [SectionPlan(kind="chorus", tokens=_fillers(line), rest_half_beats=2) for line in _CHORUS]
        return sections

    def _shuffled(self, items: Sequence[_T]) -> list[_T]:
        return [items[int(position)] for position in self._rng.permutation(len(items))]

    def _palettes(self, num_sections: int) -> list[tuple[str, str, str]]:
        return [self._choose(PALETTES) for _ in range(num_sections)]


_KIND_OPTIONS: tuple[SongKind, ...] = (
    "is_for", "a_a_apple", "phonics", "letter_run", "two_words", "is_for", "a_a_apple", "phonics", "is_for", "is_for",
)  # fmt: skip
_CAPTION_OPTIONS: tuple[CaptionStyle, ...] = (
    "words", "words", "cues", "words", "none", "words", "words", "cues", "words", "none",
)  # fmt: skip
_WAY_OPTIONS: tuple[LetterEntrance, ...] = ("card", "strokes", "fly", "row", "groups", "pair", "card")
_TRANSITION_OPTIONS: tuple[Transition, ...] = ("cut", "fade", "pan", "cut", "cut")
_TITLES: dict[SongKind, str] = {
    "is_for": "A is for Apple song",
    "a_a_apple": "A A Apple alphabet song",
    "phonics": "Phonics song",
    "letter_run": "ABC letters song",
    "two_words": "Alphabet song with two words",
}
_MELODIES: tuple[tuple[int, ...], ...] = ((0, 0, 8, 8, 12, 12, 8), (0, 5, 9, 5), (6, 3, 0, 6), (0, 4, 8, 12, 8, 4))
_CHORDS: tuple[tuple[int, ...], ...] = ((0, 3, 4, 0), (0, 5, 3, 4), (0, 4, 5, 3), (0, 3, 0, 4))


def _fillers(text: str) -> tuple[Token, ...]:
    """The words of an intro, outro or chorus. Single letters are spoken as letter names, but are not part of a segment."""
    return tuple(
        Token(text=word, say=_letter_name(word), role="letter", min_half_beats=2)
        if len(word) == 1 and word in string.ascii_uppercase and word != "I"
        else Token(text=word, say=word, role="filler")
        for word in text.split()
    )


def _letter_name(letter: str) -> str:
    """Input of espeak-ng for a letter name. Some voices pronounce a single A as the article, hence the phonemes."""
    return "[['eI]]" if letter == "A" else letter


def _phrase(kind: SongKind, variant: int, letter: str, shown: Sequence[Picture]) -> tuple[Token, ...]:
    """The words of one letter's phrase, e.g. (A, is, for, apple, A, A, apple)."""
    name = Token(text=letter, say=_letter_name(letter), role="letter", min_half_beats=2)
    spelled, phonemes = LETTER_SOUNDS[letter]
    sound = Token(text=spelled, say=phonemes, role="sound", min_half_beats=1)
    first, second = _object(shown[0], 0), _object(shown[1], 1)
    is_, for_, says, and_ = (Token(text=word, say=word, role="filler") for word in ("is", "for", "says", "and"))
    phrases: dict[SongKind, tuple[tuple[Token, ...], ...]] = {
        "is_for": (
            (name, is_, for_, *first),
            (name, is_, for_, *first, *first),
            (name, is_, for_, *first, name, name, *first),
        ),
        "a_a_apple": ((name, name, *first), (name, sound, *first), (name, name, *first, *first)),
        "phonics": (
            (name, says, sound, sound, *first),
            (name, sound, sound, *first),
            (name, says, sound, sound, sound),
        ),
        "letter_run": ((name,),) * 3,
        "two_words": (
            (name, is_, for_, *first, and_, *second),
            (name, *first, *second),
            (name, for_, *first, name, for_, *second),
        ),
    }
    return phrases[kind][variant]


def _object(picture: Picture, index: int) -> tuple[Token, ...]:
    return tuple(
        Token(text=word, say=word, role="object", picture_index=index, min_half_beats=2)
        for word in picture.word.split()
    )
