"""The manifests that ship with the package: what stands in them, and that they ship."""

from __future__ import annotations

import string
import subprocess
import sys
import zipfile
from pathlib import Path

import pandas
import pytest

import phonics_data
from phonics_data.contract.labels import VIDTIMIT
from phonics_data.storage.manifest import SHIPPED, check_manifest, shipped_path, youtube_id

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize("name", SHIPPED)
def test_no_faults(name: str) -> None:
    assert check_manifest(str(shipped_path(name))) == []


@pytest.mark.parametrize("name", SHIPPED)
def test_the_package_carries_the_files_of_the_folder(name: str) -> None:
    assert shipped_path(name).read_bytes() == (ROOT / "manifests" / f"{name}.csv").read_bytes()


def test_alphabet() -> None:
    frame = phonics_data.load_manifest("alphabet")
    assert len(frame) == 180
    assert frame.tier.value_counts().to_dict() == {1: 67, 2: 62, 3: 51}
    assert [youtube_id(url) for url in frame.url] == frame.video_id.tolist()
    single = frame[frame.kind == "letter"]
    assert set(single.letters) == set(string.ascii_uppercase)
    assert set(frame[frame.kind == "alphabet"].letters) == {string.ascii_uppercase}
    assert frame.tier.is_monotonic_increasing  # the strongest first: an interrupted night has the best of it


def test_plain_pandas_reads_it() -> None:
    plain = pandas.read_csv(ROOT / "manifests" / "alphabet.csv")
    assert plain.video_id.tolist() == phonics_data.load_manifest("alphabet").video_id.tolist()


def test_vidtimit_names_the_43_speakers() -> None:
    frame = phonics_data.load_manifest("vidtimit")
    assert tuple(frame.speaker) == VIDTIMIT.names
    assert all(f"/{speaker}.zip" in url for speaker, url in zip(frame.speaker, frame.url, strict=True))


def test_a_wheel_holds_them(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for name in ("pyproject.toml", "LICENSE", "README.md", "phonics_data", "cssgan", "manifests"):
        subprocess.run(["cp", "-a", ROOT / name, source], check=True)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    done = subprocess.run(
        [*command, "--wheel-dir", tmp_path / "wheel", source], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    (wheel,) = (tmp_path / "wheel").glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        for name in SHIPPED:
            assert archive.read(f"phonics_data/manifests/{name}.csv") == shipped_path(name).read_bytes()
