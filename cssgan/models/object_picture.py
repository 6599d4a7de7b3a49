"""The object as a condition (`model.object_condition`): code of its picture, its place in each frame, and the blend.

Paper, section 4.6, names the object that the model does not know as its limitation. Here a second picture gives it. Colours
are multiplied with alpha, so the colour of transparent pixels has no effect, and without a visible pixel the frames are
exactly those without an object.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from cssgan.models.blocks import full_kernel_conv, is_autocast, leaky_relu
from cssgan.models.encoders import level_widths

OBJECT_DIM = 33
"""Size of the object's code: 32 features and 1 (0 without a visible pixel, as all features then are)."""
PLACING_FEATURES = 128
START_SCALE = 0.5
"""Size of the picture relative to the frame, before training."""
MAX_LOG_SCALE = 1.5
"""The picture is at most exp(1.5) = 4.5 times larger or smaller than that, in each direction."""


def _premultiplied(picture_BCHW: Tensor) -> Tensor:
    return torch.cat((picture_BCHW[:, :3] * picture_BCHW[:, 3:], picture_BCHW[:, 3:]), dim=1)


class ObjectEncoder(nn.Module):
    """Object picture -> code (4x4 convolutions of stride 2, LeakyReLU)."""

    def __init__(self, *, size: int, width: int) -> None:
        super().__init__()
        widths = level_widths(size, width)
        self.convs = nn.ModuleList(nn.Conv2d(i, o, 4, 2, 1) for i, o in zip([4, *widths[:-1]], widths, strict=True))
        self.code = nn.Conv2d(widths[-1], OBJECT_DIM - 1, 4)

    def forward(self, picture_BCHW: Tensor) -> Tensor:
        """RGB in [-1, 1] and alpha in [0, 1] -> (B, `OBJECT_DIM`)."""
        x = _premultiplied(picture_BCHW)
        for conv in self.convs:
            x = leaky_relu(conv(x))
        code = full_kernel_conv(x, self.code.weight, self.code.bias)[:, :, 0, 0]
        present = (picture_BCHW[:, 3:].amax(dim=(2, 3)) > 0).to(code.dtype)
        return torch.cat((code * present, present), dim=1)


class ObjectPlacer(nn.Module):
    """Where the object is in each frame: a layer of features, then the five numbers of a placing.

    Args:
        audio: size of the audio states.
        context: size of what is constant in a stream: class, object, code of the start image.
    """

    def __init__(self, *, audio: int, context: int) -> None:
        super().__init__()
        self.audio = nn.Linear(audio, PLACING_FEATURES)
        self.context = nn.Linear(context, PLACING_FEATURES, bias=False)
        self.out = nn.Linear(PLACING_FEATURES, 5)
        # Small weights: before training the object is near the centre of every frame, with a gradient to all weights.
        nn.init.normal_(self.out.weight, 0.0, 0.002)
        nn.init.zeros_(self.out.bias)

    def forward(self, states_BFD: Tensor, context_BE: Tensor) -> Tensor:
        """placing_BFP: log of width and height, distance of the centre to the right and down, bias of the mask."""
        return self.out(leaky_relu(self.audio(states_BFD) + self.context(context_BE)[:, None]))


class PlacedPicture(NamedTuple):
    """The object picture in the frames of a clip.

    Args:
        rgba_BTCHW: colours multiplied with alpha, and alpha; zeros outside the picture.
        mask_bias_BT: added to the mask of the frame before its sigmoid.
    """

    rgba_BTCHW: Tensor
    mask_bias_BT: Tensor


def place(picture_BCHW: Tensor, placing_BFP: Tensor, size: int) -> PlacedPicture:
    """Read the picture at each pixel of frames of `size` x `size`: bilinear, and averaged where it is made smaller.

    The picture is not turned, so it is read by one matrix for the rows and one for the columns.

    Args:
        picture_BCHW: RGB in [-1, 1] and alpha in [0, 1].
        placing_BFP: of `ObjectPlacer`.
    """
    # Half precision cannot represent 256 levels per channel.
    if is_autocast(picture_BCHW):
        with torch.autocast(picture_BCHW.device.type, enabled=False):
            return _place(picture_BCHW, placing_BFP.to(picture_BCHW.dtype), size)
    return _place(picture_BCHW, placing_BFP, size)


def _place(picture_BCHW: Tensor, placing_BFP: Tensor, size: int) -> PlacedPicture:
    scale_BFX = START_SCALE * torch.exp(MAX_LOG_SCALE * torch.tanh(placing_BFP[..., :2]))
    centre_BFX = torch.tanh(placing_BFP[..., 2:4])
    columns, rows = (
        _reading_matrix(scale_BFX[..., axis], centre_BFX[..., axis], picture_BCHW.shape[-1], size) for axis in (0, 1)
    )
    picture_B1CHW = _premultiplied(picture_BCHW)[:, None]
    rgba_BFCHW = rows[:, :, None] @ picture_B1CHW @ columns[:, :, None].transpose(-1, -2)
    return PlacedPicture(rgba_BFCHW, placing_BFP[..., 4])


def _reading_matrix(scale_BF: Tensor, centre_BF: Tensor, picture_size: int, size: int) -> Tensor:
    """(B, F, size, picture_size): share of each picture pixel of one axis in each frame pixel.

    Args:
        scale_BF: size of the picture relative to the frame.
        centre_BF: of the picture, from -1 to 1 in the frame.
    """
    frame = (torch.arange(size, device=scale_BF.device, dtype=scale_BF.dtype) * 2 + 1) / size - 1
    position_BFN = ((frame - centre_BF[..., None]) / scale_BF[..., None] + 1) * (picture_size / 2) - 0.5
    pixel = torch.arange(picture_size, device=scale_BF.device, dtype=scale_BF.dtype)
    # Distance of neighbouring frame pixels in the picture: a wider filter where it is above 1.
    step_BF = (picture_size / size / scale_BF).clamp(min=1.0)[..., None, None]
    return functional.relu(1 - (position_BFN[..., None] - pixel).abs() / step_BF) / step_BF


def paste(clip_BCFHW: Tensor, mask_BFHW: Tensor, picture: PlacedPicture) -> Tensor:
    """The clip with the object: (1 - a m) clip + m a rgb with m = sigmoid(mask - 1).

    Args:
        mask_BFHW: before the bias of the frame and the sigmoid.
    """
    # With the offset of -1, an untrained generator shows about a quarter of the object, as for the mask of `compose`.
    mask_BFHW = torch.sigmoid(mask_BFHW + picture.mask_bias_BT[..., None, None] - 1.0)
    rgba_BCFHW = picture.rgba_BTCHW.transpose(1, 2) * mask_BFHW[:, None]
    return clip_BCFHW * (1.0 - rgba_BCFHW[:, 3:]) + rgba_BCFHW[:, :3]
