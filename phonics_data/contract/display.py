"""How the decoded frames of a video are to be shown, as its container and its streams say: one rule for every reader.

* The display matrix turns and mirrors the frame, as EXIF orientation does for image files.
* Frames without a colour matrix use BT.709 from 720 lines on, else BT.601.
* Transparent pixels are composited on white.

What would give a wrong picture if it were ignored, and is not supported, is an error: rotation by other angles than quarter
turns, stereoscopic and panoramic video, high dynamic range and wide gamut, rare colour matrices. `ShownFrames` does what concerns a
whole stream: clean aperture, interlacing, and transparency that the decoder does not read.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

Region = tuple[float, float, float, float]
"""(left, top, right, bottom) as fractions of width and height."""

HD_LINES = 720
"""Frames with at least so many lines and no colour matrix use BT.709."""

_UNIT = 65_536
_MAX_SHEAR = 0.01
"""Largest deviation of a display matrix from a quarter turn or a mirror, as a fraction of its scale."""

_STEREO = ("", "side by side", "top and bottom", "frame after frame", "checkerboard", "quincunx", "lines", "columns")
_PROJECTIONS = (
    "equirectangular",
    "cube map",
    "tiled equirectangular",
    "half equirectangular",
    "",
    "fisheye",
    "immersive",
)
_TRANSFERS = {
    8: "linear light",
    9: "logarithmic",
    10: "logarithmic",
    16: "PQ (HDR)",
    17: "SMPTE ST 428",
    18: "HLG (HDR)",
}
_PRIMARIES = {8: "film", 9: "BT.2020", 10: "XYZ", 11: "DCI P3", 12: "Display P3", 22: "EBU 3213-E"}
_MATRICES = {8: "YCgCo", 10: "BT.2020 with constant luminance", 11: "SMPTE ST 2085", 12: "derived from the primaries",
             13: "derived from the primaries", 14: "ICtCp", 15: "IPT", 16: "YCgCo", 17: "YCgCo"}  # fmt: skip
UNSPECIFIED_MATRIX = 2


class DisplayError(ValueError):
    """A video has to be shown in a way that is not supported."""


@dataclass(frozen=True, slots=True)
class Orientation:
    """What makes a stored frame upright: first the transposition, then the flips."""

    is_transposed: bool = False
    is_flipped_vertically: bool = False
    is_flipped_horizontally: bool = False

    @property
    def is_mirrored(self) -> bool:
        """Whether no turn alone makes the frame upright. Not every browser mirrors."""
        return self.is_transposed ^ self.is_flipped_vertically ^ self.is_flipped_horizontally

    def upright(self, pixels_HWC: NDArray[Any]) -> NDArray[Any]:
        """A view of a stored frame (H, W, ...) as it is to be shown."""
        if self.is_transposed:
            pixels_HWC = pixels_HWC.swapaxes(0, 1)
        if self.is_flipped_vertically:
            pixels_HWC = pixels_HWC[::-1]
        return pixels_HWC[:, ::-1] if self.is_flipped_horizontally else pixels_HWC

    def stored_region(self, region: Region) -> Region:
        """The part of the stored frame that is `region` of the upright one."""
        left, top, right, bottom = region
        if self.is_flipped_horizontally:
            left, right = 1 - right, 1 - left
        if self.is_flipped_vertically:
            top, bottom = 1 - bottom, 1 - top
        return (top, left, bottom, right) if self.is_transposed else (left, top, right, bottom)


def orientation(frame: VideoFrame) -> Orientation:
    """The orientation of a decoded frame, by its display matrix or that of a frame before it (`ShownFrames`).

    Raises:
        DisplayError: the frame has to be shown in a way that is not supported.
    """
    from av.sidedata.sidedata import SideDataContainer, Type

    check_colors(int(frame.color_trc), int(frame.color_primaries), int(frame.colorspace))
    _accept_all(Type)
    # frame.side_data would make a cycle of references, which keeps the frame in memory until the garbage collector runs.
    side_data = cast("Any", SideDataContainer)(frame)
    if (stereo := side_data.get(Type.STEREO3D)) is not None:
        kind = struct.unpack_from("=i", bytes(stereo))[0]
        if 0 < kind < len(_STEREO):
            raise DisplayError(f"stereoscopic video ({_STEREO[kind]}), allowed: one picture a frame; cut out one view")
    if (sphere := side_data.get(Type.SPHERICAL)) is not None:
        kind = struct.unpack_from("=i", bytes(sphere))[0]
        if 0 <= kind < len(_PROJECTIONS) and _PROJECTIONS[kind]:
            raise DisplayError(
                f"panoramic video ({_PROJECTIONS[kind]} projection), allowed: flat pictures; render a view of it"
            )
    if (matrix := side_data.get(Type.DISPLAYMATRIX)) is not None:
        return _from_matrix(struct.unpack_from("=9i", bytes(matrix)))
    return earlier if isinstance(earlier := frame.opaque, Orientation) else Orientation()


def keep_orientation(frame: VideoFrame, earlier: Orientation) -> Orientation:
    """The orientation of a frame; one that has no display matrix has that of the frame before it, and is marked so.

    Containers give each frame a matrix. Video streams (SEI messages of H.264 and HEVC) give it to the first one that it holds for.
    """
    from av.sidedata.sidedata import SideDataContainer, Type

    _accept_all(Type)
    if (matrix := cast("Any", SideDataContainer)(frame).get(Type.DISPLAYMATRIX)) is not None:
        return _from_matrix(struct.unpack_from("=9i", bytes(matrix)))
    if earlier != Orientation():
        frame.opaque = replace(earlier)  # PyAV loses an object that several frames share
    return earlier


@cache
def _accept_all(kinds: Any) -> None:
    """Let PyAV read frames with kinds of side data that it does not list (Exif, views of MV-HEVC, LCEVC): it fails otherwise."""

    def unlisted(value: object) -> object:
        member = object.__new__(kinds)
        member._name_, member._value_ = f"UNLISTED_{value}", value
        return member

    kinds._missing_ = unlisted


def _from_matrix(matrix: tuple[int, ...]) -> Orientation:
    """FFmpeg's display matrix maps the stored (x, y) to (a x + c y, b x + d y) with x to the right and y downwards."""
    a, b, c, d = (matrix[place] / _UNIT for place in (0, 1, 3, 4))
    scale = max(abs(value) for value in (a, b, c, d))
    if scale == 0:
        return Orientation()  # players ignore an empty matrix
    is_transposed = abs(b) > abs(a)
    along, across = ((b, c), (a, d)) if is_transposed else ((a, d), (b, c))
    if any(abs(value) > _MAX_SHEAR * scale for value in across) or any(
        abs(abs(value) - scale) > _MAX_SHEAR * scale for value in along
    ):
        raise DisplayError(
            f"its display matrix ({a:.2f} {b:.2f}; {c:.2f} {d:.2f}) turns by another angle or distorts, allowed: quarter turns "
            "and mirroring; encode the video upright"
        )
    if is_transposed:
        return Orientation(True, b < 0, c < 0)
    return Orientation(False, d < 0, a < 0)


