"""Measures of any folder of videos: values on videos whose content is known, controls, unusable files."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from typer.testing import CliRunner

from cssgan.cli.app import app
from cssgan.errors import InputError
from cssgan.evaluation import external
from cssgan.evaluation.external import ExternalReport, ExternalVideo, letter_of_name, read_folder, read_labels
from cssgan.metrics.result import MetricResult
from cssgan.storage.media_files import VideoFile, write_mp4
from phonics_data.contract.video import encode_video

RATE_HZ = 16_000
SIZE = 64


def clicks(times: list[float], seconds: float) -> NDArray[np.float32]:
    """Short bursts of noise at these times."""
    audio = np.zeros(int(seconds * RATE_HZ), np.float32)
    noise = np.random.default_rng(1).normal(0, 0.3, 1600).astype(np.float32)
    for time in times:
        start = int(time * RATE_HZ)
        audio[start : start + 1600] += noise[: len(audio) - start]
    return np.clip(audio, -1, 1)


def scene(times: list[float], num_frames: int, rate: float, *, stays: bool = True) -> NDArray[np.uint8]:
    """At each time a bright block appears, in another place, and stays, or vanishes after one frame."""
    frames = np.full((num_frames, SIZE, SIZE, 3), 40, np.uint8)
    for place, time in enumerate(times):
        first = round(time * rate)
        last = num_frames if stays else min(num_frames, first + 1)
        top, left = 20 * (place // 3), 20 * (place % 3)
        frames[first:last, top : top + 18, left : left + 18] = 230
    return frames


def video(name: str, times: list[float], *, rate: int = 25, seconds: float = 2.4, **options: bool) -> ExternalVideo:
    """Blocks appear with the clicks."""
    num_frames = round(seconds * rate)
    file = VideoFile(
        frames_THWC=scene(times, num_frames, rate, **options), frame_rate=Fraction(rate), audio_N=clicks(times, seconds)
    )
    return ExternalVideo(name=name, file=file)


def random_times(seed: int) -> list[float]:
    rng = np.random.default_rng(seed)
    return sorted(float(time) for time in 0.4 + 0.4 * rng.permutation(4)[:2] + rng.uniform(0, 0.15, 2))


def result(report: ExternalReport, name: str) -> MetricResult:
    return next(one for one in report.results if one.name == name)


def row(report: ExternalReport, name: str) -> external.ValueRow:
    return next(one for one in report.rows if one.name == name)


@pytest.fixture(scope="module")
def synchronous() -> ExternalReport:
    """Videos of two frame rates and lengths in which something appears with each sound and stays."""
    videos = [
        video(str(n), random_times(n), rate=25 if n % 2 else 30, seconds=2.4 if n % 3 else 2.0) for n in range(12)
    ]
    return external.measure(videos, read=False)


def test_what_appears_with_its_sound_is_found(synchronous: ExternalReport) -> None:
    auc = result(synchronous, "onset_motion_auc")
    assert auc.value is not None
    assert auc.interval is not None
    assert auc.value > 0.85
    assert auc.interval[0] > 0.7
    assert auc.controls["held"] == auc.controls["chance_level"] == 0.5
    assert auc.controls["flash"] > 0.85
    assert abs(auc.controls["mismatched"] - 0.5) < 0.1
    assert synchronous.frame_rates == {"25": 6, "30": 6}


def test_exchanged_sounds_are_at_chance() -> None:
    videos = [video(str(n), random_times(n)) for n in range(12)]
    exchanged = [
        ExternalVideo(
            name=one.name,
            file=VideoFile(frames_THWC=one.file.frames_THWC, frame_rate=Fraction(25), audio_N=other.file.audio_N),
        )
        for one, other in zip(videos, np.roll(np.array(videos, object), 1), strict=True)
    ]
    auc = result(external.measure(exchanged, read=False), "onset_motion_auc")
    assert auc.value is not None
    assert auc.value < 0.65


def test_events_and_their_times(synchronous: ExternalReport) -> None:
    for n, one in enumerate(synchronous.per_video):
        assert one["event_seconds"] == pytest.approx(random_times(n), abs=0.06)
    assert row(synchronous, "events").percentiles == (2, 2, 2, 2, 2)
    assert row(synchronous, "events").controls["held"] == 0
    assert result(synchronous, "event_persistence").value == 1.0


def test_what_vanishes_does_not_persist() -> None:
    videos = [video(str(n), random_times(n), stays=False) for n in range(6)]
    report = external.measure(videos, read=False)
    assert row(report, "share_not_lasting").percentiles[2] > 0.9
    persistence = result(report, "event_persistence")
    assert persistence.value is None or persistence.value < 0.5


def test_seams_are_seen_at_multiples_of_eight_only() -> None:
    rng = np.random.default_rng(0)

    def cascade(n: int, phase: int) -> ExternalVideo:
        """Levels drift, and jump before every eighth frame."""
        level = 60 + np.arange(64) + 12 * ((np.arange(64) - phase) // 8)
        frames = np.broadcast_to(level[:, None, None, None], (64, SIZE, SIZE, 3)) + rng.integers(0, 2, (64, 1, 1, 1))
        file = VideoFile(frames_THWC=frames.astype(np.uint8), frame_rate=Fraction(25), audio_N=None)
        return ExternalVideo(name=str(n), file=file)

    at_seams, elsewhere = (
        result(external.measure([cascade(n, phase) for n in range(4)], read=False), "seam_ratio") for phase in (0, 3)
    )
    assert at_seams.value is not None
    assert elsewhere.value is not None
    assert at_seams.value > 3 > at_seams.controls["highest_other_phase"]
    assert elsewhere.value < 2 < elsewhere.controls["highest_other_phase"]


def test_videos_without_sound_keep_the_other_measures() -> None:
    silent = [
        ExternalVideo(
            name=str(n), file=VideoFile(frames_THWC=scene([1.0], 50, 25), frame_rate=Fraction(25), audio_N=sound)
        )
        for n, sound in enumerate([None, np.zeros(32_000, np.float32), None])
    ]
    report = external.measure(silent, read=False)
    assert report.num_silent == 3
    assert result(report, "onset_motion_auc").unavailable == "0 videos with sound, allowed: 3 or more"
    assert row(report, "events").percentiles[2] == 1
    assert "flash" not in row(report, "events").controls
    mixed = external.measure([*silent, *(video(f"v{n}", random_times(n)) for n in range(4))], read=False)
    assert result(mixed, "onset_motion_auc").n_fake == 4


def test_letters_and_words_are_read_on_the_last_frames() -> None:
    def card(text: str, letter: str, word: str) -> ExternalVideo:
        picture = np.full((360, 640, 3), 250, np.uint8)
        cv2.putText(picture, text, (60, 220), cv2.FONT_HERSHEY_DUPLEX, 4.5, (20, 20, 160), 14, cv2.LINE_AA)
        small = cv2.resize(picture, (SIZE, SIZE), interpolation=cv2.INTER_AREA)
        frames = np.concatenate([np.full((20, SIZE, SIZE, 3), 250, np.uint8), np.tile(small, (10, 1, 1, 1))])
        file = VideoFile(frames_THWC=frames.astype(np.uint8), frame_rate=Fraction(25), audio_N=None)
        return ExternalVideo(name=text, file=file, letter=letter, word=word)

    report = external.measure([card("LION", "L", "lion"), card("MAP", "M", "map"), card("CAT", "B", "ball")])
    letters, words = result(report, "letter_read"), result(report, "word_read")
    assert letters.value == words.value == pytest.approx(2 / 3)
    assert letters.controls == words.controls == {"held": 0, "mismatched": 0}
    assert [line["text"] for line in report.per_video[0]["text"]] == ["LION"]
    assert report.per_video[0]["text_of_first_frame"] == []
    assert result(report, "word_appears").value == 1.0
    standing = card("LION", "L", "lion")
    standing.file.frames_THWC[:20] = standing.file.frames_THWC[-1]
    held = external.measure([standing])
    assert result(held, "word_appears").value == 0.0
    assert result(held, "word_read").controls["held"] == 1.0


def test_distances_to_real_clips_carry_a_caution() -> None:
    real = [video(str(n), random_times(n)) for n in range(8)]
    alike = external.measure([video(str(n), random_times(n + 50)) for n in range(8)], real=real, read=False)
    noise = np.random.default_rng(0).integers(0, 256, (60, SIZE, SIZE, 3), np.uint8)
    file = VideoFile(frames_THWC=noise, frame_rate=Fraction(25), audio_N=None)
    unlike = external.measure([ExternalVideo(name=str(n), file=file) for n in range(8)], real=real, read=False)
    for name in ("rfd_2d_fd", "rfd_2d_kd"):
        near, far = result(alike, name), result(unlike, name)
        assert near.value is not None
        assert far.value is not None
        assert near.value < far.value
        assert "8 real clips are too few" in near.caution
        assert far.value > far.controls["real_half_split"]


def test_folder_with_damaged_and_unusual_files(tmp_path: Path) -> None:
    for n, rate in enumerate((24, 25, Fraction(30_000, 1001))):
        times = [0.8, 1.4]
        path = tmp_path / "deep" / f"output_{n}_letter{'abc'[n]}.mp4"
        path.parent.mkdir(exist_ok=True)
        write_mp4(path, scene(times, 50, float(rate)), Fraction(rate), clicks(times, 2.0), RATE_HZ)
    (tmp_path / "silent.mp4").write_bytes(encode_video(scene([1.0], 50, 25), Fraction(25)))
    (tmp_path / "one.mp4").write_bytes(encode_video(scene([], 1, 25), Fraction(25)))
    (tmp_path / "text.mp4").write_text("no video")
    (tmp_path / "cut.mp4").write_bytes((tmp_path / "silent.mp4").read_bytes()[:400])
    (tmp_path / "notes.txt").write_text("not looked at")
    videos, rejected = read_folder(tmp_path, SIZE)
    assert [one.letter for one in videos] == ["A", "B", "C", ""]
    assert {one.name for one in rejected} == {"one.mp4", "text.mp4", "cut.mp4"}
    assert all(one.name in one.reason for one in rejected)
    assert {float(one.file.frame_rate) for one in videos} == {24, 25, 30_000 / 1001}
    for one in videos[:3]:
        assert one.file.audio_N is not None
        onset = np.flatnonzero(np.abs(one.file.audio_N) > 0.1)[0] / RATE_HZ
        assert onset == pytest.approx(0.8, abs=0.01)

    out, table = tmp_path / "values.json", tmp_path / "table.md"
    arguments = ["metrics", "external", str(tmp_path), "--no-read", "--json", str(out), "--out", str(table)]
    run = CliRunner().invoke(app, arguments)
    assert run.exit_code == 0, run.output
    assert "4 videos" in run.stdout
    assert "text.mp4" in run.stdout
    values = json.loads(out.read_text())
    assert len(values["videos"]) == 4
    assert len(values["rejected"]) == 3
    assert values["videos"][1]["event_seconds"] == pytest.approx([0.8, 1.4], abs=0.06)
    assert table.read_text().strip() in run.stdout


def test_folders_without_videos_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder"):
        read_folder(tmp_path / "missing", SIZE)
    with pytest.raises(InputError, match="no video in it"):
        read_folder(tmp_path, SIZE)
    (tmp_path / "a.mp4").write_text("no video")
    with pytest.raises(InputError, match="none of 1 files can be measured"):
        read_folder(tmp_path, SIZE)


@pytest.mark.parametrize(
    ("name", "letter"),
    [("output_100_9_lettere.mp4", "E"), ("output_62_0_letterA.mp4", "A"), ("b.mp4", "B"), ("C/key-01.mp4", "C"),
     ("newsletters.mp4", ""), ("62_5.mp4", "")],
)  # fmt: skip
def test_letters_of_file_names(name: str, letter: str) -> None:
    assert letter_of_name(name) == letter


def test_tables_of_labels(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text("file,letter,word\na.mp4,b,bat\n")
    assert read_labels(path) == {"a.mp4": ("B", "bat")}
    path.write_text("file,letter\na.mp4,bb\n")
    with pytest.raises(InputError, match="line 2: letter: got 'bb', allowed: A to Z"):
        read_labels(path)
    path.write_text("name,letter\na.mp4,b\n")
    with pytest.raises(InputError, match="columns are name, letter; required, once each: file, letter"):
        read_labels(path)


def test_the_paper_s_generated_videos(shared_data: Path) -> None:
    folder = shared_data / "paper"
    if not folder.is_dir():
        pytest.skip(f"no videos of the paper in {shared_data}")
    report = external.measure(read_folder(folder / "generated", SIZE)[0], read=False)
    assert report.num_videos == 26
    expected = (0.89, 1.09, 1.25, 1.6, 2.08)
    assert row(report, "change_per_frame").percentiles == pytest.approx(expected, abs=0.006)
    auc = result(report, "onset_motion_auc")
    assert auc.value is not None
    assert auc.interval is not None
    assert auc.interval[0] < 0.5 < auc.interval[1]
    assert auc.controls["flash"] > 0.9
