"""Division of a song into the windows that are sent to Google. Pure."""

from __future__ import annotations

from phonics_data.media.audio_track import MonoAudio
from phonics_data.recognizers.interface import is_above_silence
from phonics_data.recognizers.windows import Window, extended, quiet_cuts, samples_of

RATE_HZ = 16_000

MAX_WINDOW_SECONDS = 55.0
"""Below Google's limit of one minute for synchronous requests, with a margin."""

OVERLAP_SECONDS = 1.0
"""Extension of a window beyond its cut. Longer than a word, so that one of two windows contains each word completely. The
overlap is paid twice."""

SEARCH_SECONDS = 10.0
"""Range before the end of a window in which a quiet moment for the cut is searched."""


def windows_to_send(audio_N: MonoAudio, *, whole: bool) -> list[Window]:
    """The windows of `audio_N` (at `RATE_HZ`) that are sent; silent ones are left out.

    Args:
        whole: one window for the whole audio, at any length.
    """
    if whole or audio_N.size <= MAX_WINDOW_SECONDS * RATE_HZ:
        windows = [Window(0.0, audio_N.size / RATE_HZ)] if audio_N.size else []
    else:
        cuts = quiet_cuts(
            audio_N, RATE_HZ, max_seconds=MAX_WINDOW_SECONDS - 2 * OVERLAP_SECONDS, search_seconds=SEARCH_SECONDS
        )
        windows = extended(cuts, OVERLAP_SECONDS)
    return [window for window in windows if is_above_silence(audio_N[samples_of(window, RATE_HZ)], RATE_HZ)]


def max_sent_seconds(duration_seconds: float, *, whole: bool) -> float:
    """Upper limit of the total length of `windows_to_send` for audio of this length; used before it is decoded."""
    if whole or duration_seconds <= MAX_WINDOW_SECONDS:
        return duration_seconds
    shortest = MAX_WINDOW_SECONDS - 2 * OVERLAP_SECONDS - SEARCH_SECONDS
    return duration_seconds + 2 * OVERLAP_SECONDS * (duration_seconds // shortest)
