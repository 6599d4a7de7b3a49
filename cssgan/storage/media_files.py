"""Media files: generated frames and audio -> mp4 (h264 yuv420p + aac); video, audio and image files -> arrays."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
import av.error
import numpy as np
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.video.stream import VideoStream
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from phonics_data.contract.browser_video import browser_fault, codec_name
from phonics_data.contract.display import DisplayError, upright_rgb
from phonics_data.contract.files import atomic_path
from phonics_data.contract.image_file import UnknownRangeError, opened_image, shown, shown_on_white
from phonics_data.contract.media_input import MAX_FRAME_PIXELS, open_input
from phonics_data.contract.mono import (
    MAX_CANCELLED_DB,
    LossTable,
    cancelled_db,
    cancelled_text,
    mix_channels,
    mix_frames,
)
from phonics_data.contract.shown_frames import ShownFrames
from phonics_data.contract.streams import audio_stream, video_stream
from phonics_data.contract.untrusted import read_sound
from phonics_data.contract.video import REPEATABLE_H264, with_even_sides
from phonics_data.errors import InputError

AAC_RATES_HZ = (16_000, 22_050, 24_000, 32_000, 44_100, 48_000)
MIN_RATE_HZ = 1_000
"""Minimum sample rate of audio files. A lower one indicates a wrong header, with which seconds would last hours."""


MAX_AUDIO_SAMPLES = 100_000_000
"""Largest audio file, in all channels together: 17 minutes of stereo at 48 kHz. It is decoded to 400 MB in this process."""


def read_audio(path: Path) -> tuple[NDArray[np.float32], int]:
    """An audio file of any format that libsndfile reads -> mono float32 (N,) in [-1, 1], and its sample rate in Hz.

    Raises:
        InputError: a missing, unreadable or empty file, more than `MAX_AUDIO_SAMPLES`, a rate below `MIN_RATE_HZ`, NaN or infinity.
    """
    if not path.exists():
        raise InputError(f"{path}: no such audio file")
    try:
        audio_NC, rate_hz = read_sound(path, max_values=MAX_AUDIO_SAMPLES)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as audio ({error}); allowed: wav, flac, ogg, mp3") from error
    if not audio_NC.size:
        raise InputError(f"{path}: contains no audio; give a file with at least one sample")
    if rate_hz < MIN_RATE_HZ:
        raise InputError(f"{path}: sample rate {rate_hz} Hz, allowed: at least {MIN_RATE_HZ}; write the file again")
    if not bool(np.isfinite(audio_NC).all()):
        raise InputError(f"{path}: contains NaN or infinity; write the file again")
    return np.clip(_mixed(path, audio_NC, int(rate_hz)), -1.0, 1.0).astype(np.float32), int(rate_hz)


def _mixed(path: Path, audio_NC: NDArray[Any], rate_hz: int) -> NDArray[np.float64]:
    """Mono. Raises `InputError` if the channels cancel each other."""
    mono_N, losses = mix_channels(audio_NC, rate_hz)
    _check_cancelled(path, losses)
    return mono_N


def _check_cancelled(path: Path, losses: LossTable) -> None:
    if (quieter := cancelled_db(losses)) > MAX_CANCELLED_DB:
        raise InputError(f"{path}: {cancelled_text(quieter)}")


@dataclass(frozen=True, kw_only=True, slots=True)
class VideoInfo:
    """Properties of a video file, and whether browsers play it."""

    seconds: float
    width: int
    height: int
    video_codec: str
    """FFmpeg's name, e.g. ``h264``."""
    audio_codec: str
    browser_fault: str
    """Why some browser does not play it, and what to do; empty if all do."""


