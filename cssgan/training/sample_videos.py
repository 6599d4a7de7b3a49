"""What a run shows of itself while it trains: fixed windows, generated in time order as in use, with readouts."""

from __future__ import annotations

import copy
import logging
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from cssgan.config import Config
from cssgan.data import resident
from cssgan.data.batches import pictures, to_uint8
from cssgan.data.shards import Dataset, find, read_named, splits
from cssgan.models.interface import VideoGenerator
from cssgan.training import validation
from cssgan.training.run_log import RunLog
from cssgan.training.trackers import VideoSample
from cssgan.types import EvalWindows, LossTerms, MelStats, Progress
from phonics_data.contract.labels import LabelSet
from phonics_data.contract.sample import Sample
from phonics_data.errors import InputError

log = logging.getLogger("cssgan")
NUM_WINDOWS = 8
NUM_STRIPS = 4


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Preview:
    """The windows that a run shows, and the sounds of those that become videos."""

    windows: EvalWindows
    sounds: tuple[Sample, ...]
    """In the order of the first windows."""


def preview(config: Config, dataset: Dataset, label_set: LabelSet, mel_stats: MelStats) -> Preview | None:
    """A few windows of validation, of training where there is none; None without `train.sample_every`."""
    if not config.train.sample_every:
        return None
    split = "validation" if "validation" in splits(dataset) else "train"
    if split == "train":
        log.warning("%s: no validation split; samples, val_l1 and the best checkpoint are of training clips", dataset)
    windows = resident.eval_windows(
        dataset, split, config=config, label_set=label_set, mel_stats=mel_stats, num_videos=NUM_WINDOWS
    )
    keys = windows.keys[: config.train.sample_videos]
    named = read_named(find(dataset, split), keys)
    return Preview(windows=windows, sounds=tuple(named[key] for key in keys))


def show(
    shown: Preview, generator: VideoGenerator, config: Config, at: Progress, runlog: RunLog, device: torch.device
) -> LossTerms:
    """Generate the windows; log readouts, a picture, and videos with their sound."""
    windows = shown.windows
    fake = render(generator, windows, config, device)
    terms = validation.readouts(windows.video_NTHWC, fake, windows.num_valid_N)
    terms["val_seam_ratio"] = validation.seam_ratio(fake, config.frames_per_clip)
    if config.model.norm == "batch":
        terms["val_l1_batch_norm_gap"] = _batch_norm_gap(generator, windows, config, device) - terms["val_l1"]
    runlog.write(at, terms, kind="sample")
    runlog.picture(at, validation.strip(windows.video_NTHWC[:NUM_STRIPS], fake[:NUM_STRIPS]))
    for number, sample in enumerate(shown.sounds):
        pair = np.concatenate((windows.video_NTHWC[number], fake[number]), axis=2)[: windows.num_valid_N[number]]
        clip = VideoSample(
            name=sample.key,
            frames_THWC=pair,
            frame_rate=sample.frame_rate,
            audio_N=sample.audio_N[: round(len(pair) / sample.frame_rate * sample.audio_rate_hz)],
            audio_rate_hz=sample.audio_rate_hz,
            film=runlog.samples / f"step-{at.num_steps:08d}-{sample.key}.mp4",
        )
        try:
            runlog.video(at, clip)
        except InputError as error:  # a film that cannot be written is no reason to stop training
            log.warning("%s", error)
    return terms


def _batch_norm_gap(generator: VideoGenerator, windows: EvalWindows, config: Config, device: torch.device) -> float:
    """L1 of the windows when norms take the statistics of the windows themselves instead of their running ones."""
    trial = copy.deepcopy(generator)  # the running statistics of the run must not see the preview
    for module in trial.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.track_running_stats = False
            module.running_mean = module.running_var = None
    fake = render(trial, windows, config, device)
    return validation.readouts(windows.video_NTHWC, fake, windows.num_valid_N)["val_l1"]


@torch.no_grad()
def render(generator: VideoGenerator, windows: EvalWindows, config: Config, device: torch.device) -> NDArray[np.uint8]:
    """Windows by `generator` in evaluation mode, uint8 NTHWC."""
    label = torch.nn.functional.one_hot(torch.from_numpy(windows.labels_N), len(windows.label_set)).float()
    noise = torch.zeros(len(windows), config.model.z_dim)
    image = pictures(windows.video_NTHWC[:, :1], device)[:, :, 0]
    was_training = generator.training
    generator.eval()
    video = generator.rollout(image, torch.from_numpy(windows.mels_NTMU).to(device), label.to(device), noise.to(device))
    generator.train(was_training)
    return to_uint8(video)
