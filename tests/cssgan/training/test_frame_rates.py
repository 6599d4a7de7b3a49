"""One dataset with clips of 24, 25 and 29.97 frames a second: loading, training, evaluation, generation."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
import torch
from PIL import Image

from cssgan.config import Config
from cssgan.data import loaders, resident, windowing
from cssgan.data.batches import ResidentLoader
from cssgan.data.index import open_index
from cssgan.data.shards import available_splits, find_shards
from cssgan.data.streaming import StreamingLoader
from cssgan.evaluation.evaluate import evaluate_run
from cssgan.inference.generate import generate_from_clips, generate_video, load_generator
from cssgan.training import checkpoint, loop
from phonics_data.contract.logmel import LogMelSpec, log_mel, mel_segments
from phonics_data.contract.sample import Sample
from phonics_data.media import probe
from tests.cssgan.toy_dataset import make_sample, tiny_config, write_shard

RATES = (Fraction(24), Fraction(25), Fraction(30000, 1001), Fraction(24000, 1001), Fraction(25))
CPU = torch.device("cpu")


def samples(first_seed: int) -> list[Sample]:
    return [
        make_sample(first_seed + number, num_frames=18 + 5 * number, frame_rate=rate, label="ABC"[number % 3])
        for number, rate in enumerate(RATES)
    ]


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    folder = tmp_path / "mixed"
    for number, split in enumerate(("train", "validation", "test", "unseen-styles")):
        write_shard(folder / f"{split}-000000.tar", samples(100 * number))
    return folder


def mixed_config(*settings: str) -> Config:
    return tiny_config("train.batch_size=5", "train.num_videos=20", *settings)


def test_batches_have_the_mel_segments_of_each_clips_own_rate(mixed: Path) -> None:
    config = mixed_config()
    data = resident.load(mixed, "train", 16)
    training = loaders.open_training_data(config, mixed)
    stats = training.mel_stats(config)
    loader = ResidentLoader(data=data, config=config, mel_stats=stats, device=CPU)
    index = open_index(mixed, find_shards(mixed, "train"), size=16, workers=0)
    streaming = StreamingLoader(data=index, config=config, mel_stats=stats, device=CPU)
    by_key = {sample.key: sample for sample in samples(0)}
    seen: set[Fraction] = set()
    for position in (0, 5, 10):
        batch, spec = loader.batch(position), loader.sampler.spec(position)
        streamed = streaming.batch(position)
        assert torch.equal(batch.mels_BTMU, streamed.mels_BTMU)
        assert torch.equal(batch.video_BCTHW, streamed.video_BCTHW)
        for key, start, mels_TMU in zip(spec.keys, spec.starts, batch.mels_BTMU.numpy(), strict=True):
            sample = by_key[key]
            whole = mel_segments(log_mel(sample.audio_N, LogMelSpec()), start + 16, sample.frame_rate)[start:]
            assert np.allclose(mels_TMU, windowing.standardize(whole, stats), atol=1e-5)
            seen.add(sample.frame_rate)
    streaming.close()
    assert seen == set(RATES)
    assert loader.frame_rate == streaming.frame_rate == Fraction(25)


def test_audio_of_a_clip_of_another_rate_keeps_its_time(mixed: Path) -> None:
    """Frame j of the video is at j / its own rate, so the segment is taken at this time of the other audio."""
    data = resident.load(mixed, "train", 16)
    clips = {clip.key: clip for clip in data.clips}
    video, audio = clips["clip-0000"], clips["clip-0002"]
    assert (video.frame_rate, audio.frame_rate) == (Fraction(24), Fraction(30000, 1001))
    window = data.window(video, 1, 16, audio_of=audio)
    sample = samples(0)[2]
    expected = mel_segments(log_mel(sample.audio_N, LogMelSpec()), 17, Fraction(24))[1:]
    assert np.array_equal(window.raw_mels_TMU, expected)
    frames, hops = data.rows([(video, audio)], [1], 16)
    assert np.array_equal(np.moveaxis(data.hops_HM[hops[0]], -1, -2), window.raw_mels_TMU)
    assert np.array_equal(data.frames_NHWC[frames[0]], window.frames_THWC)


def test_windows_of_evaluation_have_their_rates_and_times(mixed: Path) -> None:
    config = mixed_config()
    data = resident.load(mixed, "test", 16)
    stats = loaders.open_training_data(config, mixed).mel_stats(config)
    windows = resident.eval_windows(
        mixed, "test", config=config, label_set=data.label_set, mel_stats=stats, start="anywhere", seed=3
    )
    assert windows.frame_rates == tuple(clip.frame_rate for clip in data.clips)
    for clip, start in zip(data.clips, windows.start_seconds, strict=True):
        frame = Fraction(start).limit_denominator(10**6) * clip.frame_rate
        assert abs(frame - round(frame)) < 1e-3
    assert available_splits(mixed) == {"train", "validation", "test", "unseen-styles"}


def rate_of(path: Path) -> tuple[Fraction, int, float]:
    """(frames a second, number of frames, seconds of audio)."""
    info = probe(path)
    with av.open(str(path)) as container:
        num_frames = sum(1 for _ in container.decode(video=0))
    with av.open(str(path)) as container:
        num_samples = sum(frame.samples for frame in container.decode(audio=0))
    return info.frame_rate, num_frames, num_samples / info.audio_rate_hz


def test_train_evaluate_generate(mixed: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    config = mixed_config("train.sample_every=2", "train.sample_videos=5", "train.checkpoint_every=2")
    assert loop.train(config, mixed, run).status == "finished"
    rates = {sample.key: sample.frame_rate for sample in samples(100)}
    videos = sorted((run / "samples").glob("step-*.mp4"))
    assert {path.stem.split("-", 2)[2] for path in videos} == set(rates)
    for path in videos:
        rate, num_frames, seconds = rate_of(path)
        assert rate == rates[path.stem.split("-", 2)[2]]
        assert seconds == pytest.approx(num_frames / rate, abs=0.07)  # AAC has frames of 1024 samples
    assert checkpoint.load_newest(run).frame_rate == Fraction(25)  # the most common one, the default of `generate`
    for split in ("test", "unseen-styles"):
        report = evaluate_run(run, mixed, split=split, out=tmp_path / f"{split}.json")
        assert report["num_evaluated"] == 5
        protocol = report["metrics"]["l1"]["protocol"]
        assert set(protocol["frame_rates"].split()) == {"24", "25", "24000/1001", "30000/1001"}
        assert all(np.isfinite(report["metrics"][name]["value"]) for name in ("l1", "ssim"))
    generator = load_generator(run)
    image, audio = samples(0)[0], samples(0)[2]
    made = generate_from_clips(generator, image, audio, 20)
    assert made.shape == (20, 16, 16, 3)
    Image.fromarray(image.frames_LHWC[0]).save(tmp_path / "start.png")
    soundfile.write(tmp_path / "audio.wav", audio.audio_N, audio.audio_rate_hz)
    for rate in (None, *RATES[:3]):
        out = tmp_path / "out.mp4"
        video = generate_video(
            generator, image=tmp_path / "start.png", audio=tmp_path / "audio.wav", label="A", out=out, frame_rate=rate
        )
        assert video.frame_rate == (rate or Fraction(25))
        assert rate_of(out)[:2] == (video.frame_rate, video.num_frames)
        assert video.num_frames == pytest.approx(audio.duration_seconds * float(video.frame_rate), abs=1)
