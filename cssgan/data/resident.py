"""The resident feed: shards decoded once into a memory-mapped cache, from which windows are gathered.

A cache folder is named by the digest of shards, log-mel spec and size, so that it can never be stale, and holds::

    frames.bin   uint8 (all frames, size, size, 3)
    hops.bin     float32 (all hops, bands): each soundtrack with one hop of silence before and after it
    index.json   the clips, the label set, mean and deviation of all log-mel values
"""

from __future__ import annotations

import json
import logging
import math
import os
import shutil
import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np
from numpy.typing import NDArray

from cssgan.config import Config
from cssgan.data import windowing
from cssgan.data.shards import Dataset, Shard, cache_root, digest, find, label_set_of, read_samples, resize
from cssgan.storage import memmap
from cssgan.storage.files import make_folder
from cssgan.types import EvalWindows, MelStats, Split, Window
from phonics_data.contract.labels import LabelSet
from phonics_data.contract.logmel import LogMelSpec
from phonics_data.contract.sample import Sample
from phonics_data.errors import DatasetError

MEL_SPEC = LogMelSpec()
CACHE_VERSION = 1
Start = Literal["first", "anywhere"]
log = logging.getLogger("cssgan")


@dataclass(frozen=True, kw_only=True, slots=True)
class Clip:
    """Where one short video lies in the cache."""

    key: str
    video_id: str
    label: str
    frame_rate: Fraction
    num_frames: int
    first_frame: int
    num_hops: int
    """Without the two hops of silence."""
    first_hop: int


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ResidentSplit:
    """All short videos of a split, ready to be cut into windows."""

    clips: tuple[Clip, ...]
    label_set: LabelSet
    mean: float
    std: float
    frames_NHWC: NDArray[np.uint8]
    hops_HM: NDArray[np.float32]

    @property
    def frame_rate(self) -> Fraction:
        """The commonest one."""
        return Counter(clip.frame_rate for clip in self.clips).most_common(1)[0][0]

    def window(
        self,
        clip: Clip,
        start_frame: int,
        num_frames: int,
        *,
        sound_of: Clip | None = None,
        clip_frames: int | None = None,
    ) -> Window:
        """Frames start_frame .. start_frame + num_frames - 1 of a short video, the last one held past its end.

        Args:
            sound_of: take the sound of this short video instead, from the same frame on (the control run).
            clip_frames: see `cssgan.data.windowing.segment_hops`.
        """
        sound = sound_of or clip
        rows = clip.first_frame + windowing.frame_rows(start_frame, num_frames, clip.num_frames)
        hops = windowing.segment_hops(
            start_frame, num_frames, sound.frame_rate, sound.num_hops, MEL_SPEC, clip_frames=clip_frames
        )
        return Window(
            key=clip.key,
            start_frame=start_frame,
            frames_THWC=self.frames_NHWC[rows],
            raw_mels_TMU=windowing.segments(self.hops_HM, sound.first_hop + hops),
            label_index=self.label_set.index(clip.label),
            num_valid_frames=min(num_frames, clip.num_frames - start_frame),
            frame_rate=clip.frame_rate,
        )

    def rows(
        self,
        shown: Sequence[tuple[Clip, Clip]],
        starts: Sequence[int],
        num_frames: int,
        *,
        clip_frames: int | None = None,
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Where the windows of a batch lie: frames_BT in `frames_NHWC`, hops_BTU in `hops_HM`.

        Args:
            shown: short videos, each with the one whose sound it is given.
            starts: first frame of each window.
            clip_frames: see `cssgan.data.windowing.segment_hops`.
        """
        starts_B = np.asarray(starts, np.int64)
        first_frame_B, length_B, first_hop_B, num_hops_B = np.array(
            [(clip.first_frame, clip.num_frames, sound.first_hop, sound.num_hops) for clip, sound in shown], np.int64
        ).T
        frames_BT = first_frame_B[:, None] + windowing.frame_rows(starts_B, num_frames, length_B)
        hops_BTU = np.empty((len(shown), num_frames, MEL_SPEC.segment_hops), np.int64)
        rates = [sound.frame_rate for _, sound in shown]
        for rate in set(rates):
            mine = np.flatnonzero([one == rate for one in rates])
            hops_BTU[mine] = windowing.segment_hops(
                starts_B[mine], num_frames, rate, num_hops_B[mine], MEL_SPEC, clip_frames=clip_frames
            )
        return frames_BT, hops_BTU + first_hop_B[:, None, None]


def load(dataset: Dataset, split: Split, size: int, *, cache: Path | None = None) -> ResidentSplit:
    """The split in memory-mapped form; decodes it on the first call and says so in the log.

    Args:
        size: height and width of the frames.
        cache: folder for caches, default `cache_root()`.

    Raises:
        DatasetError: no shards, no samples in them, another schema version, broken members, frames that do not fit.
    """
    shards = find(dataset, split)
    # Whatever changes the bytes of the cache must change its name.
    name = f"{split}-{digest(shards)}-{MEL_SPEC.digest()}-{size}-v{CACHE_VERSION}"
    folder = (cache or cache_root()) / name
    if not (folder / "index.json").exists():
        log.info("decoding %d shard(s) of %s into %s", len(shards), split, folder)
        _build(dataset, shards, size, folder)
    return open_cache(folder, size)


def _build(dataset: Dataset, shards: list[Shard], size: int, folder: Path) -> None:
    """Decode into a temporary folder, then rename it: a cache is whole or not there."""
    make_folder(folder.parent)
    temporary = folder.with_name(f".{folder.name}.{uuid.uuid4().hex}")
    temporary.mkdir()
    try:
        with (temporary / "frames.bin").open("wb") as frames, (temporary / "hops.bin").open("wb") as hops:
            index = _decode(dataset, shards, size, frames, hops)
            for file in (frames, hops):
                file.flush()
                os.fsync(file.fileno())
        with (temporary / "index.json").open("w") as file:
            json.dump(index, file)
            file.flush()
            os.fsync(file.fileno())
        try:
            temporary.rename(folder)
        except OSError:
            if not (folder / "index.json").exists():  # another process may have finished the same cache first
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _decode(dataset: Dataset, shards: list[Shard], size: int, frames: IO[bytes], hops: IO[bytes]) -> dict[str, Any]:
    clips: list[dict[str, Any]] = []
    total, squares, values = 0.0, 0.0, 0
    num_frames = num_hops = 0
    set_name = ""
    silence = np.full((1, MEL_SPEC.num_bands), MEL_SPEC.silence, np.float32)
    for sample in read_samples(shards):
        mel = windowing.raw_mel(sample.audio_N, sample.audio_rate_hz, MEL_SPEC)
        clip = _clip(sample, first_frame=num_frames, num_hops=len(mel), first_hop=num_hops)
        clips.append({**asdict(clip), "frame_rate": str(clip.frame_rate)})
        frames.write(np.ascontiguousarray(resize(sample, size)).tobytes())
        hops.write(np.concatenate([silence, mel, silence]).tobytes())
        num_frames += clip.num_frames
        num_hops += len(mel) + 2
        total += float(mel.sum(dtype=np.float64))
        squares += float(np.square(mel, dtype=np.float64).sum())
        values += mel.size
        set_name = sample.label_set
    mean, std = mel_statistics(dataset, len(shards), len(clips), total, squares, values)
    return {"label_set": set_name, "mean": mean, "std": std, "clips": clips}


def mel_statistics(
    dataset: Dataset, num_shards: int, num_clips: int, total: float, squares: float, values: int
) -> tuple[float, float]:
    """Mean and deviation from sums. Raises `DatasetError` where there is nothing to take them from."""
    if not num_clips or not values:
        what = "hold no samples" if not num_clips else "hold no sound"
        raise DatasetError(f"{dataset}: the {num_shards} shard(s) {what}; build the dataset again")
    mean = total / values
    std = math.sqrt(max(squares / values - mean * mean, 0.0))
    if std == 0.0:
        raise DatasetError(f"{dataset}: every soundtrack is digital silence; there is nothing to learn from")
    return mean, std


def _clip(sample: Sample, *, first_frame: int, num_hops: int, first_hop: int) -> Clip:
    return Clip(
        key=sample.key,
        video_id=sample.video_id,
        label=sample.label,
        frame_rate=sample.frame_rate,
        num_frames=sample.num_frames,
        first_frame=first_frame,
        num_hops=num_hops,
        first_hop=first_hop,
    )


def open_cache(folder: Path, size: int) -> ResidentSplit:
    """The split whose cache is `folder`, mapped into memory; `size` is that of its frames."""
    index = json.loads((folder / "index.json").read_text())
    clips = tuple(Clip(frame_rate=Fraction(fields.pop("frame_rate")), **fields) for fields in index["clips"])
    frames = np.memmap(folder / "frames.bin", np.uint8, "r").reshape(-1, size, size, 3)
    hops = np.memmap(folder / "hops.bin", np.float32, "r").reshape(-1, MEL_SPEC.num_bands)
    return ResidentSplit(
        clips=clips,
        label_set=label_set_of(index["label_set"], clips),
        mean=index["mean"],
        std=index["std"],
        frames_NHWC=frames,
        hops_HM=hops,
    )


def eval_windows(
    dataset: Dataset,
    split: Split,
    *,
    config: Config,
    label_set: LabelSet,
    mel_stats: MelStats,
    num_videos: int | None = None,
    start: Start = "first",
    seed: int = 0,
    cache: Path | None = None,
) -> EvalWindows:
    """One window of every short video of a split, or of `num_videos` spread evenly over it.

    Args:
        start: where in its short video a window begins; ``anywhere`` is drawn from (`seed`, key) alone.

    Raises:
        DatasetError: as `load`, or the split's label set is not that of the model.
    """
    data = load(dataset, split, config.data.size, cache=cache)
    if data.label_set.name != label_set.name:
        raise DatasetError(
            f"{dataset}: its label set is {data.label_set.name!r}, the model was trained on {label_set.name!r}; "
            "allowed: a dataset of the same label set"
        )
    return split_windows(
        data, num_frames=config.data.num_frames, label_set=label_set, mel_stats=mel_stats, num_videos=num_videos,
        start=start, seed=seed, clip_frames=config.context_frames,
    )  # fmt: skip


def split_windows(
    data: ResidentSplit,
    *,
    num_frames: int,
    label_set: LabelSet,
    mel_stats: MelStats,
    num_videos: int | None = None,
    start: Start = "first",
    seed: int = 0,
    clip_frames: int | None = None,
) -> EvalWindows:
    """`eval_windows` of a split that is open already.

    Args:
        clip_frames: see `cssgan.data.windowing.segment_hops`; of the sound that the model hears alone.
    """
    count = len(data.clips) if num_videos is None else min(num_videos, len(data.clips))
    clips = [data.clips[i * len(data.clips) // count] for i in range(count)]
    shape = (count, num_frames, MEL_SPEC.num_bands, MEL_SPEC.segment_hops)
    video = memmap.empty((count, num_frames, *data.frames_NHWC.shape[1:]), np.uint8)
    raw_mels, mels = memmap.empty(shape, np.float32), memmap.empty(shape, np.float32)
    valid = np.zeros(count, np.int64)
    for rows in memmap.blocks(count, 32, video, raw_mels, mels, data.frames_NHWC, data.hops_HM):
        for n in range(rows.start, rows.stop):
            clip = clips[n]
            first = 0 if start == "first" else windowing.drawn_start(clip.key, clip.num_frames, num_frames, seed)
            part = data.window(clip, first, num_frames)
            heard = part if clip_frames is None else data.window(clip, first, num_frames, clip_frames=clip_frames)
            video[n], raw_mels[n], valid[n] = part.frames_THWC, part.raw_mels_TMU, part.num_valid_frames
            mels[n] = windowing.standardize(heard.raw_mels_TMU, mel_stats)
    return EvalWindows(
        keys=tuple(clip.key for clip in clips),
        video_ids=tuple(clip.video_id for clip in clips),
        label_set=label_set,
        labels_N=np.array([label_set.index(clip.label) for clip in clips], np.int64),
        video_NTHWC=video,
        raw_mels_NTMU=raw_mels,
        mels_NTMU=mels,
        num_valid_N=valid,
        frame_rates=tuple(clip.frame_rate for clip in clips),
    )
