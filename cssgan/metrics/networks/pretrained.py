"""The pretrained networks (trained by others) that an evaluation uses, loaded from their files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cssgan.metrics.networks import download
from cssgan.metrics.networks import lite2 as lite2_network
from cssgan.metrics.networks.lite2 import Lite2
from cssgan.metrics.networks.resize import Resize
from cssgan.metrics.networks.torchscript import I3d, Inception, Lpips


@dataclass(frozen=True, kw_only=True, slots=True)
class SampleLimits:
    """How many videos a distance needs.

    Args:
        frechet_min: with fewer, there is no Fréchet distance, because its value depends mainly on the number of videos.
        kernel_min: with fewer, there is no distance and no Inception Score at all.
        caution_below: with fewer, the value carries a caution; 2048 is usual in the literature.
    """

    frechet_min: int = 64
    kernel_min: int = 16
    caution_below: int = 2048


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class PretrainedNetworks:
    """The available networks; the metrics of a network that is None are unavailable.

    Args:
        lite2: from an installed package, not from a file that is fetched.
        no_lite2: reason of its unavailable metrics if `lite2` is None.
        frame_step: frames of a clip of the cascade. FID, KID and IS use its middle and the frames beside its seams; 1: all.
        cache: folder for features of real videos; None: no cache.
    """

    inception: Inception | None = None
    i3d: I3d | None = None
    lpips: Lpips | None = None
    lite2: Lite2 | None = None
    no_lite2: str = lite2_network.NOT_INSTALLED
    frame_step: int = 8
    cache: Path | None = None
    limits: SampleLimits = SampleLimits()


def load_metric_networks(
    *,
    inception: Path | None = None,
    i3d: Path | None = None,
    lpips: Path | None = None,
    resize: Resize = "torch-fidelity",
    frame_step: int = 8,
    cache: Path | None = None,
    device: str = "cpu",
    skip_lite2: str = "",
) -> PretrainedNetworks:
    """Load the given files, and for networks without a given file those in `download.weights_folder()`, if any.

    EfficientNet-Lite2 is loaded if its package is installed.

    Args:
        skip_lite2: reason for which EfficientNet-Lite2 is not used; empty: it is used.

    Raises:
        WeightsError: a given file is missing or another network, or a file in the folder has another digest.
    """
    inception_file = download.find("inception", inception)
    i3d_file = download.find("i3d", i3d)
    lpips_file = download.find("lpips", lpips)
    lite2_path = None if skip_lite2 else lite2_network.weights_path()
    return PretrainedNetworks(
        inception=inception_file and Inception(inception_file[0], resize, digest=inception_file[1], device=device),
        i3d=i3d_file and I3d(i3d_file[0], digest=i3d_file[1], device=device),
        lpips=lpips_file and Lpips(lpips_file[0], digest=lpips_file[1], device=device),
        lite2=None if lite2_path is None else Lite2(lite2_path, device=device),
        no_lite2=skip_lite2 or lite2_network.NOT_INSTALLED,
        frame_step=frame_step,
        cache=cache,
    )
