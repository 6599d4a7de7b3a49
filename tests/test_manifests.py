"""The bundled manifests: their content, and that the package contains them."""

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
from phonics_data.storage.manifest import BUNDLED, bundled_path, check_manifest, youtube_id

pytestmark = pytest.mark.dependencies

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize("name", BUNDLED)
def test_no_faults(name: str) -> None:
    assert check_manifest(str(bundled_path(name))) == []


@pytest.mark.parametrize("name", BUNDLED)
def test_package_files_equal_the_manifests_folder(name: str) -> None:
    assert bundled_path(name).read_bytes() == (ROOT / "manifests" / f"{name}.csv").read_bytes()


def test_alphabet() -> None:
    frame = phonics_data.load_manifest("alphabet")
    assert len(frame) == 180
    assert frame.tier.value_counts().to_dict() == {1: 67, 2: 62, 3: 51}
    assert [youtube_id(url) for url in frame.url] == frame.video_id.tolist()
    single = frame[frame.kind == "letter"]
    assert set(single.letters) == set(string.ascii_uppercase)
    assert set(frame[frame.kind == "alphabet"].letters) == {string.ascii_uppercase}
    assert frame.tier.is_monotonic_increasing  # strongest first, so an interrupted fetch has the best rows


def test_pandas_reads_the_csv() -> None:
    plain = pandas.read_csv(ROOT / "manifests" / "alphabet.csv")
    assert plain.video_id.tolist() == phonics_data.load_manifest("alphabet").video_id.tolist()


def test_vidtimit_lists_the_43_speakers() -> None:
    frame = phonics_data.load_manifest("vidtimit")
    assert tuple(frame.speaker) == VIDTIMIT.names
    assert all(f"/{speaker}.zip" in url for speaker, url in zip(frame.speaker, frame.url, strict=True))


def test_wheel_contains_the_manifests(tmp_path: Path) -> None:
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
        for name in BUNDLED:
            assert archive.read(f"phonics_data/manifests/{name}.csv") == bundled_path(name).read_bytes()
