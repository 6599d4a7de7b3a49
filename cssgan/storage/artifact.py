"""Folders of weights with a JSON record: atomic writes, verified reads.

An artifact is a folder with data files and one record, a JSON object that holds

* ``format``: the version of the layout of the folder;
* for each data file an entry with its ``sha256`` and, optionally, its length in ``bytes``, anywhere in the record.

The data files are read only if they match their entries, so a file that is missing, truncated, changed or written by
another version is refused by name.
"""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import shutil
import struct
import zipfile
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from cssgan.storage.files import make_folder, replace_folder
from phonics_data.contract.files import write_bytes
from phonics_data.contract.untrusted import one_line, read_json_object
from phonics_data.errors import PhonicsDataError

if TYPE_CHECKING:
    from torch import Tensor

MAX_RECORD_BYTES = 64_000_000
CONTENT_ERRORS = (
    ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RuntimeError, PhonicsDataError,
)  # fmt: skip
"""What reading a record raises whose values are missing, of another type or of another shape."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ArtifactFormat:
    """One kind of artifact.

    Args:
        kind: name for messages, for example ``checkpoint``.
        record_name: file name of the JSON record.
        version: value of ``format`` in the record; other versions are refused.
        error: exception class for artifacts that cannot be read.
    """

    kind: str
    record_name: str
    version: int
    error: type[PhonicsDataError]

    def encode_record(self, fields: Mapping[str, Any]) -> bytes:
        """The record with ``format`` and `fields`, as UTF-8 JSON."""
        return json.dumps({"format": self.version, **fields}, indent=1, ensure_ascii=False).encode()

    def replace_folder(self, folder: Path, files: Mapping[str, bytes], fields: Mapping[str, Any]) -> None:
        """Write `files` (name -> content) and the record into a new folder, then replace `folder` by it.

        Raises:
            OSError: the folder cannot be written; `folder` is unchanged, and no temporary files are left.
        """
        temporary = folder.with_name(f".writing-{folder.name}")
        try:
            shutil.rmtree(temporary, ignore_errors=True)  # of a process that was killed
            temporary.mkdir(parents=True)
            for name, content in {**files, self.record_name: self.encode_record(fields)}.items():
                write_bytes(temporary / name, content)
            _sync_folder(temporary)
            replace_folder(temporary, folder)
            _sync_folder(folder.parent)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)

    def update_folder(self, folder: Path, files: Mapping[str, bytes], fields: Mapping[str, Any]) -> None:
        """Write `files` and then the record into `folder`, each atomically; other files of the folder are kept.

        The old record is deleted first: after an interruption the folder has no record and is refused as not complete.

        Raises:
            InputError: the folder cannot be made.
            OSError: a file cannot be written.
        """
        make_folder(folder)
        (folder / self.record_name).unlink(missing_ok=True)
        for name, content in {**files, self.record_name: self.encode_record(fields)}.items():
            write_bytes(folder / name, content)

    @contextmanager
    def reading(self, folder: Path) -> Generator[dict[str, Any]]:
        """The record of an artifact.

        Errors in the body that result from the content of the artifact (a missing key, a value of another type, a tensor
        of another shape, a `PhonicsDataError`) are raised as `error` too, and name the record.

        Raises:
            error: the record is missing, not JSON, or of another version.
        """
        path = folder / self.record_name
        try:
            record = read_json_object(path, max_bytes=MAX_RECORD_BYTES, any_numbers=True)
            if record["format"] != self.version:
                raise self.error(f"{path}: {self.kind} format {record['format']}, this program reads {self.version}")
            yield record
        except self.error:
            raise
        except OSError as error:
            name = error.filename or path
            raise self.error(f"{folder}: no complete {self.kind} ({error.strerror or error}: {name})") from error
        except CONTENT_ERRORS as error:
            words = f"no {error}" if isinstance(error, KeyError) else one_line(error)
            raise self.error(f"{path}: not a {self.kind} that this program reads ({words})") from error

    def verify_file(self, path: Path, entry: Mapping[str, Any]) -> None:
        """Compare a data file with its entry in the record, without keeping it in memory.

        Raises:
            error: the file is missing, truncated or changed.
        """
        if path.exists() and not path.is_file():  # a device has no end
            raise self.error(f"{path}: cannot be read (not a file)")
        try:
            num_bytes = path.stat().st_size
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise self._unreadable(path, error) from error
        self._compare(path, num_bytes, digest, entry)

    def read_file(self, path: Path, entry: Mapping[str, Any]) -> bytes:
        """The content of a data file that matches its entry in the record. Raises as `verify_file`."""
        try:
            content = path.read_bytes()
        except OSError as error:
            raise self._unreadable(path, error) from error
        self._compare(path, len(content), hashlib.sha256(content).hexdigest(), entry)
        return content

    def _unreadable(self, path: Path, error: OSError) -> PhonicsDataError:
        if isinstance(error, FileNotFoundError):
            return self.error(f"{path}: missing, the {self.kind} is not complete")
        return self.error(f"{path}: cannot be read ({error.strerror})")

    def _compare(self, path: Path, num_bytes: int, digest: str, entry: Mapping[str, Any]) -> None:
        expected = entry.get("bytes")
        if expected is not None and num_bytes != expected:
            raise self.error(f"{path}: truncated or changed, {num_bytes} of {expected} bytes")
        if digest != entry["sha256"]:
            raise self.error(f"{path}: truncated, or changed since it was written (checksum)")


def file_entry(content: bytes) -> dict[str, Any]:
    """The entry of a data file in the record: ``bytes`` and ``sha256``."""
    return {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def encode_weights(tensors: Mapping[str, Tensor], *, metadata: Mapping[str, str] | None = None) -> bytes:
    """Tensors of any device as a safetensors file; the same tensors always give the same bytes."""
    import safetensors.torch

    # safetensors refuses tensors that are not contiguous.
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    return safetensors.torch.save(plain, metadata=None if metadata is None else dict(metadata))


def decode_weights(content: bytes) -> dict[str, Tensor]:
    """Tensors on the CPU from a safetensors file.

    Raises:
        ValueError: not such a file, damaged, or with a type of numbers that this torch does not have.
    """
    import safetensors
    import safetensors.torch

    try:
        return safetensors.torch.load(content)
    except (safetensors.SafetensorError, KeyError, TypeError, AttributeError, OverflowError, RuntimeError) as error:
        raise ValueError(f"not a safetensors file that can be read ({one_line(error)})") from error


def load_state(path: Path) -> dict[str, Any]:
    """A state of training that `torch.save` wrote: dictionaries, lists, numbers, text and tensors on the CPU.

    Nothing else is unpickled, and nothing is decompressed: the parts of the file take as much memory as the file is long.

    Raises:
        OSError: no such file. ValueError: another file, or a damaged one.
    """
    import torch

    try:
        with zipfile.ZipFile(path) as archive:
            parts = archive.infolist()
        if any(part.compress_type != zipfile.ZIP_STORED or part.file_size > part.compress_size for part in parts):
            raise ValueError("its parts are compressed")
        if sum(part.file_size for part in parts) > path.stat().st_size:
            raise ValueError("its parts are longer than the file")
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (
        zipfile.BadZipFile, pickle.UnpicklingError, RuntimeError, LookupError, TypeError, AttributeError, ArithmeticError, EOFError,
        struct.error, NotImplementedError, ImportError, MemoryError, AssertionError,
    ) as error:  # fmt: skip
        raise ValueError(f"not a file of torch.save that can be read ({one_line(error)})") from error
    if not isinstance(state, dict):
        raise ValueError(f"contains {type(state).__name__}, allowed: a dictionary")
    return cast("dict[str, Any]", state)


def _sync_folder(folder: Path) -> None:
    """Flush the names in a folder to disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
