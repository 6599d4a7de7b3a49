"""The streaming loader: reader processes decode the windows of each batch from byte ranges of the shards.

For datasets that do not fit into memory. Before the first step each shard is read once for its index
(`cssgan.data.index`), which is cached. Batches are those of `cssgan.data.sampler`, as for the resident loader.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import count, groupby
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Dataset as MapDataset

from cssgan.config import Config, object_size
from cssgan.data import object_pictures, windowing
from cssgan.data.batches import GatherLoader, HostBatch, augment_boxes, augment_object, augment_window
from cssgan.data.index import StreamIndex
from cssgan.data.reader_processes import reader_lost_error, reader_processes
from cssgan.data.resident import MEL_SPEC
from cssgan.data.shards import resize
from cssgan.types import MelStats
from phonics_data.contract import tar_reader
from phonics_data.contract.address import is_address
from phonics_data.contract.sample import Sample
from phonics_data.contract.shard import decode
from phonics_data.errors import PhonicsDataError

TIMEOUT_SECONDS = 10
"""The training loop handles signals at least this often while it waits for data."""
PARALLEL_REQUESTS = 4
"""Requests to a server that each reader process has open at a time."""

Arrays = tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.uint8], NDArray[np.float32]]
"""frames_BTHWC, standardized mels_BTMU, RGBA pictures_BHWC of the objects and their boxes_BT4."""
WindowRequest = tuple[int, int, int]
"""Clip number, first frame, and position (for the augmentation) of a window."""


class LoaderTimeoutError(Exception):
    """No data within `TIMEOUT_SECONDS`; the same request may be repeated to wait longer."""


class _WindowDataset(MapDataset[Any]):
    """Map-style dataset: a list of window requests -> `Arrays`, or the error."""

    def __init__(self, index: StreamIndex, config: Config, mel_stats: MelStats) -> None:
        self.index, self.config, self.mel_stats = index, config, mel_stats

    def __getitem__(self, requests: list[WindowRequest]) -> Arrays | PhonicsDataError:
        try:
            frames, raw_mels, pictures, boxes = zip(*self._windows(requests), strict=True)
        except PhonicsDataError as error:  # returned, because DataLoader would wrap it into a long traceback
            return error
        mels = windowing.standardize(np.stack(raw_mels), self.mel_stats)
        return np.stack(frames), mels, np.stack(pictures), np.stack(boxes)

    def _windows(self, requests: list[WindowRequest]) -> Iterator[Arrays]:
        """frames_THWC, raw_mels_TMU, picture_HWC and boxes_T4 of each window, equal to those of `ResidentSplit`."""
        # Consecutive windows of one clip (order.sampling=enumerate) are cut from one decoded copy.
        by_item = [(item, list(group)) for item, group in groupby(requests, key=lambda request: request[0])]
        samples = self._samples([item for item, _ in by_item])
        config = self.config
        num_frames, stride = config.data.num_frames, config.data.frame_stride
        silence = np.full((1, MEL_SPEC.num_bands), MEL_SPEC.silence, np.float32)
        for sample, (_, group) in zip(samples, by_item, strict=True):
            mel_HM = windowing.raw_mel(sample.audio_N, sample.audio_rate_hz, MEL_SPEC)
            padded_HM = np.concatenate([silence, mel_HM, silence])
            used = sample.object_picture if self.config.model.object_condition else None
            picture_HWC = object_pictures.fit(used, object_size(self.config.data.size))
            boxes_L4 = object_pictures.boxes(sample)
            for _, start, position in group:
                rows, places = np.unique(
                    windowing.frame_rows(start, num_frames, sample.num_frames, stride), return_inverse=True
                )
                visible = replace(sample, frames_LHWC=sample.frames_LHWC[rows], object_boxes_L4=None)
                frames_THWC = resize(visible, config.data.size)[places]
                hops_TU = windowing.segment_hops(
                    start, num_frames, sample.frame_rate, len(mel_HM), MEL_SPEC,
                    stride=stride, clip_frames=config.context_frames,
                )  # fmt: skip
                yield (
                    augment_window(frames_THWC, config, position),
                    windowing.segments(padded_HM, hops_TU),
                    augment_object(picture_HWC, config, position),
                    augment_boxes(boxes_L4[rows[places]], config, position, (config.data.size, config.data.size)),
                )

    def _samples(self, items: Sequence[int]) -> Iterator[Sample]:
        if not is_address(self.index.shards[0].address):
            yield from map(self._sample, items)
            return
        with ThreadPoolExecutor(PARALLEL_REQUESTS) as pool:
            for first in range(0, len(items), PARALLEL_REQUESTS):
                yield from pool.map(self._sample, items[first : first + PARALLEL_REQUESTS])

    def _sample(self, item: int) -> Sample:
        shard, clip = self.index.shard_of(item), self.index.clips[item]
        members = tar_reader.read_sample(shard.address, clip.key, clip.offset, clip.num_bytes)
        return decode(clip.key, members, where=shard.address)


@dataclass(kw_only=True, slots=True, eq=False)
class StreamingLoader(GatherLoader[StreamIndex]):
    """Batches from shards that are read during training.

    Batches at consecutive positions are read in advance; another position restarts the reader processes.
    """

    _arrays: Iterator[Any] | None = None
    _next: int = -1
    """Position of the batch that `_arrays` yields next."""

    def prepare(self, position: int) -> HostBatch:
        """See `PreparedLoader`.

        Raises:
            LoaderTimeoutError: no data yet; call again with the same position.
            DatasetError: a shard cannot be read, or was changed.
            ReaderLostError: a reader process died.
        """
        if self._arrays is None or position != self._next:
            self._restart(position)
        frames_BTHWC, mels_BTMU, objects_BHWC, boxes_BT4 = self._receive()
        self._next = position + self.config.train.batch_size
        return HostBatch(
            spec=self.sampler.spec(position),
            frames_BTHWC=frames_BTHWC,
            mels_BTMU=mels_BTMU,
            objects_BHWC=objects_BHWC if self.config.model.object_condition else None,
            boxes_BT4=boxes_BT4 if self.config.loss.place_weight else None,
        )

    def close(self) -> None:
        """End the reader processes."""
        self._arrays = None

    def _restart(self, position: int) -> None:
        self.close()
        self._next = position
        workers = self.config.data.workers
        if workers:  # load what log-mels need before the fork, once instead of in each reader
            windowing.raw_mel(np.zeros(MEL_SPEC.hop_samples, np.float32), MEL_SPEC.rate_hz, MEL_SPEC)
        windows = _WindowDataset(self.data, self.config, self.mel_stats)
        self._arrays = reader_processes(
            windows, workers, order=self._requests(position), timeout_seconds=TIMEOUT_SECONDS
        )

    def _requests(self, first_position: int) -> Iterator[list[WindowRequest]]:
        """The window requests of each batch from `first_position` on."""
        for position in count(first_position, self.config.train.batch_size):
            spec = self.sampler.spec(position)
            yield list(zip(spec.items, spec.starts, count(spec.first_position), strict=False))

    def _receive(self) -> Arrays:
        assert self._arrays is not None
        try:
            received = next(self._arrays)
        except RuntimeError as error:
            if "timed out" in str(error):
                raise LoaderTimeoutError from error
            lost = reader_lost_error(error)
            self.close()
            if lost is None:
                raise
            raise lost from error
        if isinstance(received, PhonicsDataError):
            self.close()
            raise received
        return cast("Arrays", received)
