"""Refinement of word times by forced alignment (pocketsphinx), window by window.

Forced alignment finds the start of each word of a given text. It cannot detect that a word is absent. Therefore windows
are short, the shift of a word is limited, and words keep their times where alignment fails or exceeds the limit. The
English models (BSD licence) are part of the package.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np

from phonics_data.errors import EngineError, OptionError
from phonics_data.media.audio_track import MonoAudio, resample
from phonics_data.recognizers.interface import check_audio, normalize_words, pcm16
from phonics_data.recognizers.optional_package import OptionalPackage
from phonics_data.recognizers.windows import normalize_text
from phonics_data.types import Word

_Decoder = Any
"""pocketsphinx.Decoder, which has no type stubs."""

ALIGNER_VERSION = "aligner-1"
"""Increase it whenever the same words and audio give other times."""

PACKAGE = OptionalPackage(module="pocketsphinx", package="pocketsphinx", extra="align", option="--align")

RATE_HZ = 16_000
_FRAMES_PER_SECOND = 100


@dataclass(frozen=True, kw_only=True, slots=True)
class AlignOptions:
    """Settings of the aligner.

    Args:
        gap_seconds: a pause of at least this length between two words separates windows.
        max_words, max_seconds: limits of one window; longer ones are split at their longest pause.
        margin_seconds: audio searched before the first and after the last word, limited by the neighbouring windows.
        max_shift_seconds: a window keeps its times if the start of any word would move further than this.
    """

    gap_seconds: float = 0.5
    max_words: int = 8
    max_seconds: float = 6.0
    margin_seconds: float = 0.4
    max_shift_seconds: float = 0.6

    def __post_init__(self) -> None:
        if not (self.max_words >= 1 and self.max_seconds > 0 and self.margin_seconds >= 0):
            raise OptionError("--align", self, "max_words >= 1, max_seconds > 0, margin_seconds >= 0")


@dataclass(frozen=True, kw_only=True, slots=True)
class Refinement:
    """Aligned words, in the same number and order as the input.

    Args:
        words: those with new times have ``timing="aligned"``.
        num_windows: number of windows.
        num_aligned: number of windows that were aligned.
        shift_seconds: median absolute shift of the starts of aligned words; 0 without any.
    """

    words: tuple[Word, ...]
    num_windows: int
    num_aligned: int
    shift_seconds: float

    @property
    def summary(self) -> str:
        """One line for the log."""
        return (
            f"{self.num_aligned} of {self.num_windows} windows of words aligned, "
            f"starts moved by {self.shift_seconds:.2f} s (median)"
        )


def aligner_version() -> str:
    return f"{ALIGNER_VERSION}, pocketsphinx {importlib.metadata.version('pocketsphinx')}"


def refine(words: Sequence[Word], audio_N: MonoAudio, *, audio_rate_hz: int, options: AlignOptions) -> Refinement:
    """`words` with the times found by forced alignment.

    Args:
        words: English, sorted by time.
        audio_N: (N,) mono float32; word times are seconds from its first sample.

    Raises:
        AudioError: the audio does not follow `check_audio`.
        DependencyError: pocketsphinx is not installed.
        EngineError: pocketsphinx cannot load its model.
    """
    decoder = _decoder()
    audio = resample(check_audio(audio_N, audio_rate_hz), audio_rate_hz, RATE_HZ)
    windows = _windows(words, options)
    refined: list[Word] = []
    shifts: list[float] = []
    num_aligned = 0
    for index, window in enumerate(windows):
        earliest = refined[-1].end_seconds if refined else 0.0
        latest = windows[index + 1][0].start_seconds if index + 1 < len(windows) else audio.size / RATE_HZ
        aligned = _align(decoder, window, audio, earliest, latest, options)
        if aligned is not None:
            num_aligned += 1
            shifts += [abs(new.start_seconds - old.start_seconds) for new, old in zip(aligned, window, strict=True)]
        refined.extend(aligned or window)
    assert len(refined) == len(words)
    return Refinement(
        words=tuple(refined),
        num_windows=len(windows),
        num_aligned=num_aligned,
        shift_seconds=float(np.median(shifts)) if shifts else 0.0,
    )


@cache
def _decoder() -> _Decoder:
    PACKAGE.require()
    from pocketsphinx import Decoder

    try:
        # No language model: the words are known. Failed windows are counted in `Refinement` instead of logged.
        return Decoder(lm=None, samprate=RATE_HZ, loglevel="FATAL")
    except RuntimeError as error:
        raise EngineError(f"--align: pocketsphinx cannot load its model ({error}); reinstall the package") from error


def _windows(words: Sequence[Word], options: AlignOptions) -> list[list[Word]]:
    windows: list[list[Word]] = []
    for word in words:
        if windows and word.start_seconds - windows[-1][-1].end_seconds < options.gap_seconds:
            windows[-1].append(word)
        else:
            windows.append([word])
    return [part for window in windows for part in _split(window, options)]


def _split(window: list[Word], options: AlignOptions) -> list[list[Word]]:
    """`window` in parts within the limits, split at the longest pause; of equal pauses, at the one nearest the middle."""
    length = window[-1].end_seconds - window[0].start_seconds
    if len(window) == 1 or (len(window) <= options.max_words and length <= options.max_seconds):
        return [window]
    middle = len(window) / 2
    at = max(
        range(1, len(window)),
        key=lambda index: (
            round(window[index].start_seconds - window[index - 1].end_seconds, 2),
            -abs(index - middle),
        ),
    )
    return _split(window[:at], options) + _split(window[at:], options)


def _align(
    decoder: _Decoder, window: Sequence[Word], audio: MonoAudio, earliest: float, latest: float, options: AlignOptions
) -> list[Word] | None:
    """The window's words with new times between `earliest` and `latest` (s); None if alignment fails or shifts too far."""
    texts = [normalize_text(word.text) for word in window]
    if any(not text or decoder.lookup_word(text) is None for text in texts):
        return None
    start = max(window[0].start_seconds - options.margin_seconds, earliest, 0.0)
    end = min(window[-1].end_seconds + options.margin_seconds, max(latest, window[-1].end_seconds))
    samples = audio[round(start * RATE_HZ) : round(end * RATE_HZ)]
    if samples.size < RATE_HZ // 10:
        return None
    found = _times(decoder, texts, samples)
    if found is None or len(found) != len(window):
        return None
    aligned: list[Word] = []
    for word, (low, high) in zip(window, found, strict=True):
        if abs(start + low - word.start_seconds) > options.max_shift_seconds:
            return None
        aligned.append(
            replace(
                word,
                start_seconds=round(start + low, 3),
                end_seconds=round(min(start + high, audio.size / RATE_HZ), 3),
                timing="aligned",
            )
        )
    return aligned if len(normalize_words(aligned, audio.size / RATE_HZ)) == len(aligned) else None


def _times(decoder: _Decoder, texts: Sequence[str], samples: MonoAudio) -> list[tuple[float, float]] | None:
    """(start, end) of each word in seconds from the first sample; None if no alignment was found."""
    try:
        decoder.set_align_text(" ".join(texts))
        decoder.start_utt()
        decoder.process_raw(pcm16(samples), full_utt=True)
        decoder.end_utt()
    except RuntimeError:
        return None
    if decoder.hyp() is None:
        return None
    return [
        (segment.start_frame / _FRAMES_PER_SECOND, (segment.end_frame + 1) / _FRAMES_PER_SECOND)
        for segment in decoder.seg() or ()
        if not segment.word.startswith(("<", "[", "+"))
    ]
