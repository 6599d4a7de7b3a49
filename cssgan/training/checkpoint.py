"""Checkpoints: written atomically, verified before use. RUN/checkpoints/step-00001000/ holds:

    generator.safetensors, discriminators.safetensors, average.safetensors (only with train.ema_half_life)
    state.pt        optimizers and partial means of the log; read with weights_only=True
    manifest.json   config, classes, mel statistics, position, and size and sha256 of the other files

A damaged checkpoint is refused with the name of the damaged file, and the checkpoint before it is used.
"""

from __future__ import annotations

import io
import logging
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from cssgan import config as configs
from cssgan.config import RESUMABLE, Config
from cssgan.errors import CheckpointError, ConfigError
from cssgan.storage.artifact import (
    MAX_RECORD_BYTES,
    ArtifactFormat,
    decode_weights,
    encode_weights,
    file_entry,
    load_state,
)
from cssgan.types import MelStats, Progress
from phonics_data.contract.frame_rate import rate_of_file
from phonics_data.contract.labels import LabelSet
from phonics_data.contract.untrusted import read_json_object

GENERATOR, DISCRIMINATORS, AVERAGE = "generator.safetensors", "discriminators.safetensors", "average.safetensors"
STATE, MANIFEST = "state.pt", "manifest.json"
FORMAT = ArtifactFormat(kind="checkpoint", record_name=MANIFEST, version=1, error=CheckpointError)
log = logging.getLogger("cssgan")

Weights = dict[str, Tensor]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Checkpoint:
    """A checkpoint with verified files. Weights are loaded on request."""

    folder: Path
    config: Config
    label_set: LabelSet
    mel_stats: MelStats
    frame_rate: Fraction
    progress: Progress
    train_shards: str | None
    """Digest of the training shards; None in checkpoints of older versions."""

    def generator_weights(self, which: Literal["last", "ema"] = "last") -> Weights:
        """Raises `CheckpointError` if averaged weights are requested from a run without them."""
        name = GENERATOR if which == "last" else AVERAGE
        if not (self.folder / name).exists():
            raise CheckpointError(
                f"{self.folder}: no averaged weights; train with --set train.ema_half_life=10000, or use the last ones"
            )
        return self._weights(name)

    def discriminator_weights(self) -> Weights:
        """Raises `CheckpointError` as `open_checkpoint`."""
        return self._weights(DISCRIMINATORS)

    def _weights(self, name: str) -> Weights:
        try:
            return decode_weights((self.folder / name).read_bytes())
        except (OSError, ValueError) as error:
            raise self._unreadable(name, error) from error

    def state(self) -> dict[str, Any]:
        """Raises `CheckpointError` as `open_checkpoint`."""
        try:
            return load_state(self.folder / STATE)
        except (OSError, ValueError) as error:
            raise self._unreadable(STATE, error) from error

    def _unreadable(self, name: str, error: Exception) -> CheckpointError:
        return CheckpointError(f"{self.folder / name}: {error}; delete this checkpoint to use the one before it")


def folders(run: Path, *, up_to: int | None = None) -> list[Path]:
    """The checkpoint folders of a run, newest first; with `up_to`, only those of at most this many steps."""
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
    """Write a checkpoint and delete those beyond `train.keep_checkpoints`, except the best one with `train.keep_best`.

    Checkpoints of later steps are neither counted nor deleted: they were refused when the run resumed before them.

    Args:
        weights: file name (`GENERATOR`, ...) -> tensors.
        state: objects that ``torch.load(weights_only=True)`` can load.
        val_l1: validation L1 of these weights, by which the best checkpoint is chosen; None: not measured.
        keep_also: another checkpoint to keep.

    Raises:
        CheckpointError: the disk is full or the folder is not writable; earlier checkpoints are kept.
    """
    folder = run / "checkpoints" / f"step-{progress.num_steps:08d}"
    buffer = io.BytesIO()
    torch.save(state, buffer)
    files = {name: encode_weights(tensors) for name, tensors in weights.items()}
    files[STATE] = buffer.getvalue()
    manifest = {
        "torch": torch.__version__,
        "config": configs.to_json(config),
        "label_set": asdict(label_set),
        "mel_stats": asdict(mel_stats),
        "frame_rate": str(frame_rate),
        "progress": asdict(progress),
        "train_shards": train_shards,
        "val_l1": val_l1,
        "files": {name: file_entry(content) for name, content in files.items()},
    }
    try:
        FORMAT.replace_folder(folder, files, manifest)
    except OSError as error:
        raise CheckpointError(
            f"{folder}: cannot be written ({error.strerror}); the checkpoints before it are kept. Free "
            f"{sum(map(len, files.values())) / 1e6:.0f} MB and run the same command again"
        ) from error
    of_this_run = folders(run, up_to=progress.num_steps)
    kept = best(of_this_run, config) if config.train.keep_best else None
    for old in of_this_run[config.train.keep_checkpoints :]:
        if old not in (kept, keep_also):
            shutil.rmtree(old, ignore_errors=True)
    return folder


