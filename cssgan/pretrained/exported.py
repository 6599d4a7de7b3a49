"""Read an exported model. `cssgan.inference.export` writes it.

An exported folder contains ``model.safetensors``, ``config.json`` (everything the inputs depend on) and ``README.md``, a
model card.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from cssgan import config as configs
from cssgan.config import Config
from cssgan.errors import CheckpointError
from cssgan.storage.artifact import CONTENT_ERRORS, MAX_RECORD_BYTES, decode_weights
from cssgan.types import MelStats, Progress
from phonics_data.contract.frame_rate import rate_of_file
from phonics_data.contract.labels import LabelSet
from phonics_data.contract.untrusted import read_json_object

if TYPE_CHECKING:
    from torch import Tensor

FORMAT_VERSION = 1
WEIGHTS_FILE, CONFIG_FILE, MODEL_CARD_FILE = "model.safetensors", "config.json", "README.md"
WeightsKind = Literal["last", "ema"]
StoredAs = Literal["float32", "float16", "bfloat16"]
STORED_AS: tuple[StoredAs, ...] = ("float32", "float16", "bfloat16")
"""Types in which an export may store its weights. They are float32 in memory."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ExportedModel:
    """The verified content of an exported folder."""

    folder: Path
    config: Config
    label_set: LabelSet
    mel_stats: MelStats
    frame_rate: Fraction
    progress: Progress
    which: WeightsKind
    weights: dict[str, Tensor]
    """State of the generator; floating-point tensors are float32."""
    sha256: str
    """Of ``model.safetensors``."""
    license: str | None
    """Of the weights; None: not recorded."""


def is_export(folder: Path) -> bool:
    return (folder / WEIGHTS_FILE).exists()


def read_export(folder: Path) -> ExportedModel:
    """Read an exported folder.

    Raises:
        CheckpointError: a file is missing, damaged, or of another format version.
    """
    try:
        record = read_json_object(folder / CONFIG_FILE, max_bytes=MAX_RECORD_BYTES, any_numbers=True)
        if record["format"] != FORMAT_VERSION:
            raise CheckpointError(f"{folder}: export format {record['format']}, supported: {FORMAT_VERSION}")
        data = (folder / WEIGHTS_FILE).read_bytes()
        digest = hashlib.sha256(data).hexdigest()
        if digest != record["sha256"]:
            raise CheckpointError(
                f"{folder / WEIGHTS_FILE}: truncated or modified (checksum mismatch); export it again"
            )
        return ExportedModel(
            folder=folder,
            config=configs.from_json(record["config"]),
            label_set=LabelSet.from_json(record["label_set"]),
            mel_stats=MelStats.from_json(record["mel_stats"]),
            frame_rate=rate_of_file(record["frame_rate"]),
            progress=Progress.from_json(record["progress"]),
            which=_which(record["weights"]),
            weights={
                name: tensor.float() if tensor.is_floating_point() else tensor
                for name, tensor in decode_weights(data).items()
            },
            sha256=digest,
            license=record.get("license"),
        )
    except OSError as error:
        raise CheckpointError(
            f"{folder}: contains no exported model ({error.strerror}: {error.filename}); run `cssgan export`"
        ) from error
    except CheckpointError:
        raise
    except CONTENT_ERRORS as error:
        raise invalid(folder, error) from error


def _which(value: object) -> WeightsKind:
    for kind in get_args(WeightsKind):
        if value == kind:
            return kind
    raise ValueError(f"weights: got {str(value)[:40]!r}, allowed: {', '.join(get_args(WeightsKind))}")


def invalid(folder: Path, error: Exception) -> CheckpointError:
    """The error for a folder whose content cannot be used; of the cause, its first line."""
    return CheckpointError(f"{folder}: not a valid export ({str(error).partition(chr(10))[0]}); export it again")
