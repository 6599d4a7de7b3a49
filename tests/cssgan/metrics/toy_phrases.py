"""Toy phrases as in real clips: at its style's lead before a burst of the audio a word is completed and an object comes in,
and both stay. Generators of known quality for them: an ideal model, and every control."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from cssgan.metrics import synchrony
from cssgan.metrics.conditions import Generate
from cssgan.metrics.controls import ControlVideos
from cssgan.metrics.result import ControlName
from cssgan.types import EvalWindows
from phonics_data.contract.labels import LETTERS
from tests.cssgan.metrics import toy_scenes

RATE, FRAMES, SIZE = 25, 64, 32


@dataclass(frozen=True, kw_only=True)
class Style:
    """Looks of a song, and how many frames before the burst the word is completed and the object comes in."""

    background: NDArray[np.uint8]
    word_lead: int
    object_lead: int


@dataclass(frozen=True, kw_only=True)
class Phrases:
    """Clips of several songs, each song with one style."""

    styles: tuple[Style, ...]
    song_N: NDArray[np.int64]
    objects_NHWC: NDArray[np.uint8]
    bursts_N: NDArray[np.int64]
    valid_N: NDArray[np.int64]

    def video(self, clip: int, burst: int) -> NDArray[np.uint8]:
        """The clip's picture, with its events at the style's leads before `burst`."""
        style = self.styles[self.song_N[clip]]
        out = np.empty((FRAMES, SIZE, SIZE, 3), np.uint8)
        for frame in range(FRAMES):
            image = style.background.copy()
            image[4:12, 4:8] = 255 - image[4:12, 4:8]  # the letter, and its eye that moves all the time
            image[6 + frame // 4 % 2, 5:7] = 0
            if frame >= burst - style.word_lead:
                image[4:12, 9:28] = 255 - image[4:12, 9:28]
            if (shown := frame - (burst - style.object_lead)) >= 0:
                rows = min(14, 4 * (shown + 1))
                image[16 : 16 + rows, 9:23] = self.objects_NHWC[clip][:rows]
            out[frame] = image
        return out


def make(num_songs: int = 3, clips_per_song: int = 8, seed: int = 0) -> tuple[Phrases, EvalWindows]:
    """Phrases of 1.6 to 2.5 s whose burst lies between 1.0 and 1.8 s."""
    rng = np.random.default_rng(seed)
    n = num_songs * clips_per_song
    ramp = np.linspace(0, 30, SIZE)[:, None, None]
    styles = tuple(
        Style(
            background=(ramp + rng.integers(20, 200, 3)).astype(np.uint8) + np.zeros((SIZE, SIZE, 3), np.uint8),
            word_lead=int(rng.integers(5, 8)), object_lead=int(rng.integers(14, 19)),
        )
        for _ in range(num_songs)
    )  # fmt: skip
    song_N = np.repeat(np.arange(num_songs), clips_per_song)
    bursts_N = np.concatenate([rng.permutation(np.linspace(26, 44, clips_per_song).astype(int)) for _ in styles])
    phrases = Phrases(
        styles=styles, song_N=song_N, bursts_N=bursts_N, valid_N=bursts_N + rng.integers(13, 19, n),
        objects_NHWC=rng.integers(0, 256, (n, 14, 14, 3)).astype(np.uint8),
    )  # fmt: skip
    when = np.zeros((n, FRAMES), np.bool_)
    when[np.arange(n), bursts_N] = True
    mels = toy_scenes.mels_of(when)
    return phrases, EvalWindows(
        keys=tuple(f"clip-{k}" for k in range(n)), video_ids=tuple(f"song-{k}" for k in song_N), label_set=LETTERS,
        labels_N=np.arange(n) % 26, video_NTHWC=np.stack([phrases.video(k, int(bursts_N[k])) for k in range(n)]),
        raw_mels_NTMU=mels, mels_NTMU=((mels + 10.0) / 3.0).astype(np.float32), num_valid_N=phrases.valid_N,
        frame_rates=(Fraction(RATE),) * n, start_seconds=(0.0,) * n, object_words=("",) * n,
    )  # fmt: skip


def ideal(phrases: Phrases, data: EvalWindows) -> Generate:
    """A model that knows the style from the picture and the time from the audio. It also knows the object."""

    def generate(images: NDArray[np.uint8], mels: NDArray[np.float32], labels: NDArray[np.int64]) -> NDArray[np.uint8]:
        bursts = synchrony.onset_curves(mels, np.full(len(mels), 100.0 / RATE)).argmax(axis=1)
        clips = rows_of(data, labels, images)
        return np.stack([phrases.video(clip, int(burst)) for clip, burst in zip(clips, bursts, strict=True)])

    return generate


def control(data: EvalWindows, name: ControlName, untrained: Generate | None = None) -> Generate:
    """A control as a generator. Those that are real videos do not depend on the audio."""
    videos = ControlVideos(data=data, untrained=untrained)

    def generate(images: NDArray[np.uint8], mels: NDArray[np.float32], labels: NDArray[np.int64]) -> NDArray[np.uint8]:
        return np.concatenate([videos.read(name, slice(row, row + 1)) for row in rows_of(data, labels, images)])

    return generate


def rows_of(data: EvalWindows, labels: NDArray[np.int64], images: NDArray[np.uint8]) -> list[int]:
    """The clips of conditions, by class and first frame."""
    return [
        next(n for n in range(len(data)) if data.labels_N[n] == label and np.array_equal(data.video_NTHWC[n, 0], image))
        for label, image in zip(labels, images, strict=True)
    ]
