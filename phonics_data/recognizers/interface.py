"""The interface of speech recognizers: audio in, words with times out.

Every recognizer (`phonics_data.recognizers.whisper`, `.google`) follows this contract; one test suite checks all of them:

* Words are sorted by start; ``0 <= start < end <= len(audio) / rate``. A text has at least one letter or digit and no
  white space at its ends. Times are seconds from the first sample.
* Empty audio and silence give no words and no error.
* Sampling rates from 8 to 192 kHz are accepted; the recognizer resamples.
* The same audio, recognizer, version, options and language give the same words.
* Errors of one audio: `RecognitionError` with the reason ``recognition_failed``; the run continues with the next item.
* Errors that affect all audio: `EngineError`; the run ends, finished items are kept.
* Missing packages: `DependencyError`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from phonics_data.errors import AudioError
from phonics_data.media.audio_track import MonoAudio
from phonics_data.storage.workspace import fingerprint
from phonics_data.types import Word

MIN_RATE_HZ, MAX_RATE_HZ = 8_000, 192_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Recognition:
    """The words that a recognizer found in one audio.

    Args:
        words: sorted by time, following the contract above.
        warnings: one line each: lost or doubtful parts, such as a window that did not decode.
    """

    words: tuple[Word, ...]
    warnings: tuple[str, ...] = ()


class Recognizer(Protocol):
    """A speech recognizer that is loaded and ready."""

    @property
    def name(self) -> str:
        """``whisper`` or ``google``; a `phonics_data.types.Origin`."""
        ...

    @property
    def version(self) -> str:
        """Versions of the adapter, the library and the model: changes whenever the same input can give other words."""
        ...

    @property
    def options(self) -> Mapping[str, object]:
        """All settings that can change the words, JSON-serializable; no credentials, paths, or limits of cost or time."""
        ...

    def recognize(self, audio_N: MonoAudio, *, audio_rate_hz: int, language: str) -> Recognition:
        """The words that are spoken or sung in `audio_N`.

        Args:
            audio_N: (N,) mono, float32, in [-1, 1].
            audio_rate_hz: 8000 to 192000.
            language: ISO 639-1 code, such as ``en``.

        Raises: `AudioError`, `RecognitionError`, `EngineError`, `phonics_data.errors.DependencyError`.
        """
        ...


def check_audio(audio_N: NDArray[np.generic], audio_rate_hz: int) -> MonoAudio:
    """`audio_N` clipped to [-1, 1].

    Raises:
        AudioError: not (N,) float32, not finite, or the sampling rate is out of range.
    """
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


SILENCE_RMS = 10 ** (-55 / 20)
"""RMS of the loudest 50 ms up to which audio counts as silence (-55 dB full scale); recordings of speech are louder."""


def is_above_silence(audio_N: MonoAudio, rate_hz: int) -> bool:
    """Whether the RMS of any 50 ms of `audio_N` exceeds `SILENCE_RMS`."""
    size = rate_hz // 20
    frames = audio_N[: max(audio_N.size // size, 1) * size].reshape(-1, min(size, max(audio_N.size, 1)))
    return bool(audio_N.size) and float(np.sqrt(np.square(frames).mean(axis=1)).max()) > SILENCE_RMS


def pcm16(audio_N: MonoAudio) -> bytes:
    """`audio_N` as little-endian 16-bit samples, for requests and hashes."""
    return np.round(np.clip(audio_N, -1.0, 1.0) * 32767.0).astype("<i2").tobytes()


def normalize_words(words: Iterable[Word], duration_seconds: float) -> tuple[Word, ...]:
    """`words` in the form of the contract: sorted, clipped to the audio, times in whole milliseconds.

    Words without letters or digits, and words of no duration inside the audio, are dropped.
    """
    kept: list[Word] = []
    for word in words:
        text = word.text.strip()
        start = max(0.0, round(word.start_seconds, 3))
        end = min(round(word.end_seconds, 3), duration_seconds)
        if start < end and any(character.isalnum() for character in text):
            kept.append(replace(word, text=text, start_seconds=start, end_seconds=end))
    return tuple(sorted(kept, key=lambda word: (word.start_seconds, word.end_seconds)))


def cache_key(recognizer: Recognizer, audio_N: MonoAudio, *, audio_rate_hz: int, language: str) -> str:
    """The cache key of a recognition: equal keys mean equal words.

    Depends on the recognizer's name, version and options, the language, the sampling rate and the SHA-256 of the audio as
    16-bit samples; not on paths or video names.
    """
    audio_sha256 = hashlib.sha256(pcm16(audio_N)).hexdigest()
    return fingerprint(
        recognizer.name, recognizer.version, dict(recognizer.options), language, audio_rate_hz, audio_sha256
    )
