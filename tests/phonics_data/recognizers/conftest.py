"""Audio with known words, and the recognizers under test."""

from __future__ import annotations

import pytest

from phonics_data.recognizers.interface import Recognizer
from phonics_data.recognizers.whisper import Whisper, WhisperOptions
from tests.phonics_data.recognizers.fake_google_cloud import Cloud, Song
from tests.phonics_data.recognizers.google_fixtures import NewGoogle, cloud, new_google, the_cloud
from tests.speech import Speech, a_is_for_ambulance

__all__ = ["cloud", "new_google", "the_cloud"]


@pytest.fixture(scope="session")
def speech() -> Speech:
    return a_is_for_ambulance()


@pytest.fixture(scope="session")
def whisper() -> Recognizer:
    """tiny.en from a package of the extra `dev`."""
    return Whisper(WhisperOptions(threads=2, device="cpu"), may_download=False)


@pytest.fixture
def google(speech: Speech, cloud: Cloud, new_google: NewGoogle) -> Recognizer:
    """Google's client with a fake cloud that recognizes the song."""
    cloud.recognize = Song(speech.audio_N, speech.words)
    return new_google()
