"""Experiment trackers for the metrics, images and videos of a run: TensorBoard, and optionally wandb or trackio."""

from __future__ import annotations

import importlib
import io
import json
import os
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from phonics_data.contract.untrusted import read_json_object
from phonics_data.errors import DependencyError


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class VideoSample:
    """A real and a generated video side by side, with audio."""

    name: str
    frames_THWC: NDArray[np.uint8]
    frame_rate: Fraction
    audio_N: NDArray[np.float32]
    audio_rate_hz: int
    path: Path
    """The mp4 file of this video."""


class Tracker(Protocol):
    """Receives the logs of a run."""

    def log_scalars(self, values: Mapping[str, float], step: int) -> None:
        """Metrics with names such as ``train/g_l1``."""
        ...

    def log_image(self, name: str, image_HWC: NDArray[np.uint8], step: int) -> None: ...

    def log_video(self, video: VideoSample, step: int) -> None: ...

    def close(self) -> None: ...


class TensorBoard:
    """Event files in RUN/tensorboard. A video is logged as a GIF and an audio clip."""

    def __init__(self, run: Path, *, resumed_at: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(run / "tensorboard"), purge_step=resumed_at + 1)

    def log_scalars(self, values: Mapping[str, float], step: int) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def log_image(self, name: str, image_HWC: NDArray[np.uint8], step: int) -> None:
        self._writer.add_image(name, image_HWC, step, dataformats="HWC")

    def log_video(self, video: VideoSample, step: int) -> None:
        summary: Any = importlib.import_module("tensorboard.compat.proto.summary_pb2").Summary

        height, width = video.frames_THWC.shape[1:3]
        image = summary.Image(height=height, width=width, colorspace=3, encoded_image_string=_gif(video))
        writer: Any = self._writer
        writer._get_file_writer().add_summary(  # add_video would need another package
            summary(value=[summary.Value(tag=f"videos/{video.name}", image=image)]), step
        )
        self._writer.add_audio(f"videos/{video.name}", video.audio_N[None], step, sample_rate=video.audio_rate_hz)

    def close(self) -> None:
        self._writer.close()


def _gif(video: VideoSample) -> bytes:
    """The frames as a GIF, at about their frame rate."""
    frames = [Image.fromarray(frame) for frame in video.frames_THWC]
    file = io.BytesIO()
    frames[0].save(
        file, "GIF", save_all=True, append_images=frames[1:], duration=round(1000 / video.frame_rate), loop=0
    )
    return file.getvalue()


class Wandb:
    """Weights & Biases, configured by its environment variables (``WANDB_MODE=offline``: logs into RUN/wandb)."""

    def __init__(self, run: Path, config: Mapping[str, Any]) -> None:
        self._wandb = _import("wandb")
        self._run = self._wandb.init(
            project=None if _environment("WANDB_PROJECT") else "cssgan",
            id=_run_id(run),
            name=run.name,
            dir=str(run),
            config=dict(config),
            resume="allow",
        )

    def log_scalars(self, values: Mapping[str, float], step: int) -> None:
        self._run.log(dict(values), step=step)

    def log_image(self, name: str, image_HWC: NDArray[np.uint8], step: int) -> None:
        self._run.log({name: self._wandb.Image(image_HWC)}, step=step)

    def log_video(self, video: VideoSample, step: int) -> None:
        self._run.log({f"videos/{video.name}": self._wandb.Video(str(video.path), format="mp4")}, step=step)

    def close(self) -> None:
        self._run.finish()


class Trackio:
    """trackio: a local database (``TRACKIO_DIR``) with the interface of wandb; ``trackio show`` opens its dashboard."""

    def __init__(self, run: Path, config: Mapping[str, Any]) -> None:
        self._trackio = _import("trackio")
        self._run = self._trackio.init(
            project=_environment("TRACKIO_PROJECT") or "cssgan",
            name=f"{run.name}-{_run_id(run)}",
            config=dict(config),
            resume="allow",
            embed=False,
        )

    def log_scalars(self, values: Mapping[str, float], step: int) -> None:
        self._run.log(dict(values), step=step)

    def log_image(self, name: str, image_HWC: NDArray[np.uint8], step: int) -> None:
        self._run.log({name: self._trackio.Image(image_HWC)}, step=step)

    def log_video(self, video: VideoSample, step: int) -> None:
        self._run.log({f"videos/{video.name}": self._trackio.Video(str(video.path), format="mp4")}, step=step)

    def close(self) -> None:
        self._trackio.finish()


def open_trackers(run: Path, *, tracker: str, config: Mapping[str, Any], resumed_at: int) -> list[Tracker]:
    """TensorBoard, and the tracker of `train.tracker`. Raises `DependencyError` if it is not installed."""
    opened: list[Tracker] = [TensorBoard(run, resumed_at=resumed_at)]
    if tracker == "wandb":
        opened.append(Wandb(run, config))
    if tracker == "trackio":
        opened.append(Trackio(run, config))
    return opened


def check_installed(tracker: str) -> None:
    """Raise `DependencyError` if the tracker of `train.tracker` is not installed."""
    if tracker != "none":
        _import(tracker)


def _import(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise DependencyError(
            f"train.tracker={name}: not installed ({error}); pip install 'phonics-cssgan[{name}]', or --set "
            "train.tracker=none"
        ) from error


def _environment(variable: str) -> str | None:
    return os.environ.get(variable) or None


def _run_id(run: Path) -> str:
    """The run's id in its tracker, which stays the same when the run resumes."""
    path = run / "tracker.json"
    try:
        run_id = read_json_object(path, max_bytes=10_000)["id"]
        if not isinstance(run_id, str) or not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", run_id):
            raise ValueError(run_id)
        return run_id
    except (OSError, ValueError, KeyError):
        run_id = uuid.uuid4().hex[:8]
        path.write_text(json.dumps({"id": run_id}))
        return run_id
