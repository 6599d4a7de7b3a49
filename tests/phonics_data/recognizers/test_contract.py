"""Contract tests for all sources of words with times: captions, aligner, recognizers.

To add one, write a fixture that returns a `Recognizer` and add its name to `SUBJECTS`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from phonics_data.captions.parse import read_captions
from phonics_data.errors import AudioError, PhonicsDataError
from phonics_data.recognizers.aligner import AlignOptions, aligner_version, refine
from phonics_data.recognizers.interface import Recognition, Recognizer, cache_key, check_audio, normalize_words
from phonics_data.recognizers.windows import normalize_text
from phonics_data.types import Word
from tests.speech import RATE_HZ, Speech

SUBJECTS = ["captions", "aligner", "whisper", "google"]
GIVEN_WORDS = {"captions", "aligner"}
"""Sources that get the words as input: they cannot detect that nothing is spoken."""


class _GivenWords:
    """Base of the sources that get the words of the audio as input."""

    options: Mapping[str, object]

    def __init__(self, speech: Speech) -> None:
        self.speech = speech
        self.options = {}

    def given_words(self, audio_N: NDArray[np.float32], rate_hz: int) -> tuple[Word, ...]:
        """The words inside the audio; none for silence."""
        check_audio(audio_N, rate_hz)
        if not audio_N.any():
            return ()
        return tuple(word for word in self.speech.words if word.end_seconds <= audio_N.size / rate_hz)


class Captions(_GivenWords):
    """A caption file, read by the caption parser."""

    name, version = "captions", "captions"

    def __init__(self, speech: Speech, folder: Path) -> None:
        super().__init__(speech)
        self.folder = folder

    def recognize(self, audio_N: NDArray[np.float32], *, audio_rate_hz: int, language: str) -> Recognition:
        lines = ["WEBVTT", ""]
        for word in self.given_words(audio_N, audio_rate_hz):
            lines += [f"{_stamp(word.start_seconds)} --> {_stamp(word.end_seconds)}", word.text, ""]
        path = self.folder / f"song.{language}.vtt"
        path.write_text("\n".join(lines))
        track = read_captions(path, duration_seconds=audio_N.size / audio_rate_hz)
        return Recognition(words=tuple(track.words), warnings=tuple(track.warnings))


class Aligner(_GivenWords):
    """Words shifted by 0.1 s, refined by the aligner."""

    name = "aligner"

    @property
    def version(self) -> str:
        return aligner_version()

    def recognize(self, audio_N: NDArray[np.float32], *, audio_rate_hz: int, language: str) -> Recognition:
        duration = audio_N.size / audio_rate_hz
        shifted = normalize_words(
            (
                replace(word, start_seconds=word.start_seconds + 0.1, end_seconds=word.end_seconds + 0.1)
                for word in self.given_words(audio_N, audio_rate_hz)
            ),
            duration,
        )
        return Recognition(words=refine(shifted, audio_N, audio_rate_hz=audio_rate_hz, options=AlignOptions()).words)


def _stamp(seconds: float) -> str:
    return f"00:{int(seconds // 60):02d}:{seconds % 60:06.3f}"


@pytest.fixture(params=SUBJECTS)
def engine(request: pytest.FixtureRequest, speech: Speech, tmp_path: Path) -> Recognizer:
    if request.param == "captions":
        return Captions(speech, tmp_path)
    if request.param == "aligner":
        return Aligner(speech)
    return request.getfixturevalue(request.param)


def recognize(engine: Recognizer, audio_N: NDArray[np.float32], rate_hz: int = RATE_HZ) -> tuple[Word, ...]:
    return engine.recognize(audio_N, audio_rate_hz=rate_hz, language="en").words


def check_words(words: tuple[Word, ...], duration_seconds: float) -> None:
    for word in words:
        assert word.text == word.text.strip()
        assert any(character.isalnum() for character in word.text), word
        assert 0 <= word.start_seconds < word.end_seconds <= duration_seconds, word
        assert word.confidence is None or 0 <= word.confidence <= 1, word
    for before, after in pairwise(words):
        assert before.start_seconds <= after.start_seconds, (before, after)


def recall(words: tuple[Word, ...], speech: Speech, within_seconds: float) -> float:
    """Fraction of the spoken words that `words` contains at about their time."""
    found = [
        any(
            normalize_text(word.text) == normalize_text(spoken.text)
            and abs(word.start_seconds - spoken.start_seconds) <= within_seconds
            for word in words
        )
        for spoken in speech.words
    ]
    return sum(found) / len(found)


def test_words_are_valid_and_mostly_correct(engine: Recognizer, speech: Speech) -> None:
    words = recognize(engine, speech.audio_N)
    check_words(words, speech.duration_seconds)
    assert recall(words, speech, 0.5) >= 0.5


@pytest.mark.parametrize("rate_hz", [8_000, 22_050, 48_000])
def test_other_sampling_rates(engine: Recognizer, speech: Speech, rate_hz: int) -> None:
    words = recognize(engine, speech.at(rate_hz), rate_hz)
    check_words(words, speech.at(rate_hz).size / rate_hz)
    assert recall(words, speech, 0.5) >= (0.35 if rate_hz < 16_000 else 0.5)


@pytest.mark.parametrize("seconds", [0.0, 0.001, 0.4, 12.0, 40.0])
def test_silence_and_empty_audio_give_no_words(engine: Recognizer, seconds: float) -> None:
    assert recognize(engine, np.zeros(round(seconds * RATE_HZ), np.float32)) == ()


@pytest.mark.parametrize("level", [1e-5, 1e-3])
def test_faint_noise_gives_no_words(engine: Recognizer, level: float) -> None:
    if engine.name in GIVEN_WORDS:
        pytest.skip("it gets the words as input")
    hiss = (np.random.default_rng(0).standard_normal(8 * RATE_HZ) * level).astype(np.float32)
    assert recognize(engine, hiss) == ()


def test_audio_shorter_than_a_word(engine: Recognizer, speech: Speech) -> None:
    for num_samples in (1, 1600):
        check_words(recognize(engine, speech.audio_N[8000 : 8000 + num_samples]), num_samples / RATE_HZ)


def test_the_same_audio_gives_the_same_words(engine: Recognizer, speech: Speech) -> None:
    once = engine.recognize(speech.audio_N, audio_rate_hz=RATE_HZ, language="en")
    assert engine.recognize(speech.audio_N.copy(), audio_rate_hz=RATE_HZ, language="en") == once


def test_the_input_is_not_modified(engine: Recognizer, speech: Speech) -> None:
    audio = speech.audio_N[: 3 * RATE_HZ] * 1.5
    before = audio.copy()
    recognize(engine, audio)
    np.testing.assert_array_equal(audio, before)


@pytest.mark.parametrize(
    ("audio", "rate_hz", "message"),
    [
        (np.zeros((2, 16_000), np.float32), 16_000, "mono"),
        (np.zeros((16_000, 2), np.float32), 16_000, "mono"),
        (np.zeros(16_000, np.int16), 16_000, "float32"),
        (np.zeros(16_000, np.float64), 16_000, "float32"),
        (np.full(16_000, np.nan, np.float32), 16_000, "NaN"),
        (np.zeros(16_000, np.float32), 100, "8000 to 192000"),
    ],
    ids=["channels-first", "channels-last", "int16", "float64", "nan", "100-Hz"],
)
def test_invalid_audio_is_rejected_with_an_instruction(
    engine: Recognizer, audio: NDArray[np.float32], rate_hz: int, message: str
) -> None:
    with pytest.raises(AudioError, match=message) as caught:
        engine.recognize(audio, audio_rate_hz=rate_hz, language="en")
    assert isinstance(caught.value, PhonicsDataError)
    assert "\n" not in str(caught.value)


def test_the_cache_key_depends_on_audio_rate_and_language(engine: Recognizer, speech: Speech) -> None:
    def key(audio: NDArray[np.float32], rate_hz: int = RATE_HZ, language: str = "en") -> str:
        return cache_key(engine, audio, audio_rate_hz=rate_hz, language=language)

    audio = speech.audio_N
    assert key(audio) == key(audio.copy())
    others = [key(audio[:-100]), key(audio * 0.5), key(audio, 22_050), key(audio, language="de")]
    assert len({key(audio), *others}) == 5
