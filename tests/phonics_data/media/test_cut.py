"""Clips hold exactly the frames and the sound of their seconds, whatever the source's timing."""

from __future__ import annotations

import weakref
from fractions import Fraction
from pathlib import Path
from typing import Literal

import av
import av.error
import numpy as np
import pytest
from numpy.typing import NDArray

from phonics_data.contract.sample import num_audio_samples
from phonics_data.errors import MediaError
from phonics_data.media import Cut, cut_segments
from phonics_data.media import cut as cut_module
from phonics_data.media.cut import _Shown
from phonics_data.media.scaler import Scaler
from tests.counted_videos import click_times, clicks, constant, make_source, read_number

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


def cut(path: Path, segments: list[tuple[float, float]], rate: Fraction, size: int = 64) -> list[Cut]:
    cuts = cut_segments(path, segments, frame_rate=rate, width=size, height=size, audio_rate_hz=RATE)
    return sorted(cuts, key=lambda one: one.index)


def nearest(value: Fraction) -> int:
    """Rounded, halves upwards."""
    return int(value + Fraction(1, 2))


def shown_at(times: list[Fraction], moment: Fraction) -> int:
    """Number of the frame on display at `moment`, found the slow way."""
    return max(index for index, start in enumerate(times) if start <= moment)


def check(cuts: list[Cut], segments: list[tuple[float, float]], rate: Fraction, times: list[Fraction]) -> None:
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
def test_constant_rates(tmp_path: Path, form: str, out_rate: Fraction) -> None:
    rate, options, suffix = FORMS[form]
    times = constant(rate, 5.2)
    path = make_source(tmp_path / f"a{suffix}", times, clicks(5.2, CLICKS, 48_000), video_options=options)
    if suffix == ".mkv":  # its timestamps are whole milliseconds
        times = [Fraction(nearest(at * 1000), 1000) for at in times]
    check(cut(path, SEGMENTS, out_rate), SEGMENTS, out_rate, times)


def test_same_rate_takes_every_frame_once(tmp_path: Path) -> None:
    times = constant(25, 4)
    path = make_source(tmp_path / "a.mkv", times, clicks(4, [1.0], 48_000), time_base=Fraction(1, 1000))
    (one,) = cut(path, [(0.513, 3.0)], Fraction(25))
    assert [read_number(frame) for frame in one.frames_LHWC] == list(range(13, 75))


