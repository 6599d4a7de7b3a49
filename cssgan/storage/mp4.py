"""Generated frames + sound -> mp4 (h264 yuv420p + aac), and the sound file and picture that go in."""

from __future__ import annotations

import os
import uuid
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import av.error
import numpy as np
import soundfile
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.video.stream import VideoStream
from numpy.typing import NDArray
from PIL import ExifTags, Image

from phonics_data.errors import InputError

AAC_RATES_HZ = (16_000, 22_050, 24_000, 32_000, 44_100, 48_000)
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""EXIF's orientation -> what sets the picture upright."""
LOWEST_RATE_HZ = 1_000
"""Of sound files. A header that says less is wrong: as it says it, seconds of sound would last hours."""


def read_sound(path: Path) -> tuple[NDArray[np.float32], int]:
    """A sound file of any format that libsndfile reads -> mono float32 in [-1, 1], and its rate.

    Raises `InputError` for a missing, unreadable or empty file, a rate below `LOWEST_RATE_HZ`, NaN or infinity.
    """
    if not path.exists():
        raise InputError(f"{path}: no such sound file")
    try:
        sound_NC, rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
    except (OSError, RuntimeError) as error:  # soundfile's errors derive from RuntimeError
        raise InputError(f"{path}: cannot be read as sound ({error}); allowed: wav, flac, ogg, mp3") from error
    if not sound_NC.size:
        raise InputError(f"{path}: holds no sound; give a file with at least one sample")
    if rate_hz < LOWEST_RATE_HZ:
        raise InputError(
            f"{path}: says {rate_hz} samples a second, allowed: from {LOWEST_RATE_HZ}; write the file again"
        )
    if not bool(np.isfinite(sound_NC).all()):
        raise InputError(f"{path}: holds NaN or infinity; write the file again")
    return np.clip(sound_NC.mean(axis=1), -1.0, 1.0).astype(np.float32), int(rate_hz)


@dataclass(frozen=True, kw_only=True, slots=True)
class VideoInfo:
    """What a browser has to play."""

    seconds: float
    width: int
    height: int
    video_codec: str
    audio_codec: str


def probe(path: Path) -> VideoInfo:
    """Length, size and codecs of an mp4 with sound. Raises `InputError` for anything else."""
    try:
        with av.open(str(path)) as film:
            if "mp4" not in film.format.name:
                raise InputError(f"{path}: is {film.format.name}, allowed: mp4; convert it")
            if not film.streams.video or not film.streams.audio:
                missing = "sound" if film.streams.video else "picture"
                raise InputError(f"{path}: has no {missing}; give an mp4 with picture and sound")
            picture, sound = film.streams.video[0], film.streams.audio[0]
            if film.duration is None or film.duration <= 0 or next(film.decode(picture), None) is None:
                raise InputError(f"{path}: has no frames; write it again")
            return VideoInfo(
                seconds=film.duration / av.time_base,
                width=picture.width,
                height=picture.height,
                video_codec=picture.codec_context.name,
                audio_codec=sound.codec_context.name,
            )
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file; give an mp4 with picture and sound") from error
    except (OSError, av.error.FFmpegError) as error:
        raise InputError(f"{path}: cannot be read as a film ({error}); give an mp4 with picture and sound") from error


def read_picture(path: Path, size: int) -> NDArray[np.uint8]:
    """A picture file -> its central square at size x size, uint8 RGB (H, W, C).

    It is turned upright as its camera says (EXIF); what is transparent lies on white; of 16 bits the upper 8 are taken.

    Raises:
        InputError: no picture, a damaged one, or one of whole numbers or fractions whose range nobody says.
    """
    try:
        with Image.open(path) as opened:
            picture = _in_rgb(_upright(opened))
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such picture") from error
    except UnknownWhiteError as error:
        raise InputError(f"{path}: {error}") from error
    except Exception as error:  # whatever Pillow's readers of damaged files raise, of their bytes it comes
        raise InputError(f"{path}: cannot be read as a picture ({error}); allowed: png, jpeg, webp") from error
    side = min(picture.size)
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    # Large pictures are area-averaged as the dataset's frames were; small ones must be interpolated.
    method = Image.Resampling.BOX if side >= size else Image.Resampling.BICUBIC
    return np.asarray(picture.crop((left, top, left + side, top + side)).resize((size, size), method))


