"""Images: frames and curves are at the correct positions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cssgan.evaluation import plots
from cssgan.evaluation.plots import FAKE, GUTTER, REAL, PlotVideo, join_mel_segments

pytestmark = pytest.mark.dependencies

RED, GREEN = (255, 0, 0), (0, 255, 0)


def plot_video(num_valid: int = 32) -> PlotVideo:
    real = np.zeros((32, 16, 16, 3), np.uint8)
    real[:, :] = RED
    fake = np.zeros((32, 16, 16, 3), np.uint8)
    fake[:, :] = GREEN
    motion = np.zeros(31)
    motion[20] = 1.0
    onset = np.zeros(31)
    onset[5] = 1.0
    return PlotVideo(
        title="A", real_THWC=real, fake_THWC=fake, num_valid=num_valid, mel_MH=np.random.default_rng(0).random((64, 128)),
        onset_K=onset, real_K=motion, fake_K=np.roll(motion, 5),
    )  # fmt: skip


def columns_of(image: np.ndarray[tuple[int, ...], np.dtype[np.uint8]], colour: tuple[int, int, int]) -> list[int]:
    return np.flatnonzero((image == np.array(colour)).all(axis=2).any(axis=0)).tolist()


def test_strip_has_rows_of_real_and_generated_frames() -> None:
    image = np.asarray(plots.strip([plot_video()], num_columns=16, tile=20))
    for colour in (RED, GREEN):
        columns = columns_of(image, colour)
        assert (columns[0], columns[-1]) == (GUTTER, GUTTER + 16 * 20 - 1)
    rows_red = np.flatnonzero((image == RED).all(axis=2).any(axis=1))
    rows_green = np.flatnonzero((image == GREEN).all(axis=2).any(axis=1))
    assert rows_red.max() < rows_green.min()


def test_frames_past_the_end_are_pale() -> None:
    image = np.asarray(plots.strip([plot_video(num_valid=16)], num_columns=16, tile=20))
    assert columns_of(image, RED)[-1] == GUTTER + 8 * 20 - 1


def test_peaks_of_the_curves_are_at_their_frames() -> None:
    width, height = 640, 80
    image = np.asarray(plots.curves([plot_video()], width=width, height=height))
    plot = image[-height + 5 : -height + 25]  # the upper part of the plot contains only peaks
    for colour, frame in ((REAL, 21), (FAKE, 26)):
        distance = np.abs(plot.astype(int) - colour).sum(axis=2)
        columns = np.flatnonzero((distance < 60).any(axis=0)) - GUTTER
        assert abs(columns.mean() - (frame + 0.5) * width / 32) < width / 32


def test_animation_has_both_videos_and_a_cursor(tmp_path: Path) -> None:
    short, whole = plot_video(num_valid=20), plot_video()
    frames = plots.animation([short, whole], tile=32)
    assert len(frames) == 32
    for n, frame in enumerate(np.asarray(image) for image in frames):
        assert (frame[:32, 32:] == RED).all()
        assert (frame[32:64, 32:] == GREEN).all()
        assert (frame[:32, :32] == RED).all() == (n < 20)  # frames after the end are pale
        assert np.flatnonzero((frame[64:, 32:] == FAKE).all(axis=(0, 2))).tolist() == [n, n + 1][: 32 - n]

    plots.save_animation(frames, tmp_path / "moving.webp", 25.0)
    with Image.open(tmp_path / "moving.webp") as saved:
        saved.load()
        assert (saved.n_frames, saved.info["duration"], saved.info["loop"]) == (32, 40, 0)  # type: ignore[attr-defined]


def test_spectrogram_is_joined_from_the_middles_of_segments() -> None:
    whole = np.arange(64 * 200, dtype=np.float32).reshape(64, 200)
    segments = np.stack([whole[:, 40 + 4 * t + 2 - 10 : 40 + 4 * t + 2 + 10] for t in range(32)])
    assert np.array_equal(join_mel_segments(segments, 4.0), whole[:, 40 : 40 + 128])


def test_a_video_without_motion_or_audio_is_drawn() -> None:
    video = plot_video()
    static = PlotVideo(
        title="", real_THWC=video.real_THWC, fake_THWC=video.fake_THWC, num_valid=1, mel_MH=np.zeros((64, 128)),
        onset_K=np.zeros(31), real_K=np.zeros(31), fake_K=np.zeros(31),
    )  # fmt: skip
    assert plots.strip([static]).size[0] == plots.strip([video]).size[0]
