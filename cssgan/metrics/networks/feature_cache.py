"""Cache of the features of real videos, which are the same for all models.

The name of a file contains the digest of everything that the features depend on (the protocol), and the file contains
the protocol itself. A file whose protocol differs from the expected one is refused.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from cssgan.errors import FeaturesError
from cssgan.metrics.features import Features
from cssgan.metrics.result import ProtocolValue
from cssgan.metrics.videos import Ints
from cssgan.storage.files import make_folder
from phonics_data.contract.files import atomic_path
from phonics_data.contract.untrusted import parse_json_object, read_npz

VERSION = 1
Rows = tuple[Features, Ints]
"""Features, and the index of the video of each row."""


def path_of(folder: Path, protocol: Mapping[str, ProtocolValue]) -> Path:
    """The file of the features of a protocol."""
    text = json.dumps({"version": VERSION, **protocol}, sort_keys=True)
    return folder / f"{protocol.get('network', 'features')}-{hashlib.sha256(text.encode()).hexdigest()[:16]}.npz"


def save(path: Path, rows: Rows, protocol: Mapping[str, ProtocolValue]) -> None:
    """Write the features atomically."""
    features, groups = rows
    make_folder(path.parent)
    header = json.dumps({"version": VERSION, "extractor": features.extractor, "protocol": dict(protocol)})
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        # The networks compute in float32, so nothing is lost.
        np.savez(file, values=features.values_ND.astype(np.float32), groups=groups, header=np.array(header))


def load(path: Path, protocol: Mapping[str, ProtocolValue]) -> Rows:
    """Read the features of a file.

    Raises:
        FeaturesError: the file cannot be read, or has another protocol; the message lists the differences.
    """
    try:
        arrays = read_npz(path)
        header = parse_json_object(str(arrays["header"]), any_numbers=True)
        values, groups = arrays["values"].astype(np.float64), arrays["groups"]
        if values.ndim != 2 or groups.shape != (len(values),) or groups.dtype.kind not in "iu":
            raise ValueError(f"values of shape {values.shape} with groups of shape {groups.shape}")
        found = dict(header["protocol"]) | {"version": header["version"]}
        extractor = str(header["extractor"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise FeaturesError(f"{path}: cached features cannot be read ({error}); delete the file") from error
    expected = {"version": VERSION, **protocol}
    differences = [
        f"{name} {found.get(name, 'missing')!r} (expected {expected.get(name, 'none')!r})"
        for name in sorted(found.keys() | expected.keys())
        if found.get(name) != expected.get(name)
    ]
    if differences:
        raise FeaturesError(f"{path}: cached features of another protocol: {', '.join(differences)}; delete the file")
    return Features(values_ND=values, extractor=extractor), groups


def cached(folder: Path | None, protocol: Mapping[str, ProtocolValue], compute: Callable[[], Rows]) -> Rows:
    """The features of a protocol from the cache; computed and saved if they are missing. No cache if `folder` is None.

    New features are read back from the file (float32), so that the first and all later runs have the same digits.
    """
    if folder is None:
        return compute()
    path = path_of(folder, protocol)
    if not path.exists():
        save(path, compute(), protocol)
    return load(path, protocol)