def test_variable_rate(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    steps = rng.choice([1, 2, 3, 7, 20], size=110)
    times = [Fraction(int(total), 100) for total in np.concatenate([[0], np.cumsum(steps)])]
    times = [at for at in times if at < 5]
    path = make_source(tmp_path / "a.mkv", times, clicks(5.2, CLICKS, 44_100), sound_rate_hz=44_100)
    check(cut(path, SEGMENTS, Fraction(25)), SEGMENTS, Fraction(25), times)


@pytest.mark.parametrize("suffix", [".mkv", ".mov", ".ts"])
def test_clock_begins_with_the_first_picture(tmp_path: Path, suffix: str) -> None:
    late = Fraction(7, 10)
    times = [at + late for at in constant(25, 5)]
    sound = clicks(6, [at + 0.7 for at in CLICKS], 48_000)
    codec = "mp2" if suffix == ".ts" else "pcm_s16le"
    path = make_source(tmp_path / f"a{suffix}", times, sound, audio_codec=codec)
    (one,) = cut(path, [(0.42, 2.32)], Fraction(25))
    assert [read_number(frame) for frame in one.frames_LHWC] == list(range(11, 58))
    if suffix != ".ts":  # mp2 delays by its own filter; the exact clock of sound is held by the others
        assert click_times(one.audio_N, RATE) == pytest.approx([at - 0.44 for at in (0.5, 1.25, 2.0)], abs=0.0005)


def test_h264_with_aac_as_the_web_has_it(tmp_path: Path) -> None:
    times = constant(30, 5.2)
    path = make_source(tmp_path / "a.mp4", times, clicks(5.2, CLICKS, 44_100), sound_rate_hz=44_100, audio_codec="aac")
    for one, (start, _) in zip(cut(path, SEGMENTS, Fraction(30)), SEGMENTS, strict=True):
        assert read_number(one.frames_LHWC[0]) == round(start * 30)
        expected = [at - one.start_seconds for at in CLICKS if one.start_seconds <= at < one.end_seconds - 0.01]
        # AAC smears a click over some milliseconds before it; its loudest sample stays.
        found = click_times(one.audio_N, RATE)
        assert found == pytest.approx(expected, abs=0.003)


def test_sound_that_begins_late_or_stops_early_is_silent_there(tmp_path: Path) -> None:
    sound = np.full(48_000, 0.5, np.float32)
    path = make_source(tmp_path / "a.mov", constant(25, 4), sound, sound_start=Fraction(1))
    (one,) = cut(path, [(0.0, 4.0)], Fraction(25))
    loud = np.flatnonzero(np.abs(one.audio_N) > 0.25)
    assert one.audio_N.size == 64_000
    assert loud[0] == pytest.approx(16_000, abs=2)
    assert loud[-1] == pytest.approx(32_000, abs=2)
    assert not one.audio_N[:15_000].any()
    assert not one.audio_N[33_000:].any()


def test_stereo_and_other_rates_become_mono_at_the_asked_rate(tmp_path: Path) -> None:
    tone = (0.5 * np.sin(2 * np.pi * 440 * np.arange(22_050 * 3) / 22_050)).astype(np.float32)
    path = make_source(tmp_path / "a.mkv", constant(25, 3), tone, sound_rate_hz=22_050)
    (one,) = cut(path, [(1.0, 2.0)], Fraction(25))
    truth = 0.5 * np.sin(2 * np.pi * 440 * (1 + np.arange(RATE) / RATE))
    assert np.abs(one.audio_N - truth).max() < 2e-3


@pytest.mark.parametrize("rotation", [90, -90, 180])
def test_rotated_sources_stand_upright(tmp_path: Path, rotation: int) -> None:
    upright = np.zeros((96, 128, 3), np.uint8)
    upright[:48, :64] = (230, 30, 30)  # red at the top left of what a player shows
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


def test_segment_beyond_the_end_gives_what_there_is(tmp_path: Path) -> None:
    path = make_source(tmp_path / "a.mkv", constant(25, 2), clicks(2, [1.0], 48_000))
    inside, over, outside = cut(path, [(0.0, 2.0), (1.0, 3.0), (5.0, 6.0)], Fraction(25))
    assert inside.frames_LHWC.shape[0] == 50
    assert over.frames_LHWC.shape[0] == 25
    assert over.end_seconds == pytest.approx(2.0)
    assert outside.frames_LHWC.shape == (0, 64, 64, 3)
    assert outside.audio_N.size == 0


def test_segments_inside_each_other_equal_ones_and_touching_ones(tmp_path: Path) -> None:
    times = constant(25, 6)
    path = make_source(tmp_path / "a.mkv", times, clicks(6, CLICKS, 48_000))
    segments = [(0.0, 5.8), (1.0, 1.4), (1.0, 1.4), (1.4, 3.0), (1.2, 1.6), (0.4, 5.8), (3.0, 3.04), (2.0, 5.0)]
    check(cut(path, segments, Fraction(25)), segments, Fraction(25), times)
    arrived = [
        one.index
        for one in cut_segments(path, segments, frame_rate=Fraction(25), width=16, height=16, audio_rate_hz=RATE)
    ]
    assert arrived[0] in (1, 2)
    assert set(arrived[-2:]) == {0, 5}  # a short segment does not wait for the long one around it


@pytest.mark.parametrize("sound_seconds", [60.0, 3.0], ids=["sound to the end", "sound that stops early"])
def test_finished_clips_are_held_by_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sound_seconds: float
) -> None:
    sound = clicks(sound_seconds, [0.5, 2.5], 48_000)
    path = make_source(tmp_path / "a.mkv", constant(25, 60), sound, video_options={"g": "250"})
    segments = [(2.0 * index, 2.0 * index + 2) for index in range(30)]
    pictures: list[weakref.ref[NDArray[np.uint8]]] = []
    most_alive = 0
    scale = Scaler.scale

    def watched(scaler: Scaler, frame: av.VideoFrame) -> NDArray[np.uint8]:
        nonlocal most_alive
        picture = scale(scaler, frame)
        pictures.append(weakref.ref(picture))
        most_alive = max(most_alive, sum(other() is not None for other in pictures))
        return picture

    monkeypatch.setattr(Scaler, "scale", watched)
    heard = [click_times(one.audio_N, RATE) for one in cut(path, segments, Fraction(25))]
    assert [len(times) for times in heard] == [1, 1] + [0] * 28
    assert 50 <= most_alive < 15 * 25


@pytest.mark.parametrize("place", ["behind", "before"])
def test_sound_that_lies_far_from_its_picture_is_read_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: Literal["behind", "before"]
) -> None:
    times = constant(25, 40)
    at = [0.5, 20.25, 38.5]
    path = make_source(tmp_path / "a.mkv", times, clicks(40, at, 48_000), sound_lies=place)
    read_alone: list[Path] = []
    alone = cut_module._sound_alone
    monkeypatch.setattr(
        cut_module, "_sound_alone", lambda path, index: (read_alone.append(path), alone(path, index))[1]
    )
    segments = [(0.0, 1.0), (5.0, 9.0), (20.0, 21.0), (38.0, 40.0)]
    cuts = cut_segments(path, segments, frame_rate=Fraction(25), width=64, height=64, audio_rate_hz=RATE)
    for one, expected in zip(cuts, ([0.5], [], [0.25], [0.5]), strict=True):
        start, end = segments[one.index]
        assert [read_number(frame) for frame in one.frames_LHWC] == list(range(int(start) * 25, int(end) * 25))
        assert click_times(one.audio_N, RATE) == pytest.approx(expected, abs=0.0005)
    assert read_alone == [path]


