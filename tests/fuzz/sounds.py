"""Sound files: WAV headers that lie, FLAC and OGG."""

from __future__ import annotations

import contextlib
import io
import random
import tempfile
from pathlib import Path

import numpy as np
import soundfile

from cssgan.errors import PhonicsDataError
from cssgan.storage.media_files import read_audio
from cssgan.web_form.inputs import FormLimits, check_sound
from phonics_data.contract.untrusted import read_sound
from tests.fuzz.inputs import damaged

INPUTS = 5_000
MODULES = ("cssgan.storage.media_files", "phonics_data.contract.untrusted")
_PATH = Path(tempfile.mkdtemp(prefix="fuzz-sounds-")) / "sound.wav"


def _sound(form: str, subtype: str, channels: int = 1) -> bytes:
    file = io.BytesIO()
    sound_NC = np.sin(np.arange(1200) / 10)[:, None] * np.ones(channels) * 0.5
    soundfile.write(file, sound_NC, 16_000, format=form, subtype=subtype)
    return file.getvalue()


SEEDS = (
    _sound("WAV", "PCM_16"),
    _sound("WAV", "FLOAT", 2),
    _sound("FLAC", "PCM_16"),
    _sound("OGG", "VORBIS"),
    _sound("WAVEX", "PCM_24", 2),
)
WORDS = (
    b"RIFF",
    b"RF64",
    b"WAVE",
    b"fmt ",
    b"data",
    b"fact",
    b"LIST",
    b"ds64",
    b"fLaC",
    b"OggS",
    b"\x03\x00",
    b"\xfe\xff",
    b"\x11\x00",
)


def sample(rng: random.Random) -> bytes:
    good = rng.choice(SEEDS)
    # Most of the damage is in the header.
    head = rng.choice((64, 64, len(good)))
    return damaged(good[:head], rng, WORDS, is_binary=True) + good[head:]


def read(data: bytes) -> bool:
    _PATH.write_bytes(data)
    with contextlib.suppress(ValueError):
        sound_NC, rate_hz = read_sound(data)
        assert sound_NC.ndim == 2
        assert rate_hz > 0
    with contextlib.suppress(PhonicsDataError):
        check_sound(_PATH, FormLimits())
    try:
        audio_N, rate_hz = read_audio(_PATH)
    except PhonicsDataError:
        return False
    assert audio_N.ndim == 1
    assert rate_hz >= 1000
    assert bool(np.isfinite(audio_N).all())
    return True
