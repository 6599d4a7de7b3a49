"""The object as a condition (`model.object_condition`): code of its picture, its place in each frame, and the blend.

Paper, section 4.6, names the object that the model does not know as its limitation. Here a second picture gives it. Colours
are multiplied with alpha, so the colour of transparent pixels has no effect, and without a visible pixel the frames are
exactly those without an object.
"""

from __future__ import annotations

import math
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
MAX_CENTRE = 2.0
"""Largest distance of the picture's centre from that of the frame, in half frames: an object that comes in is beside it at first."""
_EDGE = 1e-3
_NEAR = 0.05
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
        """placing_BFP: log of width and height, distance of the centre to the right and down, presence; before their limits."""
        return self.out(leaky_relu(self.audio(states_BFD) + self.context(context_BE)[:, None]))


class PlacedPicture(NamedTuple):
    """The object picture in the frames of a clip.

    Args:
        rgba_BTCHW: colours multiplied with alpha, and alpha; zeros outside the picture.
        presence_BT: share of the object in the frame before its sigmoid.
    """

    rgba_BTCHW: Tensor
    presence_BT: Tensor


def limited(placing_BFP: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(log of the picture's width and height relative to the frame (B, F, 2), its centre, -1 to 1 in the frame (B, F, 2), logit
    of its presence (B, F)) of the numbers of `ObjectPlacer`."""
    log_scale_BFX = math.log(START_SCALE) + MAX_LOG_SCALE * torch.tanh(placing_BFP[..., :2])
    # With the offset of -1, an untrained generator shows about a quarter of the object, as for the mask of `compose`.
    return log_scale_BFX, MAX_CENTRE * torch.tanh(placing_BFP[..., 2:4]), placing_BFP[..., 4] - 1.0


def placing_loss(
    placing_BFP: Tensor, picture_BCHW: Tensor, boxes_BF4: Tensor, valid_BF: Tensor
) -> tuple[Tensor, Tensor]:
    """Distance of a placing from the object's boxes, and of its presence from theirs. Not in the paper.

    The squared error of the frames gives the placing no gradient as long as the picture is beside its place.

    Args:
        placing_BFP: of `ObjectPlacer`.
        picture_BCHW: the picture that is placed.
        boxes_BF4: left, top, right, bottom of its visible pixels, 0..1; zeros: not there, NaN: not known.
        valid_BF: 1: the frame counts.

    Returns:
        Smooth L1 of the four edges, in widths or heights of the frame, where the object is there: an edge of the box at the edge of
        the frame can be beyond it, so there only an edge within the frame counts; and the cross entropy of the presence where it is
        known. Each is the sum over these frames by the number of all frames.
    """
    log_scale_BFX, centre_BFX, presence_BF = limited(placing_BFP.float())
    is_known_BF = valid_BF * (~boxes_BF4.isnan().any(dim=2)).float()
    boxes_BF4 = boxes_BF4.nan_to_num()  # 0 times NaN is NaN: unknown boxes must not reach the sums that mask them
    is_there_BF = (boxes_BF4 > 0).any(dim=2).float()
    alpha_BHW = picture_BCHW[:, 3] > 0
    # Share of the square picture that its visible pixels fill, from left to right and from top to bottom.
    extent_BX = torch.stack([alpha_BHW.any(dim=axis).float().mean(dim=1) for axis in (1, 2)], dim=1)
    half_BFX = log_scale_BFX.exp() * extent_BX[:, None] / 2
    middle_BFX = (centre_BFX + 1) / 2
    beyond_BF4 = torch.cat(
        (boxes_BF4[..., :2] - (middle_BFX - half_BFX), middle_BFX + half_BFX - boxes_BF4[..., 2:]), dim=2
    )
    is_cut_BF4 = torch.cat((boxes_BF4[..., :2] <= _EDGE, boxes_BF4[..., 2:] >= 1.0 - _EDGE), dim=2)
    distance_BF4 = torch.where(is_cut_BF4, beyond_BF4.clamp(max=0.0), beyond_BF4)
    distance_BF = functional.smooth_l1_loss(
        distance_BF4, torch.zeros_like(distance_BF4), reduction="none", beta=_NEAR
    ).sum(dim=2)
    missed_BF = functional.binary_cross_entropy_with_logits(presence_BF, is_there_BF, reduction="none")
    return (distance_BF * is_known_BF * is_there_BF).mean(), (missed_BF * is_known_BF).mean()


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
    log_scale_BFX, centre_BFX, presence_BF = limited(placing_BFP)
    scale_BFX = log_scale_BFX.exp()
    columns, rows = (
        _reading_matrix(scale_BFX[..., axis], centre_BFX[..., axis], picture_BCHW.shape[-1], size) for axis in (0, 1)
    )
    picture_B1CHW = _premultiplied(picture_BCHW)[:, None]
    rgba_BFCHW = rows[:, :, None] @ picture_B1CHW @ columns[:, :, None].transpose(-1, -2)
    return PlacedPicture(rgba_BFCHW, presence_BF)


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


def paste(clip_BCFHW: Tensor, picture: PlacedPicture) -> Tensor:
    """The clip with the object: (1 - a p) clip + p a rgb with p = sigmoid(presence)."""
    rgba_BCFHW = picture.rgba_BTCHW.transpose(1, 2) * torch.sigmoid(picture.presence_BT)[:, None, :, None, None]
    return clip_BCFHW * (1.0 - rgba_BCFHW[:, 3:]) + rgba_BCFHW[:, :3]