def test_a_file_in_which_no_jump_succeeds_is_read_from_its_start(tmp_path: Path) -> None:
    options = {"preset": "ultrafast", "g": "250"}
    whole = make_source(tmp_path / "whole.mkv", constant(25, 3), clicks(3, [2.5], 48_000), video_options=options)
    path = tmp_path / "early.mkv"
    # The one key frame lies before zero, where the demuxer knows no times: nothing can be sought.
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
def test_long_stretches_that_nobody_needs_are_jumped_over(
    tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = constant(25, 60)
    codec, tolerance = (
        ("pcm_s16le", 0.0005) if suffix == ".mkv" else ("aac", 0.003) if suffix == ".mp4" else ("mp2", 0.1)
    )
    sound = clicks(60, [0.5, 30.2, 55.3], 48_000)
    options = {"g": "50", "bf": "3"}
    path = make_source(tmp_path / f"a{suffix}", times, sound, audio_codec=codec, video_options=options)
    jumps: list[int] = []
    jump = _Shown.jump

    def count(shown: _Shown, needed: int) -> int | None:
        if (target := jump(shown, needed)) is not None:
            jumps.append(needed)
        return target

    monkeypatch.setattr(_Shown, "jump", count)
    segments = [(0.2, 1.0), (30.0, 31.0), (55.0, 56.0)]
    for one, (start, end) in zip(cut(path, segments, Fraction(25)), segments, strict=True):
        assert [read_number(frame) for frame in one.frames_LHWC] == list(range(round(start * 25), round(end * 25)))
        assert click_times(one.audio_N, RATE) == pytest.approx([0.3 if start != 30.0 else 0.2], abs=tolerance)
    assert jumps == ([] if suffix == ".ts" else [750, 1375])


def test_an_index_that_lies_costs_time_but_no_frame(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make_source(
        tmp_path / "a.mkv", constant(25, 40), clicks(40, [0.5], 48_000), video_options={"g": "25", "bf": "0"}
    )
    jump = _Shown.jump

    def too_far(shown: _Shown, needed: int) -> int | None:
        target = jump(shown, needed)
        return None if target is None else target + 5_000

    monkeypatch.setattr(_Shown, "jump", too_far)
    segments = [(0.0, 1.0), (20.0, 21.0), (22.0, 23.0)]
    for one, (start, _) in zip(cut(path, segments, Fraction(25)), segments, strict=True):
        assert [read_number(frame) for frame in one.frames_LHWC] == list(range(int(start) * 25, int(start) * 25 + 25))


def test_fit(tmp_path: Path) -> None:
    wide = np.full((90, 160, 3), 200, np.uint8)
    wide[:, :20] = 10
    path = make_source(tmp_path / "a.mkv", constant(25, 1), clicks(1, [0.5], 48_000), pictures=[wide] * 25)
    shown = {}
    for fit in ("crop", "pad", "squash"):
        (one,) = cut_segments(
            path, [(0.0, 0.2)], frame_rate=Fraction(25), width=64, height=64, fit=fit, audio_rate_hz=RATE
        )
        shown[fit] = one.frames_LHWC[0].astype(int).mean(axis=2)
    assert shown["crop"].min() > 180, "the dark border lies outside the square in the middle"
    assert shown["pad"][:13].max() < 20
    assert shown["pad"][-13:].max() < 20
    assert shown["pad"][32, 20:].min() > 180
    assert shown["squash"][:, :7].max() < 40
    assert shown["squash"][:, 10:].min() > 180


def test_area_filter_gives_the_mean_of_what_a_pixel_covers(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    grey = rng.integers(30, 220, (256, 256, 1), dtype=np.uint8).repeat(3, 2)
    path = make_source(
        tmp_path / "a.mkv", constant(25, 1), clicks(1, [0.5], 48_000), pictures=[grey] * 25, video_options={"qp": "0"}
    )
    (one,) = cut(path, [(0.0, 0.2)], Fraction(25))
    means = grey.astype(float).mean(axis=2).reshape(64, 4, 64, 4).mean(axis=(1, 3))
    assert np.abs(one.frames_LHWC[0].mean(axis=2) - means).max() < 4


@pytest.mark.parametrize("size", [64, 50, 33])
def test_colours_come_whole_at_every_size(tmp_path: Path, size: int) -> None:
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


def test_missing_streams_and_files(tmp_path: Path) -> None:
    silent = make_source(tmp_path / "silent.mp4", constant(25, 1), None)
    with pytest.raises(MediaError, match="no audio stream") as caught:
        cut(silent, [(0, 1)], Fraction(25))
    assert caught.value.reason == "no_audio_stream"
    with pytest.raises(MediaError, match="no such file") as caught:
        cut(tmp_path / "none.mp4", [(0, 1)], Fraction(25))
    assert caught.value.reason == "file_missing"
