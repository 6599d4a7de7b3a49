"""Likeness of rendered songs to real clips: the values, the bounds, the sheet, unusable files."""

from __future__ import annotations

import json
import tracemalloc
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from typer.testing import CliRunner

from phonics_data.cli.app import app
from phonics_data.contract.change import ChangeSummary
from phonics_data.errors import InputError, TableError
from phonics_data.media import write_mp4
from phonics_data.report import likeness
from phonics_data.report.likeness import MeasuredClip, compare, draw_sheet, measure_clips, measure_songs
from tests.counted_videos import write_cut_off

RATE_HZ = 16_000


def write(path: Path, frames_THWC: NDArray[np.uint8], rate: Fraction = Fraction(25)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = int(len(frames_THWC) / rate * RATE_HZ)
    write_mp4(path, frames_THWC, rate, np.zeros(samples, np.float32), RATE_HZ)


def moving_square(num_frames: int, *, step: int = 1, size: int = 64) -> NDArray[np.uint8]:
    """A bright square that moves to the right by `step` pixels a frame."""
    frames = np.full((num_frames, size, size, 3), 40, np.uint8)
    for t in range(num_frames):
        frames[t, 20:40, (t * step) % 40 : (t * step) % 40 + 16] = 220
    return frames


def clip(name: str, *, change: float, frames: int = 80, lasting: float = 0.5) -> MeasuredClip:
    values = dict.fromkeys(ChangeSummary.names(), change) | {"share_not_lasting": lasting}
    return MeasuredClip(
        name=name, source=name.partition("/")[0], frames_per_second=25.0, num_frames=frames,
        change=ChangeSummary(**values), sheet_SHWC=np.zeros((likeness.SHEET_FRAMES, 64, 64, 3), np.uint8),
    )  # fmt: skip


def test_clips_are_measured_at_their_own_rate(tmp_path: Path) -> None:
    write(tmp_path / "a.mp4", moving_square(40))
    write(tmp_path / "deep" / "b.mp4", moving_square(30, size=96), Fraction(30_000, 1001))
    measured = measure_clips(tmp_path)
    assert [clip.name for clip in measured.clips] == ["a.mp4", "deep/b.mp4"]
    a, b = measured.clips
    assert (a.num_frames, a.seconds, b.num_frames) == (40, 1.6, 30)
    assert b.frames_per_second == pytest.approx(29.97, abs=0.01)
    assert a.sheet_SHWC.shape == b.sheet_SHWC.shape == (likeness.SHEET_FRAMES, 64, 64, 3)
    # Two edges of 20 pixels change by 180 levels in each frame: 40 * 180 / 64^2; the codec blurs a little.
    assert a.change.change_per_frame == pytest.approx(40 * 180 / 64**2, rel=0.25)
    assert b.change.change_per_frame < a.change.change_per_frame


def test_unusable_files_are_skipped_with_a_reason(tmp_path: Path) -> None:
    write(tmp_path / "good.mp4", moving_square(20))
    write(tmp_path / "one.mp4", moving_square(1))
    (tmp_path / "text.mp4").write_text("not a video")
    (tmp_path / "half.mp4").write_bytes((tmp_path / "good.mp4").read_bytes()[:300])
    (tmp_path / "notes.txt").write_text("no video suffix: not looked at")
    measured = measure_clips(tmp_path)
    assert [clip.name for clip in measured.clips] == ["good.mp4"]
    reasons = {skipped.name: skipped.reason for skipped in measured.skipped}
    assert reasons.keys() == {"one.mp4", "text.mp4", "half.mp4"}
    assert "1 frame, allowed: 2 or more" in reasons["one.mp4"]


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_file_that_was_cut_off_is_skipped(tmp_path: Path, suffix: str) -> None:
    """Its first half decodes without an error."""
    write(tmp_path / "good.mp4", moving_square(50))
    cut_off = tmp_path / f"cut{suffix}"
    write_cut_off(cut_off)
    measured = measure_clips(tmp_path)
    assert [clip.name for clip in measured.clips] == ["good.mp4"]
    assert [skipped.name for skipped in measured.skipped] == [cut_off.name]
    assert "its duration is 4.00 s" in measured.skipped[0].reason


def test_a_whole_video_is_not_a_clip(tmp_path: Path) -> None:
    write(tmp_path / "good.mp4", moving_square(20))
    write(tmp_path / "long.mp4", moving_square(61), Fraction(1))
    (skipped,) = measure_clips(tmp_path).skipped
    assert "61 s, allowed: at most 60" in skipped.reason


def test_folders_without_clips_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder"):
        measure_clips(tmp_path / "missing")
    with pytest.raises(InputError, match="no video file in it"):
        measure_clips(tmp_path)
    (tmp_path / "text.mp4").write_text("not a video")
    with pytest.raises(InputError, match="none of 1 files can be measured"):
        measure_clips(tmp_path)
    with pytest.raises(TableError, match="no such file"):
        measure_songs(tmp_path)


def test_rendered_medians_must_lie_within_the_real_percentiles() -> None:
    real = [clip(str(n), change=float(n)) for n in range(11)]  # 10th percentile 1, 90th 9
    rows = {row.name: row for row in compare(real, [clip("r", change=8.5)])}
    assert rows["change_per_frame"].allowed == (1.0, 9.0)
    assert rows["change_per_frame"].real == (1.0, 2.5, 5.0, 7.5, 9.0)
    assert rows["change_per_frame"].is_within
    interval = rows["change_per_frame"].real_median_interval
    assert interval is not None
    low, high = interval
    assert 1 <= low < 5 < high <= 9
    rows = {row.name: row for row in compare(real, [clip("r", change=9.5)])}
    assert not rows["change_per_frame"].is_within
    assert rows["frames"].is_within
    assert rows["seconds"].allowed is None
    for frames, within in ((59, False), (60, True), (100, True), (101, False)):
        rows = {row.name: row for row in compare(real, [clip("r", change=5, frames=frames)])}
        assert rows["frames"].is_within == within


def test_memory_of_the_bootstrap_does_not_grow_with_resamples() -> None:
    real = [clip(str(n), change=n % 7) for n in range(400)]
    tracemalloc.start()
    try:
        compare(real, real[:1])
        assert tracemalloc.get_traced_memory()[1] < 50e6  # all resamples at once take 96 MB
    finally:
        tracemalloc.stop()


def test_the_interval_of_the_median_is_wider_with_fewer_clips() -> None:
    values = np.random.default_rng(3).normal(size=200)
    many = compare([clip(str(n), change=value) for n, value in enumerate(values)], [clip("r", change=0)])[0]
    few = compare([clip(str(n), change=value) for n, value in enumerate(values[:10])], [clip("r", change=0)])[0]
    width = [high - low for low, high in (row.real_median_interval or (0.0, 0.0) for row in (few, many))]
    assert width[0] > 2 * width[1]


def test_still_clips_are_counted_as_undefined(tmp_path: Path) -> None:
    write(tmp_path / "still.mp4", np.full((20, 64, 64, 3), 90, np.uint8))
    write(tmp_path / "moving.mp4", moving_square(20))
    clips = measure_clips(tmp_path).clips
    row = next(row for row in compare(clips, clips) if row.name == "share_not_lasting")
    assert row.num_undefined == (1, 1)
    still = [one for one in clips if one.name == "still.mp4"]
    for rows in (compare(still, clips), compare(clips, still)):
        outside = {row.name for row in rows if not row.is_within}
        assert "share_not_lasting" in outside
        assert "seconds" not in outside
    row = next(row for row in compare(still, clips) if row.name == "share_not_lasting")
    assert (row.real, row.real_median_interval, row.allowed, row.num_undefined) == ((), None, None, (1, 1))


def test_the_sheet_shows_one_clip_of_each_song_first() -> None:
    rendered = [clip(f"s{n // 5}/{n}", change=1) for n in range(20)]
    chosen = likeness._spread(rendered, 4, seed=0)
    assert len({one.source for one in chosen}) == 4
    sheet = draw_sheet([clip("real", change=1)], rendered, num_clips=3)
    assert sheet.size[0] > 2 * likeness.SHEET_FRAMES * 64
    assert sheet.size[1] == 3 * (64 + 18) + 4


def test_phrases_of_rendered_songs(songs: Path) -> None:
    from phonics_data.sources.synthetic.render import read_truth

    measured = measure_songs(songs)
    truth = read_truth(songs / "truth.parquet")
    assert len(measured.clips) + len(measured.skipped) == len(truth)
    seconds = sorted(segment.end_seconds - segment.start_seconds for segment in truth)
    assert sorted(one.seconds for one in measured.clips) == pytest.approx(seconds, abs=0.05)
    assert len({one.source for one in measured.clips}) == len({segment.video_id for segment in truth})


def test_the_command_prints_writes_and_fails_out_of_bounds(songs: Path, tmp_path: Path) -> None:
    for n in range(3):  # real clips that change more than any rendered song
        frames = np.random.default_rng(n).integers(0, 256, (80, 64, 64, 3), np.uint8)
        write(tmp_path / "real" / f"{n}.mp4", frames)
    out, sheet = tmp_path / "values.json", tmp_path / "sheet.png"
    arguments = ["bench", "likeness", "--real", str(tmp_path / "real"), "--songs", str(songs)]
    result = CliRunner().invoke(app, [*arguments, "--json", str(out), "--sheet", str(sheet)])
    assert isinstance(result.exception, InputError)
    assert "change_per_frame" in str(result.exception)
    assert "3 real clips" in result.output
    values = json.loads(out.read_text())
    assert [row["name"] for row in values["rows"]] == list(likeness.ROWS)
    assert len(values["real"]["clips"]) == 3
    assert not values["rows"][0]["is_within"]
    with Image.open(sheet) as image:
        assert image.size[0] > 1000


def test_the_command_shows_what_is_not_defined(songs: Path, tmp_path: Path) -> None:
    write(tmp_path / "real" / "grey.mp4", np.full((70, 64, 64, 3), 90, np.uint8))
    (tmp_path / "real" / "gone.mp4").symlink_to(tmp_path / "nowhere.mp4")
    out, sheet = tmp_path / "new" / "values.json", tmp_path / "new" / "deep" / "sheet.png"
    arguments = ["bench", "likeness", "--real", str(tmp_path / "real"), "--songs", str(songs)]
    result = CliRunner().invoke(app, [*arguments, "--json", str(out), "--sheet", str(sheet)])
    assert isinstance(result.exception, InputError)
    assert "share_not_lasting" in str(result.exception)
    assert "out of bounds or not defined" in str(result.exception)
    assert "gone.mp4: a link to a file that does not exist" in result.output
    assert "one clip, so each allowed range is one value" in result.output
    rows = {row["name"]: row for row in json.loads(out.read_text())["rows"]}
    assert rows["share_not_lasting"]["real"] == []
    assert rows["frames"]["real"] == [70] * 5
    with Image.open(sheet) as image:
        assert image.format == "PNG"
    result = CliRunner().invoke(app, [*arguments, "--size", "20000"])
    assert result.exit_code == 2
    assert "1024" in result.output


def test_songs_are_like_themselves(songs: Path, tmp_path: Path) -> None:
    from phonics_data.media import cut_segments
    from phonics_data.sources.synthetic.render import read_truth

    truth = read_truth(songs / "truth.parquet")
    video = truth[0].video_id
    spans = [(one.start_seconds, one.end_seconds) for one in truth if one.video_id == video]
    for cut in cut_segments(
        songs / f"{video}.mp4", spans, frame_rate=Fraction(25), width=64, height=64, audio_rate_hz=RATE_HZ
    ):
        write(tmp_path / f"{cut.index}.mp4", cut.frames_LHWC)
    rows = compare(measure_clips(tmp_path).clips, [one for one in measure_songs(songs).clips if one.source == video])
    assert all(row.is_within for row in rows if row.name in ChangeSummary.names())


def test_the_paper_s_clips_give_the_published_table(shared_data: Path) -> None:
    """The table was measured with a fixed width of four frames; here it is 0.16 s, which is five frames at 29.97."""
    folder = shared_data / "paper"
    if not folder.is_dir():
        pytest.skip(f"no clips of the paper in {shared_data}")
    real, generated = (measure_clips(folder / name).clips for name in ("dataset-samples", "generated"))
    assert (len(real), len(generated)) == (10, 26)
    rows = {row.name: row for row in compare(real, generated)}
    expected = {
        "change_per_frame": ((0.12, 0.97, 1.83, 3.04, 3.8), (0.89, 1.09, 1.25, 1.6, 2.08)),
        "still_share": ((0.18, 0.21, 0.24, 0.64, 0.98), (0.39, 0.40, 0.59, 0.62, 0.68)),
        "net_over_path": ((0.02, 0.05, 0.16, 0.25, 0.62), (0.11, 0.14, 0.18, 0.22, 0.28)),
        "changed_pixels": ((0.06, 0.19, 0.48, 0.69, 0.75), (0.26, 0.33, 0.45, 0.58, 0.92)),
    }
    for name, (of_real, of_generated) in expected.items():
        assert rows[name].real == pytest.approx(of_real, abs=0.006), name
        assert rows[name].rendered == pytest.approx(of_generated, abs=0.006), name
    # The still clip is left out here.
    assert rows["share_not_lasting"].num_undefined == (1, 0)
    assert rows["share_not_lasting"].rendered == pytest.approx((0.24, 0.29, 0.32, 0.45, 0.50), abs=0.03)
    assert rows["frames"].real[2] == 86
