"""OCR detections -> the letters that a video shows, each with the time for which it is visible. Pure."""

from __future__ import annotations

from phonics_data.ocr.trace import ScreenTrace
from phonics_data.segmentation.lexicon import LETTERS
from phonics_data.segmentation.tracks import LetterTrack, appearance, disappearance, letter_tracks
from phonics_data.types import ScreenLetter


def screen_letters(video_id: str, trace: ScreenTrace) -> list[ScreenLetter]:
    """One record per letter track, with the box of its most probable detection."""
    return [_screen_letter(video_id, track, trace) for track in letter_tracks(trace)]


def _screen_letter(video_id: str, track: LetterTrack, trace: ScreenTrace) -> ScreenLetter:
    # A change that a frame shows first happened on average half a frame interval before it.
    half = 0.5 / trace.rate
    start = max(appearance(track, trace) / trace.rate - half, 0.0)
    left, top, right, bottom = (round(float(side), 4) for side in trace.box_R4[track.best_row])
    return ScreenLetter(
        video_id=video_id,
        letter=LETTERS[track.letter],
        start_seconds=start,
        end_seconds=max(disappearance(track, trace) / trace.rate - half, start + half),
        score=round(track.best_score, 3),
        box=(left, top, right, bottom),
    )
