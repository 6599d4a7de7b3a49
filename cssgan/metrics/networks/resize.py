"""The three ways in which frames are brought to the size of a pretrained network. Which one is part of a protocol.

All take uint8 pictures and give float32 in 0..255; values of different ways may not be compared.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional

Resize = Literal["torch-fidelity", "clean"]
RESIZES: tuple[Resize, ...] = ("torch-fidelity", "clean")
INCEPTION_SIZE, I3D_SIZE = 299, 224
WORDS: dict[Resize, str] = {
    "torch-fidelity": "bilinear as in TensorFlow 1 (corners of pixels, no smoothing) to 299",
    "clean": "bicubic of PIL, smoothed, each channel in float, to 299",
}


def for_inception(frames_NHWC: NDArray[np.uint8], way: Resize) -> Tensor:
    """uint8 (N, H, W, 3) -> float32 (N, 3, 299, 299) in 0..255."""
    return tensorflow_bilinear(frames_NHWC) if way == "torch-fidelity" else clean_bicubic(frames_NHWC)


def tensorflow_bilinear(frames_NHWC: NDArray[np.uint8], size: int = INCEPTION_SIZE) -> Tensor:
    """Bilinear interpolation of TensorFlow 1's ``resize_bilinear`` (``align_corners=False``).

    Row y of the output lies at y * H / size of the input: no half pixel is added, which PyTorch's own mode does. The
    places are rounded to float32 there, so they are here.
    """
    x_NCHW = torch.from_numpy(np.ascontiguousarray(frames_NHWC)).permute(0, 3, 1, 2).float()
    above, below, down = _places(x_NCHW.shape[2], size)
    left, right, across = _places(x_NCHW.shape[3], size)
    columns = x_NCHW[..., left]
    rows = columns + (x_NCHW[..., right] - columns) * across
    top = rows[:, :, above]
    return top + (rows[:, :, below] - top) * down[:, None]


def _places(length: int, size: int) -> tuple[Tensor, Tensor, Tensor]:
    """For each row of the output: the rows of the input above and below it, and how far it lies between them."""
    place = torch.arange(size, dtype=torch.float32) * torch.tensor(length / size, dtype=torch.float32)
    above = place.floor().long()
    return above, (above + 1).clamp(max=length - 1), place - above


def clean_bicubic(frames_NHWC: NDArray[np.uint8], size: int = INCEPTION_SIZE) -> Tensor:
    """PIL's bicubic filter on each channel as float, without rounding to whole grey levels (Parmar et al. 2022)."""
    out = np.empty((len(frames_NHWC), 3, size, size), np.float32)
    for n, frame in enumerate(frames_NHWC):
        for channel in range(3):
            picture = Image.fromarray(frame[..., channel].astype(np.float32), mode=None)
            out[n, channel] = np.asarray(picture.resize((size, size), Image.Resampling.BICUBIC)).clip(0.0, 255.0)
    return torch.from_numpy(out)


def for_i3d(videos_NTHWC: NDArray[np.uint8], size: int = I3D_SIZE) -> Tensor:
    """uint8 (N, T, H, W, 3) -> float32 (N, 3, T, 224, 224) in -1..1: bilinear each frame, then 2 x / 255 - 1."""
    frames = torch.from_numpy(np.ascontiguousarray(videos_NTHWC)).permute(0, 1, 4, 2, 3).float()
    small = functional.interpolate(frames.flatten(0, 1), size=(size, size), mode="bilinear", align_corners=False)
    return (2.0 * small / 255.0 - 1.0).unflatten(0, frames.shape[:2]).transpose(1, 2)
