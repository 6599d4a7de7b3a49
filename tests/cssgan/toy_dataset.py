"""Small datasets for tests: frames that brighten at clicks in the audio, written as shards."""

from __future__ import annotations

import tarfile
from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np

from cssgan.config import Config, override
from cssgan.presets import preset
from phonics_data.contract.sample import Sample, num_audio_samples, quantize_audio
from phonics_data.contract.shard import add_sample, encode

TINY = (
    "data.size=16",
    "data.num_frames=16",
    "model.width=2",
    "model.code_dim=4",
    "model.audio_dim=8",
    "model.gru_dim=8",
    "model.inject_dim=4",
    "model.middle_first=2",
    "model.middle=2",
    "discriminator.width=2",
    "train.batch_size=3",
    "train.num_videos=12",
    "train.log_every=1",
    "train.sample_every=0",
    "train.checkpoint_every=2",
    "train.device=cpu",
)


def tiny_config(*settings: str) -> Config:
    """A minimal configuration with every component, changed by ``--set`` style settings."""
    return override(preset("tiny"), (*TINY, *settings))


def tiny_version(name: str, *settings: str) -> Config:
    """The preset `name` with the widths of `tiny_config`."""
    return override(preset(name), (*TINY, *settings))


def make_sample(
    seed: int,
    *,
    key: str | None = None,
    label: str | None = None,
    label_set: str = "letters",
    num_frames: int = 20,
    size: int = 16,
    frame_rate: Fraction = Fraction(25),
    audio_rate_hz: int = 16_000,
) -> Sample:
    rng = np.random.default_rng(seed)
    num_samples = num_audio_samples(num_frames, frame_rate, audio_rate_hz)
    audio = rng.normal(0.0, 0.01, num_samples)
    frames = np.full((num_frames, size, size, 3), rng.integers(60, 120, 3), np.uint8)
    for click in rng.integers(2, num_frames, 2):
        start = num_audio_samples(int(click), frame_rate, audio_rate_hz)
        audio[start : start + audio_rate_hz // 50] += rng.normal(
            0.0, 0.4, len(audio[start : start + audio_rate_hz // 50])
        )
        frames[click : click + 2, size // 4 : size // 2] = 230
    return Sample(
        key=key or f"clip-{seed:04d}",
        frames_LHWC=frames,
        frame_rate=frame_rate,
        audio_N=quantize_audio(audio),
        audio_rate_hz=audio_rate_hz,
        label=label or "ABC"[seed % 3],
        label_set=label_set,
        video_id=f"song-{seed % 2}",
        start_seconds=0.0,
    )


def write_shard(path: Path, samples: Iterable[Sample]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for sample in samples:
            add_sample(tar, sample.key, encode(sample))


def write_dataset(folder: Path, *, train: Sequence[Sample] | None = None, num_validation: int = 2) -> Path:
    """A dataset folder with train and validation shards of small samples with different lengths."""
    if train is None:
        train = [make_sample(seed, num_frames=12 + 3 * seed) for seed in range(7)]
    write_shard(folder / "train-000000.tar", train)
    if num_validation:
        validation = [make_sample(100 + seed) for seed in range(num_validation)]
        write_shard(folder / "validation-000000.tar", validation)
    return folder
