"""Generate videos with a trained model: `generate_video` from files, `generate_frames` from arrays.

`eval_windows` loads the evaluation windows that match a model.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from cssgan.data import resident
from cssgan.data.batches import to_uint8, to_video
from cssgan.data.shards import Dataset, resize
from cssgan.inference.export import LoadedGenerator as LoadedGenerator
from cssgan.inference.export import load_generator as load_generator
from cssgan.storage import media_files
from cssgan.types import EvalWindows, Split
from phonics_data.contract.sample import Sample
from phonics_data.errors import InputError

UPSCALE_LIMIT = 256
"""Small videos are scaled up by an integer factor to at most this many pixels when an mp4 is written."""


def eval_windows(
    dataset: Dataset,
    split: Split,
    generator: LoadedGenerator,
    *,
    num_videos: int | None = None,
    start: resident.Start = "first",
    seed: int = 0,
) -> EvalWindows:
    """`cssgan.data.resident.eval_windows` with the configuration, label set and mel statistics of `generator`."""
    return resident.eval_windows(
        dataset,
        split,
        config=generator.config,
        label_set=generator.label_set,
        mel_stats=generator.mel_stats,
        num_videos=num_videos,
        start=start,
        seed=seed,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class GeneratedVideo:
    """An mp4 that `generate_video` wrote."""

    path: Path
    num_frames: int
    frame_rate: Fraction
    label: str


def generate_video(
    generator: LoadedGenerator,
    *,
    image: Path,
    audio: Path,
    label: str,
    out: Path,
    object_picture: Path | None = None,
    object_word: str = "",
    frame_rate: Fraction | None = None,
    scale: int | None = None,
    seed: int = 0,
) -> GeneratedVideo:
    """Generate an mp4 from one image file and one audio file. The video is as long as the audio.

    Args:
        image: its central square is the start image.
        audio: any sample rate and length; mixed to mono.
        label: class name.
        object_picture: image file of the object that appears (`media_files.read_object`); None: none.
        object_word: its word; empty: none.
        frame_rate: frames per second; default: the most common rate of the training set.
        scale: integer factor by which pixels are repeated; default: see `default_scale`.
        seed: seed of the noise.

    Raises:
        InputError: a file cannot be read or written, `out` does not end in ``.mp4``, or the audio is shorter than one
            frame; or an object for a model that takes none.
        DatasetError: the label set of the model does not contain `label`.
    """
    size, rate = generator.config.data.size, frame_rate or generator.frame_rate
    generator.label_set.index(label)  # fails before the files are read
    if out.suffix.lower() != ".mp4":
        raise InputError(f"{out}: allowed: a name that ends in .mp4")
    audio_N, audio_rate_hz, num_frames = read_audio(audio, rate)
    video_THWC = generate_frames(
        generator, media_files.read_image(image, size), audio_N, audio_rate_hz, label, num_frames, frame_rate=rate,
        object_picture_HWC=None if object_picture is None else media_files.read_object(object_picture),
        object_word=object_word, seed=seed,
    )  # fmt: skip
    media_files.write_mp4(out, video_THWC, rate, audio_N, audio_rate_hz, scale=scale or default_scale(size))
    return GeneratedVideo(path=out, num_frames=num_frames, frame_rate=rate, label=label)


def default_scale(size: int) -> int:
    """The largest integer factor that scales a frame of `size` pixels to at most `UPSCALE_LIMIT`; at least 1."""
    return max(UPSCALE_LIMIT // size, 1)


def read_audio(path: Path, frame_rate: Fraction) -> tuple[NDArray[np.float32], int, int]:
    """Read an audio file: mono samples in [-1, 1], sample rate, and number of video frames of the same length.

    Raises:
        InputError: the file cannot be read, or is shorter than one frame.
    """
    audio_N, rate_hz = media_files.read_audio(path)
    num_frames = round(Fraction(len(audio_N), rate_hz) * frame_rate)
    if num_frames < 1:
        raise InputError(f"{path}: lasts {len(audio_N) / rate_hz:.3f} s, less than one frame at {frame_rate} frames/s")
    return audio_N, rate_hz, num_frames


def generate_frames(
    generator: LoadedGenerator,
    image_HWC: NDArray[np.uint8],
    audio_N: NDArray[np.float32],
    audio_rate_hz: int,
    label: str,
    num_frames: int,
    *,
    frame_rate: Fraction,
    object_picture_HWC: NDArray[np.uint8] | None = None,
    object_word: str = "",
    seed: int = 0,
) -> NDArray[np.uint8]:
    """Generate a video from one start image and one audio signal.

    Args:
        image_HWC: uint8 RGB, H = W = ``config.data.size``.
        audio_N: mono in [-1, 1]; sample 0 is the start of frame 0.
        num_frames: >= 1; after the end of the audio, silence is used.
        object_picture_HWC: uint8 RGBA of any size; None: no object.
        object_word: empty: none.

    Returns:
        video_THWC uint8.

    Raises:
        InputError: an object for a model that takes none.
        DatasetError: the label set of the model does not contain `label`.
    """
    label_index = generator.label_set.index(label)
    mels_TMU = generator.audio_to_mels(audio_N, audio_rate_hz, num_frames, frame_rate)
    picture, word = generator.object_inputs([object_picture_HWC], [object_word])
    video_BCTHW = generator.generate(
        start_images(image_HWC[None]), torch.from_numpy(mels_TMU)[None], torch.tensor([label_index]),
        object_BCHW=picture, word_BE=word, seed=seed,
    )  # fmt: skip
    return to_uint8(video_BCTHW)[0]


def generate_from_clips(
    generator: LoadedGenerator, image_clip: Sample, audio_clip: Sample, num_frames: int, *, seed: int = 0
) -> NDArray[np.uint8]:
    """`generate_frames` with the start image, class and object of one clip and the audio of another (or of the same)."""
    model = generator.config.model
    return generate_frames(
        generator,
        resize(image_clip, generator.config.data.size)[0],
        audio_clip.audio_N,
        audio_clip.audio_rate_hz,
        image_clip.label,
        num_frames,
        frame_rate=audio_clip.frame_rate,
        object_picture_HWC=image_clip.object_picture if model.object_condition else None,
        object_word=(image_clip.object_word or "") if model.word_dim else "",
        seed=seed,
    )


def start_images(image_BHWC: NDArray[np.uint8]) -> torch.Tensor:
    """uint8 RGB images -> model input: image_BCHW float32 in [-1, 1] on the CPU."""
    return to_video(image_BHWC[:, None], torch.device("cpu"))[:, :, 0]
