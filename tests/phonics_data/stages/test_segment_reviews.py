"""`segment` with reviews.csv: reviewed segments survive, refused videos get segments, other copies are aligned by sound."""

from __future__ import annotations

import dataclasses
import re
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from phonics_data.cli.app import app
from phonics_data.media import ffmpeg_path, probe
from phonics_data.stages.reviewed_segments import automatic_segments, video_loudness
from phonics_data.stages.segment import SegmentOptions, segment
from phonics_data.storage.reviews import ReviewedCopy, Reviews, write_reviews
from phonics_data.storage.tables import read_table, write_table
from phonics_data.storage.workspace import Workspace, file_sha256
from phonics_data.types import FetchedVideo, StageCount, Word
from tests.phonics_data.segmentation.transcripts import song
from tests.phonics_data.stages.test_segment import prepare, rejections, segments, video
from tests.phonics_data.storage.test_reviews import interval, review

SHA = "00" * 32


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """A workspace with an alphabet song, and a video that is refused."""
    workspace = Workspace(tmp_path / "work")
    talk = [Word(text=text, start_seconds=float(at), end_seconds=at + 0.5) for at, text in enumerate("no song".split())]
    prepare(workspace, song=song()[0], talk=talk)
    videos = [dataclasses.replace(one, sha256=SHA) for one in read_table(workspace.table("videos"), FetchedVideo)]
    write_table(workspace.table("videos"), FetchedVideo, videos)
    return workspace


def run(workspace: Workspace, reviews: Reviews | None = None, **options: int) -> StageCount:
    return segment(workspace, SegmentOptions(**options), reviews=reviews)  # type: ignore[arg-type]


def test_reviewed_segments_survive_and_automatic_ones_are_kept(workspace: Workspace) -> None:
    run(workspace)
    before = segments(workspace)
    first = interval(before[0].letter, before[0].start_seconds, before[0].end_seconds)
    moved = interval("A", first.start_seconds + 0.4, first.end_seconds + 0.08)
    rows = (
        review("change", first, moved, sha256=SHA, word="ant"),
        review("add", None, interval("B", 1, 2), video_id="talk", sha256=SHA),
        review("drop", first, None, video_id="elsewhere", sha256=SHA),
    )
    write_reviews(workspace.root / "reviews.csv", Reviews(rows=rows))
    count = run(workspace)
    assert count.num_skipped == 2, "reviews need no new segmentation"
    assert (count.num_in, count.num_kept, count.num_rejected, count.by_reason) == (2, 2, 0, {})
    assert "reviews: 2 of 27 segments are reviewed" in count.notes
    assert "reviews: 1 of 3 reviewed videos are not in the workspace: elsewhere" in count.notes
    for options in ({}, {"max_frames": 60}):
        run(workspace, **options)
        found = segments(workspace)
        assert (found[0].object_word, found[0].evidence, found[0].confidence) == ("ant", "review", 1.0)
        assert found[0].start_seconds == pytest.approx(moved.start_seconds, abs=0.02)
        assert [one.letter for one in found if one.video_id == "talk"] == ["B"]
        assert automatic_segments(workspace, "song")[0].evidence == "captions"
        assert automatic_segments(workspace, "talk") == ()
    assert run(workspace, Reviews()).by_reason == {"not_an_alphabet_song": 1}
    assert segments(workspace) == before


def test_the_command_reads_the_file_and_ignores_none(workspace: Workspace, tmp_path: Path) -> None:
    run(workspace)
    plain = workspace.table("segments").read_bytes()
    path = tmp_path / "shared.csv"
    write_reviews(path, Reviews(rows=(review("add", None, interval("B", 1, 2), video_id="talk", sha256=SHA),)))
    command = ["segment", "--work", str(workspace.root)]
    done = CliRunner().invoke(app, [*command, "--reviews", str(path)])
    assert done.exit_code == 0
    assert "reviews: 1 of" in done.output
    assert workspace.table("segments").read_bytes() != plain
    path.rename(workspace.root / "reviews.csv")
    assert "reviews: 1 of" in CliRunner().invoke(app, command).output
    assert CliRunner().invoke(app, [*command, "--reviews", "none"]).exit_code == 0
    assert workspace.table("segments").read_bytes() == plain
    missing = CliRunner().invoke(app, [*command, "--reviews", str(path)])
    assert "no such file" in str(missing.exception)


def encoded(source: Path, path: Path, *filters: str) -> Path:
    """Another encoding of a video: 16 kbit/s of sound, another size."""
    arguments = ["-vf", ",".join(["scale=160:-2", *filters[:1]]), "-af", ",".join(["volume=0.4", *filters[1:]])]
    codecs = ["-c:v", "libx264", "-preset", "ultrafast", "-c:a", "aac", "-b:a", "16k"]
    command = [ffmpeg_path(), "-v", "error", "-i", str(source), *arguments, *codecs, str(path)]
    subprocess.run(command, check=True)
    return path


def fetched(name: str, path: Path) -> FetchedVideo:
    seconds = probe(path).duration_seconds
    return dataclasses.replace(video(name, seconds), path=str(path), sha256=file_sha256(path))


def test_decisions_move_to_another_copy_by_its_sound(songs: Path, tmp_path: Path) -> None:
    source, other = songs / "song-0000.mp4", songs / "song-0001.mp4"
    workspace = Workspace(tmp_path / "work")
    reviewed = fetched("song", source)
    prepare(workspace, song=song()[0])
    loudness = video_loudness(workspace, reviewed)
    copy = ReviewedCopy(
        video_id="song", sha256=reviewed.sha256, duration_seconds=reviewed.duration_seconds, loudness=loudness
    )
    row = review("add", None, interval("Q", 1, 3), sha256=reviewed.sha256)
    reviews = Reviews(rows=(row, review("complete", None, None, sha256=reviewed.sha256)), copies=(copy,))

    def result_for(path: Path, given: Reviews) -> tuple[StageCount, list[tuple[str, float, float]]]:
        write_table(workspace.table("videos"), FetchedVideo, [fetched("song", path)])
        count = run(workspace, given)
        return count, [(one.letter, one.start_seconds, one.end_seconds) for one in segments(workspace)]

    assert result_for(source, reviews)[1] == [("Q", 1, 3)]
    again = encoded(source, tmp_path / "again.mp4")
    assert result_for(again, reviews)[1] == [("Q", pytest.approx(1, abs=0.04), pytest.approx(3, abs=0.04))]
    later = encoded(source, tmp_path / "later.mp4", "tpad=start_duration=1.6", "adelay=1600:all=1")
    count, found = result_for(later, reviews)
    assert found == [("Q", pytest.approx(2.6, abs=0.04), pytest.approx(4.6, abs=0.04))]
    assert "moved to another copy of the video by its sound: song +1.6" in " ".join(count.notes)

    for path, given, message in (
        (other, reviews, "their sound differs|lasts"),
        (again, dataclasses.replace(reviews, copies=()), "row `source` of the reviewed copy is missing"),
        (
            again,
            dataclasses.replace(reviews, copies=(dataclasses.replace(copy, duration_seconds=999.0),)),
            r"the reviewed copy lasts 999\.00 s",
        ),
    ):
        count, found = result_for(path, given)
        assert count.by_reason["review_not_applied"] == 1
        assert len(found) == 26, "the automatic segments are used"
        assert re.search(message, rejections(workspace)["song"].detail)