def probe(path: Path) -> VideoInfo:
    """Length, size and codecs of an mp4 with video and audio. Raises `InputError` for anything else."""
    try:
        with open_input(path) as container:
            if "mp4" not in container.format.name:
                raise InputError(f"{path}: is {container.format.name}, allowed: mp4; convert it")
            if not container.streams.video or not container.streams.audio:
                missing = "audio" if container.streams.video else "video"
                raise InputError(f"{path}: has no {missing} stream; give an mp4 with video and audio")
            video, audio = video_stream(container), audio_stream(container)
            if video is None or audio is None:
                missing = "audio" if video is not None else "video"
                raise InputError(f"{path}: has no {missing} stream that can be decoded; encode it again")
            fault = browser_fault(container)
            if container.duration is None or container.duration <= 0:
                raise InputError(f"{path}: has no frames; write it again")
            return VideoInfo(
                seconds=container.duration / av.time_base,
                width=video.width,
                height=video.height,
                video_codec=codec_name(video),
                audio_codec=codec_name(audio),
                browser_fault=fault,
            )
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file; give an mp4 with video and audio") from error
    except DisplayError as error:
        raise InputError(f"{path}: {error}") from error
    except (OSError, ValueError, av.error.FFmpegError) as error:
        raise InputError(f"{path}: cannot be read as a video ({error}); give an mp4 with video and audio") from error


