from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from phonics_data.errors import DependencyError, EngineError, InputError, OptionError
from phonics_data.recognizers import engines
from phonics_data.recognizers.engines import EngineOptions
from phonics_data.recognizers.interface import Recognizer
from phonics_data.recognizers.whisper import REVISIONS, Whisper, WhisperOptions, local_model
from tests.speech import RATE_HZ, Speech


@pytest.fixture
def empty_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No model that somebody downloaded on this machine is found."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))


def test_every_named_model_is_pinned_to_a_commit() -> None:
    assert all(len(revision) == 40 and int(revision, 16) for revision in REVISIONS.values())
    assert len(set(REVISIONS.values())) == len(REVISIONS)


def test_a_model_that_does_not_exist_names_those_that_do() -> None:
    with pytest.raises(OptionError, match=r"--model: got 'tinny'.*tiny\.en.*folder"):
        WhisperOptions(model="tinny")


def test_a_device_that_does_not_exist_is_refused() -> None:
    with pytest.raises(OptionError, match="auto, cpu or cuda"):
        WhisperOptions(device="gpu")  # type: ignore[arg-type]


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no model\.bin"):
        Whisper(WhisperOptions(model=str(tmp_path)))


def test_a_folder_with_half_a_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.bin").write_bytes(b"half")
    with pytest.raises(EngineError, match="cannot be loaded"):
        Whisper(WhisperOptions(model=str(tmp_path), device="cpu"))


@pytest.mark.usefixtures("empty_hub")
def test_nothing_is_downloaded_where_that_is_not_allowed() -> None:
    assert local_model("base.en") is None
    with pytest.raises(EngineError, match="not on this machine"):
        Whisper(WhisperOptions(model="base.en"), may_download=False)


def test_a_model_in_a_folder_is_the_same_as_the_packaged_one(whisper: Recognizer) -> None:
    folder = local_model("tiny.en")
    assert folder is not None
    assert Whisper(WhisperOptions(model=str(folder), device="cpu")).version == whisper.version


def test_an_english_model_refuses_another_language(whisper: Recognizer) -> None:
    with pytest.raises(EngineError, match="English only"):
        whisper.recognize(np.zeros(RATE_HZ, np.float32), audio_rate_hz=RATE_HZ, language="de")


def test_longer_audio_is_heard_to_its_end_and_words_do_not_reach_into_a_pause(
    whisper: Recognizer, speech: Speech
) -> None:
    pause = np.zeros(7 * RATE_HZ, np.float32)
    audio = np.concatenate([speech.audio_N, pause, speech.audio_N])
    words = whisper.recognize(audio, audio_rate_hz=RATE_HZ, language="en").words
    step = (speech.audio_N.size + pause.size) / RATE_HZ
    assert not [word for word in words if speech.duration_seconds + 0.5 < word.start_seconds < step - 1.5]
    said = [word.start_seconds for word in speech.words if word.text.lower() == "cow"]
    for repeat in range(2):
        cows = [word.start_seconds - repeat * step for word in words if word.text.lower().startswith("cow")]
        assert any(abs(heard - true) < 0.5 for heard in cows for true in said), (repeat, words)


def test_auto_takes_whisper_where_its_model_lies_here() -> None:
    assert engines.chosen(EngineOptions()) == "whisper"
    assert engines.chosen(EngineOptions(engine="captions")) is None


@pytest.mark.usefixtures("empty_hub")
def test_auto_takes_nobody_rather_than_download() -> None:
    options = EngineOptions(whisper=WhisperOptions(model="base.en"))
    assert engines.chosen(options) is None
    assert engines.open_engine(options) is None


def test_engines_and_aligner_that_are_asked_for_but_missing_say_how_to_install_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    assert engines.chosen(EngineOptions()) is None
    assert not engines.aligns(EngineOptions())
    with pytest.raises(DependencyError, match=r"pip install 'phonics-cssgan\[whisper\]'"):
        engines.identity(EngineOptions(engine="whisper"))
    with pytest.raises(DependencyError, match=r"pip install 'phonics-cssgan\[align\]'"):
        engines.identity(EngineOptions(align="always"))


def test_the_number_of_threads_is_no_part_of_the_identity() -> None:
    one, two = (EngineOptions(whisper=WhisperOptions(threads=threads)) for threads in (1, 2))
    assert engines.identity(one) == engines.identity(two)
    assert engines.identity(one) != engines.identity(dataclasses.replace(one, align="never"))


@pytest.mark.parametrize(("option", "value"), [("engine", "siri"), ("align", "sometimes")])
def test_unknown_choices_are_refused(option: str, value: str) -> None:
    with pytest.raises(OptionError, match=f"--{option}: got '{value}'"):
        EngineOptions(**{option: value})  # type: ignore[arg-type]
