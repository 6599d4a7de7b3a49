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
    start = trace.change_seconds(appearance(track, trace))
    gone = disappearance(track, trace)
    end = trace.duration_seconds if gone >= trace.num_frames else trace.change_seconds(gone)
    left, top, right, bottom = (round(float(side), 4) for side in trace.box_R4[track.best_row])
    return ScreenLetter(
        video_id=video_id,
        letter=LETTERS[track.letter],
        start_seconds=start,
        end_seconds=max(end, start + 0.5 / trace.rate),
        score=round(track.best_score, 3),
        box=(left, top, right, bottom),
    )