_END_SLACK_SECONDS = 0.5
"""Containers can announce a few frames more than they contain. The importers of phonics_data allow the same."""
MAX_VIDEO_FRAMES = 3_000
"""Longer videos are not read: they are whole songs, not clips or generated videos."""
MAX_VIDEO_PIXELS = 3_000_000_000
"""Pixels of all frames of one video: 1,400 frames of 1080p, or 350 of 4K. They are decoded in this process."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class VideoFile:
    """Frames and audio of a video file."""

    frames_THWC: NDArray[np.uint8]
    frame_rate: Fraction
    """Average frames per second."""
    audio_N: NDArray[np.float32] | None
    """Mono in [-1, 1]; sample 0 is at the first frame. None: the file has no audio stream, or an empty one."""


def read_video(path: Path, size: int, audio_rate_hz: int) -> VideoFile:
    """Every frame of a video file at size x size, and its audio as long as the frames.

    Frames of another size are squashed (area average); frames that have the size are not scaled.

    Raises:
        InputError: a missing, damaged or cut-off file, no video stream, no frame, or more than `MAX_VIDEO_FRAMES`,
            `MAX_VIDEO_PIXELS` or `MAX_AUDIO_SAMPLES`.
    """
    frames: list[NDArray[np.uint8]] = []
    parts: list[av.AudioFrame] = []
    starts: dict[str, Fraction] = {}
    end = Fraction(0)
    num_pixels = num_samples = 0
    try:
        with open_input(path) as container:
            stream, sound = video_stream(container), audio_stream(container)
            if stream is None:
                raise InputError(f"{path}: has no video stream; give a video file")
            rate = stream.average_rate or stream.guessed_rate
            announced = Fraction(container.duration or 0, av.time_base)
            start = Fraction(cast("int | None", container.start_time) or 0, av.time_base)
            streams = [stream, *([sound] if sound is not None else [])]
            resampler = av.AudioResampler(format="fltp", rate=audio_rate_hz)
            shown_frames = ShownFrames(stream)
            decoded = (
                frame
                for packet in container.demux(streams)
                for frame in (
                    shown_frames.add(packet, cast("list[av.VideoFrame]", packet.decode()))
                    if packet.stream.index == stream.index
                    else packet.decode()
                )
            )
            for frame in decoded:
                if not isinstance(frame, av.AudioFrame | av.VideoFrame):
                    continue
                if frame.pts is not None and frame.time_base is not None:
                    starts.setdefault(type(frame).__name__, frame.pts * Fraction(frame.time_base))
                    end = max(end, (frame.pts + frame.duration) * Fraction(frame.time_base) - start)
                if isinstance(frame, av.AudioFrame):
                    parts += resampler.resample(frame)
                    num_samples += frame.samples * frame.layout.nb_channels
                    if num_samples > MAX_AUDIO_SAMPLES:
                        raise InputError(
                            f"{path}: more than {MAX_AUDIO_SAMPLES} samples of audio; cut it into clips first"
                        )
                else:
                    frames.append(_pixels(frame, size))
                    num_pixels += frame.width * frame.height
                    if len(frames) > MAX_VIDEO_FRAMES:
                        raise InputError(f"{path}: more than {MAX_VIDEO_FRAMES} frames; cut it into clips first")
                    if num_pixels > MAX_VIDEO_PIXELS:
                        raise InputError(
                            f"{path}: more than {MAX_VIDEO_PIXELS / 1e9:g} thousand million pixels in its frames; give a smaller or shorter copy"
                        )
            if parts:
                parts += resampler.resample(None)
            sound_N, losses = mix_frames(parts) if parts else (None, None)
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such video file") from error
    except DisplayError as error:
        raise InputError(f"{path}: {error}") from error
    except (OSError, ValueError, av.error.FFmpegError) as error:
        raise InputError(
            f"{path}: cannot be read as a video ({error}); write it again, with frames of up to {MAX_FRAME_PIXELS / 1e6:.0f} million pixels"
        ) from error
    if not frames or not rate:
        raise InputError(f"{path}: no video frame decodes, or the file gives no frame rate; write it again")
    if end < announced - Fraction(_END_SLACK_SECONDS):
        raise InputError(
            f"{path}: its duration is {float(announced):.2f} s, but it decodes only up to {float(end):.2f} s; the file is cut off "
            "or damaged: write it again"
        )
    if losses is not None:
        _check_cancelled(path, losses)
    frame_rate = Fraction(rate.numerator, rate.denominator)
    wanted = round(len(frames) / frame_rate * audio_rate_hz)
    late = starts.get("AudioFrame", Fraction(0)) - starts.get("VideoFrame", Fraction(0))
    return VideoFile(
        frames_THWC=np.stack(frames),
        frame_rate=frame_rate,
        audio_N=_shifted(sound_N, round(late * audio_rate_hz), wanted) if sound_N is not None else None,
    )


def _pixels(frame: av.VideoFrame, size: int) -> NDArray[np.uint8]:
    """The upright frame squashed to size x size; converted to RGB first, because the chroma of small frames would be too coarse."""
    pixels = upright_rgb(frame)
    if pixels.shape[:2] == (size, size):
        return pixels
    return np.asarray(Image.fromarray(pixels).resize((size, size), _resampling(min(pixels.shape[:2]), size)))


def _resampling(side: int, size: int) -> Image.Resampling:
    """Large images are area-averaged like the frames of the dataset; small ones must be interpolated."""
    return Image.Resampling.BOX if side >= size else Image.Resampling.BICUBIC


def _shifted(audio_N: NDArray[np.float32], late: int, num_samples: int) -> NDArray[np.float32]:
    """`num_samples` samples of audio that begins `late` samples after the first frame (before it, if negative)."""
    out = np.zeros(num_samples, np.float32)
    part = audio_N[max(0, -late) :][: max(0, num_samples - max(0, late))]
    out[max(0, late) : max(0, late) + len(part)] = part
    return np.clip(out, -1.0, 1.0)


def read_image(path: Path, size: int) -> NDArray[np.uint8]:
    """An image file -> its central square at size x size, uint8 RGB (H, W, C).

    * It is turned upright by its EXIF orientation, and converted to sRGB by its colour profile.
    * Transparent pixels are composited on white.
    * Of 16-bit values, the upper 8 bits are used.

    Raises:
        InputError: a missing or damaged file, or an integer or float image without a defined value range.
    """
    with _opened(path) as opened:
        image = shown_on_white(opened)
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    square = image.crop((left, top, left + side, top + side))
    return np.asarray(square.resize((size, size), _resampling(side, size)))


MAX_IMAGE_PIXELS = MAX_FRAME_PIXELS
"""Largest picture, in any aspect ratio, as of videos. It is decoded in this process, to some hundred megabytes."""


@contextmanager
def _opened(path: Path) -> Generator[Image.Image]:
    """The image of a file as stored. Errors of opening it and of the work on it become `InputError`."""
    try:
        with opened_image(path, max_pixels=MAX_IMAGE_PIXELS) as opened:
            yield opened
    except InputError:
        raise
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such image") from error
    except UnknownRangeError as error:
        raise InputError(f"{path}: {error}") from error
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as an image ({error}); allowed: png, jpeg, webp") from error


MAX_OBJECT_SIDE = 512
"""Larger object pictures are scaled down to this many pixels, as those of datasets."""
_BORDER_GREY_LEVELS = 24
"""Largest difference of a background pixel from the border's colour, in any channel; JPEG noise is below it."""


