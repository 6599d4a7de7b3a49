"""`bench letters`: the automatic segments against reviews, by known faults."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from phonics_data.cli.app import app
from phonics_data.errors import InputError
from phonics_data.report.letters import measure_letters
from phonics_data.stages.reviewed_segments import automatic_segments
from phonics_data.stages.segment import SegmentOptions, segment
from phonics_data.storage.reviews import Interval, Review, Reviews, write_reviews
from phonics_data.storage.tables import read_table, write_table
from phonics_data.storage.workspace import Workspace
from phonics_data.types import FetchedVideo
from tests.phonics_data.segmentation.transcripts import song
from tests.phonics_data.stages.test_segment import prepare
from tests.phonics_data.storage.test_reviews import interval, review

SHA = "00"


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    workspace = Workspace(tmp_path / "work")
    prepare(workspace, song=song()[0], other=song()[0])
    segment(workspace, SegmentOptions())
    return workspace


def decided(workspace: Workspace, sha256: str) -> list[Review]:
    """All 26 kept but for one relabelled, one moved by 0.4 s at its start, one dropped and one added."""
    rows = [review("complete", None, None, sha256=sha256)]
    for index, one in enumerate(automatic_segments(workspace, "song")):
        before = Interval(letter=one.letter, start_seconds=one.start_seconds, end_seconds=one.end_seconds)
        if index == 0:
            after = interval("Z", before.start_seconds, before.end_seconds)
            rows.append(review("change", before, after, sha256=sha256))
        elif index == 1:
            after = interval(before.letter, before.start_seconds + 0.4, before.end_seconds)
            rows.append(review("change", before, after, sha256=sha256))
        elif index == 2:
            rows.append(review("drop", before, None, sha256=sha256))
        else:
            rows.append(review("keep", before, before, sha256=sha256))
    rows.append(review("add", None, interval("A", 90, 92), sha256=sha256))
    return rows


def test_scores_of_known_faults(workspace: Workspace) -> None:
    rows = decided(workspace, SHA)
    partly = review("drop", interval("A", 1, 2), None, video_id="other", sha256=SHA)
    found = measure_letters(workspace, Reviews(rows=(*rows, partly)))
    (row,) = found.rows
    assert (row.num_kept, row.num_changed, row.num_added, row.num_dropped) == (23, 2, 1, 1)
    # 26 are found and 26 are true; the relabelled, the dropped and the added one do not match.
    assert (row.at_50.num_found, row.at_50.num_truth, row.at_50.num_matched) == (26, 26, 24)
    assert row.at_50.f1 == pytest.approx(24 / 26)
    assert row.at_50 == found.all_videos.at_50
    assert found.not_measured == ("other: not complete; press c on its page when all its segments are right",)


def test_without_complete_videos_it_is_an_error(workspace: Workspace) -> None:
    with pytest.raises(InputError, match="no reviewed video is complete"):
        measure_letters(workspace, Reviews(rows=tuple(decided(workspace, SHA)[1:])))


def test_the_command(workspace: Workspace, tmp_path: Path) -> None:
    sha256 = "ab" * 32
    path = workspace.table("videos")
    videos = [dataclasses.replace(one, sha256=sha256) for one in read_table(path, FetchedVideo)]
    write_table(path, FetchedVideo, videos)
    write_reviews(workspace.root / "reviews.csv", Reviews(rows=tuple(decided(workspace, sha256))))
    out = tmp_path / "letters.json"
    done = CliRunner().invoke(app, ["bench", "letters", "--work", str(workspace.root), "--json", str(out)])
    assert done.exit_code == 0, done.output
    assert "0.923" in done.output
    assert json.loads(out.read_text())["all_videos"]["at_50"]["num_matched"] == 24
