"""The training data of an evaluator's step, a function of seed and step: clips, windows and their augmentation."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from cssgan.data import resident, windowing
from cssgan.data.resident import Clip, ResidentSplit
from cssgan.evaluators.spec import EvaluatorKind, EvaluatorSpec
from cssgan.types import EvalWindows, MelStats
from phonics_data.contract.labels import LabelSet

MEL_CLAMP = 4.0
SONGS_PER_STEP = 4
"""Songs in one step of the synchrony evaluator; negatives are clips of the same song."""
_RNG_STREAMS: dict[EvaluatorKind, int] = {"classes": 11, "sync": 12, "order": 13}


def step_rng(spec: EvaluatorSpec, kind: EvaluatorKind, step: int) -> np.random.Generator:
    """The random generator of one step of one evaluator."""
    return np.random.default_rng([spec.seed, _RNG_STREAMS[kind], step])


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class WindowBatch:
    """Windows of one step.

    Args:
        video_BTCHW: float32 in [-1, 1].
        mels_BTMU: standardized log-mel segments.
        song_B: int64; clips of one source video have equal numbers.
        num_valid_B: int64.
    """

    video_BTCHW: Tensor
    mels_BTMU: Tensor
    song_B: Tensor
    num_valid_B: Tensor


def sample_frames(split: ResidentSplit, spec: EvaluatorSpec, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Random augmented frames of random clips: (frames_BCHW in [-1, 1], class indices)."""
    chosen = [split.clips[index] for index in rng.integers(len(split.clips), size=spec.batch_size)]
    rows = np.array([clip.first_frame + rng.integers(clip.num_frames) for clip in chosen])
    labels = torch.tensor([split.label_set.index(clip.label) for clip in chosen])
    return _augment_frames(_to_float(split.frames_NHWC[rows]), rng), labels


def sample_windows(
    split: ResidentSplit, clips: list[Clip], spec: EvaluatorSpec, rng: np.random.Generator
) -> WindowBatch:
    """One window of each clip with a random first frame; random colours and horizontal flips."""
    windows = [
        split.window(clip, int(rng.integers(max(0, clip.num_frames - spec.num_frames) + 1)), spec.num_frames)
        for clip in clips
    ]
    video = _to_float(np.stack([window.frames_THWC for window in windows]))
    video = torch.stack([_augment_video(one, rng) for one in video])
    mels = windowing.standardize(np.stack([window.raw_mels_TMU for window in windows]), _mel_stats(split))
    # Recordings differ in spectral tilt and loudness; embeddings must not depend on either.
    tilt = rng.normal(0.0, 0.2, (len(windows), 1, mels.shape[2], 1)) + rng.normal(0.0, 0.3, (len(windows), 1, 1, 1))
    songs = {name: number for number, name in enumerate(dict.fromkeys(clip.video_id for clip in clips))}
    return WindowBatch(
        video_BTCHW=video,
        mels_BTMU=torch.from_numpy((mels + tilt).astype(np.float32)),
        song_B=torch.tensor([songs[clip.video_id] for clip in clips]),
        num_valid_B=torch.tensor([window.num_valid_frames for window in windows]),
    )


