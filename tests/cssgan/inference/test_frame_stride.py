"""Models of a frame stride generate and are evaluated at the frame rate of the source; each frame is held."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from PIL import Image
from torch import Tensor

import cssgan
from cssgan.config import from_json, to_json
from cssgan.evaluation.evaluate import evaluate_run, phrase_windows
from cssgan.inference.generate import LoadedGenerator, eval_windows, generate_from_clips, generate_video, load_generator
from cssgan.models.interface import VideoGenerator, WindowInputs
from cssgan.training import loop, sample_videos
from cssgan.types import MelStats, Progress
from phonics_data.contract.labels import LETTERS
from phonics_data.contract.sample import num_audio_samples
from phonics_data.media import probe
from tests.cssgan.inference.test_generate import conditions, save_run
from tests.cssgan.toy_dataset import make_sample, tiny_config, write_dataset

RATES = (Fraction(24000, 1001), Fraction(25), Fraction(30))


@pytest.mark.parametrize("streams", [4, 1])
@pytest.mark.parametrize("stride", [2, 3, 8])
@pytest.mark.parametrize("frames", [1, 5, 48, 50])
def test_frames_are_those_of_every_kth_segment_held(tmp_path: Path, stride: int, frames: int, streams: int) -> None:
    strided = load_generator(save_run(tmp_path / "a", f"data.frame_stride={stride}", f"model.streams={streams}"))
    plain = load_generator(save_run(tmp_path / "b", f"model.streams={streams}"))
    image, mels, label = conditions(frames)

    video = strided.generate(image, mels, label)

    assert video.shape == (2, 3, frames, 16, 16)
    shown = plain.generate(image, mels[:, ::stride], label)
    assert shown.shape[2] == -(-frames // stride)
    for t in range(frames):
        # Kernels for other numbers of frames round differently on some processors.
        torch.testing.assert_close(video[:, :, t], shown[:, :, t // stride], atol=1e-5, rtol=0)


def test_gradients_reach_every_kth_segment_alone(tmp_path: Path) -> None:
    model = load_generator(save_run(tmp_path, "data.frame_stride=3"))
    image, mels, label = conditions(20)

    model(image, mels.requires_grad_(), label).sum().backward()

    assert mels.grad is not None
    used_T = mels.grad.abs().sum(dim=(0, 2, 3)) > 0
    assert used_T.tolist() == [t % 3 == 0 for t in range(20)]


class Loudness(VideoGenerator):
    """Brightness of a frame: loudness in the middle 40 ms of its segment."""

    def __init__(self) -> None:
        super().__init__()
        self.gain = torch.nn.Parameter(torch.ones(()))

    def forward(
        self, image_BCHW: Tensor, mels_BSFMU: Tensor, label_BK: Tensor, noise_BZ: Tensor,
        window: WindowInputs | None = None,
    ) -> Tensor:  # fmt: skip
        raise NotImplementedError

    def rollout(
        self,
        image_BCHW: Tensor,
        mels_BTMU: Tensor,
        label_BK: Tensor,
        noise_BZ: Tensor,
        *,
        window: WindowInputs | None = None,
    ) -> Tensor:
        loudness_BT = (mels_BTMU[..., 8:12].mean(dim=(2, 3)) * self.gain).tanh()
        size = image_BCHW.shape[-1]
        return loudness_BT[:, None, :, None, None].expand(-1, 3, -1, size, size)


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_a_tone_is_shown_from_the_nearest_frame_on(rate: Fraction, stride: int) -> None:
    """A long tone begins at frame 30: the first loud frame is the first one that is generated from there on."""
    model = LoadedGenerator(
        Loudness(), config=tiny_config(f"data.frame_stride={stride}"), label_set=LETTERS,
        mel_stats=MelStats(mean=-6.0, std=3.0, clamp=4.0), frame_rate=rate, progress=Progress(), which="last",
    )  # fmt: skip
    for first in (30, 31, 32):
        audio = np.zeros(num_audio_samples(61, rate, 16_000), np.float32)
        begin = num_audio_samples(first, rate, 16_000)
        audio[begin:] = 0.5 * np.random.default_rng(0).standard_normal(len(audio) - begin).clip(-1, 1)
        mels = torch.from_numpy(model.audio_to_mels(audio, 16_000, 61, rate))[None]
        video = model.generate(torch.zeros(1, 3, 16, 16), mels, torch.tensor([0]))
        loud_T = video[0, 0, :, 0, 0] > 0
        expected = -(-first // stride) * stride
        assert loud_T.tolist() == [t >= expected for t in range(61)]


def test_old_exports_and_runs_have_stride_1(tmp_path: Path) -> None:
    run = save_run(tmp_path / "run")
    out = cssgan.export(run, tmp_path / "out")
    record = json.loads((out / "config.json").read_text())
    del record["config"]["data"]["frame_stride"]
    (out / "config.json").write_text(json.dumps(record))

    old = cssgan.load_pretrained(out)

    assert old.config.data.frame_stride == 1
    assert torch.equal(old.generate(*conditions(20)), load_generator(run).generate(*conditions(20)))
    values = to_json(tiny_config())
    del values["data"]["frame_stride"]
    assert from_json(values) == tiny_config()


def test_an_export_keeps_the_stride_and_says_so(tmp_path: Path) -> None:
    run = save_run(tmp_path / "run", "data.frame_stride=3")
    out = cssgan.export(run, tmp_path / "out")

    assert torch.equal(
        cssgan.load_pretrained(out).generate(*conditions(20)), load_generator(run).generate(*conditions(20))
    )
    card = (out / "README.md").read_text()
    assert "4 per stream, each held for 3 frames of the video" in card
    assert "window (48 frames)" in card


def test_samples_in_training_are_those_of_the_loaded_model(tmp_path: Path, dataset: Path) -> None:
    loaded = load_generator(save_run(tmp_path / "run", "data.frame_stride=2"))
    windows = eval_windows(dataset, "validation", loaded)

    fake = sample_videos.generate(loaded.network, windows, loaded.config, loaded.device)

    image = torch.from_numpy(windows.video_NTHWC[:, 0].copy()).permute(0, 3, 1, 2) / 127.5 - 1
    video = loaded.generate(image, torch.from_numpy(windows.mels_NTMU), torch.from_numpy(windows.labels_N))
    assert fake.shape[1] == 32
    assert np.abs((video.permute(0, 2, 3, 4, 1).numpy() + 1) * 127.5 - fake).max() <= 0.51


def test_train_resume_evaluate_generate(tmp_path: Path) -> None:
    samples = [make_sample(n, num_frames=9 + 12 * n, frame_rate=RATES[n % 3]) for n in range(5)]
    shards = write_dataset(tmp_path / "data", train=samples)
    settings = (
        "data.frame_stride=3", "train.num_videos=12", "train.sample_every=2", "train.ema_half_life=6",
        "order.p_in_order=0.5", "model.shuffled_starts=real",
    )  # fmt: skip
    config = tiny_config(*settings)
    loop.train(config, shards, tmp_path / "whole")
    loop.train(tiny_config(*settings, "train.num_videos=6"), shards, tmp_path / "run")
    assert loop.train(config, shards, tmp_path / "run").status == "finished"
    whole, resumed = ((tmp_path / name / "stats.jsonl").read_text() for name in ("whole", "run"))
    trained = [[line for line in text.splitlines() if '"train"' in line] for text in (whole, resumed)]
    assert trained[0] == trained[1]
    assert len(trained[0]) == 4
    loaded = load_generator(tmp_path / "run")

    phrases = phrase_windows(shards, "train", loaded)
    assert phrases.video_NTHWC.shape[1] == 60  # 57 frames, up to a multiple of 3 times 4 frames of a stream
    report = evaluate_run(tmp_path / "run", shards, split="train", per_video=True)
    protocol = report["metrics"]["motion_ratio"]["protocol"]
    assert (protocol["frames"], protocol["generated_frames_held"]) == (48, 3)
    seams = report["metrics"]["seam_ratio"]
    assert (seams["protocol"]["seams"], seams["protocol"]["frame_stride"]) == ("every 12 frames", 3)
    assert (tmp_path / "run/videos.parquet").exists()

    clip = samples[4]
    video = generate_from_clips(loaded, clip, clip, 55)
    assert video.shape == (55, 16, 16, 3)
    assert all(np.array_equal(video[t], video[t - t % 3]) for t in range(55))
    Image.fromarray(clip.frames_LHWC[0]).save(tmp_path / "start.png")
    soundfile.write(tmp_path / "audio.wav", clip.audio_N, clip.audio_rate_hz)
    made = generate_video(
        loaded, image=tmp_path / "start.png", audio=tmp_path / "audio.wav", label="A", out=tmp_path / "out.mp4"
    )
    assert (made.num_frames, made.frame_rate) == (55, RATES[0])  # the most common rate; 57 frames at 25 are 2.28 s
    assert probe(tmp_path / "out.mp4").frame_rate == RATES[0]
