"""What a browser shows of a source: the file itself or a transcoded preview, and single frames."""

from __future__ import annotations

import io
import subprocess
from pathlib import Path

from phonics_data.contract.files import atomic_path
from phonics_data.contract.video import BROWSER_PIXEL_FORMATS
from phonics_data.errors import MediaError
from phonics_data.media.container import audio_stream, ffmpeg_path, frames_of, open_media, time_base, video_stream
from phonics_data.media.scaler import upright_frame

_PLAYABLE = {
    ".mp4": ({"h264", "av1", "vp9"}, {"aac", "mp3", "opus", "flac"}, "video/mp4"),
    ".m4v": ({"h264", "av1", "vp9"}, {"aac", "mp3", "opus", "flac"}, "video/mp4"),
    ".webm": ({"vp8", "vp9", "av1"}, {"opus", "vorbis"}, "video/webm"),
}
_DECODERS = {"libdav1d": "av1", "libvpx": "vp8", "libvpx-vp9": "vp9", "libopus": "opus", "libvorbis": "vorbis"}
PREVIEW_HEIGHT = 360


def playable_type(path: Path) -> str:
    """The media type of a file that all current browsers play; empty for other files.

    Raises:
        MediaError: the file is missing or not a media file.
    """
    videos, audios, media_type = _PLAYABLE.get(path.suffix.lower(), (set[str](), set[str](), ""))
    with open_media(path) as container:
        video, audio = video_stream(container), audio_stream(container)
        video_codec = video.codec_context.name if video is not None else ""
        audio_codec = audio.codec_context.name if audio is not None else ""
        pixel_format = (video.codec_context.pix_fmt or "") if video is not None else ""
    plays_video = _DECODERS.get(video_codec, video_codec) in videos and pixel_format in BROWSER_PIXEL_FORMATS
    plays_audio = not audio_codec or _DECODERS.get(audio_codec, audio_codec) in audios
    return media_type if plays_video and plays_audio else ""


def write_preview(path: Path, out: Path) -> None:
    """Transcode a file to a small MP4 that browsers play, on the clock of the source.

    Raises:
        MediaError: ``does_not_decode``: ffmpeg failed.
    """
    with open_media(path):  # refuses playlists and other files that are not media
        pass
    with atomic_path(out) as temporary:
        command = [
            ffmpeg_path(), "-v", "error", "-nostdin", "-y", "-protocol_whitelist", "file", "-i", str(path.absolute()),
            "-map", "0:v:0", "-map", "0:a:0?", "-vf", f"scale=-2:'min({PREVIEW_HEIGHT},ih)',format=yuv420p",
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
        tick = time_base(stream)
        first = stream.start_time or 0
        wanted = first + round(seconds / tick)
        # Key frames can lie after the frames that are decoded from them; a second back is enough for that.
        container.seek(max(first, wanted - round(1 / tick)), stream=stream, backward=True)
        shown = None
        for packet in container.demux(stream):
            for frame in frames_of(packet):
                if frame.pts is not None and frame.pts > wanted and shown is not None:
                    break
                shown = frame if frame.pts is not None else shown
            else:
                continue
            break
        if shown is None:
            raise MediaError("does_not_decode", f"{path}: no frame at {seconds:.2f} s decodes; fetch it again")
        image = Image.fromarray(upright_frame(shown, str(path)))
    image.thumbnail((max_width, max_width))
    file = io.BytesIO()
    image.save(file, "JPEG", quality=80)
    return file.getvalue()
