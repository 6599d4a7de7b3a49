"""The decoded frames of a stream as players show them: one rule for every reader.

* Their times: `FrameTimes`.
* An orientation that the video stream gives once holds until it gives another one, in later frames and after a seek.
* The margins outside the clean aperture (MP4, MOV) or of ``PixelCrop`` (Matroska) are cut off.
* Interlaced frames, as the stream marks them, are deinterlaced: one frame for each, at the time of its first field. Other frames of
  the same stream stay as they are.
* VP8 and VP9 with transparency are an error, since their decoder gives the hidden colours of transparent pixels.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, cast

from phonics_data.contract.clean_aperture import margins
from phonics_data.contract.display import DisplayError, Orientation, has_alpha, keep_orientation
from phonics_data.contract.frame_times import FrameTimes

if TYPE_CHECKING:
    from collections.abc import Sequence

    import av
    import av.filter
    from av.packet import Packet
    from av.video.frame import VideoFrame

_ALPHA_BLOCK = b"\0\0\0\0\0\0\0\1"
"""Identifier of the additions to a Matroska block that hold the transparency of VP8 and VP9."""
_DEINTERLACE = ("bwdif", "mode=send_frame:parity=auto:deint=interlaced")
_MIN_DEINTERLACED_SIDE = 8
"""In pixels; the filter refuses frames of fewer than 4 lines or columns of chroma."""


class ShownFrames:
    """What holds from one frame of a stream to the next.

    Args:
        video: the stream; its packets and frames must be given in file order.

    Attributes:
        margins: what is cut off.
        is_interlaced: whether a frame so far was interlaced.
        is_turned_once: whether a frame so far had its orientation from an earlier one: the container does not give it.
    """

    def __init__(self, video: av.VideoStream) -> None:
        self.margins = margins(video)
        self.is_interlaced = self.is_turned_once = False
        self._has_hidden_alpha = video.codec_context.codec.canonical_name in ("vp8", "vp9")
        self._times = FrameTimes(video)
        self._orientation = Orientation()
        self._cropper, self._deinterlacer = _Filter(), _Filter()
        self._delayed: deque[VideoFrame] = deque()

    def reset(self) -> None:
        """To be called after a seek."""
        self._times.reset()
        self._deinterlacer = _Filter()
        self._delayed.clear()

    def add(self, packet: Packet[Any], frames: Sequence[VideoFrame]) -> list[VideoFrame]:
        """The frames that can be shown now, each with a `pts` in units of the stream.

        Args:
            frames: those that `packet` has completed. For the empty packet at the end of the stream, the last ones.

        Raises:
            DisplayError: they have to be shown in a way that is not supported.
        """
        self._check_alpha(packet, frames)
        ready: list[VideoFrame] = []
        for frame in self._times.add(packet, frames):
            self._keep_orientation(frame)
            ready += self._deinterlaced(frame)
        if not packet.size:
            ready += self._deinterlaced(None)
        return [self._cropped(frame) for frame in ready]

    def single(self, packet: Packet[Any], frames: Sequence[VideoFrame]) -> list[VideoFrame]:
        """As `add` for frames that do not follow each other: at once, with the times of the decoder, not deinterlaced."""
        self._check_alpha(packet, frames)
        for frame in frames:
            self._keep_orientation(frame)
        return [self._cropped(frame) for frame in frames]

    def _check_alpha(self, packet: Packet[Any], frames: Sequence[VideoFrame]) -> None:
        if not self._has_hidden_alpha or any(has_alpha(frame) for frame in frames):
            return
        if packet.has_sidedata("matroska_block_additional"):
            block = packet.get_sidedata("matroska_block_additional")
            if bytes(cast("Any", block)).startswith(_ALPHA_BLOCK):
                raise DisplayError(
                    "VP8 or VP9 with transparency, which its decoder does not read, allowed: opaque video, or transparency in another "
                    "codec; put it on a background, with the decoder libvpx or libvpx-vp9 of ffmpeg"
                )

    def _keep_orientation(self, frame: VideoFrame) -> None:
        self._orientation = keep_orientation(frame, self._orientation)
        self.is_turned_once = self.is_turned_once or frame.opaque is not None

    def _deinterlaced(self, frame: VideoFrame | None) -> list[VideoFrame]:
        """The frames that are complete: the filter needs the frame after each. None: the end of the stream."""
        if frame is not None:
            self.is_interlaced = self.is_interlaced or frame.interlaced_frame
            if not self.is_interlaced or min(frame.width, frame.height) < _MIN_DEINTERLACED_SIDE:
                return [frame]
            self._delayed.append(frame)
        return [_with_time_of(self._delayed.popleft(), done) for done in self._deinterlacer.apply(frame, *_DEINTERLACE)]

    def _cropped(self, frame: VideoFrame) -> VideoFrame:
        cut = self.margins
        if not cut or cut.left + cut.right >= frame.width or cut.top + cut.bottom >= frame.height:
            return frame
        part = f"iw-{cut.left + cut.right}:ih-{cut.top + cut.bottom}:{cut.left}:{cut.top}"
        (cropped,) = self._cropper.apply(frame, "crop", part)
        return _with_time_of(frame, cropped)


def _with_time_of(frame: VideoFrame, filtered: VideoFrame) -> VideoFrame:
    filtered.pts, filtered.duration, filtered.time_base = frame.pts, frame.duration, frame.time_base
    return filtered


class _Filter:
    """A filter of FFmpeg for frames that can change their format."""

    def __init__(self) -> None:
        self._graph: av.filter.Graph | None = None
        self._key: tuple[object, ...] = ()

    def apply(self, frame: VideoFrame | None, name: str, arguments: str) -> list[VideoFrame]:
        """The frames that the filter gives now. None: no frame follows."""
        key = (
            () if frame is None else (frame.width, frame.height, frame.format.name, frame.colorspace, frame.color_range)
        )
        ready: list[VideoFrame] = []
        if key != self._key and self._graph is not None:
            self._graph.vpush(None)
            ready, self._graph = _pulled(self._graph), None
        if frame is None:
            return ready
        if self._graph is None:
            self._graph, self._key = _graph(frame, name, arguments), key
        self._graph.vpush(frame)
        return ready + _pulled(self._graph)


def _graph(frame: VideoFrame, name: str, arguments: str) -> av.filter.Graph:
    import av.filter

    graph = av.filter.Graph()
    graph.threads = 1
    source = (
        f"video_size={frame.width}x{frame.height}:pix_fmt={frame.format.name}:time_base=1/1000:"
        f"colorspace={frame.colorspace}:range={frame.color_range}"
    )
    graph.link_nodes(graph.add("buffer", source), graph.add(name, arguments), graph.add("buffersink"))
    graph.configure()
    return graph


def _pulled(graph: av.filter.Graph) -> list[VideoFrame]:
    frames: list[VideoFrame] = []
    while True:
        try:
            frames.append(graph.vpull())
        except (BlockingIOError, EOFError):
            return frames
