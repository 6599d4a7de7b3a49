from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from phonics_data.errors import RecognitionError
from phonics_data.recognizers.cache import recognize_once
from phonics_data.recognizers.interface import Recognition
from phonics_data.types import Word

AUDIO = np.linspace(-0.5, 0.5, 16_000, dtype=np.float32)
ANSWER = Recognition(
    words=(
        Word(text="Ähm", start_seconds=0.1, end_seconds=0.35, confidence=0.5),
        Word(text="B", start_seconds=0.5, end_seconds=0.6),
    ),
    warnings=("one",),
)


@dataclass
class Counting:
    """An engine that counts how often it is asked."""

    name: str = "google"
    version: str = "1"
    options: Mapping[str, object] = field(default_factory=lambda: {"beam": 5})
    asked: int = 0
    fails: bool = False

    def recognize(self, audio_N: NDArray[np.float32], *, audio_rate_hz: int, language: str) -> Recognition:
        self.asked += 1
        if self.fails:
            raise RecognitionError("recognition_failed", "it broke")
        return ANSWER


def ask(engine: Counting, folder: Path, audio: NDArray[np.float32] = AUDIO, language: str = "en") -> Recognition:
    return recognize_once(engine, audio, audio_rate_hz=16_000, language=language, folder=folder)


def test_the_same_sound_is_heard_once(tmp_path: Path) -> None:
    engine = Counting()
    assert ask(engine, tmp_path) == ANSWER
    assert ask(Counting(fails=True), tmp_path, AUDIO.copy()) == ANSWER
    assert engine.asked == 1


def test_another_sound_language_version_or_option_is_heard_anew(tmp_path: Path) -> None:
    engine = Counting()
    ask(engine, tmp_path)
    ask(engine, tmp_path, AUDIO[:-1])
    ask(engine, tmp_path, language="de")
    other = [Counting(version="2"), Counting(options={"beam": 1}), Counting(name="whisper")]
    for one in other:
        ask(one, tmp_path)
    assert (engine.asked, [one.asked for one in other]) == (3, [1, 1, 1])
    assert len(list(tmp_path.glob("*.json"))) == 6


def test_a_failure_is_not_kept(tmp_path: Path) -> None:
    with pytest.raises(RecognitionError):
        ask(Counting(fails=True), tmp_path)
    assert ask(Counting(), tmp_path) == ANSWER


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"words": 3, "warnings": []}', b'{"words": [{"text": "A"}]}'])
def test_a_damaged_answer_is_asked_for_again(tmp_path: Path, damage: bytes) -> None:
    ask(Counting(), tmp_path)
    (path,) = tmp_path.glob("*.json")
    path.write_bytes(damage)
    engine = Counting()
    assert ask(engine, tmp_path) == ANSWER
    assert engine.asked == 1
    assert ask(Counting(fails=True), tmp_path) == ANSWER
