"""Paths of weights -> the networks of `cssgan.metrics.network_suite`."""

from __future__ import annotations

from pathlib import Path

from cssgan.metrics.network_suite import Networks
from cssgan.metrics.networks import download
from cssgan.metrics.networks.resize import Resize
from cssgan.metrics.networks.torchscript import I3d, Inception, Lpips


def load(
    *,
    inception: Path | None = None,
    i3d: Path | None = None,
    lpips: Path | None = None,
    way: Resize = "torch-fidelity",
    frame_step: int = 8,
    keep: Path | None = None,
    device: str = "cpu",
) -> Networks:
    """The networks whose files are there: those that were named, else those in `cssgan.metrics.networks.download.folder`.

    Raises:
        WeightsError: a named file is missing or another network, or a file in the folder is not the pinned one.
    """
    frames, videos, pairs = (
        download.found("inception", inception),
        download.found("i3d", i3d),
        download.found("lpips", lpips),
    )
    return Networks(
        inception=None if frames is None else Inception(frames[0], way, digest=frames[1], device=device),
        i3d=None if videos is None else I3d(videos[0], digest=videos[1], device=device),
        lpips=None if pairs is None else Lpips(pairs[0], digest=pairs[1], device=device),
        frame_step=frame_step,
        keep=keep,
    )
