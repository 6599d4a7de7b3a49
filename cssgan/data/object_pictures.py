"""Object pictures: from RGBA pixels of any size to the second picture of a model; and the words of the objects.

A stored picture is uint8 RGBA (s, s, 4) with s = `cssgan.config.object_size`: the object, cut to its visible pixels, scaled to fit with
its aspect, centred, transparent around it. No object: transparent everywhere, all zeros.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from cssgan.config import Config
from cssgan.data.word_embedding import word_vectors
from phonics_data.contract.sample import Sample

RGBA = NDArray[np.uint8]
"""uint8 (..., height, width, 4), the colours not multiplied with alpha."""


def fit(picture_HWC: RGBA | None, size: int) -> RGBA:
    """A picture as it is stored, uint8 (size, size, 4); None or a transparent picture: zeros."""
    out = np.zeros((size, size, 4), np.uint8)
    if picture_HWC is None or not picture_HWC[..., 3].any():
        return out
    rows, columns = (np.flatnonzero(picture_HWC[..., 3].any(axis=axis)) for axis in (1, 0))
    cut = picture_HWC[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    scale = size / max(cut.shape[:2])
    height, width = (max(1, round(side * scale)) for side in cut.shape[:2])
    # Pillow multiplies colours with alpha before it scales RGBA, so transparent pixels do not leak their colour.
    method = Image.Resampling.BOX if scale <= 1 else Image.Resampling.BICUBIC
    scaled = np.array(Image.fromarray(np.ascontiguousarray(cut)).resize((width, height), method))
    scaled[scaled[..., 3] == 0] = 0
    top, left = (size - height) // 2, (size - width) // 2
    out[top : top + height, left : left + width] = scaled
    return out


def boxes(sample: Sample) -> NDArray[np.float32]:
    """boxes_L4 of the sample's object (`phonics_data.contract.sample.Sample`); NaN where it is not known."""
    if sample.object_boxes_L4 is None:
        return np.full((sample.num_frames, 4), np.nan, np.float32)
    return sample.object_boxes_L4


def to_input(picture_BHWC: Tensor) -> Tensor:
    """uint8 RGBA -> the model's object_BCHW, float32: RGB in [-1, 1], 0 where alpha is 0, and alpha in [0, 1]."""
    picture_BCHW = picture_BHWC.permute(0, 3, 1, 2).float()
    rgb, alpha = picture_BCHW[:, :3] / 127.5 - 1.0, picture_BCHW[:, 3:] / 255.0
    return torch.cat((rgb * (alpha > 0), alpha), dim=1)


def model_inputs(
    config: Config, pictures_BHWC: RGBA | None, words: Sequence[str], device: torch.device
) -> tuple[Tensor | None, Tensor | None]:
    """object_BCHW and word_BE of a model of `config`; None without `model.object_condition`, without `model.word_dim`.

    Args:
        pictures_BHWC: stored pictures; None: no video has one.
        words: object word of each video, empty for none.
    """
    picture, word = None, None
    if config.model.object_condition and pictures_BHWC is not None:
        picture = to_input(torch.from_numpy(np.ascontiguousarray(pictures_BHWC)).to(device))
    if config.model.word_dim:
        word = torch.from_numpy(word_vectors(words, config.model.word_dim)).to(device)
    return picture, word
