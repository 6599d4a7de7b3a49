from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from phonics_data.errors import RecognitionError
from phonics_data.recognizers.cache import recognize_cached
from phonics_data.recognizers.interface import Recognition
from phonics_data.types import Word

AUDIO = np.linspace(-0.5, 0.5, 16_000, dtype=np.float32)
RESULT = Recognition(
    words=(
        Word(text="Ähm", start_seconds=0.1, end_seconds=0.35, confidence=0.5),
        Word(text="B", start_seconds=0.5, end_seconds=0.6),
    ),
    warnings=("one",),
)


@dataclass
class CountingRecognizer:
    """A recognizer that counts its calls."""

    name: str = "google"
    version: str = "1"
    options: Mapping[str, object] = field(default_factory=lambda: {"beam": 5})
    num_calls: int = 0
    fails: bool = False

    def recognize(self, audio_N: NDArray[np.float32], *, audio_rate_hz: int, language: str) -> Recognition:
        self.num_calls += 1
        if self.fails:
            raise RecognitionError("recognition_failed", "failure")
        return RESULT


def recognize(
    engine: CountingRecognizer, folder: Path, audio: NDArray[np.float32] = AUDIO, language: str = "en"
) -> Recognition:
    return recognize_cached(engine, audio, audio_rate_hz=16_000, language=language, folder=folder)


def test_the_same_audio_is_recognized_once(tmp_path: Path) -> None:
    engine = CountingRecognizer()
    assert recognize(engine, tmp_path) == RESULT
    assert recognize(CountingRecognizer(fails=True), tmp_path, AUDIO.copy()) == RESULT
    assert engine.num_calls == 1


def test_other_audio_language_version_or_options_are_recognized_again(tmp_path: Path) -> None:
    engine = CountingRecognizer()
    recognize(engine, tmp_path)
    recognize(engine, tmp_path, AUDIO[:-1])
    recognize(engine, tmp_path, language="de")
    other = [
        CountingRecognizer(version="2"),
        CountingRecognizer(options={"beam": 1}),
        CountingRecognizer(name="whisper"),
    ]
    for one in other:
        recognize(one, tmp_path)
    assert (engine.num_calls, [one.num_calls for one in other]) == (3, [1, 1, 1])
    assert len(list(tmp_path.glob("*.json"))) == 6


def test_errors_are_not_cached(tmp_path: Path) -> None:
    with pytest.raises(RecognitionError):
        recognize(CountingRecognizer(fails=True), tmp_path)
    assert recognize(CountingRecognizer(), tmp_path) == RESULT


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"words": 3, "warnings": []}', b'{"words": [{"text": "A"}]}'])
def test_damaged_entries_are_recognized_again(tmp_path: Path, damage: bytes) -> None:
    recognize(CountingRecognizer(), tmp_path)
    (path,) = tmp_path.glob("*.json")
    path.write_bytes(damage)
    engine = CountingRecognizer()
    assert recognize(engine, tmp_path) == RESULT
    assert engine.num_calls == 1
    assert recognize(CountingRecognizer(fails=True), tmp_path) == RESULT
