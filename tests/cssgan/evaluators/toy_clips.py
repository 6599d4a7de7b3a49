"""Clips that all three evaluators learn in seconds: a class, a burst in video and audio, a growing bar."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np

from cssgan.evaluators.spec import EvaluatorSpec
from phonics_data.contract.sample import Sample, num_audio_samples, quantize_audio
from tests.cssgan.toy_dataset import write_shard

RATE = 16_000
SPEC = EvaluatorSpec(
    size=16, num_frames=16, class_steps=60, sync_steps=60, order_steps=60, batch_size=16, learning_rate=4e-3
)  # fmt: skip


def clip(number: int, *, song: str, num_frames: int = 24) -> Sample:
    """Class: position of a bright square. Burst: the lower half flashes during noise. Bar: grows from the left."""
    rng = np.random.default_rng(number)
    label = number % 3
    frames = np.full((num_frames, 16, 16, 3), rng.integers(40, 90, 3), np.uint8)
    frames[:, 1:6, 5 * label : 5 * label + 5] = 220
    audio = rng.normal(0.0, 0.003, num_audio_samples(num_frames, Fraction(25), RATE))
    for frame in np.flatnonzero(rng.random(num_frames) < 0.15):
        frames[frame : frame + 2, 8:13] = 160
        start = num_audio_samples(int(frame), Fraction(25), RATE)
        audio[start : start + RATE // 30] = rng.normal(0.0, 0.4, len(audio[start : start + RATE // 30]))
    for frame in range(num_frames):
        frames[frame, 14:, : 1 + frame * 15 // num_frames] = 250
    return Sample(
        key=f"{song}-{number:04d}", frames_LHWC=frames, frame_rate=Fraction(25), audio_N=quantize_audio(audio),
        audio_rate_hz=RATE, label="ABC"[label], label_set="letters", video_id=song, start_seconds=0.0,
    )  # fmt: skip


def dataset(folder: Path, *, held_out: bool = True, num_frames: int = 24) -> Path:
    """Four training songs of twelve clips, two held-out songs of nine clips."""
    songs = {"train": range(4), "test": range(4, 6)} if held_out else {"train": range(4)}
    for split, numbers in songs.items():
        each = 12 if split == "train" else 9
        clips = [
            clip(100 * song + k, song=f"song-{song}", num_frames=num_frames) for song in numbers for k in range(each)
        ]
        write_shard(folder / f"{split}-000000.tar", clips)
    return folder
