"""Options of the stage `shard`."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import Literal, get_args

from phonics_data.contract.shard import FramesFormat
from phonics_data.errors import OptionError
from phonics_data.media.probe import clip_rate
from phonics_data.quality.filters import FilterOptions
from phonics_data.quality.split import GivenSplit, Ratios

DatasetFit = Literal["squash", "letter", "pad", "crop", "letterbox-detect"]
"""How frames of another aspect ratio are fitted:

* ``squash``: the whole frame, distorted; the paper's files are made so.
* ``letter``: the smallest part of the frame that holds the segment's letter and object, undistorted and the same in all frames;
  ``squash`` where they do not fit or are not known.
* ``pad``: the whole frame, with black bars.
* ``crop``: the centre of the frame.
* ``letterbox-detect``: the centre of the frame without its black bars.
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class ShardOptions:
    """Options of the stage. Defaults are the paper's (64 x 64 pixels) where it gives any.

    Args:
        frame_rate: of all clips, or None: each clip has the rate of its source, `FetchedVideo.frame_rate`.
        target_shard_bytes: mean size of a shard; none is larger than twice this size, unless it has a single clip.
        given_splits: splits of sources that are not chosen by `ratios`.
        label_set: name of the label set of the segments' labels.
        object_pictures: look for the object that appears in each clip and store its picture.
        frames: how a clip's frames are stored: ``npy`` raw, or ``mp4``, small and lossy, for large frames.
    """

    frame_rate: Fraction | None = Fraction(25)
    width: int = 64
    height: int = 64
    fit: DatasetFit = "squash"
    audio_rate_hz: int = 16_000
    target_shard_bytes: int = 100_000_000
    ratios: Ratios = field(default_factory=Ratios)
    given_splits: tuple[GivenSplit, ...] = ()
    seed: int = 0
    label_set: str = "letters"
    frames: FramesFormat = "npy"
    object_pictures: bool = True
    filters: FilterOptions = field(default_factory=FilterOptions)

    def __post_init__(self) -> None:
        if self.frame_rate is not None and not 0 < self.frame_rate <= 240:
            raise OptionError("--frame-rate", str(self.frame_rate), "over 0 and up to 240, or source")
        for dimension, value in (("width", self.width), ("height", self.height)):
            if not 8 <= value <= 4096:
                raise OptionError("--size", value, f"8 to 4096 pixels of {dimension}")
        if self.fit not in get_args(DatasetFit):
            raise OptionError("--fit", self.fit, ", ".join(get_args(DatasetFit)))
        if self.frames not in get_args(FramesFormat):
            raise OptionError("--frames", self.frames, ", ".join(get_args(FramesFormat)))
        if not 4_000 <= self.audio_rate_hz <= 192_000:
            raise OptionError("audio_rate_hz", self.audio_rate_hz, "4000 to 192000")
        if self.target_shard_bytes < 100_000:
            raise OptionError("--shard-bytes", self.target_shard_bytes, "100000 or more")

    def clip_rate(self, source_rate: Fraction) -> Fraction:
        """The frame rate of the clips of a source of `source_rate` frames a second."""
        return clip_rate(source_rate) if self.frame_rate is None else self.frame_rate

    def cut_key(self, source_rate: Fraction) -> list[object]:
        """The options that determine the bytes of the clips of a source. The others only select and arrange clips."""
        key: list[object] = [
            str(self.clip_rate(source_rate)),
            self.width,
            self.height,
            self.fit,
            self.audio_rate_hz,
            self.label_set,
        ]
        if self.frames != "npy":
            key.append(self.frames)
        return key if self.object_pictures else [*key, "no object pictures"]
