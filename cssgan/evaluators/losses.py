"""The loss of one training step of each evaluator."""

from __future__ import annotations

from typing import cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from cssgan.data.resident import ResidentSplit
from cssgan.evaluators import sampling
from cssgan.evaluators.inference import WRONG_SHIFTS
from cssgan.evaluators.networks import (
    FrameClassifier,
    OrderClassifier,
    SyncNet,
    correlation,
    downscale,
    inner_frames,
    shifted_correlation,
    split_into_chunks,
)
from cssgan.evaluators.spec import EvaluatorKind, EvaluatorSpec


def loss(
    kind: EvaluatorKind, network: nn.Module, split: ResidentSplit, spec: EvaluatorSpec, step: int, device: torch.device
) -> Tensor:
    """The loss of `step`: sampling is a function of the seed and the step."""
    rng = sampling.step_rng(spec, kind, step)
    if kind == "classes":
        return _class_loss(cast("FrameClassifier", network), split, spec, rng, device)
    if kind == "sync":
        return _sync_loss(cast("SyncNet", network), split, spec, rng, device)
    return _order_loss(cast("OrderClassifier", network), split, spec, rng, device)


def _class_loss(
    network: FrameClassifier, split: ResidentSplit, spec: EvaluatorSpec, rng: np.random.Generator, device: torch.device
) -> Tensor:
    """Cross entropy of the class of a frame."""
    frames, labels = sampling.sample_frames(split, spec, rng)
    return functional.cross_entropy(network(frames.to(device)), labels.to(device), label_smoothing=0.05)


def _sync_loss(
    network: SyncNet, split: ResidentSplit, spec: EvaluatorSpec, rng: np.random.Generator, device: torch.device
) -> Tensor:
    """Sum of two contrastive losses:

    * a video's own audio against the audio of other clips of its song, and against its own audio, shifted;
    * the video of an audio signal against the videos of other clips of its song.
    """
    batch = sampling.sample_windows(split, sampling.clips_of_few_songs(split, spec, rng), spec, rng)
    video = network.embed_video(downscale(batch.video_BTCHW.to(device)))
    audio = network.embed_audio(batch.mels_BTMU.to(device))
    use = inner_frames(batch.num_valid_B.to(device), video.shape[1])
    scale = network.log_scale.exp().clamp(max=50.0)
    pairs = correlation(video, use, audio, use)
    song = batch.song_B.to(device)
    pairs = pairs.masked_fill(song[:, None] != song[None, :], -2.0)
    shifted = shifted_correlation(video, audio, use, WRONG_SHIFTS)
    own = torch.arange(len(pairs), device=device)
    by_video = functional.cross_entropy(scale * torch.cat([pairs, shifted], dim=1), own)
    return by_video + functional.cross_entropy(scale * pairs.T, own)


def _order_loss(
    network: OrderClassifier, split: ResidentSplit, spec: EvaluatorSpec, rng: np.random.Generator, device: torch.device
) -> Tensor:
    """Cross entropy of the true order of a window's chunks among all orders."""
    clips = sampling.clips_with_whole_window(split, spec)
    chosen = [clips[index] for index in rng.integers(len(clips), size=spec.batch_size)]
    batch = sampling.sample_windows(split, chosen, spec, rng)
    logits = network(split_into_chunks(downscale(batch.video_BTCHW.to(device))))
    return functional.cross_entropy(logits, torch.zeros(len(logits), dtype=torch.long, device=device))
