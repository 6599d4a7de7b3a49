"""Everything that decides what a dataset is made of."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import Literal, get_args

from phonics_data.contract.shard import FramesForm
from phonics_data.errors import OptionError
from phonics_data.quality.filters import FilterOptions
from phonics_data.quality.split import Ratios

DatasetFit = Literal["crop", "pad", "squash", "letterbox-detect"]
"""As `phonics_data.media.Fit`; ``letterbox-detect`` removes black bars first and crops then."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ShardOptions:
    """Options of the stage. Defaults are the paper's (64 x 64 pixels, 25 frames a second) where it gives any.

    Args:
        target_shard_bytes: shards end near this size; none is over twice of it, unless a single clip is.
        label_set: name of the label set that the segments' labels belong to.
        frames: how a clip's frames are stored: ``npy`` raw, or ``mp4``, small and not lossless, for large frames.
    """

    frame_rate: Fraction = Fraction(25)
    width: int = 64
    height: int = 64
    fit: DatasetFit = "crop"
    audio_rate_hz: int = 16_000
    target_shard_bytes: int = 100_000_000
    ratios: Ratios = field(default_factory=Ratios)
    seed: int = 0
    label_set: str = "letters"
    frames: FramesForm = "npy"
    filters: FilterOptions = field(default_factory=FilterOptions)

    def __post_init__(self) -> None:
        if not 0 < self.frame_rate <= 240:
            raise OptionError("--frame-rate", str(self.frame_rate), "over 0 and up to 240")
        for flag, value in (("width", self.width), ("height", self.height)):
            if not 8 <= value <= 4096:
                raise OptionError("--size", value, f"8 to 4096 pixels of {flag}")
        if self.fit not in get_args(DatasetFit):
            raise OptionError("--fit", self.fit, ", ".join(get_args(DatasetFit)))
        if self.frames not in get_args(FramesForm):
            raise OptionError("--frames", self.frames, ", ".join(get_args(FramesForm)))
        if not 4_000 <= self.audio_rate_hz <= 192_000:
            raise OptionError("--audio-rate", self.audio_rate_hz, "4000 to 192000")
        if self.target_shard_bytes < 100_000:
            raise OptionError("--shard-bytes", self.target_shard_bytes, "100000 or more")

    def cut_key(self) -> list[object]:
        """The part of the options that decides the bytes of a cut clip; the rest only sorts and judges clips."""
        key: list[object] = [
            str(self.frame_rate),
            self.width,
            self.height,
            self.fit,
            self.audio_rate_hz,
            self.label_set,
        ]
        return key if self.frames == "npy" else [*key, self.frames]
