"""Onsets of the voice, and animation curves that follow them frame by frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from phonics_data.contract.logmel import LogMelSpec, log_mel
from phonics_data.sources.synthetic.music import Track
from phonics_data.sources.synthetic.song_plan import Move, Role
from phonics_data.sources.synthetic.timeline import Timeline

Curve = NDArray[np.float64]

ATTACK_SECONDS, DECAY_SECONDS = 0.03, 0.1
_CLIP_FRAME_RATE = 25  # default frame rate of datasets cut from the songs
_EARLY_SECONDS = 0.012  # half an analysis window: the earliest time at which a spectrogram shows an onset
_MIN_GAP_SECONDS = 0.1  # minimum distance of two syllables
_MIN_RELATIVE_HEIGHT = 0.3  # of an onset inside a word, relative to the highest onset of the word
_SIZE = {"letter": 1.0, "sound": 0.9, "object": 0.9, "filler": 0.8}


@dataclass(frozen=True, kw_only=True, slots=True)
class Onset:
    """One syllable of the voice."""

    seconds: float
    strength: float
    """0.4..1.2: amplitude of the animation."""
    role: Role
    picture_index: int | None
    section: int
    starts_word: bool


def onsets(timeline: Timeline, voice: Track) -> list[Onset]:
    """The syllables of all words: peaks of the spectral flux of the voice; at least one per word, at its start."""
    spec = LogMelSpec()
    flux = _flux(voice, spec)
    hop = spec.hop_samples / spec.rate_hz
    reference = float(np.percentile(flux[flux > 0], 95)) if np.any(flux > 0) else 1.0
    found: list[Onset] = []
    for section in timeline.sections:
        for word in section.words:
            times = _peaks(flux, hop, word.start_seconds, word.end_seconds)
            for index, (seconds, height) in enumerate(times):
                size = _SIZE[word.token.role] * float(np.clip(0.6 + 0.4 * height / reference, 0.6, 1.2))
                found.append(
                    Onset(
                        seconds=seconds,
                        strength=size,
                        role=word.token.role,
                        picture_index=word.token.picture_index,
                        section=section.index,
                        starts_word=index == 0,
                    )
                )
    return found


def _flux(voice: Track, spec: LogMelSpec) -> Curve:
    """Half-wave rectified change of the log-mel spectrogram, summed over bands, smoothed over 50 ms; one value per hop."""
    from scipy.signal import resample_poly

    # A constant faint noise floor prevents onsets in silence, caused by the logarithm.
    mono = resample_poly(voice, 160, 441).astype(np.float32)
    mels = np.maximum(log_mel(mono, spec), -7.0)
    rise = np.maximum(np.diff(mels, axis=0, prepend=mels[:1]), 0).sum(axis=1)
    return np.convolve(rise, np.ones(5) / 5, mode="same").astype(np.float64)


def _peaks(flux: Curve, hop: float, start: float, end: float) -> list[tuple[float, float]]:
    """(seconds, height) of the word's syllables in time order; the first is the start of the word."""
    first, last = int(start / hop), min(int(end / hop), flux.size - 1)
    head = flux[max(first - 1, 0) : first + 6]
    peaks = [(start, float(head.max(initial=0.0)))]
    inside = flux[first : last + 1]
    if inside.size < 3:
        return peaks
    highest = float(inside.max())
    is_peak = (
        (inside[1:-1] >= inside[:-2]) & (inside[1:-1] > inside[2:]) & (inside[1:-1] > _MIN_RELATIVE_HEIGHT * highest)
    )
    for position in np.flatnonzero(is_peak) + 1:
        seconds = (first + int(position)) * hop
        if seconds - peaks[-1][0] >= _MIN_GAP_SECONDS and seconds < end - 0.03:
            peaks.append((seconds, float(inside[position])))
    return peaks


def _frame_times(first_frame: int, num_frames: int, frame_rate: float) -> Curve:
    """(num_frames,) time in seconds whose state each frame shows.

    It is the end of the frame, so that the frame in which a sound begins is the first that changes. A clip at 25 frames/s
    takes from songs of higher rates the frame at the start of its own frame, which is older by a third of a source frame
    on average; the times of such songs are later by this amount.
    """
    offset = 1 / frame_rate if frame_rate <= _CLIP_FRAME_RATE else 1 / _CLIP_FRAME_RATE + 1 / (3 * frame_rate)
    return np.arange(first_frame, first_frame + num_frames) / frame_rate + offset


