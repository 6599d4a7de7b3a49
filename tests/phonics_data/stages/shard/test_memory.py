"""The stage `shard` needs constant memory over 500 videos."""

from __future__ import annotations

import dataclasses
import os
import resource
import sys
from pathlib import Path

import pytest

from phonics_data.quality.filters import FilterOptions
from phonics_data.stages.shard.stage import ShardOptions, shard
from phonics_data.storage.workspace import Workspace
from tests.phonics_data.stages.shard.test_stage import put_video, segments_of, write_inputs

NUM_VIDEOS = 500


def resident_bytes(process: int | str) -> int:
    return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * resource.getpagesize()


def children() -> list[int]:
    return [
        int(child) for task in Path("/proc/self/task").iterdir() for child in (task / "children").read_text().split()
    ]


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_memory_is_constant_over_many_videos(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "work")
    first = put_video(workspace, "video-0", seconds=1)
    videos = [first]
    for number in range(1, NUM_VIDEOS):
        path = workspace.media / f"copy-{number}" / "video.mkv"
        path.parent.mkdir()
        os.link(workspace.root / first.path, path)
        videos.append(dataclasses.replace(first, video_id=f"copy-{number}", path=workspace.relative(path)))
    write_inputs(workspace, videos, [segment for video in videos for segment in segments_of(video.video_id, "AB", 0.5)])
    before = set(children())
    own: list[int] = []
    workers: list[int] = []

    def on_progress(stage: str, done: int, total: int) -> None:
        own.append(resident_bytes("self"))
        workers.append(sum(resident_bytes(child) for child in set(children()) - before))

    options = ShardOptions(filters=FilterOptions(drop_near_duplicates=False, min_seconds=0.1))
    count = shard(workspace, tmp_path / "dataset", options, workers=2, on_progress=on_progress)
    assert count.num_kept == 2 * NUM_VIDEOS
    assert max(workers) > 20e6, "no worker process was found"
    assert own[-1] - own[50] < 20e6
    assert max(workers[50:]) - workers[50] < 20e6
