"""Where the curves, pictures and videos of a run go besides its folder: TensorBoard, and one of wandb and trackio.

Each is a `Tracker`. What a tracker cannot do is its own affair: a run does not end because a chart could not be drawn.
"""

from __future__ import annotations

import importlib
import io
import json
import os
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from phonics_data.errors import DependencyError


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class VideoSample:
    """A generated video beside the real one, with its sound."""

    name: str
    frames_THWC: NDArray[np.uint8]
    frame_rate: Fraction
    audio_N: NDArray[np.float32]
    audio_rate_hz: int
    film: Path
    """The mp4 of the same."""


class Tracker(Protocol):
    """One place that shows a run."""

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        """Curves, by name such as ``train/g_l1``."""
        ...

    def picture(self, name: str, picture_HWC: NDArray[np.uint8], step: int) -> None: ...

    def video(self, clip: VideoSample, step: int) -> None: ...

    def close(self) -> None: ...


class TensorBoard:
    """Event files under RUN/tensorboard; videos are animated pictures with the sound beside them."""

    def __init__(self, run: Path, *, resumed_at: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(run / "tensorboard"), purge_step=resumed_at + 1)

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def picture(self, name: str, picture_HWC: NDArray[np.uint8], step: int) -> None:
        self._writer.add_image(name, picture_HWC, step, dataformats="HWC")

    def video(self, clip: VideoSample, step: int) -> None:
        summary: Any = importlib.import_module("tensorboard.compat.proto.summary_pb2").Summary

        height, width = clip.frames_THWC.shape[1:3]
        picture = summary.Image(height=height, width=width, colorspace=3, encoded_image_string=_animation(clip))
        writer: Any = self._writer
        writer._get_file_writer().add_summary(  # its own add_video needs one more package
            summary(value=[summary.Value(tag=f"videos/{clip.name}", image=picture)]), step
        )
        self._writer.add_audio(f"videos/{clip.name}", clip.audio_N[None], step, sample_rate=clip.audio_rate_hz)

    def close(self) -> None:
        self._writer.close()


def _animation(clip: VideoSample) -> bytes:
    """The frames as a GIF that plays at about their rate."""
    frames = [Image.fromarray(frame) for frame in clip.frames_THWC]
    file = io.BytesIO()
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:], duration=round(1000 / clip.frame_rate), loop=0)
    return file.getvalue()


class Wandb:
    """Weights & Biases; its own variables of the environment say where to (``WANDB_MODE=offline``: into RUN/wandb)."""

    def __init__(self, run: Path, config: Mapping[str, Any]) -> None:
        self._wandb = _module("wandb")
        self._run = self._wandb.init(
            project=None if _set("WANDB_PROJECT") else "cssgan",
            id=_identity(run),
            name=run.name,
            dir=str(run),
            config=dict(config),
            resume="allow",
        )

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        self._run.log(dict(values), step=step)

    def picture(self, name: str, picture_HWC: NDArray[np.uint8], step: int) -> None:
        self._run.log({name: self._wandb.Image(picture_HWC)}, step=step)

    def video(self, clip: VideoSample, step: int) -> None:
        self._run.log({f"videos/{clip.name}": self._wandb.Video(str(clip.film), format="mp4")}, step=step)

    def close(self) -> None:
        self._run.finish()


class Trackio:
    """trackio: a local database (``TRACKIO_DIR``) with wandb's calls; ``trackio show`` opens its page."""

    def __init__(self, run: Path, config: Mapping[str, Any]) -> None:
        self._trackio = _module("trackio")
        self._run = self._trackio.init(
            project=_set("TRACKIO_PROJECT") or "cssgan",
            name=f"{run.name}-{_identity(run)}",
            config=dict(config),
            resume="allow",
            embed=False,
        )

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        self._run.log(dict(values), step=step)

    def picture(self, name: str, picture_HWC: NDArray[np.uint8], step: int) -> None:
        self._run.log({name: self._trackio.Image(picture_HWC)}, step=step)

    def video(self, clip: VideoSample, step: int) -> None:
        self._run.log({f"videos/{clip.name}": self._trackio.Video(str(clip.film), format="mp4")}, step=step)

    def close(self) -> None:
        self._trackio.finish()


def open_trackers(run: Path, *, tracker: str, config: Mapping[str, Any], resumed_at: int) -> list[Tracker]:
    """TensorBoard, and what `train.tracker` names.

    Raises:
        DependencyError: it is not installed.
    """
    chosen: list[Tracker] = []
    if tracker == "wandb":
        chosen.append(Wandb(run, config))
    if tracker == "trackio":
        chosen.append(Trackio(run, config))
    return [TensorBoard(run, resumed_at=resumed_at), *chosen]


def check_installed(tracker: str) -> None:
    """Raises `DependencyError` unless what `train.tracker` names is there; before a run begins."""
    if tracker != "none":
        _module(tracker)


def _module(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise DependencyError(
            f"train.tracker={name}: not installed ({error}); pip install 'phonics-cssgan[{name}]', or --set "
            "train.tracker=none"
        ) from error


def _set(variable: str) -> str | None:
    return os.environ.get(variable) or None


def _identity(run: Path) -> str:
    """What a tracker knows the run folder by, the same at every start."""
    path = run / "tracker.json"
    try:
        return str(json.loads(path.read_text())["id"])
    except (OSError, ValueError, KeyError):
        found = uuid.uuid4().hex[:8]
        path.write_text(json.dumps({"id": found}))
        return found
