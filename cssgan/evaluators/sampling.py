"""What a training step of a evaluator sees, as a function of seed and step: clips, windows, and how they are changed."""

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
from cssgan.evaluators.spec import EvaluatorSpec
from cssgan.types import EvalWindows, MelStats
from phonics_data.contract.labels import LabelSet

MEL_CLAMP = 4.0
SONGS_AT_ONCE = 4
"""Songs of which a step of the synchrony evaluator holds clips: rivals are clips of one song."""
_STREAMS = {"classes": 11, "sync": 12, "order": 13}


def generator(spec: EvaluatorSpec, evaluator: str, step: int) -> np.random.Generator:
    """The randomness of one step of one evaluator."""
    return np.random.default_rng([spec.seed, _STREAMS[evaluator], step])


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Drawn:
    """Windows of one step.

    Args:
        video_BTCHW: float32 in [-1, 1].
        mels_BTMU: standardized log-mel segments.
        song_B: int64; equal numbers are clips of one source video.
        num_valid_B: int64.
    """

    video_BTCHW: Tensor
    mels_BTMU: Tensor
    song_B: Tensor
    num_valid_B: Tensor


def frames(store: ResidentSplit, spec: EvaluatorSpec, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Random frames of random clips, changed as `_looked_at` does: (frames_BCHW in [-1, 1], class indices)."""
    chosen = [store.clips[index] for index in rng.integers(len(store.clips), size=spec.batch_size)]
    rows = np.array([clip.first_frame + rng.integers(clip.num_frames) for clip in chosen])
    labels = torch.tensor([store.label_set.index(clip.label) for clip in chosen])
    return _looked_at(_pictures(store.frames_NHWC[rows]), rng), labels


def windows(
    store: ResidentSplit, clips: list[Clip], spec: EvaluatorSpec, rng: np.random.Generator
) -> Drawn:  # fmt: skip
    """One window of each clip, beginning anywhere in it; colours and left and right are exchanged at random."""
    parts = [
        store.window(clip, int(rng.integers(max(0, clip.num_frames - spec.num_frames) + 1)), spec.num_frames)
        for clip in clips
    ]
    video = _pictures(np.stack([part.frames_THWC for part in parts]))
    video = torch.stack([_recoloured(one, rng) for one in video])
    mels = windowing.standardize(np.stack([part.raw_mels_TMU for part in parts]), _stats(store))
    # Recordings differ in tone and loudness: what is heard must not hang on either.
    tilt = rng.normal(0.0, 0.2, (len(parts), 1, mels.shape[2], 1)) + rng.normal(0.0, 0.3, (len(parts), 1, 1, 1))
    names = {name: number for number, name in enumerate(dict.fromkeys(clip.video_id for clip in clips))}
    return Drawn(
        video_BTCHW=video,
        mels_BTMU=torch.from_numpy((mels + tilt).astype(np.float32)),
        song_B=torch.tensor([names[clip.video_id] for clip in clips]),
        num_valid_B=torch.tensor([part.num_valid_frames for part in parts]),
    )


def of_some_songs(store: ResidentSplit, spec: EvaluatorSpec, rng: np.random.Generator) -> list[Clip]:
    """Clips of a few songs, so that each has rivals of its own song in the step."""
    songs: dict[str, list[Clip]] = defaultdict(list)
    for clip in store.clips:
        songs[clip.video_id].append(clip)
    names = sorted(songs)
    chosen = rng.permutation(len(names))[:SONGS_AT_ONCE]
    each = -(-spec.batch_size // len(chosen))
    clips: list[Clip] = []
    for index in chosen:
        of_song = songs[names[index]]
        clips += [of_song[place] for place in rng.permutation(len(of_song))[:each]]
    return clips


def long_enough(store: ResidentSplit, spec: EvaluatorSpec) -> list[Clip]:
    """Clips with a whole window: held frames have no order."""
    return [clip for clip in store.clips if clip.num_frames >= spec.num_frames]


def real_windows(
    store: ResidentSplit, spec: EvaluatorSpec, *, most: int, label_set: LabelSet | None = None
) -> EvalWindows:  # fmt: skip
    """The windows on which `cssgan evaluate` would evaluator a model of this size: at most so many, evenly over the split.

    Args:
        label_set: of the training clips, where the split may lack some; raises `DatasetError` for a class it does not know.
    """
    return resident.split_windows(
        store, num_frames=spec.num_frames, label_set=label_set or store.label_set, mel_stats=_stats(store),
        num_videos=most, start="anywhere",
    )  # fmt: skip


def _stats(store: ResidentSplit) -> MelStats:
    return MelStats(mean=store.mean, std=store.std, clamp=MEL_CLAMP)


def joined(parts: list[EvalWindows]) -> EvalWindows:
    """The windows of several splits as one set."""
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
    )


def _pictures(frames_XHWC: NDArray[np.uint8]) -> Tensor:
    """uint8 (..., H, W, 3) -> float32 (..., 3, H, W) in [-1, 1]."""
    whole = torch.from_numpy(np.require(frames_XHWC, requirements=["C", "W"]))
    return whole.movedim(-1, -3).float().div_(127.5).sub_(1.0)


def _recoloured(video_TCHW: Tensor, rng: np.random.Generator) -> Tensor:
    """Channels in another order, some inverted, left and right exchanged: the same for all frames."""
    signs = torch.from_numpy(rng.choice([-1.0, 1.0], 3).astype(np.float32))
    changed = video_TCHW[:, torch.from_numpy(rng.permutation(3))] * signs[:, None, None]
    return changed.flip(3) if rng.random() < 0.5 else changed


def _looked_at(frames_BCHW: Tensor, rng: np.random.Generator) -> Tensor:
    """Frames in other colours, some as negatives, moved, turned, larger or smaller, blurred, noisy; never mirrored, for
    letters are not."""
    size = len(frames_BCHW)
    # Each channel inverted by itself would change what stands out from the ground, and slows the learning of letters down.
    gain = torch.from_numpy((rng.choice([-1.0, 1.0], (size, 1)) * rng.uniform(0.7, 1.2, (size, 3))).astype(np.float32))
    order = torch.from_numpy(np.stack([rng.permutation(3) for _ in range(size)]))
    x = torch.gather(frames_BCHW, 1, order[:, :, None, None].expand_as(frames_BCHW)) * gain[:, :, None, None]
    angle = rng.uniform(-0.12, 0.12, size)
    scale = rng.uniform(0.8, 1.2, (1, size)) * rng.uniform(0.9, 1.1, (2, size))
    cos, sin, place = np.cos(angle), np.sin(angle), rng.uniform(-0.2, 0.2, (2, size))
    theta = np.stack([cos * scale[0], -sin * scale[0], place[0], sin * scale[1], cos * scale[1], place[1]], axis=1)
    grid = functional.affine_grid(
        torch.from_numpy(theta.astype(np.float32).reshape(size, 2, 3)), list(x.shape), align_corners=False
    )
    x = functional.grid_sample(x, grid, padding_mode="reflection", align_corners=False)
    if rng.random() < 0.2:
        coarse = functional.avg_pool2d(x, 2)
        x = functional.interpolate(coarse, size=x.shape[-2:], mode="bilinear", align_corners=False)
    noise = rng.normal(0.0, 1.0, x.shape) * rng.uniform(0.0, 0.1, (size, 1, 1, 1))
    return (x + torch.from_numpy(noise.astype(np.float32))).clamp(-1.0, 1.0)