def step_of(folder: Path) -> int:
    """The number of steps in the name of a checkpoint folder; -1 for other names."""
    digits = folder.name.removeprefix("step-")
    return int(digits) if digits.isdecimal() else -1


def best(checkpoints: Sequence[Path], config: Config) -> Path | None:
    """The first of the checkpoints of `config` with the lowest `val_l1`; None if none was measured."""
    measured: list[tuple[float, Path]] = []
    for folder in checkpoints:
        try:
            manifest = read_json_object(folder / MANIFEST, max_bytes=MAX_RECORD_BYTES, any_numbers=True)
            val_l1, own_config = manifest["val_l1"], configs.from_json(manifest["config"])
        # Damaged checkpoints are refused when they are opened.
        except (OSError, ValueError, KeyError, TypeError, AttributeError, ConfigError):
            continue
        if isinstance(val_l1, (int, float)) and not configs.differences(own_config, config, ignore=RESUMABLE):
            measured.append((float(val_l1), folder))
    return min(measured, key=lambda pair: pair[0])[1] if measured else None


def load_newest(
    run: Path,
    *,
    config: Config | None = None,
    label_set: LabelSet | None = None,
    train_shards: str | None = None,
) -> Checkpoint:
    """The newest valid checkpoint of a run. Damaged checkpoints and those of other runs are logged and skipped.

    Args:
        config, label_set, train_shards: those of the run; None: not compared.

    Raises:
        CheckpointError: the run has no valid checkpoint of its own.
    """
    found = folders(run)
    if not found:
        raise CheckpointError(f"{run}: no checkpoint in it; train first: cssgan train --shards DATASET --run {run}")
    refusals: list[str] = []
    for folder in found:
        try:
            checkpoint = open_checkpoint(folder)
            _check_run(checkpoint, config, label_set, train_shards)
        except CheckpointError as error:
            refusals.append(str(error))
            log.warning("%s; refused, trying the one before", error)
        else:
            return checkpoint
    raise CheckpointError(f"{run}: no valid checkpoint ({'; '.join(refusals)}); train into a new run folder")


def open_checkpoint(folder: Path) -> Checkpoint:
    """Verify one checkpoint. Raises `CheckpointError` if a file is missing, damaged or of another format."""
    with FORMAT.reading(folder) as manifest:
        for name, entry in manifest["files"].items():
            if Path(name).name != name:
                raise ValueError(f"a file outside the folder, {name[:80]!r}")
            FORMAT.verify_file(folder / name, entry)
        return Checkpoint(
            folder=folder,
            config=configs.from_json(manifest["config"]),
            label_set=LabelSet.from_json(manifest["label_set"]),
            mel_stats=MelStats.from_json(manifest["mel_stats"]),
            frame_rate=rate_of_file(manifest["frame_rate"]),
            progress=Progress.from_json(manifest["progress"]),
            train_shards=manifest.get("train_shards"),
        )


def _check_run(found: Checkpoint, config: Config | None, label_set: LabelSet | None, train_shards: str | None) -> None:
    """Raise `CheckpointError` for a valid checkpoint that belongs to another run."""
    if step_of(found.folder) != found.progress.num_steps:
        raise CheckpointError(f"{found.folder}: is of step {found.progress.num_steps}, not of the step in its name")
    changed = [] if config is None else configs.differences(found.config, config, ignore=RESUMABLE)
    if changed:
        raise CheckpointError(f"{found.folder}: of another run; it differs in {'; '.join(changed)}")
    if label_set is not None and found.label_set != label_set:
        raise CheckpointError(f"{found.folder}: of another run, with label set {found.label_set.name!r}")
    if None not in (train_shards, found.train_shards) and train_shards != found.train_shards:
        raise CheckpointError(f"{found.folder}: of another run, with other training shards")