def onset_response(
    times: Sequence[float], heights: Sequence[float], first_frame: int, num_frames: int, frame_rate: float
) -> Curve:
    """(num_frames,) displacement from rest: fast attack at each onset, slow decay; 1 is the full movement.

    Overlapping responses are not added: the larger one is used.
    """
    frame_times = _frame_times(first_frame, num_frames, frame_rate)
    out = np.zeros(num_frames)
    for seconds, height in zip(times, heights, strict=True):
        since = frame_times - seconds + _EARLY_SECONDS
        rise = np.clip(since / ATTACK_SECONDS, 0, 1)
        fall = np.exp(-np.maximum(since - ATTACK_SECONDS, 0) / DECAY_SECONDS)
        pulse = np.where(since > 0, height * rise * fall, 0)
        out = np.maximum(out, np.where(pulse > 0.03, pulse, 0))
    return out


def entrance_scale(seconds: float, first_frame: int, num_frames: int, frame_rate: float) -> Curve:
    """(num_frames,) scale: 0 before `seconds`, 1 from about 0.12 s after it, with a small overshoot in between."""
    since = _frame_times(first_frame, num_frames, frame_rate) - seconds + _EARLY_SECONDS
    x = np.clip(since / 0.13, 0, 1)
    return np.where(since <= 0, 0, 1 - (1 - x) ** 2 * (1 - 2.2 * x))


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Pose:
    """Position, scale and rotation of a sprite; arrays with one value per frame of its scene."""

    dx: Curve
    """Pixels to the right of its rest position."""
    dy: Curve
    """Pixels below its rest position."""
    scale_x: Curve
    scale_y: Curve
    degrees: Curve
    """Anticlockwise."""
    visible: NDArray[np.bool_]


def still_pose(num_frames: int) -> Pose:
    """A sprite without animation."""
    zero, one = np.zeros(num_frames), np.ones(num_frames)
    return Pose(dx=zero, dy=zero, scale_x=one, scale_y=one, degrees=zero, visible=np.ones(num_frames, bool))


def animate(
    move: Move,
    times: Sequence[float],
    heights: Sequence[float],
    size: float,
    first_frame: int,
    num_frames: int,
    frame_rate: float,
) -> Pose:
    """The pose of a sprite of `size` pixels that performs `move` at each onset, by about a fifth of its size."""
    pose = still_pose(num_frames)
    response = onset_response(times, heights, first_frame, num_frames, frame_rate)
    frame_times = _frame_times(first_frame, num_frames, frame_rate)
    if move == "jump":
        return replace(pose, dy=-0.22 * size * response)
    if move == "pop":
        return replace(pose, scale_x=1 + 0.26 * response, scale_y=1 + 0.26 * response)
    if move == "squash":
        return replace(pose, scale_x=1 + 0.2 * response, scale_y=1 - 0.3 * response, dy=0.15 * size * response)
    if move == "sway":  # to the other side at every onset, where it remains
        side = np.full(num_frames, -1.0)
        for count, seconds in enumerate(times):
            step = np.clip((frame_times - seconds + _EARLY_SECONDS) / ATTACK_SECONDS, 0, 1)
            side += step * (2 if count % 2 == 0 else -2)
        return replace(pose, dx=0.08 * size * side, degrees=-3.0 * side)
    turn = np.zeros(num_frames)
    for count, seconds in enumerate(times):
        since = frame_times - seconds + _EARLY_SECONDS
        is_on = (since > 0) & (since < 0.5)
        if move == "tilt":
            single = onset_response([seconds], [heights[count]], first_frame, num_frames, frame_rate)
            turn = np.where(single > np.abs(turn), single * (1 if count % 2 == 0 else -1), turn)
        else:
            swing = heights[count] * np.exp(-since / 0.12) * np.sin(2 * np.pi * since / 0.24)
            turn = np.where(is_on, np.where(np.abs(swing) > 0.04, swing, 0), turn)
    if move == "tilt":
        return replace(pose, degrees=20 * turn, dy=-0.08 * size * np.abs(turn))
    return replace(pose, degrees=24 * turn, scale_x=1 + 0.1 * response, scale_y=1 + 0.1 * response)
