"""Plans of the family ``letters``: letters appear in many ways and move with the syllables.

The segmentation is measured on these songs.
"""

from __future__ import annotations

import string
from collections.abc import Sequence
from dataclasses import dataclass, replace

from phonics_data.sources.synthetic.song_plan import (
    CAPTION_STYLES,
    CHANNELS,
    CHORDS,
    INTROS,
    MELODIES,
    MOVES,
    NUM_FONTS,
    OUTROS,
    PLACES,
    VOICES,
    Backdrop,
    Camera,
    CaptionStyle,
    LetterEntrance,
    Outro,
    PlanSampler,
    SectionPlan,
    SongKind,
    SongPlan,
    Token,
    Transition,
    filler_tokens,
    letter_name,
    object_tokens,
)
from phonics_data.sources.synthetic.word_list import LETTER_SOUNDS, Picture, pictures

_CHORUS = ("now I know my A B C", "next time won't you sing with me")


@dataclass(frozen=True, kw_only=True, slots=True)
class LettersPlan(SongPlan):
    """All random parameters of a song of the family ``letters``."""

    outro: Outro
    way: LetterEntrance
    group_size: int
    outline: bool
    transition: Transition
    camera: Camera
    backdrop: Backdrop
    backdrop_changes: bool
    beat_pulse: float
    """Amplitude of the letter's pulse on the beat, as a fraction of its size."""


_PALETTES: tuple[tuple[str, str, str], ...] = (
    ("#e63946", "#fff3c4", "#ffd166"), ("#1d3fbb", "#cdeffd", "#8fd3f4"), ("#2a7d2e", "#fff1e6", "#ffc9de"),
    ("#6a1b9a", "#fdf6b2", "#b9f6ca"), ("#d84315", "#e0f7fa", "#80deea"), ("#ad1457", "#f1f8e9", "#c5e1a5"),
    ("#00695c", "#ffebee", "#ffccbc"), ("#283593", "#fff9c4", "#ffe082"), ("#ffffff", "#1565c0", "#42a5f5"),
    ("#ffeb3b", "#4a148c", "#7b1fa2"), ("#ffffff", "#c62828", "#ef5350"), ("#b2ff59", "#263238", "#37474f"),
    ("#ffffff", "#2e7d32", "#66bb6a"), ("#212121", "#ffd54f", "#ffb74d"), ("#5d4037", "#e8f5e9", "#a5d6a7"),
    ("#ff8a80", "#1a237e", "#3949ab"),
)  # fmt: skip
"""(letter, background, second background): dark on light or light on dark, legible at 32 pixels."""


def plan_letters_song(seed: int, index: int) -> LettersPlan:
    """The plan of song `index` of a collection; it does not depend on how many songs the collection has.

    Raises:
        OptionError: seed or index out of range.
    """
    return _LettersSampler(seed, index, 0xABC).plan()


