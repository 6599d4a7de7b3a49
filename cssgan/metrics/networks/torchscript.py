"""The canonical networks, from TorchScript files: Inception-v3 (2015-12-05), I3D (Kinetics-400), LPIPS of VGG-16.

Input in, float64 rows out, as every `cssgan.metrics.networks.random_features.Extractor`. The name of each carries the digest of its
file, so that features of two files never meet in one distance. A TorchScript file is a program: load only your own.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cssgan.errors import WeightsError
from cssgan.metrics.networks import resize
from cssgan.metrics.networks.resize import Resize
from cssgan.metrics.videos import Floats, Videos

MIN_I3D_FRAMES = 10
"""I3D pools two frames at the end of five halvings: with fewer frames nothing is left to pool."""


class Inception:
    """Inception-v3: frames -> 2048 features of pool3 and 1008 logits without their bias, in one row.

    Args:
        path: TorchScript with a submodule ``layers`` (frames at 299, (x - 128) / 128 -> 2048 features) and one ``output``
            (the weight of the logits), as in NVIDIA's inception-2015-12-05.pt.
        way: how frames get to 299.
        digest: sha256 of the file, if it is known already.

    Raises:
        WeightsError: no such file, no TorchScript, or another network.
    """

    kind = "frame"

    def __init__(self, path: Path, way: Resize = "torch-fidelity", *, digest: str | None = None, device: str = "cpu"):
        self.network, self.digest = _load(path, digest, device)
        self.way: Resize = way
        self.device = device
        try:
            self.weight_KD: Tensor = self.network.output.weight.detach()
            num_features = int(self._features(torch.zeros(1, 3, 299, 299, device=device)).shape[1])
        except (AttributeError, RuntimeError) as error:
            raise WeightsError(_other_network(path, "Inception-v3", "layers(frames at 299), output.weight")) from error
        if tuple(self.weight_KD.shape[1:]) != (num_features,):
            raise WeightsError(_other_network(path, "Inception-v3", f"logits of its {num_features} features"))
        self.num_features = num_features
        self.frames_at_once = 8 if device == "cpu" else 256
        self.name = f"inception-{self.digest[:12]}-{way}"

    def _features(self, x_NCHW: Tensor) -> Tensor:
        return self.network.layers((x_NCHW - 128.0) / 128.0).flatten(1)

    def __call__(self, items: NDArray[np.uint8]) -> Floats:
        """uint8 (N, H, W, 3) -> float64 (N, features + logits)."""
        with torch.inference_mode():
            features = self._features(resize.for_inception(items, self.way).to(self.device))
            return torch.cat([features, features @ self.weight_KD.T], dim=1).double().cpu().numpy()


class I3d:
    """I3D: videos of at least `MIN_I3D_FRAMES` frames -> 400 logits before the softmax.

    Args:
        path: TorchScript that is called as ``(x, rescale=, resize=, return_features=)`` with x float32 (N, 3, T, 224,
            224) in -1..1, as StyleGAN-V's i3d_torchscript.pt.

    Raises:
        WeightsError: no such file, no TorchScript, or another network.
    """

    kind = "video"

    def __init__(self, path: Path, *, digest: str | None = None, device: str = "cpu") -> None:
        self.network, self.digest = _load(path, digest, device)
        self.device = device
        try:
            shape = self._features(torch.zeros(1, 3, 16, resize.I3D_SIZE, resize.I3D_SIZE, device=device)).shape
        except (AttributeError, RuntimeError) as error:
            called = "(x, rescale, resize, return_features)"
            raise WeightsError(_other_network(path, "I3D", called)) from error
        if len(shape) != 2:
            raise WeightsError(_other_network(path, "I3D", f"one row a video (got {tuple(shape)})"))
        self.name = f"i3d-{self.digest[:12]}"
        self.frames_at_once = 32 if device == "cpu" else 512

    def _features(self, x_NCTHW: Tensor) -> Tensor:
        return self.network(x_NCTHW, rescale=False, resize=False, return_features=True)

    def __call__(self, items: Videos) -> Floats:
        """uint8 (N, T, H, W, 3) -> float64 (N, 400)."""
        if items.shape[1] < MIN_I3D_FRAMES:
            raise ValueError(f"i3d: got videos of {items.shape[1]} frames, allowed: {MIN_I3D_FRAMES} or more")
        with torch.inference_mode():
            return self._features(resize.for_i3d(items).to(self.device)).double().cpu().numpy()


class Lpips:
    """Learned perceptual distance of two frames (Zhang et al. 2018).

    Args:
        path: TorchScript that is called as ``(x, resize_images=False, return_lpips=True)`` with x float32 (N, 3, H, W) in
            0..255 and gives features whose squared distance is LPIPS, as NVIDIA's vgg16.pt.
    """

    def __init__(self, path: Path, *, digest: str | None = None, device: str = "cpu") -> None:
        self.network, self.digest = _load(path, digest, device)
        self.device = device
        try:
            self._features(torch.zeros(1, 3, 64, 64, device=device))
        except (AttributeError, RuntimeError) as error:
            called = "(x, resize_images, return_lpips)"
            raise WeightsError(_other_network(path, "LPIPS", called)) from error
        self.name = f"lpips-{self.digest[:12]}"

    def _features(self, x_NCHW: Tensor) -> Tensor:
        return self.network(x_NCHW, resize_images=False, return_lpips=True).flatten(1)

    def __call__(self, a_NHWC: NDArray[np.uint8], b_NHWC: NDArray[np.uint8]) -> Floats:
        """uint8 (N, H, W, 3) twice -> float64 (N,), 0 for equal frames."""
        with torch.inference_mode():
            a, b = (
                self._features(torch.from_numpy(np.ascontiguousarray(x)).permute(0, 3, 1, 2).float().to(self.device))
                for x in (a_NHWC, b_NHWC)
            )
            return (a - b).square().sum(dim=1).double().cpu().numpy()


def _load(path: Path, digest: str | None, device: str) -> tuple[Any, str]:
    try:
        if digest is None:
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # the files are published in this format
            load: Callable[..., Any] = torch.jit.load
            return load(str(path), map_location=device).eval(), digest
    except OSError as error:
        raise WeightsError(f"{path}: {error.strerror or error}; give the file of a network's weights") from error
    except RuntimeError as error:
        raise WeightsError(f"{path}: is no TorchScript file; `cssgan weights list` says which ones fit") from error


def _other_network(path: Path, wanted: str, how: str) -> str:
    return f"{path}: is not {wanted}: it lacks {how}; `cssgan weights list` says which file is meant"
