from __future__ import annotations

from dataclasses import replace
from statistics import median

import numpy as np
import pytest

from phonics_data.recognizers.aligner import AlignOptions, refine
from phonics_data.types import Word
from tests.speech import RATE_HZ, Speech

pytestmark = pytest.mark.dependencies


def shifted_words(speech: Speech, shift: float = 0.15) -> list[Word]:
    """The song's words, alternately shifted back and forth."""
    return [
        replace(
            word,
            start_seconds=max(0.0, word.start_seconds + shift * (1 if index % 2 else -1)),
            end_seconds=word.end_seconds + shift * (1 if index % 2 else -1),
        )
        for index, word in enumerate(speech.words)
    ]


def median_error(words: tuple[Word, ...], speech: Speech) -> float:
    return median(abs(a.start_seconds - b.start_seconds) for a, b in zip(words, speech.words, strict=True))


def test_times_become_exact(speech: Speech) -> None:
    refined = refine(shifted_words(speech), speech.audio_N, audio_rate_hz=RATE_HZ, options=AlignOptions())
    assert [word.text for word in refined.words] == [word.text for word in speech.words]
    assert refined.num_aligned >= 0.6 * refined.num_windows > 0
    assert median_error(refined.words, speech) < 0.07
    assert sum(word.timing == "aligned" for word in refined.words) > len(refined.words) / 2
    assert 0.05 < refined.shift_seconds < 0.3
    assert f"{refined.num_aligned} of {refined.num_windows}" in refined.summary


def test_unknown_words_keep_their_times(speech: Speech) -> None:
    words = [replace(word, text="xqzzy") for word in shifted_words(speech)]
    refined = refine(words, speech.audio_N, audio_rate_hz=RATE_HZ, options=AlignOptions())
    assert refined.words == tuple(words)
    assert (refined.num_aligned, refined.shift_seconds) == (0, 0.0)


def test_the_shift_is_limited(speech: Speech) -> None:
    words = shifted_words(speech, 0.3)
    refined = refine(words, speech.audio_N, audio_rate_hz=RATE_HZ, options=AlignOptions(max_shift_seconds=0.1))
    shifts = [abs(a.start_seconds - b.start_seconds) for a, b in zip(refined.words, words, strict=True)]
    assert max(shifts) <= 0.1 + 1e-6


def test_noise_keeps_times_within_the_limit(speech: Speech) -> None:
    noise = (np.random.default_rng(0).standard_normal(speech.audio_N.size) * 0.1).astype(np.float32)
    words = shifted_words(speech)
    refined = refine(words, noise, audio_rate_hz=RATE_HZ, options=AlignOptions())
    assert len(refined.words) == len(words)
    assert all(
        abs(a.start_seconds - b.start_seconds) <= AlignOptions().max_shift_seconds
        for a, b in zip(refined.words, words, strict=True)
    )


def test_long_windows_are_split(speech: Speech) -> None:
    words = [replace(word, end_seconds=word.start_seconds + 2.0) for word in shifted_words(speech)]  # no gap anywhere
    refined = refine(words, speech.audio_N, audio_rate_hz=RATE_HZ, options=AlignOptions(max_words=4))
    assert refined.num_windows >= len(words) / 4


@pytest.mark.parametrize("seconds", [0.0, 0.05, 3.0])
def test_words_outside_the_audio_keep_their_times(seconds: float) -> None:
    words = [Word(text="apple", start_seconds=5.0, end_seconds=5.5)]
    silence = np.zeros(round(seconds * RATE_HZ), np.float32)
    assert refine(words, silence, audio_rate_hz=RATE_HZ, options=AlignOptions()).words == tuple(words)


def test_no_words() -> None:
    refined = refine([], np.zeros(RATE_HZ, np.float32), audio_rate_hz=RATE_HZ, options=AlignOptions())
    assert (refined.words, refined.num_windows) == ((), 0)
