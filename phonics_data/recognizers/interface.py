"""What a speech recognizer is to the rest of the house: sound in, words with times out.

Every engine (`phonics_data.recognizers.whisper`, `.google`) keeps this contract, and one suite of tests holds them
all to it:

* Words are in the order of their starts; ``0 <= start < end <= len(audio) / rate``; a text is not empty, holds no
  white space at its ends, and at least one letter or digit. Times count from the first sample of the audio.
* No audio, and silence, give no words and no error.
* Any rate from 8 to 192 kHz is taken; the engine resamples by itself (`at_rate`).
* The same audio, engine, version, options and language give the same words.
* What goes wrong with this one audio is a `RecognitionError` with the reason ``recognition_failed`` (the run goes on
  with the next item); what would go wrong with every other audio too is an `EngineError` (the run ends, finished items
  stay); a package that is not there is a `DependencyError`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import soxr
from numpy.typing import NDArray

from phonics_data.errors import AudioError
from phonics_data.storage.workspace import fingerprint
from phonics_data.types import Word

Mono = NDArray[np.float32]
"""(N,) float32, nominally in [-1, 1]."""

MIN_RATE_HZ, MAX_RATE_HZ = 8_000, 192_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Recognition:
    """What one engine heard in one audio.

    Args:
        words: in time order, by the contract above.
        warnings: one line each for a person: what was lost or doubted, such as a window that did not decode.
    """

    words: tuple[Word, ...]
    warnings: tuple[str, ...] = ()


class Recognizer(Protocol):
    """A speech recognizer that is ready to work."""

    @property
    def name(self) -> str:
        """``whisper``, ``google``; an `phonics_data.types.Origin`."""
        ...

    @property
    def version(self) -> str:
        """Changes whenever the same audio and options may give other words: of our adapter, the library and the model."""
        ...

    @property
    def options(self) -> Mapping[str, object]:
        """All settings that may change the words, as JSON can hold them; no credentials, no paths, no limits of cost or time."""
        ...

    def recognize(self, audio_N: Mono, *, audio_rate_hz: int, language: str) -> Recognition:
        """The words that are said or sung in `audio_N`.

        Args:
            audio_N: mono, float32, in [-1, 1].
            audio_rate_hz: 8000 to 192000.
            language: ISO 639-1 code, such as ``en``.

        Raises: `AudioError`, `RecognitionError`, `EngineError`, `phonics_data.errors.DependencyError`.
        """
        ...


def check_audio(audio_N: NDArray[np.generic], audio_rate_hz: int) -> Mono:
    """`audio_N` as every engine takes it, or an `AudioError` that says what to do. Samples beyond 1 are clipped."""
    if audio_N.ndim != 1:
        raise AudioError(f"audio of shape {audio_N.shape}, allowed: (samples,); mix the channels to mono first")
    if audio_N.dtype != np.float32:
        raise AudioError(f"audio of type {audio_N.dtype}, allowed: float32 in [-1, 1]; convert it first")
    if not MIN_RATE_HZ <= audio_rate_hz <= MAX_RATE_HZ:
        raise AudioError(f"audio at {audio_rate_hz} Hz, allowed: {MIN_RATE_HZ} to {MAX_RATE_HZ} Hz; resample it first")
    audio = audio_N.astype(np.float32, copy=False)
    if not np.isfinite(audio).all():
        raise AudioError("audio with samples that are no numbers (NaN or infinite); decode its source again")
    return np.clip(audio, -1.0, 1.0)


def at_rate(audio_N: Mono, audio_rate_hz: int, to_rate_hz: int) -> Mono:
    """`audio_N` at `to_rate_hz`, without delay."""
    if audio_rate_hz == to_rate_hz or not audio_N.size:
        return audio_N
    return np.asarray(soxr.resample(audio_N, audio_rate_hz, to_rate_hz, quality="HQ"), np.float32)


SILENCE = 10 ** (-55 / 20)
"""Loudest 50 ms below which there is nothing to hear, as an RMS: rooms and codecs hiss louder when somebody speaks."""


def is_audible(audio_N: Mono, rate_hz: int) -> bool:
    """Whether any 50 ms of `audio_N` are louder than `SILENCE`."""
    size = rate_hz // 20
    frames = audio_N[: max(audio_N.size // size, 1) * size].reshape(-1, min(size, max(audio_N.size, 1)))
    return bool(audio_N.size) and float(np.sqrt(np.square(frames).mean(axis=1)).max()) > SILENCE


def pcm16(audio_N: Mono) -> bytes:
    """`audio_N` as little-endian 16-bit samples: what goes over a wire, and what is hashed."""
    return np.round(np.clip(audio_N, -1.0, 1.0) * 32767.0).astype("<i2").tobytes()


def in_contract(words: Iterable[Word], duration_seconds: float) -> tuple[Word, ...]:
    """`words` in order, inside the audio, to the millisecond; without those that say nothing or last no time there."""
    kept: list[Word] = []
    for word in words:
        text = word.text.strip()
        start = max(0.0, round(word.start_seconds, 3))
        # Rounding up may not lead out of the audio.
        end = min(round(word.end_seconds, 3), duration_seconds)
        if start < end and any(sign.isalnum() for sign in text):
            kept.append(
                Word(
                    text=text,
                    start_seconds=start,
                    end_seconds=end,
                    confidence=word.confidence,
                    timing=word.timing,
                )
            )
    return tuple(sorted(kept, key=lambda word: (word.start_seconds, word.end_seconds)))


def cache_key(engine: Recognizer, audio_N: Mono, *, audio_rate_hz: int, language: str) -> str:
    """The name under which an engine's answer for this audio is kept: equal key, equal words.

    Made of the engine's name, version and options, the language, the rate and the SHA-256 of the audio as 16-bit
    samples. Where the audio lies, what its video is called and who asks do not matter.
    """
    audio_sha256 = hashlib.sha256(pcm16(audio_N)).hexdigest()
    return fingerprint(engine.name, engine.version, dict(engine.options), language, audio_rate_hz, audio_sha256)