def check_colors(transfer: int, primaries: int, matrix: int) -> None:
    """Check the code points of ITU-T H.273. Raises `DisplayError`."""
    for what, value, names in (
        ("transfer function", transfer, _TRANSFERS),
        ("colour primaries", primaries, _PRIMARIES),
        ("colour matrix", matrix, _MATRICES),
    ):
        if value in names:
            raise DisplayError(
                f"{what} {names[value]}, allowed: those of standard dynamic range (BT.601, BT.709, sRGB); convert it to BT.709 or sRGB"
            )


def uses_bt709(frame: VideoFrame) -> bool:
    """Whether a frame without a colour matrix has that of high definition."""
    return int(frame.colorspace) == UNSPECIFIED_MATRIX and frame.height >= HD_LINES


def has_alpha(frame: VideoFrame) -> bool:
    return any(component.is_alpha for component in frame.format.components)


def on_white(frame: VideoFrame) -> VideoFrame:
    """`frame`, or if it has transparent pixels, an rgb24 frame of it on white with the same time."""
    from av.video.frame import VideoFrame

    if not has_alpha(frame):
        return frame
    rgba_HWC = np.asarray(_convert(frame, "rgba"), np.uint16)
    alpha = rgba_HWC[..., 3:]
    rgb_HWC = ((rgba_HWC[..., :3] * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)
    composited = VideoFrame.from_ndarray(rgb_HWC, format="rgb24")
    composited.pts, composited.time_base = frame.pts, frame.time_base
    return composited


def upright_rgb(frame: VideoFrame) -> NDArray[np.uint8]:
    """A decoded frame as it is to be shown, uint8 RGB (H, W, 3), at its stored size.

    Raises:
        DisplayError: as `orientation`.
    """
    turned = orientation(frame)
    return np.ascontiguousarray(turned.upright(_convert(on_white(frame), "rgb24")))


def _convert(frame: VideoFrame, pixel_format: str) -> NDArray[np.uint8]:
    from av.video.reformatter import Colorspace

    matrix = {"src_colorspace": Colorspace.ITU709} if uses_bt709(frame) else {}
    return np.asarray(frame.reformat(format=pixel_format, **matrix).to_ndarray(), np.uint8)
