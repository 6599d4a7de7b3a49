from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Generator
from pathlib import Path

import pytest

from phonics_data.contract.files import atomic_path, file_inside, remove_leftovers, temporary_folder, write_bytes
from tests.processes import waiting_process


def test_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "table.parquet"
    write_bytes(target, b"old")

    def write_half() -> None:
        with atomic_path(target) as temporary:
            temporary.write_bytes(b"half of the n")
            raise RuntimeError("interrupted")

    with pytest.raises(RuntimeError, match="interrupted"):
        write_half()
    assert target.read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["table.parquet"]


def test_temporary_name_keeps_the_suffix(tmp_path: Path) -> None:
    with atomic_path(tmp_path / "new folder" / "clip.mp4") as temporary:
        assert temporary.suffix == ".mp4"
        temporary.write_bytes(b"x")
    assert (tmp_path / "new folder" / "clip.mp4").read_bytes() == b"x"


WRITER = """
import sys
from pathlib import Path
from phonics_data.contract.files import atomic_path, temporary_folder

path = Path(sys.argv[1])
with atomic_path(path / "clips.tar") as file, atomic_path(path / "items" / "v1.json") as entry, temporary_folder(path / "model") as folder:
    file.write_bytes(b"half")
    (folder / "weights").write_bytes(b"half")
    print("writing", flush=True)
    sys.stdin.read()
"""


@contextlib.contextmanager
def writing(folder: Path) -> Generator[subprocess.Popen[str]]:
    """A process that is writing two files and a folder."""
    with waiting_process(WRITER, folder, says="writing") as process:
        yield process


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if not (path.is_dir() and path.name == "items"))


def test_files_of_killed_processes_are_removed_and_those_of_living_ones_kept(tmp_path: Path) -> None:
    with writing(tmp_path) as killed:
        killed.kill()
        killed.wait()
    assert len(files(tmp_path)) == 4
    for name in ("clips.tar", ".hidden", "song.partial.mp4", ".x.partial", ".x.12-zz.partial.tar"):
        (tmp_path / name).write_bytes(b"of somebody else")
    with writing(tmp_path) as living:
        of_living = [path for path in files(tmp_path) if f".{living.pid}-" in str(path)]
        assert len(of_living) == 4
        remove_leftovers(tmp_path)
        left = {path.name for path in files(tmp_path)}
        assert {path.name for path in of_living} < left
        assert left == {path.name for path in of_living} | {
            "clips.tar",
            ".hidden",
            "song.partial.mp4",
            ".x.partial",
            ".x.12-zz.partial.tar",
        }


def test_a_temporary_folder_removes_those_of_killed_processes(tmp_path: Path) -> None:
    with writing(tmp_path) as killed:
        killed.kill()
        killed.wait()
    with writing(tmp_path) as living:
        with temporary_folder(tmp_path / "model") as folder:
            (folder / "weights").write_bytes(b"whole")
            folder.rename(tmp_path / "model")
        names = {path.name.split("-")[0] for path in tmp_path.iterdir() if path.is_dir() and path.name != "items"}
        assert names == {"model", f".model.{living.pid}"}
    assert (tmp_path / "model" / "weights").read_bytes() == b"whole"


def test_files_inside_a_folder(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    write_bytes(folder / "file", b"x")
    write_bytes(tmp_path / "outside", b"x")
    (folder / "inner").symlink_to("file")
    (folder / "out").symlink_to("../outside")
    (folder / "circle").symlink_to("circle")
    (tmp_path / "link").symlink_to("folder")
    assert file_inside(folder / "inner", folder) == (folder / "file").resolve()
    assert file_inside(tmp_path / "link" / "file", tmp_path / "link") == (folder / "file").resolve()
    for path in (
        folder / "out",
        folder / "circle",
        folder,
        folder / "missing",
        folder / ".." / "outside",
        folder / "zero\0byte",
    ):
        assert file_inside(path, folder) is None, path
