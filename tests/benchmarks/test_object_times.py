"""Times of objects from the sound: a tone says when the object comes, in songs of two pitches."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from benchmarks import object_times
from benchmarks.__main__ import app
from cssgan.data import resident
from cssgan.errors import MetricError
from cssgan.types import MelStats
from phonics_data.contract.sample import Sample, num_audio_samples, quantize_audio
from tests.cssgan.toy_dataset import make_sample, write_shard

FRAMES, RATE_HZ = 60, 16_000


def coming(seed: int) -> Sample:
    """A clip whose object comes .4 s before a tone that starts at a random frame."""
    rng = np.random.default_rng(seed)
    tone = int(rng.integers(16, 50))
    sample = make_sample(seed, num_frames=FRAMES, size=32)
    audio = rng.normal(0.0, 0.01, num_audio_samples(FRAMES, Fraction(25), RATE_HZ))
    start = num_audio_samples(tone, Fraction(25), RATE_HZ)
    audio[start:] += 0.3 * np.sin(2 * math.pi * 440 * np.arange(len(audio) - start) / RATE_HZ)
    boxes = np.zeros((FRAMES, 4), np.float32)
    boxes[tone - 10 :] = (0.2, 0.2, 0.6, 0.6)
    return replace(
        sample,
        audio_N=quantize_audio(audio),
        object_word="cat",
        object_picture=np.full((8, 8, 4), 255, np.uint8),
        object_boxes_L4=boxes,
    )


@pytest.fixture(scope="module", name="dataset")
def _dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("object-times") / "dataset"
    folder.mkdir()
    for split, seeds in (("train", range(24)), ("test", range(100, 112))):
        write_shard(folder / f"{split}-000000.tar", [coming(seed) for seed in seeds])
    return folder


def rows_of(output: str) -> list[dict[str, str]]:
    lines = [line.strip("| ").split(" | ") for line in output.splitlines() if line.startswith("|")]
    return [dict(zip(lines[0], cells, strict=False)) for cells in lines[2:]]


def test_the_time_is_learned_from_the_sound_and_the_controls_miss_it(dataset: Path) -> None:
    done = CliRunner().invoke(app, ["object-times", str(dataset), "--windows", "1200", "--seeds", "1"])

    assert done.exit_code == 0, done.output
    found = {row["encoder"]: float(row["held-out: within"]) for row in rows_of(done.stdout)}
    assert found.keys() == {
        "constant time", "linear", "linear, sound of another clip", "conv", "conv, sound of another clip",
    }  # fmt: skip
    assert found["conv"] >= 0.8
    assert all(found[control] <= 0.5 for control in ("constant time", "conv, sound of another clip"))


def test_the_onset_is_the_first_frame_with_the_object_after_one_without_it(dataset: Path) -> None:
    store = resident.load(dataset, "train", object_times.SIZE)
    stats = MelStats(mean=store.mean, std=store.std, clamp=4.0)

    clips = object_times.known_clips(store, stats)

    assert [clip.clip.key for clip in clips] == [coming(seed).key for seed in range(24)]
    for seed, clip in enumerate(clips):
        boxes = coming(seed).object_boxes_L4
        assert boxes is not None
        assert clip.onset == math.ceil(int(np.flatnonzero(boxes[:, 2])[0]) / object_times.STRIDE)
        assert clip.frame_seconds == pytest.approx(0.08)


def test_a_network_that_never_shows_the_object_is_never_right(dataset: Path) -> None:
    store = resident.load(dataset, "train", object_times.SIZE)
    clips = object_times.known_clips(store, MelStats(mean=store.mean, std=store.std, clamp=4.0))
    net = object_times.train("conv", clips, num_classes=26, num_windows=4, seed=0)
    with torch.no_grad():
        net.placer.out.bias.fill_(-1e6)

    score = object_times.score(net, clips)

    assert score.within == 0.0
    assert score.median_seconds == math.inf
    assert score.num_clips == 24


def test_a_dataset_without_boxes_is_an_error(tmp_path: Path) -> None:
    folder = tmp_path / "dataset"
    folder.mkdir()
    for split in ("train", "test"):
        write_shard(folder / f"{split}-000000.tar", [make_sample(0, size=32)])

    done = CliRunner().invoke(app, ["object-times", str(folder)])

    assert isinstance(done.exception, MetricError)
    assert "no clip of the split has a box of its object" in str(done.exception)
