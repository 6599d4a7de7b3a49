"""Features of real videos, kept on disk: the same real set is measured against every model.

A file is named by the digest of everything that its numbers depend on, and says all of that inside as well; what is read
is compared with what is wanted, so a file that was moved, renamed or made by another program is refused by name.
"""

from __future__ import annotations

import hashlib
import json
import os
import uuid
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from cssgan.errors import FeaturesError
from cssgan.metrics.result import ProtocolValue
from cssgan.metrics.statistics import Features
from cssgan.metrics.videos import Ints
from cssgan.storage.files import make_folder

VERSION = 1
Rows = tuple[Features, Ints]
"""Features and the number of the video of each row."""


def path_of(folder: Path, protocol: Mapping[str, ProtocolValue]) -> Path:
    """Where the features of that protocol lie."""
    text = json.dumps({"version": VERSION, **protocol}, sort_keys=True)
    return folder / f"{protocol.get('network', 'features')}-{hashlib.sha256(text.encode()).hexdigest()[:16]}.npz"


def save(path: Path, rows: Rows, protocol: Mapping[str, ProtocolValue]) -> None:
    """Written whole or not at all."""
    features, groups = rows
    make_folder(path.parent)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    header = json.dumps({"version": VERSION, "extractor": features.extractor, "protocol": dict(protocol)})
    try:
        with temporary.open("wb") as file:
            # The networks compute in float32, so nothing is lost by keeping that.
            np.savez(file, values=features.values_ND.astype(np.float32), groups=groups, header=np.array(header))
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def load(path: Path, protocol: Mapping[str, ProtocolValue]) -> Rows:
    """The features of a file.

    Raises:
        FeaturesError: it cannot be read, or is of another protocol, network or set; the message names what differs.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as held:
            header = json.loads(str(held["header"]))
            values, groups = held["values"].astype(np.float64), held["groups"]
            found = dict(header["protocol"]) | {"version": header["version"]}
            extractor = str(header["extractor"])
    except (OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise FeaturesError(f"{path}: kept features that cannot be read ({error}); delete the file") from error
    wanted = {"version": VERSION, **protocol}
    differing = [
        f"{name} {found.get(name, 'not said')!r} (wanted {wanted.get(name, 'nothing')!r})"
        for name in sorted(found.keys() | wanted.keys())
        if found.get(name) != wanted.get(name)
    ]
    if differing:
        raise FeaturesError(f"{path}: kept features of another protocol: {', '.join(differing)}; delete the file")
    return Features(values_ND=values, extractor=extractor), groups


def kept(folder: Path | None, protocol: Mapping[str, ProtocolValue], make: Callable[[], Rows]) -> Rows:
    """Read the features if they lie in the folder, else make and keep them; None keeps nothing.

    Made ones go through float32 too, so that the first run and every later one give the same digits.
    """
    if folder is None:
        return make()
    path = path_of(folder, protocol)
    if not path.exists():
        save(path, make(), protocol)
    return load(path, protocol)
