"""The cascade: every stream after the first starts from the last frame of the previous clip (paper, section 3.2)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

MakeClip = Callable[[Tensor, int], Tensor]
"""(start image_BCHW, stream index) -> clip_BCFHW"""


def cascade(
    make_clip: MakeClip,
    image_BCHW: Tensor,
    num_streams: int,
    *,
    detach: bool,
    starts_BSCHW: Tensor | None = None,
    given_B: Tensor | None = None,
) -> Tensor:
    """Generate clips one after the other, clips_BSCFHW.

    Args:
        make_clip: applies one stream.
        image_BCHW: start image of stream 0.
        detach: stop the gradient at the frame that is passed to the next stream.
        starts_BSCHW, given_B: start images of all streams of the videos for which `given_B` is true.
    """
    clips: list[Tensor] = []
    start = image_BCHW
    for index in range(num_streams):
        if starts_BSCHW is not None and given_B is not None:
            start = torch.where(given_B[:, None, None, None], starts_BSCHW[:, index], start)
        clip = make_clip(start, index)
        clips.append(clip)
        start = clip[:, :, -1].detach() if detach else clip[:, :, -1]
    return torch.stack(clips, dim=1)
