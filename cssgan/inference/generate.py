"""A trained model -> videos: `generate_video` for one picture and one sound file, `windows` for what it is judged on."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from cssgan.data import resident, windowing
from cssgan.data.batches import pictures, to_uint8
from cssgan.data.shards import Dataset
from cssgan.inference.export import LoadedGenerator as LoadedGenerator
from cssgan.inference.export import load_generator as load_generator
from cssgan.storage import mp4
from cssgan.types import EvalWindows, Split
from phonics_data.contract.logmel import mel_segments
from phonics_data.errors import InputError


def windows(
    dataset: Dataset,
    split: Split,
    generator: LoadedGenerator,
    *,
    num_videos: int | None = None,
    start: resident.Start = "first",
    seed: int = 0,
) -> EvalWindows:
    """What `generator` is judged on: one window of each short video of `split`.

    Args:
        num_videos: at most so many, spread evenly over the split; None: all.
        start: ``first``: from frame 0; ``anywhere``: drawn from (`seed`, key) alone.

    Raises:
        DatasetError: no shards of this split, or of another label set or size.
    """
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
    """What `generate_video` wrote."""

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
    frame_rate: Fraction | None = None,
    scale: int | None = None,
    seed: int = 0,
) -> GeneratedVideo:
    """One picture + one sound file -> an mp4 as long as the sound.

    Args:
        image: its central square is the start image.
        audio: any rate and length; mixed to mono.
        label: class name.
        frame_rate: frames a second, default the commonest of the training set.
        scale: whole factor by which the pixels of the mp4 are repeated; default: to at least 256 pixels.

    Raises:
        InputError: a file cannot be read or written, `out` is no ``.mp4``, or the sound is shorter than one frame.
        DatasetError: the model does not know the class.
    """
    size, rate = generator.config.data.size, frame_rate or generator.frame_rate
    generator.label_set.index(label)  # an unknown class is refused before files are read
    if out.suffix.lower() != ".mp4":
        raise InputError(f"{out}: allowed: a name that ends in .mp4")
    sound_N, sound_rate_hz = mp4.read_sound(audio)
    num_frames = round(Fraction(len(sound_N), sound_rate_hz) * rate)
    if num_frames < 1:
        raise InputError(f"{audio}: lasts {len(sound_N) / sound_rate_hz:.3f} s, less than one frame at {rate} frames/s")
    video = video_of(
        generator, mp4.read_picture(image, size), sound_N, sound_rate_hz, label, num_frames, frame_rate=rate, seed=seed
    )
    mp4.write_mp4(out, video, rate, sound_N, sound_rate_hz, scale=scale or max(256 // size, 1))
    return GeneratedVideo(path=out, num_frames=num_frames, frame_rate=rate, label=label)


def video_of(
    generator: LoadedGenerator,
    picture_HWC: NDArray[np.uint8],
    sound_N: NDArray[np.float32],
    sound_rate_hz: int,
    label: str,
    num_frames: int,
    *,
    frame_rate: Fraction,
    seed: int = 0,
) -> NDArray[np.uint8]:
    """What the run makes of one start picture and one sound.

    Args:
        picture_HWC: uint8 RGB, H = W = ``config.data.size``.
        sound_N: mono in [-1, 1], beginning with the first frame's interval.
        num_frames: >= 1; past its end the sound is silence.

    Returns:
        video_THWC uint8.

    Raises:
        DatasetError: the model does not know the class.
    """
    label_index = generator.label_set.index(label)
    raw_mels = mel_segments(windowing.raw_mel(sound_N, sound_rate_hz, resident.MEL_SPEC), num_frames, frame_rate)
    video = generator.generate(
        pictures(picture_HWC[None, None], torch.device("cpu"))[:, :, 0],
        torch.from_numpy(generator.standardize(raw_mels))[None],
        torch.tensor([label_index]),
        seed=seed,
    )
    return to_uint8(video)[0]
