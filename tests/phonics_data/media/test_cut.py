"""Clips contain exactly the frames and the audio of their interval, for all kinds of source timing."""

from __future__ import annotations

import weakref
from fractions import Fraction
from pathlib import Path
from typing import Literal

import av
import av.error
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from phonics_data.contract.sample import num_audio_samples
from phonics_data.errors import MediaError
from phonics_data.media import FULL_FRAME, DecodedClip, Region, cut_segments
from phonics_data.media import cut as cut_module
from phonics_data.media.cut import _Display
from phonics_data.media.frame_sampler import sample_frames
from phonics_data.media.scaler import Scaler, picture_region
from tests.counted_videos import click_times, clicks, constant, make_source, read_number

pytestmark = pytest.mark.dependencies

RATE = 16_000
CLICKS = [0.5, 1.25, 2.0, 3.125, 4.5]
SEGMENTS = [(2.9, 4.7), (0.0, 1.0), (0.42, 2.31)]
FORMS = {
    "25": (Fraction(25), {"bf": "0"}, ".mkv"),
    "30": (Fraction(30), {"bf": "0"}, ".mov"),
    "23.976 with B-frames": (Fraction(24000, 1001), {"bf": "3", "g": "48"}, ".mov"),
    "29.97 with B-frames": (Fraction(30000, 1001), {"bf": "3", "g": "60"}, ".mkv"),
    "50": (Fraction(50), {"bf": "2"}, ".mov"),
    "60": (Fraction(60), {"bf": "2"}, ".mkv"),
}


def cut(path: Path, segments: list[tuple[float, float]], rate: Fraction, size: int = 64) -> list[DecodedClip]:
    cuts = cut_segments(path, segments, frame_rate=rate, width=size, height=size, audio_rate_hz=RATE)
    return sorted(cuts, key=lambda one: one.index)


def nearest(value: Fraction) -> int:
    """`value` rounded, halves upwards."""
    return int(value + Fraction(1, 2))


def shown_at(times: list[Fraction], moment: Fraction) -> int:
    """Number of the frame displayed at `moment`, by a linear search."""
    return max(index for index, start in enumerate(times) if start <= moment)


def check(cuts: list[DecodedClip], segments: list[tuple[float, float]], rate: Fraction, times: list[Fraction]) -> None:
    assert [one.index for one in cuts] == list(range(len(segments)))
    for one, (start, end) in zip(cuts, segments, strict=True):
        first = nearest(Fraction(str(start)) * rate)
        assert one.frames_LHWC.shape[0] == nearest(Fraction(str(end)) * rate) - first
        assert one.start_seconds == pytest.approx(float(first / rate), abs=1e-12)
        numbers = [read_number(frame) for frame in one.frames_LHWC]
        assert numbers == [shown_at(times, (first + j + Fraction(1, 2)) / rate) for j in range(len(numbers))]
        assert one.audio_N.size == num_audio_samples(len(numbers), rate, RATE)
        expected = [at - one.start_seconds for at in CLICKS if one.start_seconds <= at < one.end_seconds - 0.01]
        assert click_times(one.audio_N, RATE) == pytest.approx(expected, abs=0.0005)


@pytest.mark.parametrize("out_rate", [Fraction(25), Fraction(30), Fraction(30000, 1001), Fraction(5)], ids=str)
@pytest.mark.parametrize("form", FORMS)
def test_constant_frame_rates(tmp_path: Path, form: str, out_rate: Fraction) -> None:
    rate, options, suffix = FORMS[form]
    times = constant(rate, 5.2)
    path = make_source(tmp_path / f"a{suffix}", times, clicks(5.2, CLICKS, 48_000), video_options=options)
    if suffix == ".mkv":  # its timestamps are whole milliseconds
        times = [Fraction(nearest(at * 1000), 1000) for at in times]
    check(cut(path, SEGMENTS, out_rate), SEGMENTS, out_rate, times)


def test_equal_rates_use_every_frame_once(tmp_path: Path) -> None:
    times = constant(25, 4)
    path = make_source(tmp_path / "a.mkv", times, clicks(4, [1.0], 48_000), time_base=Fraction(1, 1000))
    (one,) = cut(path, [(0.513, 3.0)], Fraction(25))
    assert [read_number(frame) for frame in one.frames_LHWC] == list(range(13, 75))


