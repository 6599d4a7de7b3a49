"""When each decoded frame is presented: one rule for every reader.

Most containers store it. In the others, what libraries report is a guess:

* AVI stores no times: each packet lasts as long as one frame, in the order of decoding. With reordered frames (B-frames), the decoded
  frames get these times in rising order.
* MXF stores presentation times for some codecs only. For the others the reported times belong to the frames in rising order.
* ASF stores the time at which each packet is decoded. A decoder returns a frame when it is to be shown, so its time is that of the
  packet that was decoded last.
* MPEG program and transport streams store a time for some frames only, and a time that belongs to one frame can be reported for the one
  before it too.
"""

from __future__ import annotations

from fractions import Fraction
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    import av
    from av.packet import Packet
    from av.video.frame import VideoFrame

_MAX_REORDERED = 32
"""Times of more packets than decoders hold back belong to packets that did not decode."""


class FrameTimes:
    """Sets the time of every decoded frame of one stream.

    Args:
        video: the stream; its packets and frames must be given in file order.
    """

    def __init__(self, video: av.VideoStream) -> None:
        names = set(video.container.format.name.split(","))
        self._stores_decoding = bool(names & {"avi", "asf"})
        self._is_sorted = bool(names & {"avi", "mxf"})
        self._is_delayed = "asf" in names
        self._is_partial = bool(names & {"mpeg", "mpegts"})
        rate, tick = video.average_rate or video.guessed_rate, video.time_base
        seconds = Fraction(rate.denominator, rate.numerator) if rate else Fraction(1, 25)
        self._ticks = max(1, round(seconds * tick.denominator / tick.numerator)) if tick else 1
        self.reset()

    def reset(self) -> None:
        """To be called after a seek."""
        self._packet_times: list[int] = []
        self._held: VideoFrame | None = None
        self._start: int | None = None
        self._end: int | None = None

    def add(self, packet: Packet[Any], frames: Sequence[VideoFrame]) -> list[VideoFrame]:
        """The frames that can be shown now, each with a `pts` in units of the stream.

        Args:
            frames: those that `packet` has completed. For the empty packet at the end of the stream, the last ones.
        """
        time = packet.dts if self._stores_decoding else packet.pts
        if self._is_sorted and packet.size and time is not None:
            heappush(self._packet_times, time)
            if len(self._packet_times) > _MAX_REORDERED:
                heappop(self._packet_times)
        ready: list[VideoFrame] = []
        for frame in frames:
            if self._is_sorted:
                frame.pts = heappop(self._packet_times) if self._packet_times else None
            elif self._is_delayed:
                frame.pts = frame.dts
            if not self._is_partial:
                ready.append(self._timed(frame))
                continue
            if self._held is not None:
                ready.append(self._timed(self._held, frame.pts))
            self._held = frame
        if self._held is not None and not packet.size:
            ready.append(self._timed(self._held))
            self._held = None
        return ready

    def _timed(self, frame: VideoFrame, following: int | None = None) -> VideoFrame:
        is_repeated = frame.pts is not None and following is not None and following <= frame.pts
        if frame.pts is None or (is_repeated and self._end is not None and self._end < frame.pts):
            frame.pts = self._end or 0
        step = frame.duration or self._ticks
        if self._is_delayed and self._start is not None and frame.pts > self._start:
            step = frame.pts - self._start  # the durations are guesses, too
        self._start, self._end = frame.pts, frame.pts + step
        return frame
