"""A trained run -> videos: `load_generator` for programs, `generate_video` for one picture and one sound file."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cssgan import build, mp4
from cssgan.config import Config
from cssgan.data import resident, window
from cssgan.data.batch import pictures, to_uint8
from cssgan.data.shards import Dataset
from cssgan.models.interface import VideoGenerator
from cssgan.training import checkpoint
from cssgan.types import EvalWindows, MelStats, Progress, Split
from phonics_data.contract.labels import LabelSet
from phonics_data.contract.logmel import segments
from phonics_data.errors import InputError


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class LoadedGenerator:
    """A generator in evaluation mode with all that its inputs need. Made by `load_generator`."""

    network: VideoGenerator
    config: Config
    label_set: LabelSet
    mel_stats: MelStats
    frame_rate: Fraction
    """The commonest frame rate of the training set."""
    progress: Progress
    which: Literal["last", "ema"]
    device: torch.device

    def standardise(self, raw_mels: NDArray[np.float32]) -> NDArray[np.float32]:
        """Log-mel -> model input: (x - mean) / std of the training set, clamped."""
        return window.standardise(raw_mels, self.mel_stats)

    @torch.inference_mode()
    def generate(
        self, image_BCHW: Tensor, mels_BTMU: Tensor, label_B: Tensor, *, seed: int = 0, max_batch: int = 32
    ) -> Tensor:
        """Videos in time order, made as the model was trained to: each stream from the last frame before it.

        Args:
            image_BCHW: float32 in [-1, 1], C = 3, H = W = ``config.data.size``.
            mels_BTMU: standardised log-mel segments, one a frame; any T >= 1 (the end is padded with silence to whole
                streams and cropped again).
            label_B: int64 class indices in ``label_set``.
            seed: of the noise, where the model has any (``model.z_dim``).
            max_batch: videos that go through the network at once.

        Returns:
            video_BCTHW float32 in [-1, 1] on the CPU.
        """
        num_frames = int(mels_BTMU.shape[1])
        noise = torch.Generator().manual_seed(seed)
        label_BK = torch.nn.functional.one_hot(label_B, len(self.label_set)).float()
        z_BZ = torch.randn(len(label_B), self.config.model.z_dim, generator=noise)
        videos = [
            self.network.rollout(*(part.to(self.device) for part in parts))[:, :, :num_frames].cpu()
            for parts in zip(
                *(whole.split(max_batch) for whole in (image_BCHW, self._pad(mels_BTMU), label_BK, z_BZ)), strict=True
            )
        ]
        return torch.cat(videos)

    def _pad(self, mels_BTMU: Tensor) -> Tensor:
        """Silence behind the end, up to whole streams."""
        stride = self.config.frames_per_stream
        missing = -mels_BTMU.shape[1] % stride
        silence = float(self.standardise(np.full(1, resident.MEL_SPEC.silence, np.float32))[0])
        return torch.nn.functional.pad(mels_BTMU, (0, 0, 0, 0, 0, missing), value=silence)


def load_generator(
    run: Path, *, which: Literal["last", "ema"] = "last", device: str | torch.device = "cpu"
) -> LoadedGenerator:
    """The generator of the newest whole checkpoint of `run`.

    Args:
        which: the weights as trained, or their running average (only runs with ``train.ema_half_life`` have one).

    Raises:
        CheckpointError: no run, no whole checkpoint, or no averaged weights.
    """
    state = checkpoint.load_newest(run)
    network = build.generator(state.config, num_classes=len(state.label_set))
    network.load_state_dict(state.generator_weights(which))
    network.eval().requires_grad_(False)
    return LoadedGenerator(
        network=network.to(device),
        config=state.config,
        label_set=state.label_set,
        mel_stats=state.mel_stats,
        frame_rate=state.frame_rate,
        progress=state.progress,
        which=which,
        device=torch.device(device),
    )


def windows(
    dataset: Dataset, split: Split, generator: LoadedGenerator, *, num_videos: int | None = None
) -> EvalWindows:
    """What `generator` is judged on: the window from frame 0 of each short video of `split`.

    Args:
        num_videos: at most so many, spread evenly over the split; None: all.

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
        InputError: a file cannot be read or written, or the sound is shorter than one frame.
        DatasetError: the model does not know the class.
    """
    size, rate = generator.config.data.size, frame_rate or generator.frame_rate
    generator.label_set.index(label)  # an unknown class is refused before files are read
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
    raw_mels = segments(window.raw_mel(sound_N, sound_rate_hz, resident.MEL_SPEC), num_frames, frame_rate)
    video = generator.generate(
        pictures(picture_HWC[None, None], torch.device("cpu"))[:, :, 0],
        torch.from_numpy(generator.standardise(raw_mels))[None],
        torch.tensor([label_index]),
        seed=seed,
    )
    return to_uint8(video)[0]
