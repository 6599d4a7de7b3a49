"""Scaling of source frames to the dataset's size, and their orientation."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from fractions import Fraction
from typing import TYPE_CHECKING, Literal, cast

import numpy as np
from numpy.typing import NDArray

from phonics_data.contract.display import (
    DisplayError,
    Orientation,
    Region,
    on_white,
    orientation,
    upright_rgb,
    uses_bt709,
)
from phonics_data.errors import MediaError
from phonics_data.media.timestamps import half_up

if TYPE_CHECKING:
    import av.filter
    from av.video.frame import VideoFrame

Fit = Literal["squash", "focus", "pad", "crop"]
"""How frames of another aspect ratio are fitted:

* ``squash``: the whole frame, distorted.
* ``focus``: the smallest part that has the output's aspect ratio and holds a given box; ``squash`` if there is none.
* ``pad``: the whole frame, with black bars.
* ``crop``: the centre, without the excess.
"""

FULL_FRAME: Region = (0.0, 0.0, 1.0, 1.0)

_FOCUS_MARGIN = 0.06
"""Space around the box of ``focus``, as a fraction of its larger side; less where the frame has no room for it."""
_MIN_FOCUS_HEIGHT = 0.5
"""Least height of the part that ``focus`` takes, as a fraction of the frame's height."""


def orientation_of(frame: VideoFrame, source: str = "") -> Orientation:
    """The orientation of a decoded frame.

    Args:
        source: name of the file for the message.

    Raises:
        MediaError: ``unsupported``: the frame has to be shown in a way that is not supported.
    """
    with _errors_of(source):
        return orientation(frame)


def upright_frame(frame: VideoFrame, source: str = "") -> NDArray[np.uint8]:
    """A decoded frame as it is to be shown, uint8 RGB (H, W, 3), at its stored size. Arguments and errors as `orientation_of`."""
    with _errors_of(source):
        return upright_rgb(frame)


@contextmanager
def _errors_of(source: str) -> Generator[None]:
    try:
        yield
    except DisplayError as error:
        raise MediaError("unsupported", f"{source}: {error}" if source else str(error)) from error


def picture_region(
    fit: Fit, aspect: Fraction, target: Fraction, region: Region = FULL_FRAME, focus: Region | None = None
) -> Region:
    """The part of the upright frame that a picture shows.

    Args:
        aspect: displayed width of the frame divided by its height.
        target: width of the picture divided by its height.
        region: the part of the frame that may be used.
        focus: box that the picture must hold, if `fit` is ``focus``. None: no such box is known.
    """
    left, top, right, bottom = region
    width, height = right - left, bottom - top
    here = float(aspect) * width / height  # aspect ratio of the region
    if fit == "crop" and here > target:
        width = width * float(target) / here
    elif fit == "crop":
        height = height * here / float(target)
    elif fit == "focus" and focus is not None:
        # The unit is the region's height.
        box_width, box_height = (focus[2] - focus[0]) / width * here, (focus[3] - focus[1]) / height
        needed = max(box_height, box_width / float(target))
        highest = min(1.0, here / float(target))
        if needed > highest:
            return region
        wanted = max(needed + 2 * _FOCUS_MARGIN * max(box_width, box_height), _MIN_FOCUS_HEIGHT)
        width, height = min(wanted, highest) * float(target) / here * width, min(wanted, highest) * height
        left = max(min((focus[0] + focus[2] - width) / 2, right - width), left)
        top = max(min((focus[1] + focus[3] - height) / 2, bottom - height), top)
        return (left, top, left + width, top + height)
    else:
        return region
    return (
        (left + right - width) / 2,
        (top + bottom - height) / 2,
        (left + right + width) / 2,
        (top + bottom + height) / 2,
    )


class Scaler:
    """Scales frames with one filter graph, which is rebuilt only if the source format changes.

    Every output pixel is the mean of the source area that it covers (area filter), so that thin strokes of letters
    remain visible and do not flicker at 64 x 64.

    Args:
        width: of the output in pixels.
        height: of the output in pixels.
        fit: how frames of another aspect ratio are fitted.
        pixel_aspect: width of a stored pixel divided by its height.
        region: the part of the frame that may be used.
        focus: box that the picture must hold, if `fit` is ``focus``.
        source: name of the file for messages.

    Attributes:
        picture: the part of the frame that the last picture shows; the whole frame before the first one.
    """

    def __init__(
        self,
        width: int,
        height: int,
        fit: Fit,
        pixel_aspect: Fraction = Fraction(1),
        region: Region = FULL_FRAME,
        focus: Region | None = None,
        source: str = "",
    ) -> None:
        self.source = source
        self.width, self.height, self.region, self.focus = width, height, region, focus
        self.fit: Fit = fit
        self.picture = FULL_FRAME
        self.pixel_aspect = pixel_aspect if pixel_aspect > 0 else Fraction(1)
        self._key: tuple[object, ...] | None = None
        self._graph: av.filter.Graph | None = None

    def scale(self, frame: VideoFrame) -> NDArray[np.uint8]:
        """One frame -> uint8 RGB (height, width, 3), as it is to be shown.

        Raises:
            MediaError: as `orientation_of`.
        """
        turned = orientation_of(frame, self.source)
        frame = on_white(frame)
        key = (frame.width, frame.height, frame.format.name, frame.colorspace, frame.color_range, turned)
        if key != self._key:
            self._graph, self._key = self._make_graph(frame, turned), key
        assert self._graph is not None
        self._graph.vpush(frame)
        scaled = turned.upright(_rgb_array(self._graph.vpull()))
        if scaled.shape[:2] == (self.height, self.width):
            return np.ascontiguousarray(scaled, dtype=np.uint8)
        canvas = np.zeros((self.height, self.width, 3), np.uint8)
        top, left = (self.height - scaled.shape[0]) // 2, (self.width - scaled.shape[1]) // 2
        canvas[top : top + scaled.shape[0], left : left + scaled.shape[1]] = scaled
        return canvas

    def _make_graph(self, frame: VideoFrame, turned: Orientation) -> av.filter.Graph:
        import av.filter

        # A frame is scaled as stored and turned afterwards, when it is small.
        out_w, out_h = (self.height, self.width) if turned.is_transposed else (self.width, self.height)
        stored_aspect = Fraction(frame.width, frame.height) * self.pixel_aspect
        self.picture = picture_region(
            self.fit,
            1 / stored_aspect if turned.is_transposed else stored_aspect,
            Fraction(self.width, self.height),
            self.region,
            self.focus,
        )
        part = turned.stored_region(self.picture)
        left, top = (
            min(round(part[0] * frame.width), frame.width - 1),
            min(round(part[1] * frame.height), frame.height - 1),
        )
        crop_w, crop_h = max(1, round(part[2] * frame.width) - left), max(1, round(part[3] * frame.height) - top)
        aspect, target = Fraction(crop_w, crop_h) * self.pixel_aspect, Fraction(out_w, out_h)
        if self.fit == "pad" and aspect > target:
            out_h = max(1, half_up(out_h * target / aspect))
        elif self.fit == "pad":
            out_w = max(1, half_up(out_w * aspect / target))
        matrix = "bt709" if uses_bt709(frame) else "auto"
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
