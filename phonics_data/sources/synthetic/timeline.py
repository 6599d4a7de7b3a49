"""Placement of the plan's words on the beat, the frames of each section, and the true segments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from phonics_data.sources.synthetic.letters_plan import LettersPlan
from phonics_data.sources.synthetic.song_plan import SectionPlan, SongPlan, Token
from phonics_data.sources.synthetic.voice import RATE_HZ, Utterance, Waveform, synthesize
from phonics_data.types import TrueSegment, Word

_MAX_OVERHANG_SECONDS = 0.06  # a word can extend into the next half beat by this without delaying the next word

_MAX_LEAD_SECONDS = 0.2
_LONG_PHRASE_SECONDS = 3.3  # longer phrases get no pause at their end, because clips have a maximum length


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class SpokenWord:
    """A token with its waveform and its position in the song."""

    token: Token
    start_sample: int
    waveform: Waveform

    @property
    def start_seconds(self) -> float:
        return self.start_sample / RATE_HZ

    @property
    def end_seconds(self) -> float:
        return (self.start_sample + self.waveform.size) / RATE_HZ


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Section:
    """A section of the plan with its times.

    Its scene covers the frames [first_frame, last_frame). `appear_frame` is the frame in which its letter appears: the first
    frame, or, for letters that are drawn, fly in or are added to a group, the frame of the first sound.
    """

    plan: SectionPlan
    index: int
    words: tuple[SpokenWord, ...]
    start_seconds: float
    """On the beat; start of the first word."""
    first_frame: int
    appear_frame: int
    last_frame: int


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Timeline:
    sections: tuple[Section, ...]
    num_frames: int
    half_beat_seconds: float

    @property
    def words(self) -> list[SpokenWord]:
        return [word for section in self.sections for word in section.words]


def build_timeline(plan: SongPlan) -> Timeline:
    """Synthesize all words of the plan and place them on the beat. Equal plans give equal timelines."""
    half_beat = 30.0 / plan.beats_per_minute
    waveforms = _synthesize_all(plan)
    placed: list[tuple[SectionPlan, float, tuple[SpokenWord, ...]]] = []
    position = 0  # in half beats
    for section, section_waveforms in zip(plan.sections, waveforms, strict=True):
        start, words = position, list[SpokenWord]()
        for token, waveform in zip(section.tokens, section_waveforms, strict=True):
            words.append(SpokenWord(token=token, start_sample=round(position * half_beat * RATE_HZ), waveform=waveform))
            needed = int(np.ceil((waveform.size / RATE_HZ - _MAX_OVERHANG_SECONDS) / half_beat))
            position += max(token.min_half_beats, needed)
        if section.kind != "letter" or (position - start) * half_beat < _LONG_PHRASE_SECONDS:
            position += section.rest_half_beats
        if section.half_beats:
            position = max(position, start + section.half_beats)
        if section.kind != "letter" or not section.half_beats:
            position += (position - start) % 2  # phrases start on a whole beat
        while words and words[-1].end_seconds + _lead(plan, section) > position * half_beat:
            position += 1 if section.half_beats else 2  # the next letter appears after the last word
        placed.append((section, start * half_beat, tuple(words)))
    return _with_frames(plan, placed, position * half_beat, half_beat)


def _synthesize_all(plan: SongPlan) -> list[list[Waveform]]:
    """The waveform of every token of every section; equal utterances are synthesized once."""
    utterances = [
        [_utterance(plan, section, index) for index in range(len(section.tokens))] for section in plan.sections
    ]
    distinct = list(dict.fromkeys(utterance for section in utterances for utterance in section))
    waveforms = dict(zip(distinct, synthesize(distinct), strict=True)) if distinct else {}
    return [[waveforms[utterance] for utterance in section] for section in utterances]


def _utterance(plan: SongPlan, section: SectionPlan, index: int) -> Utterance:
    token = section.tokens[index]
    is_short = token.role in ("filler", "sound") or len(section.tokens) == 1
    return Utterance(
        say=token.say,
        voice=plan.voice,
        pitch=min(plan.pitch + plan.melody[index % len(plan.melody)], 99),
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
                appear_frame=round(start * rate) if appears_with_sound(plan, section) else first,
                last_frame=last,
            )
        )
    return Timeline(sections=tuple(sections), num_frames=num_frames, half_beat_seconds=half_beat)


def appears_with_sound(plan: SongPlan, section: SectionPlan) -> bool:
    """Whether the section's letter appears at its first sound instead of with the scene."""
    return (
        isinstance(plan, LettersPlan) and section.kind == "letter" and plan.way in ("strokes", "fly", "row", "groups")
    )


def _lead(plan: SongPlan, section: SectionPlan) -> float:
    """Seconds from the scene's first frame to its first sound."""
    if section.kind != "letter":
        return 0.0
    if not isinstance(plan, LettersPlan):
        return plan.lead_seconds
    if plan.way in ("row", "groups") or plan.transition == "pan":
        return 0.0
    max_lead = 0.1 if plan.kind == "letter_run" else _MAX_LEAD_SECONDS
    if plan.way in ("strokes", "fly"):  # the scene is empty during this time
        return min(0.1 + plan.lead_seconds / 2, max_lead)
    return max_lead if plan.transition == "fade" else min(plan.lead_seconds, max_lead)


def true_segments(plan: SongPlan, timeline: Timeline) -> list[TrueSegment]:
    """The song's letter segments.

    A segment starts when the letter appears or is spoken, whichever is earlier. It ends with the section or its last word,
    whichever is later, but not after the start of the next section.
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
        start = min(section.appear_frame / plan.frame_rate, words[0].start_seconds)
        end = max(section.last_frame / plan.frame_rate, words[-1].end_seconds)
        if section.index + 1 < len(timeline.sections):
            following = timeline.sections[section.index + 1]
            end = min(end, following.appear_frame / plan.frame_rate, following.start_seconds)
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
