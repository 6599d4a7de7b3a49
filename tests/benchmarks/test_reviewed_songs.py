"""Completed songs of a workspace are songs of the fit; others are named."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from benchmarks.fit_segmentation import fit_segmentation, with_value
from benchmarks.reviewed_songs import reviewed_videos
from phonics_data.errors import InputError
from phonics_data.ocr.trace import trace_path
from phonics_data.segmentation.segmenter import SegmenterOptions
from phonics_data.storage.reviews import Reviews, write_reviews
from phonics_data.storage.tables import read_table, write_table
from phonics_data.storage.workspace import Workspace
from phonics_data.types import FetchedVideo
from tests.benchmarks.test_fit_segmentation import cards
from tests.phonics_data.stages.test_segment import prepare
from tests.phonics_data.storage.test_reviews import SHA, interval, review


def test_reviewed_songs_change_the_fit(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "work")
    prepare(workspace, "none", song=[], untouched=[], unread=[])
    videos = read_table(workspace.table("videos"), FetchedVideo)
    videos = [dataclasses.replace(one, sha256=SHA, duration_seconds=52.0) for one in videos]
    write_table(workspace.table("videos"), FetchedVideo, videos)
    one = cards(tmp_path, "one")
    path = trace_path(workspace.root, "song")
    path.parent.mkdir(parents=True, exist_ok=True)
    assert one.trace is not None
    path.write_bytes(one.trace.read_bytes())
    rows = [review("complete", None, None)] + [
        review("add", None, interval(segment.letter, segment.start_seconds, segment.end_seconds))
        for segment in one.truth
    ]
    unread = review("complete", None, None, video_id="unread")
    write_reviews(workspace.root / "reviews.csv", Reviews(rows=(*rows, unread)))
    (video,), unused = reviewed_videos(workspace.root)
    assert video.truth == tuple(dataclasses.replace(segment, video_id="song") for segment in one.truth)
    assert video.is_whole
    assert "unread: OCR was not run" in unused[0]
    found = fit_segmentation(
        [video],
        [cards(tmp_path, "other")],
        start=with_value(SegmenterOptions(), "screen.single_after_cut_weight", 0.01),
        search_space={"screen.single_after_cut_weight": (0.01, 0.8)},
        on_progress=lambda *_: None,
    )
    assert found.values == {"screen.single_after_cut_weight": 0.8}


def test_a_workspace_without_completed_songs_is_an_error(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "work")
    prepare(workspace, song=[])
    write_reviews(workspace.root / "reviews.csv", Reviews())
    with pytest.raises(InputError, match="no reviewed video can be used"):
        reviewed_videos(workspace.root)
