"""Costs of data loading: memory of the resident loader, time spent waiting for the streaming loader, time to the first step.

They are measured on noise with the size of real data: a cache of the paper's dataset, shards on the local disk, and
`cssgan train` in a process of its own.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch

from benchmarks.memory import anonymous_bytes
from benchmarks.step import CLIP_FRAMES, FRAME_RATE, Step, build_step, synthetic_clips
from cssgan.config import Config, object_size, override
from cssgan.data import loaders, resident
from cssgan.data.batches import ResidentLoader
from cssgan.data.resident import MEL_SPEC
from cssgan.errors import RunError
from cssgan.types import MelStats
from phonics_data.contract.labels import LETTERS
from phonics_data.contract.sample import Sample, num_audio_samples, quantize_audio
from phonics_data.contract.shard import add_sample, encode

PAPER_CLIPS = 1570
"""Clips of the paper's dataset."""
AUDIO_RATE_HZ = 16_000
NUM_SHARDS, CLIPS_PER_SHARD = 4, 32


def synthetic_samples(num_clips: int, size: int) -> Iterator[Sample]:
    """Clips of noise; the labels cycle through all letters."""
    rng = np.random.default_rng(0)
    for number in range(num_clips):
        yield Sample(
            key=f"clip-{number:06d}",
            frames_LHWC=rng.integers(256, size=(CLIP_FRAMES, size, size, 3), dtype=np.uint8),
            frame_rate=FRAME_RATE,
            audio_N=quantize_audio(rng.normal(0.0, 0.1, num_audio_samples(CLIP_FRAMES, FRAME_RATE, AUDIO_RATE_HZ))),
            audio_rate_hz=AUDIO_RATE_HZ,
            label=LETTERS.names[number % len(LETTERS)],
            label_set=LETTERS.name,
            video_id=f"video-{number}",
            start_seconds=0.0,
        )


def write_shards(
    folder: Path, size: int, *, num_shards: int = NUM_SHARDS, clips_per_shard: int = CLIPS_PER_SHARD
) -> Path:
    """Training shards of `synthetic_samples`."""
    samples = synthetic_samples(num_shards * clips_per_shard, size)
    for index in range(num_shards):
        with tarfile.open(folder / f"train-{index:06d}.tar", "w", format=tarfile.PAX_FORMAT) as tar:
            for _ in range(clips_per_shard):
                sample = next(samples)
                add_sample(tar, sample.key, encode(sample))
    return folder


def streaming_wait_share(config: Config, device: torch.device, *, seconds: float = 10.0) -> float:
    """Median fraction of a training step of `config` spent waiting for the streaming loader, with local shards.

    The first steps, during which the readers start, are not counted.
    """
    config = override(config, ["data.loader=streaming"])
    with tempfile.TemporaryDirectory() as folder, _cache_folder(Path(folder) / "cache"):
        shards = write_shards(Path(folder), config.data.size)
        loader = loaders.training_loader(loaders.open_training_data(config, shards), config, device)
        try:
            return _wait_share(loader, build_step(config, device), config.train.batch_size, device, seconds)
        finally:
            loader.close()


@contextmanager
def _cache_folder(folder: Path) -> Generator[None]:
    """Use `folder` for the caches of this process and its children, instead of the user's."""
    before = os.environ.get("CSSGAN_CACHE")
    os.environ["CSSGAN_CACHE"] = str(folder)
    try:
        yield
    finally:
        del os.environ["CSSGAN_CACHE"]
        if before is not None:
            os.environ["CSSGAN_CACHE"] = before


def _wait_share(
    loader: loaders.TrainingLoader, step: Step, batch_size: int, device: torch.device, seconds: float
) -> float:
    fractions: list[float] = []
    number, until = 0, float("inf")
    warm_up = 8
    while number < warm_up + 3 or time.perf_counter() < until:
        start = time.perf_counter()
        batch = loader.batch(number * batch_size)
        received = time.perf_counter()
        step(batch, number)
        del batch  # as the training loop does
        if device.type == "cuda":
            torch.cuda.synchronize()
        if number >= warm_up:
            fractions.append((received - start) / (time.perf_counter() - start))
        else:
            until = time.perf_counter() + seconds
        number += 1
    return statistics.median(fractions)


