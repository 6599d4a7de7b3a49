"""Scaling of source frames to the dataset's size, and their orientation."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Literal, cast

import numpy as np
from numpy.typing import NDArray

from phonics_data.media.timestamps import half_up

if TYPE_CHECKING:
    import av.filter
    from av.video.frame import VideoFrame

Fit = Literal["crop", "pad", "squash"]
"""How frames of another aspect ratio are fitted: crop the excess, pad with black bars, or distort."""

Region = tuple[float, float, float, float]
"""(left, top, right, bottom) of the stored frame, as fractions of its size."""

FULL_FRAME: Region = (0.0, 0.0, 1.0, 1.0)


def quarter_turns(frame: VideoFrame) -> int:
    """How many anticlockwise quarter turns make the decoded frame upright, by its rotation metadata: 0..3."""
    return round(frame.rotation / 90) % 4


class Scaler:
    """Scales frames with one filter graph, which is rebuilt only if the source format changes.

    Every output pixel is the mean of the source area that it covers (area filter), so that thin strokes of letters
    remain visible and do not flicker at 64 x 64.

    Args:
        width: of the output in pixels.
        height: of the output in pixels.
        pixel_aspect: width of a source pixel divided by its height.
        region: the part of the stored frame that is used.
    """

    def __init__(
        self,
        width: int,
        height: int,
        fit: Fit,
        pixel_aspect: Fraction = Fraction(1),
        region: Region = FULL_FRAME,
    ) -> None:
        self.width, self.height, self.fit, self.region = width, height, fit, region
        self.pixel_aspect = pixel_aspect if pixel_aspect > 0 else Fraction(1)
        self._key: tuple[object, ...] | None = None
        self._graph: av.filter.Graph | None = None

    def scale(self, frame: VideoFrame) -> NDArray[np.uint8]:
        """One frame -> uint8 RGB (height, width, 3), upright."""
        turns = quarter_turns(frame)
        key = (frame.width, frame.height, frame.format.name, frame.colorspace, frame.color_range, turns)
        if key != self._key:
            self._graph, self._key = self._make_graph(frame, sideways=turns % 2 == 1), key
        assert self._graph is not None
        self._graph.vpush(frame)
        scaled = _rgb_array(self._graph.vpull())
        if turns:
            scaled = np.rot90(scaled, turns)
        if scaled.shape[:2] == (self.height, self.width):
            return np.ascontiguousarray(scaled, dtype=np.uint8)
        canvas = np.zeros((self.height, self.width, 3), np.uint8)
        top, left = (self.height - scaled.shape[0]) // 2, (self.width - scaled.shape[1]) // 2
        canvas[top : top + scaled.shape[0], left : left + scaled.shape[1]] = scaled
        return canvas

    def _make_graph(self, frame: VideoFrame, *, sideways: bool) -> av.filter.Graph:
        import av.filter

        # A sideways frame is scaled as stored and rotated afterwards, when it is small.
        width, height = (self.height, self.width) if sideways else (self.width, self.height)
        region_x, region_y = round(self.region[0] * frame.width), round(self.region[1] * frame.height)
        region_w = max(1, round(self.region[2] * frame.width) - region_x)
        region_h = max(1, round(self.region[3] * frame.height) - region_y)
        aspect = Fraction(region_w, region_h) * self.pixel_aspect
        target = Fraction(width, height)
        crop_w, crop_h, out_w, out_h = region_w, region_h, width, height
        if self.fit == "crop" and aspect > target:
            crop_w = max(1, half_up(region_w * target / aspect))
        elif self.fit == "crop":
            crop_h = max(1, half_up(region_h * aspect / target))
        elif self.fit == "pad" and aspect > target:
            out_h = max(1, half_up(height * target / aspect))
        elif self.fit == "pad":
            out_w = max(1, half_up(width * aspect / target))
        left, top = region_x + (region_w - crop_w) // 2, region_y + (region_h - crop_h) // 2
        # High-definition files without a colour matrix use BT.709.
        matrix = "bt709" if frame.colorspace == 2 and frame.height >= 720 else "auto"
        graph = av.filter.Graph()
        graph.threads = 1
        nodes = [
            graph.add(
                "buffer",
                f"video_size={frame.width}x{frame.height}:pix_fmt={frame.format.name}:time_base=1/1000:"
                f"colorspace={frame.colorspace}:range={frame.color_range}",
            ),
            graph.add("crop", f"{crop_w}:{crop_h}:{left}:{top}"),
            graph.add("scale", f"{out_w}:{out_h}:flags=area+accurate_rnd+full_chroma_int:in_color_matrix={matrix}"),
            # Direct scaling to packed RGB has no fast code path and takes 1.5 times as long as planar RGB.
            graph.add("format", "pix_fmts=gbrp"),
            graph.add("scale", "flags=accurate_rnd"),
            graph.add("format", "pix_fmts=rgb24"),
            graph.add("buffersink"),
        ]
        graph.link_nodes(*nodes)
        graph.configure()
        return graph


def _rgb_array(frame: VideoFrame) -> NDArray[np.uint8]:
    """uint8 (height, width, 3) of an rgb24 frame; a view of its buffer if its rows are not padded."""
    plane = frame.planes[0]
    if plane.line_size != 3 * frame.width:
        return np.asarray(frame.to_ndarray(), np.uint8)
    pixels = cast("bytes", plane)  # a buffer; the stubs lack this
    return np.frombuffer(pixels, np.uint8, 3 * frame.width * frame.height).reshape(frame.height, frame.width, 3)
