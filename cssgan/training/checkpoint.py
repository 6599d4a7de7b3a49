"""Checkpoints: whole or refused. RUN/checkpoints/step-00001000/ holds::

    generator.safetensors, discriminators.safetensors, average.safetensors (only with train.ema_half_life)
    state.pt        optimizers and half-full averages of the log; read with weights_only=True
    manifest.json   config, classes, mel statistics, position, and size and sha256 of the other files

A checkpoint is written under another name, synced, and renamed, so a folder of the right name is whole unless the disk
lost something later; then the checksum tells, the checkpoint is refused by name, and the one before is used.
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import safetensors.torch
import torch
from torch import Tensor

from cssgan import config as configs
from cssgan.config import RESUMABLE, Config
from cssgan.errors import CheckpointError, ConfigError
from cssgan.types import MelStats, Progress
from phonics_data.contract.labels import LabelSet
from phonics_data.errors import PhonicsDataError

FORMAT = 1
GENERATOR, DISCRIMINATORS, AVERAGE = "generator.safetensors", "discriminators.safetensors", "average.safetensors"
STATE, MANIFEST = "state.pt", "manifest.json"
log = logging.getLogger("cssgan")

Weights = dict[str, Tensor]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Checkpoint:
    """A checkpoint whose files were checked against their sums; weights are read when asked for."""

    folder: Path
    config: Config
    label_set: LabelSet
    mel_stats: MelStats
    frame_rate: Fraction
    progress: Progress
    train_shards: str | None
    """Name of the bytes that the run is trained on; checkpoints of older versions do not say."""

    def generator_weights(self, which: Literal["last", "ema"] = "last") -> Weights:
        """Raises `CheckpointError` when averaged weights are asked of a run that keeps none."""
        name = GENERATOR if which == "last" else AVERAGE
        if not (self.folder / name).exists():
            raise CheckpointError(
                f"{self.folder}: no averaged weights; train with --set train.ema_half_life=10000, or use the last ones"
            )
        return safetensors.torch.load_file(self.folder / name)

    def discriminator_weights(self) -> Weights:
        return safetensors.torch.load_file(self.folder / DISCRIMINATORS)

    def state(self) -> dict[str, Any]:
        return torch.load(self.folder / STATE, map_location="cpu", weights_only=True)


def folders(run: Path, *, up_to: int | None = None) -> list[Path]:
    """The checkpoints of a run, newest first; with `up_to`, those of at most so many steps."""
    found = sorted((run / "checkpoints").glob("step-*"), reverse=True)
    return [folder for folder in found if up_to is None or step_of(folder) <= up_to]


def save(
    run: Path,
    *,
    weights: Mapping[str, Weights],
    state: dict[str, Any],
    config: Config,
    label_set: LabelSet,
    mel_stats: MelStats,
    frame_rate: Fraction,
    progress: Progress,
    train_shards: str | None = None,
    val_l1: float | None = None,
    keep_also: Path | None = None,
) -> Path:
    """Write a checkpoint and drop those beyond `train.keep_checkpoints`; the best stays, with `train.keep_best`.

    Those of later steps were refused when the run went on from before them. They are not counted, and stay.

    Args:
        weights: file name (`GENERATOR`, ...) -> tensors.
        state: anything that ``torch.load(weights_only=True)`` reads back.
        keep_also: a checkpoint that stays as well.
        val_l1: the readout of samples by which the best is known, if one was taken for this checkpoint.

    Raises:
        CheckpointError: the disk is full or the folder cannot be written; what was there stays.
    """
    folder = run / "checkpoints" / f"step-{progress.num_steps:08d}"
    temporary = folder.with_name(f".writing-{folder.name}")
    buffer = io.BytesIO()
    torch.save(state, buffer)
    contents = {name: safetensors.torch.save(_plain(tensors)) for name, tensors in weights.items()}
    contents[STATE] = buffer.getvalue()
    manifest = {
        "format": FORMAT,
        "torch": torch.__version__,
        "config": configs.to_json(config),
        "label_set": asdict(label_set),
        "mel_stats": asdict(mel_stats),
        "frame_rate": str(frame_rate),
        "progress": asdict(progress),
        "train_shards": train_shards,
        "val_l1": val_l1,
        "files": {
            name: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()} for name, data in contents.items()
        },
    }
    contents[MANIFEST] = json.dumps(manifest, indent=1).encode()
    try:
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        for name, data in contents.items():
            write_synced(temporary / name, data)
        _sync(temporary)
        shutil.rmtree(folder, ignore_errors=True)  # only a refused checkpoint can stand where a new one goes
        temporary.rename(folder)
        _sync(folder.parent)
    except OSError as error:
        shutil.rmtree(temporary, ignore_errors=True)
        raise CheckpointError(
            f"{folder}: cannot be written ({error.strerror}); the checkpoints before it are kept. Free "
            f"{sum(map(len, contents.values())) / 1e6:.0f} MB and run the same command again"
        ) from error
    mine = folders(run, up_to=progress.num_steps)
    kept = best(mine, config) if config.train.keep_best else None
    for old in mine[config.train.keep_checkpoints :]:
        if old not in (kept, keep_also):
            shutil.rmtree(old, ignore_errors=True)
    return folder


def step_of(folder: Path) -> int:
    """The number of steps of a checkpoint, by its name; -1 for a name of another kind."""
    digits = folder.name.removeprefix("step-")
    return int(digits) if digits.isdecimal() else -1


def best(checkpoints: Sequence[Path], config: Config) -> Path | None:
    """The one with the lowest `val_l1` among checkpoints of `config`, the first of equals; None where none was measured."""
    measured: list[tuple[float, Path]] = []
    for folder in checkpoints:
        try:
            manifest = json.loads((folder / MANIFEST).read_text())
            value, its = manifest["val_l1"], configs.from_json(manifest["config"])
        # Broken ones are refused when they are opened.
        except (OSError, ValueError, KeyError, TypeError, AttributeError, ConfigError):
            continue
        if isinstance(value, (int, float)) and not configs.differences(its, config, ignore=RESUMABLE):
            measured.append((float(value), folder))
    return min(measured, key=lambda pair: pair[0])[1] if measured else None


def load_newest(
    run: Path,
    *,
    config: Config | None = None,
    label_set: LabelSet | None = None,
    train_shards: str | None = None,
) -> Checkpoint:
    """The newest whole checkpoint of a run; broken ones, and those of other runs, are named in the log and passed over.

    Args:
        config, label_set, train_shards: of the run; None: not compared.

    Raises:
        CheckpointError: the run has none, or none that is whole and its own.
    """
    found = folders(run)
    if not found:
        raise CheckpointError(f"{run}: no checkpoint in it; train first: cssgan train --shards DATASET --run {run}")
    refusals: list[str] = []
    for folder in found:
        try:
            checkpoint = open_checkpoint(folder)
            _check_own(checkpoint, config, label_set, train_shards)
        except CheckpointError as error:
            refusals.append(str(error))
            log.warning("%s; refused, trying the one before", error)
        else:
            return checkpoint
    raise CheckpointError(f"{run}: no whole checkpoint ({'; '.join(refusals)}); train into a new run folder")


def open_checkpoint(folder: Path) -> Checkpoint:
    """Check one checkpoint's files. Raises `CheckpointError` if one is missing, cut, changed, or not ours."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text())
        if manifest["format"] != FORMAT:
            raise CheckpointError(f"{folder}: checkpoint format {manifest['format']}, this program reads {FORMAT}")
        for name, expected in manifest["files"].items():
            _check_file(folder / name, expected)
        return Checkpoint(
            folder=folder,
            config=configs.from_json(manifest["config"]),
            label_set=LabelSet(manifest["label_set"]["name"], tuple(manifest["label_set"]["names"])),
            mel_stats=MelStats(**manifest["mel_stats"]),
            frame_rate=Fraction(manifest["frame_rate"]),
            progress=Progress(**manifest["progress"]),
            train_shards=manifest.get("train_shards"),
        )
    except OSError as error:
        raise CheckpointError(f"{folder}: {MANIFEST} cannot be read ({error.strerror})") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{folder}: {MANIFEST} is not one of this program ({error})") from error
    except CheckpointError:
        raise
    except PhonicsDataError as error:
        raise CheckpointError(f"{folder}: {MANIFEST} does not fit this program ({error})") from error


