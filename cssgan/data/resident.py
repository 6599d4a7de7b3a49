"""Decoded splits: shards are decoded once into a memory-mapped cache, from which windows are gathered.

A cache folder is named after the digest of shards, log-mel spec and size, so it cannot be stale. It contains:

    frames.bin   uint8 (all frames, size, size, 3)
    hops.bin     float32 (all hops, bands): the log-mel of each clip with one hop of silence before and after it
    objects.bin  uint8 (1 + clips with an object picture, size / 2, size / 2, 4): RGBA (`object_pictures`); the first is empty
    boxes.bin    float32 (all frames, 4): the object's box in each frame (`phonics_data.contract.sample.Sample`), NaN where it is not known
    index.json   the clips, the label set, mean and standard deviation of all log-mel values
"""

from __future__ import annotations

import json
import logging
import math
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np
from numpy.typing import NDArray

from cssgan.config import Config, object_size
from cssgan.data import object_pictures, windowing
from cssgan.data.shards import Dataset, Shard, find_shards, label_set_of, read_samples, resize, shards_digest
from cssgan.storage import memmap
from cssgan.storage.files import cache_root, make_folder, replace_folder
from cssgan.types import EvalWindows, MelStats, Split, Window
from phonics_data.contract.files import temporary_folder
from phonics_data.contract.labels import LabelSet
from phonics_data.contract.logmel import LogMelSpec
from phonics_data.contract.records import from_plain
from phonics_data.contract.untrusted import number_of_json, read_json_object
from phonics_data.errors import DatasetError

MEL_SPEC = LogMelSpec()
CACHE_VERSION = 3
Start = Literal["first", "anywhere"]
log = logging.getLogger("cssgan")