def test_variable_frame_rate(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    steps = rng.choice([1, 2, 3, 7, 20], size=110)
    times = [Fraction(int(total), 100) for total in np.concatenate([[0], np.cumsum(steps)])]
    times = [at for at in times if at < 5]
    path = make_source(tmp_path / "a.mkv", times, clicks(5.2, CLICKS, 44_100), sound_rate_hz=44_100)
    check(cut(path, SEGMENTS, Fraction(25)), SEGMENTS, Fraction(25), times)


@pytest.mark.parametrize("suffix", [".mkv", ".mov", ".ts"])
def test_clock_starts_with_the_first_video_frame(tmp_path: Path, suffix: str) -> None:
    late = Fraction(7, 10)
    times = [at + late for at in constant(25, 5)]
    sound = clicks(6, [at + 0.7 for at in CLICKS], 48_000)
    codec = "mp2" if suffix == ".ts" else "pcm_s16le"
    path = make_source(tmp_path / f"a{suffix}", times, sound, audio_codec=codec)
    (one,) = cut(path, [(0.42, 2.32)], Fraction(25))
    assert [read_number(frame) for frame in one.frames_LHWC] == list(range(11, 58))
    if suffix != ".ts":  # the mp2 filter adds a delay; the other codecs test the exact audio clock
        assert click_times(one.audio_N, RATE) == pytest.approx([at - 0.44 for at in (0.5, 1.25, 2.0)], abs=0.0005)


def test_h264_with_aac(tmp_path: Path) -> None:
    times = constant(30, 5.2)
    path = make_source(tmp_path / "a.mp4", times, clicks(5.2, CLICKS, 44_100), sound_rate_hz=44_100, audio_codec="aac")
    for one, (start, _) in zip(cut(path, SEGMENTS, Fraction(30)), SEGMENTS, strict=True):
        assert read_number(one.frames_LHWC[0]) == round(start * 30)
        expected = [at - one.start_seconds for at in CLICKS if one.start_seconds <= at < one.end_seconds - 0.01]
        # AAC adds a pre-echo of a few milliseconds.
        found = click_times(one.audio_N, RATE)
        assert found == pytest.approx(expected, abs=0.003)


def test_missing_audio_at_start_and_end_is_zero(tmp_path: Path) -> None:
    sound = np.full(48_000, 0.5, np.float32)
    path = make_source(tmp_path / "a.mov", constant(25, 4), sound, sound_start=Fraction(1))
    (one,) = cut(path, [(0.0, 4.0)], Fraction(25))
    loud = np.flatnonzero(np.abs(one.audio_N) > 0.25)
    assert one.audio_N.size == 64_000
    assert loud[0] == pytest.approx(16_000, abs=2)
    assert loud[-1] == pytest.approx(32_000, abs=2)
    assert not one.audio_N[:15_000].any()
    assert not one.audio_N[33_000:].any()


def test_audio_is_resampled_to_the_requested_rate(tmp_path: Path) -> None:
    tone = (0.5 * np.sin(2 * np.pi * 440 * np.arange(22_050 * 3) / 22_050)).astype(np.float32)
    path = make_source(tmp_path / "a.mkv", constant(25, 3), tone, sound_rate_hz=22_050)
    (one,) = cut(path, [(1.0, 2.0)], Fraction(25))
    truth = 0.5 * np.sin(2 * np.pi * 440 * (1 + np.arange(RATE) / RATE))
    assert np.abs(one.audio_N - truth).max() < 2e-3


@pytest.mark.parametrize("rotation", [90, -90, 180])
def test_rotated_sources_give_upright_clips_and_samples(tmp_path: Path, rotation: int) -> None:
    upright = np.zeros((96, 128, 3), np.uint8)
    upright[:48, :64] = (230, 30, 30)  # red at the top left as displayed
    stored = np.ascontiguousarray(np.rot90(upright, -rotation // 90))
    path = make_source(
        tmp_path / "a.mp4", constant(25, 1), clicks(1, [0.5], 48_000), audio_codec="aac", rotation=rotation,
        pictures=[stored] * 25,
    )  # fmt: skip
    (one,) = cut(path, [(0.2, 0.8)], Fraction(25))
    red = one.frames_LHWC[0].astype(int)[..., 0]
    assert red[:28, :28].min() > 150
    assert red[36:].max() < 60
    assert red[:, 36:].max() < 60
    sampled = next(sample_frames(path, max_width=64)).frame_HWC
    assert sampled.shape == (48, 64, 3)
    assert sampled[:20, :28, 0].min() > 150
    assert sampled[28:, :, 0].max() < 60
    assert sampled[:, 36:, 0].max() < 60


def test_segment_beyond_the_end_is_shortened(tmp_path: Path) -> None:
    path = make_source(tmp_path / "a.mkv", constant(25, 2), clicks(2, [1.0], 48_000))
    inside, over, outside = cut(path, [(0.0, 2.0), (1.0, 3.0), (5.0, 6.0)], Fraction(25))
    assert inside.frames_LHWC.shape[0] == 50
    assert over.frames_LHWC.shape[0] == 25
    assert over.end_seconds == pytest.approx(2.0)
    assert outside.frames_LHWC.shape == (0, 64, 64, 3)
    assert outside.audio_N.size == 0


def test_overlapping_equal_and_adjacent_segments(tmp_path: Path) -> None:
    times = constant(25, 6)
    path = make_source(tmp_path / "a.mkv", times, clicks(6, CLICKS, 48_000))
    segments = [(0.0, 5.8), (1.0, 1.4), (1.0, 1.4), (1.4, 3.0), (1.2, 1.6), (0.4, 5.8), (3.0, 3.04), (2.0, 5.0)]
    check(cut(path, segments, Fraction(25)), segments, Fraction(25), times)
    order = [
        one.index
        for one in cut_segments(path, segments, frame_rate=Fraction(25), width=16, height=16, audio_rate_hz=RATE)
    ]
    assert order[0] in (1, 2)
    assert set(order[-2:]) == {0, 5}  # short segments are yielded before the long ones around them


@pytest.mark.parametrize("sound_seconds", [60.0, 3.0], ids=["audio to the end", "audio ends early"])
def test_frames_of_finished_clips_are_released(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sound_seconds: float
) -> None:
    sound = clicks(sound_seconds, [0.5, 2.5], 48_000)
    path = make_source(tmp_path / "a.mkv", constant(25, 60), sound, video_options={"g": "250"})
    segments = [(2.0 * index, 2.0 * index + 2) for index in range(30)]
    pictures: list[weakref.ref[NDArray[np.uint8]]] = []
    most_alive = 0
    scale = Scaler.scale

    def tracking_scale(scaler: Scaler, frame: av.VideoFrame) -> NDArray[np.uint8]:
        nonlocal most_alive
        picture = scale(scaler, frame)
        pictures.append(weakref.ref(picture))
        most_alive = max(most_alive, sum(other() is not None for other in pictures))
        return picture

    monkeypatch.setattr(Scaler, "scale", tracking_scale)
    found = [click_times(one.audio_N, RATE) for one in cut(path, segments, Fraction(25))]
    assert [len(times) for times in found] == [1, 1] + [0] * 28
    assert 50 <= most_alive < 15 * 25


@pytest.mark.parametrize("placement", ["after", "before"])
def test_badly_interleaved_audio_is_decoded_by_a_second_reader(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, placement: Literal["after", "before"]
) -> None:
    times = constant(25, 40)
    at = [0.5, 20.25, 38.5]
    path = make_source(tmp_path / "a.mkv", times, clicks(40, at, 48_000), audio_placement=placement)
    second_readers: list[Path] = []
    audio_frames = cut_module._audio_frames
    monkeypatch.setattr(
        cut_module, "_audio_frames", lambda path, index: (second_readers.append(path), audio_frames(path, index))[1]
    )
    segments = [(0.0, 1.0), (5.0, 9.0), (20.0, 21.0), (38.0, 40.0)]
    cuts = cut_segments(path, segments, frame_rate=Fraction(25), width=64, height=64, audio_rate_hz=RATE)
    for one, expected in zip(cuts, ([0.5], [], [0.25], [0.5]), strict=True):
        start, end = segments[one.index]
        assert [read_number(frame) for frame in one.frames_LHWC] == list(range(int(start) * 25, int(end) * 25))
        assert click_times(one.audio_N, RATE) == pytest.approx(expected, abs=0.0005)
    assert second_readers == [path]


def test_a_file_that_cannot_be_seeked_is_decoded_from_its_start(tmp_path: Path) -> None:
    options = {"preset": "ultrafast", "g": "250"}
    whole = make_source(tmp_path / "whole.mkv", constant(25, 3), clicks(3, [2.5], 48_000), video_options=options)
    path = tmp_path / "early.mkv"
    # The only key frame has a negative time, so that every seek fails.
    with av.open(str(whole)) as source, av.open(str(path), "w", options={"avoid_negative_ts": "disabled"}) as copy:
        streams = [copy.add_stream_from_template(stream) for stream in source.streams]
        for packet in source.demux():
            if packet.pts is not None and packet.dts is not None:
                shift = int(Fraction(3, 2) / packet.time_base)
                packet.pts, packet.dts = packet.pts - shift, packet.dts - shift
                packet.stream = streams[packet.stream.index]
                copy.mux(packet)
    with av.open(str(path)) as container, pytest.raises(av.error.PermissionError):
        container.seek(0)
    (one,) = cut(path, [(0.0, 3.0)], Fraction(25))
    assert one.frames_LHWC.shape[0] == 38
    assert click_times(one.audio_N, RATE) == pytest.approx([1.0], abs=0.05)


@pytest.mark.parametrize("suffix", [".mkv", ".mp4", ".ts"])
def test_long_unused_intervals_are_skipped_by_seeking(
    tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = constant(25, 60)
    codec, tolerance = (
        ("pcm_s16le", 0.0005) if suffix == ".mkv" else ("aac", 0.003) if suffix == ".mp4" else ("mp2", 0.1)
    )
    sound = clicks(60, [0.5, 30.2, 55.3], 48_000)
    options = {"g": "50", "bf": "3"}
    path = make_source(tmp_path / f"a{suffix}", times, sound, audio_codec=codec, video_options=options)
    seeks: list[int] = []
    seek_timestamp = _Display.seek_timestamp

    def counting(display: _Display, needed: int) -> int | None:
        if (timestamp := seek_timestamp(display, needed)) is not None:
            seeks.append(needed)
        return timestamp

    monkeypatch.setattr(_Display, "seek_timestamp", counting)
    segments = [(0.2, 1.0), (30.0, 31.0), (55.0, 56.0)]
    for one, (start, end) in zip(cut(path, segments, Fraction(25)), segments, strict=True):
        assert [read_number(frame) for frame in one.frames_LHWC] == list(range(round(start * 25), round(end * 25)))
        assert click_times(one.audio_N, RATE) == pytest.approx([0.3 if start != 30.0 else 0.2], abs=tolerance)
    assert seeks == ([] if suffix == ".ts" else [750, 1375])


def test_a_wrong_index_loses_no_frames(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make_source(
        tmp_path / "a.mkv", constant(25, 40), clicks(40, [0.5], 48_000), video_options={"g": "25", "bf": "0"}
    )
    seek_timestamp = _Display.seek_timestamp

    def too_far(display: _Display, needed: int) -> int | None:
        timestamp = seek_timestamp(display, needed)
        return None if timestamp is None else timestamp + 5_000

    monkeypatch.setattr(_Display, "seek_timestamp", too_far)
    segments = [(0.0, 1.0), (20.0, 21.0), (22.0, 23.0)]
    for one, (start, _) in zip(cut(path, segments, Fraction(25)), segments, strict=True):
        assert [read_number(frame) for frame in one.frames_LHWC] == list(range(int(start) * 25, int(start) * 25 + 25))


def test_fit_modes(tmp_path: Path) -> None:
    wide = np.full((90, 160, 3), 200, np.uint8)
    wide[:, :20] = 10
    path = make_source(tmp_path / "a.mkv", constant(25, 1), clicks(1, [0.5], 48_000), pictures=[wide] * 25)
    brightness = {}
    for fit in ("crop", "pad", "squash"):
        (one,) = cut_segments(
            path, [(0.0, 0.2)], frame_rate=Fraction(25), width=64, height=64, fit=fit, audio_rate_hz=RATE
        )
        brightness[fit] = one.frames_LHWC[0].astype(int).mean(axis=2)
    assert brightness["crop"].min() > 180, "the dark border is outside the central square"
    assert brightness["pad"][:13].max() < 20
    assert brightness["pad"][-13:].max() < 20
    assert brightness["pad"][32, 20:].min() > 180
    assert brightness["squash"][:, :7].max() < 40
    assert brightness["squash"][:, 10:].min() > 180


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        # A letter of 30 % of the height: the part has half the frame's height, around the letter.
        ((0.4, 0.4, 0.5, 0.7), (0.309, 0.3, 0.591, 0.8)),
        # At the edge it is moved inside the frame.
        ((0.0, 0.0, 0.1, 0.2), (0.0, 0.0, 0.281, 0.5)),
        # Letter and object side by side, with a margin.
        ((0.2, 0.3, 0.6, 0.7), (0.176, 0.102, 0.624, 0.898)),
        # No room for the whole margin.
        ((0.2, 0.0, 0.76, 0.5), (0.199, 0.0, 0.761, 1.0)),
        # Wider than the frame is high, and unknown: the whole frame.
        ((0.1, 0.3, 0.7, 0.7), FULL_FRAME),
        (None, FULL_FRAME),
    ],
)
def test_focus_is_a_square_around_the_box(box: Region | None, expected: Region) -> None:
    found = picture_region("focus", Fraction(16, 9), Fraction(1), focus=box)
    assert found == pytest.approx(expected, abs=0.001)


@given(
    st.tuples(*[st.floats(0, 1)] * 4),
    st.fractions(Fraction(1, 3), 3, max_denominator=50),
    st.fractions(Fraction(1, 2), 2, max_denominator=8),
)
def test_focus_holds_its_box_undistorted_or_is_the_whole_frame(
    corners: tuple[float, ...], aspect: Fraction, target: Fraction
) -> None:
    (left, right), (top, bottom) = sorted(corners[:2]), sorted(corners[2:])
    found = picture_region("focus", aspect, target, focus=(left, top, right, bottom))
    assert 0 <= found[0] <= left + 1e-9
    assert 0 <= found[1] <= top + 1e-9
    assert right - 1e-9 <= found[2] <= 1 + 1e-9
    assert bottom - 1e-9 <= found[3] <= 1 + 1e-9
    if found != FULL_FRAME:
        shown = float(aspect) * (found[2] - found[0]) / (found[3] - found[1])
        assert shown == pytest.approx(float(target), rel=1e-6)


def test_each_segment_has_its_own_focus(tmp_path: Path) -> None:
    wide = np.full((96, 192, 3), 20, np.uint8)
    wide[16:80, 16:80], wide[16:80, 112:176] = (220, 30, 30), (30, 30, 220)
    path = make_source(
        tmp_path / "a.mkv", constant(25, 2), clicks(2, [0.5], 48_000), pictures=[wide] * 50, video_options={"qp": "0"}
    )
    boxes: list[Region | None] = [
        (16 / 192, 16 / 96, 80 / 192, 80 / 96),
        (112 / 192, 16 / 96, 176 / 192, 80 / 96),
        None,
    ]
    cuts = cut_segments(
        path, [(0.0, 1.0), (0.4, 1.2), (0.4, 1.2)], frame_rate=Fraction(25), width=64, height=64, fit="focus",
        focus=boxes, audio_rate_hz=RATE,
    )  # fmt: skip
    red, blue, both = sorted(cuts, key=lambda one: one.index)
    for one, channel, box in ((red, 0, boxes[0]), (blue, 2, boxes[1])):
        assert box is not None
        assert len({frame.tobytes() for frame in one.frames_LHWC}) == 1
        picture = one.frames_LHWC[0].astype(int)
        assert (picture[..., channel] > 150).mean() == pytest.approx(1 / 1.12**2, abs=0.05)
        assert (picture[..., 2 - channel] > 150).mean() == 0
        assert one.region[0] < box[0] < box[2] < one.region[2]
    assert both.region == FULL_FRAME
    assert (both.frames_LHWC[0, ..., 0] > 150).mean() == pytest.approx(64 * 64 / (96 * 192), abs=0.02)


@pytest.mark.parametrize("rotation", [90, -90, 180])
def test_focus_and_region_are_in_the_upright_frame(tmp_path: Path, rotation: int) -> None:
    upright = np.full((96, 192, 3), 20, np.uint8)
    upright[0:48, 144:192] = (220, 30, 30)
    path = make_source(
        tmp_path / "a.mp4", constant(25, 1), clicks(1, [0.5], 48_000), audio_codec="aac", rotation=rotation,
        pictures=[np.ascontiguousarray(np.rot90(upright, -rotation // 90))] * 25,
    )  # fmt: skip
    (one,) = cut_segments(
        path, [(0.0, 0.4)], frame_rate=Fraction(25), width=64, height=64, fit="focus", focus=[(0.75, 0.0, 1.0, 0.5)],
        audio_rate_hz=RATE,
    )  # fmt: skip
    assert one.region == pytest.approx((0.72, 0.0, 1.0, 0.56), abs=0.001)
    assert (one.frames_LHWC[0, :56, 8:, 0] > 150).mean() > 0.97
    (cropped,) = cut_segments(
        path, [(0.0, 0.4)], frame_rate=Fraction(25), width=64, height=64, fit="crop", audio_rate_hz=RATE
    )
    assert cropped.region == pytest.approx((0.25, 0.0, 0.75, 1.0))


def test_pixels_are_means_of_their_source_area(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    grey = rng.integers(30, 220, (256, 256, 1), dtype=np.uint8).repeat(3, 2)
    path = make_source(
        tmp_path / "a.mkv", constant(25, 1), clicks(1, [0.5], 48_000), pictures=[grey] * 25, video_options={"qp": "0"}
    )
    (one,) = cut(path, [(0.0, 0.2)], Fraction(25))
    means = grey.astype(float).mean(axis=2).reshape(64, 4, 64, 4).mean(axis=(1, 3))
    assert np.abs(one.frames_LHWC[0].mean(axis=2) - means).max() < 4


@pytest.mark.parametrize("size", [64, 50, 33])
def test_colours_are_kept_at_every_size(tmp_path: Path, size: int) -> None:
    picture = np.zeros((96, 96, 3), np.uint8)
    picture[:48, :48], picture[:48, 48:], picture[48:, :48] = (210, 40, 40), (40, 210, 40), (40, 40, 210)
    path = make_source(
        tmp_path / "a.mkv",
        constant(25, 1),
        clicks(1, [0.5], 48_000),
        pictures=[picture] * 25,
        video_options={"qp": "0"},
    )
    (one,) = cut(path, [(0.0, 0.2)], Fraction(25), size)
    assert one.frames_LHWC.shape == (5, size, size, 3)
    edge = size // 2 - 2
    for frame in one.frames_LHWC.astype(int):
        for part, colour in (
            (frame[:edge, :edge], (210, 40, 40)),
            (frame[:edge, -edge:], (40, 210, 40)),
            (frame[-edge:, :edge], (40, 40, 210)),
            (frame[-edge:, -edge:], (0, 0, 0)),
        ):
            assert np.abs(part - np.array(colour)).max() < 6


def test_missing_streams_and_files_are_rejected(tmp_path: Path) -> None:
    silent = make_source(tmp_path / "silent.mp4", constant(25, 1), None)
    with pytest.raises(MediaError, match="no audio stream") as caught:
        cut(silent, [(0, 1)], Fraction(25))
    assert caught.value.reason == "no_audio_stream"
    with pytest.raises(MediaError, match="no such file") as caught:
        cut(tmp_path / "none.mp4", [(0, 1)], Fraction(25))
    assert caught.value.reason == "file_missing"