class UnknownWhiteError(ValueError):
    """A picture whose numbers have no largest one."""


def _upright(picture: Image.Image) -> Image.Image:
    """Turned as EXIF says; damaged EXIF says nothing."""
    try:
        turn = _TURNS.get(picture.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # noqa: BLE001 - Pillow reads it in many ways, each with errors of its own
        return picture
    return picture if turn is None else picture.transpose(turn)


def _in_rgb(picture: Image.Image) -> Image.Image:
    """Eight bits of red, green and blue. Raises `UnknownWhiteError` where white is not known."""
    if picture.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(picture, np.uint16) >> 8).astype(np.uint8)).convert("RGB")
    if picture.mode in ("I", "F"):
        raise UnknownWhiteError(f"picture of mode {picture.mode}, allowed: 8 or 16 bits; save it as an 8-bit png")
    if picture.has_transparency_data:
        white = Image.new("RGBA", picture.size, "white")
        return Image.alpha_composite(white, picture.convert("RGBA")).convert("RGB")
    return picture.convert("RGB")


def write_mp4(
    path: Path,
    video_THWC: NDArray[np.uint8],
    frame_rate: Fraction,
    audio_N: NDArray[np.float32],
    audio_rate_hz: int,
    *,
    scale: int = 1,
) -> None:
    """Write a video with its sound, whole or not at all.

    Args:
        video_THWC: uint8 RGB.
        audio_N: mono in [-1, 1]; cut to the video's length.
        scale: whole factor by which pixels are repeated, so that small videos can be seen.

    Raises:
        InputError: the file cannot be written.
    """
    num_frames = len(video_THWC)
    audio_N = audio_N[: round(num_frames / frame_rate * audio_rate_hz)]
    temporary = path.with_name(f".{uuid.uuid4().hex}.mp4")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror}); choose another --out") from error
    try:
        with av.open(str(temporary), "w", format="mp4", options={"movflags": "+faststart"}) as out:
            picture = out.add_stream("libx264", rate=frame_rate, options={"crf": "16", "preset": "medium"})
            sound = out.add_stream("aac", rate=_aac_rate(audio_rate_hz), layout="mono")
            assert isinstance(picture, VideoStream)
            assert isinstance(sound, AudioStream)
            picture.height, picture.width = (side * scale for side in video_THWC.shape[1:3])
            picture.pix_fmt = "yuv420p"
            for small_HWC in video_THWC:
                frame = small_HWC.repeat(scale, axis=0).repeat(scale, axis=1)
                out.mux(picture.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
            out.mux(picture.encode(None))
            _write_sound(out, sound, audio_N, audio_rate_hz)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except (OSError, av.error.FFmpegError) as error:
        raise InputError(f"{path}: cannot be written ({error}); choose another --out") from error
    finally:
        temporary.unlink(missing_ok=True)


def _aac_rate(rate_hz: int) -> int:
    """The rate itself where AAC knows it, else the next one up."""
    return next((rate for rate in AAC_RATES_HZ if rate >= rate_hz), AAC_RATES_HZ[-1])


def _write_sound(out: OutputContainer, stream: AudioStream, audio_N: NDArray[np.float32], rate_hz: int) -> None:
    resampler = av.AudioResampler(format="fltp", layout="mono", rate=stream.rate)
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(audio_N)[None], format="fltp", layout="mono")
    frame.sample_rate = rate_hz
    # Without a time of its own the encoder's lead (a frame of silence) counts as sound, and all comes late by it.
    frame.pts, frame.time_base = 0, Fraction(1, rate_hz)
    for part in [*resampler.resample(frame), *resampler.resample(None)]:
        out.mux(stream.encode(part))
    out.mux(stream.encode(None))