@dataclass(frozen=True, kw_only=True, slots=True)
class Clip:
    """One clip of the dataset and its place in the cache."""

    key: str
    video_id: str
    """Source video; of a video in a group (all clips of one song), the group."""
    label: str
    frame_rate: Fraction
    num_frames: int
    first_frame: int
    start_seconds: float
    """Time of the clip's first frame in its source video."""
    object_word: str
    """Empty if the clip has none."""
    num_hops: int
    """Without the two hops of silence."""
    first_hop: int
    object_row: int
    """In `ResidentSplit.objects_NHWC`; 0 if the clip has no object picture."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ResidentSplit:
    """All decoded clips of a split."""

    clips: tuple[Clip, ...]
    label_set: LabelSet
    mean: float
    std: float
    frames_NHWC: NDArray[np.uint8]
    hops_HM: NDArray[np.float32]
    objects_NHWC: NDArray[np.uint8]
    """Object pictures, RGBA; row 0 is the empty one."""
    boxes_N4: NDArray[np.float32]
    """The object's box in each frame of `frames_NHWC`."""

    @property
    def frame_rate(self) -> Fraction:
        """The most common one."""
        return Counter(clip.frame_rate for clip in self.clips).most_common(1)[0][0]

    def window(
        self,
        clip: Clip,
        start_frame: int,
        num_frames: int,
        *,
        audio_of: Clip | None = None,
        stride: int = 1,
        clip_frames: int | None = None,
    ) -> Window:
        """`num_frames` frames of a clip from `start_frame` on; its last frame is repeated past its end.

        Args:
            audio_of: the clip whose audio is used, from the same time on (control run); default: `clip`. The mel segments
                are at the times of the frames of `clip`, whatever the frame rate of the other clip is.
            stride: every so many frames of the clip.
            clip_frames: see `cssgan.data.windowing.segment_hops`.
        """
        audio = audio_of or clip
        rows = clip.first_frame + windowing.frame_rows(start_frame, num_frames, clip.num_frames, stride)
        hops = windowing.segment_hops(
            start_frame, num_frames, clip.frame_rate, audio.num_hops, MEL_SPEC, stride=stride, clip_frames=clip_frames
        )
        return Window(
            key=clip.key,
            start_frame=start_frame,
            frames_THWC=self.frames_NHWC[rows],
            raw_mels_TMU=windowing.segments(self.hops_HM, audio.first_hop + hops),
            label_index=self.label_set.index(clip.label),
            num_valid_frames=windowing.num_valid(start_frame, num_frames, clip.num_frames, stride),
            frame_rate=clip.frame_rate,
        )

    def rows(
        self,
        clips: Sequence[tuple[Clip, Clip]],
        starts: Sequence[int],
        num_frames: int,
        *,
        stride: int = 1,
        clip_frames: int | None = None,
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The windows of a batch as row numbers: frames_BT in `frames_NHWC`, hops_BTU in `hops_HM`.

        Args:
            clips: for each window, the clip of its frames and the clip of its audio.
            starts: first frame of each window.
            stride: every so many frames of the clips.
            clip_frames: see `cssgan.data.windowing.segment_hops`.
        """
        starts_B = np.asarray(starts, np.int64)
        first_frame_B, length_B, first_hop_B, num_hops_B = np.array(
            [(clip.first_frame, clip.num_frames, audio.first_hop, audio.num_hops) for clip, audio in clips], np.int64
        ).T
        frames_BT = first_frame_B[:, None] + windowing.frame_rows(starts_B, num_frames, length_B, stride)
        hops_BTU = np.empty((len(clips), num_frames, MEL_SPEC.segment_hops), np.int64)
        rates = [clip.frame_rate for clip, _ in clips]
        for rate in set(rates):
            of_rate = np.flatnonzero([one == rate for one in rates])
            hops_BTU[of_rate] = windowing.segment_hops(
                starts_B[of_rate],
                num_frames,
                rate,
                num_hops_B[of_rate],
                MEL_SPEC,
                stride=stride,
                clip_frames=clip_frames,
            )
        return frames_BT, hops_BTU + first_hop_B[:, None, None]


def load(dataset: Dataset, split: Split, size: int, *, cache: Path | None = None) -> ResidentSplit:
    """The memory-mapped split; the first call decodes it and logs that.

    Args:
        size: height and width of the frames.
        cache: folder for caches; default: `cache_root()`.

    Raises:
        DatasetError: no shards, no samples in them, another schema version, broken members, frames that do not fit.
    """
    shards = find_shards(dataset, split)
    # Everything that the content of the cache depends on is in its name.
    name = f"{split}-{shards_digest(shards)}-{MEL_SPEC.digest()}-{size}-v{CACHE_VERSION}"
    folder = (cache or cache_root()) / name
    data = open_cache(folder, size)
    if data is None:
        if folder.exists():
            log.warning("%s: damaged cache; building it again", folder)
        log.info("decoding %d shard(s) of %s into %s", len(shards), split, folder)
        _build(dataset, shards, size, folder)
        data = open_cache(folder, size)
    if data is None:
        raise DatasetError(f"{folder}: does not keep what is written; choose another $CSSGAN_CACHE")
    return data


_ARRAYS = ("frames", "hops", "objects", "boxes")


def _build(dataset: Dataset, shards: list[Shard], size: int, folder: Path) -> None:
    """Decode into a temporary folder, then rename it, so that an incomplete cache is never used. Replaces a damaged one."""
    make_folder(folder.parent)
    with temporary_folder(folder) as temporary:
        with ExitStack() as stack:
            files = {name: stack.enter_context((temporary / f"{name}.bin").open("wb")) for name in _ARRAYS}
            index = _decode(dataset, shards, size, files)
            for file in files.values():
                file.flush()
                os.fsync(file.fileno())
        with (temporary / "index.json").open("w") as file:
            json.dump(index, file)
            file.flush()
            os.fsync(file.fileno())
        try:
            temporary.rename(folder)
        except OSError:
            # Either another process finished the same cache first, or the existing one is damaged.
            if open_cache(folder, size) is None:
                replace_folder(temporary, folder)


def _decode(dataset: Dataset, shards: list[Shard], size: int, files: Mapping[str, IO[bytes]]) -> dict[str, Any]:
    clips: list[dict[str, Any]] = []
    sums = MelSums()
    num_frames = num_hops = num_objects = 0
    picture_size = object_size(size)
    files["objects"].write(object_pictures.fit(None, picture_size).tobytes())
    set_name = ""
    silence = np.full((1, MEL_SPEC.num_bands), MEL_SPEC.silence, np.float32)
    for sample in read_samples(shards):
        mel = windowing.raw_mel(sample.audio_N, sample.audio_rate_hz, MEL_SPEC)
        if sample.object_picture is not None:
            num_objects += 1
            files["objects"].write(object_pictures.fit(sample.object_picture, picture_size).tobytes())
        clip = Clip(
            key=sample.key,
            video_id=sample.group or sample.video_id,
            label=sample.label,
            frame_rate=sample.frame_rate,
            num_frames=sample.num_frames,
            first_frame=num_frames,
            start_seconds=sample.start_seconds,
            object_word=sample.object_word or "",
            num_hops=len(mel),
            first_hop=num_hops,
            object_row=num_objects if sample.object_picture is not None else 0,
        )
        clips.append({**asdict(clip), "frame_rate": str(clip.frame_rate)})
        files["frames"].write(np.ascontiguousarray(resize(sample, size)).tobytes())
        files["hops"].write(np.concatenate([silence, mel, silence]).tobytes())
        files["boxes"].write(object_pictures.boxes(sample).tobytes())
        num_frames += clip.num_frames
        num_hops += len(mel) + 2
        sums.add(mel)
        set_name = sample.label_set
    mean, std = sums.statistics(f"{dataset}: the {len(shards)} shard(s)", len(clips))
    return {"label_set": set_name, "mean": mean, "std": std, "clips": clips}


@dataclass(slots=True)
class MelSums:
    """Sums over log-mel values, for their mean and standard deviation."""

    total: float = 0.0
    squares: float = 0.0
    num_values: int = 0

    def add(self, mel: NDArray[np.float32]) -> None:
        self.total += float(mel.sum(dtype=np.float64))
        self.squares += float(np.square(mel, dtype=np.float64).sum())
        self.num_values += mel.size

    def statistics(self, where: str, num_clips: int) -> tuple[float, float]:
        """Mean and standard deviation. Raises `DatasetError` without samples or with silent audio only."""
        if not num_clips or not self.num_values:
            what = "hold no samples" if not num_clips else "hold no audio"
            raise DatasetError(f"{where} {what}; build the dataset again")
        mean = self.total / self.num_values
        std = math.sqrt(max(self.squares / self.num_values - mean * mean, 0.0))
        if std == 0.0:
            raise DatasetError(f"{where}: all audio is digital silence; build the dataset from videos with audio")
        return mean, std


def open_cache(folder: Path, size: int) -> ResidentSplit | None:
    """The memory-mapped split of a cache folder; None if it is missing or damaged.

    Args:
        size: height and width of the frames.

    Raises:
        DatasetError: a sample of an unknown class.
    """
    try:
        index = read_json_object(folder / "index.json")
        clips = tuple(from_plain(Clip, fields) for fields in index["clips"])
        num_frames, num_hops = sum(clip.num_frames for clip in clips), sum(clip.num_hops + 2 for clip in clips)
        frames = _memory_map(folder / "frames.bin", np.uint8, (num_frames, size, size, 3))
        hops = _memory_map(folder / "hops.bin", np.float32, (num_hops, MEL_SPEC.num_bands))
        num_objects, side = 1 + sum(clip.object_row > 0 for clip in clips), object_size(size)
        objects = _memory_map(folder / "objects.bin", np.uint8, (num_objects, side, side, 4))
        boxes = _memory_map(folder / "boxes.bin", np.float32, (num_frames, 4))
        set_name, mean, std = str(index["label_set"]), number_of_json(index["mean"]), number_of_json(index["std"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError):
        return None
    label_set = label_set_of(set_name, clips)
    return ResidentSplit(
        clips=clips,
        label_set=label_set,
        mean=mean,
        std=std,
        frames_NHWC=frames,
        hops_HM=hops,
        objects_NHWC=objects,
        boxes_N4=boxes,
    )


def _memory_map(path: Path, dtype: type[np.generic], shape: tuple[int, ...]) -> NDArray[Any]:
    """Raises `ValueError` if the file is longer or shorter than the array."""
    array = np.memmap(path, dtype, "r")
    if array.size != math.prod(shape):
        raise ValueError(f"{path.name} has {array.size} values, not {math.prod(shape)}")
    return array.reshape(shape)


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
    """One window of each clip of a split, or of `num_videos` evenly spaced ones.

    It has every frame that a training window spans (`Config.source_frames`), whatever `data.frame_stride` is.

    Args:
        start: ``first``: windows start at the first frame; ``anywhere``: at a frame sampled from (`seed`, key).

    Raises:
        DatasetError: as `load`, or the split has another label set than the model.
    """
    data = load(dataset, split, config.data.size, cache=cache)
    if data.label_set.name != label_set.name:
        raise DatasetError(
            f"{dataset}: its label set is {data.label_set.name!r}, the model was trained on {label_set.name!r}; "
            "allowed: a dataset of the same label set"
        )
    return split_windows(
        data, num_frames=config.source_frames, label_set=label_set, mel_stats=mel_stats, num_videos=num_videos,
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
    """`eval_windows` of a loaded split.

    Args:
        clip_frames: see `cssgan.data.windowing.segment_hops`; applies to the model's input `mels_NTMU` only.
    """
    count = len(data.clips) if num_videos is None else min(num_videos, len(data.clips))
    clips = [data.clips[i * len(data.clips) // count] for i in range(count)]
    shape = (count, num_frames, MEL_SPEC.num_bands, MEL_SPEC.segment_hops)
    video = memmap.empty((count, num_frames, *data.frames_NHWC.shape[1:]), np.uint8)
    raw_mels, mels = memmap.empty(shape, np.float32), memmap.empty(shape, np.float32)
    valid, start_seconds = np.zeros(count, np.int64), np.zeros(count)
    for rows in memmap.blocks(count, 32, video, raw_mels, mels, data.frames_NHWC, data.hops_HM):
        for n in range(rows.start, rows.stop):
            clip = clips[n]
            first = 0 if start == "first" else windowing.sampled_start(clip.key, clip.num_frames, num_frames, seed)
            window = data.window(clip, first, num_frames)
            model_input = (
                window if clip_frames is None else data.window(clip, first, num_frames, clip_frames=clip_frames)
            )
            video[n], raw_mels[n], valid[n] = window.frames_THWC, window.raw_mels_TMU, window.num_valid_frames
            mels[n] = windowing.standardize(model_input.raw_mels_TMU, mel_stats)
            start_seconds[n] = clip.start_seconds + float(first / clip.frame_rate)
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
        start_seconds=tuple(start_seconds.tolist()),
        object_words=tuple(clip.object_word for clip in clips),
        objects_NHWC=data.objects_NHWC[[clip.object_row for clip in clips]],
    )


def phrase_windows(
    data: ResidentSplit,
    *,
    seconds: float,
    label_set: LabelSet,
    mel_stats: MelStats,
    multiple: int = 1,
    num_videos: int | None = None,
    clip_frames: int | None = None,
) -> EvalWindows:
    """Windows from the first frame of each clip to its end, at most `seconds`; otherwise as `split_windows`.

    Args:
        multiple: the number of frames of all windows is the next multiple of it; the last ones are repeated frames.
    """
    frames = max(min(clip.num_frames, int(seconds * clip.frame_rate)) for clip in data.clips)
    windows = split_windows(
        data, num_frames=-(-max(frames, 2) // multiple) * multiple, label_set=label_set, mel_stats=mel_stats,
        num_videos=num_videos, clip_frames=clip_frames,
    )  # fmt: skip
    limits = np.array([int(seconds * rate) for rate in windows.frame_rates], np.int64)
    return replace(windows, num_valid_N=np.minimum(windows.num_valid_N, np.maximum(limits, 1)))
