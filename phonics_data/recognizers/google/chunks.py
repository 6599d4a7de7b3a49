"""How a song is cut for Google, and what is worth sending. Pure."""

from __future__ import annotations

from phonics_data.recognizers.interface import Mono, is_audible
from phonics_data.recognizers.windows import Window, quiet_cuts, samples_of, widened

RATE_HZ = 16_000

LONGEST_SECONDS = 55.0
"""Google takes at most a minute in one answer at once; what it measures of a minute's end is not ours to find out."""

OVERLAP_SECONDS = 1.0
"""How far a piece reaches over its cut: more than a word, so that every word is whole in one of the two. It is paid twice."""

SEARCH_SECONDS = 10.0
"""How far before its end a piece is cut to find a quiet moment."""


def pieces(audio_N: Mono, *, whole: bool) -> list[Window]:
    """The stretches of `audio_N` (at `RATE_HZ`) that are sent, without those in which nothing is to be heard.

    Args:
        whole: send it in one piece however long it is.
    """
    if whole or audio_N.size <= LONGEST_SECONDS * RATE_HZ:
        windows = [Window(0.0, audio_N.size / RATE_HZ)] if audio_N.size else []
    else:
        cuts = quiet_cuts(
            audio_N, RATE_HZ, at_most_seconds=LONGEST_SECONDS - 2 * OVERLAP_SECONDS, search_seconds=SEARCH_SECONDS
        )
        windows = widened(cuts, OVERLAP_SECONDS)
    return [window for window in windows if is_audible(audio_N[samples_of(window, RATE_HZ)], RATE_HZ)]


def most_seconds(duration_seconds: float, *, whole: bool) -> float:
    """The most that `pieces` can come to for a sound of this length, for a word about cost before it is decoded."""
    if whole or duration_seconds <= LONGEST_SECONDS:
        return duration_seconds
    shortest = LONGEST_SECONDS - 2 * OVERLAP_SECONDS - SEARCH_SECONDS
    return duration_seconds + 2 * OVERLAP_SECONDS * (duration_seconds // shortest)
