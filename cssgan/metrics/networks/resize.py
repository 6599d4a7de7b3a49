"""Resizing of frames for the pretrained networks. The method is part of the protocol.

All methods take uint8 images. Values of different methods cannot be compared.
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
DESCRIPTIONS: dict[Resize, str] = {
    "torch-fidelity": "bilinear as in TensorFlow 1 (corners of pixels, no smoothing) to 299",
    "clean": "bicubic of PIL, smoothed, each channel in float, to 299",
}


def for_inception(frames_NHWC: NDArray[np.uint8], resize: Resize) -> Tensor:
    """uint8 (N, H, W, 3) -> float32 (N, 3, 299, 299) in 0..255."""
    return tensorflow_bilinear(frames_NHWC) if resize == "torch-fidelity" else clean_bicubic(frames_NHWC)


def tensorflow_bilinear(frames_NHWC: NDArray[np.uint8]) -> Tensor:
    """Bilinear interpolation of TensorFlow 1's ``resize_bilinear`` (``align_corners=False``), float32 in 0..255.

    Row y of the output is sampled at y * H / size of the input. PyTorch's own mode adds half a pixel, this one does
    not. As in TensorFlow, positions are rounded to float32.
    """
    x_NCHW = torch.from_numpy(np.ascontiguousarray(frames_NHWC)).permute(0, 3, 1, 2).float()
    above, below, down = _positions(x_NCHW.shape[2], INCEPTION_SIZE)
    left, right, across = _positions(x_NCHW.shape[3], INCEPTION_SIZE)
    columns = x_NCHW[..., left]
    rows = columns + (x_NCHW[..., right] - columns) * across
    top = rows[:, :, above]
    return top + (rows[:, :, below] - top) * down[:, None]


def _positions(length: int, size: int) -> tuple[Tensor, Tensor, Tensor]:
    """For each output row: the input rows above and below it, and the fraction between them."""
    position = torch.arange(size, dtype=torch.float32) * torch.tensor(length / size, dtype=torch.float32)
    above = position.floor().long()
    return above, (above + 1).clamp(max=length - 1), position - above


def clean_bicubic(frames_NHWC: NDArray[np.uint8]) -> Tensor:
    """PIL's bicubic filter on each channel as float, without rounding to integer grey levels (Parmar et al. 2022)."""
    size = INCEPTION_SIZE
    out = np.empty((len(frames_NHWC), 3, size, size), np.float32)
    for n, frame in enumerate(frames_NHWC):
        for channel in range(3):
            image = Image.fromarray(frame[..., channel].astype(np.float32), mode=None)
            out[n, channel] = np.asarray(image.resize((size, size), Image.Resampling.BICUBIC)).clip(0.0, 255.0)
    return torch.from_numpy(out)


def for_i3d(videos_NTHWC: NDArray[np.uint8]) -> Tensor:
    """uint8 (N, T, H, W, 3) -> float32 (N, 3, T, 224, 224) in -1..1: bilinear per frame, then 2 x / 255 - 1."""
    frames = torch.from_numpy(np.ascontiguousarray(videos_NTHWC)).permute(0, 1, 4, 2, 3).float()
    small = functional.interpolate(
        frames.flatten(0, 1), size=(I3D_SIZE, I3D_SIZE), mode="bilinear", align_corners=False
    )
    return (2.0 * small / 255.0 - 1.0).unflatten(0, frames.shape[:2]).transpose(1, 2)


def antialiased_bilinear(frames_NCHW: Tensor, size: int) -> Tensor:
    """Frames as `size` squares by bilinear interpolation, with antialiasing if they are larger."""
    if frames_NCHW.shape[-2:] == (size, size):
        return frames_NCHW
    return functional.interpolate(frames_NCHW, size=(size, size), mode="bilinear", align_corners=False, antialias=True)
