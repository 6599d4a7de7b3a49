"""The loss of one training step of each evaluator."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from cssgan.data.resident import ResidentSplit
from cssgan.evaluators import sampling
from cssgan.evaluators.inference import WRONG_SHIFTS
from cssgan.evaluators.networks import (
    FrameClassifier,
    OrderClassifier,
    SyncNet,
    correlation,
    cut_into_segments,
    inner_frames,
    shifted_correlation,
    small,
)
from cssgan.evaluators.spec import EvaluatorSpec


def classes(
    network: FrameClassifier, store: ResidentSplit, spec: EvaluatorSpec, step: int, device: torch.device
) -> Tensor:
    """Cross entropy of the class of a frame."""
    frames, labels = sampling.frames(store, spec, sampling.generator(spec, "classes", step))
    return functional.cross_entropy(network(frames.to(device)), labels.to(device), label_smoothing=0.05)


def sync(network: SyncNet, store: ResidentSplit, spec: EvaluatorSpec, step: int, device: torch.device) -> Tensor:
    """A video's own sound against the sounds of other clips of its song and against its own, shifted; and a sound's own
    video against those of other clips of its song."""
    rng = sampling.generator(spec, "sync", step)
    drawn = sampling.windows(store, sampling.of_some_songs(store, spec, rng), spec, rng)
    video = network.embed_video(small(drawn.video_BTCHW.to(device)))
    sound = network.embed_sound(drawn.mels_BTMU.to(device))
    use = inner_frames(drawn.num_valid_B.to(device), video.shape[1])
    scale = network.log_scale.exp().clamp(max=50.0)
    every = correlation(video, use, sound, use)
    song = drawn.song_B.to(device)
    every = every.masked_fill(song[:, None] != song[None, :], -2.0)
    wrong = shifted_correlation(video, sound, use, WRONG_SHIFTS)
    own = torch.arange(len(every), device=device)
    by_video = functional.cross_entropy(scale * torch.cat([every, wrong], dim=1), own)
    return by_video + functional.cross_entropy(scale * every.T, own)


def order(
    network: OrderClassifier, store: ResidentSplit, spec: EvaluatorSpec, step: int, device: torch.device
) -> Tensor:
    """Cross entropy of the true order of a window's segments among all orders."""
    rng = sampling.generator(spec, "order", step)
    clips = sampling.long_enough(store, spec)
    chosen = [clips[index] for index in rng.integers(len(clips), size=spec.batch_size)]
    drawn = sampling.windows(store, chosen, spec, rng)
    logits = network(cut_into_segments(small(drawn.video_BTCHW.to(device))))
    return functional.cross_entropy(logits, torch.zeros(len(logits), dtype=torch.long, device=device))
