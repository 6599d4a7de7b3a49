"""The command `show` on ids of YouTube."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from phonics_data.cli.app import app
from phonics_data.storage.workspace import Workspace


@pytest.mark.parametrize("video_id", ["-wNyEUrxzFU", "--Ny-UrxzFU", "-h123456789", "wNyEUrxzFU-"])
def test_ids_may_begin_with_a_dash(tmp_path: Path, video_id: str) -> None:
    workspace = Workspace(tmp_path / "work")
    for words in (["show", video_id, "--work", workspace.root], ["show", "--work", workspace.root, video_id]):
        done = CliRunner().invoke(app, list(map(str, words)))
        assert "No such option" not in done.output
        assert done.exception is not None
        assert video_id in f"{done.output}{done.exception}" or "videos.parquet" in f"{done.output}{done.exception}"