class _LettersSampler(PlanSampler):
    def plan(self) -> LettersPlan:
        kind: SongKind = self.cycle("kind", _KIND_OPTIONS)
        captions: CaptionStyle = self.cycle("captions", CAPTION_STYLES)
        way: LetterEntrance = self.cycle("way", _WAY_OPTIONS)
        letters = self._letters(kind)
        outro: Outro = self.choose(("none", "card", "chart", "chart"))
        transition: Transition = self.cycle("transition", _TRANSITION_OPTIONS)
        if way in ("strokes", "fly") and transition == "pan":
            transition = "cut"  # these letters already move when they appear
        sung = self.bernoulli(0.7)
        channel = self.choose(CHANNELS)
        return LettersPlan(
            seed=self.seed,
            index=self.index,
            video_id=f"song-{self.index:04d}",
            title=f"{_TITLES[kind]} {self.index + 1}",
            channel=channel,
            kind=kind,
            letters=letters,
            captions=captions,
            sections=self._sections(kind, letters, way, outro),
            outro=outro,
            beats_per_minute=self.integer(104, 132),
            voice=self.choose(VOICES),
            pitch=self.integer(38, 66),
            pitch_range=self.integer(10, 35) if sung else self.integer(45, 70),
            melody=self.choose(MELODIES) if sung else (0,),
            words_per_minute=self.integer(150, 178),
            key_note=self.integer(45, 56),
            chords=self.choose(CHORDS),
            music_decibels=self.uniform(-27.0, -19.0),
            music_seed=self.integer(0, 2**31 - 1),
            frame_rate=self.cycle("frame_rate", (25, 25, 30)),
            key_frame_seconds=self.uniform(2.0, 5.0),
            way=way,
            group_size=self.integer(3, 4),
            font=self.cycle("font", tuple(range(NUM_FONTS))),
            outline=self.bernoulli(0.6),
            transition=transition,
            camera=self.choose(("still", "still", "still", "zoom", "drift", "drift")),
            backdrop=self.choose(("plain", "gradient", "dots", "stripes", "rays", "hills", "board")),
            backdrop_changes=transition == "cut" and self.bernoulli(0.7),
            lead_seconds=self.uniform(0.0, 0.2),
            beat_pulse=self.choose((0.0, 0.03, 0.05)),
            logo=""
            if self.bernoulli(0.5)
            else "".join(word[0] for word in channel.split() if word[0].isalpha()) + " tv",
            logo_corner=self.integer(0, 3),
            caption_jitter_seconds=self.uniform(0.0, 0.05),
            caption_homophones=self.choose((0.0, 0.0, 0.04)),
        )

    def _letters(self, kind: SongKind) -> str:
        """The letters in their order: mostly the alphabet; in some songs shuffled, incomplete, or repeated."""
        letters = list(string.ascii_uppercase)
        variant = self.cycle("letters", ("all",) * 7 + ("missing", "shuffled", "shuffled and missing"))
        if "missing" in variant:
            omitted = set(self.rng.choice(26, size=self.integer(3, 9), replace=False).tolist())
            letters = [letter for position, letter in enumerate(letters) if position not in omitted]
        if "shuffled" in variant:
            self.rng.shuffle(letters)
        rounds = 2 if kind == "letter_run" and self.bernoulli(0.5) else 1
        return "".join(letters) * rounds

    def _sections(self, kind: SongKind, letters: str, way: LetterEntrance, outro: Outro) -> tuple[SectionPlan, ...]:
        sections: list[SectionPlan] = []
        if self.bernoulli(0.6):
            text = self.choose(INTROS) if self.bernoulli(0.6) else ""
            sections.append(SectionPlan(kind="intro", tokens=filler_tokens(text), half_beats=8, rest_half_beats=2))
        else:
            sections.append(SectionPlan(kind="break", half_beats=2))
        sections += self._verses(kind, letters, way)
        if outro != "none":
            text = self.choose(OUTROS) if self.bernoulli(0.5) else ""
            sections.append(SectionPlan(kind="outro", tokens=filler_tokens(text), half_beats=10, rest_half_beats=2))
        sections.append(SectionPlan(kind="break", half_beats=2))
        palettes = self._palettes(len(sections))
        return tuple(
            replace(section, letter_colour=front, back_colours=(back, second))
            for section, (front, back, second) in zip(sections, palettes, strict=True)
        )

    def _verses(self, kind: SongKind, letters: str, way: LetterEntrance) -> list[SectionPlan]:
        variant = self.integer(0, 2)
        run_half_beats = 4 if way in ("strokes", "fly") else self.integer(3, 4)  # 0.7 to 1.15 s per letter
        move, place = self.choose(MOVES), self.choose(PLACES)
        same_move, same_place = self.bernoulli(0.6), self.bernoulli(0.5)
        chorus_after = {len(letters)} if self.bernoulli(0.35) else set[int]()
        if self.bernoulli(0.15):
            chorus_after.add(len(letters) // 2)
        break_after = self.integer(8, len(letters) - 4) if self.bernoulli(0.25) else 0
        words_used: dict[str, list[Picture]] = {}
        sections: list[SectionPlan] = []
        for position, letter in enumerate(letters, start=1):
            shown = words_used.setdefault(letter, self.shuffled(pictures()[letter]))
            tokens = _phrase(kind, variant, letter, shown)
            num_pictures = len({token.picture_index for token in tokens} - {None})
            sections.append(
                SectionPlan(
                    kind="letter",
                    tokens=tokens,
                    letter=letter,
                    pictures=tuple(shown[:num_pictures]),
                    half_beats=run_half_beats if kind == "letter_run" else 0,
                    rest_half_beats=0 if kind == "letter_run" else self.integer(1, 2),
                    move=move if same_move else self.choose(MOVES),
                    place=place if same_place else self.choose(PLACES),
                    tilt_degrees=self.uniform(-5, 5),
                )
            )
            if position == break_after:
                sections.append(SectionPlan(kind="break", half_beats=8))
            if position in chorus_after:
                sections += [
                    SectionPlan(kind="chorus", tokens=filler_tokens(line), rest_half_beats=2) for line in _CHORUS
                ]
        return sections

    def _palettes(self, num_sections: int) -> list[tuple[str, str, str]]:
        return [self.choose(_PALETTES) for _ in range(num_sections)]


_KIND_OPTIONS: tuple[SongKind, ...] = (
    "is_for", "a_a_apple", "phonics", "letter_run", "two_words", "is_for", "a_a_apple", "phonics", "is_for", "is_for",
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


def _phrase(kind: SongKind, variant: int, letter: str, shown: Sequence[Picture]) -> tuple[Token, ...]:
    """The words of one letter's phrase, e.g. (A, is, for, apple, A, A, apple)."""
    name = Token(text=letter, say=letter_name(letter), role="letter", min_half_beats=2)
    spelled, phonemes = LETTER_SOUNDS[letter]
    sound = Token(text=spelled, say=phonemes, role="sound", min_half_beats=1)
    first, second = object_tokens(shown[0], 0), object_tokens(shown[1], 1)
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
