"""The scripts of examples/ run as documented: one dataset is built, trained on, and read."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]


def run(name: str, *arguments: object, cache: Path) -> str:
    command = [sys.executable, ROOT / "examples" / name, *arguments]
    environment = os.environ | {"CSSGAN_CACHE": str(cache), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(list(map(str, command)), env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_examples_build_train_generate_and_read(songs: Path, tmp_path: Path) -> None:
    videos = tmp_path / "videos"
    videos.mkdir()
    for path in songs.iterdir():
        if path.suffix in (".mp4", ".vtt", ".srt", ".json3"):
            shutil.copy(path, videos)

    built = run("build_dataset.py", videos, tmp_path / "work", tmp_path / "dataset", cache=tmp_path / "cache")
    assert [line.partition(":")[0] for line in built.splitlines()] == ["fetch", "transcribe", "segment", "shard"]

    read = run("read_dataset.py", tmp_path / "dataset", cache=tmp_path / "cache")
    assert "(64, 64, 3)" not in read  # every sample has a time axis
    assert ", 64, 64, 3)" in read

    Image.fromarray(np.full((80, 60, 3), 200, np.uint8)).save(tmp_path / "start.png")
    soundfile.write(tmp_path / "a.wav", np.random.default_rng(1).normal(0, 0.1, 16000), 16000)
    arguments = (tmp_path / "dataset", tmp_path / "run", tmp_path / "start.png", tmp_path / "a.wav", "A")
    made = run("train_and_generate.py", *arguments, tmp_path / "a.mp4", 2, cache=tmp_path / "cache")
    assert "25 frames at 25 frames per second" in made
    with av.open(str(tmp_path / "a.mp4")) as container:
        assert sum(1 for _ in container.decode(video=0)) == 25


@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("*.py")), ids=lambda path: path.name)
def test_every_example_states_its_command(path: Path) -> None:
    assert f"python examples/{path.name} " in path.read_text(encoding="utf-8").splitlines()[0]