def clips_of_few_songs(split: ResidentSplit, spec: EvaluatorSpec, rng: np.random.Generator) -> list[Clip]:
    """Clips of `SONGS_PER_STEP` songs, so that each clip has negatives of its own song."""
    songs: dict[str, list[Clip]] = defaultdict(list)
    for clip in split.clips:
        songs[clip.video_id].append(clip)
    names = sorted(songs)
    chosen = rng.permutation(len(names))[:SONGS_PER_STEP]
    clips_per_song = -(-spec.batch_size // len(chosen))
    clips: list[Clip] = []
    for index in chosen:
        song = songs[names[index]]
        clips += [song[position] for position in rng.permutation(len(song))[:clips_per_song]]
    return clips


def clips_with_whole_window(split: ResidentSplit, spec: EvaluatorSpec) -> list[Clip]:
    """Clips of at least one window: held frames have no order."""
    return [clip for clip in split.clips if clip.num_frames >= spec.num_frames]


def real_windows(
    split: ResidentSplit, spec: EvaluatorSpec, *, max_clips: int, label_set: LabelSet | None = None
) -> EvalWindows:
    """The windows that `cssgan evaluate` uses for a model of this size: at most `max_clips`, evenly over the split.

    Args:
        label_set: that of the training clips, if the split can lack some classes.

    Raises:
        DatasetError: a class that is not in `label_set`.
    """
    return resident.split_windows(
        split, num_frames=spec.num_frames, label_set=label_set or split.label_set, mel_stats=_mel_stats(split),
        num_videos=max_clips, start="anywhere",
    )  # fmt: skip


def _mel_stats(split: ResidentSplit) -> MelStats:
    return MelStats(mean=split.mean, std=split.std, clamp=MEL_CLAMP)


def concatenate(parts: list[EvalWindows]) -> EvalWindows:
    """The windows of several splits as one set."""
    pictures = [part.objects_NHWC for part in parts if part.objects_NHWC is not None]
    return EvalWindows(
        keys=tuple(key for part in parts for key in part.keys),
        video_ids=tuple(name for part in parts for name in part.video_ids),
        label_set=parts[0].label_set,
        labels_N=np.concatenate([part.labels_N for part in parts]),
        video_NTHWC=np.concatenate([part.video_NTHWC for part in parts]),
        raw_mels_NTMU=np.concatenate([part.raw_mels_NTMU for part in parts]),
        mels_NTMU=np.concatenate([part.mels_NTMU for part in parts]),
        num_valid_N=np.concatenate([part.num_valid_N for part in parts]),
        frame_rates=tuple(rate for part in parts for rate in part.frame_rates),
        start_seconds=tuple(seconds for part in parts for seconds in part.start_seconds),
        object_words=tuple(word for part in parts for word in part.object_words),
        objects_NHWC=np.concatenate(pictures) if len(pictures) == len(parts) else None,
    )


def _to_float(frames_XHWC: NDArray[np.uint8]) -> Tensor:
    """uint8 (..., H, W, 3) -> float32 (..., 3, H, W) in [-1, 1]."""
    frames = torch.from_numpy(np.require(frames_XHWC, requirements=["C", "W"]))
    return frames.movedim(-1, -3).float().div_(127.5).sub_(1.0)


def _augment_video(video_TCHW: Tensor, rng: np.random.Generator) -> Tensor:
    """Permuted channels, some inverted, random horizontal flip: the same for all frames."""
    signs = torch.from_numpy(rng.choice([-1.0, 1.0], 3).astype(np.float32))
    changed = video_TCHW[:, torch.from_numpy(rng.permutation(3))] * signs[:, None, None]
    return changed.flip(3) if rng.random() < 0.5 else changed


def _augment_frames(frames_BCHW: Tensor, rng: np.random.Generator) -> Tensor:
    """Random colours, inversion, translation, rotation, scale, blur and noise. No flips: mirrored letters are not letters."""
    size = len(frames_BCHW)
    # Inverting single channels would change which regions have contrast, and slows the learning of letters down.
    gain = torch.from_numpy((rng.choice([-1.0, 1.0], (size, 1)) * rng.uniform(0.7, 1.2, (size, 3))).astype(np.float32))
    order = torch.from_numpy(np.stack([rng.permutation(3) for _ in range(size)]))
    x = torch.gather(frames_BCHW, 1, order[:, :, None, None].expand_as(frames_BCHW)) * gain[:, :, None, None]
    angle = rng.uniform(-0.12, 0.12, size)
    scale = rng.uniform(0.8, 1.2, (1, size)) * rng.uniform(0.9, 1.1, (2, size))
    cos, sin, shift = np.cos(angle), np.sin(angle), rng.uniform(-0.2, 0.2, (2, size))
    theta = np.stack([cos * scale[0], -sin * scale[0], shift[0], sin * scale[1], cos * scale[1], shift[1]], axis=1)
    grid = functional.affine_grid(
        torch.from_numpy(theta.astype(np.float32).reshape(size, 2, 3)), list(x.shape), align_corners=False
    )
    x = functional.grid_sample(x, grid, padding_mode="reflection", align_corners=False)
    if rng.random() < 0.2:
        coarse = functional.avg_pool2d(x, 2)
        x = functional.interpolate(coarse, size=x.shape[-2:], mode="bilinear", align_corners=False)
    noise = rng.normal(0.0, 1.0, x.shape) * rng.uniform(0.0, 0.1, (size, 1, 1, 1))
    return (x + torch.from_numpy(noise.astype(np.float32))).clamp(-1.0, 1.0)
