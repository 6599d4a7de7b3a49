from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from phonics_data.errors import DependencyError, EngineError, InputError, OptionError
from phonics_data.media import probe
from phonics_data.media.audio_reader import read_audio
from phonics_data.recognizers import engines
from phonics_data.recognizers.engines import EngineOptions
from phonics_data.recognizers.interface import Recognizer
from phonics_data.recognizers.whisper import REVISIONS, Whisper, WhisperOptions, local_model
from phonics_data.segmentation.letter_mentions import letter_mentions
from tests.speech import RATE_HZ, Speech

pytestmark = pytest.mark.dependencies


@pytest.fixture
def empty_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide the models that were downloaded to this machine."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))


def test_every_model_is_pinned_to_a_commit() -> None:
    assert all(len(revision) == 40 and int(revision, 16) for revision in REVISIONS.values())
    assert len(set(REVISIONS.values())) == len(REVISIONS)


def test_unknown_models_are_rejected_with_the_list_of_models() -> None:
    with pytest.raises(OptionError, match=r"--model: got 'tinny'.*tiny\.en.*folder"):
        WhisperOptions(model="tinny")


def test_unknown_devices_are_rejected() -> None:
    with pytest.raises(OptionError, match="auto, cpu or cuda"):
        WhisperOptions(device="gpu")  # type: ignore[arg-type]


def test_a_folder_without_a_model_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no model\.bin"):
        Whisper(WhisperOptions(model=str(tmp_path)))


def test_a_folder_with_an_incomplete_model_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "model.bin").write_bytes(b"half")
    with pytest.raises(EngineError, match="cannot be loaded"):
        Whisper(WhisperOptions(model=str(tmp_path), device="cpu"))


@pytest.mark.usefixtures("empty_hub")
def test_nothing_is_downloaded_without_permission() -> None:
    assert local_model("base.en") is None
    with pytest.raises(EngineError, match="not on this machine"):
        Whisper(WhisperOptions(model="base.en"), may_download=False)


def test_a_model_folder_has_the_version_of_the_packaged_model(whisper: Recognizer) -> None:
    folder = local_model("tiny.en")
    assert folder is not None
    assert Whisper(WhisperOptions(model=str(folder), device="cpu")).version == whisper.version


def test_an_english_model_rejects_other_languages(whisper: Recognizer) -> None:
    with pytest.raises(EngineError, match="English only"):
        whisper.recognize(np.zeros(RATE_HZ, np.float32), audio_rate_hz=RATE_HZ, language="de")


def test_long_audio_is_recognized_to_its_end_without_words_in_pauses(whisper: Recognizer, speech: Speech) -> None:
    pause = np.zeros(7 * RATE_HZ, np.float32)
    audio = np.concatenate([speech.audio_N, pause, speech.audio_N])
    words = whisper.recognize(audio, audio_rate_hz=RATE_HZ, language="en").words
    step = (speech.audio_N.size + pause.size) / RATE_HZ
    assert not [word for word in words if speech.duration_seconds + 0.5 < word.start_seconds < step - 1.5]
    spoken = [word.start_seconds for word in speech.words if word.text.lower() == "cow"]
    for repeat in range(2):
        cows = [word.start_seconds - repeat * step for word in words if word.text.lower().startswith("cow")]
        assert any(abs(found - true) < 0.5 for found in cows for true in spoken), (repeat, words)


def test_object_words_of_real_videos_of_one_letter(whisper: Recognizer, shared_data: Path) -> None:
    expected = {"e": {"egg", "elephant"}, "h": {"hand", "hat"}, "i": {"ink", "insect"}, "j": {"juice", "jar"}}
    found: dict[str, set[str]] = {}
    for letter in expected:
        path = shared_data / "media" / "one-letter" / f"{letter}.mp4"
        audio = read_audio(path, duration_seconds=probe(path).duration_seconds, rate_hz=RATE_HZ)
        words = whisper.recognize(audio, audio_rate_hz=RATE_HZ, language="en").words
        found[letter] = {one.object_word for one in letter_mentions(words, letter.upper()) if one.object_word}
    assert all(found[letter] <= expected[letter] for letter in expected), found
    assert sum(len(words) for words in found.values()) >= 6, found


def test_auto_selects_whisper_if_its_model_is_on_this_machine() -> None:
    assert engines.selected_engine(EngineOptions()) == "whisper"
    assert engines.selected_engine(EngineOptions(engine="captions")) is None


@pytest.mark.usefixtures("empty_hub")
def test_auto_does_not_download() -> None:
    options = EngineOptions(whisper=WhisperOptions(model="base.en"))
    assert engines.selected_engine(options) is None
    assert engines.open_recognizer(options) is None


def test_missing_packages_are_reported_with_the_install_command(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    assert engines.selected_engine(EngineOptions()) is None
    assert not engines.uses_aligner(EngineOptions())
    with pytest.raises(DependencyError, match=r"pip install 'phonics-cssgan\[whisper\]'"):
        engines.engine_fingerprint(EngineOptions(engine="whisper"))
    with pytest.raises(DependencyError, match=r"pip install 'phonics-cssgan\[google\]'"):
        engines.engine_fingerprint(EngineOptions(engine="google"))
    with pytest.raises(DependencyError, match=r"pip install 'phonics-cssgan\[align\]'"):
        engines.engine_fingerprint(EngineOptions(align="always"))


def test_the_number_of_threads_does_not_change_the_fingerprint() -> None:
    one, two = (EngineOptions(whisper=WhisperOptions(threads=threads)) for threads in (1, 2))
    assert engines.engine_fingerprint(one) == engines.engine_fingerprint(two)
    assert engines.engine_fingerprint(one) != engines.engine_fingerprint(dataclasses.replace(one, align="never"))


@pytest.mark.parametrize(("option", "value"), [("engine", "siri"), ("align", "sometimes")])
def test_unknown_values_are_rejected(option: str, value: str) -> None:
    with pytest.raises(OptionError, match=f"--{option}: got '{value}'"):
        EngineOptions(**{option: value})  # type: ignore[arg-type]
