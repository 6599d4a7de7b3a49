"""Two processes that write one dataset folder: the second one is refused by name."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path

import pytest

from phonics_data.dataset.layout import lock_dataset
from phonics_data.errors import InputError, WorkspaceLockedError
from phonics_data.stages.pipeline import BuildOptions, build
from phonics_data.stages.shard.stage import locked_folder
from phonics_data.storage.workspace import Workspace
from phonics_data.types import SourceVideo
from tests.processes import waiting_process

HOLDER = """
import sys
from pathlib import Path
from phonics_data.dataset.layout import lock_dataset
with lock_dataset(Path(sys.argv[1])):
    print("locked", flush=True)
    sys.stdin.read()
"""


@contextlib.contextmanager
def held(out: Path) -> Generator[subprocess.Popen[str]]:
    with waiting_process(HOLDER, out, says="locked") as process:
        yield process


def test_a_second_build_into_a_folder_is_refused_before_it_fetches(tmp_path: Path) -> None:
    out = tmp_path / "dataset"
    video = SourceVideo(video_id="a", url=str(tmp_path / "missing.mp4"))
    with held(out) as holder:
        stages = build(Workspace(tmp_path / "work"), [video], out, BuildOptions())
        with pytest.raises(
            WorkspaceLockedError, match=f"--out {out}: process {holder.pid} on .* is writing a dataset into this folder"
        ):
            next(stages)
    assert not (tmp_path / "work" / "videos.parquet").exists()
    with lock_dataset(out):  # the lock of a killed process is released
        pass


def test_commands_name_the_process(tmp_path: Path) -> None:
    (tmp_path / "songs.csv").write_text("video_id,url\na,missing.mp4\n")
    (tmp_path / "clips" / "A").mkdir(parents=True)
    (tmp_path / "clips" / "A" / "clip.mp4").write_bytes(b"no video")
    for words in (["build", "songs.csv"], ["import", "folder", "clips"]):
        with held(tmp_path / "dataset") as holder:
            command = [sys.executable, "-m", "phonics_data", *words, "--work", "work", "--out", "dataset"]
            done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 1
        assert f"--out dataset: process {holder.pid} on " in done.stderr
        assert "is writing a dataset into this folder" in done.stderr


def test_a_folder_without_a_dataset_disappears_and_one_of_others_is_kept(tmp_path: Path) -> None:
    with lock_dataset(tmp_path / "new"), lock_dataset(tmp_path / "new"):
        assert (tmp_path / "new").is_dir()
    assert not (tmp_path / "new").exists()
    with lock_dataset(tmp_path / "new"):
        (tmp_path / "new" / "train-000000.tar").write_bytes(b"")
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == [".lock", "train-000000.tar"]
    (tmp_path / "other").mkdir()
    with lock_dataset(tmp_path / "other"):
        pass
    assert (tmp_path / "other").is_dir()
    (tmp_path / "other" / "letter.txt").write_text("")
    with pytest.raises(InputError, match="contains other files"), locked_folder(tmp_path / "other"):
        pass
