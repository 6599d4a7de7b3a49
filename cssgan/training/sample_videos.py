"""Samples during training: fixed windows, generated in time order as at inference, with metrics."""

from __future__ import annotations

import copy
import logging
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from cssgan.config import Config
from cssgan.data import object_pictures, resident
from cssgan.data.batches import to_uint8, to_video
from cssgan.data.shards import Dataset, available_splits, find_shards, read_samples_by_key
from cssgan.models.interface import Discriminators, VideoGenerator, WindowInputs
from cssgan.training import order_readouts, validation
from cssgan.training.run_log import RunLog
from cssgan.training.trackers import VideoSample
from cssgan.types import EvalWindows, LossTerms, MelStats, Progress
from phonics_data.contract.labels import LabelSet
from phonics_data.contract.sample import Sample
from phonics_data.errors import InputError

log = logging.getLogger("cssgan")
NUM_WINDOWS = 8
NUM_STRIPS = 4
NUM_ORDER_WINDOWS = 64


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class SampleWindows:
    """The windows that are generated, and the dataset samples of the first ones, which are also written as videos."""

    windows: EvalWindows
    samples: tuple[Sample, ...]
    order_windows: EvalWindows | None
    """Real windows without held frames, of which the order predictor predicts the order; None without one."""


def load_windows(config: Config, dataset: Dataset, label_set: LabelSet, mel_stats: MelStats) -> SampleWindows | None:
    """Windows of the validation split, or of the training split if there is none; None without `train.sample_every`."""
    if not config.train.sample_every:
        return None
    split = "validation" if "validation" in available_splits(dataset) else "train"
    if split == "train":
        log.warning("%s: no validation split; samples, val_l1 and the best checkpoint are of training clips", dataset)
    windows = resident.eval_windows(
        dataset, split, config=config, label_set=label_set, mel_stats=mel_stats, num_videos=NUM_WINDOWS
    )
    keys = windows.keys[: config.train.sample_videos]
    samples = read_samples_by_key(find_shards(dataset, split), keys)
    order_windows = None
    if config.order.shuffle != "none":
        order_windows = resident.eval_windows(
            dataset, split, config=config, label_set=label_set, mel_stats=mel_stats, num_videos=NUM_ORDER_WINDOWS,
            start="anywhere",
        )  # fmt: skip
    return SampleWindows(windows=windows, samples=tuple(samples[key] for key in keys), order_windows=order_windows)


def log_samples(
    samples: SampleWindows,
    generator: VideoGenerator,
    discriminators: Discriminators,
    config: Config,
    progress: Progress,
    run_log: RunLog,
    device: torch.device,
) -> LossTerms:
    """Generate the windows; log metrics, an image, and videos with audio. Returns the metrics."""
    windows = samples.windows
    fake = generate(generator, windows, config, device)
    terms = validation.sample_metrics(windows.video_NTHWC, fake, windows.num_valid_N)
    # Of the frames that the model generates: between those that are held there is no change.
    terms["val_seam_ratio"] = validation.seam_ratio(fake[:, :: config.data.frame_stride], config.frames_per_clip)
    if config.model.norm == "batch":
        terms["val_l1_batch_norm_gap"] = _l1_with_batch_statistics(generator, windows, config, device) - terms["val_l1"]
    if samples.order_windows is not None:
        terms |= order_readouts.of_real_windows(discriminators, samples.order_windows, config, device)
    run_log.write(progress, terms, kind="sample")
    run_log.write_image(progress, validation.frame_strip(windows.video_NTHWC[:NUM_STRIPS], fake[:NUM_STRIPS]))
    for number, sample in enumerate(samples.samples):
        pair = np.concatenate((windows.video_NTHWC[number], fake[number]), axis=2)[: windows.num_valid_N[number]]
        video = VideoSample(
            name=sample.key,
            frames_THWC=pair,
            frame_rate=sample.frame_rate,
            audio_N=sample.audio_N[: round(len(pair) / sample.frame_rate * sample.audio_rate_hz)],
            audio_rate_hz=sample.audio_rate_hz,
            path=run_log.samples / f"step-{progress.num_steps:08d}-{sample.key}.mp4",
        )
        try:
            run_log.write_video(progress, video)
        except InputError as error:  # training continues without this video
            log.warning("%s", error)
    return terms


def _l1_with_batch_statistics(
    generator: VideoGenerator, windows: EvalWindows, config: Config, device: torch.device
) -> float:
    """L1 of the windows if batch norm uses the statistics of the windows instead of the running ones."""
    trial = copy.deepcopy(generator)  # keeps the running statistics of the run unchanged
    for module in trial.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.track_running_stats = False
            module.running_mean = module.running_var = None
    fake = generate(trial, windows, config, device)
    return validation.sample_metrics(windows.video_NTHWC, fake, windows.num_valid_N)["val_l1"]


@torch.no_grad()
def generate(
    generator: VideoGenerator, windows: EvalWindows, config: Config, device: torch.device
) -> NDArray[np.uint8]:
    """Generate the windows in evaluation mode, uint8 NTHWC; as `LoadedGenerator.generate`, without noise."""
    label = torch.nn.functional.one_hot(torch.from_numpy(windows.labels_N), len(windows.label_set)).float()
    noise = torch.zeros(len(windows), config.model.z_dim)
    image = to_video(windows.video_NTHWC[:, :1], device)[:, :, 0]
    was_training = generator.training
    generator.eval()
    mels = torch.from_numpy(windows.mels_NTMU).to(device)
    picture, word = object_pictures.model_inputs(config, windows.objects_NHWC, windows.object_words, device)
    video = generator.rollout_held(
        image,
        mels,
        label.to(device),
        noise.to(device),
        stride=config.data.frame_stride,
        window=WindowInputs(object_BCHW=picture, word_BE=word),
    )
    generator.train(was_training)
    return to_uint8(video)
