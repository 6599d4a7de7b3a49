"""Clips for pages are of a kind that every browser plays, at every size."""

from __future__ import annotations

import io
from fractions import Fraction

import av
import numpy as np
import pytest

from phonics_data.media import encode_mp4


@pytest.mark.parametrize(("height", "width"), [(64, 64), (65, 64), (64, 65), (97, 131), (1, 1)])
def test_every_size_is_encoded_with_even_sides_in_420(height: int, width: int) -> None:
    frames = np.full((5, height, width, 3), 90, np.uint8)
    content = encode_mp4(frames, Fraction(25), np.zeros(3200, np.float32), 16_000)
    with av.open(io.BytesIO(content)) as container:
        stream = container.streams.video[0]
        decoded = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
    assert [frame.shape for frame in decoded] == [(height + height % 2, width + width % 2, 3)] * 5
    assert max(np.abs(frame.astype(int) - 90).max() for frame in decoded) <= 3
