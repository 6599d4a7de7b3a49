"""What a generator is called with by the metrics: images, audio, classes, and for some models the objects that appear."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cssgan.metrics.videos import Ints, Videos
from cssgan.types import EvalWindows

Images = NDArray[np.uint8]
"""uint8 (N, H, W, 3)."""
Mels = NDArray[np.float32]
"""float32 (N, T, M, U)."""
Generate = Callable[[Images, Mels, Ints], Videos]
"""(first images, log-mel segments, class indices) -> uint8 videos (N, T, H, W, 3)."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Objects:
    """The objects of some videos.

    Args:
        pictures_NHWC: uint8 RGBA (`EvalWindows.objects_NHWC`), zeros for none.
        words: empty for none.
    """

    pictures_NHWC: NDArray[np.uint8]
    words: tuple[str, ...]

    @classmethod
    def of(cls, data: EvalWindows, rows: slice | Ints) -> Objects | None:
        """Those of some windows; None if these are without pictures."""
        if data.objects_NHWC is None:
            return None
        index = np.arange(len(data))[rows]
        return cls(pictures_NHWC=data.objects_NHWC[index], words=tuple(data.object_words[n] for n in index))

    def repeated(self, n: int, count: int) -> Objects:
        """The object of video `n`, `count` times."""
        return Objects(
            pictures_NHWC=np.repeat(self.pictures_NHWC[n : n + 1], count, axis=0), words=(self.words[n],) * count
        )


@dataclass(frozen=True, slots=True, eq=False)
class ObjectGenerate:
    """A `Generate` of a model that takes objects. Called as a `Generate`, it gets none.

    Args:
        with_objects: the same with the objects as fourth argument; None: no objects.
    """

    with_objects: Callable[[Images, Mels, Ints, Objects | None], Videos]

    def __call__(self, images_NHWC: Images, mels_NTMU: Mels, labels_N: Ints) -> Videos:
        return self.with_objects(images_NHWC, mels_NTMU, labels_N, None)


def bound(model: Generate, objects: Objects | None) -> Generate:
    """`model` with these objects if it takes objects, else `model` itself."""
    if not isinstance(model, ObjectGenerate):
        return model
    return lambda images, mels, labels: model.with_objects(images, mels, labels, objects)


def generate_rows(
    model: Generate, data: EvalWindows, rows: slice | Ints, *, audio: Ints | None = None, objects: Ints | None = None
) -> Videos:
    """Videos of some windows with their own objects.

    Args:
        audio: windows whose audio is used instead, one for each row.
        objects: windows whose objects are used instead, one for each row.
    """
    mels = data.mels_NTMU[rows if audio is None else audio]
    chosen = Objects.of(data, rows if objects is None else objects)
    return bound(model, chosen)(data.video_NTHWC[rows, 0], mels, data.labels_N[rows])