def resident_memory_gb(config: Config, *, num_clips: int = PAPER_CLIPS, num_batches: int = 100) -> float | None:
    """Memory of the resident loader with `num_clips` in 10^9 bytes, without the memory-mapped cache.

    Measured in a new process: peak of its anonymous pages (``RssAnon``) while it loads `num_batches` batches, minus their
    size before the cache is opened. None where the system does not report them.
    """
    if anonymous_bytes() is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        _write_cache(Path(folder), num_clips, config.data.size)
        numbers = [str(number) for number in (config.data.size, config.train.batch_size, num_batches)]
        out = subprocess.run(
            [sys.executable, "-m", "benchmarks.data_loading", folder, *numbers],
            capture_output=True,
            text=True,
            check=True,
        )
    return float(out.stdout) / 1e9


def _write_cache(folder: Path, num_clips: int, size: int) -> None:
    """A cache of sparse files: they use no disk space, but mapping them costs the same as real ones."""
    clips = synthetic_clips(num_clips, CLIP_FRAMES)
    num_hops = clips[-1].first_hop + clips[-1].num_hops + 2
    for name, num_bytes in (
        ("frames.bin", num_clips * CLIP_FRAMES * size * size * 3),
        ("hops.bin", num_hops * MEL_SPEC.num_bands * 4),
        ("objects.bin", object_size(size) ** 2 * 4),
        ("boxes.bin", num_clips * CLIP_FRAMES * 4 * 4),
    ):
        with (folder / name).open("wb") as file:
            file.truncate(num_bytes)
    index = {
        "label_set": LETTERS.name,
        "mean": 0.0,
        "std": 1.0,
        "clips": [{**asdict(clip), "frame_rate": str(clip.frame_rate)} for clip in clips],
    }
    (folder / "index.json").write_text(json.dumps(index))


def _measure_memory(cache: Path, size: int, batch_size: int, num_batches: int) -> int:
    """Run in a separate process: the peak increase of its anonymous pages."""
    config = override(Config(), [f"data.size={size}", f"train.batch_size={batch_size}"])
    before = peak = anonymous_bytes() or 0
    content = resident.open_cache(cache, size)
    assert content is not None
    stats = MelStats(mean=content.mean, std=content.std, clamp=config.data.mel_clamp)
    loader = loaders.resident_loader(
        ResidentLoader(data=content, config=config, mel_stats=stats, device=torch.device("cpu"))
    )
    for number in range(num_batches):
        loader.batch(number * batch_size)
        peak = max(peak, anonymous_bytes() or 0)
    loader.close()
    return peak - before


def start_seconds(config: Config, preset: str, device: torch.device) -> float:
    """Seconds from the start of ``cssgan train`` to the end of its first step, with an existing cache.

    Raises:
        RunError: the command failed.
    """
    with tempfile.TemporaryDirectory() as folder, _cache_folder(Path(folder) / "cache"):
        shards = write_shards(Path(folder), config.data.size, num_shards=1)
        command = [
            *(sys.executable, "-m", "cssgan", "train", "--shards", str(shards), "--preset", preset),
            *("--set", "train.log_every=1", "--set", "train.sample_every=0", "--set", f"train.device={device.type}"),
            *("--set", f"train.batch_size={config.train.batch_size}", "--set", "compute.compile=false"),
            *("--set", f"train.num_videos={config.train.batch_size}", "--set", f"data.size={config.data.size}"),
        ]
        _run_until_first_step(command, Path(folder) / "warm")
        return _run_until_first_step(command, Path(folder) / "run")


def _run_until_first_step(command: list[str], run: Path) -> float:
    """Seconds until the run writes its first line of statistics; then waits for its end."""
    start = time.perf_counter()
    process = subprocess.Popen([*command, "--run", str(run)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    stats, seconds = run / "stats.jsonl", None
    while seconds is None and process.poll() is None:
        if stats.exists() and stats.stat().st_size:
            seconds = time.perf_counter() - start
        time.sleep(0.02)
    _, words = process.communicate()
    if process.returncode or seconds is None:
        last = words.decode(errors="replace").strip().rpartition("\n")[2]
        raise RunError(f"{' '.join(command[1:])} ended with exit code {process.returncode}: {last}")
    return seconds


if __name__ == "__main__":
    sys.stdout.write(str(_measure_memory(Path(sys.argv[1]), *map(int, sys.argv[2:]))))
