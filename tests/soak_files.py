"""Small disks for the soak test, and the comparison of two builds."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

ROOMY = "size=2g"
_WORK_TABLES = ("words", "screen_letters", "segments", "rejections")


def _mount(disk: Path, options: str) -> bool:
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", str(disk)], capture_output=True, check=False)
    return done.returncode == 0


def remount(disk: Path, size: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{size}", str(disk)], capture_output=True, check=True)


@contextmanager
def small_disks(folder: Path) -> Generator[bool]:
    """Disks for WORK and OUT, mounted while the block runs; false where that is not allowed."""
    disks = [folder / "work-disk", folder / "out-disk"]
    for disk in disks:
        disk.mkdir()
    mounted = [disk for disk in disks if shutil.which("mount") and _mount(disk, ROOMY)]
    try:
        yield len(mounted) == len(disks)
    finally:
        for disk in mounted:
            subprocess.run(["umount", "--lazy", str(disk)], capture_output=True, check=True)


def contents(work: Path, out: Path) -> dict[str, Any]:
    """Everything that two builds of the same manifest must have in common, by name. The times of downloads in WORK differ."""
    found: dict[str, Any] = {
        f"OUT/{path.relative_to(out).as_posix()}": path.read_bytes()
        for path in sorted(out.rglob("*"))
        if path.is_file()
    }
    for name in _WORK_TABLES:
        found[f"WORK/{name}.parquet"] = (work / f"{name}.parquet").read_bytes()
    found["WORK/videos.parquet"] = _videos(work / "videos.parquet")
    for path in sorted(path for path in work.rglob("*") if path.is_file()):
        name = path.relative_to(work).as_posix()
        if re.match(r"items/(transcribe|segment|shard)/|clips/|media/.*\.(mp4|json3|vtt)$", name):
            found[f"WORK/{name}"] = path.read_bytes()
        elif not name.startswith("media/.partial/"):  # parts of videos that the server never sends completely
            found.setdefault(f"WORK/{name}", "a file")
    found.pop("WORK/options/build.toml", None)
    return found


def _videos(path: Path) -> bytes:
    rows = pq.read_table(path).to_pylist()
    return json.dumps([{**row, "fetched_at": ""} for row in rows]).encode()


def differences(found: dict[str, Any], expected: dict[str, Any]) -> list[str]:
    names = sorted(found.keys() | expected.keys())
    return [
        f"{name}: {'missing' if name not in found else 'not in the unbroken build' if name not in expected else 'differs'}"
        for name in names
        if found.get(name) != expected.get(name)
    ]
