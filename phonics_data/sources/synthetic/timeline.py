"""The plan's words laid on the beat: when every word sounds, when every letter is seen, and so what is true."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from phonics_data.sources.synthetic.song_plan import SectionPlan, SongPlan, Token
from phonics_data.sources.synthetic.voice import RATE_HZ, Sound, Utterance, speak
from phonics_data.types import TrueSegment, Word

_LATE_END_SECONDS = 0.06  # a word may reach so far into the next half beat: the next one then waits no longer

_LONGEST_LEAD_SECONDS = 0.2
_LONG_PHRASE_SECONDS = 3.3  # from there on a phrase has no rest at its end, or it would be longer than a clip may be


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class SpokenWord:
    """A token with its sound and its place in the song."""

    token: Token
    start_sample: int
    sound: Sound

    @property
    def start_seconds(self) -> float:
        return self.start_sample / RATE_HZ

    @property
    def end_seconds(self) -> float:
        return (self.start_sample + self.sound.size) / RATE_HZ


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Section:
    """A section of the plan with its times.

    Its picture is on the screen for the frames [first_frame, last_frame). A letter that comes with a cut or a fade is
    seen from `first_frame` on; one that is drawn, flies in or is added comes at its first sound: `sign_frame`.
    """

    plan: SectionPlan
    index: int
    words: tuple[SpokenWord, ...]
    start_seconds: float
    """On the beat; the first word starts here."""
    first_frame: int
    sign_frame: int
    last_frame: int


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Timeline:
    sections: tuple[Section, ...]
    num_frames: int
    half_beat_seconds: float

    @property
    def words(self) -> list[SpokenWord]:
        return [word for section in self.sections for word in section.words]


def lay_out(plan: SongPlan) -> Timeline:
    """Speaks all words of the plan and lays them on the beat. The same plan always gives the same timeline."""
    half_beat = 30.0 / plan.beats_per_minute
    sounds = _speak_all(plan)
    placed: list[tuple[SectionPlan, float, tuple[SpokenWord, ...]]] = []
    position = 0  # in half beats
    for section, section_sounds in zip(plan.sections, sounds, strict=True):
        start, words = position, list[SpokenWord]()
        for token, sound in zip(section.tokens, section_sounds, strict=True):
            words.append(SpokenWord(token=token, start_sample=round(position * half_beat * RATE_HZ), sound=sound))
            needed = int(np.ceil((sound.size / RATE_HZ - _LATE_END_SECONDS) / half_beat))
            position += max(token.min_half_beats, needed)
        if section.kind != "letter" or (position - start) * half_beat < _LONG_PHRASE_SECONDS:
            position += section.rest_half_beats
        if section.half_beats:
            position = max(position, start + section.half_beats)
        if section.kind != "letter" or not section.half_beats:
            position += (position - start) % 2  # phrases begin on a whole beat
        while words and words[-1].end_seconds + _lead(plan, section) > position * half_beat:
            position += 1 if section.half_beats else 2  # the next letter is seen only after the last word
        placed.append((section, start * half_beat, tuple(words)))
    return _with_frames(plan, placed, position * half_beat, half_beat)


def _speak_all(plan: SongPlan) -> list[list[Sound]]:
    """The sound of every token of every section; equal words at equal pitch are spoken once."""
    wanted = [[_utterance(plan, section, at) for at in range(len(section.tokens))] for section in plan.sections]
    distinct = list(dict.fromkeys(utterance for section in wanted for utterance in section))
    spoken = dict(zip(distinct, speak(distinct), strict=True)) if distinct else {}
    return [[spoken[utterance] for utterance in section] for section in wanted]


def _utterance(plan: SongPlan, section: SectionPlan, at: int) -> Utterance:
    token = section.tokens[at]
    is_short = token.role in ("filler", "sound") or (section.half_beats and token.role == "letter")
    return Utterance(
        say=token.say,
        voice=plan.voice,
        pitch=min(plan.pitch + plan.melody[at % len(plan.melody)], 99),
        pitch_range=plan.pitch_range,
        words_per_minute=round(plan.words_per_minute * (1.3 if is_short else 1.0)),
    )


def _with_frames(
    plan: SongPlan, placed: Sequence[tuple[SectionPlan, float, tuple[SpokenWord, ...]]], end: float, half_beat: float
) -> Timeline:
    rate = plan.frame_rate
    num_frames = round(end * rate)
    starts = [round((start - _lead(plan, section)) * rate) for section, start, _ in placed]
    starts[0] = 0
    sections: list[Section] = []
    for index, (section, start, words) in enumerate(placed):
        first = starts[index]
        last = starts[index + 1] if index + 1 < len(starts) else num_frames
        sections.append(
            Section(
                plan=section,
                index=index,
                words=words,
                start_seconds=words[0].start_seconds if words else start,
                first_frame=first,
                sign_frame=round(start * rate) if comes_with_sound(plan, section) else first,
                last_frame=last,
            )
        )
    return Timeline(sections=tuple(sections), num_frames=num_frames, half_beat_seconds=half_beat)


def comes_with_sound(plan: SongPlan, section: SectionPlan) -> bool:
    """Whether the section's letter comes onto the screen at its first sound, and not with the scene."""
    return section.kind == "letter" and plan.way in ("strokes", "fly", "row", "groups")


def _lead(plan: SongPlan, section: SectionPlan) -> float:
    """Seconds from the scene's first frame to its first sound."""
    if section.kind != "letter":
        return 0.0
    if plan.way in ("row", "groups") or plan.transition == "pan":
        return 0.0
    longest = 0.1 if plan.kind == "letter_run" else _LONGEST_LEAD_SECONDS
    if plan.way in ("strokes", "fly"):  # the screen is empty so long
        return min(0.1 + plan.lead_seconds / 2, longest)
    return longest if plan.transition == "fade" else min(plan.lead_seconds, longest)


def truth(plan: SongPlan, timeline: Timeline) -> list[TrueSegment]:
    """The song's letter segments: from the first sign of a letter, seen or heard, to the last before the next section.

    A letter that stays on the screen until the next one comes ends there; its words may not reach further.
    """
    segments: list[TrueSegment] = []
    for section in timeline.sections:
        if section.plan.kind != "letter":
            continue
        words = tuple(
            Word(
                text=word.token.text,
                start_seconds=_microseconds(word.start_seconds),
                end_seconds=_microseconds(word.end_seconds),
            )
            for word in section.words
        )
        start = min(section.sign_frame / plan.frame_rate, words[0].start_seconds)
        end = max(section.last_frame / plan.frame_rate, words[-1].end_seconds)
        if section.index + 1 < len(timeline.sections):
            following = timeline.sections[section.index + 1]
            end = min(end, following.sign_frame / plan.frame_rate, following.start_seconds)
        object_word = section.plan.pictures[0].word if section.plan.pictures else None
        segments.append(
            TrueSegment(
                video_id=plan.video_id,
                letter=section.plan.letter,
                object_word=object_word,
                start_seconds=_microseconds(start),
                end_seconds=_microseconds(end),
                words=words,
            )
        )
    return segments


def _microseconds(seconds: float) -> float:
    return round(seconds, 6)
