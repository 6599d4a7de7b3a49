"""From sound to movement: where the voice has its onsets, and how pictures answer them, frame by frame."""

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
_CLIP_FRAME_RATE = 25  # of the datasets that are cut from the songs, unless their maker says otherwise
_EARLY_SECONDS = 0.012  # half an analysis window: from there on an onset can be seen in a spectrogram
_LIGHT_SECONDS = 0.3  # after which a flare is as good as gone
_MIN_GAP_SECONDS = 0.1  # two syllables are never nearer
_MIN_SHARE = 0.3  # an onset inside a word counts from this share of the word's strongest on
_SIZE = {"letter": 1.0, "sound": 0.9, "object": 0.9, "filler": 0.8}


@dataclass(frozen=True, kw_only=True, slots=True)
class Onset:
    """One syllable of the voice."""

    seconds: float
    strength: float
    """0.4..1.2; the picture's answer is so large."""
    role: Role
    picture_index: int | None
    section: int
    starts_word: bool


def onsets(timeline: Timeline, voice: Track) -> list[Onset]:
    """The syllables of all words: peaks of the spectral flux of the voice alone, at least one a word (its start)."""
    spec = LogMelSpec()
    flux = _flux(voice, spec)
    hop = spec.hop_samples / spec.rate_hz
    usual = float(np.percentile(flux[flux > 0], 95)) if np.any(flux > 0) else 1.0
    found: list[Onset] = []
    for section in timeline.sections:
        for word in section.words:
            times = _peaks(flux, hop, word.start_seconds, word.end_seconds)
            for index, (seconds, height) in enumerate(times):
                size = _SIZE[word.token.role] * float(np.clip(0.6 + 0.4 * height / usual, 0.6, 1.2))
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


def light(sound: Track, num_frames: int, frame_rate: int) -> Curve:
    """How bright a light organ burns in each frame, 0..1: up with what begins in the frame's interval, then it dies away.

    It follows the whole sound as it is heard, and so can be told from it, unlike the moves of letters, which know words.
    """
    spec = LogMelSpec()
    flux = _flux(sound, spec)
    hops = spec.rate_hz / spec.hop_samples / frame_rate
    edges = np.minimum(np.rint(np.arange(num_frames + 1) * hops).astype(np.int64), flux.size)
    total = np.concatenate([[0.0], np.cumsum(flux)])
    begun = total[edges[1:]] - total[edges[:-1]]
    usual = max(float(np.percentile(begun, 97)), 1e-9)
    fading = 0.02 ** (1 / (_LIGHT_SECONDS * frame_rate))
    out, burning = np.zeros(num_frames), 0.0
    for frame, rise in enumerate(np.clip((begun / usual - 0.25) / 0.75, 0, 1)):
        burning = max(burning * fading, float(rise))
        out[frame] = burning if burning > 0.04 else 0.0
    return out


def _flux(voice: Track, spec: LogMelSpec) -> Curve:
    """Half-wave rectified change of the log-mel spectrogram, summed over bands, smoothed over 50 ms; one value a hop."""
    from scipy.signal import resample_poly

    # A constant faint noise floor keeps the logarithm from making onsets of nothing.
    mono = resample_poly(voice, 160, 441).astype(np.float32)
    mels = np.maximum(log_mel(mono, spec), -7.0)
    rise = np.maximum(np.diff(mels, axis=0, prepend=mels[:1]), 0).sum(axis=1)
    return np.convolve(rise, np.ones(5) / 5, mode="same").astype(np.float64)


def _peaks(flux: Curve, hop: float, start: float, end: float) -> list[tuple[float, float]]:
    """(seconds, height) of the word's syllables in time order; the first is the word's own start."""
    first, last = int(start / hop), min(int(end / hop), flux.size - 1)
    head = flux[max(first - 1, 0) : first + 6]
    peaks = [(start, float(head.max(initial=0.0)))]
    inside = flux[first : last + 1]
    if inside.size < 3:
        return peaks
    highest = float(inside.max())
    is_peak = (inside[1:-1] >= inside[:-2]) & (inside[1:-1] > inside[2:]) & (inside[1:-1] > _MIN_SHARE * highest)
    for position in np.flatnonzero(is_peak) + 1:
        seconds = (first + int(position)) * hop
        if seconds - peaks[-1][0] >= _MIN_GAP_SECONDS and seconds < end - 0.03:
            peaks.append((seconds, float(inside[position])))
    return peaks


