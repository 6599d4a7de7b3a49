"""Networks with fixed random weights that compute features of frames and videos; they need no download.

Naeem et al. (ICML 2020) use such networks for images unlike ImageNet. Distances in their features are called ``rfd_2d``
and ``rfd_3d``. They are **not** FID and FVD, whose networks are trained, and cannot be compared with them.

The weights are computed from the raw 64-bit words of a counter-based generator (Philox-4x64) with normal numbers and
orthogonal matrices implemented here, so that a change of a library's random stream cannot change the metric.
`RandomNetwork.digest` is the checksum of the weights and part of every protocol.
"""

from __future__ import annotations

import functools
import hashlib

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from cssgan.metrics.networks.resize import antialiased_bilinear

SEED = 20_240_229
NUM_FEATURES = 64
INPUT_SIZE = 64
"""Frames of another size are resized to this size (bilinear)."""
LEAK = 0.2
WIDTHS_2D = (16, 32, 64, 128, 128)
"""Five stages of two 3x3 convolutions and a pooling as in VGG-16, but narrower: 59 MMAC per frame, so that thousands of
videos can be evaluated without a GPU."""
WIDTHS_3D = (32, 64, 128, 256)
CHANGE_GAIN = 3.0
"""Factor for the frame-to-frame difference, the second input beside the frames."""
GRID_BITS = 14
"""Weights are rounded to multiples of 2^-14, because the last bits of linear algebra differ between machines."""


def normal_numbers(count: int, key: tuple[int, int]) -> NDArray[np.float64]:
    """`count` standard normal numbers from Philox words by the Box-Muller transform, the same on all machines."""
    words = np.random.Philox(key=np.array(key, np.uint64)).random_raw(2 * count)
    uniform = ((words >> np.uint64(11)).astype(np.float64) + 0.5) / 2.0**53
    return np.sqrt(-2.0 * np.log(uniform[:count])) * np.cos(2.0 * np.pi * uniform[count:])


def orthogonal(rows: int, columns: int, key: tuple[int, int]) -> NDArray[np.float64]:
    """A random matrix (rows, columns); its rows or columns, whichever are fewer, are orthonormal."""
    tall = normal_numbers(rows * columns, key).reshape(max(rows, columns), min(rows, columns))
    q, r = np.linalg.qr(tall)
    q = q * np.sign(np.diagonal(r))  # makes the factorization unique, so that all LAPACK libraries give the same
    return q if rows >= columns else q.T


class RandomNetwork:
    """Weights and checksum of a random network.

    Args:
        name: ``rand2d`` or ``rand3d``.
        layers: description of the operations between the weights. It enters the digest, so change it with the code.
        shapes: shape of each convolution's weight; the last one is that of the linear projection.
    """

    frames_at_once = 128

    def __init__(self, name: str, layers: str, shapes: list[tuple[int, ...]]) -> None:
        # Leaky ReLU keeps (1 + leak^2) / 2 of the variance; the gain restores it.
        gain = np.sqrt(2.0 / (1.0 + LEAK**2))
        digest = hashlib.sha256(f"{name}; {layers}; {shapes}; leak {LEAK}; input {INPUT_SIZE}".encode())
        key = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little")
        self.weights: list[Tensor] = []
        for index, shape in enumerate(shapes):
            fan_in = int(np.prod(shape[1:]))
            weight = orthogonal(shape[0], fan_in, (key, SEED + index))
            weight = weight * (gain * np.sqrt(max(shape[0], fan_in) / fan_in) if len(shape) > 2 else 1.0)
            grid = np.rint(weight * 2.0**GRID_BITS).astype("<i4")
            digest.update(grid.tobytes())
            self.weights.append(torch.from_numpy((grid / 2.0**GRID_BITS).astype(np.float32)).reshape(shape))
        self.digest = digest.hexdigest()[:12]
        self.name = f"{name}-{self.digest}"


class RandomNetwork2d(RandomNetwork):
    """``rand2d``: frames -> 64 features. The last feature map has 2x2 positions, so that the layout counts."""

    def __init__(self) -> None:
        widths = [(first, second) for first, second in zip((3, *WIDTHS_2D), WIDTHS_2D, strict=False)]
        shapes: list[tuple[int, ...]] = []
        for before, width in widths:
            shapes += [(width, before, 3, 3), (width, width, 3, 3)]
        side = INPUT_SIZE // 2 ** len(WIDTHS_2D)
        super().__init__(
            "rand2d",
            "conv pad 1, leaky; max pool 2 after each second; flatten",
            [*shapes, (NUM_FEATURES, WIDTHS_2D[-1] * side * side)],
        )

    def __call__(self, items: NDArray[np.uint8]) -> NDArray[np.float64]:
        with torch.inference_mode():
            x = antialiased_bilinear(
                torch.from_numpy(np.ascontiguousarray(items)).permute(0, 3, 1, 2).float() / 127.5 - 1.0, INPUT_SIZE
            )
            for index, weight in enumerate(self.weights[:-1]):
                x = functional.leaky_relu(functional.conv2d(x, weight, padding=1), LEAK)
                if index % 2:
                    x = functional.max_pool2d(x, 2)
            return (x.flatten(1) @ self.weights[-1].T).double().numpy()


class RandomNetwork3d(RandomNetwork):
    """``rand3d``: videos -> 64 features, from the mean and deviation of 256 feature maps over time and position.

    The input is each frame and its difference to the previous one. Without the difference, appearance outweighs motion:
    the distance of shuffled frames is then within the floor of 64 videos.
    """

    def __init__(self) -> None:
        pairs = zip((6, *WIDTHS_3D), WIDTHS_3D, strict=False)
        shapes: list[tuple[int, ...]] = [(width, before, 3, 3, 3) for before, width in pairs]
        layers = f"frames and {CHANGE_GAIN} x change; conv stride 2 pad 1, leaky; mean and deviation"
        super().__init__("rand3d", layers, [*shapes, (NUM_FEATURES, 2 * WIDTHS_3D[-1])])

    def __call__(self, items: NDArray[np.uint8]) -> NDArray[np.float64]:
        with torch.inference_mode():
            frames = torch.from_numpy(np.ascontiguousarray(items)).permute(0, 1, 4, 2, 3).float() / 127.5 - 1.0
            small = antialiased_bilinear(frames.flatten(0, 1), INPUT_SIZE).unflatten(0, frames.shape[:2])
            x = small.transpose(1, 2)
            change = functional.pad(x[:, :, 1:] - x[:, :, :-1], (0, 0, 0, 0, 1, 0))
            x = torch.cat([x, CHANGE_GAIN * change], 1)
            for weight in self.weights[:-1]:
                x = functional.leaky_relu(functional.conv3d(x, weight, stride=2, padding=1), LEAK)
            maps = x.flatten(2)
            pooled = torch.cat([maps.mean(2), maps.std(2, correction=0)], 1)
            return (pooled @ self.weights[-1].T).double().numpy()


@functools.cache
def rand2d() -> RandomNetwork2d:
    return RandomNetwork2d()


@functools.cache
def rand3d() -> RandomNetwork3d:
    return RandomNetwork3d()
