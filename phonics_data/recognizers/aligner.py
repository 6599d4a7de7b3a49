"""Words whose times are about right -> words whose times are right: pocketsphinx's forced alignment, window by window.

The aligner is told what is said in a few seconds and finds where each word begins. It can only fit; it cannot hear that a
word is not there. So it gets short windows, may move a word only so far, and where it finds nothing or moves too far
the words keep the times that they had. Its models (English, BSD licence) lie in the package.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np

from phonics_data.errors import DependencyError, EngineError, OptionError
from phonics_data.recognizers.interface import Mono, at_rate, check_audio, in_contract, pcm16
from phonics_data.recognizers.windows import normal
from phonics_data.types import Word

_Decoder = Any
"""pocketsphinx.Decoder, which says nothing of its types."""

ALIGNER_VERSION = "aligner-1"
"""Raised whenever the same words and audio would give other times."""

HOW_TO_INSTALL = (
    "--align needs the package pocketsphinx, which is not installed; run: pip install 'phonics-cssgan[align]'"
)

RATE_HZ = 16_000
_FRAMES_PER_SECOND = 100


@dataclass(frozen=True, kw_only=True, slots=True)
class AlignOptions:
    """How words are refined.

    Args:
        gap_seconds: a silence so long between two words divides windows.
        most_words, most_seconds: of one window; longer ones are divided at their longest gap.
        margin_seconds: sound before the first and after the last word in which they may lie, unless a neighbour has it.
        most_shift_seconds: a window in which a word would begin more than this elsewhere keeps its times.
    """

    gap_seconds: float = 0.5
    most_words: int = 8
    most_seconds: float = 6.0
    margin_seconds: float = 0.4
    most_shift_seconds: float = 0.6

    def __post_init__(self) -> None:
        if not (self.most_words >= 1 and self.most_seconds > 0 and self.margin_seconds >= 0):
            raise OptionError("--align", self, "at least one word, more than no time, no negative margin")


@dataclass(frozen=True, kw_only=True, slots=True)
class Refinement:
    """Words after the aligner, as many and in the same order as before.

    Args:
        words: those that were moved have ``timing="aligned"``.
        num_windows, num_aligned: windows that there were, and those in which the aligner succeeded.
        moved_seconds: median over moved words of how far their starts went; 0 without any.
    """

    words: tuple[Word, ...]
    num_windows: int
    num_aligned: int
    moved_seconds: float

    @property
    def summary(self) -> str:
        """One line for a person."""
        return (
            f"{self.num_aligned} of {self.num_windows} stretches of words aligned, "
            f"their starts moved by {self.moved_seconds:.2f} s (median)"
        )


def is_installed() -> bool:
    """Whether the package pocketsphinx is here; does not import it."""
    return importlib.util.find_spec("pocketsphinx") is not None


def aligner_version() -> str:
    return f"{ALIGNER_VERSION}, pocketsphinx {importlib.metadata.version('pocketsphinx')}"


def refine(words: Sequence[Word], audio_N: Mono, *, audio_rate_hz: int, options: AlignOptions) -> Refinement:
    """`words` with the times at which the aligner finds them.

    Args:
        words: in time order, English.
        audio_N: what they were said in; times count from its first sample.

    Raises:
        AudioError: audio that no engine takes.
        DependencyError: pocketsphinx is not installed.
    """
    decoder = _decoder()
    audio = at_rate(check_audio(audio_N, audio_rate_hz), audio_rate_hz, RATE_HZ)
    windows = _windows(words, options)
    refined: list[Word] = []
    moves: list[float] = []
    num_aligned = 0
    for index, window in enumerate(windows):
        before = refined[-1].end_seconds if refined else 0.0
        after = windows[index + 1][0].start_seconds if index + 1 < len(windows) else audio.size / RATE_HZ
        aligned = _align(decoder, window, audio, _Bounds(before, after), options)
        if aligned is not None:
            num_aligned += 1
            moves += [abs(new.start_seconds - old.start_seconds) for new, old in zip(aligned, window, strict=True)]
        refined.extend(aligned or window)
    assert len(refined) == len(words)
    return Refinement(
        words=tuple(refined),
        num_windows=len(windows),
        num_aligned=num_aligned,
        moved_seconds=float(np.median(moves)) if moves else 0.0,
    )


@cache
def _decoder() -> _Decoder:
    if not is_installed():
        raise DependencyError(HOW_TO_INSTALL)
    from pocketsphinx import Decoder

    try:
        # No language model: the words are known. Its complaints about windows that do not fit are told by `Refinement`.
        return Decoder(lm=None, samprate=RATE_HZ, loglevel="FATAL")
    except RuntimeError as error:
        raise EngineError(
            f"--align: pocketsphinx cannot load its model ({error}); install the package again"
        ) from error


def _windows(words: Sequence[Word], options: AlignOptions) -> list[list[Word]]:
    windows: list[list[Word]] = []
    for word in words:
        if windows and word.start_seconds - windows[-1][-1].end_seconds < options.gap_seconds:
            windows[-1].append(word)
        else:
            windows.append([word])
    return [part for window in windows for part in _divided(window, options)]


def _divided(window: list[Word], options: AlignOptions) -> list[list[Word]]:
    """`window` in parts that are short enough, divided where the gap is longest, the middle among equal ones."""
    length = window[-1].end_seconds - window[0].start_seconds
    if len(window) == 1 or (len(window) <= options.most_words and length <= options.most_seconds):
        return [window]
    middle = len(window) / 2
    at = max(
        range(1, len(window)),
        key=lambda index: (
            round(window[index].start_seconds - window[index - 1].end_seconds, 2),
            -abs(index - middle),
        ),
    )
    return _divided(window[:at], options) + _divided(window[at:], options)


@dataclass(frozen=True, slots=True)
class _Bounds:
    before: float
    after: float


def _align(
    decoder: _Decoder, window: Sequence[Word], audio: Mono, bounds: _Bounds, options: AlignOptions
) -> list[Word] | None:
    """The window's words where the aligner found them; None where it did not, or not near where they were."""
    texts = [normal(word.text) for word in window]
    if any(not text or decoder.lookup_word(text) is None for text in texts):
        return None
    start = max(window[0].start_seconds - options.margin_seconds, bounds.before, 0.0)
    end = min(window[-1].end_seconds + options.margin_seconds, max(bounds.after, window[-1].end_seconds))
    samples = audio[round(start * RATE_HZ) : round(end * RATE_HZ)]
    if samples.size < RATE_HZ // 10:
        return None
    found = _times(decoder, texts, samples)
    if found is None or len(found) != len(window):
        return None
    aligned: list[Word] = []
    for word, (low, high) in zip(window, found, strict=True):
        if abs(start + low - word.start_seconds) > options.most_shift_seconds:
            return None
        aligned.append(
            replace(
                word,
                start_seconds=round(start + low, 3),
                end_seconds=round(min(start + high, audio.size / RATE_HZ), 3),
                timing="aligned",
            )
        )
    return aligned if len(in_contract(aligned, audio.size / RATE_HZ)) == len(aligned) else None


def _times(decoder: _Decoder, texts: Sequence[str], samples: Mono) -> list[tuple[float, float]] | None:
    """(start, end) of each word in seconds from the first sample; None when the search found no way through."""
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
