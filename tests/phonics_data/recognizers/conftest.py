"""Speech with known words, and the engines that are held to the contract."""

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
    """tiny.en, which a package of the extra `dev` ships."""
    return Whisper(WhisperOptions(threads=2, device="cpu"), may_download=False)


@pytest.fixture
def google(speech: Speech, cloud: Cloud, new_google: NewGoogle) -> Recognizer:
    """Google's client, and a cloud that knows the song."""
    cloud.ears = Song(speech.audio_N, speech.words)
    return new_google()