def _check_own(found: Checkpoint, config: Config | None, label_set: LabelSet | None, train_shards: str | None) -> None:
    """Raises `CheckpointError` for a whole checkpoint that came here from elsewhere."""
    if step_of(found.folder) != found.progress.num_steps:
        raise CheckpointError(f"{found.folder}: is of step {found.progress.num_steps}, and not of the one in its name")
    changed = [] if config is None else configs.differences(found.config, config, ignore=RESUMABLE)
    if changed:
        raise CheckpointError(f"{found.folder}: of another run; it differs in {'; '.join(changed)}")
    if label_set is not None and found.label_set != label_set:
        raise CheckpointError(f"{found.folder}: of another run, on label set {found.label_set.name!r}")
    if None not in (train_shards, found.train_shards) and train_shards != found.train_shards:
        raise CheckpointError(f"{found.folder}: of another run, on other training shards")


def _check_file(path: Path, expected: dict[str, Any]) -> None:
    if not path.exists():
        raise CheckpointError(f"{path}: missing")
    data = path.read_bytes()
    if len(data) != expected["bytes"]:
        raise CheckpointError(f"{path}: truncated, {len(data)} of {expected['bytes']} bytes")
    if hashlib.sha256(data).hexdigest() != expected["sha256"]:
        raise CheckpointError(f"{path}: its bytes changed since it was written (checksum)")


def _plain(tensors: Weights) -> Weights:
    """safetensors refuses tensors that share memory or are not contiguous."""
    return {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}


def write_synced(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    """Make names in a folder durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