def _clock(first_frame: int, num_frames: int, frame_rate: int) -> Curve:
    """The moment whose state each frame shows.

    It is the end of the frame, so that the step from one frame to the next falls into the very frame in which a sound
    begins. A clip at 25 frames/s takes from a faster song the frame that stands at the beginning of its own frame,
    which is older by a third of a frame on average; such songs show a moment that is later by as much.
    """
    ahead = 1 / frame_rate if frame_rate <= _CLIP_FRAME_RATE else 1 / _CLIP_FRAME_RATE + 1 / (3 * frame_rate)
    return np.arange(first_frame, first_frame + num_frames) / frame_rate + ahead


def response(
    times: Sequence[float], heights: Sequence[float], first_frame: int, num_frames: int, frame_rate: int
) -> Curve:
    """How far a picture is out of its rest in each frame: fast out at each onset, slowly back; 1 is the full move.

    Overlapping answers do not add up: the larger one holds.
    """
    clock = _clock(first_frame, num_frames, frame_rate)
    out = np.zeros(num_frames)
    for seconds, height in zip(times, heights, strict=True):
        since = clock - seconds + _EARLY_SECONDS
        rise = np.clip(since / ATTACK_SECONDS, 0, 1)
        fall = np.exp(-np.maximum(since - ATTACK_SECONDS, 0) / DECAY_SECONDS)
        answer = np.where(since > 0, height * rise * fall, 0)
        out = np.maximum(out, np.where(answer > 0.03, answer, 0))
    return out


def entrance(seconds: float, first_frame: int, num_frames: int, frame_rate: int) -> Curve:
    """0 before `seconds`, 1 from about 0.12 s after it, with a small overshoot between."""
    since = _clock(first_frame, num_frames, frame_rate) - seconds + _EARLY_SECONDS
    x = np.clip(since / 0.13, 0, 1)
    return np.where(since <= 0, 0, 1 - (1 - x) ** 2 * (1 - 2.2 * x))


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Pose:
    """How a sprite lies in each frame of its scene; arrays of one value a frame."""

    dx: Curve
    """Pixels to the right of its place."""
    dy: Curve
    """Pixels below its place."""
    scale_x: Curve
    scale_y: Curve
    degrees: Curve
    """Anticlockwise."""
    visible: NDArray[np.bool_]


def rest(num_frames: int) -> Pose:
    """A sprite that stays as it is."""
    zero, one = np.zeros(num_frames), np.ones(num_frames)
    return Pose(dx=zero, dy=zero, scale_x=one, scale_y=one, degrees=zero, visible=np.ones(num_frames, bool))


def follow(
    move: Move,
    times: Sequence[float],
    heights: Sequence[float],
    size: float,
    first_frame: int,
    num_frames: int,
    frame_rate: int,
) -> Pose:
    """The pose of a sprite of `size` pixels that makes `move` at each onset: by about a fifth of its size."""
    pose = rest(num_frames)
    out = response(times, heights, first_frame, num_frames, frame_rate)
    clock = _clock(first_frame, num_frames, frame_rate)
    if move == "jump":
        return replace(pose, dy=-0.22 * size * out)
    if move == "pop":
        return replace(pose, scale_x=1 + 0.26 * out, scale_y=1 + 0.26 * out)
    if move == "squash":
        return replace(pose, scale_x=1 + 0.2 * out, scale_y=1 - 0.3 * out, dy=0.15 * size * out)
    if move == "sway":  # from one side to the other at every onset, and it stays there
        side = np.full(num_frames, -1.0)
        for count, seconds in enumerate(times):
            step = np.clip((clock - seconds + _EARLY_SECONDS) / ATTACK_SECONDS, 0, 1)
            side += step * (2 if count % 2 == 0 else -2)
        return replace(pose, dx=0.08 * size * side, degrees=-3.0 * side)
    turn = np.zeros(num_frames)
    for count, seconds in enumerate(times):
        since = clock - seconds + _EARLY_SECONDS
        is_on = (since > 0) & (since < 0.5)
        if move == "tilt":
            alone = response([seconds], [heights[count]], first_frame, num_frames, frame_rate)
            turn = np.where(alone > np.abs(turn), alone * (1 if count % 2 == 0 else -1), turn)
        else:
            swing = heights[count] * np.exp(-since / 0.12) * np.sin(2 * np.pi * since / 0.24)
            turn = np.where(is_on, np.where(np.abs(swing) > 0.04, swing, 0), turn)
    if move == "tilt":
        return replace(pose, degrees=20 * turn, dy=-0.08 * size * np.abs(turn))
    return replace(pose, degrees=24 * turn, scale_x=1 + 0.1 * out, scale_y=1 + 0.1 * out)
