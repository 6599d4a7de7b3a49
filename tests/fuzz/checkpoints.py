"""Checkpoints and exported models whose record has the right digests: weights (safetensors), states (torch.save), records.

The first byte selects a part; the other parts are valid.
"""

from __future__ import annotations

import io
import json
import random
import tempfile
import zipfile
from dataclasses import asdict
from fractions import Fraction
from pathlib import Path

import torch

from cssgan import config as configs
from cssgan.config import Config
from cssgan.errors import CheckpointError, FeaturesError
from cssgan.metrics.networks import feature_cache
from cssgan.pretrained.exported import read_export
from cssgan.storage.artifact import encode_weights, file_entry
from cssgan.training import checkpoint
from cssgan.types import MelStats, Progress
from phonics_data.contract.labels import LETTERS
from phonics_data.errors import PhonicsDataError
from tests.fuzz.inputs import TEXTS, changed_fields, damaged

INPUTS = 4_000
MODULES = (
    "cssgan.storage.artifact",
    "cssgan.training.checkpoint",
    "cssgan.pretrained.exported",
    "phonics_data.contract.untrusted",
)
_FOLDER = Path(tempfile.mkdtemp(prefix="fuzz-checkpoints-"))
_STEP = _FOLDER / "run/checkpoints/step-00000010"
_EXPORT = _FOLDER / "export"
_WEIGHTS = encode_weights(
    {"a.weight": torch.zeros(2, 3), "b": torch.ones(4, dtype=torch.int64)}, metadata={"format": "pt"}
)


def _state(value: object) -> bytes:
    file = io.BytesIO()
    torch.save(value, file)
    return file.getvalue()


_STATE = _state(
    {
        "optimizer": {"state": {0: {"step": torch.tensor(3.0), "m": torch.zeros(2, 3)}}, "lr": 0.1},
        "means": [1.0, None, "x"],
    }
)
_FIELDS: dict[str, object] = {
    "format": 1, "config": configs.to_json(Config()), "label_set": json.loads(json.dumps(asdict(LETTERS))),
    "mel_stats": asdict(MelStats(mean=-4.0, std=2.0, clamp=3.0)), "frame_rate": str(Fraction(25)),
    "progress": asdict(Progress(num_videos=10, num_steps=10)), "train_shards": "ab", "val_l1": 0.5,
}  # fmt: skip
_EXPORT_FIELDS = {**_FIELDS, "weights": "last", "license": None}
SEEDS = (
    b"\0" + _WEIGHTS, b"\1" + _STATE, b"\2" + json.dumps(_FIELDS).encode(), b"\3" + json.dumps(_EXPORT_FIELDS).encode(), b"\4" + _WEIGHTS,
)  # fmt: skip
WORDS = (
    *TEXTS, b'"F32"', b'"F64"', b'"BF16"', b'"F8_E4M3"', b'"F4"', b'"I64"', b'"X9"', b'"data_offsets":[0,24]', b"[0,18446744073709551615]", b"[-1,4]",
    b'"shape":[1000000000000]', b"[2,3]", b"__metadata__", b"PK\x03\x04", b"PK\x01\x02", b"cposix\nsystem\n", b"ctorch._utils\n_rebuild_tensor_v2\n", b"R.",
    b"}q\x00.", b"\x80\x02", b"(K", b"J\xff\xff\xff\x7f", b"\x8a\xff", b"files", b"../x", b"sha256",
)  # fmt: skip


def sample(rng: random.Random) -> bytes:
    number = rng.randrange(5)
    if number in (2, 3) and rng.random() < 0.6:
        fields = json.loads(SEEDS[number][1:])
        name = rng.choice(list(fields))
        fields[name] = changed_fields(fields[name], rng, 0.3)
        return bytes([number]) + json.dumps(fields).encode()[:16_000]
    if number == 1 and rng.random() < 0.5:
        return b"\1" + _odd_state(rng)
    return bytes([number]) + damaged(SEEDS[number][1:], rng, WORDS, is_binary=number not in (2, 3))


def _odd_state(rng: random.Random) -> bytes:
    """A whole zip file of which one part is damaged, missing or compressed."""
    with zipfile.ZipFile(io.BytesIO(_STATE)) as old:
        parts = {info.filename: old.read(info) for info in old.infolist()}
    name = rng.choice([name for name in parts if name.endswith("data.pkl") or rng.random() < 0.3] or list(parts))
    parts[name] = damaged(parts[name], rng, WORDS, is_binary=True)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))) as new:
        for one, content in parts.items():
            new.writestr(one, content)
    return file.getvalue()


def read(data: bytes) -> bool:
    number, content = data[0] % 5, data[1:]
    try:
        if number < 3:
            return _read_checkpoint(number, content)
        if number == 3:
            return _read_export(_WEIGHTS, content)
        return _read_export(content, None)
    except PhonicsDataError as error:
        assert isinstance(error, CheckpointError | FeaturesError), f"another error: {type(error).__name__}: {error}"
        return False


def _read_checkpoint(number: int, content: bytes) -> bool:
    files = {
        checkpoint.GENERATOR: content if number == 0 else _WEIGHTS,
        checkpoint.DISCRIMINATORS: _WEIGHTS,
        checkpoint.STATE: content if number == 1 else _STATE,
    }
    _STEP.mkdir(parents=True, exist_ok=True)
    for name, part in files.items():
        (_STEP / name).write_bytes(part)
    entries = {name: file_entry(part) for name, part in files.items()}
    record = json.dumps({**_FIELDS, "files": entries}).encode()
    if number == 2:
        # The digests are put into a record that may be no JSON any more.
        record = (
            content[:-1] + b', "files": ' + json.dumps(entries).encode() + b"}" if content.endswith(b"}") else content
        )
    (_STEP / checkpoint.MANIFEST).write_bytes(record)
    checkpoint.best([_STEP], Config())
    found = checkpoint.load_newest(_FOLDER / "run")
    weights = found.generator_weights()
    assert all(isinstance(tensor, torch.Tensor) for tensor in weights.values())
    state = found.state()
    assert isinstance(state, dict)
    return True


def _read_export(weights: bytes, record: bytes | None) -> bool:
    _EXPORT.mkdir(parents=True, exist_ok=True)
    (_EXPORT / "model.safetensors").write_bytes(weights)
    digest = f', "sha256": "{file_entry(weights)["sha256"]}"}}'.encode()
    content = json.dumps(_EXPORT_FIELDS).encode() if record is None else record
    (_EXPORT / "config.json").write_bytes(content[:-1] + digest if content.endswith(b"}") else content)
    read_export(_EXPORT)
    (_EXPORT / "features.npz").write_bytes(weights)
    if record is None:
        feature_cache.load(_EXPORT / "features.npz", {})
    return True
