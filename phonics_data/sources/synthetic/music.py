"""The soundtrack: background music (held chords, plucked notes, a soft drum on the beat) mixed with the voice."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from phonics_data.sources.synthetic.song_plan import SongPlan
from phonics_data.sources.synthetic.timeline import Timeline
from phonics_data.sources.synthetic.voice import RATE_HZ as VOICE_RATE_HZ

RATE_HZ = 44_100
_MAJOR = (0, 2, 4, 5, 7, 9, 11)
_BEATS_PER_BAR = 4
_FADE_SECONDS = 1.5
_VOICE_RMS = 0.1
_PEAK = 0.89

Track = NDArray[np.float32]


def voice_track(timeline: Timeline, num_samples: int) -> Track:
    """(num_samples,) float32 at `RATE_HZ`: all words at their times, normalized to about the same loudness."""
    from scipy.signal import resample_poly

    track = np.zeros(num_samples, np.float32)
    for word in timeline.words:
        loudness = float(np.sqrt(np.mean(np.square(word.waveform, dtype=np.float64))))
        gain = _VOICE_RMS / max(loudness, 1e-3) * (0.8 if word.token.role == "filler" else 1.0)
        waveform = resample_poly(word.waveform * gain, RATE_HZ // VOICE_RATE_HZ, 1).astype(np.float32)
        start = word.start_sample * (RATE_HZ // VOICE_RATE_HZ)
        end = min(start + waveform.size, num_samples)
        track[start:end] += waveform[: end - start]
    return track


def music_track(plan: SongPlan, timeline: Timeline, num_samples: int) -> Track:
    """(num_samples,) float32 at `RATE_HZ`: the background music, one round of the chords, repeated."""
    rng = np.random.default_rng(plan.music_seed)
    beat_samples = round(2 * timeline.half_beat_seconds * RATE_HZ)
    round_samples = beat_samples * _BEATS_PER_BAR * len(plan.chords)
    music = _pad(plan, beat_samples) + _plucks(plan, beat_samples, rng) + _drum(plan, beat_samples)
    music += 0.004 * _room_noise(round_samples, rng)
    music *= _VOICE_RMS * 10 ** (plan.music_decibels / 20) / float(np.sqrt(np.mean(music**2)))
    # Repeats start at exact times, because the rounded beat drifts from the words by up to one sample per beat.
    track = np.zeros(num_samples, np.float32)
    repeat, exact_round = 0, 2 * timeline.half_beat_seconds * RATE_HZ * _BEATS_PER_BAR * len(plan.chords)
    while (start := round(repeat * exact_round)) < num_samples:
        length = min(round((repeat + 1) * exact_round), num_samples) - start
        track[start : start + length] = np.resize(music, length)
        repeat += 1
    fade = min(round(_FADE_SECONDS * RATE_HZ), num_samples // 2)
    track[-fade:] *= np.linspace(1, 0, fade, dtype=np.float32)
    track[:fade] *= np.linspace(0.2, 1, fade, dtype=np.float32)
    return track


def mix(plan: SongPlan, timeline: Timeline) -> tuple[Track, Track]:
    """(voice, voice + music), float32 in [-1, 1] at `RATE_HZ`, of the duration of the video."""
    num_samples = round(timeline.num_frames / plan.frame_rate * RATE_HZ)
    voice = voice_track(timeline, num_samples)
    soundtrack = voice + music_track(plan, timeline, num_samples)
    gain = np.float32(_PEAK / max(float(np.abs(soundtrack).max()), _PEAK))
    return voice * gain, soundtrack * gain


def _frequency(key_note: int, degree: int, octave: int = 0) -> float:
    steps = _MAJOR[degree % 7] + 12 * (degree // 7 + octave)
    return 440.0 * 2 ** ((key_note + steps - 69) / 12)


def _pad(plan: SongPlan, beat_samples: int) -> NDArray[np.float64]:
    """Held triads with cross-fades, also at the end of the round, so that chord changes have no onsets."""
    bar = beat_samples * _BEATS_PER_BAR
    out = np.zeros(bar * len(plan.chords))
    reach = 5 / 6  # in bars, to either side of a chord's midpoint; neighbours overlap by a third of a bar on each side
    for index, degree in enumerate(plan.chords):
        at = np.arange(round((index + 0.5 - reach) * bar), round((index + 0.5 + reach) * bar))
        swell = np.clip(1.5 * (reach - np.abs(at / bar - index - 0.5)), 0, 1)
        chord = np.zeros(at.size)
        for note in (degree, degree + 2, degree + 4, degree + 7):
            turn = 2 * np.pi * _frequency(plan.key_note, note) / RATE_HZ * at
            for harmonic, amplitude in ((1, 1.0), (2, 0.5), (3, 0.3), (4, 0.2), (6, 0.12), (9, 0.08)):
                chord += amplitude * np.sin(harmonic * turn + note * 1.7 + harmonic)
        np.add.at(out, at % out.size, swell * chord)
    return 0.1 * out


def _plucks(plan: SongPlan, beat_samples: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """A broken chord, one soft note per beat."""
    bar = beat_samples * _BEATS_PER_BAR
    total = bar * len(plan.chords)
    out = np.zeros(total)
    pattern = rng.permutation(4)
    time = np.arange(beat_samples) / RATE_HZ
    shape = np.exp(-time / 0.12) * np.minimum(time / 0.01, 1) * np.linspace(1, 0, beat_samples)
    for index, degree in enumerate(plan.chords):
        for beat in range(_BEATS_PER_BAR):
            pitch = _frequency(plan.key_note, degree + (0, 2, 4, 7)[int(pattern[beat])], octave=1)
            start = index * bar + beat * beat_samples
            out[start : start + beat_samples] += 0.25 * shape * np.sin(2 * np.pi * pitch * time)
    return out


def _drum(plan: SongPlan, beat_samples: int) -> NDArray[np.float64]:
    """A low drum on each beat, louder on the first beat of a bar."""
    time = np.arange(beat_samples) / RATE_HZ
    sweep = 2 * np.pi * np.cumsum(50 + 40 * np.exp(-time / 0.04)) / RATE_HZ
    hit = np.exp(-time / 0.09) * np.minimum(time / 0.004, 1) * np.sin(sweep) * np.linspace(1, 0, beat_samples)
    bar = np.concatenate([hit * level for level in (0.9, 0.5, 0.7, 0.5)])
    return np.tile(bar, len(plan.chords))


def _room_noise(num_samples: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Soft continuous noise that decreases with frequency, as in recordings."""
    white = np.fft.rfft(rng.standard_normal(num_samples))
    frequency = np.fft.rfftfreq(num_samples, 1 / RATE_HZ)
    noise = np.fft.irfft(white / np.sqrt(1 + (frequency / 800) ** 2), num_samples)
    return noise / float(np.sqrt(np.mean(noise**2)))
