"""Which video files all current browsers play, and show as the readers of this package do: one rule for pages and surveys."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from phonics_data.contract.display import orientation
from phonics_data.contract.shown_frames import ShownFrames
from phonics_data.contract.streams import audio_stream, video_stream
from phonics_data.contract.video import BROWSER_PIXEL_FORMATS

if TYPE_CHECKING:
    import av
    from av.container import InputContainer
    from av.video.frame import VideoFrame

_CODECS = {
    "mp4": (("h264", "vp9", "av1"), ("aac", "mp3", "opus", "flac")),
    "webm": (("vp8", "vp9", "av1"), ("opus", "vorbis")),
}
_H264_PROFILES = ("Baseline", "Constrained Baseline", "Main", "High")
_NUM_FRAMES = 3
"""Decoded frames: the second and third show whether an orientation is that of the container."""


def browser_fault(container: InputContainer) -> str:
    """Why some browser does not play a file as it is to be shown, and what to do; empty if all do. Decodes its first frames.

    Raises:
        DisplayError: as `ShownFrames`.
        av.error.FFmpegError: the frames do not decode.
    """
    names = set(container.format.name.split(","))
    kind = "mp4" if "mp4" in names else "webm" if "webm" in names else ""
    if not kind:
        return f"is {container.format.name}, allowed in browsers: mp4, webm; convert it"
    video, audio = video_stream(container), audio_stream(container)
    if video is None:
        return "has no video stream; give a video"
    videos, audios = _CODECS[kind]
    codecs = [codec_name(stream) for stream in (video, audio) if stream is not None]
    if codecs[0] not in videos or not {*codecs[1:]} <= {*audios}:
        return f"codecs {' and '.join(codecs)}, allowed in browsers: {'/'.join(videos)} and {'/'.join(audios)}; encode it again"
    if fault := _other_stream(container, video, audio):
        return fault
    shown = ShownFrames(video)
    frames = [frame for frame, _ in zip(_frames(container, video, shown), range(_NUM_FRAMES), strict=False)]
    if (pixels := video.codec_context.pix_fmt) not in BROWSER_PIXEL_FORMATS:
        return (
            f"pixel format {pixels or 'unknown'}, allowed in browsers: {', '.join(BROWSER_PIXEL_FORMATS)} (8 bits, 4:2:0); encode it again "
            "with -pix_fmt yuv420p"
        )
    profile = video.codec_context.profile
    if codecs[0] == "h264" and profile and profile not in _H264_PROFILES:
        return (
            f"H.264 profile {profile}, allowed in browsers: {', '.join(_H264_PROFILES)}; encode it again with -profile:v high and "
            "without -qp 0"
        )
    return _way_of_showing(shown, frames)


def codec_name(stream: av.VideoStream | av.AudioStream) -> str:
    """FFmpeg's name of the codec, not that of the decoder: ``av1`` and not ``libdav1d``."""
    return stream.codec_context.codec.canonical_name


def _other_stream(container: InputContainer, video: av.VideoStream, audio: av.AudioStream | None) -> str:
    """Browsers play the first stream of each kind."""
    from av.stream import Disposition

    still = Disposition.attached_pic | Disposition.still_image
    first = next((one for one in container.streams.video if not one.disposition & still), video)
    if first.index != video.index:
        return "its first video stream is not the default one, which not every browser plays; keep one of them"
    if audio is not None and container.streams.audio[0].index != audio.index:
        return "its first audio stream is not that of the song, and browsers play the first; keep one of them"
    return ""


def _frames(container: InputContainer, video: av.VideoStream, shown: ShownFrames) -> Iterator[VideoFrame]:
    for packet in container.demux(video):
        yield from shown.add(packet, packet.decode())


def _way_of_showing(shown: ShownFrames, frames: list[VideoFrame]) -> str:
    if not frames:
        return "has no frames; write it again"
    if shown.is_interlaced:
        return "interlaced video, allowed in browsers: progressive video; encode it again with the filter bwdif"
    if shown.margins:
        return "its header crops the picture, which not every browser does; encode it again, cropped"
    if shown.is_turned_once:
        return "its video stream turns the frames, which browsers do not; encode it again, upright"
    if any(orientation(frame).is_mirrored for frame in frames):
        return "its display matrix mirrors the frames, which not every browser does; encode it again, mirrored"
    return ""
