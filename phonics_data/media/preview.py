"""What a browser shows of a source: the file itself or a transcoded preview, and single frames."""

from __future__ import annotations

import io
import subprocess
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, cast

import av
import av.error

from phonics_data.contract.browser_video import browser_fault
from phonics_data.contract.display import HD_LINES, UNSPECIFIED_MATRIX
from phonics_data.contract.files import atomic_path
from phonics_data.contract.shown_frames import ShownFrames
from phonics_data.errors import MediaError
from phonics_data.media.container import (
    audio_stream,
    ffmpeg_path,
    frames_of,
    open_media,
    pixel_aspect,
    time_base,
    video_stream,
)
from phonics_data.media.scaler import orientation_of, upright_frame

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

_MEDIA_TYPES = {".mp4": "video/mp4", ".m4v": "video/mp4", ".webm": "video/webm"}
PREVIEW_HEIGHT = 360
_PREROLL_SECONDS = 1
_MAX_LATE_SECONDS = Fraction(1, 50)


def playable_type(path: Path) -> str:
    """The media type of a file that all current browsers play; empty for other files.

    Raises:
        MediaError: the file is missing, not a media file, does not decode, or has to be shown in a way that is not supported.
    """
    with open_media(path) as container:
        fault = browser_fault(container)
        video = video_stream(container)
        late = abs((video.start_time or 0) * time_base(video)) if video is not None else 0
    # Browsers begin with the earliest stream, the pages with the first frame.
    return "" if fault or late > _MAX_LATE_SECONDS else _MEDIA_TYPES.get(path.suffix.lower(), "")


def write_preview(path: Path, out: Path) -> None:
    """Transcode a file to a small MP4 that browsers play, on the clock of the source.

    Raises:
        MediaError: ``does_not_decode``: ffmpeg failed.
    """
    with open_media(path) as container:  # refuses playlists and other files that are not media
        video, audio = video_stream(container), audio_stream(container)
        if video is None:
            raise MediaError("no_video_stream", f"{path}: has no video stream")
        is_hd = video.height >= HD_LINES and int(video.codec_context.colorspace) == UNSPECIFIED_MATRIX
        late = (
            float((video.start_time or 0) * time_base(video))
            - (cast("int | None", container.start_time) or 0) / av.time_base
        )
        maps = [f"0:{stream.index}" for stream in (video, audio) if stream is not None]
    matrix = f"in_color_matrix={'bt709' if is_hd else 'auto'}:out_color_matrix=bt709:out_range=tv"
    shown = f"setpts=PTS-STARTPTS,bwdif=mode=send_frame:deint=interlaced,scale=-2:'min({PREVIEW_HEIGHT},ih)':{matrix},format=yuv420p"
    tags = "setparams=colorspace=bt709:color_primaries=bt709:color_trc=bt709:range=tv"
    with atomic_path(out) as temporary:
        command = [
            ffmpeg_path(), "-v", "error", "-nostdin", "-y", "-protocol_whitelist", "file", "-i", str(path.absolute()),
            *(part for stream in maps for part in ("-map", stream)), "-vf", f"{shown},{tags}",
            "-af", f"asetpts=PTS-{late:.6f}/TB,atrim=start=0",
            "-c:v", "libx264", "-preset", "ultrafast", "-crf", "28", "-g", "25", "-threads", "1",
            "-c:a", "aac", "-b:a", "64k", "-ac", "1", "-movflags", "+faststart", "-f", "mp4", str(temporary),
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, check=False)
        if done.returncode:
            lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
            raise MediaError("does_not_decode", f"{path}: no preview ({lines[-1] if lines else 'ffmpeg failed'})")


def frame_jpeg(path: Path, seconds: float, *, max_width: int = 320) -> bytes:
    """The frame that is displayed at a time of a source, as JPEG. After the end: the last frame.

    Args:
        seconds: from the first video frame.
        max_width: wider frames are scaled down.

    Raises:
        MediaError: the file has no video, no frame of it decodes, or it has to be shown in a way that is not supported.
    """
    from PIL import Image

    with open_media(path) as container:
        stream = video_stream(container)
        if stream is None:
            raise MediaError("no_video_stream", f"{path}: has no video stream")
        stream.codec_context.thread_count = 1
        shown = _frame_at(path, container, stream, seconds)
        if shown is None:
            raise MediaError("does_not_decode", f"{path}: no frame at {seconds:.2f} s decodes; fetch it again")
        pixels = upright_frame(shown, str(path))
        aspect = pixel_aspect(stream)
        if orientation_of(shown).is_transposed:
            aspect = 1 / aspect
    image = Image.fromarray(pixels)
    if aspect != 1:
        image = image.resize((max(1, round(image.width * aspect)), image.height))
    image.thumbnail((max_width, max_width))
    file = io.BytesIO()
    image.save(file, "JPEG", quality=80)
    return file.getvalue()


def _frame_at(path: Path, container: InputContainer, stream: VideoStream, seconds: float) -> VideoFrame | None:
    """The frame that is displayed `seconds` after the first one."""
    tick, frames = time_base(stream), ShownFrames(stream)
    first = next((frame for packet in container.demux(stream) for frame in frames.add(packet, frames_of(packet))), None)
    if first is None:
        return None
    assert first.pts is not None
    wanted = first.pts + round(seconds / tick)
    # Key frames can lie after the frames that are decoded from them; a second back is enough for that.
    if seconds > _PREROLL_SECONDS:
        with suppress(av.error.FFmpegError):
            container.seek(wanted - round(_PREROLL_SECONDS / tick), stream=stream, backward=True)
            frames.reset()
            shown = _last_until(container, stream, wanted, frames)
            if shown is not None and (shown.pts or 0) <= wanted:
                return shown
    # Without an index, a seek can land after the wanted frame.
    with open_media(path) as again:
        video = cast("VideoStream", again.streams[stream.index])
        return _last_until(again, video, wanted, ShownFrames(video))


def _last_until(container: InputContainer, stream: VideoStream, wanted: int, frames: ShownFrames) -> VideoFrame | None:
    """The last frame that does not begin after `wanted`; the first one if all do."""
    shown = None
    for packet in container.demux(stream):
        for frame in frames.add(packet, frames_of(packet)):
            assert frame.pts is not None
            if frame.pts > wanted and shown is not None:
                return shown
            shown = frame
    return shown
