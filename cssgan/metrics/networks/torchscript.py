"""The pretrained networks from TorchScript files: Inception-v3 (2015-12-05), I3D (Kinetics-400), LPIPS of VGG-16.

Inception and I3D are extractors (`cssgan.metrics.feature_extraction.Extractor`). The name of each network contains the
digest of its file, so that features of two files are never compared. A TorchScript file is a program: load only files
from a source that you trust.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cssgan.errors import WeightsError
from cssgan.metrics.networks import resize as resizing
from cssgan.metrics.networks.download import sha256_of
from cssgan.metrics.networks.resize import Resize
from cssgan.metrics.videos import Floats, Videos

MIN_I3D_FRAMES = 10
"""After five halvings I3D pools over two frames, so fewer frames leave nothing to pool."""


class Inception:
    """Inception-v3: frames -> 2048 features of pool3 and 1008 logits without bias, in one row.

    Args:
        path: TorchScript with a submodule ``layers`` (frames at 299, (x - 128) / 128 -> 2048 features) and a submodule
            ``output`` (the weight of the logits), as in NVIDIA's inception-2015-12-05.pt.
        resize: method of resizing to 299.
        digest: sha256 of the file; None: it is computed.

    Raises:
        WeightsError: no such file, not TorchScript, or another network.
    """

    def __init__(
        self, path: Path, resize: Resize = "torch-fidelity", *, digest: str | None = None, device: str = "cpu"
    ):
        self.network, self.digest = _load(path, digest, device)
        self.resize: Resize = resize
        self.device = device
        try:
            self.weight_KD: Tensor = self.network.output.weight.detach()
            num_features = int(self._features(torch.zeros(1, 3, 299, 299, device=device)).shape[1])
        except (AttributeError, RuntimeError) as error:
            raise _another_network(path, "Inception-v3", "layers(frames at 299), output.weight") from error
        if tuple(self.weight_KD.shape[1:]) != (num_features,):
            raise _another_network(path, "Inception-v3", f"logits of its {num_features} features")
        self.num_features = num_features
        self.frames_at_once = 8 if device == "cpu" else 256
        self.name = f"inception-{self.digest[:12]}-{resize}"

    def _features(self, x_NCHW: Tensor) -> Tensor:
        return self.network.layers((x_NCHW - 128.0) / 128.0).flatten(1)

    def __call__(self, items: NDArray[np.uint8]) -> Floats:
        """uint8 (N, H, W, 3) -> float64 (N, features + logits)."""
        with torch.inference_mode():
            features = self._features(resizing.for_inception(items, self.resize).to(self.device))
            return torch.cat([features, features @ self.weight_KD.T], dim=1).double().cpu().numpy()


class I3d:
    """I3D: videos of at least `MIN_I3D_FRAMES` frames -> 400 logits before the softmax.

    Args:
        path: TorchScript that is called as ``(x, rescale=, resize=, return_features=)`` with x float32 (N, 3, T, 224,
            224) in -1..1, as StyleGAN-V's i3d_torchscript.pt.
        digest: sha256 of the file; None: it is computed.

    Raises:
        WeightsError: no such file, not TorchScript, or another network.
    """

    def __init__(self, path: Path, *, digest: str | None = None, device: str = "cpu") -> None:
        self.network, self.digest = _load(path, digest, device)
        self.device = device
        try:
            shape = self._features(torch.zeros(1, 3, 16, resizing.I3D_SIZE, resizing.I3D_SIZE, device=device)).shape
        except (AttributeError, RuntimeError) as error:
            raise _another_network(path, "I3D", "(x, rescale, resize, return_features)") from error
        if len(shape) != 2:
            raise _another_network(path, "I3D", f"one row per video (got {tuple(shape)})")
        self.name = f"i3d-{self.digest[:12]}"
        self.frames_at_once = 32 if device == "cpu" else 512

    def _features(self, x_NCTHW: Tensor) -> Tensor:
        return self.network(x_NCTHW, rescale=False, resize=False, return_features=True)

    def __call__(self, items: Videos) -> Floats:
        """uint8 (N, T, H, W, 3) -> float64 (N, 400)."""
        if items.shape[1] < MIN_I3D_FRAMES:
            raise ValueError(f"i3d: got videos of {items.shape[1]} frames, allowed: {MIN_I3D_FRAMES} or more")
        with torch.inference_mode():
            return self._features(resizing.for_i3d(items).to(self.device)).double().cpu().numpy()


class Lpips:
    """Learned perceptual distance of two frames (Zhang et al. 2018).

    Args:
        path: TorchScript that is called as ``(x, resize_images=False, return_lpips=True)`` with x float32 (N, 3, H, W)
            in 0..255. It returns features whose squared distance is LPIPS, as NVIDIA's vgg16.pt.
        digest: sha256 of the file; None: it is computed.

    Raises:
        WeightsError: no such file, not TorchScript, or another network.
    """

    def __init__(self, path: Path, *, digest: str | None = None, device: str = "cpu") -> None:
        self.network, self.digest = _load(path, digest, device)
        self.device = device
        try:
            self._features(torch.zeros(1, 3, 64, 64, device=device))
        except (AttributeError, RuntimeError) as error:
            raise _another_network(path, "LPIPS", "(x, resize_images, return_lpips)") from error
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
    digest = digest or sha256_of(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # the files are published in this format
            load: Callable[..., Any] = torch.jit.load
            return load(str(path), map_location=device).eval(), digest
    except OSError as error:
        raise WeightsError(f"{path}: {error.strerror or error}; give the weights file of a network") from error
    except RuntimeError as error:
        raise WeightsError(f"{path}: not a TorchScript file; see `cssgan weights list`") from error


def _another_network(path: Path, expected: str, missing: str) -> WeightsError:
    return WeightsError(f"{path}: is not {expected}: it lacks {missing}; see `cssgan weights list`")
