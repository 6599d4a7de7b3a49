"""Test audio with known words: part of a rendered song that Whisper tiny.en recognizes well."""

from __future__ import annotations

import dataclasses
import functools
from dataclasses import dataclass

import numpy as np
import soxr
from numpy.typing import NDArray

from phonics_data.sources.synthetic.letters_plan import plan_letters_song
from phonics_data.sources.synthetic.music import RATE_HZ as SONG_RATE_HZ
from phonics_data.sources.synthetic.music import mix
from phonics_data.sources.synthetic.timeline import build_timeline, true_segments
from phonics_data.types import Word

RATE_HZ = 16_000


@dataclass(frozen=True)
class Speech:
    """Part of a rendered song.

    Args:
        audio_N: (N,) mono float32 at `RATE_HZ`.
        words: the spoken words with exact times, sorted by time.
    """

    audio_N: NDArray[np.float32]
    words: tuple[Word, ...]

    @property
    def duration_seconds(self) -> float:
        return self.audio_N.size / RATE_HZ

    def at(self, rate_hz: int) -> NDArray[np.float32]:
        return np.asarray(soxr.resample(self.audio_N, RATE_HZ, rate_hz), np.float32)


@functools.cache
def a_is_for_ambulance() -> Speech:
    """11 s of "A is for ambulance" with soft music."""
    plan = dataclasses.replace(plan_letters_song(11, 3), music_decibels=-20.0)
    assert (plan.kind, plan.letters[:5]) == ("is_for", "ABCDE"), (
        "the renderer samples other songs now: choose another song"
    )
    timeline = build_timeline(plan)
    _, sound = mix(plan, timeline)
    segments = true_segments(plan, timeline)
    start, end = segments[0].start_seconds - 0.3, segments[0].start_seconds + 10.7
    audio = np.asarray(soxr.resample(sound, SONG_RATE_HZ, RATE_HZ), np.float32)
    words = [
        dataclasses.replace(
            word, start_seconds=word.start_seconds - start, end_seconds=word.end_seconds - start, timing="native"
        )
        for segment in segments
        for word in segment.words
        if word.end_seconds < end
    ]
    return Speech(audio[round(start * RATE_HZ) : round(end * RATE_HZ)], tuple(words))
