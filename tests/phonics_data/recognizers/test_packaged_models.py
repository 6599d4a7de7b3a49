from __future__ import annotations

import hashlib
import importlib.util
import sys
from pathlib import Path

import pytest

from phonics_data.errors import EngineError
from phonics_data.recognizers import packaged_models
from phonics_data.recognizers.packaged_models import PACKAGED_MODELS, PackagedModel, packaged_model

FIRST, SECOND = b"first half, ", b"second half"
MODEL = PackagedModel(
    packages=("half_one", "half_two"),
    folder="data",
    parts=("model.bin.part1", "model.bin.part2"),
    sha256=hashlib.sha256(FIRST + SECOND).hexdigest(),
)


@pytest.fixture
def halves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two installed packages with one half of a model each, and an empty cache; gives the folder of both."""
    for package, part, data in zip(MODEL.packages, MODEL.parts, (FIRST, SECOND), strict=True):
        folder = tmp_path / "site" / package / "data"
        folder.mkdir(parents=True)
        (folder.parent / "__init__.py").touch()
        (folder / part).write_bytes(data)
    (tmp_path / "site" / "half_one" / "data" / "config.json").write_text("{}")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    for package in MODEL.packages:
        monkeypatch.delitem(sys.modules, package, raising=False)
    monkeypatch.setenv("PHONICS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(packaged_models, "PACKAGED_MODELS", {"base": MODEL})
    packaged_models.joined.cache_clear()
    return tmp_path / "site"


def test_halves_are_joined_once_in_the_cache_folder(halves: Path) -> None:
    folder = packaged_model("base")
    assert folder is not None
    assert folder.parent == halves.parent / "cache"
    assert (folder / "model.bin").read_bytes() == FIRST + SECOND
    assert sorted(file.name for file in folder.iterdir()) == ["config.json", "model.bin"]
    assert [file.name for file in folder.parent.iterdir()] == [folder.name]
    written = (folder / "model.bin").stat().st_mtime_ns
    packaged_models.joined.cache_clear()
    assert packaged_model("base") == folder
    assert (folder / "model.bin").stat().st_mtime_ns == written


def test_another_file_than_the_pinned_one_is_not_used(halves: Path) -> None:
    (halves / "half_two" / "data" / "model.bin.part2").write_bytes(b"another half")
    assert packaged_model("base") is None
    assert list((halves.parent / "cache").iterdir()) == []


def test_damaged_file_in_the_cache_is_replaced(halves: Path) -> None:
    folder = packaged_model("base")
    assert folder is not None
    (folder / "model.bin").write_bytes(FIRST)
    packaged_models.joined.cache_clear()
    assert packaged_model("base") == folder
    assert (folder / "model.bin").read_bytes() == FIRST + SECOND


@pytest.mark.parametrize("missing", ["half_one", "half_two"])
def test_one_half_alone_is_no_model(halves: Path, missing: str) -> None:
    (halves / missing).rename(halves / "elsewhere")
    assert packaged_model("base") is None


def test_cache_that_cannot_be_written_is_an_error_with_a_remedy(halves: Path) -> None:
    (halves.parent / "cache").write_text("a file")
    with pytest.raises(EngineError, match="PHONICS_CACHE"):
        packaged_model("base")


def test_unknown_models_are_in_no_package() -> None:
    assert packaged_model("large-v3") is None


@pytest.mark.skipif(
    any(importlib.util.find_spec(package) is None for package in PACKAGED_MODELS["base"].packages),
    reason="the extra whisper-base is not installed",
)
def test_base_is_found_in_its_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PHONICS_CACHE", str(tmp_path))
    folder = packaged_model("base")
    assert folder is not None
    assert {"config.json", "model.bin", "tokenizer.json", "vocabulary.txt"} <= {file.name for file in folder.iterdir()}
