"""Writing of videos: lossless from images, clips as MP4, and rendered songs as MP4."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import av.error
import numpy as np
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from phonics_data.contract.files import atomic_path, write_bytes
from phonics_data.contract.image_file import is_plain, opened_image, shown, shown_on_white
from phonics_data.contract.mono import MAX_CANCELLED_DB, cancelled_db, cancelled_text, mix_channels
from phonics_data.contract.untrusted import read_limited, read_sound
from phonics_data.contract.video import REPEATABLE_H264, with_even_sides
from phonics_data.errors import MediaError

if TYPE_CHECKING:
    from PIL import Image

_JPEG = b"\xff\xd8\xff"
_AUDIO_BLOCK = 1024


_MAX_IMAGE_BYTES = 100_000_000


def video_from_images(path: Path, images: Sequence[Path], frame_rate: Fraction, audio: Path) -> None:
    """Write a Matroska file of `images`, one per frame, and `audio`.

    JPEG images are stored unchanged if they need neither turning nor conversion of colours; all other formats that Pillow reads are stored losslessly (FFV1). The format is
    detected from the image data, not from the file name.

    Args:
        audio: any file that libsndfile reads.

    Raises:
        MediaError: ``no_video_stream`` (no images, or unreadable ones), ``no_audio_stream``.
    """
    if not images:
        raise MediaError("no_video_stream", f"{path.stem}: no images to make a video from")
    try:
        # As float: libsndfile reads the samples of float files into integers without scaling them.
        audio_NC, rate_hz = read_sound(audio, dtype="float64")
    except (ValueError, OSError) as error:
        raise MediaError("no_audio_stream", f"{audio}: not a readable audio file ({error})") from error
    if not np.isfinite(audio_NC).all():
        raise MediaError("no_audio_stream", f"{audio}: contains NaN or infinity")
    mono_N, losses = mix_channels(audio_NC, rate_hz)
    if (quieter := cancelled_db(losses)) > MAX_CANCELLED_DB:
        raise MediaError(
            "channels_cancel", f"{audio}: {cancelled_text(quieter)}", measured=quieter, threshold=MAX_CANCELLED_DB
        )
    try:
        blobs = [read_limited(image, _MAX_IMAGE_BYTES) for image in images]
        with opened_image(images[0]) as first:
            size = shown(first).size
        is_jpeg = all(blob.startswith(_JPEG) for blob in blobs) and all(_is_plain(image) for image in images)
        with atomic_path(path) as temporary, av.open(str(temporary), "w", format="matroska") as container:
            video: Any = container.add_stream("mjpeg" if is_jpeg else "ffv1", rate=frame_rate)
            video.width, video.height = size
            video.pix_fmt = "yuvj420p" if is_jpeg else "bgr0"
            track: Any = container.add_stream("pcm_s16le", rate=rate_hz)
            track.layout = "mono"
            _mux_audio(container, track, np.clip(mono_N * 32768, -32768, 32767), rate_hz)
            for index, blob in enumerate(blobs):
                if is_jpeg:
                    packet = av.Packet(blob)
                    packet.stream, packet.time_base = video, 1 / frame_rate
                    packet.pts = packet.dts = index
                    packet.duration, packet.is_keyframe = 1, True
                    container.mux(packet)
                else:
                    with opened_image(images[index]) as image:
                        pixels = np.asarray(shown_on_white(image))
                    if pixels.shape[1::-1] != size:
                        raise ValueError(
                            f"{images[index].name} is {pixels.shape[1]}x{pixels.shape[0]}, the first {size[0]}x{size[1]}"
                        )
                    frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
                    frame.pts, frame.time_base = index, 1 / frame_rate
                    container.mux(video.encode(frame))
            if not is_jpeg:
                container.mux(video.encode())
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise MediaError("no_video_stream", f"{images[0].parent}: unreadable images ({error})") from error


def _is_plain(path: Path) -> bool:
    with opened_image(path) as image:
        return is_plain(image)


def write_mp4(
    path: Path,
    frames_LHWC: NDArray[np.uint8],
    frame_rate: Fraction,
    audio_N: NDArray[np.float32],
    audio_rate_hz: int,
) -> None:
    """Write a clip atomically as an MP4 file with H.264 and AAC. Arguments as in `encode_mp4`."""
    write_bytes(path, encode_mp4(frames_LHWC, frame_rate, audio_N, audio_rate_hz))


def encode_mp4(
    frames_LHWC: NDArray[np.uint8],
    frame_rate: Fraction,
    audio_N: NDArray[np.float32],
    audio_rate_hz: int,
    *,
    crf: int = 18,
) -> bytes:
    """A clip as the bytes of an MP4 file with H.264 and AAC that every browser plays; odd sides grow by one pixel.

    Args:
        frames_LHWC: (L, H, W, 3) uint8 RGB.
        audio_N: (N,) float32 mono in [-1, 1].
        crf: 0 is lossless, 18 visually lossless, 28 small.
    """
    frames_LHWC = with_even_sides(frames_LHWC)
    height, width = frames_LHWC.shape[1:3]
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        options = {"crf": str(crf), "preset": "veryfast"} | REPEATABLE_H264
        video: Any = container.add_stream("libx264", rate=frame_rate, options=options)
        video.width, video.height = width, height
        video.pix_fmt = "yuv420p"
        video.codec_context.thread_count = 1
        audio: Any = container.add_stream("aac", rate=audio_rate_hz)
        audio.layout = "mono"
        for index, pixels in enumerate(frames_LHWC):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
            frame.pts, frame.time_base = index, 1 / frame_rate
            container.mux(video.encode(frame))
        container.mux(video.encode())
        _mux_audio(container, audio, audio_N.astype(np.float64) * 32767, audio_rate_hz)
    return file.getvalue()


def _mux_audio(container: Any, stream: Any, audio_N: NDArray[np.float64], rate_hz: int) -> None:
    """Encode mono audio given in 16-bit units."""
    samples = audio_N.round().astype(np.int16)
    for start in range(0, samples.size, _AUDIO_BLOCK):
        block = av.AudioFrame.from_ndarray(samples[None, start : start + _AUDIO_BLOCK], format="s16", layout="mono")
        block.sample_rate, block.pts, block.time_base = rate_hz, start, Fraction(1, rate_hz)
        container.mux(stream.encode(block))
    container.mux(stream.encode())


def write_song_mp4(
    path: Path,
    frames: Iterable[Image.Image],
    frame_rate: float,
    audio_N: NDArray[np.float32],
    audio_rate_hz: int,
    *,
    key_frame_seconds: float,
) -> None:
    """Write a rendered song in the format of video sites: H.264 with sparse key frames, stereo AAC.

    The output is deterministic for a given encoder: one thread, no time stamps of the writing.

    Args:
        frame_rate: a whole number, or one divided by 1.001 (29.97...).
        frames: RGB, all of one size with even sides; an object that repeats the one before it is converted once.
        audio_N: (N,) float32 mono in [-1, 1].
        key_frame_seconds: maximum distance of key frames.
    """
    rate = Fraction(frame_rate).limit_denominator(1001)
    options = {"movflags": "+faststart", "fflags": "+bitexact"}
    with av.open(path, "w", format="mp4", container_options=options) as container:
        video = container.add_stream(
            "libx264",
            rate=rate,
            options={
                "preset": "veryfast",
                "crf": "22",
                "threads": "1",
                "g": str(round(key_frame_seconds * frame_rate)),
                # A coarse motion search: a third of the time for 10 % larger files, since the frames are flat graphics.
                "x264-params": "rc-lookahead=10:subme=1:me=dia",
            }
            | REPEATABLE_H264,
        )
        video.pix_fmt, video.time_base = "yuv420p", 1 / rate
        audio = container.add_stream(
            "aac", rate=audio_rate_hz, layout="stereo", options={"b": "128k", "aac_coder": "fast"}
        )
        scaler = VideoReformatter()  # reused: its setup costs more than a conversion
        audio_at = 0
        converted: av.VideoFrame | None = None
        last: Image.Image | None = None
        for index, image in enumerate(frames):
            if converted is None:
                video.width, video.height = image.size
            if image is not last or converted is None:
                rgb = av.VideoFrame.from_ndarray(np.asarray(image), format="rgb24")
                converted, last = scaler.reformat(rgb, format="yuv420p"), image
            converted.pts, converted.time_base = index, 1 / rate
            container.mux(video.encode(converted))
            until = min(audio_N.size, round((index + 1) / frame_rate * audio_rate_hz))
            while audio_at + _AUDIO_BLOCK <= until:
                container.mux(
                    audio.encode(_stereo(audio_N[audio_at : audio_at + _AUDIO_BLOCK], audio_at, audio_rate_hz))
                )
                audio_at += _AUDIO_BLOCK
        if audio_at < audio_N.size:
            container.mux(audio.encode(_stereo(audio_N[audio_at:], audio_at, audio_rate_hz)))
        container.mux(audio.encode(None))
        container.mux(video.encode(None))


def _stereo(block_N: NDArray[np.float32], start: int, rate_hz: int) -> av.AudioFrame:
    frame = av.AudioFrame.from_ndarray(np.tile(block_N, (2, 1)), format="fltp", layout="stereo")
    frame.sample_rate, frame.pts, frame.time_base = rate_hz, start, Fraction(1, rate_hz)
    return frame
