"""`data.frame_stride`: every k-th frame of a clip, in every loader, at every frame rate."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from cssgan.data import loaders, resident, windowing
from cssgan.data.batches import ResidentLoader
from cssgan.data.device_loader import DeviceLoader
from cssgan.data.index import open_index
from cssgan.data.sampler import sample_randomness
from cssgan.data.shards import find_shards
from cssgan.data.streaming import StreamingLoader
from cssgan.types import Batch
from phonics_data.contract.logmel import LogMelSpec, log_mel
from phonics_data.contract.sample import num_audio_samples
from tests.cssgan.toy_dataset import make_sample, tiny_config, write_dataset

CPU = torch.device("cpu")
SPEC = LogMelSpec()
RATES = (Fraction(24000, 1001), Fraction(25), Fraction(30))
STRIDES = (2, 3, 5, 8)


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    """Clips of three frame rates; the shortest has 5 frames, the longest 75."""
    samples = [
        make_sample(n, num_frames=5 + 10 * n, frame_rate=RATES[n % 3], label="ABC"[n % 3], size=32) for n in range(8)
    ]
    return write_dataset(tmp_path / "clips", train=samples)


def same(a: Batch, b: Batch) -> bool:
    fields = [name for name in type(a).__slots__ if isinstance(getattr(a, name), torch.Tensor)]
    return a.keys == b.keys and all(torch.equal(getattr(a, name), getattr(b, name)) for name in fields)


@pytest.mark.parametrize(
    "settings",
    [
        ("data.frame_stride=2",),
        ("data.frame_stride=3", "data.segment_context=clip", "data.augment_colour=true", "data.augment_shift=2"),
        ("data.frame_stride=8", "order.sampling=enumerate"),
    ],
)
def test_all_loaders_give_equal_batches(clips: Path, settings: tuple[str, ...]) -> None:
    config = tiny_config("train.batch_size=4", "data.workers=0", *settings)
    training = loaders.open_training_data(config, clips)
    assert isinstance(training.content, resident.ResidentSplit)
    host = ResidentLoader(data=training.content, config=config, mel_stats=training.mel_stats(config), device=CPU)
    index = open_index(clips, find_shards(clips, "train"), size=16, workers=0)
    streaming = StreamingLoader(data=index, config=config, mel_stats=host.mel_stats, device=CPU)
    on_device = DeviceLoader(wrapped=host)
    for position in range(0, 24, 4):
        batch = host.batch(position)
        assert same(batch, on_device.batch(position))
        assert same(batch, streaming.batch(position))
        assert batch.video_BCTHW.shape[2] == batch.mels_BTMU.shape[1] == 16
    streaming.close()


@pytest.mark.parametrize("context", ["video", "clip"])
@pytest.mark.parametrize("stride", STRIDES)
def test_a_batch_is_every_kth_frame_of_windows_with_all_frames(clips: Path, stride: int, context: str) -> None:
    config = tiny_config("train.batch_size=8", f"data.frame_stride={stride}", f"data.segment_context={context}")
    data = resident.load(clips, "train", 16)
    stats = loaders.open_training_data(config, clips).mel_stats(config)
    loader = ResidentLoader(data=data, config=config, mel_stats=stats, device=CPU)
    by_key = {clip.key: clip for clip in data.clips}
    for position in (0, 8, 16):
        batch, spec = loader.batch(position), loader.sampler.spec(position)
        frames = ((batch.video_BCTHW.permute(0, 2, 3, 4, 1) + 1) * 127.5).round().to(torch.uint8).numpy()
        for row, (key, start) in enumerate(zip(spec.keys, spec.starts, strict=True)):
            clip = by_key[key]
            whole = data.window(clip, start, config.source_frames, clip_frames=config.context_frames)
            assert np.array_equal(frames[row], whole.frames_THWC[::stride])
            mels = windowing.standardize(whole.raw_mels_TMU, stats)
            assert np.array_equal(batch.mels_BTMU[row].numpy(), mels[::stride])
            in_clip = np.arange(start, start + config.source_frames, stride) < clip.num_frames
            assert int(batch.num_valid_B[row]) == int(in_clip.sum()) >= 1
            one = data.window(clip, start, 16, stride=stride, clip_frames=config.context_frames)
            assert np.array_equal(one.frames_THWC, frames[row])
            assert one.num_valid_frames == int(batch.num_valid_B[row])


@pytest.mark.parametrize("stride", [1, *STRIDES])
def test_windows_of_long_clips_have_every_frame_and_every_start_occurs(stride: int) -> None:
    config = tiny_config(f"data.frame_stride={stride}")
    span = windowing.span(16, stride)
    assert span == 15 * stride + 1
    drawn = sample_randomness(config, 0, [span + 2] * 200)
    assert set(drawn.starts) == {0, 1, 2}
    assert set(drawn.num_valid_B.tolist()) == {16}
    short = sample_randomness(config, 0, [span - 1] * 20 + [1] * 20)
    assert set(short.starts) == {0}
    assert short.num_valid_B.tolist() == [15] * 20 + [1] * 20


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("stride", [1, 2, 3, 4])
def test_a_click_is_in_the_middle_of_the_segment_of_the_nearest_frame(rate: Fraction, stride: int) -> None:
    num_frames, first = 12, 3
    frames = np.arange(first, first + num_frames * stride, stride)
    middles = (frames + 0.5) / float(rate)
    for click in np.linspace(middles[2], middles[9], 23):
        audio = np.zeros(num_audio_samples(first + num_frames * stride + 8, rate, SPEC.rate_hz), np.float32)
        audio[round(click * SPEC.rate_hz)] = 0.9
        mel_HM = log_mel(audio, SPEC)
        silence = np.full((1, SPEC.num_bands), SPEC.silence, np.float32)
        hops = windowing.segment_hops(first, num_frames, rate, len(mel_HM), SPEC, stride=stride)
        energy_TU = windowing.segments(np.concatenate([silence, mel_HM, silence]), hops).max(axis=1)
        has_click = energy_TU > SPEC.silence + 1.0
        distance = np.where(has_click, np.abs(np.arange(SPEC.segment_hops) - 9.5), np.inf).min(axis=1)
        away = np.abs(middles - click)
        # The two frames around a click in the middle between them are equally near, up to a hop of 10 ms.
        assert away[int(distance.argmin())] <= away.min() + 0.011
        assert np.isfinite(distance[int(away.argmin())])


def test_the_clip_context_covers_the_frames_that_a_clip_spans() -> None:
    mel = np.ones((400, SPEC.num_bands), np.float32)
    silence = np.full((1, SPEC.num_bands), SPEC.silence, np.float32)
    config = tiny_config("data.frame_stride=3", "data.segment_context=clip")
    assert config.context_frames == 12
    hops = windowing.segment_hops(0, 16, Fraction(25), len(mel), SPEC, stride=3, clip_frames=12)
    has_audio = windowing.segments(np.concatenate([silence, mel, silence]), hops)[:, 0] == 1.0
    # Source frames 0, 3, 6, 9 are clip 0: hops 0 to 47. Frame 9 has hops 36 to 39, its segment 28 to 47.
    assert has_audio[3].all()
    # Frame 12 has hops 48 to 51, its segment 40 to 59.
    assert has_audio[4].tolist() == [False] * 8 + [True] * 12


def test_windows_of_evaluation_have_all_frames_that_a_training_window_spans(clips: Path) -> None:
    config = tiny_config("data.frame_stride=3")
    data = resident.load(clips, "validation", 16)
    stats = loaders.open_training_data(config, clips).mel_stats(config)
    windows = resident.eval_windows(clips, "validation", config=config, label_set=data.label_set, mel_stats=stats)
    assert windows.video_NTHWC.shape[1] == windows.mels_NTMU.shape[1] == 48
    assert windows.num_valid_N.tolist() == [20, 20]
    assert np.array_equal(windows.video_NTHWC[0, :20], data.window(data.clips[0], 0, 20).frames_THWC)