def read_object(path: Path) -> NDArray[np.uint8]:
    """An image file of an object -> uint8 RGBA (H, W, 4), at most `MAX_OBJECT_SIDE` pixels a side, turned upright.

    Without transparency of its own, the background is transparent if the border has one colour: the pixels of this colour
    that are connected with the border. Otherwise the whole picture is the object.

    Raises:
        InputError: a missing or damaged file, or nothing is visible.
    """
    with _opened(path) as image:
        image = shown(image).convert("RGBA")
        image.thumbnail((MAX_OBJECT_SIDE, MAX_OBJECT_SIDE))
        picture = np.array(image)
    if (picture[..., 3] == 255).all():
        picture[_background(picture[..., :3]), 3] = 0
    if not picture[..., 3].any():
        raise InputError(
            f"{path}: shows no object, only one colour or transparent pixels; give a picture of the object"
        )
    return picture


def _background(rgb_HWC: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """bool (H, W): pixels of the border's colour that are connected with it; none if the border has several colours."""
    inside = np.zeros(rgb_HWC.shape[:2], np.bool_)
    inside[1:-1, 1:-1] = True
    border_PC = rgb_HWC[~inside].astype(np.int16)
    like_HW = (np.abs(rgb_HWC - np.median(border_PC, axis=0)) <= _BORDER_GREY_LEVELS).all(axis=2)
    if not like_HW[~inside].all():
        return np.zeros_like(inside)
    label_HW, _ = cast("tuple[NDArray[np.int32], int]", ndimage.label(like_HW))
    return np.isin(label_HW, np.unique(label_HW[~inside])) & like_HW


def write_mp4(
    path: Path,
    video_THWC: NDArray[np.uint8],
    frame_rate: Fraction,
    audio_N: NDArray[np.float32],
    audio_rate_hz: int,
    *,
    scale: int = 1,
) -> None:
    """Write a video with its audio, atomically.

    Args:
        video_THWC: uint8 RGB.
        audio_N: float32 mono in [-1, 1]; cut to the video's length.
        scale: integer factor by which pixels are repeated, to enlarge small videos.

    Raises:
        InputError: the file cannot be written.
    """
    num_frames = len(video_THWC)
    video_THWC = video_THWC if scale % 2 == 0 else with_even_sides(video_THWC)
    audio_N = audio_N[: round(num_frames / frame_rate * audio_rate_hz)]
    try:
        with (
            atomic_path(path) as temporary,
            av.open(str(temporary), "w", format="mp4", options={"movflags": "+faststart"}) as out,
        ):
            options = {"crf": "16", "preset": "medium"} | REPEATABLE_H264
            video = out.add_stream("libx264", rate=frame_rate, options=options)
            audio = out.add_stream("aac", rate=_aac_rate(audio_rate_hz), layout="mono")
            assert isinstance(video, VideoStream)
            assert isinstance(audio, AudioStream)
            video.height, video.width = (side * scale for side in video_THWC.shape[1:3])
            video.pix_fmt = "yuv420p"
            for small_HWC in video_THWC:
                frame = small_HWC.repeat(scale, axis=0).repeat(scale, axis=1)
                out.mux(video.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
            out.mux(video.encode(None))
            _write_audio(out, audio, audio_N, audio_rate_hz)
    except (OSError, av.error.FFmpegError) as error:
        raise InputError(f"{path}: cannot be written ({error}); choose another --out") from error


def _aac_rate(rate_hz: int) -> int:
    """The lowest rate of AAC that is not below `rate_hz`, or the highest."""
    return next((rate for rate in AAC_RATES_HZ if rate >= rate_hz), AAC_RATES_HZ[-1])


def _write_audio(out: OutputContainer, stream: AudioStream, audio_N: NDArray[np.float32], rate_hz: int) -> None:
    resampler = av.AudioResampler(format="fltp", layout="mono", rate=stream.rate)
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(audio_N)[None], format="fltp", layout="mono")
    frame.sample_rate = rate_hz
    # Without a timestamp, the priming frame of the encoder (silence) counts as audio and delays all of it.
    frame.pts, frame.time_base = 0, Fraction(1, rate_hz)
    for part in [*resampler.resample(frame), *resampler.resample(None)]:
        out.mux(stream.encode(part))
    out.mux(stream.encode(None))
