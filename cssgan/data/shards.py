"""The shards of a dataset folder: DATASET/{train,validation,test}-000000.tar ... -> samples, checked."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cssgan.types import SPLITS, Split
from phonics_data.contract.sample import Sample
from phonics_data.contract.shard import decode, read_members, read_shard
from phonics_data.errors import DatasetError


def shard_paths(dataset: Path, split: Split) -> list[Path]:
    """The tars of one split, in order. Raises `DatasetError` if there is no folder or no such tar."""
    if not dataset.is_dir():
        raise DatasetError(f"{dataset}: no such dataset folder; build one with `phonics-data build`")
    paths = sorted(dataset.glob(f"{split}-*.tar"))
    if not paths:
        others = [other for other in SPLITS if any(dataset.glob(f"{other}-*.tar"))]
        found = f"found shards of {', '.join(others)} only" if others else "found no shards"
        raise DatasetError(f"{dataset}: no {split}-*.tar, {found}; build the dataset with `phonics-data build`")
    return paths


def digest(paths: Sequence[Path]) -> str:
    """A short name for the shards' bytes and names."""
    total = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            total.update(f"{path.name}:{hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    return total.hexdigest()[:16]


def read_samples(paths: Sequence[Path]) -> Iterator[Sample]:
    """Every sample of the shards. Raises `DatasetError` for a key that comes twice, or for mixed label sets."""
    keys: dict[str, Path] = {}
    label_set = ""
    for path in paths:
        for sample in read_shard(path):
            if sample.key in keys:
                raise DatasetError(f"{path}: sample {sample.key} is in {keys[sample.key]} already")
            label_set = label_set or sample.label_set
            if sample.label_set != label_set:
                raise DatasetError(
                    f"{path}: sample {sample.key} is of label set {sample.label_set!r}, those before it of "
                    f"{label_set!r}; a dataset has one label set"
                )
            keys[sample.key] = path
            yield sample


def chosen_samples(dataset: Path, split: Split, num_samples: int) -> list[Sample]:
    """`num_samples` samples of a split, spread evenly over it in the order of their shards (all, where it has fewer).

    Only these are decoded.

    Raises:
        DatasetError: no shards, or no samples in them.
    """
    paths = shard_paths(dataset, split)
    count = sum(1 for path in paths for _ in read_members(path))
    if not count:
        raise DatasetError(f"{dataset}: the shards of {split} hold no samples; build the dataset again")
    wanted = {i * count // num_samples for i in range(num_samples)} if num_samples < count else set(range(count))
    samples: list[Sample] = []
    place = 0
    for path in paths:
        for key, members in read_members(path):
            if place in wanted:
                samples.append(decode(key, members, where=str(path)))
            place += 1
    return samples


def resize(sample: Sample, size: int) -> NDArray[np.uint8]:
    """The sample's frames at size x size, by area averaging.

    Raises `DatasetError` for frames that are not square or smaller than `size`.
    """
    frames = sample.frames_LHWC
    length, height, width, channels = frames.shape
    if height != width or height < size:
        raise DatasetError(
            f"sample {sample.key}: frames are {width}x{height}, the model's data.size is {size}; allowed: square "
            f"frames of at least this size. Use --set data.size=..., or build the dataset with larger frames"
        )
    if height == size:
        return frames
    if height % size == 0:
        factor = height // size
        blocks = frames.reshape(length, size, factor, size, factor, channels)
        return np.rint(blocks.mean(axis=(2, 4), dtype=np.float32)).astype(np.uint8)
    images = (Image.fromarray(frame).resize((size, size), Image.Resampling.BOX) for frame in frames)
    return np.stack([np.asarray(image) for image in images])
